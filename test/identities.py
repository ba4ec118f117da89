"""Identities of test labs, each made once a process."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from p2p.base.config import TLSFiles
from p2p.identity.authority import Authority
from p2p.identity.tls import Credentials

__all__ = ["credentials", "tls_files"]

_folder = tempfile.TemporaryDirectory(prefix="p2p-test-identities-")


@cache
def _authority(lab: str) -> Authority:
    directory = Path(_folder.name, lab)
    directory.mkdir()
    return Authority.create(directory)


@cache
def tls_files(name: str, lab: str = "lab", days: float = 100) -> TLSFiles:
    """The files of a name's certificate, which a test lab's authority vouches for so many days."""
    authority = _authority(lab)
    issued = authority.issue(name, Path(tempfile.mkdtemp(dir=_folder.name)), days=days)
    return TLSFiles(certificate=issued.certificate, key=issued.key, authority=authority.path)


@cache
def credentials(name: str, lab: str = "lab") -> Credentials:
    """A name's credentials under a test lab's authority."""
    files = tls_files(name, lab)
    return Credentials(files.certificate, files.key, files.authority)
