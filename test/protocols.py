"""Classes against the interfaces that they are to have (``typing.Protocol``), as ``verifyClass`` is for zope's."""

from __future__ import annotations

import inspect

__all__ = ["lacking"]


def lacking(protocol: type, *classes: type) -> list[str]:
    """What classes don't have of a protocol: methods with other parameters, too, but not what instances alone have."""
    wanted = {name: one for name, one in vars(protocol).items() if not name.startswith("_")}
    found: list[str] = []
    for each in classes:
        for name, one in wanted.items():
            own = inspect.getattr_static(each, name, None)
            if inspect.isfunction(one) and _parameters(own) != _parameters(one):
                found.append(f"{each.__name__}.{name}")
    return found


def _parameters(function: object) -> list[tuple[str, object]]:
    """The names of the parameters and how each is given; none of what can't be called."""
    if not inspect.isfunction(function):
        return []
    return [(one.name, one.kind) for one in inspect.signature(function).parameters.values()]
