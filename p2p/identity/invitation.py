"""Invitations: the code that a person takes to a new machine, and what both ends prove with it. Pure.

A code is typed once, on the machine that shall join. It has a mark of the lab's authority, so that the new machine
knows the lab's router before it says anything; a locator, by which the signer finds the invitation; and a secret that
only these two ever have. Neither goes over the network: each end shows an HMAC (RFC 2104) over what is to be believed
and over a value that belongs to this one TLS connection (RFC 9266), so that a router in between can change nothing,
and nothing can be used again elsewhere.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Final, NamedTuple

from p2p.base.errors import P2PError

__all__ = [
    "BINDING_BYTES",
    "LOCATORS",
    "SECRET_BYTES",
    "BadCode",
    "InviteCode",
    "mark_of",
    "newcomer_proof",
    "parse_code",
]
__all__ += ["same_proof", "signer_proof"]

MARK_BYTES: Final = 16
"""Of the SHA-256 of the authority's public key: to find another key with the same takes 2**128 tries."""

SECRET_BYTES: Final = 10
"""Nobody can try out 2**80, though a router that is in league with a thief could do so without asking."""

LOCATORS: Final = 1 << 20
"""How many locators there are. Who doesn't know one can't use up the tries of an invitation."""

BINDING_BYTES: Final = 32

_CHECK_BITS: Final = 12
_BITS: Final = 8 * MARK_BYTES + 20 + 8 * SECRET_BYTES + _CHECK_BITS
_LETTERS: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: no i, l, o and u
_CHARACTERS: Final = _BITS // 5
_GROUP: Final = 12
_ALIKE: Final = str.maketrans("ilo", "110")


class BadCode(P2PError):
    """A text isn't the code of an invitation; it says what is wrong."""


class InviteCode(NamedTuple):
    """What is in a code; ``str()`` writes it for people.

    :ivar mark: that of the authority, see :func:`mark_of`.
    :ivar locator: below :data:`LOCATORS`.
    """

    mark: bytes
    locator: int
    secret: bytes

    def __str__(self) -> str:
        content = self.mark + self.locator.to_bytes(3, "big") + self.secret
        number = int.from_bytes(self.mark, "big") << 20 | self.locator
        number = number << 8 * SECRET_BYTES | int.from_bytes(self.secret, "big")
        number = number << _CHECK_BITS | _check(content)
        text = "".join(_LETTERS[number >> 5 * place & 31] for place in reversed(range(_CHARACTERS)))
        return "-".join(text[start : start + _GROUP] for start in range(0, _CHARACTERS, _GROUP))


def parse_code(text: str) -> InviteCode:
    """Read a code as a person types it: capitals, blanks and hyphens make no difference, nor do o for 0, i and l for 1.

    :raises BadCode: if it isn't one, or a letter of it is wrong.
    """
    letters = "".join(text.split()).replace("-", "").lower().translate(_ALIKE)
    if len(letters) != _CHARACTERS:
        raise BadCode(f"the code has {len(letters)} letters and digits, not {_CHARACTERS}; copy the whole of it")
    if wrong := next((one for one in letters if one not in _LETTERS), None):
        raise BadCode(f"no code has {wrong!r} in it; copy it once more")
    number = 0
    for letter in letters:
        number = number << 5 | _LETTERS.index(letter)
    number, check = divmod(number, 1 << _CHECK_BITS)
    number, secret = divmod(number, 1 << 8 * SECRET_BYTES)
    mark, locator = divmod(number, LOCATORS)
    code = InviteCode(mark.to_bytes(MARK_BYTES, "big"), locator, secret.to_bytes(SECRET_BYTES, "big"))
    if check != _check(code.mark + locator.to_bytes(3, "big") + code.secret):
        raise BadCode("the code is mistyped: one of its letters or digits is wrong; copy it once more")
    return code


def mark_of(public_key: bytes) -> bytes:
    """Return the mark of an authority.

    :param public_key: its SubjectPublicKeyInfo, DER.
    """
    return sha256(public_key).digest()[:MARK_BYTES]


def newcomer_proof(secret: bytes, binding: bytes, name: str, public_key: bytes) -> bytes:
    """Return what a new machine shows: that it has the code, for this name and this key, on this connection.

    :param binding: the value exported from the TLS connection.
    :param public_key: its SubjectPublicKeyInfo, DER.
    """
    return _proof(secret, b"p2p-join/1 newcomer", binding, name.encode(), public_key)


def signer_proof(secret: bytes, binding: bytes, certificate: bytes, links: str) -> bytes:
    """Return what the signer shows: that this answer comes from who made the code, on this connection.

    :param certificate: DER.
    """
    return _proof(secret, b"p2p-join/1 signer", binding, certificate, links.encode())


def same_proof(one: bytes, other: bytes) -> bool:
    """Compare proofs in a time that doesn't tell where they differ."""
    return hmac.compare_digest(one, other)


def _proof(secret: bytes, *parts: bytes) -> bytes:
    return hmac.digest(secret, b"".join(len(part).to_bytes(4, "big") + part for part in parts), "sha256")


def _check(content: bytes) -> int:
    return int.from_bytes(sha256(b"p2p code" + content).digest()[:2], "big") >> 4
