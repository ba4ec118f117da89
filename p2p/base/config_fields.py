"""The kinds of values in configuration files, and how each is checked.

The checks that look at the disk run only while a file is loaded, with :class:`Loading` as the validation's context: a
model that code makes for itself may name files that don't exist.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path, PurePath
from stat import S_ISREG
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationInfo

from p2p.base.addresses import PORTS, NotAllowed, ProgramPlace, parse_place
from p2p.base.endpoints import check_fresh_listener, check_listener, check_router
from p2p.base.names import PeerName, parse_cluster, parse_peer
from p2p.base.values import ContentType, parse_size

__all__ = [
    "INITIAL_WINDOW",
    "MAX_SOCKET_PATH",
    "Bytes",
    "ClusterName",
    "Console",
    "ContentTypes",
    "Count",
    "FreshListener",
    "Grants",
    "HostedName",
    "Hosting",
    "Inbox",
    "KeyFile",
    "Listener",
    "Loading",
    "Network",
    "Patterns",
    "Places",
    "PortRange",
    "ProgramAddress",
    "ReadableFile",
    "Relays",
    "RouterEndpoint",
    "Seconds",
    "ServiceNames",
    "Shared",
    "Size",
    "StateFolder",
    "Streams",
    "WindowBytes",
    "check_console",
]

MAX_SOCKET_PATH = 107
"""Bytes in the path of a UNIX socket on Linux: ``sun_path`` has 108 with its final zero (unix(7))."""

INITIAL_WINDOW = 262_144
"""Bytes that a Yamux stream may send before any window update; Yamux's specification fixes them."""


_PATTERN = re.compile(r"\*|(?=.*\.)[a-z0-9*.-]{3,127}")
_INTERFACE = re.compile(r"[A-Za-z*][A-Za-z0-9*_.-]{0,14}")
_SERVICE = re.compile(r"[a-z][a-z0-9-]{0,39}")


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
        value = Path(os.path.abspath(info.context.directory / value))  # noqa: PTH100 - links stay links
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


def _place(text: str) -> str:
    """Check the name of an interface, maybe with ``*``, or a network."""
    if not _INTERFACE.fullmatch(text):
        try:
            _network(text)
        except ValueError as error:
            raise ValueError(f"{error}, or the name of an interface like eth0 or docker*") from error
    return text


def _hosted(text: str, info: ValidationInfo) -> str:
    """Check the name of a hosted peer, while a file is loaded also against the ones before it."""
    name = parse_peer(text)
    if isinstance(info.context, Loading):
        info.context.hosted.add(name)
    return text


def _size(value: Any) -> Any:
    """Read ``10GB``; numbers are left as they are."""
    return parse_size(value) if isinstance(value, str) else value


def _several(value: Any) -> Any:
    """Let a single text stand for a list of one."""
    return [value] if isinstance(value, str) else value


def _pattern(text: str) -> str:
    """Check a pattern of peers' names."""
    if not _PATTERN.fullmatch(text):
        raise ValueError(f"{text[:80]!r} isn't a pattern of peers' names, expected one like m4.m, *.m or *")
    return text


def _service(text: str) -> str:
    """Check the name of a content service; which ones a peer has isn't known here."""
    if not _SERVICE.fullmatch(text):
        raise ValueError(f"{text[:80]!r} isn't the name of a service, expected one like transfer, in lower case")
    return text


def _peer(text: str) -> str:
    """Check the name of any peer."""
    return str(parse_peer(text))


def _named_paths(value: Any) -> Any:
    """Turn a list of paths into a mapping from their last parts to them."""
    if not isinstance(value, list):
        return value
    named: dict[str, Any] = {}
    for path in value:
        if not isinstance(path, str):
            raise ValueError(f"{path!r} can't be a path, expected a list of paths, or a mapping from names to paths")
        name = PurePath(path).name
        if name in named:
            raise ValueError(f"two paths end with {name!r}, expected a mapping from different names to paths")
        named[name] = path
    return named


def _share_name(text: str) -> str:
    """Check the name under which something is shared: others put it before a slash."""
    if text in ("", ".", "..") or "/" in text or not text.isprintable() or text.startswith(".p2p-") or len(text) > 200:
        raise ValueError(f"{text[:80]!r} can't be the name of something shared, expected one like that of a file")
    return text


def _shared(path: Path, info: ValidationInfo) -> Path:
    """Check that something shared is there."""
    if isinstance(info.context, Loading) and info.context.files and not path.exists():
        raise ValueError(f"{path} isn't there, or this user may not see it, expected a folder or a file to share")
    return path


def _port_range(value: object) -> range:
    """Read ``42000-42099``, or one port."""
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", str(value))
    ports = range(int(match[1]), int(match[2] or match[1]) + 1) if match else range(0)
    if not ports or ports[0] not in PORTS or ports[-1] not in PORTS:
        raise ValueError(f"{str(value)[:60]!r}, expected two ports within 1024 to 65535, like 42000-42099")
    return ports


def _program(value: object) -> ProgramPlace:
    """Read where a program listens."""
    try:
        return parse_place(str(value))
    except NotAllowed as error:
        raise ValueError(str(error)) from error


ClusterName = Annotated[str, AfterValidator(parse_cluster)]
HostedName = Annotated[str, AfterValidator(_hosted)]
Listener = Annotated[str, AfterValidator(check_listener)]
FreshListener = Annotated[str, AfterValidator(check_fresh_listener)]
PortRange = Annotated[range, PlainValidator(_port_range)]
ProgramAddress = Annotated[ProgramPlace, PlainValidator(_program)]
RouterEndpoint = Annotated[str, AfterValidator(check_router)]
ReadableFile = Annotated[Path, BeforeValidator(_path), AfterValidator(_file)]
KeyFile = Annotated[Path, BeforeValidator(_path), AfterValidator(_key)]
Inbox = Annotated[Path, BeforeValidator(_path), AfterValidator(_inbox)]
Console = Annotated[Path, BeforeValidator(_path), AfterValidator(_console)]
Places = Annotated[list[Annotated[str, AfterValidator(_place)]], BeforeValidator(_several)]
"""Names of interfaces, and networks; a single one needn't be in a list."""
Network = Annotated[IPv4Network | IPv6Network, PlainValidator(_network)]
Size = Annotated[int, BeforeValidator(_size), Field(ge=0, le=1 << 60)]
"""Bytes, as a number or like ``10GB``."""
Patterns = Annotated[list[Annotated[str, AfterValidator(_pattern)]], BeforeValidator(_several), Field(min_length=1)]
ServiceNames = Annotated[list[Annotated[str, AfterValidator(_service)]], BeforeValidator(_several)]
ContentTypes = Annotated[list[ContentType], BeforeValidator(_several)]
Grants = Annotated[list[Annotated[str, AfterValidator(_peer)]], BeforeValidator(_several)]
"""Names of peers, any number of them or a single one; no patterns, so that nobody is granted by accident."""
Relays = Annotated[list[Annotated[str, AfterValidator(_peer)]], BeforeValidator(_several), Field(max_length=4)]
Shared = Annotated[
    dict[
        Annotated[str, AfterValidator(_share_name)],
        Annotated[Path, BeforeValidator(_path), AfterValidator(_shared)],
    ],
    BeforeValidator(_named_paths),
]
StateFolder = Annotated[Path, BeforeValidator(_path)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Streams = Annotated[int, Field(ge=2, le=10_000_000)]
"""Streams of a link: one each way at least, or of two exchanges that begin at the same moment neither would go on."""
Bytes = Annotated[int, Field(ge=1, le=1 << 40)]
WindowBytes = Annotated[int, Field(ge=INITIAL_WINDOW, le=1 << 31)]
