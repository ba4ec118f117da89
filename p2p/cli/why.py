"""``p2p why``: the legs to a peer, how each of them is, and what to do where one fails."""

from __future__ import annotations

import sys
from typing import Any

import click

from p2p.base.errors import ConsoleUnreachable, DialFailure, ExchangeFailed, Outcome
from p2p.base.names import parse_peer
from p2p.cli.output import ExitCode, duration, exit_code_of, json_option, printable, show_json
from p2p.cli.parameters import option, peer_argument
from p2p.cli.session import ConsoleSession
from p2p.client import Client
from p2p.console.operations import Diagnosis, FoundLink, Leg, LegName, LegState, WhyArguments, legs_between

__all__ = ["why"]

_TITLES: dict[str, str] = {
    LegName.DAEMON: "own daemon",
    LegName.ROUTER: "own router",
    LegName.LISTEN: "fresh socket",
    LegName.TABLE: "its table",
    LegName.NEIGHBOUR: "neighbour router",
    LegName.NEIGHBOUR_TABLE: "its table",
    LegName.INSTRUCT: "instruct",
    LegName.DIAL: "dial",
    LegName.TLS: "TLS",
    LegName.TICKET: "ticket",
    LegName.PING: "ping",
    LegName.EXCHANGE: "first exchange",
}

_BECAME: dict[str, str] = {
    "link": "this is the link",
    DialFailure.REFUSED: "refused",
    DialFailure.SILENT: "nothing answers",
    DialFailure.UNREACHABLE: "there is no way there",
    DialFailure.FORBIDDEN: "its own machine forbids it",
    DialFailure.NO_LINK: "what answers isn't the peer",
    DialFailure.OTHER: "in vain",
    "unknown": "nothing is known of it",
}

_STATES: dict[str, str] = {LegState.NOT_NEEDED: "not needed", LegState.NOT_REACHED: "not reached"}

_COLOURS: dict[str, str] = {LegState.OK: "green", LegState.FAILED: "red"}

_TITLE_WIDTH = max(map(len, _TITLES.values()))
_TIME_WIDTH = len("59 min 59 s")
_OUTCOME_WIDTH = max(map(len, Outcome))


@click.command(short_help="Find out which leg of the way to a peer fails, and why.")
@peer_argument
@option(WhyArguments, "fresh")
@json_option
@click.pass_obj
def why(session: ConsoleSession, /, peer: str, as_json: bool, **options: Any) -> None:
    """Walk the legs to PEER, and say which of them fails, why, and what to do.

    The legs are one's own daemon, its router, the tables of the routers, the instruction to PEER, its TCP connection,
    TLS, the ticket and a first exchange. Each is told with its time. If a link stands already, it is pinged and used
    for an exchange, and the other legs aren't needed. The exit code is that of the leg that failed, 0 if all are good.

    \b
      p2p why m4.m
      p2p why --fresh m4.m
      p2p why m4.m --json
    """
    daemon = session.daemon()
    near = parse_peer(peer).cluster == daemon.cluster
    table = _Silent() if as_json else _Table(near, on_terminal=sys.stdout.isatty())

    arguments = WhyArguments.read({**options, "acting": session.acting, "peer": peer})

    async def walk(client: Client, reactor: Any) -> Diagnosis:
        return await client.why(arguments, on_leg=table.show)

    try:
        found = session.run(walk)
    except ConsoleUnreachable as error:
        found = _no_daemon(near, session.acting, peer, str(error), daemon.start)
        for leg in found.legs:
            table.show(leg)
    finally:
        table.end()
    code = ExitCode.NO_DAEMON if found.outcome is None else exit_code_of(ExchangeFailed(Outcome(found.outcome), ""))
    if as_json:
        show_json({**found.model_dump(mode="json"), "exit_code": code})
    else:
        click.echo("\n" + _verdict(found))
    sys.exit(code)


class _Silent:
    """Shows nothing: JSON comes when everything is known."""

    def show(self, leg: Leg) -> None:
        """Leave it to the answer."""

    def end(self) -> None:
        """Nothing is shown."""


class _Table(_Silent):
    """Prints the legs as they end and, on a terminal, which one is walked now."""

    def __init__(self, near: bool, *, on_terminal: bool) -> None:
        self._near = near
        self._on_terminal = on_terminal
        self._standing = False
        self._waiting = False
        self._begun = False

    def show(self, leg: Leg) -> None:
        """Print a leg."""
        self.end()
        if not self._begun:
            self._begun = True
            click.echo(click.style(_row("LEG", "TIME", "OUTCOME", "DETAIL"), bold=True))
        self._standing = self._standing or leg.state == LegState.NOT_NEEDED
        failed = leg.state == LegState.FAILED
        outcome = leg.outcome or "failed" if failed else _STATES.get(leg.state, leg.state)
        took = "" if leg.took_ns is None else duration(leg.took_ns / 1e9)
        # The cause of a failure is too long for a cell; it stands below the table.
        row = _row(_TITLES.get(leg.leg, leg.leg), took, outcome, "" if failed else leg.detail)
        click.echo(click.style(row, fg=_COLOURS.get(leg.state), dim=leg.state in _STATES or None))
        legs: list[str] = list(legs_between(near=self._near, standing=self._standing))
        if self._on_terminal and leg.state in (LegState.OK, LegState.NOT_NEEDED) and leg.leg in legs[:-1]:
            click.echo(f"{_TITLES[legs[legs.index(leg.leg) + 1]]} ...", nl=False)
            self._waiting = True

    def end(self) -> None:
        """Take away what says which leg is walked."""
        if self._waiting:
            click.echo("\r\x1b[K", nl=False)
            self._waiting = False


def _row(title: str, took: str, outcome: str, detail: str) -> str:
    cells = (title.ljust(_TITLE_WIDTH), took.ljust(_TIME_WIDTH), outcome.ljust(_OUTCOME_WIDTH), printable(detail))
    return "   ".join(cells).rstrip()


def _no_daemon(near: bool, acting: str | None, peer: str, reason: str, start: str) -> Diagnosis:
    """What can be said without a daemon."""
    cause, _, remedy = reason.partition("; ")
    if start not in remedy:
        remedy += f"; if it hangs, kill it and start it again: {start}"
    first, *others = legs_between(near=near)
    legs = [
        Leg(leg=first, state=LegState.FAILED, detail=cause, remedy=remedy),
        *(Leg(leg=name, state=LegState.NOT_REACHED) for name in others),
    ]
    return Diagnosis(peer=peer, acting=acting or "", standing=False, outcome=None, failed=first, legs=legs)


def _verdict(found: Diagnosis) -> str:
    lines: list[tuple[str, str]] = []
    if found.link is not None:
        lines.append(("link", _link(found.link)))
        lines.append(("direct", found.link.note))
    for number, one in enumerate(found.candidates):
        what = _BECAME.get(one.what, one.what)
        lines.append(("" if number else "tried", f"{one.by} dials {one.address}, port {one.port}: {what}"))
    if found.position:
        lines.append(("here", found.position))
    if found.standing and found.outcome == Outcome.OK:
        lines.append(("legs", f"the others weren't needed now; to walk all of them: p2p why --fresh {found.peer}"))
    failed = next((leg for leg in found.legs if leg.state == LegState.FAILED), None)
    if failed is None:
        took = "" if found.took_ns is None else f", in {duration(found.took_ns / 1e9)}"
        lines.append(("verdict", f"{found.acting} reaches {found.peer}{took}"))
    else:
        lines.append(("failed", f"{_TITLES.get(failed.leg, failed.leg)}, {failed.outcome or 'no daemon'}"))
        lines.append(("cause", failed.detail))
        lines.append(("next", failed.remedy))
    lines += [("note", warning) for warning in found.warnings]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{click.style(name.ljust(width), bold=True)}  {printable(text)}" for name, text in lines)


def _link(link: FoundLink) -> str:
    security = "TLS 1.3" if link.security == "tls" else f"{link.security}: closed labs only"
    relay = f", relayed by {link.relayed_by}" if link.relayed_by else ""
    way = f"{link.local} - {link.remote}{relay}, {security}"
    return f"{way}, asked for by {link.initiator}, stands for {duration(link.age_s)}"
