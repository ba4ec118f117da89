"""How far an attempt to reach a peer came, for those who measure it and those who ask why there is no link."""

from __future__ import annotations

from dataclasses import dataclass, field

from twisted.internet.defer import Deferred, succeed

from p2p.base.errors import DialFailure, ExchangeFailed, P2PError
from p2p.base.waiters import Waiters
from p2p.link.hello import Steps

__all__ = ["AttemptFailed", "Moments", "Setup"]


@dataclass(slots=True)
class Moments:
    """The record of an attempt; times are ns on the monotonic clock, 0 for what hasn't happened.

    :ivar bound_ns: the fresh socket listened, on ``port``.
    :ivar asked_ns: the router was asked for the first time.
    :ivar asked: how often it was asked by now; more than once only where somebody was busy.
    :ivar answered_ns: the answer came.
    :ivar address: where the target's router sees the target, as the answer says.
    :ivar dials: the addresses that the target was told to dial, as far as the routers say it.
    :ivar failures: the addresses that it has dialled in vain, and the kind of each failure, as it reports.
    :ivar reachable: the addresses at which this peer dials the target, and ``target_port`` the port there.
    :ivar own_failures: the addresses that this peer has dialled in vain, and the kind of each failure.
    :ivar mapped: the port at which this peer's router sees the fresh one; 0 while that wasn't asked.
    :ivar target_mapped: the port at which the target's router sees the target's, at the address ``mapped_at``; 0 while
        that isn't known.
    :ivar relays: the relays at which both ends meet if neither can dial the other.
    :ivar relay_failure: why no link came to stand by way of these.
    :ivar dialling: whether the target dials; if not, its own request to this peer goes first.
    :ivar error: what the last question brought instead of an answer.
    :ivar callers: the connections that came to the fresh socket, the latest last.
    """

    began_ns: int
    port: int = 0
    bound_ns: int = 0
    asked_ns: int = 0
    asked: int = 0
    answered_ns: int = 0
    address: str = ""
    dials: list[str] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    reachable: list[str] = field(default_factory=list)
    target_port: int = 0
    own_failures: list[tuple[str, DialFailure]] = field(default_factory=list)
    mapped: int = 0
    target_mapped: int = 0
    mapped_at: str = ""
    relays: tuple[str, ...] = ()
    relay_failure: str = ""
    dialling: bool = True
    error: P2PError | None = None
    callers: list[Steps] = field(default_factory=list)


@dataclass(slots=True)
class Setup:
    """How long a link took to stand, and what of it was looking the peer up; ns, 0 where nothing was done.

    :ivar setup_ns: from the request to the proved link.
    :ivar table_lookup_ns: in the routing table of the target's router.
    :ivar router_lookup_ns: from router to router and back.
    :ivar reused: the link was there already.
    :ivar moments: the steps of the attempt; None if there was none, since the link was there or the other side made it.

    The link may well stand before the router's answer is here, which holds the look-up times: :meth:`when_answered`.
    """

    setup_ns: int = 0
    table_lookup_ns: int = 0
    router_lookup_ns: int = 0
    reused: bool = False
    moments: Moments | None = None
    _answer: Waiters[None] | None = field(default=None, compare=False)

    def expect_answer(self) -> None:
        """The router will be asked."""
        self._answer = Waiters()

    def answered(self) -> None:
        """The router has answered, or won't be asked any more."""
        if self._answer is not None:
            self._answer.settle(None)

    def when_answered(self) -> Deferred[None]:
        """Fire when the look-up times are known, or never will be."""
        return succeed(None) if self._answer is None else self._answer.wait()


class AttemptFailed(ExchangeFailed):
    """An attempt came to nothing.

    :ivar setup: how far it came.
    """

    def __init__(self, failure: ExchangeFailed, setup: Setup) -> None:
        super().__init__(failure.outcome, str(failure), failure.fields)
        self.setup = setup
