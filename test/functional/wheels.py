"""Environments with an earlier version of p2p, for daemons and commands that run beside those of the tree."""

from __future__ import annotations

import subprocess
import sysconfig
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from zipfile import ZipFile

__all__ = ["WHEEL", "InstalledWheel"]

WHEEL: Final = Path(__file__).resolve().parents[1] / "wheels" / "p2p-0.1.0-py3-none-any.whl"
"""The version that all later ones must get on with; see the README beside it."""

COMMAND_S: Final = 30.0

_P2P: Final = """\
import sys
from p2p.cli.main import main
sys.exit(main())
"""

_TWISTD: Final = """\
import sys, twisted.plugins
from pathlib import Path
import p2p
from twisted.scripts.twistd import run
found = [one for one in twisted.plugins.__path__ if Path(one, "p2p_plugins.py").exists()]
print(f"p2p is {p2p.__file__}, plugins are in {found}", file=sys.stderr, flush=True)
sys.exit(run())
"""
"""Starts ``twistd`` in a process that has told its log which p2p it has imported, and where plugins of p2p are."""


class InstalledWheel:
    """A virtual environment that has p2p from a wheel, and everything else from the environment of the tests.

    It isn't made on top of the environment of the tests with PYTHONPATH: there an editable install puts the tree on
    ``sys.path``, and Twisted would find the plugin file of the tree beside that of the wheel. A ``.pth`` file is read
    only in an environment's own folder, so what lies in that of the tests comes along without the tree.

    :param folder: for the environment; it doesn't exist yet.
    :ivar python: its interpreter; ``twistd`` and ``p2p`` lie beside it.
    :ivar told: what a daemon of this environment says of itself at the top of its log.
    """

    def __init__(self, folder: Path, wheel: Path = WHEEL) -> None:
        venv.EnvBuilder(symlinks=True).create(folder)
        place = {"base": str(folder), "platbase": str(folder)}
        packages = Path(sysconfig.get_path("purelib", "venv", place))
        with ZipFile(wheel) as archive:
            archive.extractall(packages)
        others = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
        (packages / "others.pth").write_text("\n".join(others) + "\n")
        self._scripts = Path(sysconfig.get_path("scripts", "venv", place))
        self.add_script("p2p", _P2P)
        self.add_script("twistd", _TWISTD)
        self.python = str(self._scripts / "python")
        self.told = f"p2p is {packages / 'p2p' / '__init__.py'}, plugins are in ['{packages / 'twisted' / 'plugins'}']"

    def add_script(self, name: str, text: str) -> None:
        """Put a script beside the interpreter."""
        (self._scripts / name).write_text(text)

    def create_lab(self, folder: Path, *, clusters: Sequence[str], peers: int, ports: Mapping[str, int]) -> None:
        """Make a lab with the wheel's ``p2p lab init``."""
        command = [self.python, str(self._scripts / "p2p"), "lab", "init", str(folder)]
        command += [f"--clusters={','.join(clusters)}", f"--peers={peers}"]
        command += [f"--port={cluster}={port}" for cluster, port in ports.items()]
        subprocess.run(command, check=True, capture_output=True, timeout=COMMAND_S)
