"""What a signer decides: who gets a certificate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
from cryptography.x509 import load_der_x509_certificate
from twisted.logger import Logger
from twisted.protocols.amp import CommandLocator

from p2p.base.errors import P2PError
from p2p.base.texts import printable
from p2p.control.commands import Enrol, Refused, Renew, responder
from p2p.identity.authority import Authority
from p2p.identity.invitation import newcomer_proof, same_proof, signer_proof
from p2p.identity.ledger import WRONG_TRIES, Invitation, Ledger
from p2p.identity.pem_files import name_of, public_key_of

__all__ = ["Desk", "DeskCommands"]

log = Logger()


class Desk:
    """Answers what routers pass on.

    :param links: what the lab's peers ask of their links.
    :param wall: reads the Unix time, seconds.
    :param used: is told the name of each new machine that has got its certificate.
    """

    def __init__(
        self,
        authority: Authority,
        ledger: Ledger,
        links: str,
        wall: Callable[[], float],
        used: Callable[[str], object] = lambda name: None,
    ) -> None:
        self._authority = authority
        self._ledger = ledger
        self._links = links
        self._wall = wall
        self._used = used

    def enrol(self, cluster: str, name: str, locator: int, key: bytes, binding: bytes, proof: bytes) -> dict[str, Any]:
        """Give a new machine a certificate.

        The same machine may ask again with the same code and the same key, as it does when the answer got lost.

        :param cluster: that of the router that passes it on, which speaks for no other.
        :raises Refused: with what is wrong with the code; only who has it is told more than that it isn't known.
        """
        invitation = self._ledger.invitation(locator)
        if invitation is None:
            raise Refused("no invitation with this code is known; make a new one: p2p lab invite")
        if invitation.wrong >= WRONG_TRIES:
            raise Refused("this invitation is void after too many wrong tries; make a new one: p2p lab invite")
        if not same_proof(newcomer_proof(invitation.secret, binding, name, key), proof):
            self._ledger.tried(locator)
            log.warn("signer: a wrong proof for the invitation of {name}", name=invitation.name)
            raise Refused("no invitation with this code is known; make a new one: p2p lab invite")
        self._check(invitation, name, cluster, key)
        try:
            public_key = load_der_public_key(key)
        except ValueError as error:
            raise Refused("the key can't be read") from error
        if not isinstance(public_key, ec.EllipticCurvePublicKey) or public_key.curve.name != "secp256r1":
            raise Refused("the key isn't one of P-256")
        certificate = self._authority.certify(name, public_key, now=datetime.fromtimestamp(self._wall(), UTC))
        self._ledger.used(locator, certificate)
        der = certificate.public_bytes(Encoding.DER)
        log.info(
            "signer: {name} has joined, its certificate ends on {until:%Y-%m-%d}",
            name=name,
            until=certificate.not_valid_after_utc,
        )
        self._used(name)
        return {
            "certificate": der,
            "links": self._links,
            "proof": signer_proof(invitation.secret, binding, der, self._links),
        }

    def renew(self, cluster: str, certificate: bytes) -> bytes:
        """Give somebody who has a certificate of this lab, also one that has ended, a new one for the same key.

        :param cluster: that of the router that passes it on, which speaks for itself and its own peers.
        :param certificate: DER.
        :returns: the new one, DER.
        :raises Refused: if it isn't one of this lab, or its key is revoked.
        """
        try:
            old = load_der_x509_certificate(certificate)
            old.verify_directly_issued_by(self._authority.certificate)
            name = name_of(old)
        except (ValueError, TypeError, InvalidSignature, P2PError) as error:
            raise Refused("the authority of this lab hasn't issued this certificate") from error
        if name.rpartition(".")[2] != cluster:
            raise Refused(f"{printable(name[:130])} isn't of cluster {cluster}")
        known = self._ledger.key(public_key_of(old))
        if known is not None and known.revoked:
            raise Refused(f"the key of {name} is revoked")
        fresh = self._authority.certify(name, old.public_key(), now=datetime.fromtimestamp(self._wall(), UTC))
        self._ledger.record([fresh])
        until = fresh.not_valid_after_utc
        log.info("signer: the certificate of {name} is renewed until {until:%Y-%m-%d}", name=name, until=until)
        return fresh.public_bytes(Encoding.DER)

    def _check(self, invitation: Invitation, name: str, cluster: str, key: bytes) -> None:
        """See whether somebody who has the code may use it so.

        :raises Refused: if not.
        """
        if invitation.name != name:
            raise Refused(f"this code is for {invitation.name}, not for {printable(name)}")
        if name.rpartition(".")[2] != cluster:
            raise Refused(f"{name} isn't of cluster {cluster}")
        if invitation.key not in (None, key):
            raise Refused(f"this code has been used already, by another machine that is {name} now")
        if invitation.until < self._wall():
            until = datetime.fromtimestamp(invitation.until, UTC)
            raise Refused(f"this code ended on {until:%Y-%m-%d at %H:%M} UTC; make a new one: p2p lab invite {name}")


class DeskCommands(CommandLocator):
    """What the router of one cluster may ask the signer."""

    def __init__(self, desk: Desk, cluster: str) -> None:
        self._desk = desk
        self._cluster = cluster

    @responder(Enrol)
    async def enrol(self, name: str, locator: int, key: bytes, binding: bytes, proof: bytes) -> Mapping[str, Any]:
        """Give a new machine a certificate."""
        with self._told(printable(name)):
            return self._desk.enrol(self._cluster, name, locator, key, binding, proof)

    @responder(Renew)
    async def renew(self, certificate: bytes) -> Mapping[str, Any]:
        """Give whoever has a certificate a new one."""
        with self._told(f"somebody of {self._cluster}"):
            return {"certificate": self._desk.renew(self._cluster, certificate)}

    @contextmanager
    def _told(self, who: str) -> Iterator[None]:
        """Say in the log who gets nothing, and in an answer why."""
        try:
            yield
        except Refused as refused:
            log.info("signer: {who} gets no certificate: {reason}", who=who, reason=str(refused))
            raise
        except P2PError as error:
            log.warn("signer: {who} gets no certificate: {reason}", who=who, reason=str(error))
            raise Refused(f"the signer can't: {error}") from error
