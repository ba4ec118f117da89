"""The processes that play files for the service ``inspect``, as the daemon's threads see them."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import BinaryIO, Final, Protocol

from p2p.base.errors import ExchangeFailed, Outcome

__all__ = [
    "JOB_S",
    "MEDIA_MISSING",
    "Played",
    "Player",
    "Process",
    "WorkerLost",
    "Workers",
    "has_media",
    "undecodable",
]

MEDIA_MISSING: Final = "PyAV isn't installed; install it with: pip install 'p2p[media]'"

JOB_S: Final = 10
"""Seconds that a file may take to be played; then its worker is killed."""

MAX_PICTURE: Final = 1_048_576
"""Bytes of a picture that a worker may draw; its own are a tenth of that."""

_MAX_TEXT: Final = 65_536
_FIELDS: Final = ("container", "codecs", "duration_s", "frames", "width", "height", "rate", "channels")


class WorkerLost(Exception):
    """A worker gave no answer; the text says why.

    :ivar began: whether it may have begun with the file.
    """

    def __init__(self, why: str, *, began: bool = True) -> None:
        super().__init__(why)
        self.began = began


def has_media() -> bool:
    """Whether PyAV, which decodes and encodes, is installed."""
    return importlib.util.find_spec("av") is not None


def undecodable(why: str) -> ExchangeFailed:
    """How an exchange ends whose content can't be played: refused, by name."""
    return ExchangeFailed(Outcome.REFUSED, f"undecodable: {why}", {"error": "undecodable"})


@dataclass(frozen=True)
class Played:
    """What a worker saw: fields for the reply's tail, and a picture as PNG; or why it saw nothing."""

    fields: Mapping[str, str] = field(default_factory=dict)
    picture: bytes = b""
    undecodable: str = ""


class Player(Protocol):
    """Plays one file after another."""

    def play(self, file: BinaryIO, seconds: float) -> Played:
        """Play a file.

        :raises WorkerLost: if there is no answer in time; the player is of no use then.
        """

    def stop(self) -> None:
        """End it at once, whatever it does."""

    def close(self) -> None:
        """Let it end, as it has nothing to do."""


class Process:
    """A worker in a process of its own, which ends when this one does.

    :param command: what to run; the descriptor of its socket and its own deadline are added.
    :raises OSError: if it can't be started.
    """

    def __init__(self, command: tuple[str, ...] = (sys.executable, "-P", "-m", "p2p.services.inspect_worker")) -> None:
        self._link, other = socket.socketpair()
        with other:
            try:
                self._process = subprocess.Popen(
                    [*command, str(other.fileno()), str(2 * JOB_S)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[other.fileno()],
                    start_new_session=True,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
                )
            except OSError:
                self._link.close()
                raise

    def play(self, file: BinaryIO, seconds: float) -> Played:
        """Hand the file over and wait for the answer."""
        end = time.monotonic() + seconds
        try:
            socket.send_fds(self._link, [b"j"], [file.fileno()])
        except OSError as error:
            raise WorkerLost("the decoder had ended", began=False) from error
        text_size, picture_size = struct.unpack(">II", self._read(8, end))
        if text_size > _MAX_TEXT or picture_size > MAX_PICTURE:
            raise WorkerLost("the decoder's answer makes no sense")
        try:
            answer = json.loads(self._read(text_size, end))
            said, why = answer.get("fields", {}), str(answer.get("undecodable", ""))[:200]
            fields = {name: str(said[name])[:200] for name in _FIELDS if name in said}
        except (ValueError, AttributeError, TypeError) as error:
            raise WorkerLost("the decoder's answer makes no sense") from error
        return Played(fields, self._read(picture_size, end), why)

    def stop(self) -> None:
        """Kill it; it holds nothing that could be lost."""
        self._link.close()
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Let it end by itself, as it does between two files when nobody holds the other end of its socket."""
        self._link.close()
        try:
            self._process.wait(JOB_S)
        except subprocess.TimeoutExpired:
            self.stop()

    def _read(self, size: int, end: float) -> bytes:
        data = bytearray()
        while len(data) < size:
            self._link.settimeout(max(0.001, end - time.monotonic()))
            try:
                piece = self._link.recv(size - len(data))
            except TimeoutError as error:
                raise WorkerLost("it takes too long to play") from error
            except OSError as error:
                raise WorkerLost("the decoder died of it") from error
            if not piece:
                raise WorkerLost("the decoder died of it")
            data += piece
        return bytes(data)


class Workers:
    """Players that are started when they are needed and used again; threads call this.

    :param start: starts one; raises ``OSError`` if it can't.
    """

    def __init__(self, start: Callable[[], Player] = Process, seconds: float = JOB_S) -> None:
        self._start = start
        self._seconds = seconds
        self._idle: list[Player] = []
        self._lock = Lock()

    def play(self, file: BinaryIO) -> Played:
        """Play a file with a player that is free, or a new one. One that is lost is replaced by the next call.

        :raises ExchangeFailed: with ``refused`` and the reason, if the file can't be played.
        """
        while True:
            with self._lock:
                idle = self._idle.pop() if self._idle else None
            player = idle or self._started()
            try:
                played = player.play(file, self._seconds)
            except WorkerLost as lost:
                player.stop()
                if lost.began or idle is None:
                    raise undecodable(str(lost)) from lost
            except BaseException:
                player.stop()
                raise
            else:
                with self._lock:
                    self._idle.append(player)
                if played.undecodable:
                    raise undecodable(played.undecodable)
                return played

    def close(self) -> None:
        """Let the players end that are free."""
        with self._lock:
            idle, self._idle = self._idle, []
        for player in idle:
            player.close()

    def _started(self) -> Player:
        try:
            return self._start()
        except OSError as error:
            raise ExchangeFailed(Outcome.REFUSED, f"no decoder can be started here: {error.strerror}") from error
