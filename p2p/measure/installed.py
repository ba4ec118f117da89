"""Files that come with p2p beside its code: in a checkout, or where an installed wheel puts them."""

from __future__ import annotations

import sysconfig
from pathlib import Path

__all__ = ["installed_folders"]


def installed_folders(name: str) -> list[Path]:
    """Where a folder that comes with p2p may be: beside the package (a checkout), then below ``share/p2p``."""
    installed = (sysconfig.get_path("data"), sysconfig.get_path("data", sysconfig.get_preferred_scheme("user")))
    return [Path(__file__).resolve().parents[2] / name, *(Path(base) / "share/p2p" / name for base in installed)]
