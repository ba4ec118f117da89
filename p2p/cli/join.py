"""``p2p join``: get a certificate for this machine with the code of an invitation."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from p2p.base.errors import ExchangeFailed, IdentityError, Outcome, P2PError
from p2p.base.names import parse_peer, router_name
from p2p.cli.output import json_option, printable, show_json
from p2p.cli.session import ConsoleSession
from p2p.cli.units import enable_for_all, enable_for_user
from p2p.control.channel import ControlLost, ControlTimeout, reason_of
from p2p.control.joining import Enrolment, Joined, JoinRefused
from p2p.identity.invitation import BadCode, InviteCode, parse_code
from p2p.identity.joined import JoiningFiles
from p2p.identity.lab_files import FIRST_PORT, RouterPlace
from p2p.identity.tls import Newcomer

__all__ = ["join"]

ANSWER_S = 30.0
"""Seconds for the router's answer, from the TCP connection on."""

CONNECT_S = 10.0

_WHERE = re.compile(r"(?P<name>[^@]+)@(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?\Z")


class _Place(click.ParamType[tuple[str, RouterPlace]]):
    """``NAME@ROUTER:PORT``, as a peer's name and where its cluster's router is."""

    name = "name@router:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, RouterPlace]:
        found = _WHERE.match(value)
        if found is None:
            self.fail(f"{value!r} isn't NAME@ROUTER:PORT, for example n5.n@192.0.2.1:5555", param, ctx)
        try:
            name = str(parse_peer(found["name"]))
            host, port = found["six"] or found["host"], int(found["port"] or FIRST_PORT)
            return name, RouterPlace(host=host, port=port)
        except ValidationError as error:
            problem = error.errors()[0]
            self.fail(f"{value!r}: {problem.get('ctx', {}).get('error') or problem['msg']}", param, ctx)
        except P2PError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.argument("place", metavar="NAME@ROUTER:PORT", type=_Place())
@click.argument("code", metavar="CODE")
@click.option(
    "--dir",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The folder for the files of this machine. Without it: the current folder, /etc/p2p with --systemd, "
    "~/.config/p2p with --user.",
)
@click.option("--systemd", is_flag=True, help="Start the daemon as the unit of etc/systemd, now and always (as root).")
@click.option("--user", is_flag=True, help="Start the daemon as a unit of your own systemd, now and at each log-in.")
@json_option
@click.pass_obj
def join(
    session: ConsoleSession,
    place: tuple[str, RouterPlace],
    code: str,
    folder: Path | None,
    systemd: bool,
    user: bool,
    as_json: bool,
) -> None:
    """Make this machine the peer NAME of a lab.

    "p2p lab invite NAME", where the lab was made, prints the whole command. The key is made here and stays here; the
    router, which the code knows, gets the certificate from the lab's signer.

    \b
      p2p join n5.n@192.0.2.1:5555 CODE
    """
    name, router = place
    if systemd and user:
        raise click.UsageError("--systemd and --user exclude each other")
    try:
        parsed = parse_code(code)
    except BadCode as error:
        raise click.BadParameter(str(error)) from error
    usual = Path("/etc/p2p") if systemd else Path.home() / ".config" / "p2p" if user else Path()
    files = JoiningFiles(folder or usual, name, router, systemd=systemd)
    key = files.key()

    async def work(reactor: Any) -> Joined:
        return await _enrolled(reactor, name, router, parsed, key)

    got = session.run_in_reactor(work)
    files.finish(got.authority, got.certificate, got.links)
    if systemd:
        start = enable_for_all(name, files.key_file)
    elif user:
        start = enable_for_user(name, files.folder, Path.home())
    else:
        start = f"twistd --nodaemon --pidfile= p2p-peer --config {shlex.quote(str(files.config))}"
    until = got.certificate.not_valid_after_utc
    if as_json:
        show_json({"name": name, "config": str(files.config), "valid_until": until.isoformat(), "start": start})
    else:
        lines = [
            f"This machine is {name} now, with a certificate until {until:%Y-%m-%d}; its files are in {files.folder}.",
            "Its daemon runs, by this:" if systemd or user else "Start its daemon:",
            "",
            f"  {start}",
        ]
        click.echo(printable("\n".join(lines), lines=True))


async def _enrolled(reactor: Any, name: str, router: RouterPlace, code: InviteCode, key: bytes) -> Joined:
    """Ask the router for a certificate.

    :raises ExchangeFailed: if it can't be reached, doesn't answer, or doesn't want to.
    :raises IdentityError: if it isn't the router of the code.
    """
    where = f"{router.host}:{router.port}"
    asking = Enrolment(reactor, ANSWER_S, router_name(parse_peer(name).cluster), name, code, key)
    factory = Factory.forProtocol(lambda: asking)
    factory.noisy = False
    connecting: Deferred[Any] = clientFromString(reactor, router.endpoint).connect(Newcomer().wrap(factory, reactor))
    connecting.addTimeout(CONNECT_S, reactor)
    try:
        await connecting
    except Exception as error:
        why = reason_of(Failure(error))
        raise ExchangeFailed(
            Outcome.CLUSTER_UNREACHABLE, f"no router can be reached at {where}: {why}; is it running there?"
        ) from error
    try:
        return await asking.joined
    except ControlTimeout as error:
        raise ExchangeFailed(Outcome.TIMEOUT, f"the router at {where} didn't answer: {error}") from error
    except ControlLost as error:
        text = f"the router at {where} gave no certificate: {error}; nothing is lost, try again"
        raise ExchangeFailed(Outcome.RESET, text) from error
    except JoinRefused as error:
        raise ExchangeFailed(Outcome.REFUSED, f"{name} can't join at {where}: {error}") from error
    except P2PError as error:
        raise IdentityError(f"the router at {where} broke the protocol: {error}") from error
