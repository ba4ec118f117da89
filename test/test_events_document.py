"""``docs/events.rst`` has every event with all its fields, and its examples are events."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import UnionType
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel
from twisted.trial.unittest import SynchronousTestCase

from p2p.console.transfer_operations import EVENTS, MovedOne, TransferEvent, read_event

TEXT: Final = (Path(__file__).resolve().parents[1] / "docs" / "events.rst").read_text("utf-8")

MODELS: Final[dict[str, type[BaseModel]]] = {one.model_fields["event"].default: one for one in get_args(TransferEvent)}

COMMON: Final = ("event", "transfer", "peer", "direction")


def section(title: str) -> str:
    """The text under a heading."""
    match = re.search(rf"^{re.escape(title)}\n[-=]+\n(.*?)(?=^[^\n]+\n[-=]{{3,}}\n|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    if match is None:
        raise AssertionError(f"docs/events.rst has no section {title}")
    return match[1]


def rows(title: str) -> dict[str, str]:
    """The fields of the table under a heading, and their types."""
    return dict(re.findall(r"^``(\w+)`` +(\S+(?: \S+)*?)  ", section(title), re.MULTILINE))


def type_name(kind: Any) -> str:
    """What the document calls a type."""
    if get_origin(kind) is UnionType:
        return " or ".join(map(type_name, get_args(kind)))
    if get_origin(kind) is list:
        return "list"
    names = {str: "text", int: "integer", float: "number", bool: "boolean", type(None): "null"}
    return names.get(kind, "text")


class EventsDocumentTests(SynchronousTestCase):
    """The tables and examples of the document."""

    def compare(self, title: str, model: type[BaseModel], leave_out: tuple[str, ...] = ()) -> None:
        """The table under a heading has exactly these fields, in their order, with their types."""
        fields = {
            name: type_name(field.annotation) for name, field in model.model_fields.items() if name not in leave_out
        }
        self.assertEqual(list(fields.items()), list(rows(title).items()), title)

    def test_events(self) -> None:
        """Every event has a section whose table holds its own fields; the common ones have a table of their own."""
        self.assertEqual(set(EVENTS), set(MODELS))
        for name, model in MODELS.items():
            self.compare(f"``{name}``", model, COMMON)
            self.assertEqual(set(COMMON), set(rows("In every event")))
        self.compare("``ended``", MovedOne)

    def test_examples(self) -> None:
        """Every example is what the program would print, but for the breaks in its lines."""
        seen = set()
        for block in re.findall(r"::\n\n((?: {4,}.*\n)+)", TEXT):
            for example in re.split(r"\n {4}(?=\{)", block):
                fields = json.loads(" ".join(example.split()))
                seen.add(fields["event"])
                if fields["event"] == "ended":
                    self.assertEqual({"event", "transfers", "exit_code"}, set(fields))
                    for one in fields["transfers"]:
                        self.assertEqual(one, MovedOne.model_validate(one).model_dump(mode="json"))
                else:
                    self.assertEqual(fields, read_event(fields).model_dump(mode="json"))
        self.assertEqual(EVENTS | {"ended"}, seen)
