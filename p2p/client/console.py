"""A connection to a daemon's console, and any operation over it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ValidationError
from twisted.internet.defer import DeferredSemaphore
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory

from p2p.base.config import check_console
from p2p.base.errors import ConsoleUnreachable, DaemonFault
from p2p.console.connection import ConsoleConnection, OnEvent
from p2p.console.server import REQUESTS

__all__ = [
    "ANSWER_S",
    "CONNECT_S",
    "NETWORK_S",
    "ConsoleClient",
    "OnEvent",
    "acting_as",
    "not_understood",
    "read_answer",
]

CONNECT_S = 5.0
"""Seconds that a daemon has to accept a connection on this machine."""

ANSWER_S = 10.0
"""Seconds that a daemon has to answer what it knows itself."""

NETWORK_S = 60.0
"""Seconds for what other machines must answer: above the daemon's own deadlines, which tell more."""

_M = TypeVar("_M", bound=BaseModel)


class ConsoleClient:
    """A connection to the console of a daemon."""

    def __init__(self, clock: Any, connection: ConsoleConnection, name: str) -> None:
        """Use :meth:`connect`."""
        self._clock = clock
        self._connection = connection
        self._name = name
        self._places = DeferredSemaphore(REQUESTS)

    @classmethod
    async def connect(
        cls,
        reactor: Any,
        path: Path,
        *,
        deadline: float = CONNECT_S,
        start: str = "twistd -n --pidfile= p2p-peer --config FILE",
    ) -> Self:
        """Connect to the console at a path.

        :param reactor: provides ``IReactorUNIX`` and ``IReactorTime``.
        :param start: the command that starts the daemon, for the text of the error.
        :raises ConsoleUnreachable: if no daemon answers there.
        """
        factory = Factory.forProtocol(lambda: ConsoleConnection(reactor, str(path)))
        factory.noisy = False
        try:
            check_console(path)
            endpoint: Any = UNIXClientEndpoint(reactor, str(path), timeout=deadline)
            connection = await endpoint.connect(factory)
        except (ConnectError, ValueError) as error:
            why = error.args[0] if error.args and error.args[0] else error  # Twisted's str() begins with a number
            raise ConsoleUnreachable(
                f"no daemon answers on {path} ({why}); if it isn't running, start it with: {start}"
            ) from error
        return cls(reactor, connection, str(path))

    async def close(self) -> None:
        """End the connection; the daemon cancels what is still under way on it."""
        self._connection.hang_up()
        await self._connection.gone

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def request(
        self,
        op: str,
        *,
        on_event: OnEvent | None = None,
        deadline: float | None = None,
        file: int | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Ask for any operation and return the fields of its ``done``.

        :param on_event: is called with each event that comes before the end.
        :param deadline: seconds after which the request is cancelled; None waits for as long as the daemon works.
        :param file: a file descriptor that goes along; the request has ``stream=True`` then.
        :param fields: the arguments; those that are None are left out.
        """
        await self._places.acquire()
        try:
            answer = self._connection.ask(op, {k: v for k, v in fields.items() if v is not None}, on_event, file)
            if deadline is not None:
                answer.addTimeout(deadline, self._clock)
            return await answer
        except DeadlinePassed as error:
            raise ConsoleUnreachable(
                f"the daemon on {self._name} has not answered {op} within {deadline:g} s; see its log"
            ) from error
        finally:
            self._places.release()


def acting_as(acting: str | None) -> dict[str, Any]:
    """The argument ``as``, whose name is a keyword of Python."""
    return {"as": acting}


def read_answer(model: type[_M], answer: Mapping[str, Any]) -> _M:
    """Read an answer or an event.

    :raises DaemonFault: if it isn't one.
    """
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        raise not_understood(error, model.__name__) from error


def not_understood(error: ValidationError, what: str) -> DaemonFault:
    """The error for an answer that can't be read."""
    return DaemonFault(
        f"the daemon gave an answer that this version of p2p doesn't understand ({error.error_count()} problems "
        f"with {what}); install the same version for both"
    )
