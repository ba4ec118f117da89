"""Having systemd run the daemon of a machine that has joined."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from shlex import join as quoted

from p2p.base.errors import LocalFileError

__all__ = ["enable_for_all", "enable_for_user"]

USER = "p2p"
"""Whom the units of ``etc/systemd`` run as."""

_USER_UNIT = """\
# Made by p2p join --user: one unit for every peer daemon of this user.
[Unit]
Description=p2p peer daemon %i

[Service]
Type=notify
NotifyAccess=main
ExecStart={twistd} --nodaemon --pidfile= p2p-peer --config {folder}/peer-%i.yaml
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=2
RestartPreventExitStatus=2
UMask=0077

[Install]
WantedBy=default.target
"""


def enable_for_all(name: str, key: Path) -> str:
    """Give the key to the daemon's user, and start the unit of ``etc/systemd`` for a peer, now and at each start.

    :returns: the command that did it.
    :raises LocalFileError: if the user or the unit isn't there, or systemd can't start it.
    """
    try:
        shutil.chown(key, USER)
    except (LookupError, OSError) as error:
        raise LocalFileError(
            f"{key}: can't be given to the user {USER} ({error}); etc/systemd says what it takes"
        ) from error
    return _run(["systemctl", "enable", "--now", f"p2p-peer@{name}"])


def enable_for_user(name: str, folder: Path, home: Path) -> str:
    """Start a unit of this user's own systemd for a peer, now and at each log-in.

    :param folder: that of the peer's YAML file.
    :param home: the user's.
    :returns: the command that did it.
    :raises LocalFileError: if the unit can't be written, or systemd can't start it.
    """
    unit = home / ".config" / "systemd" / "user" / "p2p-peer@.service"
    twistd = Path(sys.executable).with_name("twistd")
    try:
        unit.parent.mkdir(parents=True, exist_ok=True)
        unit.write_text(_USER_UNIT.format(twistd=twistd, folder=str(folder).replace("%", "%%")))
    except OSError as error:
        raise LocalFileError(f"{unit}: can't be written ({error.strerror})") from error
    return _run(["systemctl", "--user", "enable", "--now", f"p2p-peer@{name}"])


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LocalFileError(f"{quoted(command)}: can't be run ({error})") from error
    if done.returncode:
        raise LocalFileError(f"{quoted(command)}: {done.stderr.strip() or done.returncode}")
    return quoted(command)
