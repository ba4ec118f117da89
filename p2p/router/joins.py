"""New machines at a router: it passes what they ask for on to the signer, which alone can say yes.

A router has no part in it but that: it can't issue certificates, doesn't know the secrets of invitations, and can
change neither a request nor an answer without its being noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.protocols.amp import Command, CommandLocator

from p2p.base.config import RouterLimits
from p2p.base.errors import IdentityError, InvalidName
from p2p.base.log_gate import STRANGERS, LogGate
from p2p.base.names import parse_peer, router_name
from p2p.base.rates import Quota
from p2p.base.texts import printable
from p2p.control.admission import Place
from p2p.control.channel import Channel, ControlLost, ControlTimeout
from p2p.control.commands import Busy, Enrol, Refused, Renew, Revoke, responder
from p2p.control.joining import JoinAnswer, Joining, JoinRequest, RenewRequest, authorities_in

__all__ = ["JOINS_AT_ONCE", "JOINS_PER_S", "Joins", "SignerCommands"]

JOINS_PER_S: Final = 1.0
"""Requests of new machines that are passed on in a second, in the long run."""

JOINS_AT_ONCE: Final = 20

SIGNER_SHARE: Final = 0.8
"""The part of ``call_s`` that the signer has to answer, so that who asked is told that it took too long."""

log = Logger()


class SignerCommands(CommandLocator):
    """What the signer may ask a router.

    :param told: takes what it says is revoked.
    """

    def __init__(self, told: Callable[[list[bytes]], Mapping[str, Any]]) -> None:
        self._told = told

    @responder(Revoke)
    async def revoke(self, statements: list[bytes]) -> Mapping[str, Any]:
        """Believe some keys no more."""
        return self._told(statements)


class Joins:
    """The new machines of one router, and its signer.

    :param authorities: the PEM file of the authorities that it trusts.
    :param gate: what new machines can provoke in the log passes here.
    :ivar linked: is called when the signer has come.
    :ivar signer: the channel to the signer, None while there is none.
    """

    def __init__(
        self, clock: IReactorTime, cluster: str, limits: RouterLimits, authorities: bytes, gate: LogGate
    ) -> None:
        self.signer: Channel | None = None
        self.linked: Callable[[], object] = lambda: None
        self._clock = clock
        self._cluster = cluster
        self._limits = limits
        self._gate = gate
        self._quota = Quota(JOINS_PER_S, JOINS_AT_ONCE)
        try:
            self._authorities = authorities_in(authorities)
        except ValueError as error:
            raise IdentityError("the authority's file holds a certificate that can't be read") from error

    def protocol(self, place: Place) -> Joining:
        """Return what serves one new machine, which keeps the place of a stranger until it has gone."""

        def tell(reason: str) -> None:
            self._gate.warn(log, STRANGERS, "router: a machine at {where}: {reason}", where=place.source, reason=reason)

        seconds = self._limits.handshake_s + self._limits.call_s
        return Joining(self._clock, seconds, self._authorities, self._asked, tell, place.leave)

    def signer_linked(self, channel: Channel) -> None:
        """Be told that the signer is there; an older connection of its makes way."""
        older, self.signer = self.signer, channel
        if older is not None:
            older.part("the signer has connected again")
        self.linked()

    def signer_left(self, channel: Channel) -> bool:
        """Be told that a connection has ended; say whether it was the signer's."""
        if self.signer is not channel:
            return False
        self.signer = None
        return True

    async def _enrol(self, request: JoinRequest, binding: bytes) -> JoinAnswer:
        """Have a certificate made.

        :raises Refused: if there is nobody to do it, or the signer doesn't want to.
        """
        try:
            name = parse_peer(request.name)
        except InvalidName as error:
            raise Refused(str(error)) from error
        if name.cluster != self._cluster:
            raise Refused(f"{name} is of cluster {name.cluster}, and this is the router of {self._cluster}")
        answer = await self._ask(
            Enrol, name=request.name, locator=request.locator, key=request.key, binding=binding, proof=request.proof
        )
        self._gate.info(log, STRANGERS, "router: {name} has got a certificate", name=str(name))
        return JoinAnswer(certificate=answer["certificate"], links=answer["links"], proof=answer["proof"])

    async def renew(self, certificate: bytes) -> bytes:
        """Have a certificate renewed.

        :param certificate: DER.
        :returns: the new one, DER.
        :raises Refused: if there is nobody to do it, or the signer doesn't want to.
        """
        fresh: bytes = (await self._ask(Renew, certificate=certificate))["certificate"]
        return fresh

    async def _asked(self, request: JoinRequest | RenewRequest, binding: bytes) -> JoinAnswer:
        """Answer a machine, be it a new one or one whose certificate has ended.

        :raises ControlError: if it gets nothing.
        """
        if wait := self._quota.ask(self._clock.seconds()):
            raise Busy.after(wait, f"{router_name(self._cluster)} is asked for too many certificates; try again soon")
        if isinstance(request, RenewRequest):
            return JoinAnswer(certificate=await self.renew(request.renew), links="", proof=b"")
        return await self._enrol(request, binding)

    async def _ask(self, command: type[Command], **arguments: Any) -> dict[str, Any]:
        """Ask the signer.

        :raises Refused: if it isn't there, gives no answer, or doesn't want to.
        """
        if self.signer is None:
            raise Refused(
                f"no signer is linked to {router_name(self._cluster)} now; start it where the authority's key is "
                "(twistd -n --pidfile= p2p-signer --lab DIR), and try again: nothing is lost"
            )
        try:
            return await self.signer.call(command, deadline=self._limits.call_s * SIGNER_SHARE, **arguments)
        except (ControlLost, ControlTimeout) as error:
            raise Refused(f"the signer gave no answer ({printable(str(error))}); try again: nothing is lost") from error
