"""The chapters that explain: the problem, the design, the method of measuring and of analysis, and the user guide.

They are for somebody who reads of p2p for the first time. What depends on the run is said of this run.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from p2p.measure.precision import EACH, FEWEST
from p2p.measure.verdicts import FEWEST as FEWEST_OF_VERDICT
from p2p.report import formats
from p2p.report.document import Code, Items, Part, Section, Text
from p2p.report.subject import Subject

__all__ = ["analysis", "design", "measuring", "problem", "user_guide"]

ANSWERS: Final = 6
"""Lines of the terminal that the user guide shows."""


def problem(subject: Subject) -> Section:
    """Say what was asked, and why that isn't answered at a glance."""
    return Section(
        "problem",
        "Problem",
        (
            Text(
                "The machines of a lab stand in clusters. Each cluster has a router whose table holds only the peers "
                "that are connected to it. A peer that wants to talk to one of another cluster knows its name and not "
                "its address. It asks its router, the routers introduce the two, and from then on the peers talk over "
                "a link of their own, even if the routers are gone.",
            ),
            Text(
                "Does it matter to such a network whether peers send text, audio or video? The network moves bytes, so "
                "it shouldn't. But that nothing was found is no answer: a measurement that is too coarse never finds "
                "anything. An answer needs a limit up to which a difference counts as none, fixed before there is any "
                f"data: here ±{formats.percent(subject.analysis.margin)} of the transmission time. Then there are "
                "three outcomes: equivalent, if every difference beyond that limit is ruled out; differs, if one is "
                "shown; or inconclusive.",
            ),
            Text(
                "Beside that question, every part of the system is measured: the size of messages, the time they take, "
                "look-ups in the routing table and from router to router, bytes per second, drops, the cycle time, the "
                "set-up of links, and what the daemons hold meanwhile."
            ),
        ),
    )


def design(diagrams: Sequence[Part], sequence: Sequence[Part]) -> Section:
    """Say how the two routers and the peers work."""
    return Section(
        "design",
        "Design",
        (
            Text(
                "There are two kinds of daemons. A router keeps a table of the peers that are connected to it over "
                "control channels (questions and answers by AMP over TLS). It knows the router of the other cluster, "
                "and no content ever goes by it. A peer daemon hosts one peer or many; each has a certificate of its "
                "own, by which the others know it."
            ),
            *diagrams,
            Text(
                "A peer that wants to talk to another opens a fresh port, listens there, and asks its router, which "
                "asks the router of the other cluster both to look the name up and to have the other peer dial. The "
                "other peer dials, both show their certificates (TLS 1.3), and the dialler proves that it knows the "
                "ticket, a secret that is good for this one link. Then the listener is closed, and the link carries "
                "any number of exchanges at once, each on a stream of its own (Yamux)."
            ),
            *sequence,
            Text(
                "An exchange is a message and its reply. A message has a head (its service, type and name), chunks of "
                "the body, and a tail with the digest (BLAKE3), which the receiver checks. What becomes of a body is "
                "the business of a service at the receiver: echo sends it back, uppercase makes capitals of a text, "
                "inspect decodes audio and video. Every wait has a limit and every exchange ends with exactly one "
                "outcome, so a lost message is counted by its cause and never just missing."
            ),
        ),
    )


def measuring(subject: Subject) -> Section:
    """Say how it was measured."""
    return Section("how-measured", "How it was measured", (Items(tuple(_measuring(subject))),))


def _measuring(subject: Subject) -> Iterator[str]:
    yield (
        "A coordinator orders each pair to run a block: some exchanges under one combination of content, size, number "
        "of pairs and load. A block begins with messages that aren't counted, to warm up."
    )
    seed = "" if subject.plan is None else f", which the seed {subject.plan.seed} drew"
    if any(one.repetition > 1 for one in subject.analysis.blocks):
        yield (
            "Each block is run several times. These repetitions are spread over the run, and the blocks that are "
            f"compared follow one another, in an order of their own each time{seed}. What else the machine does "
            "meanwhile then meets all of them alike."
        )
    if subject.is_interleaved:
        yield (
            "In an interleaved arm the types alternate message by message within a block, in matched sets: each type "
            "once, of one size, in an order that is drawn. So even what lasts for a few messages meets all types alike."
        )
    yield from _endings(subject)
    yield (
        "The initiator takes all times of an exchange, by its own monotonic clock: when it was planned, when the first "
        "byte of the reply came, and when it ended. No two clocks are ever compared."
    )
    yield (
        "The content is made from the seed: text that is UTF-8, sound that plays, films that decode, each of the exact "
        "size. The control, the same bytes under another label, shows whether the label alone makes a difference."
    )
    yield (
        "Every message that was planned has its row in the raw data, whatever became of it. If the outcomes of a block "
        "don't add up to what was planned, there is no report."
    )


def _endings(subject: Subject) -> Iterator[str]:
    """Say of the arms that go on until they are precise why they ended."""
    for one in subject.run.facts.endings:
        times = formats.counted(one.repetitions, "repetition")
        if one.why == "precise":
            yield f"Arm {one.arm} went on until its intervals were narrow enough, which took {times}."
        elif one.why == "time":
            yield (
                f"Arm {one.arm} was to go on until its intervals were narrow enough; its time was over before, after "
                f"{times}."
            )


def analysis(subject: Subject) -> Section:
    """Explain the statistics to a student."""
    return Section("how-analysed", "How it was analysed", (Items(tuple(_analysis(subject))),))


def _analysis(subject: Subject) -> Iterator[str]:
    yield (
        "The unit is the block. The messages of one block share whatever the machine was doing, so a thousand of them "
        "don't count as a thousand independent observations. A block gives one figure, such as the median of its "
        "transmission times."
    )
    yield (
        "A figure in a table is the median over blocks. Its 95 % interval comes from the bootstrap (BCa): blocks are "
        "drawn again and again from those that there are, and the interval holds the middle 95 % of the medians. If "
        "the whole experiment were repeated many times, about 95 % of such intervals would hold the true value."
    )
    yield (
        "Two types are compared by the ratio of their times in each repetition. The middle of its logarithm is a "
        "trimmed mean, without a fifth at either end, because single blocks that something else made slow would decide "
        "a plain mean; its interval is by Student's distribution (Yuen 1974)."
    )
    yield (
        f"Equivalent means that the 95 % interval lies within ±{formats.percent(subject.analysis.margin)}, at every "
        "size and number of pairs. That is more than not finding a difference: a larger one has been ruled out."
    )
    yield (
        "Differs means that an interval lies beyond the margin. Whoever looks at twenty intervals finds one by chance, "
        "so the probabilities are corrected for all tests of the report (Holm 1979)."
    )
    yield (
        f"A verdict takes {FEWEST_OF_VERDICT} repetitions. A run that goes on until it is precise looks after "
        f"{FEWEST}, and then after every {formats.ordinal(EACH)}, at how wide the intervals are and never at where "
        "they lie: stopping as soon as a verdict pleases would give the verdict that pleases. Simulations of the whole "
        "procedure show false alarms in at most one run of twenty."
    )
    yield (
        "Where the variation comes from: the sum of squares of the logarithms is taken apart into the parts of size, "
        "pairs and type, of what they do together, of the repetition and of noise (Jain 1991)."
    )
    yield (
        "Shares of drops have the interval of Clopper and Pearson. If none of n messages was dropped, the share is at "
        "most about 3/n, and not necessarily 0. A 99th percentile takes 299 messages: of fewer, all may be faster than "
        "it. Those of different numbers of messages aren't compared."
    )


def user_guide(answers: Sequence[str]) -> Section:
    """Say how to use p2p, as far as it takes to see all of this.

    :param answers: what ``p2p report`` said of this run, a line an arm.
    """
    return Section(
        "user-guide",
        "User guide",
        (
            Text("Installing takes Python 3.11 or newer and a virtual environment:"),
            Code("python3 -m venv p2p-venv\n. p2p-venv/bin/activate\npip install 'p2p[report,media]'"),
            Text(
                "A lab of two clusters on one machine: keys, certificates and configuration in a folder. Routers and "
                "peers each run in a terminal of their own."
            ),
            Code(
                "$ p2p lab init lab\n"
                "$ twistd --nodaemon --pidfile= p2p-router --config lab/router-n.yaml\n"
                "$ twistd --nodaemon --pidfile= p2p-router --config lab/router-m.yaml\n"
                "$ twistd --nodaemon --pidfile= p2p-peer --config lab/peer-n1.n.yaml\n"
                "$ twistd --nodaemon --pidfile= p2p-peer --config lab/peer-m1.m.yaml",
                terminal=True,
            ),
            Text("Then peers talk to each other by name, and why explains each leg of the way:"),
            Code(
                "$ export P2P_CONFIG=lab/peer-n1.n.yaml\n"
                "$ p2p message m1.m hello\n"
                "$ p2p send m1.m photos\n"
                "$ p2p why m1.m\n"
                "$ p2p status",
                terminal=True,
            ),
            Text("An experiment is a plan, a run and a report. This is what the last step says of this run:"),
            Code(
                "$ p2p experiment run plan.yaml --out results\n$ p2p report results\n"
                + "\n".join(line for answer in answers[:ANSWERS] for line in textwrap.wrap(answer, 92)),
                terminal=True,
            ),
            Text(
                "p2p --help lists all commands; the documents of p2p explain how to set up a lab of several machines, "
                "and what to do when something doesn't work."
            ),
        ),
    )
