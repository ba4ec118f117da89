"""Messages of blocks that came to nothing: they are in no other figure, and accounted for all the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from p2p.base.errors import Outcome
from p2p.report import formats
from p2p.report.document import Table, table
from p2p.report.subject import Subject

__all__ = ["about_broken", "broken"]


def about_broken(subject: Subject) -> Iterator[str]:
    """Say what became of the messages of such blocks, if there are any."""
    rows = list(_rows(subject))
    if not rows:
        return
    tries = len({(row["block"], row["attempt"]) for row in rows})
    unsent = Counter({row["outcome"]: 0 for row in rows if row["sent"] == "no"})
    for row in rows:
        if row["sent"] == "no":
            unsent[row["outcome"]] += row["count"]
    lost = sum(row["count"] for row in rows if row["sent"] == "yes" and Outcome(row["outcome"]).is_drop)
    yield (
        f"Besides, {formats.counted(sum(row['count'] for row in rows), 'message')} belonged to "
        f"{formats.counted(tries, 'try', 'tries')} of blocks that came to nothing, since a process or a pair wasn't "
        "there; they are in no other figure."
    )
    if unsent:
        named = formats.listed([f"{cause} {formats.count(number)}" for cause, number in unsent.most_common()])
        yield f"Of them, {formats.count(unsent.total())} were never sent, as far as anybody knows. By cause: {named}."
    if lost:
        yield f"{formats.counted(lost, 'message')} of them {'was' if lost == 1 else 'were'} sent and dropped."


def broken(subject: Subject) -> Table | None:
    """Show where the messages of such blocks went, by arm; None if there are none."""
    sums: dict[str, Counter[str]] = {}
    tries: dict[str, set[tuple[int, int]]] = {}
    for row in _rows(subject):
        what = "unsent" if row["sent"] == "no" else ("ok" if row["outcome"] == Outcome.OK else "otherwise")
        sums.setdefault(row["arm"], Counter())[what] += row["count"]
        tries.setdefault(row["arm"], set()).add((row["block"], row["attempt"]))
    if not sums:
        return None
    return table(
        "Messages of blocks that came to nothing",
        ["arm", "tries", "planned", "ok", "ended otherwise", "never sent"],
        [
            (arm, *map(formats.count, (len(tries[arm]), one.total(), one["ok"], one["otherwise"], one["unsent"])))
            for arm, one in sorted(sums.items())
        ],
        left=1,
        note="A block in which a process dies isn't whole; the same command does it again.",
    )


def _rows(subject: Subject) -> Iterator[dict[str, Any]]:
    columns = subject.run.broken
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))
