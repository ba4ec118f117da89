"""What the figures of look-ups, links, drops and daemons show, in sentences. Each has its condition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from p2p.measure.results import LinkFigures
from p2p.measure.verdicts import LevelRatio
from p2p.report import formats
from p2p.report.subject import Subject

__all__ = ["about_drops", "about_links", "about_look_ups", "about_resources", "about_sampling", "about_tcp"]

FLAT: Final = 0.1
"""Growth by less than this share of proportion hardly depends on what grew."""

_LEGS: Final = {
    "listen_ns": "the fresh listening socket",
    "instruct_ns": "the routers' answer",
    "dial_ns": "the TCP connection",
    "tls_ns": "the TLS handshake",
    "ticket_ns": "the ticket",
}


def about_look_ups(subject: Subject) -> Iterator[str]:
    """Say how the look-up grows with the table, and what part of the routers' question it is."""
    found = [one for one in subject.analysis.lookups if one.estimate.median and one.table_size > 0]
    if len(found) > 1:
        first, last = found[0], found[-1]
        by = (last.estimate.median or 0.0) / (first.estimate.median or 1.0)
        larger = last.table_size / first.table_size
        text = (
            f"In a table of {formats.counted(last.table_size, 'entry', 'entries')} a look-up takes "
            f"{formats.spread(last.estimate, 'ns')}, {formats.times(by)} that in a table of "
            f"{formats.count(first.table_size)}"
        )
        yield (
            f"{text}, which has {formats.times(larger)} fewer: the look-up grows far less than the table."
            if by < FLAT * larger
            else f"{text}."
        )
    running = [one for one in subject.links("table_lookup_ns") if one.estimate.median]
    if running and found and (running[0].estimate.median or 0.0) > 3 * max(one.estimate.median or 0.0 for one in found):
        yield (
            f"In the running router a look-up takes {formats.spread(running[0].estimate, 'ns')} with "
            f"{formats.counted(running[0].pairs, 'pair')} at once, longer than in any of these tables: there it is one "
            "step among other work, which leaves neither table nor code in the processor's caches."
        )
    tables = {one.pairs: one.estimate.median for one in subject.links("table_lookup_ns")}
    for one in subject.links("router_lookup_ns")[:1]:
        whole, table = one.estimate.median, tables.get(one.pairs)
        if whole and table and table < FLAT * whole:
            yield (
                f"Of the question from router to router, {formats.seconds(whole / 1e9)} with "
                f"{formats.counted(one.pairs, 'pair')} at once, the look-up in the table is "
                f"{formats.percent(table / whole)}: what takes time is the way between the routers, not the table."
            )


def about_links(subject: Subject) -> Iterator[str]:
    """Say how long a set-up takes, what of it takes longest, and what more pairs do to it."""
    whole = [one for one in subject.links("setup_ns") if one.estimate.median]
    if not whole:
        return
    few, many = whole[0], whole[-1]
    yield f"A direct link stands {_after(few)}{f', and {_after(many)}' if few is not many else ''}."
    longest = [leg.figure for one in whole if (leg := _longest(subject, one.pairs)) is not None]
    if longest and len(set(longest)) == 1:
        yield (
            f"Of its legs {_LEGS[longest[0]]} takes longest{' at every number of pairs' if len(longest) > 1 else ''}."
        )


def _after(one: LinkFigures) -> str:
    return f"after {formats.spread(one.estimate, 'ns')} with {formats.counted(one.pairs, 'pair')} at once"


def _longest(subject: Subject, pairs: int) -> LinkFigures | None:
    legs = (one for one in subject.analysis.links if one.pairs == pairs and one.figure in _LEGS)
    return max(legs, key=lambda one: one.estimate.median or 0.0, default=None)


def about_drops(subject: Subject) -> Iterator[str]:
    """Say how many messages were lost, and by what."""
    total = subject.total
    lost = total.dropped
    if lost.of == 1 and not lost.count:
        yield "The one message wasn't dropped, which says next to nothing about the share of drops."
    elif not lost.count:
        yield (
            f"None of {formats.counted(lost.of, 'message')} was dropped; with 95 % confidence the share of drops is at "
            f"most {formats.percent(lost.high)}."
        )
    else:
        yield (
            f"{formats.count(lost.count)} of {formats.counted(lost.of, 'message')} {_were(lost.count)} "
            f"dropped, {formats.percent(lost.share)} (95 % interval {formats.percent(lost.low)} to "
            f"{formats.percent(lost.high)})."
        )
        causes = sorted((one for one in total.causes.items() if one[1].count), key=lambda one: -one[1].count)
        named = formats.listed([f"{cause} {formats.count(one.count)}" for cause, one in causes])
        yield f"By cause: {named}."
    if total.refused:
        yield f"{formats.counted(total.refused, 'message')} {_were(total.refused)} refused, which is no drop."
    yield "In every block the outcomes add up to what was offered: no message is unaccounted for."


def about_tcp(subject: Subject) -> Iterator[str]:
    """Say how often the kernel sent something again, and what that means on one machine."""
    again = subject.links("retransmits")
    total, links = sum(one.total for one in again), sum(one.links for one in again)
    if not again:
        return
    if not total:
        yield f"TCP sent no segment again on {formats.counted(links, 'link')}."
        return
    yield (
        f"TCP sent {formats.counted(round(total), 'segment')} again on {formats.counted(links, 'link')}, "
        f"{formats.number(total / links)} on average."
    )
    if subject.is_one_machine:
        yield (
            "On one machine nothing gets lost on the way: the kernel sends a segment again when its acknowledgement is "
            "late, because the receiving process waits for a processor or its buffer is full."
        )


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def about_resources(subject: Subject) -> Iterator[str]:
    """Say which daemon held most, and whether sockets were given back."""
    found = subject.analysis.daemons
    if not found:
        return
    memory = max(found, key=lambda one: one.rss_bytes_most)
    yield f"The most memory was held by {memory.daemon}: {formats.bytes_(memory.rss_bytes_most)}."
    busy = [one for one in found if one.cpu_share is not None]
    if busy:
        most = max(busy, key=lambda one: one.cpu_share or 0.0)
        yield f"The most processor time was used by {most.daemon}: {formats.percent(most.cpu_share)} of one processor."
    routers = [one for one in found if one.role == "router"]
    if routers and all(one.sockets_most <= one.sockets_first for one in routers):
        yield "No router held more sockets than at first: the direct links are none of theirs."
    sockets = max(found, key=lambda one: one.sockets_most - one.sockets_first)
    if sockets.sockets_most > sockets.sockets_first:
        yield (
            f"The open sockets of {sockets.daemon} went from {formats.count(sockets.sockets_first)} to at most "
            f"{formats.count(sockets.sockets_most)}, and were {formats.count(sockets.sockets_last)} at the last "
            "reading."
        )


def about_sampling(subject: Subject) -> Iterator[str]:
    """Say what sampling costs."""
    verdict = subject.analysis.sampling
    found = None if verdict is None else verdict.farthest
    if verdict is None or found is None:
        return
    _, level = found
    margin = formats.percent(verdict.margin)
    if verdict.outcome == "equivalent":
        yield f"Sampling costs less than {margin} of throughput: with it, throughput is {_times(level)} that without."
    elif verdict.outcome == "inconclusive":
        yield (
            f"Whether sampling costs less than {margin} of throughput remains open: with it, throughput is "
            f"{_times(level)} that without."
        )
    elif level.ratio < 1:
        yield f"Sampling costs throughput: with it, it is {_times(level)} that without."
    else:
        yield f"With sampling, throughput is {_times(level)} that without: sampling itself can't have made it higher."


def _times(level: LevelRatio) -> str:
    return f"{formats.ratio(level.ratio)} times (95 % interval {formats.interval(level.low, level.high)})"
