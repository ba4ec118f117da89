"""The report of a run, section by section: the document that page and paper show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Protocol

from p2p.report import (
    broken_blocks,
    chapters,
    detail_findings,
    detail_tables,
    exchange_findings,
    exchange_tables,
    formats,
    glance,
    limits,
    link_findings,
    link_tables,
    setting,
    verdict_tables,
)
from p2p.report.discussion import about_content, discussion, overall
from p2p.report.document import NOTHING_ELSE, Answer, Document, FrontMatter, Graph, Items, Part, Section, Table, Text
from p2p.report.headlines import Headline, control, headline
from p2p.report.subject import Subject

__all__ = ["Drawn", "contents", "headlines"]


class Drawn(Protocol):
    """What the document says of a picture: ``p2p.report.figures.Picture``."""

    @property
    def name(self) -> str:
        """Which picture it is."""

    @property
    def caption(self) -> str:
        """What stands below it."""

    @property
    def alt(self) -> str:
        """What it shows, in words."""


def headlines(subject: Subject) -> tuple[Headline, ...]:
    """Answer the question of each arm, those that ask about content types first."""
    answers = [headline(result, subject.services(result.arm)) for result in subject.results]
    return tuple(sorted(answers, key=lambda one: one.outcome == "not asked"))


def contents(subject: Subject, pictures: Sequence[Drawn], front: FrontMatter = NOTHING_ELSE) -> Document:
    """Put the document together; a section without figures and tables is left out."""
    drawn = {one.name: one for one in pictures}
    answers = headlines(subject)
    said = [f"arm {one.arm}: {one.outcome}. {one.text}" for one in answers]
    sections = (
        _abstract(subject, answers),
        chapters.problem(subject),
        chapters.design(_graphs(drawn, "setup-diagram"), _graphs(drawn, "link-sequence")),
        Section(
            "method",
            "Method",
            sections=(setting.section(subject), chapters.measuring(subject), chapters.analysis(subject)),
        ),
        Section("results", "Results", sections=(_glance(subject), *_results(subject, drawn))),
        Section("discussion", "Discussion", tuple(_discussion(subject))),
        Section("conclusions", "Conclusions", (Items(tuple(_conclusions(subject, answers))),)),
        limits.section(subject),
        chapters.user_guide(said),
        Section("again", "How to run it again", sections=(setting.again(subject), setting.raw_data(subject))),
    )
    facts = subject.run.facts
    title = formats.cut(front.title or facts.title, 200) or "An experiment"
    there = tuple(one for one in sections if one.parts or one.sections)
    author, course = formats.cut(front.author, 200), formats.cut(front.course, 200)
    return Document(title, setting.byline(subject), facts.started, there, author, course)


def _graphs(drawn: Mapping[str, Drawn], *names: str) -> list[Part]:
    there = [drawn[name] for name in names if name in drawn]
    return [Graph(one.name, one.caption, one.alt) for one in there]


def _there(*found: Table | None) -> list[Part]:
    return [one for one in found if one is not None]


def _shown(sentences: Iterable[str]) -> list[Part]:
    said = tuple(sentences)
    return [Items(said, "finding")] if said else []


# -- the top --------------------------------------------------------------------------------------------------------


def _abstract(subject: Subject, answers: Sequence[Headline]) -> Section:
    parts: list[Part] = [Text(" ".join(_what_was_done(subject)), "lead")]
    parts += _verdicts(subject, answers)
    if cautions := " ".join([*(one.caution for one in subject.results if one.caution), *_overloaded(subject)]):
        parts.append(Text(cautions, "caution"))
    parts.append(Items(tuple(_answers(subject))))
    if subject.lacking or subject.analysis.missing or subject.run.notes:
        parts.append(Text("Something of this run is missing; what, and why, is said under its limits.", "caution"))
    return Section("abstract", "Abstract", tuple(parts))


def _what_was_done(subject: Subject) -> Iterable[str]:
    total = subject.total
    where = "on one machine" if subject.is_one_machine else "in a lab"
    if total.offered == 1:
        yield f"Two peers exchanged a single message {where}, so every figure here is that of this one message."
        return
    yield (
        f"Peers of two clusters exchanged {formats.counted(total.offered, 'message')} over direct links {where}, up to "
        f"{formats.counted(subject.most_pairs, 'pair')} at once, in "
        f"{formats.counted(subject.measured, 'block')}."
    )
    if any(one.outcome != "not asked" for one in headlines(subject)):
        yield "Does it matter to the network what type of content they sent?"


def _answers(subject: Subject) -> Iterable[str]:
    """The other questions, each in a sentence: the first finding of each."""
    for found in (
        link_findings.about_drops(subject),
        broken_blocks.about_broken(subject),
        exchange_findings.about_throughput(subject),
        link_findings.about_look_ups(subject),
        link_findings.about_links(subject),
    ):
        yield from list(found)[:1]


def _overloaded(subject: Subject) -> Iterable[str]:
    """Say of which arms the times are those of a queue."""
    for arm in subject.arms:
        if any(detail_findings.is_overloaded(one) for one in subject.levels(arm)):
            yield (
                f"Arm {arm}: its load passes what the system can do, so its times say how long a queue had grown, and "
                "nothing about the network."
            )


def _glance(subject: Subject) -> Section:
    return Section(
        "glance",
        "Measurements at a glance",
        tuple(_there(glance.messages_at_a_glance(subject), glance.links_at_a_glance(subject))),
    )


def _verdicts(subject: Subject, answers: Sequence[Headline]) -> Iterable[Answer]:
    for one in answers:
        if one.outcome != "not asked":
            yield Answer(f"Arm {one.arm}{_services(subject, one.arm)}", one.outcome, one.text)


def _services(subject: Subject, arm: str) -> str:
    """Say in brackets what the receivers of an arm do with content."""
    planned = subject.planned_arm(arm)
    if planned is None:
        return ""
    return (
        f" (service {planned.service} for every type)" if planned.service else " (a service of its own for each type)"
    )


# -- results --------------------------------------------------------------------------------------------------------


def _results(subject: Subject, drawn: Mapping[str, Drawn]) -> Iterable[Section]:
    """Go through the questions; each has its findings, figures and tables, or isn't asked."""

    def question(
        key: str,
        title: str,
        said: Iterable[str],
        names: Sequence[str],
        *shown: Table | None,
        first: Sequence[Part] = (),
    ) -> Iterable[Section]:
        pictures, there = _graphs(drawn, *names), _there(*shown)
        if pictures or there:
            yield Section(key, title, (*first, *_shown(said), *pictures, *there))

    yield from question(
        "types",
        "Does the content type matter?",
        about_content(subject),
        ["content-types", "ratios"],
        exchange_tables.by_type(subject),
        verdict_tables.comparisons(subject),
        verdict_tables.other_measures(subject),
        verdict_tables.information(subject),
        first=[Text("The answer of each arm is in the abstract; this is what it rests on."), *_controls(subject)]
        if any(one.outcome != "not asked" for one in headlines(subject))
        else (),
    )
    yield from question(
        "where-from",
        "Where does the variation come from?",
        detail_findings.about_variation(subject),
        ["variation"],
        detail_tables.variation(subject),
    )
    yield from question(
        "message-size",
        "How large are messages?",
        detail_findings.about_sizes(subject),
        ["message-sizes"],
        detail_tables.message_sizes(subject),
    )
    yield from question(
        "message-time",
        "How long does a message take?",
        exchange_findings.about_latency(subject),
        ["latency", "spectrum"],
        exchange_tables.latency(subject),
    )
    yield from question(
        "cycle-time",
        "How long is a cycle?",
        detail_findings.about_cycles(subject),
        ["cycle"],
        detail_tables.cycles(subject),
    )
    yield from question(
        "open-load",
        "Does as much come out as was asked for?",
        detail_findings.about_open_loads(subject),
        ["offered"],
        detail_tables.open_loads(subject),
    )
    yield from question(
        "bytes-per-second",
        "How many bytes per second, by size?",
        exchange_findings.about_throughput(subject),
        ["throughput"],
        exchange_tables.throughput(subject),
    )
    yield from question(
        "pairs",
        "What do more pairs at once do?",
        exchange_findings.about_pairs(subject),
        ["scaling"],
        exchange_tables.scaling(subject),
    )
    yield from question(
        "single-pairs",
        "Does every pair get the same?",
        detail_findings.about_single_pairs(subject),
        ["by-pair"],
        detail_tables.pairs(subject),
    )
    yield from question(
        "look-up",
        "How long does a look-up take?",
        link_findings.about_look_ups(subject),
        ["lookup"],
        link_tables.look_ups(subject),
        link_tables.round_trips(subject),
    )
    yield from question(
        "set-up",
        "How long does the set-up of a link take?",
        link_findings.about_links(subject),
        ["setup-legs"],
        link_tables.legs(subject),
    )
    yield from question(
        "seen-by-tcp",
        "What did TCP see?",
        link_findings.about_tcp(subject),
        ["tcp"],
        link_tables.tcp(subject),
    )
    yield from question(
        "message-drops",
        "How many messages were dropped, and why?",
        chain(link_findings.about_drops(subject), broken_blocks.about_broken(subject)),
        ["drops"],
        link_tables.causes(subject.total),
        link_tables.drops(subject),
        broken_blocks.broken(subject),
    )
    yield from question(
        "daemons",
        "What do the daemons hold?",
        link_findings.about_resources(subject),
        ["resources"],
        link_tables.daemons(subject),
    )
    yield from question(
        "seconds",
        "What went on in each second?",
        detail_findings.about_course(subject),
        ["course"],
    )
    yield from question(
        "sampling",
        "What does measuring cost?",
        link_findings.about_sampling(subject),
        [],
        verdict_tables.sampling(subject),
    )


def _controls(subject: Subject) -> Iterable[Answer]:
    """The control that must be equivalent: the same bytes under another label."""
    for result in subject.results:
        for one in result.labels:
            yield Answer(f"Arm {result.arm}, control: same bytes, other label", one.outcome, control(one))


# -- the end --------------------------------------------------------------------------------------------------------


def _discussion(subject: Subject) -> Iterable[Part]:
    said = tuple(discussion(subject))
    if said:
        yield Items(said)


def _conclusions(subject: Subject, answers: Sequence[Headline]) -> Iterable[str]:
    yield from overall(subject)
    for one in answers:
        if one.outcome in ("equivalent", "differs"):
            yield f"Arm {one.arm}: {one.text[0].lower()}{one.text[1:]}"
    yield from _answers(subject)
