"""The machine of one connection attempt, from the initiator's side; pure.

An attempt binds a fresh socket, asks its router, and waits for the target to connect. It ends in exactly one of two
ways, ``succeed`` or ``fail``, and its listener is closed in both. What it asks of the world is :class:`World`; what
the world tells it are the methods of :class:`Attempt`. Times are the world's business: it says when the ticket died.

When two peers ask for each other at once, the attempt of the one whose name sorts lower goes first
(:func:`goes_first`). The other attempt keeps listening: its target dials it only if its own request comes to nothing,
so that one link stands and nothing is lost.
"""

from __future__ import annotations

from typing import Protocol

from automat import TypeMachineBuilder

from p2p.base.errors import ExchangeFailed, Outcome

__all__ = ["Attempt", "World", "goes_first", "new_attempt", "survivor"]


def goes_first(asking: str, other: str) -> bool:
    """Whether the request of ``asking`` goes first when both ask at once: the name that sorts lower does."""
    return asking < other


def survivor(standing: str, new: str, *, together: bool, standing_relayed: bool = False, relayed: bool = False) -> bool:
    """Whether a new link replaces a standing one of the same pair, given the initiators of both.

    Of a direct link and a relayed one the direct one survives. Of two of a kind: a peer asks only while it has no such
    link, so whoever asks later has lost the standing one: the new one survives, and so it does when both are by the
    same initiator. Of two that were asked for together, which happens when both peers ask at once, the one whose
    initiator's name sorts lower survives.

    :param together: whether the standing link is younger than a ticket lives.
    :param standing_relayed: whether a relay carries the standing link.
    :param relayed: whether a relay carries the new one.
    """
    if standing_relayed != relayed:
        return standing_relayed
    return not together or new <= standing


class World(Protocol):
    """What an attempt asks for."""

    def listen(self) -> None:
        """Bind a fresh socket; answers with ``listening`` or ``failed``."""

    def ask(self, port: int) -> None:
        """Ask the router; answers with ``dialled``, ``yielded``, ``busy`` or ``failed``."""

    def ask_later(self, port: int, seconds: float) -> None:
        """Answer with ``again`` after so many seconds."""

    def close(self) -> None:
        """Close the listener, void the ticket, stop every timer."""

    def succeed(self) -> None:
        """The link stands: hand it to whoever waits."""

    def fail(self, failure: ExchangeFailed) -> None:
        """Tell whoever waits."""


class Attempt(Protocol):
    """What the world tells an attempt."""

    def begin(self) -> None:
        """Start."""

    def listening(self, port: int) -> None:
        """The fresh socket is bound to this port."""

    def dialled(self) -> None:
        """The router answered: the target was found and dials."""

    def yielded(self) -> None:
        """The router answered: the target's own request to us is under way and goes first."""

    def busy(self, seconds: float) -> None:
        """A router or the target is at a limit; it said after how many seconds to try again."""

    def again(self) -> None:
        """That time is over."""

    def failed(self, failure: ExchangeFailed) -> None:
        """Binding or asking ended in an error."""

    def linked(self) -> None:
        """A link to the target stands, by this attempt or by the target's own."""

    def expired(self) -> None:
        """The ticket's life is over."""

    def abandon(self) -> None:
        """Nobody waits for the link any more, or this peer stops."""


class _Core:
    """What the states share."""

    def __init__(self, world: World, target: str) -> None:
        self.world = world
        self.target = target
        self.port = 0

    def end(self, outcome: Outcome, reason: str) -> None:
        self.world.close()
        self.world.fail(ExchangeFailed(outcome, reason))


_builder = TypeMachineBuilder(Attempt, _Core)
_idle = _builder.state("idle")
_binding = _builder.state("binding")
_asking = _builder.state("asking")
_holding = _builder.state("holding")
_expecting = _builder.state("expecting")
_over = _builder.state("over")


@_idle.upon(Attempt.begin).to(_binding)
def _begin(attempt: Attempt, core: _Core) -> None:
    core.world.listen()


@_binding.upon(Attempt.listening).to(_asking)
def _listening(attempt: Attempt, core: _Core, port: int) -> None:
    core.port = port
    core.world.ask(port)


@_asking.upon(Attempt.busy).to(_holding)
def _busy(attempt: Attempt, core: _Core, seconds: float) -> None:
    core.world.ask_later(core.port, seconds)


@_holding.upon(Attempt.again).to(_asking)
def _again(attempt: Attempt, core: _Core) -> None:
    core.world.ask(core.port)


_asking.upon(Attempt.dialled).to(_expecting).returns(None)
_asking.upon(Attempt.yielded).to(_expecting).returns(None)


def _ends(attempt: Attempt, core: _Core) -> None:
    core.world.close()
    core.world.succeed()


def _fails(attempt: Attempt, core: _Core, failure: ExchangeFailed) -> None:
    core.world.close()
    core.world.fail(failure)


def _abandoned(attempt: Attempt, core: _Core) -> None:
    core.end(Outcome.RESET, f"the attempt to reach {core.target} was given up")


def _unanswered(attempt: Attempt, core: _Core) -> None:
    core.end(Outcome.TIMEOUT, f"the routers didn't say in time where {core.target} is; try again")


def _too_busy(attempt: Attempt, core: _Core) -> None:
    core.end(Outcome.TIMEOUT, f"{core.target} or a router was too busy the whole time; try again later")


def _unconnected(attempt: Attempt, core: _Core) -> None:
    core.end(
        Outcome.CONNECT_FAILED,
        f"{core.target} was told to connect here, but no link stood before the ticket died; "
        f"does a firewall stop connections between the two machines?",
    )


for _state in (_binding, _asking, _holding, _expecting):
    _state.upon(Attempt.linked).to(_over)(_ends)
    _state.upon(Attempt.failed).to(_over)(_fails)
    _state.upon(Attempt.abandon).to(_over)(_abandoned)
for _state in (_binding, _asking):
    _state.upon(Attempt.expired).to(_over)(_unanswered)
_holding.upon(Attempt.expired).to(_over)(_too_busy)
_expecting.upon(Attempt.expired).to(_over)(_unconnected)
# What comes after the end is late, not wrong.
for _late in (
    Attempt.listening,
    Attempt.dialled,
    Attempt.yielded,
    Attempt.busy,
    Attempt.again,
    Attempt.failed,
    Attempt.linked,
    Attempt.expired,
    Attempt.abandon,
):
    _over.upon(_late).loop().returns(None)

_machine = _builder.build()


def new_attempt(world: World, target: str) -> Attempt:
    """Make the machine of one attempt to reach a target."""
    return _machine(_Core(world, target))
