"""Tests for :mod:`p2p.identity.invitation`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.identity.invitation import (
    LOCATORS,
    MARK_BYTES,
    SECRET_BYTES,
    BadCode,
    InviteCode,
    mark_of,
    newcomer_proof,
    parse_code,
    same_proof,
    signer_proof,
)

CODE = InviteCode(bytes(range(16)), 0xABCDE, bytes(range(100, 110)))

CODES = st.builds(
    InviteCode,
    st.binary(min_size=MARK_BYTES, max_size=MARK_BYTES),
    st.integers(0, LOCATORS - 1),
    st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES),
)


class CodeTests(SynchronousTestCase):
    def test_text(self) -> None:
        """A code is four groups of twelve letters and digits; its form is fixed, since two versions may meet."""
        self.assertEqual("000g40r40m30-e209185gr38e-1ynwvsj6ask7-d1mpmtvcdp0d", str(CODE))

    @given(CODES)
    def test_back(self, code: InviteCode) -> None:
        """Every code is read as what was written, however it is typed."""
        text = str(code)
        for typed in (text, text.upper(), text.replace("-", ""), f" {text.replace('-', ' ')}\n"):
            self.assertEqual(code, parse_code(typed))

    def test_alike(self) -> None:
        """Letters that look like digits are taken for these."""
        self.assertEqual(CODE, parse_code(str(CODE).replace("0", "O").replace("1", "l")))

    def test_secret_bits(self) -> None:
        """At least 80 bits of a code are random, and 128 of it are those of the authority."""
        self.assertGreaterEqual(8 * SECRET_BYTES, 80)
        self.assertGreaterEqual(8 * MARK_BYTES, 128)

    def test_mistyped(self) -> None:
        """Each wrong letter, and two that have changed places, are noticed before anything is sent."""
        text = str(CODE)
        for at, letter in enumerate(text):
            if letter != "-":
                other = "7" if letter != "7" else "8"
                with self.assertRaisesRegex(BadCode, "mistyped"):
                    parse_code(text[:at] + other + text[at + 1 :])
        with self.assertRaisesRegex(BadCode, "mistyped"):
            parse_code(text[1] + text[2] + text[3] + text[0] + text[4:])

    def test_not_one(self) -> None:
        """What can't be a code is told as such."""
        with self.assertRaisesRegex(BadCode, "has 47 letters and digits, not 48"):
            parse_code(str(CODE)[:-1])
        with self.assertRaisesRegex(BadCode, "no code has 'u' in it"):
            parse_code("u" + str(CODE)[1:])


class ProofTests(SynchronousTestCase):
    def test_binds(self) -> None:
        """A proof is for one secret, connection, name and key, and never that of the other end."""
        usual = (b"s" * 10, b"b" * 32, "n5.n", b"key")
        proof = newcomer_proof(*usual)
        self.assertEqual(32, len(proof))
        self.assertTrue(same_proof(proof, newcomer_proof(*usual)))
        others = [(b"t" * 10, *usual[1:]), (usual[0], b"c" * 32, *usual[2:]), (*usual[:2], "n6.n", b"key")]
        others += [(*usual[:3], b"yek"), (*usual[:2], "n5.nk", b"ey")]
        for other in others:
            self.assertFalse(same_proof(proof, newcomer_proof(*other)))
        self.assertFalse(same_proof(proof, signer_proof(usual[0], usual[1], b"n5.n", "key")))

    def test_signer(self) -> None:
        """The signer's proof is for the certificate and for what the lab's links are."""
        proof = signer_proof(b"s" * 10, b"b" * 32, b"certificate", "tls")
        self.assertTrue(same_proof(proof, signer_proof(b"s" * 10, b"b" * 32, b"certificate", "tls")))
        self.assertFalse(same_proof(proof, signer_proof(b"s" * 10, b"b" * 32, b"certificate", "plain")))
        self.assertFalse(same_proof(proof, signer_proof(b"s" * 10, b"b" * 32, b"other", "tls")))

    def test_mark(self) -> None:
        """An authority's mark is the beginning of the SHA-256 of its key."""
        self.assertEqual("e3b0c44298fc1c149afbf4c8996fb924", mark_of(b"").hex())
