"""The tables of look-ups, links, drops and daemons."""

from __future__ import annotations

from typing import Final

from p2p.measure.results import Drops
from p2p.report import formats
from p2p.report.document import INTERVALS, Table, table
from p2p.report.formats import NOTHING
from p2p.report.subject import Subject

__all__ = ["causes", "daemons", "drops", "legs", "look_ups", "round_trips", "tcp"]


def look_ups(subject: Subject) -> Table | None:
    """Show the look-up time against the size of the table."""
    if not subject.analysis.lookups:
        return None
    return table(
        "Routing-table look-up time",
        ["entries in the table", "one look-up (95 % interval)", "batches"],
        [
            (formats.count(one.table_size), formats.spread(one.estimate, "ns"), formats.count(one.estimate.n))
            for one in subject.analysis.lookups
        ],
        left=0,
    )


_LEGS: Final = (
    ("listen_ns", "listen"),
    ("instruct_ns", "routers' answer"),
    ("dial_ns", "dial"),
    ("tls_ns", "TLS"),
    ("ticket_ns", "ticket"),
    ("setup_ns", "whole set-up"),
)


def legs(subject: Subject) -> Table | None:
    """Show the median of each leg of the set-up, by the number of pairs that set up at once."""
    found = {(one.figure, one.pairs): one for one in subject.analysis.links}
    whole = subject.links("setup_ns")
    if not whole:
        return None

    def median(figure: str, pairs: int) -> str:
        one = found.get((figure, pairs))
        return NOTHING if one is None or one.estimate.median is None else formats.seconds(one.estimate.median / 1e9)

    return table(
        "Set-up of a direct link by legs, medians",
        ["pairs at once", "links", *(name for _, name in _LEGS), "its 99th percentile"],
        [
            (
                formats.count(one.pairs),
                formats.count(one.links),
                *(median(figure, one.pairs) for figure, _ in _LEGS),
                NOTHING if one.p99 is None else formats.seconds(one.p99 / 1e9),
            )
            for one in whole
        ],
        left=0,
        note="The medians of the legs don't add up to the median of the whole. Dial is 0 where the other peer's "
        "connection came before the routers' answer.",
    )


def round_trips(subject: Subject) -> Table | None:
    """Show what a look-up takes in the running routers, and what the peer sees of it."""
    return _by_pairs(
        subject,
        "Look-ups in the run",
        {
            "routing-table look-up": ("table_lookup_ns", "ns"),
            "router to router": ("router_lookup_ns", "ns"),
            "seen by the peer": ("instruct_ns", "ns"),
        },
        f"{INTERVALS} Router to router: there and back. Seen by the peer: from asking its router to the answer.",
    )


def tcp(subject: Subject) -> Table | None:
    """Show what TCP saw of the links."""
    return _by_pairs(
        subject,
        "TCP's round trip, and segments sent again",
        {"TCP round trip": ("rtt_us", "µs"), "segments sent again, all links": ("retransmits", "")},
        f"{INTERVALS} The round trip is TCP's own smoothed one at the end of a block, when the link was busy "
        "(TCP_INFO).",
    )


def _by_pairs(subject: Subject, caption: str, figures: dict[str, tuple[str, str]], note: str) -> Table | None:
    """Show figures of links, by the number of pairs that set up at once; without a unit, their sum."""
    found = {(one.figure, one.pairs): one for one in subject.analysis.links}
    wanted = {figure for figure, _ in figures.values()}
    pairs = sorted({number for figure, number in found if figure in wanted})
    if not pairs:
        return None

    def cell(figure: str, number: int, unit: str) -> str:
        one = found.get((figure, number))
        if one is None:
            return NOTHING
        return formats.spread(one.estimate, unit) if unit else formats.number(one.total)

    rows = [
        (
            formats.count(number),
            formats.count(max(one.links for (_, pairs_), one in found.items() if pairs_ == number)),
            *(cell(figure, number, unit) for figure, unit in figures.values()),
        )
        for number in pairs
    ]
    return table(caption, ["pairs at once", "links", *figures], rows, left=0, note=note)


def drops(subject: Subject) -> Table:
    """Show what was offered and what was lost, by arm and content."""
    order = ("", *subject.arms)
    return table(
        "Message drops by arm and content",
        ["arm", "content", "offered", "ok", "refused", "dropped", "share dropped, 95 %"],
        [
            (
                one.arm or "whole run",
                one.condition or "all",
                *map(formats.count, (one.offered, one.ok, one.refused, one.dropped.count)),
                formats.share_interval(one.dropped),
            )
            for one in sorted(subject.analysis.drops, key=lambda one: order.index(one.arm))
        ],
        left=2,
    )


def causes(total: Drops) -> Table:
    """Show the drops of the run by cause, those that didn't happen included."""
    return table(
        "Message drops of the whole run by cause",
        ["cause", "messages", "share, 95 % interval"],
        [(cause, formats.count(one.count), formats.share_interval(one)) for cause, one in total.causes.items()],
        note="Intervals of Clopper and Pearson; they take messages for independent. None of n gives at most 3/n.",
    )


def daemons(subject: Subject) -> Table | None:
    """Show what each daemon held."""
    if not subject.analysis.daemons:
        return None
    return table(
        "What the daemons held",
        ["daemon", "role", "sockets at first", "at most", "at last", "processor time", "of one processor", "memory"],
        [
            (
                one.daemon,
                one.role,
                *map(formats.count, (one.sockets_first, one.sockets_most, one.sockets_last)),
                formats.seconds(one.cpu_s),
                formats.percent(one.cpu_share),
                formats.bytes_(one.rss_bytes_most),
            )
            for one in sorted(subject.analysis.daemons, key=lambda one: (one.role != "router", one.role, one.daemon))
        ],
        left=2,
        note="From the first reading to the last. Memory is the most that a daemon held (resident set).",
    )
