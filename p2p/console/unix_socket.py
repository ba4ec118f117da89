"""Listen on a UNIX socket that is the daemon's own user's alone, from the first moment on."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import Any, cast

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorUNIX
from twisted.internet.protocol import Factory

from p2p.base.config import check_console
from p2p.base.errors import LocalFileError

__all__ = ["bind_privately", "listen_privately"]


def listen_privately(reactor: IReactorUNIX, path: Path, factory: Factory[Any]) -> IListeningPort:
    """Listen on a socket of mode 0600, in the place of one that a dead daemon left behind.

    :raises LocalFileError: if the path can't be used, or a live daemon answers on it.
    """
    try:
        check_console(path)
    except ValueError as error:
        raise LocalFileError(str(error)) from error
    _make_way(path)
    # The umask counts for the whole process, but nothing of it runs between these lines. A chmod after the bind would
    # leave a moment in which the file has other rights.
    before = os.umask(0o177)
    try:
        return reactor.listenUNIX(str(path), factory, mode=0o600)
    except CannotListenError as error:
        raise LocalFileError(_cant_listen(path, cast(OSError, error.socketError))) from error
    finally:
        os.umask(before)


def bind_privately(path: Path) -> socket.socket:
    """Return a socket that listens at a path, of mode 0600, in the place of one at which nobody listens any more.

    :raises LocalFileError: if the path can't be used, or a program listens on it.
    """
    try:
        check_console(path)
    except ValueError as error:
        raise LocalFileError(str(error)) from error
    _make_way(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # as above
    try:
        listener.bind(str(path))
        listener.listen()
    except OSError as error:
        listener.close()
        raise LocalFileError(f"{path}: can't listen here: {error.strerror}") from error
    finally:
        os.umask(before)
    return listener


def _make_way(path: Path) -> None:
    """Remove the socket that a dead daemon left at the path.

    :raises LocalFileError: if something else is there, or a live daemon answers.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise LocalFileError(_cant_listen(path, error)) from error
    if not stat.S_ISSOCK(mode):
        raise LocalFileError(f"{path}: this is no socket; name another file, or remove this one")
    if _is_live(path):
        raise LocalFileError(f"{path}: a daemon answers on this console already; stop it, or name another console")
    try:
        path.unlink()
    except OSError as error:
        raise LocalFileError(f"{path}: can't remove the old socket: {error.strerror}") from error


def _is_live(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True  # somebody listens, only the queue is full
        except ConnectionRefusedError:
            return False
        except OSError as error:
            raise LocalFileError(_cant_listen(path, error)) from error
    return True


def _cant_listen(path: Path, error: OSError) -> str:
    return f"{path}: can't open the console here: {error.strerror}; its folder must exist and be writable"
