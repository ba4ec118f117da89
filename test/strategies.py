"""Hypothesis strategies for every format that p2p reads: what is right, what is nearly right, and what is neither.

What is right is written by the hostile kit's own encoding (:mod:`test.hostile.wire`), so a test of a parser doesn't
lean on the encoder beside it.
"""

from __future__ import annotations

import json
from typing import Any, Final

import yaml
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from test.hostile import wire

__all__ = ["BOXES", "FORMATS", "FRAMES", "HEADS", "HELLOS", "JOURNAL_ROWS", "LISTINGS", "MESSAGES", "NAMES", "NUMBERS"]
__all__ += ["ORDERS", "PATHS", "QUESTIONS", "RAW_PATHS", "RECORDS", "REPORTS", "STATES", "YAML", "nearly"]

_DIGITS: Final = st.integers(0, 2**63 - 1) | st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64, 10**400])
NUMBERS: Final = _DIGITS.map(lambda number: b"%d" % number) | st.sampled_from(
    [b"", b"-1", b"+1", b" 1", b"1.0", b"1e9", b"nan", b"0x10", b"\xd9\xa1", b"1_000", b"9" * 5_000]
)
"""What stands where a number should: mostly one."""

_LABELS: Final = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,4}[a-z0-9])?", fullmatch=True)
NAMES: Final = (
    st.builds("{}.{}".format, _LABELS, _LABELS)
    | st.sampled_from(
        ["router.n", "N1.N", "n1", "n1.n.", ".n", "n1..n", "-n.n", "n1.1", "a" * 63 + ".n", "a" * 64 + ".n"]
    )
    | st.text(max_size=80)
)
"""Names of peers, and texts that are none."""

_PART: Final = st.text(st.characters(exclude_characters="/\0"), max_size=8) | st.sampled_from(
    ["", ".", "..", "a", ".p2p-x", "\u202egpj.exe", "\u2028", "\x1b[2J", "a\nb", "\udcff", "x" * 255, "x" * 256]
)
PATHS: Final = st.lists(_PART, max_size=6).map("/".join) | st.integers(60, 70).map(lambda depth: "/".join("d" * depth))
"""Paths of entries as texts, good and bad."""

RAW_PATHS: Final = PATHS.map(lambda path: path.encode("utf-8", "surrogatepass")) | st.binary(max_size=40)
"""The bytes of paths, UTF-8 or not."""

_KEYS: Final = st.text(st.characters(codec="ascii"), min_size=1, max_size=12)


def boxes_of(*keys: str, **values: SearchStrategy[bytes]) -> SearchStrategy[bytes]:
    """Boxes with some of these keys, and now and then another."""
    pairs = [st.tuples(st.just(key), values.get(key, st.binary(max_size=40))) for key in keys]
    known = st.one_of(pairs)
    return st.lists(known | st.tuples(_KEYS, st.binary(max_size=20)), max_size=8).map(lambda some: wire.boxes(some))


BOXES: Final = st.lists(st.dictionaries(_KEYS, st.binary(max_size=300), max_size=6), max_size=4).map(
    lambda some: wire.boxes(*some)
)
"""Boxes in a row."""

HELLOS: Final = boxes_of("version", "streams", "ticket", "proof", version=st.just(b"1"), streams=NUMBERS)
"""The hello of a link."""

_COMMANDS: Final = st.sampled_from(
    ["Register", "RequestConnect", "InstructConnect", "LookupPeer", "ListPeers", "Ping", "StartTLS", "\x1b[2J"]
)
QUESTIONS: Final = st.builds(
    lambda command, tag, rest: wire.pairs({"_command": command, "_ask": tag}) + rest,
    _COMMANDS,
    st.binary(max_size=4),
    boxes_of(
        "name", "version", "target", "port", "ticket", "lifetime", "plain", "candidates", "initiator", "observed",
        "cluster", "after", name=NAMES.map(lambda name: name.encode("utf-8", "replace")), port=NUMBERS,
        plain=st.sampled_from([b"True", b"False", b"true"]), lifetime=st.sampled_from([b"30.0", b"nan", b"inf", b"-1"]),
        candidates=st.lists(st.binary(max_size=9), max_size=3).map(wire.list_of), ticket=st.just(bytes(32)),
    ),
)  # fmt: skip
"""Questions of a control channel."""

_TAGS: Final = st.sampled_from([b"1", b"2", b"3", b"4", b"5", b"6", b"ff", b"-1", b"0"])
ANSWERS: Final = st.builds(
    lambda key, tag, rest: wire.pairs({key: tag}) + rest,
    st.sampled_from(["_answer", "_error"]),
    _TAGS,
    boxes_of(
        "lease", "observed", "address", "table_lookup_ns", "router_lookup_ns", "dialling", "plain", "names", "more",
        "_error_code", "_error_description", table_lookup_ns=NUMBERS, router_lookup_ns=NUMBERS,
        names=st.lists(NAMES.map(lambda name: name.encode("utf-8", "replace")), max_size=3).map(wire.list_of),
        more=st.sampled_from([b"True", b"False"]), _error_code=st.sampled_from([b"BUSY", b"REFUSED", b"MADE_UP"]),
    ),
)  # fmt: skip
"""Answers and errors, some of them to questions that were asked."""

FRAMES: Final = st.lists(
    st.builds(
        wire.frame,
        st.integers(0, 4),
        st.integers(0, 17),
        st.integers(0, 5) | st.integers(0, 2**32 - 1),
        st.none() | st.sampled_from([0, 1, 262_144, 262_145, 2**32 - 1]),
        st.binary(max_size=30),
        st.sampled_from([0, 0, 0, 1]),
    ),
    max_size=12,
).map(b"".join)
"""Frames of Yamux."""

HEADS: Final = boxes_of("service", "type", "name", "length", "encoding", "id", "entries", "bytes", length=NUMBERS)
"""Heads of requests."""

MESSAGES: Final = st.builds(
    lambda head, chunks, tail: head + wire.body(*chunks) + b"\0\0\0\0" + tail,
    HEADS,
    st.lists(st.binary(max_size=60), max_size=4),
    boxes_of("outcome", "reason", "digest", outcome=st.sampled_from([b"ok", b"refused", b"\xff"])),
)
"""Whole messages."""

_KINDS: Final = st.sampled_from([b"file", b"folder", b"link", b"socket"])
_ENTRIES: Final = boxes_of(
    "path", "kind", "mode", "mtime", "size", "target", "offset", path=RAW_PATHS, kind=_KINDS, target=RAW_PATHS,
    size=NUMBERS, offset=NUMBERS, mtime=NUMBERS, mode=st.sampled_from([b"644", b"7777", b"9", b"0o7", b"77777777"]),
)  # fmt: skip
RECORDS: Final = st.lists(
    st.one_of(
        _ENTRIES.map(lambda box: wire.record("E", box)),
        st.binary(min_size=1, max_size=60).map(wire.chunk_record),
        st.builds(wire.end_of_file, st.binary(min_size=32, max_size=32), st.integers(0, 2**64 - 1)),
        boxes_of("path", "reason", path=RAW_PATHS).map(lambda box: wire.record("X", box)),
        boxes_of("entries", "bytes", entries=NUMBERS, bytes=NUMBERS).map(lambda box: wire.record("Z", box)),
        st.builds(
            wire.record, st.sampled_from("ECFXZQ"), st.binary(max_size=50), st.none() | st.integers(0, 2**32 - 1)
        ),
    ),
    max_size=6,
).map(b"".join)
"""Records of a transfer."""

_REPORT: Final = boxes_of(
    "pending", "have", "done", "last", "partial", "offset", "path", "name", "size", "root", "outcome", "reason",
    "bytes", "entries", path=RAW_PATHS, name=RAW_PATHS, size=NUMBERS, offset=NUMBERS, bytes=NUMBERS, entries=NUMBERS,
    root=st.sampled_from([b"0" * 64, b"", b"g" * 64]), outcome=st.sampled_from([b"ok", b"refused", b"fine"]),
)  # fmt: skip
REPORTS: Final = st.lists(st.just(wire.boxes({"have": 1, "entries": 0, "bytes": 0})) | _REPORT, max_size=5).map(
    b"".join
)
"""What the receiver of a transfer reports."""

LISTINGS: Final = st.lists(
    boxes_of("name", "kind", "size", "mtime", name=RAW_PATHS, kind=_KINDS, size=NUMBERS, mtime=NUMBERS), max_size=5
).map(b"".join)
"""Entries of a list."""

_JSON: Final[SearchStrategy[Any]] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _objects(example: dict[str, Any]) -> SearchStrategy[bytes]:
    """JSON of an object like the example: some values are others, some keys are missing, some are more."""

    def changed(less: list[str], other: dict[str, Any], more: dict[str, Any]) -> bytes:
        kept = {key: value for key, value in example.items() if key not in less}
        return json.dumps({**kept, **other, **more}).encode()

    keys = st.sampled_from(sorted(example))
    return st.builds(
        changed,
        st.lists(keys, max_size=2),
        st.dictionaries(keys, _JSON, max_size=2),
        st.just({}) | st.dictionaries(st.text(max_size=8), _JSON, max_size=1),
    ) | _JSON.map(lambda value: json.dumps(value).encode())


STATE: Final[dict[str, Any]] = {
    "version": 2,
    "next": 3,
    "entries": 2,
    "bytes": 3,
    "refused": 0,
    "last": "d/a.txt",
    "stack": [0],
    "steps": [{"close": 0}],
    "partial": {"temp": "1", "path": "d/b", "mtime": 0, "size": 9, "synced": 0},
    "owed": [{"path": "d", "name": "d", "size": 0, "root": "", "outcome": "ok", "reason": ""}],
    "boot": "",
    "folders": [{"up": -1, "mode": 493, "mtime": 0, "name": "d", "final": "d", "refused": False}],
}
"""A state file of a receiver."""

STATES: Final = _objects(STATE)
"""State files, and nearly."""

NOTES: Final = _objects({"entries": 2, "bytes": 3, "refused": 0}) | _objects({"bytes": 10})
"""What is remembered of transfers that have ended, and of what a person has agreed to."""

ORDER: Final[dict[str, Any]] = {
    "order": "run",
    "block": {
        "partner": "m1.m",
        "service": "echo",
        "content": "text",
        "label": "text",
        "name": "text-64KiB",
        "size": 65536,
        "seed": 1,
        "exchanges": 2,
        "warm_up": 2,
        "rate": None,
        "offset_s": 0.0,
        "sampling": True,
        "deadline_s": 60.0,
    },
}
"""An order of an experiment."""

ORDERS: Final = _objects(ORDER)
"""Orders, and nearly."""

JOURNAL_ROWS: Final = st.fixed_dictionaries(
    {
        "what": st.sampled_from(["{}", '{"paths": ["/x"]}', "[]", "null", "{"]) | st.text(max_size=8),
        "how": st.sampled_from(["{}", '{"limit": null}', "7", "[" * 100_000]) | st.text(max_size=8),
        "state": st.sampled_from(["running", "waiting", "paused", "done", "failed", "cancelled", "odd"]),
        "entries": st.integers(-(2**63), 2**63 - 1) | st.text(max_size=4),
        "reason": st.text(st.characters(codec="utf-8"), max_size=8),
    }
)
"""Values of columns of the journal."""

_SCALARS: Final = st.sampled_from(
    ["n", "tcp:5555", "tcp:[::1", "tcp:0", "100GB", "0", "-1", "1e999", "~", "yes", "2026-01-01", "0o777", "!!int x"]
) | st.text(max_size=10)
_TREES: Final[SearchStrategy[Any]] = st.recursive(
    _SCALARS | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_SCALARS, inner, max_size=4),
    max_leaves=10,
)
_CONFIG_KEYS: Final = """
    cluster listen tls certificate key authority neighbours endpoint networks console limits router peers name inbox
    accept from service type size then exists quota keep_free share state links experiment silence_s streams title
    arms coordinator pairs
"""
YAML: Final = st.dictionaries(st.sampled_from(_CONFIG_KEYS.split()), _TREES, max_size=6).map(
    lambda tree: yaml.safe_dump(tree).encode()
) | st.lists(
    _SCALARS | st.sampled_from(["- ", ": ", "{", "}", "[", "&a ", "*a ", "<<", "? ", "\n", "---\n", "|\n"])
).map(lambda parts: "".join(parts).encode("utf-8", "surrogatepass"))
"""Configuration files, and texts that look like YAML."""


@st.composite
def nearly(draw: st.DrawFn, right: SearchStrategy[bytes]) -> bytes:
    """Bytes of a strategy, cut off, with a piece of them changed, taken out, or repeated."""
    data = draw(right)
    at = draw(st.integers(0, len(data)))
    end = min(at + draw(st.integers(0, 8)), len(data))
    return draw(
        st.sampled_from(
            [
                data,
                data[:at],
                data[:at] + data[end:],
                data[:at] + data[at:end] * 2 + data[end:],
                data[:at] + draw(st.binary(max_size=4)) + data[end:],
            ]
        )
    )


FORMATS: Final[dict[str, SearchStrategy[bytes]]] = {
    "boxes": BOXES,
    "hello": HELLOS,
    "control": st.lists(QUESTIONS | ANSWERS, max_size=4).map(b"".join),
    "yamux": FRAMES,
    "messages": MESSAGES,
    "records": RECORDS,
    "reports": REPORTS,
    "listings": LISTINGS,
    "orders": ORDERS,
    "state": STATES,
    "notes": NOTES,
    "yaml": YAML,
    "names": NAMES.map(lambda name: name.encode("utf-8", "replace")),
    "paths": RAW_PATHS,
}
"""The formats by the names of the targets of :mod:`test.fuzz` that read them."""
