"""``twistd p2p-router``: its command line, and making its service."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

from twisted.application.service import IService
from twisted.python import usage

from p2p.config import RouterConfig, load_router
from p2p.errors import ConfigError, IdentityError
from p2p.identity.tls import Credentials

__all__ = ["Options", "makeService"]

_EXIT_CONFIG = 2


class Options(usage.Options):
    """What ``twistd p2p-router`` takes.

    :ivar config: the configuration, once the options are parsed.
    :ivar credentials: the certificate and key that it names.
    """

    synopsis = "twistd [twistd options] p2p-router --config FILE [--check]"
    longdesc = """
    The S-Router of one cluster. Peers of the cluster register here; who wants a direct link to a peer of this or
    another cluster asks here, and the link then goes from peer to peer, without the router.

    The configuration is a YAML file; etc/ has a commented example, and "p2p lab init DIR" makes a whole lab, with
    certificates. Then: twistd -n p2p-router --config DIR/router-n.yaml. Without -n, twistd goes to the background.
    Exit codes: 1 the port or the console can't be had, 2 the configuration can't be used.
    """
    optParameters = [["config", "c", None, "The YAML file of this router. Relative paths in it start at its folder."]]
    optFlags = [["check", None, "Check the configuration and the files that it names, say so, and start nothing."]]

    config: RouterConfig
    credentials: Credentials

    def postOptions(self) -> None:
        """Load what the configuration names, so that nothing is started with a bad one."""
        if self["config"] is None:
            raise usage.UsageError("--config FILE is missing; p2p lab init DIR makes one to start with")
        from p2p.router.service import load_credentials

        path = Path(self["config"])
        try:
            self.config = load_router(path)
            self.credentials = load_credentials(self.config)
        except ConfigError as error:
            _stop(str(error))
        except IdentityError as error:
            _stop(f"{path}: {error}")
        if self["check"]:
            sys.stdout.write(f"{path}: ok\n")
            raise SystemExit(0)


def makeService(options: Options) -> IService:
    """Make the service of a router; nothing is started."""
    from random import random

    from twisted.internet import reactor

    from p2p.router.service import RouterService

    return RouterService(reactor, options.config, options.credentials, random=random)


def _stop(reason: str) -> NoReturn:
    sys.stderr.write(f"{reason}\n")
    raise SystemExit(_EXIT_CONFIG)
