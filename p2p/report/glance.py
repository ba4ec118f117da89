"""The tables at the top: what a course asks for, under the names that a course gives it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from p2p.measure.results import Drops, LinkFigures
from p2p.report import formats
from p2p.report.document import Table, table
from p2p.report.formats import NOTHING
from p2p.report.subject import Subject

__all__ = ["links_at_a_glance", "messages_at_a_glance"]

SIDE_BY_SIDE: Final = 4
"""More arms than these have no column each."""

_Cell = Callable[[str], str]


def messages_at_a_glance(subject: Subject) -> Table:
    """Show message size, transmission time, bytes per second, drops and cycle time: of the run, and of each arm."""
    arms = subject.arms if 1 < len(subject.arms) <= SIDE_BY_SIDE else ()
    scopes = ("", *arms)
    return table(
        "Measurements of messages",
        ["measurement", "whole run", *(f"arm {arm}" for arm in arms)],
        [(name, *(cell(scope) for scope in scopes)) for name, cell in _cells(subject)],
        note="A message and its reply are an exchange. Transmission time, or latency: from the moment for which a "
        "message was planned to the last byte of its reply, by the initiator's clock alone. Cycle time: from one "
        "message of a pair to its next, in the closed loop. Times and bytes per second, request and reply together, "
        "are medians over blocks of all sizes and numbers of pairs; the sections below take them apart.",
    )


def _cells(subject: Subject) -> Iterator[tuple[str, _Cell]]:
    drops: dict[str, Drops] = {one.arm: one for one in subject.analysis.drops if not one.condition}

    def metric(name: str, write: Callable[[float | None], str]) -> _Cell:
        return lambda arm: write(subject.typical(name, arm))

    def message(write: Callable[[float, float], float]) -> _Cell:
        def cell(arm: str) -> str:
            found = subject.messages.get(arm)
            return NOTHING if found is None else formats.bytes_(write(found.sent, found.replied))

        return cell

    yield "Messages offered", lambda arm: formats.count(drops[arm].offered)
    yield "Average message size", message(lambda sent, replied: sent)
    yield "Average size of the reply", message(lambda sent, replied: replied)
    yield "Transmission time, median", metric("latency_s", formats.seconds)
    yield "Time to the first byte of the reply", metric("first_byte_s", formats.seconds)
    yield "Cycle time", metric("cycle_s", formats.seconds)
    yield "Bytes per second, all pairs", metric("throughput_bytes_per_s", formats.rate)
    yield "Bytes per second, one initiator", metric("pair_bytes_per_s", formats.rate)
    yield "Message drops", lambda arm: formats.count(drops[arm].dropped.count)
    yield "Share of message drops, 95 %", lambda arm: formats.share_interval(drops[arm].dropped)


def links_at_a_glance(subject: Subject) -> Table | None:
    """Show the three look-up times and the set-up; None if the run has neither."""
    rows = []
    found = subject.analysis.lookups
    for one in dict.fromkeys((*found[:1], *found[-1:])):
        name = f"Routing-table look-up time, table of {formats.counted(one.table_size, 'entry', 'entries')}"
        rows.append((name, formats.spread(one.estimate, "ns"), NOTHING))
    for figure, name in (
        ("table_lookup_ns", "Routing-table look-up time, in the running router"),
        ("router_lookup_ns", "Look-up from router to router, there and back"),
        ("setup_ns", "Set-up of a direct link"),
    ):
        links = subject.links(figure)
        rows += [
            (f"{name}, {_at_once(each)}", formats.spread(each.estimate, "ns"), _p99(each))
            for each in dict.fromkeys((*links[:1], *links[-1:]))
        ]
    if not rows:
        return None
    return table(
        "Measurements of look-ups and of the set-up",
        ["measurement", "median (95 % interval)", "99th percentile"],
        rows,
        note="Table sizes and numbers of pairs are the smallest and the largest of the run.",
    )


def _at_once(one: LinkFigures) -> str:
    return f"{formats.counted(one.pairs, 'pair')} at once"


def _p99(one: LinkFigures) -> str:
    return formats.NOTHING if one.p99 is None else formats.seconds(one.p99 / 1e9)
