"""``p2p status``: what a daemon is doing."""

from __future__ import annotations

import click
from click.exceptions import Exit

from p2p.base.names import router_name
from p2p.cli.output import ExitCode, columns, duration, json_option, printable, show_json, size
from p2p.cli.session import ConsoleSession
from p2p.console.operations import PeerStatus, RouterStatus
from p2p.identity.expiry import EXPIRES_SOON_DAYS

__all__ = ["status"]


@click.command()
@click.option(
    "--check",
    is_flag=True,
    help="For monitoring: print only what is wrong, and exit with 4 if the router, or a neighbour, isn't connected, "
    "with 2 if a certificate ends within 7 days.",
)
@json_option
@click.pass_obj
def status(session: ConsoleSession, check: bool, as_json: bool) -> None:
    """Show what the daemon is doing.

    For a peer daemon these are its router, its peers and their links; for a router, its neighbours and what it did.

    \b
      p2p status
      p2p status --check
      p2p --config lab/router-n.yaml status
    """
    answer = session.run(lambda client, reactor: client.status(), router=True)
    code, wrong = _checked(answer)
    if as_json:
        show_json(answer.model_dump(mode="json"))
    elif check:
        click.echo(printable("\n".join(wrong) or "ok", lines=True))
    else:
        click.echo(_of_router(answer) if isinstance(answer, RouterStatus) else _of_peers(answer))
    if check and code is not ExitCode.OK:
        raise Exit(code)


def _checked(answer: PeerStatus | RouterStatus) -> tuple[ExitCode, list[str]]:
    """What is wrong with a daemon, the worst first, and the exit code for that."""
    if isinstance(answer, RouterStatus):
        away = [
            f"router.{name} isn't connected: {answer.neighbour_problems.get(name, 'it is being dialled')}"
            for name, up in sorted(answer.neighbours.items())
            if not up
        ]
        left = {router_name(answer.cluster): answer.certificate_days}
    else:
        away = [
            f"{one.name} isn't registered: {one.problem or 'it is being dialled'}"
            for one in answer.peers
            if not one.registered
        ]
        left = {one.name: one.certificate_days for one in answer.peers}
    ending = [
        f"the certificate of {name} {f'ends in {days:.1f} days' if days > 0 else 'has ended'}"
        for name, days in left.items()
        if days is not None and days < EXPIRES_SOON_DAYS
    ]
    code = ExitCode.UNREACHABLE if away else ExitCode.USAGE if ending else ExitCode.OK
    return code, [*away, *ending]


def _of_peers(answer: PeerStatus) -> str:
    router = "connected" if answer.router.connected else "not connected"
    counts = answer.open
    held = [
        f"links {counts.links}",
        f"listeners {counts.listeners}",
        f"attempts {counts.attempts}",
        f"control channels {counts.control}",
        f"consoles {counts.console}",
    ]
    facts = [
        ("daemon", f"p2p {answer.version}, process {answer.pid}, cluster {answer.cluster}"),
        ("router", f"{answer.router.endpoint}, {router}"),
        ("links", "TLS" if answer.security == "tls" else f"{answer.security}: closed labs only"),
        ("open", ", ".join(held)),
    ]
    told = any(one.certificate_days is not None for one in answer.peers)  # an older daemon doesn't say
    peers = columns(
        ("PEER", "REGISTERED", "LINKS", "SEEN AT", *(["CERTIFICATE"] if told else [])),
        [
            (
                one.name,
                "yes" if one.registered else "no",
                str(len(one.links)),
                one.observed or "-",
                *([_days(one.certificate_days)] if told else []),
            )
            for one in answer.peers
        ],
    )
    notes = [f"{one.name} isn't registered: {one.problem}" for one in answer.peers if one.problem]
    notes += [
        f"{one.name} waits for {asked.peer}, which was told to dial {' and '.join(asked.dials)}, port {asked.port}"
        for one in answer.peers
        for asked in one.attempts
        if asked.dials
    ]
    links = [
        (
            f"{one.name} - {link.peer}",
            f"relayed by {link.relayed_by}" if link.relayed_by else f"{link.direct.local} - {link.direct.remote}",
            link.security,
            str(link.streams),
            size(link.sent_bytes),
            size(link.received_bytes),
            duration(link.age_s),
        )
        for one in answer.peers
        for link in one.links
    ]
    heads = ("LINK", "DIRECT", "SECURITY", "STREAMS", "SENT", "RECEIVED", "AGE")
    parts = [_facts(facts), peers, *([columns(heads, links)] if links else [])]
    return "\n\n".join([*parts, *_notes([*notes, *answer.warnings])])


def _of_router(answer: RouterStatus) -> str:
    times = answer.table_lookup_ns
    took = f", in the table mean {duration(times.mean / 1e9)}, longest {duration(times.max / 1e9)}"
    through = answer.socket_bytes
    facts = [
        ("daemon", f"p2p {answer.version}, process {answer.pid}, router of cluster {answer.cluster}"),
        ("listens", answer.listening),
        ("peers", str(answer.peers)),
        ("sockets", f"{answer.connections} connections"),
        ("bytes", f"{size(through.received)} received, {size(through.sent)} sent"),
        ("look-ups", f"{answer.lookups}{took if times.count else ''}"),
        *([("valid", _days(answer.certificate_days))] if answer.certificate_days is not None else []),
    ]
    neighbours = [(name, "connected" if up else "not connected") for name, up in sorted(answer.neighbours.items())]
    table = [columns(("NEIGHBOUR", "CONTROL CHANNEL"), neighbours)] if neighbours else []
    problems = [f"router.{name}: {why}" for name, why in sorted(answer.neighbour_problems.items())]
    return "\n\n".join([_facts(facts), *table, *_notes([*problems, *answer.warnings])])


def _days(left: float | None) -> str:
    if left is None:
        return "-"
    return f"{left:.0f} days" if left > 0 else "ended"


def _notes(notes: list[str]) -> list[str]:
    """Sentences about what is wrong, or will be, as one paragraph; none if there is nothing to say."""
    return ["\n".join(f"{click.style('note', bold=True)}  {printable(one)}" for one in notes)] if notes else []


def _facts(facts: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in facts)
    return "\n".join(f"{click.style(name.ljust(width), bold=True)}  {printable(fact)}" for name, fact in facts)
