"""Attacks by a peer that is asked for something, on whoever asks."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Final

from test.hostile import wire
from test.hostile.attack import ATTACKER, Scene, Told, attack
from test.hostile.link import Link
from test.hostile.speaker import CutOff, Late

_END: Final[dict[str, wire.Value]] = {"outcome": "ok", "entries": 1, "bytes": 3, "refused": 0}
_PATIENCE: Final = 20.0


def _reply(link: Link, body: bytes, **tail: wire.Value) -> None:
    """Answer the next stream of an honest peer."""
    stream, _ = link.opened()
    link.push(stream, wire.boxes({}) + wire.body(body) + wire.tail(**{**_END, **tail}))
    link.send(stream, b"", wire.FIN)


def _ended(link: Link, process: subprocess.Popen[str]) -> tuple[int | None, str]:
    """The exit code of a command, None if it goes on, and what it said."""
    try:
        said, _ = process.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        return None, "it goes on"
    return process.returncode, " ".join(said.split())[-160:]


@attack("serving peer", must="Nothing is written but what was asked for, and the command fails.", seconds=20)
def names_nobody_asked_for(scene: Scene) -> Told:
    """Answers a get of share/a.txt with .bash_profile and .ssh/authorized_keys."""
    with tempfile.TemporaryDirectory(dir=scene.folder) as folder:
        home = Path(folder)
        records = wire.file_records(".bash_profile", b"abc") + wire.entry(".ssh", "folder", mode="700")
        records += wire.file_records(".ssh/authorized_keys", b"abc") + wire.end_record(3, 6)
        with scene.asked("get", ATTACKER, "share/a.txt", home) as (link, process):
            _reply(link, records, entries=3, bytes=6)
            code, said = _ended(link, process)
        there = sorted(str(one.relative_to(home)) for one in home.rglob("*") if not one.name.startswith(".p2p-"))
    return Told(not there and bool(code), f"exit {code}, written: {', '.join(there) or 'nothing'}; {said}")


@attack("serving peer", must="Nothing of it reaches standard output, and the command fails.", seconds=20)
def another_file_for_a_pipe(scene: Scene) -> Told:
    """Answers a get of share/a.txt to standard output with another file."""
    with scene.asked("get", ATTACKER, "share/a.txt", "-") as (link, process):
        _reply(link, wire.file_records("evil.sh", b"EVIL-BYTES") + wire.end_record(1, 10), bytes=10)
        code, said = _ended(link, process)
    return Told("EVIL-BYTES" not in said and bool(code), f"exit {code}: {said}")


@attack("serving peer", must="The command fails and names the peer.", seconds=20)
def a_folder_for_a_file(scene: Scene) -> Told:
    """Answers a get of two names with the second one twice, and a link in place of the first."""
    with tempfile.TemporaryDirectory(dir=scene.folder) as folder:
        home = Path(folder)
        records = wire.entry("a.txt", "link", target="b.txt") + wire.file_records("b.txt", b"abc")
        records += wire.file_records("b.txt", b"abcd") + wire.end_record(3, 7)
        with scene.asked("get", ATTACKER, "share/a.txt", "share/b.txt", home) as (link, process):
            _reply(link, records, entries=3, bytes=7)
            code, said = _ended(link, process)
        there = sorted(one.name for one in home.iterdir() if not one.name.startswith(".p2p-"))
    return Told(
        "b (1).txt" not in there and bool(code), f"exit {code}, written: {', '.join(there) or 'nothing'}; {said}"
    )


@attack(
    "serving peer", must="Names that can't be those of entries are refused, and none steers the terminal.", seconds=20
)
def a_poisoned_list(scene: Scene) -> Told:
    """Answers ls with names that hold slashes, escapes and bidirectional controls."""
    names = ["../up", "/etc/passwd", "a/b", "..", "", "\x1b]0;owned\x07x", "photo\u202egpj.exe", "one\u2028two"]
    listed = wire.boxes(*({"name": name, "kind": "file", "size": 3, "mtime": 1} for name in names))
    with scene.asked("ls", ATTACKER, "share") as (link, process):
        _reply(link, listed)
        code, said = _ended(link, process)
    steers = [name for name in ("\x1b", "\u202e", "\u2028") if name in said]
    return Told(not steers and bool(code), f"exit {code}: {said!r}")


@attack(
    "serving peer",
    must="The list is given up at its limit, and the daemon stays under 300 MB.",
    seconds=30,
    most=256 << 20,
)
def a_list_without_end(scene: Scene) -> Told:
    """Answers ls with entries for as long as they are taken."""
    box = wire.boxes(*({"name": "x" * 255, "kind": "file", "size": 3, "mtime": 1} for _ in range(200)))
    sent = 0
    with scene.asked("ls", ATTACKER, "share") as (link, process):
        stream, _ = link.opened()
        link.send(stream, wire.boxes({}))
        chunk = wire.body(box)
        try:
            while scene.budget.left and link.push(stream, chunk, 5.0) == len(chunk):
                sent += 200
        except (CutOff, Late):
            pass
        code, said = _ended(link, process)
    return Told(sent < 120_000 and bool(code), f"{sent} entries were taken; exit {code}: {said}")


@attack("serving peer", must="The send fails: a receipt is believed only of what was sent.", seconds=30)
def receipts_of_nothing(scene: Scene) -> Told:
    """Takes a file, and answers with receipts of other paths, digests and counts."""
    with tempfile.TemporaryDirectory(dir=scene.folder) as folder:
        source = Path(folder, "sent.txt")
        source.write_bytes(b"abc")
        with scene.asked("send", ATTACKER, source) as (link, process):
            have = wire.boxes({"have": 1, "entries": 0, "bytes": 0, "offset": 0})
            wrong = {"path": "other.txt", "size": 999, "root": "0" * 64}
            counts = wire.boxes(wrong, {"bytes": 999, "entries": 7})
            _reply(link, have + counts, entries=7, bytes=999, received_s="0.1")
            code, said = _ended(link, process)
    return Told(bool(code), f"exit {code}: {said}")
