"""The kinds of values in configuration files, and how each is checked.

The checks that look at the disk run only while a file is loaded, with :class:`Loading` as the validation's context: a
model that code makes for itself may name files that don't exist.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from stat import S_ISREG
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationInfo

from p2p.endpoints import check_fresh_listener, check_listener, check_router
from p2p.names import PeerName, parse_cluster, parse_peer

__all__ = [
    "INITIAL_WINDOW",
    "MAX_SOCKET_PATH",
    "Bytes",
    "ClusterName",
    "Console",
    "Count",
    "FreshListener",
    "HostedName",
    "Hosting",
    "Inbox",
    "KeyFile",
    "Listener",
    "Loading",
    "Network",
    "ReadableFile",
    "RouterEndpoint",
    "Seconds",
    "WindowBytes",
    "check_console",
]

MAX_SOCKET_PATH = 107
"""Bytes in the path of a UNIX socket on Linux: ``sun_path`` has 108 with its final zero (unix(7))."""

INITIAL_WINDOW = 262_144
"""Bytes that a Yamux stream may send before any window update; Yamux's specification fixes them."""


class Hosting:
    """The peers that one daemon hosts: all different, all of one cluster."""

    def __init__(self) -> None:
        self._names: dict[PeerName, None] = {}

    def add(self, name: PeerName) -> None:
        """Take one more.

        :raises ValueError: if it is there already, or is of another cluster than the first.
        """
        if name in self._names:
            raise ValueError(f"{name} is hosted already, keep one of its entries")
        first = next(iter(self._names), name)
        self._names[name] = None
        if name.cluster != first.cluster:
            raise ValueError(f"{name} isn't of {first}'s cluster, expected peers of one cluster in one daemon")


@dataclass
class Loading:
    """What the validators know while a file is loaded.

    :ivar directory: the absolute folder of the file, where its relative paths start.
    :ivar files: whether the files that it names must be there.
    :ivar hosted: the peers met so far.
    """

    directory: Path
    files: bool = True
    hosted: Hosting = field(default_factory=Hosting)


def check_console(path: Path) -> Path:
    """Check that a UNIX socket can have this path.

    :raises ValueError: with what to do, if the path is too long.
    """
    length = len(os.fsencode(path))
    if length > MAX_SOCKET_PATH:
        raise ValueError(
            f"{path} has {length} bytes, and the path of a UNIX socket at most {MAX_SOCKET_PATH}; choose a shorter one"
        )
    return path


def _path(value: Any, info: ValidationInfo) -> Any:
    """Turn text into an absolute path; what isn't text is left to pydantic to refuse."""
    if isinstance(value, str):
        if not value or "\0" in value:
            raise ValueError(f"{value!r} can't be a path, expected one; a relative path starts at this file's folder")
        value = Path(value)
    if isinstance(info.context, Loading) and isinstance(value, Path):
        # Not Path.resolve(): a link to the certificate in use must stay a link. twistd may change its folder later.
        value = Path(os.path.abspath(info.context.directory / value))  # noqa: PTH100
    return value


def _file(path: Path, info: ValidationInfo) -> Path:
    """Check that a file is there and that this user can read it."""
    if isinstance(info.context, Loading) and info.context.files:
        try:
            if not S_ISREG(path.stat().st_mode):
                raise ValueError(f"{path} isn't a regular file, expected a PEM file")
            path.open("rb").close()
        except OSError as error:
            raise ValueError(
                f"can't read {path} ({error.strerror}), expected a PEM file that this user can read"
            ) from error
    return path


def _key(path: Path, info: ValidationInfo) -> Path:
    """Check besides that a private key is its owner's alone."""
    _file(path, info)
    if isinstance(info.context, Loading) and info.context.files:
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            raise ValueError(
                f"{path} has mode {mode:04o}, which lets others use the key, expected 0600: chmod 600 {path}"
            )
    return path


def _inbox(path: Path, info: ValidationInfo) -> Path:
    """Check that an inbox is a folder that takes files, if it exists: the daemon makes the one that doesn't."""
    if isinstance(info.context, Loading) and info.context.files and os.path.lexists(path):
        if not path.is_dir():
            raise ValueError(f"{path} isn't a folder, expected one for the files that this peer receives")
        if not os.access(path, os.W_OK | os.X_OK):
            raise ValueError(f"this user may not write into {path}, expected a folder for what this peer receives")
    return path


def _console(path: Path, info: ValidationInfo) -> Path:
    """Check that a console's socket can be made where the path says."""
    if isinstance(info.context, Loading):
        check_console(path)
        if info.context.files and not path.parent.is_dir():
            raise ValueError(f"there is no folder {path.parent}, expected one for the socket: mkdir -p {path.parent}")
    return path


def _network(value: Any) -> IPv4Network | IPv6Network:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    expected = "expected a network like 192.0.2.0/24 or 2001:db8::/64"
    if not isinstance(value, str):
        raise ValueError(f"{value!r} isn't text, {expected}")
    try:
        wide = ip_network(value, strict=False)
    except ValueError as error:
        raise ValueError(f"{value[:60]!r} isn't a network, {expected}") from error
    try:
        return ip_network(value)
    except ValueError as error:
        raise ValueError(f"{value!r} sets bits after its prefix, expected {wide}") from error


def _hosted(text: str, info: ValidationInfo) -> str:
    """Check the name of a hosted peer, while a file is loaded also against the ones before it."""
    name = parse_peer(text)
    if isinstance(info.context, Loading):
        info.context.hosted.add(name)
    return text


ClusterName = Annotated[str, AfterValidator(parse_cluster)]
HostedName = Annotated[str, AfterValidator(_hosted)]
Listener = Annotated[str, AfterValidator(check_listener)]
FreshListener = Annotated[str, AfterValidator(check_fresh_listener)]
RouterEndpoint = Annotated[str, AfterValidator(check_router)]
ReadableFile = Annotated[Path, BeforeValidator(_path), AfterValidator(_file)]
KeyFile = Annotated[Path, BeforeValidator(_path), AfterValidator(_key)]
Inbox = Annotated[Path, BeforeValidator(_path), AfterValidator(_inbox)]
Console = Annotated[Path, BeforeValidator(_path), AfterValidator(_console)]
Network = Annotated[IPv4Network | IPv6Network, PlainValidator(_network)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Bytes = Annotated[int, Field(ge=1, le=1 << 40)]
WindowBytes = Annotated[int, Field(ge=INITIAL_WINDOW, le=1 << 31)]
