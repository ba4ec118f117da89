"""What is to be sent, and where what is got goes to: the paths that a client named, looked at before anybody is asked.

All functions here block; they run in threads.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from p2p.base.errors import LocalFileError
from p2p.exchange.paths import shown
from p2p.transfer.walking import SourceRoot, entry_names

__all__ = ["checked_folder", "checked_sources", "source_name", "sources_of"]


def checked_sources(paths: Sequence[str], name: str | None) -> list[SourceRoot]:
    """The sources at paths; a link that was named itself stands for what it leads to, and keeps its name.

    :raises LocalFileError: if one isn't there, can't be read, is no file and no folder, or has no proper name.
    """
    for path in paths:
        _check(path)
    sources = sources_of(paths, name)
    entry_names(sources)
    return sources


def sources_of(paths: Sequence[str], name: str | None) -> list[SourceRoot]:
    """The same without looking whether they are there: what isn't is left out by name when its turn comes."""
    return [SourceRoot(Path(os.path.realpath(path)), name if name is not None else source_name(path)) for path in paths]


def checked_folder(path: str) -> Path:
    """The folder at a path.

    :raises LocalFileError: if it isn't one that this daemon can write to.
    """
    folder = _absolute(path)
    try:
        os.close(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except OSError as error:
        raise LocalFileError(f"{shown(path)}: {error.strerror}; name a folder that is there") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise LocalFileError(f"{shown(path)}: the daemon may not write to this folder; see to its owner and mode")
    return folder


def _check(path: str) -> None:
    try:
        named = Path(os.path.realpath(_absolute(path), strict=True))
        kind = stat.S_IFMT(named.stat().st_mode)
        if kind == stat.S_IFDIR:
            os.close(os.open(named, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        elif kind == stat.S_IFREG:
            os.close(os.open(named, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        else:
            raise LocalFileError(f"{shown(path)}: this is neither a file nor a folder; pipe what it gives to p2p send")
    except OSError as error:
        raise LocalFileError(f"{shown(path)}: {error.strerror}; name something that the daemon can read") from error


def _absolute(path: str) -> Path:
    if "\0" in path or not Path(path).is_absolute():
        raise LocalFileError(f"{shown(path)} isn't an absolute path; the daemon has another working folder than you")
    return Path(path)


def source_name(path: str) -> str:
    """What a source is called; for that, ``..`` has to be followed."""
    name = Path(path).name
    return Path(os.path.realpath(path)).name if name in ("", "..") else name
