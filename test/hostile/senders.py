"""Attacks by a peer on another's inbox: transfers that lie, and files that cost more than they say."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import Final

from blake3 import blake3

from test.hostile import wire
from test.hostile.attack import QUOTA, Scene, Told, attack
from test.hostile.link import Link, Reply
from test.hostile.wire import Value

_BLOCK: Final = 4_096
"""Bytes that an entry costs besides its content, and of which content fills a whole number."""

_NAMES: Final = {
    "a right-to-left override": "photo\u202egpj.exe",
    "a line separator": "one\u2028two",
    "a paragraph separator": "one\u2029two",
    "an escape": "\x1b[2Jx",
    "a newline": "one\ntwo",
    "a next line": "one\u0085two",
    "an isolate": "\u2066x\u2069",
}


def _transfer(link: Link, records: Iterable[bytes], seconds: float = 20.0, **fields: Value) -> Reply:
    """A session of a transfer that sends these records, with a fresh id."""
    stream = link.open(wire.head("transfer", id=os.urandom(8).hex(), **fields))
    waiting = bytearray()
    whole = True
    for one in records:
        waiting += one
        if len(waiting) > 1 << 18:
            chunk = wire.body(bytes(waiting))
            waiting.clear()
            whole = link.push(stream, chunk, seconds) == len(chunk)
            if not whole:
                break  # it was refused: no more credit comes
    if whole:
        link.push(stream, (wire.body(bytes(waiting)) if waiting else b"") + wire.tail(), seconds)
    link.send(stream, b"", wire.FIN)
    return link.replies([stream], seconds)[stream]


def _receipts(reply: Reply) -> dict[str, str]:
    """The outcomes of entries, by their paths; ``ok`` for those that arrived."""
    found = {}
    for box in wire.take_boxes(bytearray(reply.body)):
        if "path" in box:
            outcome = box.get("outcome", b"ok").decode()
            found[box["path"].decode("utf-8", "surrogateescape")] = outcome
    return found


@attack("peer", must="store and transfer refuse the same names.", seconds=20)
def names_that_steer(scene: Scene) -> Told:
    """Sends files whose names hold bidirectional controls, separators of lines, and escapes, by both services."""
    differ: list[str] = []
    taken: list[str] = []
    with scene.link() as link:
        for what, name in _NAMES.items():
            digest = blake3(b"abc").digest()
            stored = link.request(wire.message("store", b"abc", name=name, length=3, closing={"digest": digest}))
            moved = _transfer(link, [wire.file_records(name, b"abc"), wire.end_record(1, 3)])
            first, second = stored.tail.get("outcome") == b"ok", "ok" in _receipts(moved).values()
            if first != second:
                differ.append(f"{what} ({'store' if first else 'transfer'} takes it)")
            elif first:
                taken.append(what)
    text = f"differ: {', '.join(differ) or 'none'}; taken by both: {', '.join(taken) or 'none'}"
    return Told(not differ and not taken, text)


@attack(
    "peer",
    must="Nothing is written outside of the inbox; each entry is refused, or the session is corrupt.",
    seconds=20,
)
def paths_outside(scene: Scene) -> Told:
    """Sends entries whose paths or links lead out of the inbox, or into what p2p itself keeps there."""
    sessions = {
        "..": [wire.file_records("../out.txt", b"abc")],
        "absolute": [wire.file_records("/tmp/p2p-out.txt", b"abc")],
        "NUL": [wire.file_records("a\0b", b"abc")],
        "empty": [wire.file_records("", b"abc")],
        "reserved": [wire.file_records(".p2p-0123456789abcdef", b"abc")],
        "within no folder": [wire.file_records("nowhere/x", b"abc")],
        "a link out, then through it": [
            wire.entry("d1", "folder", mode="755"),
            wire.entry("d1/out", "link", target="../../../.."),
            wire.file_records("d1/out/x", b"abc"),
        ],
        "an absolute link": [wire.entry("l1", "link", target="/etc")],
        "a link that comes back": [
            wire.entry("d2", "folder", mode="755"),
            wire.entry("d2/l", "link", target="a/../../.."),
        ],
        "65 folders deep": [wire.entry("/".join("d" * depth), "folder", mode="755") for depth in range(1, 67)],
    }
    taken: list[str] = []
    with scene.link() as link:
        for what, records in sessions.items():
            reply = _transfer(link, [*records, wire.end_record(len(records), 3)])
            last = list(_receipts(reply).values())[-1:]
            if last == ["ok"]:
                taken.append(what)
    outside = [path for path in (scene.folder / "inbox" / "out.txt", scene.folder / "out.txt") if path.exists()]
    return Told(not taken and not outside, f"taken: {', '.join(taken) or 'none'}; outside: {outside or 'nothing'}")


@attack("peer", must="What is beyond what was offered is refused by receipt.", seconds=20, most=8 << 20)
def more_than_offered(scene: Scene) -> Told:
    """Offers photo.jpg, 10 bytes, one entry, and sends a folder of 3,001 entries."""

    def records() -> Iterable[bytes]:
        yield wire.entry("offered", "folder", mode="755")
        for number in range(3_000):
            yield wire.file_records(f"offered/{number}", b"abc")
        yield wire.end_record(3_001, 9_000)

    with scene.link() as link:
        reply = _transfer(link, records(), name="photo.jpg", entries=1, bytes=10, type="data")
    taken = list(_receipts(reply).values()).count("ok")
    return Told(taken <= 1, f"{taken} entries were taken; {reply}")


@attack(
    "peer",
    must="Each entry has a price: the quota stops it before the disk has twice as much.",
    seconds=30,
    most=16 << 20,
)
def empty_files(scene: Scene) -> Told:
    """Sends 4,000 empty files and 2,000 folders, which hold no byte and fill the disk's tables."""

    def records() -> Iterable[bytes]:
        for number in range(2_000):
            yield wire.entry(f"empty{number:05}", "folder", mode="755")
            yield wire.file_records(f"empty{number:05}/a")
            yield wire.file_records(f"empty{number:05}/b")
        yield wire.end_record(6_000, 0)

    with scene.link() as link:
        reply = _transfer(link, records(), 60.0)
    return _cost(scene, "empty", reply)


@attack("peer", must="A link costs what its target takes on disk.", seconds=30, most=64 << 20)
def long_links(scene: Scene) -> Told:
    """Sends 3,000 links whose targets are 3,000 bytes long."""
    target = "/".join(["x" * 59] * 50)

    def records() -> Iterable[bytes]:
        yield wire.entry("links", "folder", mode="755")
        for number in range(3_000):
            yield wire.entry(f"links/{number}", "link", target=target)
        yield wire.end_record(3_001, 0)

    with scene.link() as link:
        reply = _transfer(link, records(), 60.0)
    return _cost(scene, "links", reply)


def _cost(scene: Scene, prefix: str, reply: Reply) -> Told:
    """What lies in the inbox under a name: its price, which the quota must cover, and the blocks that it has."""
    entries = price = blocks = 0
    for top in scene.inbox().glob(f"{prefix}*"):
        for path in (top, *top.rglob("*")):
            status = path.lstat()
            content = 0 if stat.S_ISDIR(status.st_mode) else -(-status.st_size // _BLOCK) * _BLOCK
            entries += 1
            price += _BLOCK + content
            blocks += status.st_blocks * 512
    text = (
        f"{entries} entries that cost {price / 1e6:.0f} MB ({blocks / 1e6:.0f} on disk) of {QUOTA / 1e6:.0f}; {reply}"
    )
    return Told(price <= QUOTA, text)


@attack(
    "peer", must="The folders are counted all the same: the second try meets the quota.", seconds=30, most=256 << 20
)
def sealed_folders(scene: Scene) -> Told:
    """Sends 12 MiB in folders of mode 000, twice, to an inbox with a quota of 20 MB."""
    data = bytes(1 << 20)
    outcomes: list[str] = []
    with scene.link() as link:
        for half in "ab":

            def records(half: str = half) -> Iterable[bytes]:
                yield wire.entry(f"sealed-{half}", "folder", mode="000")
                for number in range(12):
                    yield wire.file_records(f"sealed-{half}/{number}", data)
                yield wire.end_record(13, 12 << 20)

            outcomes.append(str(_transfer(link, records(), 30.0)))
    modes = [oct(one.stat().st_mode & 0o777) for one in scene.inbox().glob("sealed-*")]
    return Told(not outcomes[1].startswith("ok"), f"first {outcomes[0]}, then {outcomes[1]}; modes {', '.join(modes)}")


@attack("peer", must="One odd time makes no other entry fail.", seconds=15)
def odd_times(scene: Scene) -> Told:
    """Sends three files, of which one has a time of change beyond the year 2262, and one long before 1970."""
    times = {"now": 1_700_000_000 * 10**9, "far": 2**63 - 1, "past": -(2**62), "last": 1}
    records = [wire.file_records(f"time-{name}", b"abc", mtime=when) for name, when in times.items()]
    with scene.link() as link:
        reply = _transfer(link, [*records, wire.end_record(len(times), 3 * len(times))])
        beyond = _transfer(
            link,
            [
                wire.file_records("time-more", b"abc", mtime=9_223_372_037 * 10**9),
                wire.file_records("time-after", b"abc"),
                wire.end_record(2, 6),
            ],
        )
    first, second = _receipts(reply), _receipts(beyond)
    held = list(first.values()) == ["ok"] * 4 and second.get("time-after") == "ok"
    return Told(held, f"{first}, {reply}; beyond: {second}, {beyond}")


@attack("peer", must="The session is corrupt, and the file gets no name.", seconds=20, most=16 << 20)
def wrong_digests(scene: Scene) -> Told:
    """Sends files with wrong leaves, roots, sizes, counts, and chunks of odd lengths."""
    good = wire.leaf_of(b"abc")
    begin = wire.entry("forged.txt", size=3)
    sessions = {
        "a leaf": [begin, wire.chunk_record(b"abc", bytes(32)), wire.end_of_file(wire.root_of([good], 3), 3)],
        "a root": [begin, wire.chunk_record(b"abc"), wire.end_of_file(bytes(32), 3)],
        "a size": [begin, wire.chunk_record(b"abc"), wire.end_of_file(wire.root_of([good], 4), 4)],
        "more than its size": [
            begin,
            wire.chunk_record(b"abcd"),
            wire.end_of_file(wire.root_of([wire.leaf_of(b"abcd")], 4), 4),
        ],
        "two short chunks": [begin, wire.chunk_record(b"ab"), wire.chunk_record(b"c"), wire.end_of_file(bytes(32), 3)],
        "no end": [begin, wire.chunk_record(b"abc")],
        "a chunk of nothing": [wire.chunk_record(b"abc")],
        "an unknown kind": [wire.record("Q", b"")],
        "a record of 4 GiB": [wire.record("C", b"", 0xFFFFFFFF)],
        "an offset that it hasn't": [wire.entry("forged.txt", size=2 << 20, offset=1 << 20)],
    }
    taken: list[str] = []
    with scene.link() as link:
        for what, records in sessions.items():
            reply = _transfer(link, [*records, wire.end_record(1, 3)])
            if reply.tail.get("outcome") == b"ok":
                taken.append(what)
    there = scene.arrived("forged")
    return Told(not taken and not there, f"taken: {', '.join(taken) or 'none'}; there: {there or 'nothing'}")
