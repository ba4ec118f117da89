"""All attacks: importing this module declares them."""

from __future__ import annotations

from test.hostile import askers, openers, routers, senders, servers, strangers
from test.hostile.attack import ATTACKS

__all__ = ["ATTACKS", "MODULES"]

MODULES = (strangers, askers, openers, senders, servers, routers)
"""Where they are, in the order in which they are run."""
