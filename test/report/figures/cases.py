"""Runs to draw, made up, with their analyses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from matplotlib.text import Text

from p2p.measure.analysis import analyse
from p2p.measure.block_figures import frames
from p2p.measure.raw_data import BLOCKS, DAEMONS, LINKS, LOOKUPS, SAMPLES, Placement, RunFacts
from p2p.measure.raw_reader import RawRun
from p2p.measure.results import Analysis
from p2p.report.figures import LIGHT
from p2p.report.figures.output import Picture, drawing
from test.measure.synthetic_run import Synthetic

__all__ = ["LAB", "analysed", "columns", "drawn", "empty", "merged", "run", "said", "shown", "small", "without"]

LAB = (
    Placement(what="coordinator.n, coordinator", where="pc00.lab"),
    Placement(what="n1.n, daemon n1", where="pc01.lab.example"),
    Placement(what="m1.m, daemon m1", where="pc02.lab.example"),
)

Make = Callable[[RawRun, Analysis], Picture | None]


def run(**how: Any) -> RawRun:
    """Make a small run; ``facts`` and ``plan`` are put into it."""
    given: dict[str, Any] = {
        "conditions": ("text", "audio", "text-as-audio"),
        "sizes": (1024, 65536),
        "repetitions": 5,
        "pairs": 2,
        "exchanges": 4,
    }
    facts, plan = how.pop("facts", RunFacts(seed=1)), how.pop("plan", "")
    return replace(Synthetic(**(given | how)).run(), facts=facts, plan=plan)


def merged(*runs: RawRun) -> RawRun:
    """Put several runs into one; their blocks must have different numbers."""
    tables: dict[str, Any] = {
        name: {
            column: [value for one in runs for value in getattr(one, name)[column]] for column in getattr(runs[0], name)
        }
        for name in ("samples", "links", "blocks", "lookups", "daemons")
    }
    return replace(runs[0], **tables)


def empty() -> RawRun:
    """Make a run of which nothing is there."""
    tables = {table: table.empty() for table in (SAMPLES, LINKS, BLOCKS, LOOKUPS, DAEMONS)}
    return replace(
        run(repetitions=1),
        samples=tables[SAMPLES],
        links=tables[LINKS],
        blocks=tables[BLOCKS],
        lookups=tables[LOOKUPS],
        daemons=tables[DAEMONS],
    )


def analysed(made: RawRun) -> Analysis:
    """Analyse a run with few resamples."""
    return analyse(frames(made), margin=made.facts.margin, seed=1, resamples=20)


@cache
def small() -> tuple[RawRun, Analysis]:
    """Make a small run with its analysis, once."""
    made = run()
    return made, analysed(made)


def drawn(make: Make, made: RawRun, analysis: Analysis) -> tuple[Picture, Any]:
    """Draw a picture that must be there; what can be asked of a figure has too many types to be told."""
    picture = make(made, analysis)
    assert picture is not None
    return picture, shown(picture)


def shown(picture: Picture) -> Any:
    """Draw a picture without writing it anywhere."""
    with drawing(picture, LIGHT) as figure:
        return figure


def said(figure: Any) -> list[str]:
    """Collect the texts of a figure: titles, axes, ticks, legends, notes."""
    texts = [text.get_text() for text in figure.findobj(Text)]
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            texts += axis.get_major_formatter().format_ticks(axis.get_majorticklocs())
    return [text for text in texts if text]


def columns(made: RawRun, **changes: Mapping[str, list[Any]]) -> RawRun:
    """Change whole columns of tables: ``daemons={"t_ns": [1, 2]}``."""
    tables: dict[str, Any] = {table: {**getattr(made, table), **new} for table, new in changes.items()}
    return replace(made, **tables)


def without(analysis: Analysis, *figures: str) -> Analysis:
    """Take figures of the links out."""
    return replace(analysis, links=tuple(one for one in analysis.links if one.figure not in figures))
