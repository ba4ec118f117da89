"""What a figure of the report is, before anybody draws it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from p2p.report.figures.theme import Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Picture"]


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure: what it is about, in words, and how to draw it.

    :ivar name: the id in the page, and part of file names.
    :ivar question: the question that it answers.
    :ivar caption: what is shown, what the marks are, and how many blocks it rests on.
    :ivar alt: the same for somebody who can't see it, with the main figures.
    :ivar draw: draws it in a theme, as a figure of matplotlib.
    """

    name: str
    question: str
    caption: str
    alt: str
    draw: Callable[[Theme], Figure]
