"""An upgrade of another project that gives something private another name.

Only the standard library is used here, since daemons run this file, too: see ``test/functional/test_upgrades.py``.
"""

from __future__ import annotations

import re
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import module_from_spec
from types import CodeType, ModuleType
from typing import Any

__all__ = ["Upgrade", "install", "upgraded"]


class _Renaming(SourceFileLoader):
    """Loads the source of a module with a name changed wherever it stands."""

    def __init__(self, module: str, path: str, name: str) -> None:
        super().__init__(module, path)
        self._name = name

    def get_code(self, fullname: str) -> CodeType:
        """Compile the source anew, whatever was compiled before."""
        source = re.sub(rf"\b{self._name}\b", f"{self._name}_of_tomorrow", self.get_data(self.path).decode())
        return compile(source, self.path, "exec", dont_inherit=True)


class Upgrade(MetaPathFinder):
    """Finds one module as it is after the upgrade.

    :param module: its dotted name.
    :param name: what has another name then.
    """

    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self._name = name

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find that module, and leave all others to others."""
        spec = PathFinder.find_spec(fullname, path, target) if fullname == self._module else None
        if spec is not None:
            assert spec.origin is not None
            spec.loader = _Renaming(fullname, spec.origin, self._name)
        return spec


def upgraded(module: str, name: str) -> ModuleType:
    """The module as it is after the upgrade; the one that is loaded stays."""
    spec = Upgrade(module, name).find_spec(module, sys.modules[module.rpartition(".")[0]].__path__)
    assert spec is not None
    assert spec.loader is not None
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def install(module: str, name: str) -> None:
    """Let the module be loaded as it is after the upgrade, when it is loaded."""
    sys.meta_path.insert(0, Upgrade(module, name))
