"""Where a daemon keeps what must outlive it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from twisted.logger import Logger

from p2p.base.config import PeerConfig

__all__ = ["JOURNAL", "find_state"]

JOURNAL: Final = "journal.sqlite"
"""The name of the journal of transfers in it."""

_log = Logger()


def find_state(config: PeerConfig) -> Path:
    """The folder that the configuration names; without one, that beside the inbox of one of its peers.

    It is the one that has a journal already, so that nothing is lost when the peers change places in the file; else
    the one beside the first inbox. Blocks for a moment.
    """
    if config.state is not None:
        return config.state
    beside = [entry.inbox.with_name(f"{entry.inbox.name}.state") for entry in config.peers]
    known = [folder for folder in beside if _is_file(folder / JOURNAL)]
    if len(known) > 1:
        _log.warn(
            "there are several journals of transfers, and {folder} is used, not {others}; say which one it shall be "
            "with 'state: FOLDER'",
            folder=str(known[0]),
            others=", ".join(map(str, known[1:])),
        )
    return known[0] if known else config.state_folder


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # it can't be looked into; whoever opens it is told why
        return False
