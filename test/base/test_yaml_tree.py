"""Tests for :mod:`p2p.base.yaml_tree`."""

from __future__ import annotations

import yaml
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base import yaml_tree
from p2p.base.yaml_tree import MAX_DEPTH, Node, Problem, Unreadable, build, key_of, quote

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class BuildTests(SynchronousTestCase):
    """Trees from texts."""

    def refused(self, text: str) -> tuple[int, str]:
        error = self.assertRaises(Unreadable, build, text)
        return error.line, str(error)

    @given(st.dictionaries(st.text(), VALUES))
    def test_same_as_safe_load(self, value: dict[str, object]) -> None:
        """A tree holds what any YAML library reads from the same text."""
        root, problems = build(yaml.safe_dump(value))
        self.assertEqual((root.value, problems), (value, []))

    @given(st.text(alphabet="ab:-[]{}#&*!|>'\"%@`, \n\t0.~?\\"))
    def test_garbage(self, text: str) -> None:
        """Any text gives a tree or the declared error, with a line that the text has."""
        try:
            build(text)
        except Unreadable as error:
            self.assertTrue(1 <= error.line <= text.count("\n") + 2)

    def test_without_c(self) -> None:
        """Where PyYAML comes without libyaml, its own parser gives the same."""
        self.patch(yaml_tree, "_LOADER", yaml.SafeLoader)
        root, _ = build("a: 1\nb:\n- c: 'x'\n")
        self.assertEqual(root.value, {"a": 1, "b": [{"c": "x"}]})
        self.assertEqual(
            self.refused("a: 1\nb: ["), (2, "isn't YAML: expected the node content, but found '<stream end>'")
        )

    def test_lines(self) -> None:
        """Each child knows the line where its key, or its dash, stands."""
        root, _ = build("# head\na: 1\nb:\n\n  c:\n    - x\n    - y: 2\n")
        self.assertEqual(root.children["a"][0], 2)
        line, b = root.children["b"]
        self.assertEqual(line, 3)
        line, c = b.children["c"]
        self.assertEqual(line, 5)
        self.assertEqual([line for line, _ in c.children.values()], [6, 7])

    def test_duplicate(self) -> None:
        """A key that stands twice is told with both lines; the first value counts."""
        root, problems = build("a: 1\nb: {c: 1, c: 2}\na: 3\n")
        self.assertEqual(root.value, {"a": 1, "b": {"c": 1}})
        self.assertEqual(
            problems,
            [
                Problem(2, "b.c", "stands twice, first in line 2; keep one"),
                Problem(3, "a", "stands twice, first in line 1; keep one"),
            ],
        )

    def test_key_that_is_no_text(self) -> None:
        """A key that YAML reads as something else, like the cluster "no", is told; it counts as its spelling."""
        root, problems = build("no: 1\n")
        self.assertEqual(root.value, {"no": 1})
        self.assertEqual(problems, [Problem(1, "no", "a key must be text, put it in quotes: 'no'")])

    def test_key_that_is_no_scalar(self) -> None:
        """A key can't be a list or a mapping."""
        self.assertEqual(self.refused("a: 1\n? [x]\n: 2\n"), (2, "a key must be text"))

    def test_scalars(self) -> None:
        """Scalars have YAML's types; quotes make them text, and dates are text."""
        root, _ = build("[1, 1.5, yes, ~, '1', 2026-01-02, =, .inf, 0x10]")
        self.assertEqual(root.value, [1, 1.5, True, None, "1", "2026-01-02", "=", float("inf"), 16])

    def test_core_tags(self) -> None:
        """YAML's own tags for scalars, lists and mappings are understood."""
        root, _ = build("a: !!str 5\nb: !!int '5'\nc: !!seq [1]\nd: !!map {e: 1}\n")
        self.assertEqual(root.value, {"a": "5", "b": 5, "c": [1], "d": {"e": 1}})

    def test_other_tags(self) -> None:
        """Any other tag is refused, on scalars as on collections."""
        self.assertEqual(self.refused("a: 1\nb: !secret x\n"), (2, "the tag !secret isn't understood here, remove it"))
        line, text = self.refused("a: !!python/object:os.system {}\n")
        self.assertEqual(line, 1)
        self.assertIn("python/object", text)

    def test_numbers_that_arent(self) -> None:
        """What looks like a number and isn't, or has thousands of digits, is refused at its line."""
        self.assertEqual(self.refused("a: 1\nb: 0x_\n"), (2, "'0x_' isn't a int, put text in quotes"))
        self.assertIn("isn't a int", self.refused("a: " + "9" * 5000)[1])
        self.assertIn("isn't a bool", self.refused("a: !!bool 5")[1])

    def test_alias(self) -> None:
        """An alias is refused, so that no small file can become a large tree, or contain itself."""
        self.assertEqual(
            self.refused("a: &x [1]\nb: *x\n"), (2, "the alias *x isn't understood here, write the value itself")
        )
        self.assertEqual(self.refused("a: &x [*x]\n")[0], 1)

    def test_merge_key(self) -> None:
        """A merge key is a key like any other."""
        root, _ = build("<<: {a: 1}\n")
        self.assertEqual(root.value, {"<<": {"a": 1}})

    def test_depth(self) -> None:
        """Nesting ends at a limit, far above what configurations need."""
        deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH
        build(deepest)
        self.assertEqual(self.refused(f"[\n{deepest}]"), (2, f"nests deeper than {MAX_DEPTH} levels"))

    def test_extreme_depth(self) -> None:
        """A hundred thousand brackets end in the same message, not in a crash of the process."""
        self.assertEqual(self.refused("[" * 100_000), (1, f"nests deeper than {MAX_DEPTH} levels"))

    def test_second_document(self) -> None:
        """A second document is refused at the line where it begins."""
        self.assertEqual(self.refused("a: 1\n---\nb: 2\n"), (2, "a second document begins here, expected one"))

    def test_syntax(self) -> None:
        """A mistake in the syntax is told with its line."""
        line, text = self.refused("a: 1\nb: c: d\n")
        self.assertEqual(line, 2)
        self.assertIn("mapping values are not allowed", text)

    def test_error_without_line(self) -> None:
        """An error of the parser that names no line counts for the first."""

        def broken(text: str, Loader: object) -> list[object]:
            raise yaml.YAMLError("out of order")

        self.patch(yaml, "parse", broken)
        self.assertEqual(self.refused("a: 1"), (1, "isn't YAML: out of order"))

    def test_empty(self) -> None:
        """An empty text, one of comments alone, and an empty document hold nothing."""
        for text in ("", "# nothing\n", "---\n"):
            self.assertIs(build(text)[0].value, None)


class NodeTests(SynchronousTestCase):
    """How a value is named to a person."""

    def test_names(self) -> None:
        """Text stands in quotes, other scalars as the file spells them, collections by their kind."""
        root, _ = build(f"[text, 5, yes, ~, [1], {{a: 1}}, [], {{}}, {'x' * 100}]")
        named = [str(child) for _, child in root.children.values()]
        self.assertEqual(
            named[:8],
            [
                "'text'",
                "5",
                "yes",
                "empty",
                "a list",
                "a mapping",
                "a list without entries",
                "a mapping without entries",
            ],
        )
        self.assertEqual(len(named[8]), 62)

    def test_nothing(self) -> None:
        """A key without a value is empty."""
        self.assertEqual(str(Node(None, "")), "empty")


class KeyTests(SynchronousTestCase):
    """How a location is written."""

    def test_written(self) -> None:
        """Keys have dots between them, indexes brackets around them."""
        self.assertEqual(key_of(("peers", 3, "name")), "peers[3].name")
        self.assertEqual(key_of((0, "a")), "[0].a")
        self.assertEqual(key_of(()), "")

    def test_one_line(self) -> None:
        """A key that isn't printable is quoted: a message stays on its line."""
        self.assertEqual(key_of(("share", "a\nb", 1)), "share.'a\\nb'[1]")


class QuoteTests(SynchronousTestCase):
    """Texts as scalars."""

    @given(st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=["Cc"])))
    def test_read_back(self, text: str) -> None:
        """Whatever is written is read back as the same text, in a mapping and in a list."""
        root, _ = build(f"a: {quote(text)}\nb:\n- {quote(text)}\n")
        self.assertEqual(root.value, {"a": text, "b": [text]})

    def test_plain(self) -> None:
        """What YAML reads as text anyway stays without quotes, anything else gets them."""
        for text in ("n1.n", "tcp:127.0.0.1:5555", "certificates/router.n.pem", "tcp:0:interface=\\:\\:1"):
            self.assertEqual(quote(text), text)
        for text in ("no", "5", "~", "a b", "x:", "::1", "", "1:30", "ü"):
            self.assertEqual(quote(text), f"'{text}'")
        self.assertEqual(quote("it's"), "'it''s'")
