"""What an authority remembers: whom it has issued which key, which it has revoked, and which invitations it has made.

It is a SQLite database beside the authority's key, ``authority.sqlite``, mode 0600, which the signer and the commands
of ``p2p lab`` share. All functions block, for a moment.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from math import ceil
from pathlib import Path
from typing import Final, NamedTuple, Self

from cryptography import x509

from p2p.base.errors import IdentityError, P2PError
from p2p.base.names import SIGNER
from p2p.identity.invitation import LOCATORS
from p2p.identity.pem_files import load_certificate, name_of, public_key_of
from p2p.identity.revocations import Revocation, hash_of, make_revocation

__all__ = ["LEDGER", "REVOCATIONS", "WRONG_TRIES", "Invitation", "IssuedKey", "Ledger"]

LEDGER: Final = "authority.sqlite"

WRONG_TRIES: Final = 5
"""Wrong proofs after which an invitation is void."""

INVITATIONS: Final = 10_000
"""Invitations that are kept, those that were used or have expired included; one of 100 locators is taken at most."""

REVOCATIONS: Final = 20_000
"""Revocations that haven't ended; more are a mistake, and every daemon keeps all of them."""

KEPT_S: Final = 30 * 86400.0
"""Seconds after its end for which an invitation is still known, so that whoever uses it then is told why in vain."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS keys (
    key BLOB PRIMARY KEY, name TEXT NOT NULL, until REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS keys_by_name ON keys (name);
CREATE TABLE IF NOT EXISTS invitations (
    locator INTEGER PRIMARY KEY, name TEXT NOT NULL, secret BLOB NOT NULL, until REAL NOT NULL,
    wrong INTEGER NOT NULL DEFAULT 0, key BLOB
);
CREATE TABLE IF NOT EXISTS revocations (
    number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, until INTEGER NOT NULL, statement BLOB NOT NULL
);
"""


_KEYS: Final = (
    "SELECT keys.key, name, keys.until, number IS NOT NULL "
    "FROM keys LEFT JOIN revocations ON revocations.key = keys.key"
)


class IssuedKey(NamedTuple):
    """A key that has got certificates.

    :ivar key: its SubjectPublicKeyInfo, DER.
    :ivar until: when the last of them ends, Unix seconds.
    :ivar revoked: whether it has been revoked.
    """

    key: bytes
    name: str
    until: float
    revoked: bool = False


class Invitation(NamedTuple):
    """An invitation, whatever has become of it.

    :ivar until: when it ends, Unix seconds.
    :ivar wrong: how often somebody has tried it with a wrong proof.
    :ivar key: that of the machine that has used it, SubjectPublicKeyInfo, DER; None if nobody has.
    """

    locator: int
    name: str
    secret: bytes
    until: float
    wrong: int
    key: bytes | None


class Ledger:
    """The database of one authority; to be closed."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open the ledger of the lab in a folder; a new one gets all certificates that lie in the folder.

        :raises IdentityError: if it can't be read or written.
        """
        path = directory / LEDGER
        with _told(path):
            fresh = not path.exists()
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            connection = sqlite3.connect(path, timeout=10.0, isolation_level=None)
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(_SCHEMA)
        ledger = cls(path, connection)
        if fresh:
            ledger.record(_certificates(directory / "certificates"))
        return ledger

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def record(self, certificates: Iterable[x509.Certificate]) -> None:
        """Remember that these have been issued."""
        with self._change() as change:
            for one in certificates:
                change.execute(
                    "INSERT INTO keys (key, name, until) VALUES (?, ?, ?) "
                    "ON CONFLICT (key) DO UPDATE SET until = max(until, excluded.until)",
                    (public_key_of(one), name_of(one), one.not_valid_after_utc.timestamp()),
                )

    def issued(self, name: str | None = None) -> list[IssuedKey]:
        """The keys that have been issued for a name, or all, ordered by name, those that end last first."""
        where, values = ("WHERE name = ?", (name,)) if name is not None else ("", ())
        with _told(self.path):
            rows = self._connection.execute(
                f"{_KEYS} {where} ORDER BY name, keys.until DESC",
                values,
            )
            return [_issued(row) for row in rows]

    def key(self, key: bytes) -> IssuedKey | None:
        """What is known of a key."""
        with _told(self.path):
            row = self._connection.execute(f"{_KEYS} WHERE keys.key = ?", (key,)).fetchone()
        return None if row is None else _issued(row)

    def revoke(self, key: bytes, sign: Callable[[bytes], bytes], now: float) -> Revocation:
        """Remember that a key isn't believed any more, and say so; a key that is revoked already stays as it is.

        :param key: its SubjectPublicKeyInfo, DER, one that has been issued.
        :param sign: signs as the authority.
        :raises IdentityError: if too many are.
        """
        with self._change() as change:
            for known in self._revocations("WHERE key = ?", (key,)):
                return known
            count = change.execute("SELECT count(*) FROM revocations WHERE until > ?", (now,)).fetchone()[0]
            if count >= REVOCATIONS:
                raise IdentityError(f"{self.path}: {count} keys are revoked, which is the limit")
            latest = change.execute("SELECT max(number) FROM revocations").fetchone()[0] or 0
            (until,) = change.execute("SELECT until FROM keys WHERE key = ?", (key,)).fetchone()
            number = max(latest + 1, int(now * 1000))
            made = make_revocation(number, ceil(until), hash_of(key), sign)
            change.execute(
                "INSERT INTO revocations (number, key, until, statement) VALUES (?, ?, ?, ?)",
                (number, key, made.until, made.statement),
            )
        return made

    def revocations(self, now: float) -> list[Revocation]:
        """The revocations that haven't ended, in order."""
        with _told(self.path):
            return self._revocations("WHERE until > ?", (now,))

    def changes(self) -> int:
        """A number that is another one after another process has changed anything."""
        with _told(self.path):
            version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return version

    def _revocations(self, where: str, values: tuple[object, ...]) -> list[Revocation]:
        rows = self._connection.execute(
            f"SELECT number, until, key, statement FROM revocations {where} ORDER BY number",
            values,
        )
        return [Revocation(number, until, hash_of(key), statement) for number, until, key, statement in rows]

    def invite(self, name: str, secret: bytes, random: int, until: float, now: float) -> Invitation:
        """Remember a new invitation; an earlier one for the same name that nobody has used is void.

        :param random: any number; it decides the locator.
        :raises IdentityError: if there are too many already.
        """
        with self._change() as change:
            change.execute("DELETE FROM invitations WHERE until < ?", (now - KEPT_S,))
            change.execute("DELETE FROM invitations WHERE name = ? AND key IS NULL", (name,))
            taken = {locator for (locator,) in change.execute("SELECT locator FROM invitations")}
            if len(taken) >= INVITATIONS:
                raise IdentityError(f"{self.path}: {len(taken)} invitations are known, which is the limit")
            locator = random % LOCATORS
            while locator in taken:
                locator = (locator + 1) % LOCATORS
            invitation = Invitation(locator, name, secret, until, 0, None)
            change.execute(
                "INSERT INTO invitations (locator, name, secret, until, wrong, key) VALUES (?, ?, ?, ?, ?, ?)",
                invitation,
            )
        return invitation

    def invitation(self, locator: int) -> Invitation | None:
        """The invitation with this locator, if there is one."""
        with _told(self.path):
            row = self._connection.execute(
                "SELECT locator, name, secret, until, wrong, key FROM invitations WHERE locator = ?", (locator,)
            ).fetchone()
        return None if row is None else Invitation(*row)

    def tried(self, locator: int) -> None:
        """Count a wrong proof."""
        with self._change() as change:
            change.execute("UPDATE invitations SET wrong = wrong + 1 WHERE locator = ?", (locator,))

    def used(self, locator: int, certificate: x509.Certificate) -> None:
        """Remember that an invitation has been used, and what for."""
        with self._change() as change:
            values = (public_key_of(certificate), locator)
            change.execute("UPDATE invitations SET key = ? WHERE locator = ?", values)
        self.record([certificate])

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with _told(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def _issued(row: tuple[bytes, str, float, int]) -> IssuedKey:
    key, name, until, revoked = row
    return IssuedKey(key, name, until, bool(revoked))


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise IdentityError(f"{path}: what the authority remembers can't be used ({error})") from error


def _certificates(folder: Path) -> Iterator[x509.Certificate]:
    for path in sorted(folder.glob("*.pem")):
        with suppress(P2PError):  # something else that lies there
            certificate = load_certificate(path)
            if name_of(certificate) != SIGNER:
                yield certificate
