"""Strict reading of JSON: what it takes, and in which words it tells what it doesn't."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.strict_json import DIGITS, read_json
from test.properties import PROPERTY


class ReadTests(SynchronousTestCase):
    """``read_json``."""

    def refused(self, data: str | bytes) -> str:
        """Why a text isn't taken."""
        return str(self.assertRaises(ValueError, read_json, data))

    def test_values(self) -> None:
        """Every kind of value, as text or as UTF-8."""
        text = '{"a": [1, -2.5e3, true, null, "größ"], "b": {"a": {}}}'
        value = {"a": [1, -2500.0, True, None, "größ"], "b": {"a": {}}}
        self.assertEqual([value, value], [read_json(text), read_json(text.encode())])

    def test_key_twice(self) -> None:
        """A key stands once in an object, however deep it is; other objects may have it too."""
        self.assertEqual("the key 'a' stands twice in an object", self.refused('{"a": 1, "b": 2, "a": 1}'))
        self.assertEqual("the key 'é' stands twice in an object", self.refused('[{"x": {"é": 1, "\\u00e9": 2}}]'))
        self.assertEqual([{"a": 1}, {"a": 2}], read_json('[{"a": 1}, {"a": 2}]'))

    def test_long_key(self) -> None:
        """A key of any length and any characters makes no long text and no second line."""
        told = self.refused('{"%s": 1, "%s": 2}' % (("\\n" * 5000,) * 2))
        self.assertLess(len(told), 150)
        self.assertNotIn("\n", told)
        self.assertEqual(
            f"the key '{'a' * 40}' stands twice in an object", self.refused('{"%s": 1, "%s": 2}' % (("a" * 41,) * 2))
        )

    def test_numbers(self) -> None:
        """Numbers are finite, and no longer than anybody needs."""
        self.assertEqual(10**DIGITS - 1, read_json("9" * DIGITS))
        self.assertEqual("a number has more than 100 digits", self.refused("9" * 5000))
        self.assertEqual(["a number is too large"] * 2, [self.refused(text) for text in ("1e999", "-1e999")])
        self.assertEqual("NaN isn't a number in JSON", self.refused("[NaN]"))

    def test_garbage(self) -> None:
        """What is no JSON is told by its place."""
        told = {b"": 1, b"{": 2, b'{"a" 1}': 6, b"[1] 2": 5, b'"\n"': 2}
        self.assertEqual([f"it isn't JSON at character {at}" for at in told.values()], [*map(self.refused, told)])
        self.assertEqual("it isn't UTF-8 at byte 3", self.refused(b'{"\xff": 1}'))
        self.assertEqual("it is nested too deeply", self.refused("[" * 1_000_000))

    @given(st.binary(max_size=60) | st.text(alphabet='{}[]":,\\0123456789eE.-u ', max_size=60))
    @PROPERTY
    def test_anything(self, data: str | bytes) -> None:
        """Whatever comes, it is a value that JSON has, or a reason in plain words."""
        try:
            value = read_json(data)
        except ValueError as error:
            self.assertRegex(str(error), "^(it|the key|a number|-?Infinity|NaN) ")
        else:
            json.dumps(value, allow_nan=False)
