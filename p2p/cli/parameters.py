"""Parameters of commands: names of peers, and options that stand for arguments of the console's operations.

The shell completes names by asking the daemon, silently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal, TypeVar, get_args, get_origin

import click
from click.shell_completion import CompletionItem
from pydantic.fields import FieldInfo
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed

from p2p.base.errors import InvalidName, P2PError
from p2p.base.names import parse_cluster, parse_peer
from p2p.base.values import duration_text, parse_duration, parse_rate
from p2p.cli.session import ConsoleSession, run_in_reactor
from p2p.client import Client
from p2p.console.operations import Arguments, PeerStatus

__all__ = [
    "complete_acting",
    "complete_files",
    "complete_offers",
    "complete_peers",
    "complete_shared",
    "complete_targets",
    "complete_transfers",
    "is_pattern",
    "option",
    "peer_argument",
    "target_names",
]

DEADLINE_S = 1.0
"""Seconds that a person who has pressed Tab waits at most, after the start of the command."""

_F = TypeVar("_F", bound=Callable[..., Any])


def option(model: type[Arguments], name: str, *short: str, **changed: Any) -> Callable[[_F], _F]:
    """Give a command the option that stands for an argument of an operation: its name, default, check and help.

    The command gets the value under the argument's name, and can pass it on as it came.

    :param short: another name of the option, such as ``-f``.
    :param changed: what is otherwise on the command line, as :func:`click.option` takes it.
    """
    field = model.model_fields[name]
    flag = "--" + (field.serialization_alias or name).removesuffix("_s").replace("_", "-")
    return click.option(*short, flag, name, **{"help": field.description, **_settings(name, field), **changed})


def _settings(name: str, field: FieldInfo) -> dict[str, Any]:
    """What click must know of an argument."""
    kind = next((one for one in get_args(field.annotation) if isinstance(one, type)), field.annotation)
    least = next((one.ge for one in field.metadata if hasattr(one, "ge")), None)
    most = next((one.le for one in field.metadata if hasattr(one, "le")), None)
    extra = field.json_schema_extra
    unit = extra.get("unit") if isinstance(extra, dict) else None
    if kind is bool:
        return {"is_flag": True}
    shown: dict[str, Any] = {"default": field.default, "show_default": field.default is not None}
    if get_origin(field.annotation) is Literal:
        return {**shown, "type": click.Choice(get_args(field.annotation))}
    if unit == "s":
        return {
            **shown,
            **_written("TIME", partial(parse_duration, most=most)),
            "default": duration_text(field.default),
        }
    if unit == "bytes/s":
        return {**shown, **_written("RATE", partial(parse_rate, least=least))}
    if kind is int:
        return {**shown, "type": click.IntRange(least, most)}
    return {**shown, "metavar": name.upper()}


def _written(metavar: str, read: Callable[[str], float]) -> dict[str, Any]:
    """What click must know of a value that people write with its unit, and ``read`` reads."""

    def value_of(ctx: click.Context, param: click.Parameter, text: str | None) -> float | None:
        try:
            return None if text is None else read(text)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from error

    return {"metavar": metavar, "callback": value_of}


def peer_argument(command: _F) -> _F:
    """Give a command the argument ``PEER``, checked and completed, as its parameter ``peer``."""
    return click.argument("peer", callback=_peer_name, shell_complete=complete_peers)(command)


def _peer_name(ctx: click.Context, param: click.Parameter, value: str) -> str:
    parse_peer(value)
    return value


def is_pattern(target: str) -> bool:
    """Whether a target stands for all peers of a cluster whose names it fits, as ``*.m`` does."""
    return bool(set("*?[") & set(target))


def target_names(ctx: click.Context, param: click.Parameter, value: str) -> list[str]:
    """Split an argument that names several peers by commas, and check the names; for click's ``callback``."""
    targets = [target.strip() for target in value.split(",")]
    for target in targets:
        if is_pattern(target):
            parse_cluster(target.rpartition(".")[2])
        else:
            parse_peer(target)
    return targets


def complete_targets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the last of several names of peers with commas between them."""
    before, comma, last = incomplete.rpartition(",")
    chosen = set(before.split(","))
    return [before + comma + name for name in complete_peers(ctx, param, last) if name not in chosen]


def complete_shared(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of something that the peer named before shares."""
    session, peer = _session(ctx), ctx.params.get("peer")
    folder, slash, _ = incomplete.rpartition("/")
    found: list[str] = []

    async def look(client: Client) -> None:
        listed = await client.list_shared(str(peer), folder, acting=session.acting)
        found.extend(folder + slash + one.name + ("/" if one.kind == "folder" else "") for one in listed.entries)

    if peer is not None and _is_peer(str(peer)) and not incomplete.startswith(("/", "./", "../")):
        _ask(session, look)
    # What could steer the shell or the terminal isn't offered: the shell would have to quote it.
    return sorted(name for name in found if name.startswith(incomplete) and _is_plain(name))


def complete_transfers(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the id of a transfer that isn't at its end."""
    found: list[str] = []

    async def look(client: Client) -> None:
        known = (await client.transfers()).transfers
        found.extend(one.transfer for one in known if one.state in ("running", "waiting", "paused"))

    _ask(_session(ctx), look)
    return [one for one in found if one.startswith(incomplete) and one.isalnum()]


def complete_offers(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the id of an offer."""
    found: list[str] = []

    async def look(client: Client) -> None:
        found.extend(one.offer for one in (await client.offers()).offers)

    _ask(_session(ctx), look)
    return [one for one in found if one.startswith(incomplete) and one.isalnum()]


def complete_peers(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of another peer.

    These are the peers that have a link, those of one's own cluster and, once the text names another cluster, of that.
    """
    session = _session(ctx)
    found: set[str] = set()

    async def look(client: Client) -> None:
        status = await _peer_status(client)
        hosted = [one.name for one in status.peers]
        acting = session.acting or hosted[0]  # whichever asks, the routers tell the same
        found.update(link.peer for one in status.peers if one.name == acting for link in one.links)
        for cluster in _clusters(incomplete, status.cluster):
            found.update(name for name in await client.peers(cluster, acting=acting) if name != acting)

    _ask(session, look)
    return _fitting(found, incomplete)


def complete_acting(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a peer that the daemon hosts."""
    found: list[str] = []

    async def look(client: Client) -> None:
        found.extend(one.name for one in (await _peer_status(client)).peers)

    _ask(_session(ctx), look)
    return _fitting(found, incomplete)


def complete_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Leave it to the shell to complete the name of a file."""
    return [CompletionItem(incomplete, type="file")]


def _session(ctx: click.Context) -> ConsoleSession:
    """The session of a command that is completed: click reads its options then, but doesn't call it."""
    root = ctx.find_root()
    return ConsoleSession(root.params.get("config"), root.params.get("acting"), root.obj or run_in_reactor)


def _ask(session: ConsoleSession, look: Callable[[Client], Any]) -> None:
    """Let ``look`` ask the daemon what it can within the deadline; nobody is told what it couldn't."""

    async def ask(reactor: Any) -> None:
        async with await Client.connect(reactor, daemon.console, deadline=DEADLINE_S) as client:
            await look(client)

    async def within_the_deadline(reactor: Any) -> None:
        await Deferred.fromCoroutine(ask(reactor)).addTimeout(DEADLINE_S, reactor)

    try:
        daemon = session.daemon()
        if not daemon.is_router:
            session.run_in_reactor(within_the_deadline)
    except (P2PError, DeadlinePassed):
        return  # words between a person's keystrokes help nobody: the command itself will say what is wrong


async def _peer_status(client: Client) -> PeerStatus:
    status = await client.status()
    if not isinstance(status, PeerStatus):
        raise InvalidName("a router hosts no peers")
    return status


def _clusters(incomplete: str, own: str) -> list[str]:
    """The clusters in which an incomplete name can be: one's own, and the one behind its dot, if that can be one."""
    text = incomplete.partition(".")[2]
    clusters = [own] if own.startswith(text) else []
    try:
        return list(dict.fromkeys((*clusters, parse_cluster(text))))
    except InvalidName:
        return clusters


def _fitting(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete) and _is_peer(name))


def _is_plain(name: str) -> bool:
    """Whether a file's name consists of characters that no shell takes for anything else."""
    return all(character.isalnum() or character in "._-/+@%=:," for character in name)


def _is_peer(name: str) -> bool:
    """What comes from elsewhere goes into a command line only if it can be nothing but a name."""
    try:
        parse_peer(name)
    except InvalidName:
        return False
    return True
