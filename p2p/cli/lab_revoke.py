"""``p2p lab revoke`` and ``p2p lab list``: lock a lost machine out, and see who has certificates."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from twisted.internet.task import deferLater

from p2p.base.errors import ExchangeFailed, IdentityError, Outcome
from p2p.cli.output import columns, json_option, printable, show_json
from p2p.cli.session import ConsoleSession
from p2p.identity.authority import Authority
from p2p.identity.lab import load_plan
from p2p.identity.ledger import IssuedKey, Ledger
from p2p.identity.revocations import hash_of
from p2p.signer.service import SignerService, signer_runs

__all__ = ["list_names", "revoke"]

TELLING_S = 10.0
"""Seconds that the routers have to be told, where no signer runs that does so all the time."""

lab_option = click.option(
    "--lab",
    "directory",
    default=".",
    show_default=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The folder of the lab.",
)


@click.command()
@click.argument("name")
@lab_option
@json_option
@click.pass_obj
def revoke(session: ConsoleSession, name: str, directory: Path, as_json: bool) -> None:
    """Lock out whoever has a key of NAME.

    All routers that run are told at once, and tell everybody who is connected: the machine with that key loses its
    registration and its links, and nobody links to it again. The name can be given to another machine: p2p lab invite.

    \b
      p2p lab revoke n5.n --lab lab
    """
    load_plan(directory)
    authority, now = Authority.load(directory), time.time()
    with Ledger.open(directory) as ledger:
        keys = [one for one in ledger.issued(name) if one.until > now and not one.revoked]
        if not keys:
            raise IdentityError(_nobody(name, ledger.issued(name), now))
        for one in keys:
            ledger.revoke(one.key, authority.sign, now)
    behind: list[str] = []
    if not signer_runs(directory):
        behind = session.run_in_reactor(lambda reactor: _tell(reactor, directory))
    if as_json:
        show_json({"name": name, "keys": [hash_of(one.key).hex() for one in keys], "not_told": behind})
        return
    count = f"{len(keys)} keys of {name} are" if len(keys) > 1 else f"The key of {name} is"
    click.echo(printable(f"{count} revoked."))
    if behind:
        raise ExchangeFailed(
            Outcome.CLUSTER_UNREACHABLE,
            f"the routers of {', '.join(behind)} couldn't be told; they learn it from their neighbours, or from the "
            f"signer as soon as it reaches them: twistd -n --pidfile= p2p-signer --lab {directory}",
        )


@click.command(name="list")
@lab_option
@json_option
def list_names(directory: Path, as_json: bool) -> None:
    """List who has certificates of the lab, until when, and whose keys are revoked.

    \b
      p2p lab list --lab lab
    """
    load_plan(directory)
    with Ledger.open(directory) as ledger:
        keys = ledger.issued()
    now = time.time()
    if as_json:
        show_json({"keys": [{**_fields(one), "state": _state(one, now)} for one in keys]})
        return
    rows = [
        (one.name, f"{datetime.fromtimestamp(one.until, UTC):%Y-%m-%d}", _state(one, now), hash_of(one.key).hex()[:16])
        for one in keys
    ]
    click.echo(columns(("NAME", "UNTIL", "STATE", "KEY"), rows))


async def _tell(reactor: Any, directory: Path) -> list[str]:
    """Be the signer until all routers know; returns the clusters of those that don't in the end."""
    service = SignerService(reactor, directory)
    service.startService()
    try:
        end = reactor.seconds() + TELLING_S
        while service.behind() and reactor.seconds() < end:
            await deferLater(reactor, 0.05)
        return service.behind()
    finally:
        await service.stopService()


def _nobody(name: str, keys: Sequence[IssuedKey], now: float) -> str:
    if not keys:
        return f"nobody has a certificate for {name}; p2p lab list shows who has one"
    if keys[0].revoked:
        return f"the key of {name} is revoked already"
    return f"the certificate of {name} ended on {datetime.fromtimestamp(keys[0].until, UTC):%Y-%m-%d}"


def _state(one: IssuedKey, now: float) -> str:
    return "revoked" if one.revoked else "ended" if one.until < now else "valid"


def _fields(one: IssuedKey) -> dict[str, str]:
    until = datetime.fromtimestamp(one.until, UTC)
    return {"name": one.name, "key": hash_of(one.key).hex(), "until": until.isoformat()}
