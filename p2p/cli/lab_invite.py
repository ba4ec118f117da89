"""``p2p lab invite``: a code with which one new machine gets its certificate by itself."""

from __future__ import annotations

import os
import secrets
import shlex
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from p2p.base.errors import ExchangeFailed, IdentityError, Outcome
from p2p.base.names import parse_peer
from p2p.cli.output import json_option, printable, show_json
from p2p.cli.session import ConsoleSession
from p2p.identity.authority import Authority
from p2p.identity.invitation import SECRET_BYTES, InviteCode, mark_of
from p2p.identity.lab import plan_with
from p2p.identity.lab_files import RouterPlace
from p2p.identity.ledger import Invitation, Ledger
from p2p.identity.pem_files import public_key_of
from p2p.signer.service import SignerService, signer_runs

__all__ = ["invite"]

UNREACHED_S = 5.0
"""Seconds after which it is said that the router isn't reached."""


@click.command()
@click.argument("name")
@click.option(
    "--lab",
    "directory",
    default=".",
    show_default=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The folder of the lab.",
)
@click.option(
    "--hours",
    default=24.0,
    show_default=True,
    type=click.FloatRange(0.01, 24.0 * 30),
    metavar="HOURS",
    help="How long the code is good.",
)
@json_option
@click.pass_obj
def invite(session: ConsoleSession, name: str, directory: Path, hours: float, as_json: bool) -> None:
    """Print the command with which a new machine becomes the peer NAME.

    The code in it is good once. Where no signer runs, this waits until the machine has joined, and gives it its
    certificate itself.

    \b
      p2p lab invite n5.n --lab lab
    """
    cluster = parse_peer(name).cluster
    place = plan_with(directory, cluster).clusters[cluster]
    invitation, line = _made(directory, name, place, hours)
    until = datetime.fromtimestamp(invitation.until, UTC)
    waits = not signer_runs(directory)
    if as_json:
        show_json({"name": name, "command": line, "until": until.isoformat(), "waits": waits})
    else:
        click.echo(line)
    _say(f"Type this on the new machine, in an empty folder; the code is good once, until {until:%Y-%m-%d %H:%M} UTC.")
    if waits:
        quoted = shlex.quote(str(directory))
        _say(
            f"Waiting for {name}; a signer that runs all the time does this as well: "
            f"twistd -n --pidfile= p2p-signer --lab {quoted}"
        )

        async def work(reactor: Any) -> None:
            await _serve(reactor, directory, name, cluster, place, invitation.until)

        session.run_in_reactor(work)
        _say(f"{name} has joined.")


def _made(directory: Path, name: str, place: RouterPlace, hours: float) -> tuple[Invitation, str]:
    """Make an invitation, and the command that uses it.

    :raises IdentityError: if somebody has a certificate of that name.
    """
    authority, now = Authority.load(directory), time.time()
    with Ledger.open(directory) as ledger:
        holder = next((one for one in ledger.issued(name) if one.until > now and not one.revoked), None)
        if holder is not None:
            until = datetime.fromtimestamp(holder.until, UTC)
            raise IdentityError(
                f"{name} has a certificate until {until:%Y-%m-%d}; where that machine is gone, p2p lab revoke {name} "
                "first, else take another name"
            )
        made = ledger.invite(
            name, secrets.token_bytes(SECRET_BYTES), int.from_bytes(os.urandom(8)), now + 3600 * hours, now
        )
    code = InviteCode(mark_of(public_key_of(authority.certificate)), made.locator, made.secret)
    host = f"[{place.host}]" if ":" in place.host else place.host
    return made, f"p2p join {name}@{host}:{place.port} {code}"


async def _serve(reactor: Any, directory: Path, name: str, cluster: str, place: RouterPlace, until: float) -> None:
    """Be the signer until a machine has joined.

    :raises ExchangeFailed: if the invitation ends before.
    """
    joined: Deferred[str] = Deferred()

    def used(who: str) -> None:
        if who == name and not joined.called:
            joined.callback(who)

    service = SignerService(reactor, directory, used=used)
    service.startService()
    joined.addTimeout(max(until - time.time(), 0.0), reactor, onTimeoutCancel=lambda result, seconds: _ended(name))
    try:
        looking = Deferred.fromCoroutine(_look(reactor, service, cluster, place))
        await joined
        looking.cancel()
        await deferLater(reactor, 0.5)  # the answer is on its way: the channel says goodbye behind it
    finally:
        looking.cancel()
        await service.stopService()


async def _look(reactor: Any, service: SignerService, cluster: str, place: RouterPlace) -> None:
    """Say so if the router isn't reached."""
    try:
        await deferLater(reactor, UNREACHED_S)
        if cluster not in service.linked:
            _say(
                f"The router of {cluster} isn't reached at {place.host}:{place.port}; is it running? It is dialled on."
            )
    except Exception:  # noqa: BLE001 - cancelled: the machine has joined
        return


def _ended(name: str) -> None:
    raise ExchangeFailed(Outcome.TIMEOUT, f"{name} hasn't joined while the code was good")


def _say(text: str) -> None:
    click.echo(printable(text), err=True)
