"""``docs/limits.rst`` has every limit, with its default, and names tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import BaseModel
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import PeerLimits, RelayGrant, RouterLimits

ROOT: Final = Path(__file__).resolve().parents[1]
TEXT: Final = (ROOT / "docs" / "limits.rst").read_text("utf-8")

ROW: Final = re.compile(r"^   \* - ``([\w.]+)``\n     - ([\d,]+)(?: \w+)?\n((?: {5,}.*\n)+)", re.MULTILINE)
TEST: Final = re.compile(r"``(test\.[\w.]+)``")


class Row(NamedTuple):
    """One line of a table."""

    name: str
    default: int
    tests: list[str]


def rows(title: str) -> list[Row]:
    """The rows of the table under a heading."""
    section = re.search(rf"^{title}\n=+\n(.*?)(?=^[^\n]+\n={{3,}}\n|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    if section is None:
        raise AssertionError(f"docs/limits.rst has no section {title}")
    return [Row(match[1], int(match[2].replace(",", "")), TEST.findall(match[3])) for match in ROW.finditer(section[1])]


@cache
def methods(module: str) -> frozenset[str]:
    """The test methods of a module, as ``Class.method``, without importing it."""
    tree = ast.parse((ROOT / (module.replace(".", "/") + ".py")).read_text("utf-8"))
    return frozenset(
        f"{one.name}.{method.name}"
        for one in tree.body
        if isinstance(one, ast.ClassDef)
        for method in one.body
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
    )


class LimitsDocumentTests(SynchronousTestCase):
    """The tables of the document."""

    def configured(self, title: str, model: type[BaseModel]) -> None:
        """Compare a table with the fields of a model that have a number for default."""
        found = rows(title)
        fields = {name: field.default for name, field in model.model_fields.items()}
        self.assertEqual(
            {name: default for name, default in fields.items() if isinstance(default, int | float)},
            {row.name: row.default for row in found},
        )

    def test_router(self) -> None:
        """Every limit of a router stands in its table with its default."""
        self.configured("Router", RouterLimits)

    def test_peer_daemon(self) -> None:
        """Every limit of a peer daemon stands in its table with its default."""
        self.configured("Peer daemon", PeerLimits)

    def test_relay(self) -> None:
        """Every limit of a relay stands in its table with its default."""
        self.configured("Relay", RelayGrant)

    def test_constants(self) -> None:
        """Every other limit is a constant of the code with that value."""
        titles = re.findall(r"^(.+)\n={3,}\n", TEXT, re.MULTILINE)
        fixed = [row for title in titles[1:] if title not in ("Router", "Peer daemon", "Relay") for row in rows(title)]
        self.assertGreater(len(fixed), 20)
        for row in fixed:
            module, _, name = row.name.rpartition(".")
            self.assertEqual(getattr(import_module(module), name), row.default, row.name)

    def test_once(self) -> None:
        """No limit of a daemon or of the code stands in the document twice."""
        titles = re.findall(r"^(.+)\n={3,}\n", TEXT, re.MULTILINE)[1:]
        for title in titles:
            self.assertEqual(1, titles.count(title), title)
        names = [row.name for title in titles[2:] for row in rows(title)]
        self.assertEqual([], sorted({name for name in names if names.count(name) > 1}))

    def test_tests(self) -> None:
        """Every test that the document names exists, and every row names one."""
        named = TEST.findall(TEXT)
        for test in named:
            module, kind, method = test.rsplit(".", 2)
            self.assertIn(f"{kind}.{method}", methods(module), test)
        for title in re.findall(r"^(.+)\n={3,}\n", TEXT, re.MULTILINE)[1:]:
            self.assertEqual([], [row.name for row in rows(title) if not row.tests], f"rows of {title} without a test")
