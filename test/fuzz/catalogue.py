"""All targets: importing this module declares them."""

from __future__ import annotations

from test.fuzz import files, wires
from test.fuzz.target import TARGETS

__all__ = ["MODULES", "TARGETS"]

MODULES = (wires, files)
"""Where they are."""
