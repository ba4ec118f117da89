"""File descriptors that come along with a request: each goes to its request, and none stays open."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from p2p.console.lines import ConsoleConnection
from p2p.console.operations import Arguments
from p2p.console.server import FILES, Emit, FileHandler, checked_with_file
from test.console.test_server import ConsoleCase, Conversation, echo
from test.consoles import pending


def is_open(file: int) -> bool:
    """Whether a descriptor is open."""
    try:
        os.fstat(file)
    except OSError:
        return False
    return True


class FileCase(ConsoleCase):
    """A console with an operation that takes a file, and notes which one it got."""

    def setUp(self) -> None:
        """Make it."""
        super().setUp()
        self.took: list[int | None] = []
        self.going: list[Deferred[None]] = []

        class StreamArguments(Arguments):
            stream: bool = False

        async def take(arguments: StreamArguments, emit: Emit, file: int | None) -> Mapping[str, Any]:
            self.took.append(file)
            self.going.append(Deferred())
            await self.going[-1]
            return {}

        self.take: FileHandler = checked_with_file(StreamArguments, take)
        self.client = self.conversation(take=self.take, echo=echo)

    def file(self) -> int:
        """A descriptor that nobody else has."""
        file = os.open(os.devnull, os.O_RDONLY)
        self.addCleanup(lambda: os.close(file) if is_open(file) else None)
        return file

    def come(self, conversation: Conversation | None = None) -> int:
        """Let a descriptor come."""
        file = self.file()
        (conversation or self.client).protocol.fileDescriptorReceived(file)
        return file


class FileTests(FileCase):
    """Which request gets which descriptor."""

    def test_taken(self) -> None:
        """A request with a stream gets the descriptor, which no child inherits, and is closed when the request ends."""
        file = self.come()
        self.assertFalse(os.get_inheritable(file))
        self.assertEqual([], self.client.say({"id": 1, "op": "take", "stream": True}))
        self.assertEqual([file], self.took)
        self.assertTrue(is_open(file))
        self.going[0].callback(None)
        self.assertEqual("done", self.client.answers()[0]["event"])
        self.assertFalse(is_open(file))

    def test_order(self) -> None:
        """The first request with a stream gets the first descriptor; requests without one get none."""
        first, second = self.come(), self.come()
        requests = ({"id": 1, "op": "take", "stream": True}, {"id": 2, "op": "take"})
        self.client.say(*requests, {"id": 3, "op": "take", "stream": True})
        self.assertEqual([first, None, second], self.took)

    def test_none_came(self) -> None:
        """A request with a stream whose descriptor didn't come is begun without one."""
        self.client.say({"id": 1, "op": "take", "stream": True})
        self.assertEqual([None], self.took)

    def test_refused(self) -> None:
        """A request that isn't begun uses its descriptor up, so that the next request doesn't get it."""
        for refused in ({"op": "take", "stream": True}, {"id": 1, "op": "nothing", "stream": True}):
            file = self.come()
            (answer,) = self.client.say(refused)
            self.assertEqual("usage", answer["error"])
            self.assertFalse(is_open(file))
        other = self.come()
        self.client.say({"id": 2, "op": "take", "stream": True})
        self.assertEqual([other], self.took)

    def test_handler_without_files(self) -> None:
        """An operation that takes no files gets the request alone; the descriptor is closed."""
        file = self.come()
        (answer,) = self.client.say({"id": 1, "op": "echo", "stream": True})
        self.assertEqual("done", answer["event"])
        self.assertFalse(is_open(file))

    def test_called_plainly(self) -> None:
        """A handler that takes files can be called like any other."""

        async def call() -> None:
            await self.take({}, self.emit)

        calling = Deferred.fromCoroutine(call())
        self.assertEqual([None], self.took)
        calling.cancel()
        self.failureResultOf(calling, CancelledError)

    def emit(self, event: str, /, **fields: Any) -> Deferred[None]:
        """Nobody is told."""
        raise AssertionError(event)


class EndTests(FileCase):
    """No descriptor outlives its connection, nor is closed under somebody's hands."""

    def test_connection_ends(self) -> None:
        """When the connection ends, its requests are cancelled and all its descriptors are closed."""
        taken, waiting = self.come(), self.come()
        self.client.say({"id": 1, "op": "take", "stream": True})
        self.client.lose()
        self.assertTrue(self.going[0].called)
        self.assertEqual([False, False], [is_open(taken), is_open(waiting)])

    def test_work_goes_on(self) -> None:
        """While a cancelled request still lets go of its descriptor, that stays open."""
        letting_go: Deferred[None] = Deferred()

        async def slow(request: Mapping[str, Any], emit: Emit, file: int | None) -> Mapping[str, Any]:
            try:
                await Deferred[None]()
            finally:
                await letting_go
            return {}

        conversation = self.conversation(slow=FileHandler(slow))
        file = self.come(conversation)
        conversation.say({"id": 1, "op": "slow", "stream": True})
        conversation.say({"id": 2, "op": "cancel", "request": 1})
        self.assertTrue(is_open(file))
        letting_go.callback(None)
        self.assertFalse(is_open(file))

    def test_too_many(self) -> None:
        """A client that sends descriptors without requests is told and hung up on, and nothing stays open."""
        files = [self.come() for _ in range(FILES)]
        self.assertEqual([], self.client.answers())
        files.append(self.come())
        (answer,) = self.client.answers()
        self.assertIn("16 file descriptors", answer["reason"])
        self.assertTrue(self.client.transport.disconnecting)
        self.client.lose()
        self.assertFalse(any(map(is_open, files)))

    def test_too_late(self) -> None:
        """A descriptor that comes when the daemon is at its end is closed."""
        console = self.console({"wait": pending([])})
        conversation = Conversation(console)
        console.stopService()
        self.assertFalse(is_open(self.come(conversation)))


class ClientTests(ConsoleCase):
    """The client's side."""

    def test_before_the_line(self) -> None:
        """The descriptor is sent before the line, so that it is there when the line is."""
        sent: list[Any] = []

        class Transport:
            def sendFileDescriptor(self, file: int) -> None:
                sent.append(file)

            def write(self, line: bytes) -> None:
                sent.append(line)

        connection = ConsoleConnection(self.reactor, "console")
        connection.transport = Transport()
        connection.ask("take", {"stream": True}, None, 5)
        connection.ask("echo", {}, None)
        self.assertEqual([5, b'{"stream":true,"id":1,"op":"take"}\n', b'{"id":2,"op":"echo"}\n'], sent)
