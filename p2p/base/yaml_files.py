"""YAML files that are checked against a pydantic model: all that is wrong in one is told at once, with its line."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from yaml.reader import Reader

from p2p.base.errors import ConfigError
from p2p.base.yaml_tree import Location, Node, Problem, Unreadable, build, key_of

__all__ = ["MAX_BYTES", "LocatedErrors", "load", "nearest"]

MAX_BYTES = 64 * 1024 * 1024
"""The longest file that is read; one with 20,000 peers has about 5 MiB."""

M = TypeVar("M", bound=BaseModel)

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "is_instance_of": "a path",
    "path_type": "a path",
    "too_short": "at least {min_length} entry",
}
"""What to call the thing that pydantic missed, by the type of its error."""


class LocatedErrors(ValueError):
    """What a validator raises that knows which keys below its own value are wrong.

    :ivar problems: pairs of a location below the validated value, and what is wrong there.
    """

    def __init__(self, problems: Sequence[tuple[Location, str]]) -> None:
        super().__init__("; ".join(f"{key_of(where)}: {what}" for where, what in problems))
        self.problems = problems


def load(path: Path, model: type[M], context: object = None) -> M:
    """Read a YAML file into a model.

    :param context: handed to the model's validators.
    :raises ConfigError: with everything that is wrong, a line each: ``file:line: key: what is wrong, what was
        expected``; only a file that can't be read at all has no line number.
    """
    text = _read(path)
    try:
        root, problems = build(text)
    except Unreadable as error:
        raise ConfigError(f"{path}:{error.line}: {error}") from error
    if root.value is None:
        raise ConfigError(f"{path}:1: the file is empty, expected keys: {', '.join(_keys(model))}")
    if not isinstance(root.value, dict):
        raise ConfigError(f"{path}:1: the file is {root}, expected keys: {', '.join(_keys(model))}")
    try:
        result = model.model_validate(root.value, context=context)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            problems.extend(_translated(details, root, model))
    if problems:
        raise ConfigError("\n".join(f"{path}:{one.line}: {one.key}: {one.text}" for one in sorted(problems)))
    return result


def nearest(word: str, known: Sequence[str]) -> str:
    """Return what to say about a word that isn't among the known ones: the nearest of them, or all."""
    close = difflib.get_close_matches(word, known, 1)
    return f"did you mean {close[0]}?" if close else f"expected one of: {', '.join(known) or 'none'}"


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror}), expected a YAML file") from error
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path}:1: is longer than {MAX_BYTES} bytes, expected a YAML file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        wrong = data[error.start]
        raise ConfigError(f"{path}:{line}: byte 0x{wrong:02x} isn't UTF-8, save the file as UTF-8") from error
    strange = Reader.NON_PRINTABLE.search(text)
    if strange is not None:
        line = text.count("\n", 0, strange.start()) + 1
        wrong = ord(strange.group())
        raise ConfigError(f"{path}:{line}: the character U+{wrong:04X} may not stand in YAML, remove it")
    return text


def _translated(details: ErrorDetails, root: Node, model: type[BaseModel]) -> list[Problem]:
    """Say in our words what one of pydantic's errors says in its own."""
    location: Location = tuple(part for part in details["loc"] if part != "[key]")
    raised = details.get("ctx", {}).get("error")
    if isinstance(raised, LocatedErrors):
        found = [((*location, *below), text) for below, text in raised.problems]
    else:
        found = [(location, _text(details, location, root, model))]
    return [Problem(_find(root, where)[0], key_of(where), text) for where, text in found]


def _text(details: ErrorDetails, location: Location, root: Node, model: type[BaseModel]) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "extra_forbidden":
        return f"unknown key, {nearest(str(location[-1]), list(_keys(_model_at(model, location[:-1]))))}"
    if kind == "missing":
        field = _keys(_model_at(model, location[:-1]))[str(location[-1])]
        return f"is missing, expected {field.description}"
    node = _find(root, location)[1]
    bounds = {name: int(bound) if isinstance(bound, float) else bound for name, bound in context.items()}
    expected = _EXPECTED[kind].format(**bounds) if kind in _EXPECTED else details["msg"]
    if kind == "string_type" and node.text and node.value is not None:
        return f"is {node.text}, which YAML doesn't read as text; put it in quotes: '{node.text}'"
    return f"is {node}, expected {expected}"


def _find(root: Node, location: Location) -> tuple[int, Node]:
    """Return the line and the node of a location, or those of the nearest thing around it that stands in the file."""
    line, node = 1, root
    for part in location:
        if part not in node.children:
            break
        line, node = node.children[part]
    return line, node


def _keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of a model by the keys that a file has for them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _model_at(model: type[BaseModel], location: Location) -> type[BaseModel]:
    """Return the model that describes the mapping at a location."""
    parts = iter(location)
    for part in parts:
        annotation = _keys(model)[str(part)].annotation
        container = next((one for one in (annotation, *get_args(annotation)) if get_origin(one) in (list, dict)), None)
        if container is not None:
            next(parts)
            annotation = container
        model = _inner_model(annotation)
    return model


def _inner_model(annotation: Any) -> type[BaseModel]:
    candidates = [annotation, *get_args(annotation)]
    return next(one for one in candidates if isinstance(one, type) and issubclass(one, BaseModel))
