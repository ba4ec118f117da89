"""``docs/protocol.rst`` says what the code does: its examples, its tables of commands, and its console."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from twisted.internet.task import Clock
from twisted.protocols.amp import Argument, Command
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import Outcome
from p2p.console import operations, transfer_operations, tunnel_operations
from p2p.control import commands
from p2p.control.arguments import Boolean, Float, Integer, ListOf, String, Unicode
from p2p.experiment.words import (
    BlockOrder,
    Ended,
    ExchangeTold,
    GaugeTold,
    LinkTold,
    RunOrder,
    parse_lines,
    parse_order,
)
from p2p.peer.console import PeerConsole
from test.protocol_vectors import vectors

TEXT: Final = (Path(__file__).resolve().parents[1] / "docs" / "protocol.rst").read_text("utf-8")

COMMANDS: Final[list[type[Command]]] = [
    one for one in vars(commands).values() if isinstance(one, type) and issubclass(one, Command) and one is not Command
]

TYPES: Final[dict[type[Argument], str]] = {
    Unicode: "Unicode",
    String: "String",
    Integer: "Integer",
    Float: "Float",
    Boolean: "Boolean",
}


def shown_type(kind: Argument) -> str:
    """The type of an argument as the document has it."""
    return f"ListOf({shown_type(kind.elementType)})" if isinstance(kind, ListOf) else TYPES[type(kind)]


ARGUMENTS: Final[dict[str, type[BaseModel]]] = {
    "status": operations.NoArguments,
    "wait-registered": operations.WaitRegisteredArguments,
    "peers": operations.PeersArguments,
    "ping": operations.PeerArguments,
    "connect": operations.PeerArguments,
    "why": operations.WhyArguments,
    "disconnect": operations.DisconnectArguments,
    "exchange": operations.ExchangeArguments,
    "send": transfer_operations.SendArguments,
    "get": transfer_operations.GetArguments,
    "ls": transfer_operations.LsArguments,
    "transfers": transfer_operations.TransfersArguments,
    "cancel-transfer": transfer_operations.CancelArguments,
    "offers": transfer_operations.OffersArguments,
    "decide": transfer_operations.DecideArguments,
    "tunnel": tunnel_operations.TunnelArguments,
    "pipe": tunnel_operations.PipeArguments,
    "pipe-listen": tunnel_operations.PipeListenArguments,
    "chat": transfer_operations.ChatArguments,
    "chat-say": transfer_operations.ChatSayArguments,
}


def literal_blocks(kind: str) -> Iterator[tuple[str, list[str]]]:
    """Each literal block behind a comment ``.. kind: name``, as its name and its lines without their indentation."""
    for match in re.finditer(rf"^ *\.\. {kind}: (\S+)\n\n.*::\n\n((?: .*\n|\n)+)", TEXT, re.MULTILINE):
        lines = match[2].rstrip().splitlines()
        indent = len(lines[0]) - len(lines[0].lstrip())
        block: list[str] = []
        for line in lines:
            if line.strip() and len(line) - len(line.lstrip()) < indent:
                break
            if line.strip():
                block.append(line[indent:])
        yield match[1], block


def section(title: str) -> str:
    """The text under a heading, up to the next one."""
    match = re.search(rf"^{title}\n[-=]+\n(.*?)(?=^[^\n]+\n[-=]{{2,}}\n|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    if match is None:
        raise AssertionError(f"docs/protocol.rst has no section {title}")
    return match[1]


def joined(lines: list[str]) -> list[dict[str, Any]]:
    """The JSON objects of a block, whose long lines are broken and go on indented."""
    whole: list[str] = []
    for line in lines:
        if line.startswith(" "):
            whole[-1] += line.strip()
        else:
            whole.append(line)
    return [json.loads(line) for line in whole]


class VectorTests(SynchronousTestCase):
    """The examples in hexadecimal."""

    def test_bytes(self) -> None:
        """Every example is, byte for byte, what the code produces, and no example is missing."""
        shown = {
            name: bytes.fromhex(" ".join(line.partition(";")[0] for line in lines))
            for name, lines in literal_blocks("vector")
        }
        made = vectors()
        self.assertEqual(sorted(made), sorted(shown))
        for name, expected in made.items():
            self.assertEqual(expected.hex(" "), shown[name].hex(" "), name)


class CommandTests(SynchronousTestCase):
    """The tables of the control channel."""

    def test_arguments(self) -> None:
        """Each command has a section whose table holds its arguments and answers, in order, with their types."""
        self.assertEqual(13, len(COMMANDS))
        for command in COMMANDS:
            expected = [
                (direction, name.decode(), shown_type(kind))
                for direction, fields in (("argument", command.arguments), ("answer", command.response))
                for name, kind in fields
            ]
            rows = re.findall(r"^(argument|answer) +(\w+) +(\S+) ", section(command.__name__), re.MULTILINE)
            self.assertEqual(expected, rows, command.__name__)

    def test_errors(self) -> None:
        """Each command's section names the codes of its errors and no other, and the table of errors has them all."""
        table = dict(re.findall(r"^``([A-Z_]+)`` .* (?:``([a-z-]+)``|asked again.*)$", section("Errors"), re.MULTILINE))
        known: dict[str, Outcome] = {}
        for command in COMMANDS:
            errors: dict[Any, bytes] = command.errors
            codes = {code.decode(): kind.outcome for kind, code in errors.items()}
            known |= codes
            listed = re.search(r"^Errors: (.*)\.$", section(command.__name__), re.MULTILINE)
            self.assertEqual(set(codes), set(re.findall("``(.*?)``", listed[1] if listed else "")), command.__name__)
        self.assertEqual(set(known), set(table))
        for code, outcome in table.items():
            if outcome:
                self.assertEqual(known[code], outcome, code)


class ConsoleTests(SynchronousTestCase):
    """The examples of the console."""

    def test_requests(self) -> None:
        """Every request is one that the daemons take, and every operation of a peer daemon has an example."""
        seen = set()
        for _, lines in literal_blocks("console"):
            request = joined(lines)[0]
            arguments = {key: value for key, value in request.items() if key not in ("id", "op")}
            if request["op"] != "cancel":
                seen.add(request["op"])
                ARGUMENTS[request["op"]].model_validate(arguments)
        self.assertEqual(set(ARGUMENTS), seen)
        nothing: Any = object()
        console = PeerConsole(
            Clock(),
            {},
            cluster="n",
            router="",
            security="tls",
            threads=None,
            now_ns=lambda: 0,
            console_clients=lambda: 0,
            transfers=nothing,
            consent=nothing,
            warnings=lambda name: [],
        )
        self.assertEqual(set(console.handlers()), seen)

    def test_answers(self) -> None:
        """Every answer belongs to its request, is a whole one of its model, and is the last line."""
        for name, lines in literal_blocks("console"):
            request, *events, last = joined(lines)
            self.assertEqual({request["id"]}, {one["id"] for one in (*events, last)})
            self.assertIn(last["event"], ("done", "failed"))
            for event in events:
                if event["event"] == "transfer":
                    told = transfer_operations.read_event(event["transfer"])
                    self.assertEqual(event["transfer"], told.model_dump(mode="json"))
            if name != "example":
                answer = {key: value for key, value in last.items() if key not in ("id", "event")}
                rooms = (operations, transfer_operations, tunnel_operations)
                model = next(getattr(room, name) for room in rooms if hasattr(room, name))
                whole = model.model_validate(answer).model_dump()
                self.assertEqual({**whole, "text": ""}, {**answer, "text": ""}, name)


class ExperimentTests(SynchronousTestCase):
    """The service ``experiment``."""

    def test_examples(self) -> None:
        """The example of an order is one, and the lines that answer it can be read."""
        orders = [json.dumps(joined(lines)[0]) for _, lines in literal_blocks("order")]
        self.assertEqual(1, len(orders))
        for order in orders:
            self.assertIsInstance(parse_order(order.encode()), RunOrder)
        told = [one for _, lines in literal_blocks("told") for one in parse_lines("\n".join(lines) + "\n")]
        samples = [one for one in told if isinstance(one, ExchangeTold)]
        sums = [(one.offered, one.bytes) for one in told if isinstance(one, Ended)]
        self.assertEqual([(len(samples), sum(one.bytes + one.reply_bytes for one in samples))], sums)
        self.assertEqual(len(samples) + 1, len(told))

    def test_fields(self) -> None:
        """The tables have every field of an order and of what is told."""
        text = section("Experiments")
        for model in (BlockOrder, GaugeTold, LinkTold, Ended):
            for name in model.model_fields:
                self.assertIn(f"``{name}``", text, model.__name__)
        for name in ExchangeTold._fields:
            self.assertIn(f"``{name}``", text)
