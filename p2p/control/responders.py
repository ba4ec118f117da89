"""Responders of control commands as ``async def`` methods."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.protocols.amp import Command

__all__ = ["responder"]

_Method = TypeVar("_Method", bound=Callable[..., Coroutine[Deferred[Any], Any, Mapping[str, Any]]])


def responder(command: type[Command]) -> Callable[[_Method], _Method]:
    """Declare an ``async def`` method of a ``CommandLocator`` as the responder of a command.

    The method gets the command's arguments by name and returns a mapping of its answer, or raises one of the errors
    that the command declares; anything else is a bug, which is logged and ends the connection.
    """

    def declare(method: _Method) -> _Method:
        @wraps(method)
        def start(self: object, **arguments: Any) -> Deferred[Mapping[str, Any]]:
            return Deferred.fromCoroutine(method(self, **arguments))

        command.responder(start)
        return method

    return declare
