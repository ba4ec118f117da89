"""The colours of the figures, light and dark, and how each content type looks everywhere.

The series are the colours of Okabe and Ito, which people with any kind of colour blindness tell apart, darkened or
lightened to stand out from the paper. Nothing rests on colour alone: each type has a marker and a line style too.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

__all__ = ["DARK", "LIGHT", "Look", "Theme", "look"]


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours by what they are for; each is ``#rrggbb``.

    :ivar paper: the ground.
    :ivar ink: text and marks that matter; ``soft``: what explains them; ``line``: grid; ``wash``: areas.
    :ivar equivalent: of a verdict, as ``differs`` and ``inconclusive``.
    :ivar text: of the content type, as ``audio`` to ``random``; ``other`` and ``another`` are for what has no name.
    :ivar step1: of the first of five steps that follow one another.
    """

    paper: str
    ink: str
    soft: str
    line: str
    wash: str
    equivalent: str
    differs: str
    inconclusive: str
    text: str
    audio: str
    video: str
    zeros: str
    random: str
    other: str
    another: str
    step1: str
    step2: str
    step3: str
    step4: str
    step5: str

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """What there are colours for."""
        return tuple(field.name for field in fields(cls))

    def color(self, name: str) -> str:
        """The colour for something."""
        found: str = getattr(self, name)
        return found


LIGHT: Final = Theme(
    paper="#ffffff",
    ink="#1d2329",
    soft="#59636e",
    line="#d5dbe1",
    wash="#e9edf1",
    equivalent="#00735c",
    differs="#c2410c",
    inconclusive="#6b7280",
    text="#0072b2",
    audio="#d55e00",
    video="#00906a",
    zeros="#6b7280",
    random="#b4569a",
    other="#8a6d00",
    another="#5b4db0",
    step1="#b9dcea",
    step2="#2b7fb4",
    step3="#f2b45c",
    step4="#b5541c",
    step5="#6b7280",
)

DARK: Final = Theme(
    paper="#14181c",
    ink="#e3e8ed",
    soft="#9aa6b2",
    line="#343c45",
    wash="#262e37",
    equivalent="#43c7a3",
    differs="#ff9461",
    inconclusive="#a3adb8",
    text="#56b4e9",
    audio="#ff9050",
    video="#2ecc9b",
    zeros="#a3adb8",
    random="#e39bc9",
    other="#d9c25a",
    another="#a79bf0",
    step1="#d0e9f3",
    step2="#3e9bd3",
    step3="#f0b95f",
    step4="#c9682f",
    step5="#8b95a1",
)


@dataclass(frozen=True, slots=True)
class Look:
    """How a content type or a control is drawn.

    :ivar color: the name of its colour in a theme.
    :ivar marker: of matplotlib, as ``dash`` is.
    :ivar is_hollow: whether its marker is an outline: a control under another label.
    """

    color: str
    marker: str
    dash: tuple[int, tuple[float, ...]]
    is_hollow: bool = False


_SOLID: Final[tuple[int, tuple[float, ...]]] = (0, ())
_DOTS: Final[tuple[int, tuple[float, ...]]] = (0, (1.0, 1.4))
_LOOKS: Final = {
    "text": Look("text", "o", _SOLID),
    "audio": Look("audio", "s", (0, (5.0, 1.6))),
    "video": Look("video", "^", (0, (5.0, 1.4, 1.2, 1.4))),
    "zeros": Look("zeros", "D", (0, (2.4, 1.4))),
    "random": Look("random", "P", (0, (3.0, 1.4, 1.0, 1.4, 1.0, 1.4))),
}


def look(condition: str) -> Look:
    """How a condition is drawn, always the same: a control under another label has the colour of its bytes."""
    base, _, label = condition.partition("-as-")
    found = _LOOKS.get(base)
    if found is None:
        other = sum(base.encode()) % 2
        found = Look(("other", "another")[other], ("v", "X")[other], _SOLID)
    if not label:
        return found
    marker = _LOOKS[label].marker if label in _LOOKS else "d"
    return Look(found.color, marker, _DOTS, is_hollow=True)
