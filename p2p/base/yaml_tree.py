"""YAML text as a tree of plain values that remembers its lines.

The parser's events are turned into the tree here, instead of by ``yaml.compose``, for three reasons: lines and
duplicate keys come with it, nesting is bounded (libyaml's composer recurses until the process dies), and one pass over
the events is quick enough for the file of a daemon that hosts thousands of peers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn

import yaml
from yaml.constructor import SafeConstructor
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from yaml.nodes import ScalarNode
from yaml.resolver import Resolver

__all__ = ["MAX_DEPTH", "Location", "Node", "Problem", "Unreadable", "build", "key_of", "quote"]

MAX_DEPTH = 32
"""How deep a file may nest; the deepest configuration nests 4 times."""

Location = tuple[int | str, ...]
"""Where a value stands: keys of mappings and indexes of lists, from the root."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_MAKE: dict[str, Any] = {
    _TAG + "null": SafeConstructor.construct_yaml_null,
    _TAG + "bool": SafeConstructor.construct_yaml_bool,
    _TAG + "int": SafeConstructor.construct_yaml_int,
    _TAG + "float": SafeConstructor.construct_yaml_float,
}
_TEXT = {_TAG + "str", _TAG + "timestamp", _TAG + "merge", _TAG + "value"}
_resolve = partial(Resolver().resolve, ScalarNode)
"""The tag of a scalar from its spelling and from whether it stands plain or in quotes."""
_PUNCTUATION = "_./:-+\\="


@dataclass(slots=True, order=True)
class Problem:
    """Something wrong: its line, the key it belongs to (may be empty), and the text for a person."""

    line: int
    key: str
    text: str


class Unreadable(ValueError):
    """The text isn't the YAML that is understood here; nothing more can be said about what it contains."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


@dataclass(slots=True)
class Node:
    """A value, the spelling of a scalar (``None`` for lists and mappings), and the children with their lines."""

    value: Any
    text: str | None
    children: dict[int | str, tuple[int, Node]] = field(default_factory=dict)

    def __str__(self) -> str:
        """Name the value to a person, cut short."""
        if self.text is None:
            kind = "a mapping" if isinstance(self.value, dict) else "a list"
            return kind if self.children else f"{kind} without entries"
        if self.value is None:
            return "empty"
        shown = self.text if len(self.text) <= 60 else self.text[:57] + "..."
        return repr(shown) if isinstance(self.value, str) else shown


def build(text: str) -> tuple[Node, list[Problem]]:
    """Return the root of a YAML text's only document, and the keys that stand twice.

    :raises Unreadable: if the text isn't YAML, holds several documents, anchors that are used, tags, or nests deeper
        than :data:`MAX_DEPTH`.
    """
    try:
        builder = _Builder(text)
        root = builder.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Unreadable(mark.line + 1 if mark else 1, f"isn't YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise Unreadable(1, f"isn't YAML: {error}") from error
    return root, builder.problems


def key_of(location: Location) -> str:
    """Write a location the way a person does: ``peers[3].name``, on one line whatever the keys are."""
    written = ""
    for part in location:
        if isinstance(part, int):
            written += f"[{part}]"
        else:
            key = part if part.isprintable() else repr(part)
            written += f".{key}" if written else key
    return written


def quote(text: str) -> str:
    """Return a text as a YAML scalar on one line, in quotes where YAML would read it as something else."""
    plain = text[:1].isalnum() and text.isascii() and all(one.isalnum() or one in _PUNCTUATION for one in text)
    if plain and not text.endswith(":") and _resolve(text, (True, False)) == _TAG + "str":
        return text
    return "'" + text.replace("'", "''") + "'"


class _Builder:
    def __init__(self, text: str) -> None:
        self.problems: list[Problem] = []
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))
        self._constructor = SafeConstructor()

    def document(self) -> Node:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, DocumentStartEvent) and root is not None:
                _stop(event, "a second document begins here, expected one")
            if isinstance(event, NodeEvent):
                root = self._node(event, ())
        return root or Node(None, "")

    def _node(self, event: Any, location: Location) -> Node:
        if isinstance(event, ScalarEvent):
            return self._scalar(event)
        if isinstance(event, AliasEvent):
            _stop(event, f"the alias *{event.anchor} isn't understood here, write the value itself")
        if event.tag not in (None, "!", _TAG + "map", _TAG + "seq"):
            _stop(event, f"the tag {event.tag} isn't understood here, remove it")
        if len(location) >= MAX_DEPTH:
            _stop(event, f"nests deeper than {MAX_DEPTH} levels")
        return self._sequence(location) if isinstance(event, SequenceStartEvent) else self._mapping(location)

    def _scalar(self, event: Any) -> Node:
        tag = event.tag
        if tag in (None, "!"):
            tag = _resolve(event.value, event.implicit)
        if tag in _TEXT:
            return Node(event.value, event.value)
        if tag not in _MAKE:
            _stop(event, f"the tag {tag} isn't understood here, remove it")
        try:
            return Node(_MAKE[tag](self._constructor, ScalarNode(tag, event.value)), event.value)
        except (ValueError, KeyError):
            _stop(event, f"{event.value[:60]!r} isn't a {tag.removeprefix(_TAG)}, put text in quotes")

    def _sequence(self, location: Location) -> Node:
        node = Node([], None)
        while not isinstance(event := next(self._events), SequenceEndEvent):
            index = len(node.value)
            child = self._node(event, (*location, index))
            node.value.append(child.value)
            node.children[index] = event.start_mark.line + 1, child
        return node

    def _mapping(self, location: Location) -> Node:
        node = Node({}, None)
        while not isinstance(event := next(self._events), MappingEndEvent):
            line = event.start_mark.line + 1
            if not isinstance(event, ScalarEvent):
                _stop(event, "a key must be text")
            key = event.value
            here = (*location, key)
            if not isinstance(self._scalar(event).value, str):
                self.problems.append(Problem(line, key_of(here), f"a key must be text, put it in quotes: '{key}'"))
            child = self._node(next(self._events), here)
            if key in node.children:
                first = node.children[key][0]
                self.problems.append(Problem(line, key_of(here), f"stands twice, first in line {first}; keep one"))
            else:
                node.value[key] = child.value
                node.children[key] = line, child
        return node


def _stop(event: Any, text: str) -> NoReturn:
    raise Unreadable(event.start_mark.line + 1, text)
