"""The rooms of p2p import one way, and its pure modules import nothing that acts."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import chain
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

ROOT: Final = Path(__file__).resolve().parents[1]

RANKS: Final = {
    "base": 0,
    "wire": 1,
    "identity": 2,
    "console": 3,
    "client": 4,
    "control": 5,
    "link": 5,
    "exchange": 6,
    "services": 7,
    "transfer": 8,
    "router": 9,
    "peer": 9,
    "signer": 9,
    "experiment": 10,
    "measure": 11,
    "report": 12,
    "cli": 13,
    "daemons": 13,
}
"""How high a room stands: it imports from itself and from below. Rooms of one height are strangers to each other."""

HARMLESS: Final = frozenset(
    {"__future__", "abc", "bisect", "collections", "contextlib", "dataclasses", "enum", "fractions", "functools"}
    | {
        "fnmatch",
        "hashlib",
        "heapq",
        "hmac",
        "ipaddress",
        "itertools",
        "json",
        "math",
        "operator",
        "re",
        "statistics",
        "string",
    }
    | {"struct", "types", "typing", "automat", "blake3", "zope"}
)
"""What a pure module may import from elsewhere: values in, values out. Whatever isn't listed is forbidden."""


def pure_modules() -> list[str]:
    """The paths of the pure modules, from the one list of them that there is."""
    lines = (ROOT / "test" / "pure_modules.txt").read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def dotted(path: str) -> str:
    """The name of the module at a path: ``p2p.link.mux`` for ``p2p/link/mux.py``."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imported(source: str, path: str) -> Iterator[tuple[int, str]]:
    """Every import of a module, wherever it stands, as its line and the whole dotted name."""
    package = dotted(path).split(".")
    if not path.endswith("/__init__.py"):
        package = package[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def wrong_directions(source: str, path: str) -> list[str]:
    """Every import that goes up, or to a stranger of the same height, as ``path:line: why``."""
    room = _room(dotted(path))
    if room not in RANKS and path != "p2p/__init__.py":
        return [f"{path}:1: the room {room} has no place in RANKS of test/test_imports.py"]
    return [
        f"{path}:{line}: {room} imports {name}, but must not know {_room(name)}"
        for line, name in imported(source, path)
        if name.split(".")[0] == "p2p"
        and _room(name) in RANKS
        and _room(name) != room
        and RANKS[_room(name)] >= RANKS.get(room, 0)
    ]


def circles(sources: Mapping[str, str]) -> list[list[str]]:
    """Every circle of modules that import each other, by the sources of all modules at their paths."""
    modules = {dotted(path) for path in sources}
    known = {
        dotted(path): {module for _, name in imported(source, path) if (module := _longest(name, modules))}
        for path, source in sources.items()
    }
    found: list[list[str]] = []
    done: set[str] = set()

    def visit(module: str, way: list[str]) -> None:
        if module in way:
            found.append([*way[way.index(module) :], module])
        elif module not in done:
            for other in sorted(known[module] - {module}):
                visit(other, [*way, module])
            done.add(module)

    for module in sorted(modules):
        visit(module, [])
    return found


def _longest(name: str, modules: AbstractSet[str]) -> str:
    """The module that an imported name is of, or is; empty for what isn't ours. A package's own name is no module."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def impurities(source: str, path: str, pure: list[str]) -> list[str]:
    """Every import of a pure module that isn't harmless or pure itself, as ``path:line: why``."""
    allowed = {dotted(module) for module in pure} | HARMLESS
    return [
        f"{path}:{line}: a pure module imports {name}"
        for line, name in imported(source, path)
        if not any(name == one or name.startswith(f"{one}.") for one in allowed)
    ]


def _room(module: str) -> str:
    """The second part of a dotted name; what the package itself offers, such as its version, is in no room."""
    return module.partition(".")[2].partition(".")[0]


class ImportTests(SynchronousTestCase):
    """The source of p2p as it is."""

    def test_direction(self) -> None:
        """No module of p2p imports from a room above its own, nor from another one of the same height."""
        paths = sorted((ROOT / "p2p").rglob("*.py"))
        self.assertGreater(len(paths), 20)
        found = [wrong_directions(path.read_text("utf-8"), path.relative_to(ROOT).as_posix()) for path in paths]
        self.assertEqual([], list(chain.from_iterable(found)))

    def test_circles(self) -> None:
        """No module of p2p imports itself by way of others."""
        paths = sorted((ROOT / "p2p").rglob("*.py"))
        self.assertEqual([], circles({path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in paths}))

    def test_purity(self) -> None:
        """Every module that is listed as pure exists and imports only what is harmless or pure itself."""
        pure = pure_modules()
        found = [impurities((ROOT / path).read_text("utf-8"), path, pure) for path in pure]
        self.assertEqual([], list(chain.from_iterable(found)))

    def test_one_plugin_file(self) -> None:
        """No ``__init__.py`` lies below twisted/: in a wheel it would replace Twisted's own."""
        self.assertEqual([], list((ROOT / "twisted").rglob("__init__.py")))


class DirectionCheckerTests(SynchronousTestCase):
    """The check of directions itself."""

    def refused(self, path: str, *sources: str) -> None:
        """Each source, as the module at ``path``, has exactly one wrong import."""
        for source in sources:
            self.assertEqual(1, len(wrong_directions(source, path)), source)

    def test_down(self) -> None:
        """Imports from below, from the same room and from outside p2p are right."""
        source = """
            import os, p2p
            import p2p.base.errors
            from p2p import __version__
            from p2p.exchange.message import Head
            from p2p.router.table import Entry
            from . import table
            from ..link import mux
            from twisted.internet import reactor
        """
        self.assertEqual([], wrong_directions(_outdented(source), "p2p/router/broker.py"))

    def test_up(self) -> None:
        """An import from above is found in every form that Python has for it."""
        self.refused(
            "p2p/link/mux.py",
            "import p2p.router.table",
            "import os, p2p.exchange",
            "from p2p import exchange",
            "from p2p.exchange.message import Head",
            "from .. import exchange",
            "from ..exchange import message",
            "def later():\n    from p2p.cli import main",
            "if TYPE_CHECKING:\n    from p2p.peer.service import Peer",
        )

    def test_up_from_the_ground(self) -> None:
        """The lowest room knows no other, and the package itself knows none at all."""
        self.refused("p2p/base/names.py", "import p2p.control.commands", "from ..control import commands")
        self.refused("p2p/__init__.py", "from .cli import main", "from p2p.base.errors import P2PError")

    def test_strangers(self) -> None:
        """Rooms of one height don't import each other: neither router and peer, nor link and control."""
        self.refused("p2p/router/service.py", "from p2p.peer.service import Peer")
        self.refused("p2p/peer/service.py", "import p2p.router", "from ..router import table")
        self.refused("p2p/link/mux.py", "from p2p.control.commands import Register")

    def test_unknown_room(self) -> None:
        """A new room must be given its height."""
        self.refused("p2p/attic/box.py", "import os")
        self.refused("p2p/attic/__init__.py", "")
        self.refused("p2p/attic.py", "")


class CircleCheckerTests(SynchronousTestCase):
    """The check for circles itself."""

    def test_none(self) -> None:
        """Modules that import downwards only, however often, are no circle."""
        sources = {
            "p2p/a.py": "from p2p import b, c",
            "p2p/b.py": "from p2p.c import C",
            "p2p/c.py": "import os",
        }
        self.assertEqual([], circles(sources))

    def test_circle(self) -> None:
        """A circle is found with the modules on its way, also where an import stands in a function."""
        sources = {
            "p2p/a.py": "from p2p.b import B",
            "p2p/b.py": "def later():\n    from p2p import c",
            "p2p/c.py": "import p2p.a",
        }
        self.assertEqual([["p2p.a", "p2p.b", "p2p.c", "p2p.a"]], circles(sources))


class PurityCheckerTests(SynchronousTestCase):
    """The check of purity itself."""

    PURE: Final = ["p2p/base/errors.py", "p2p/link/mux.py"]

    def test_harmless(self) -> None:
        """A pure module imports what computes, and other pure modules."""
        source = """
            from __future__ import annotations
            import collections.abc, re
            import p2p.base.errors
            from dataclasses import dataclass
            from zope.interface import Interface
            from p2p.base.errors import P2PError
            from p2p.link import mux
        """
        self.assertEqual([], impurities(_outdented(source), "p2p/base/ticket.py", self.PURE))

    def test_acting(self) -> None:
        """What touches the world is found, also inside functions and for type checkers alone."""
        acting = "twisted.internet socket time os os.path pathlib random secrets threading asyncio importlib subprocess"
        for name in acting.split():
            source = f"def later():\n    import {name}\nif TYPE_CHECKING:\n    from {name} import anything"
            self.assertEqual(2, len(impurities(source, "p2p/base/ticket.py", self.PURE)), name)

    def test_impure_neighbours(self) -> None:
        """A pure module can't reach the world through a module of p2p that isn't pure."""
        for source in ("from p2p.link import flow", "from . import flow", "import p2p.linkage", "from p2p import link"):
            self.assertEqual(1, len(impurities(source, "p2p/base/ticket.py", self.PURE)), source)


def _outdented(source: str) -> str:
    return "\n".join(line.strip() for line in source.splitlines())
