"""Tests for :mod:`p2p.base.yaml_files`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, model_validator
from twisted.trial.unittest import SynchronousTestCase

from p2p.base import yaml_files
from p2p.base.errors import ConfigError
from p2p.base.yaml_files import LocatedErrors, load, nearest


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Engine(Strict):
    power_w: int = Field(ge=1, le=1000, description="the power in watts")
    ratio: float = Field(default=1.0, gt=0, description="the ratio of the gear")


class Wheel(Strict):
    name: str = Field(description="the name of the wheel")
    maker: str = Field(default="", alias="by", description="who made it")
    spokes: Annotated[int, Field(multiple_of=2)] = 32


class Vehicle(Strict):
    kind: Literal["bicycle", "tram"] = Field(description="'bicycle' or 'tram'")
    engine: Engine | None = None
    wheels: list[Wheel] = Field(default=[], min_length=1)
    parts: dict[str, Engine] = {}
    spares: list[Wheel] | None = None
    colours: list[str] = []
    garage: Path = Path("garage")

    @model_validator(mode="after")
    def _balanced(self) -> Self:
        if self.kind == "tram" and self.wheels:
            raise LocatedErrors([(("wheels", 0, "name"), "a tram has none"), (("kind",), "isn't balanced")])
        return self


class LoadTests(SynchronousTestCase):
    """Files against a model."""

    def file(self, content: str | bytes) -> Path:
        path = Path(self.mktemp())
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def refused(self, content: str | bytes) -> list[str]:
        """Return the lines of the error, each without the file's name in front."""
        path = self.file(content)
        lines = str(self.assertRaises(ConfigError, load, path, Vehicle)).splitlines()
        for line in lines:
            self.assertTrue(line.startswith(f"{path}:"), line)
        return [line.removeprefix(f"{path}:") for line in lines]

    def test_loaded(self) -> None:
        """A file in order becomes the model."""
        vehicle = load(self.file("kind: bicycle\nwheels:\n- name: front\n  spokes: 36\n"), Vehicle)
        self.assertEqual(vehicle, Vehicle(kind="bicycle", wheels=[Wheel(name="front", spokes=36)]))

    def test_everything_at_once(self) -> None:
        """All problems are told at once, in order: line, key, what is wrong, what was expected."""
        self.assertEqual(
            self.refused(
                "kind: car\n"
                "engine:\n"
                "  power_w: 0\n"
                "  ratio: fast\n"
                "wheels:\n"
                "- spokes: 32\n"
                "- name: no\n"
                "  spokes: 3.5\n"
                "  spoke: 1\n"
                "wheels: []\n"
                "weels: 3\n"
                "colours: [red, 5, ~]\n"
            ),
            [
                "1: kind: is 'car', expected 'bicycle' or 'tram'",
                "3: engine.power_w: is 0, expected at least 1",
                "4: engine.ratio: is 'fast', expected a number",
                "6: wheels[0].name: is missing, expected the name of the wheel",
                "7: wheels[1].name: is no, which YAML doesn't read as text; put it in quotes: 'no'",
                "8: wheels[1].spokes: is 3.5, expected a whole number",
                "9: wheels[1].spoke: unknown key, did you mean spokes?",
                "10: wheels: stands twice, first in line 5; keep one",
                "11: weels: unknown key, did you mean wheels?",
                "12: colours[1]: is 5, which YAML doesn't read as text; put it in quotes: '5'",
                "12: colours[2]: is empty, expected text",
            ],
        )

    def test_kinds(self) -> None:
        """A value of another kind is told with the kind that was expected."""
        self.assertEqual(
            self.refused("kind: bicycle\nengine: [1]\nwheels: {}\nparts: 5\ngarage: 7\n"),
            [
                "2: engine: is a list, expected a mapping",
                "3: wheels: is a mapping without entries, expected a list",
                "4: parts: is 5, expected a mapping",
                "5: garage: is 7, expected a path",
            ],
        )

    def test_bounds(self) -> None:
        """A number out of its bounds is told with the bound."""
        self.assertEqual(
            self.refused("kind: bicycle\nwheels: []\nengine:\n  power_w: 5000\n  ratio: 0\n"),
            [
                "2: wheels: is a list without entries, expected at least 1 entry",
                "4: engine.power_w: is 5000, expected at most 1000",
                "5: engine.ratio: is 0, expected more than 0",
            ],
        )

    def test_below_a_mapping(self) -> None:
        """Keys are found below a mapping with free keys as well, and unknown ones get the keys of that model."""
        self.assertEqual(
            self.refused("kind: bicycle\nparts:\n  left:\n    power_w: 1\n    speed: 2\n  right: {}\n"),
            [
                "5: parts.left.speed: unknown key, expected one of: power_w, ratio",
                "6: parts.right.power_w: is missing, expected the power in watts",
            ],
        )

    def test_below_an_optional_list(self) -> None:
        """Keys are found below a list that may be left out as well."""
        self.assertEqual(
            self.refused("kind: bicycle\nspares:\n- name: front\n- spoke: 5\n- 5\n"),
            [
                "4: spares[1].name: is missing, expected the name of the wheel",
                "4: spares[1].spoke: unknown key, did you mean spokes?",
                "5: spares[2]: is 5, expected a mapping",
            ],
        )

    def test_key_with_another_name(self) -> None:
        """A key whose name can't be one in Python is told of as it stands in the file."""
        self.assertEqual(
            self.refused("kind: bicycle\nwheels:\n- {name: front, maker: x}\n- {name: rear, by: 5}\n"),
            [
                "3: wheels[0].maker: unknown key, expected one of: name, by, spokes",
                "4: wheels[1].by: is 5, which YAML doesn't read as text; put it in quotes: '5'",
            ],
        )

    def test_located_by_a_validator(self) -> None:
        """A validator can say itself which keys below its value are wrong."""
        self.assertEqual(
            self.refused("kind: tram\nwheels:\n- spokes: 2\n  name: front\n"),
            ["1: kind: isn't balanced", "4: wheels[0].name: a tram has none"],
        )

    def test_other_errors(self) -> None:
        """What this module has no words for is told in pydantic's."""
        self.assertEqual(
            self.refused("kind: bicycle\nwheels:\n- name: front\n  spokes: 3\n"),
            ["4: wheels[0].spokes: is 3, expected Input should be a multiple of 2"],
        )

    def test_missing_at_the_top(self) -> None:
        """A key that is missing at the top is told for line 1."""
        self.assertEqual(self.refused("# empty\ncolours: []\n"), ["1: kind: is missing, expected 'bicycle' or 'tram'"])

    def test_empty(self) -> None:
        """An empty file is told with the keys that it could hold."""
        self.assertEqual(
            self.refused("# nothing yet\n"),
            ["1: the file is empty, expected keys: kind, engine, wheels, parts, spares, colours, garage"],
        )

    def test_not_a_mapping(self) -> None:
        """A file that is something else than a mapping is told so."""
        for content, kind in {"- a\n": "a list", "hello\n": "'hello'", "5\n": "5"}.items():
            self.assertEqual(
                self.refused(content),
                [f"1: the file is {kind}, expected keys: kind, engine, wheels, parts, spares, colours, garage"],
            )

    def test_syntax(self) -> None:
        """A file that isn't YAML is told with the line."""
        (line,) = self.refused("kind: bicycle\nwheels: [\n")
        self.assertRegex(line, r"^[23]: isn't YAML: ")

    def test_not_utf8(self) -> None:
        """A byte that isn't UTF-8 is told with its line."""
        self.assertEqual(
            self.refused(b"kind: bicycle\n# caf\xe9\n"), ["2: byte 0xe9 isn't UTF-8, save the file as UTF-8"]
        )

    def test_byte_order_mark(self) -> None:
        """The mark that some editors put in front of UTF-8 does no harm."""
        self.assertEqual(load(self.file(b"\xef\xbb\xbfkind: bicycle\n"), Vehicle).kind, "bicycle")

    def test_control_character(self) -> None:
        """A character that YAML forbids is told with its line."""
        self.assertEqual(
            self.refused(b"kind: bicycle\n\n# \x07\n"), ["3: the character U+0007 may not stand in YAML, remove it"]
        )

    def test_too_long(self) -> None:
        """A file beyond the limit isn't read to its end."""
        self.patch(yaml_files, "MAX_BYTES", 10)
        self.assertEqual(self.refused("kind: bicycle\n"), ["1: is longer than 10 bytes, expected a YAML file"])

    def test_not_there(self) -> None:
        """A file that isn't there, or is a folder, is told with the system's reason; it has no line."""
        error = self.assertRaises(ConfigError, load, Path("missing.yaml"), Vehicle)
        self.assertEqual(str(error), "missing.yaml: can't be read (No such file or directory), expected a YAML file")
        self.assertIn("Is a directory", str(self.assertRaises(ConfigError, load, Path("/"), Vehicle)))

    @given(st.binary(max_size=60))
    def test_any_bytes(self, content: bytes) -> None:
        """Any file at all gives the model or the declared error."""
        path = Path("anything.yaml")
        path.write_bytes(content)
        self.assertRaises(ConfigError, load, path, Vehicle)


class NearestTests(SynchronousTestCase):
    """What is said about an unknown word."""

    def test_near(self) -> None:
        """A word that differs little gets the one that was meant."""
        self.assertEqual(nearest("neighbors", ["listen", "neighbours"]), "did you mean neighbours?")

    def test_far(self) -> None:
        """A word that is near none gets all of them."""
        self.assertEqual(nearest("x", ["listen", "tls"]), "expected one of: listen, tls")

    def test_none(self) -> None:
        """Where nothing is known, that is said."""
        self.assertEqual(nearest("x", []), "expected one of: none")


class LocatedErrorsTests(SynchronousTestCase):
    """The error of validators that know where."""

    def test_text(self) -> None:
        """Outside of a file its text names the keys."""
        self.assertEqual(str(LocatedErrors([(("a", 0), "is wrong"), (("b",), "too")])), "a[0]: is wrong; b: too")
