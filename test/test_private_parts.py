"""Private parts of other projects are used in ``p2p/wire`` alone, and each is named there."""

from __future__ import annotations

import ast
import inspect
import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

from twisted.trial.unittest import SynchronousTestCase

import p2p
from p2p.wire.private import PARTS

ROOT: Final = Path(__file__).resolve().parents[1]

DOCUMENTED: Final = frozenset({"_asdict", "_field_defaults", "_fields", "_make", "_replace", "_name_", "_value_"})
"""What has an underscore and is documented all the same, of named tuples and enumerations."""

BINDINGS: Final = "cryptography.hazmat.bindings"
"""Modules below this have public names and are private: cryptography promises nothing of them."""


class Use(NamedTuple):
    """Where something private is used.

    :ivar name: of it; with the class that has it before it where that is known.
    """

    line: int
    name: str


def is_private(name: str) -> bool:
    """Whether a name is for its owner alone."""
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__")) and name not in DOCUMENTED


def defined_in(tree: ast.AST) -> set[str]:
    """The private names that a source gives a meaning to: functions, variables, attributes of instances."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node.value):
            found.add(node.attr)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name)
    return {name for name in found if is_private(name)}


def of_others(source: str) -> Iterator[Use]:
    """Every private name that a source takes from an object or a module that isn't its own.

    What is asked of ``self``, ``cls`` and ``super()`` is left to :func:`of_bases`. A name that the source itself
    defines is its own, whatever it is asked of: modules know the insides of their own classes.
    """
    tree = ast.parse(source)
    own = defined_in(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            if not _is_self(node.value) and node.attr not in own:
                yield Use(node.lineno, node.attr)
        elif isinstance(node, ast.Import):
            yield from (Use(node.lineno, alias.name) for alias in node.names if _is_private_path(alias.name))
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module or ''}.{alias.name}" for alias in node.names]
            yield from (Use(node.lineno, name) for name in names if _is_private_path(name))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "setattr"):
            named = node.args[1] if len(node.args) > 1 else None
            if isinstance(named, ast.Constant) and is_private(str(named.value)) and named.value not in own:
                yield Use(node.lineno, str(named.value))


def of_bases(kind: type) -> Iterator[Use]:
    """Every private name of a foreign base that a class uses, or takes for something of its own."""
    tree = _source(kind)
    assert tree is not None, kind
    for base in kind.__mro__[1:]:
        if base.__module__.split(".")[0] in ("p2p", "builtins", "typing") or (theirs := _source(base)) is None:
            continue
        names = defined_in(theirs)
        for node in ast.walk(tree):
            name = None
            if isinstance(node, ast.Attribute) and _is_self(node.value):
                name = node.attr
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                name = node.name
            if name in names:
                yield Use(getattr(node, "lineno", 0), f"{base.__module__}.{base.__qualname__}.{name}")


def bindings_used(source: str) -> Iterator[str]:
    """The names of OpenSSL's own functions and numbers in a source that has them as ``_lib``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "_lib":
            yield node.attr


def _source(kind: type) -> ast.ClassDef | None:
    """The source of a class; None where it has none: built in, or made while the program runs."""
    return _sources(kind.__module__).get(kind.__qualname__)


@cache
def _sources(module: str) -> dict[str, ast.ClassDef]:
    """The sources of the classes of a module, by their qualified names."""
    try:
        tree = ast.parse(inspect.getsource(import_module(module)))
    except (OSError, TypeError):
        return {}
    found: dict[str, ast.ClassDef] = {}

    def look(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                found[prefix + child.name] = child
                look(child, f"{prefix}{child.name}.")
            elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                look(child, prefix)

    look(tree, "")
    return found


def _is_self(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "super"
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def _is_private_path(name: str) -> bool:
    return any(map(is_private, name.split("."))) or name.startswith(BINDINGS)


def modules() -> Iterator[Any]:
    """Every module of p2p."""
    for found in pkgutil.walk_packages(p2p.__path__, "p2p."):
        if not found.ispkg:
            yield import_module(found.name)


def classes(module: Any) -> Iterator[type]:
    """The classes of a module that have a source in it."""
    for kind in vars(module).values():
        if isinstance(kind, type) and kind.__module__ == module.__name__ and _source(kind) is not None:
            yield kind


class PrivatePartsTests(SynchronousTestCase):
    """The source of p2p as it is."""

    def test_wire_alone(self) -> None:
        """No module outside ``p2p/wire`` uses anything private of another project, nor of another module."""
        found = []
        for module in modules():
            if module.__name__.startswith("p2p.wire."):
                continue
            uses = [*of_others(inspect.getsource(module)), *(use for kind in classes(module) for use in of_bases(kind))]
            found += [f"{module.__name__}:{line}: {name}" for line, name in uses]
        self.assertEqual([], found)

    def test_all_named(self) -> None:
        """``p2p/wire`` names each private part that it uses, and none that it doesn't."""
        used: set[str] = set()
        others: set[str] = set()
        for module in modules():
            if module.__name__.startswith("p2p.wire."):
                source = inspect.getsource(module)
                used |= {use.name for kind in classes(module) for use in of_bases(kind)}
                used |= {f"{BINDINGS}.openssl.binding.Binding.lib.{name}" for name in bindings_used(source)}
                others |= {use.name for use in of_others(source)}
        self.assertEqual({f"{BINDINGS}.openssl.binding.Binding"}, others)
        named = {str(part) for part in PARTS} - {
            f"{BINDINGS}.openssl.binding.Binding.{name}" for name in ("ffi", "lib")
        }
        self.assertEqual(named, used)


class CheckerTests(SynchronousTestCase):
    """The check itself."""

    def names(self, source: str) -> list[str]:
        """What a source takes of others."""
        return [use.name for use in of_others(source)]

    def test_of_others(self) -> None:
        """Private names are found however they are got at."""
        for source, name in (
            ("x._y", "_y"),
            ("x._y = 1", "_y"),
            ("x._y: int = 1", "_y"),
            ("a.b()._y[0]", "_y"),
            ("getattr(x, '_y', None)", "_y"),
            ("setattr(x, '_y', None)", "_y"),
            ("import a._b", "a._b"),
            ("from a import _b as b", "a._b"),
            ("def f():\n    from a._b import c", "a._b.c"),
            ("from cryptography.hazmat.bindings.openssl import binding", f"{BINDINGS}.openssl.binding"),
        ):
            self.assertEqual([name], self.names(source), source)

    def test_own(self) -> None:
        """What a module defines is its own, and so is what is documented or has two underscores at each end."""
        for source in (
            "class A:\n    def _f(self): pass\n    def g(self, other): other._f()",
            "class A:\n    def __init__(self):\n        self._x = 1\ndef f(a): return a._x",
            "x._replace(y=1).__class__",
            "import a.b\nfrom cryptography.hazmat.primitives import hashes\na.b.c",
            "getattr(x, name), getattr(x, 'y')",
        ):
            self.assertEqual([], self.names(source), source)

    def test_of_bases(self) -> None:
        """What a class asks of a foreign base, overrides, or names as something of it is named, is found."""
        base = Foreign
        self.assertEqual([], list(of_bases(Harmless)))
        found = sorted(use.name.removeprefix(f"{base.__module__}.Foreign.") for use in of_bases(Meddling))
        self.assertEqual(["_at_once", "_count", "_told"], found)

    def test_bindings(self) -> None:
        """OpenSSL's own functions are found by their names."""
        self.assertEqual(["SSL_read"], list(bindings_used("x = _lib.SSL_read(1)\ny = lib.z")))


class Foreign:
    """Stands for a class of another project."""

    _at_once = False

    def __init__(self) -> None:
        self._count = 0

    def _told(self) -> None:
        """Private."""


class Harmless(Foreign):
    """Has private names of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._number = 1

    def look(self) -> int:
        """Its own."""
        return self._number


class Meddling(Foreign):
    """Uses all that is private of its base: reads, writes, overrides."""

    def look(self) -> bool:
        """Read."""
        return self._at_once

    def meddle(self) -> None:
        """Write."""
        self._count = 1

    def _told(self) -> None:
        """Override."""
