"""``twistd p2p-signer``: its command line, and making its service."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NoReturn

from twisted.application.service import IService
from twisted.python import usage

from p2p.base.errors import P2PError
from p2p.signer.service import SignerService
from p2p.wire.monotonic import run_on_monotonic_clock

__all__ = ["Options", "makeService"]


class Options(usage.Options):
    """What ``twistd p2p-signer`` takes."""

    synopsis = "[--lab DIR]"
    longdesc = (
        "The signer of a lab: it runs where the authority's key is, dials the lab's routers, and gives certificates to "
        "machines that join with the code of an invitation (p2p lab invite). It listens on no port. "
        "Exit codes: 2 if the folder holds no lab, or no key, or another signer works with it."
    )
    optParameters = [["lab", "l", ".", "The folder of the lab, made by 'p2p lab init', with ca.key."]]


def makeService(options: Options, *, reactor: Any = None) -> IService:
    """Make the service of the signer; nothing is dialled.

    :param reactor: twistd's if left out; it runs on the monotonic clock from here on.
    """
    if reactor is None:
        from twisted.internet import reactor
    run_on_monotonic_clock(reactor)
    try:
        return SignerService(reactor, Path(options["lab"]))
    except P2PError as error:
        _stop(str(error))


def _stop(reason: str) -> NoReturn:
    sys.stderr.write(f"p2p-signer: {reason}\n")
    raise SystemExit(2)
