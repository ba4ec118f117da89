"""Targets: everything that is read from a disk, or that a person writes."""

from __future__ import annotations

import io
import json
import os
import stat
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from twisted.internet.defer import Deferred

from p2p.base.config import load_peers, load_router
from p2p.base.endpoints import check_fresh_listener, check_listener, check_router
from p2p.base.errors import ConfigError, ExchangeFailed, IdentityError, InvalidName, LocalFileError
from p2p.base.names import parse_cluster, parse_peer
from p2p.base.values import parse_duration, parse_rate, parse_size
from p2p.console.lines import decode
from p2p.console.transfer_operations import read_event
from p2p.exchange.inbox import checked_name
from p2p.exchange.paths import MAX_NAME, InvalidPath, checked_path, from_bytes, numbered, stays_inside, to_bytes
from p2p.identity.pem_files import load_certificate, load_key
from p2p.measure.blocks import parse_condition
from p2p.measure.lab_hosts import load_lab_hosts
from p2p.measure.plan import load_plan
from p2p.measure.raw_reader import read_run
from p2p.peer.transfers.journal import Journal, TransferRow, create
from p2p.services.inspect_worker import Undecodable, inspect
from p2p.transfer.notes import Notes, agreement_notes, completion_notes
from p2p.transfer.partial import PartialFile
from p2p.transfer.sender_state import SenderState
from p2p.transfer.tree import CHUNK, LEAF, leaf_digest
from p2p.transfer.work_folder import WorkFolder
from test.fuzz.target import scratch, target
from test.peer.transfers.journals import make_journal, row
from test.strategies import STATE

_ROOT: Final = Path(__file__).resolve().parents[2]
_ID: Final = "0123456789abcdef"


def _folder(name: str) -> Path:
    """A folder of a target."""
    folder = scratch() / name
    folder.mkdir(exist_ok=True)
    return folder


def _written(name: str, data: bytes) -> Path:
    """A file with the input in it."""
    path = scratch() / name
    path.write_bytes(data)
    return path


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


@target(
    WorkFolder.load,
    declared=(ExchangeFailed,),
    seeds=[json.dumps(STATE).encode(), b'{"version": 1}', b"{}"],
)
def state(data: bytes) -> None:
    """What a receiver remembers of a transfer."""
    root = os.open(_folder("work"), os.O_RDONLY | os.O_DIRECTORY)
    try:
        work = WorkFolder(root, _ID, sync=False)
        try:
            (scratch() / "work" / f".p2p-{_ID}" / "state.json").write_bytes(data)
            work.save(work.load())
        finally:
            work.close()
    finally:
        os.close(root)


@target(
    Notes.find,
    completion_notes,
    agreement_notes,
    declared=(OSError,),
    seeds=[b'{"entries": 2, "bytes": 3, "refused": 0}', b'{"bytes": null}', b'{"bytes": 7}', b""],
    most=300,
)
def notes(data: bytes) -> None:
    """What is remembered of transfers that have ended, and of what a person agreed to: a damaged note is none."""
    for name in ("ended", "agreed"):
        (_folder(name) / _ID).write_bytes(data)
    totals = completion_notes(scratch()).find(_ID)
    if totals is not None:
        assert all(type(one) is int for one in (totals.entries, totals.bytes, totals.refused))
    agreement = agreement_notes(scratch()).find(_ID)
    if agreement is not None:
        assert agreement.bytes is None or type(agreement.bytes) is int


@target(
    PartialFile,
    SenderState,
    seeds=[bytes(LEAF), b"\1" + leaf_digest([b"abc"]) + b"abc", b'["f", 3, 0, 0]\n' + bytes(LEAF)],
)
def parts(data: bytes) -> None:
    """What is left of a file on its way, at either end: leaves and data that don't belong together."""
    count, rest = (data[0] % 4, data[1:]) if data else (0, b"")
    folder = _folder("parts")
    (folder / "0.leaves").write_bytes(rest[: count * LEAF])
    (folder / "0").write_bytes(rest[count * LEAF :])
    work = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for size in (None, len(rest), CHUNK + 3):
            part = PartialFile(work, "0", size)
            try:
                part.recover(part.marks if size is None else None)
                assert part.tree.size <= len(rest) and part.safe <= part.tree.size + CHUNK
            finally:
                part.close()
    finally:
        os.close(work)
    status = os.stat_result((stat.S_IFREG, 0, 0, 1, 0, 0, 3, 0, 0, 0))
    (_folder("leaves") / "0").write_bytes(data)
    assert all(len(leaves) % LEAF == 0 for leaves in SenderState(scratch() / "leaves").kept("f", status))


def _sound(rows: list[TransferRow]) -> None:
    """See that rows are what everybody takes them for."""
    for one in rows:
        assert isinstance(one.what, dict) and isinstance(one.how, dict)
        assert isinstance(one.created + one.deadline + one.updated, float)
        assert isinstance(one.entries + one.bytes + one.sessions + one.sent_bytes + (one.bytes_total or 0), int)


@target(
    Journal,
    declared=(LocalFileError,),
    seeds=[b'what\0{"paths": ["/x"]}', b"state\0done", b"entries\x007", b"how\0[]", b"direction\0get"],
    most=400,
)
def journal(data: bytes) -> None:
    """A journal of transfers, of which a value of a row is another."""
    column, _, value = data.partition(b"\0")
    path = scratch() / "journal.sqlite"
    path.unlink(missing_ok=True)
    kept, pool = make_journal(path)
    try:
        kept.enter(row(_ID))
        names = {one[1] for one in pool.connection.execute("PRAGMA table_info(transfers)")}
        name = column.decode("utf-8", "replace")
        changed: Any = value if value[:1] == b"\xff" else value.decode("utf-8", "replace")
        with pool.connection:
            pool.connection.execute(f"UPDATE transfers SET {name if name in names else 'what'} = ?", [changed])
        for asking in (kept.unfinished(), kept.latest(10), kept.find(_ID)):
            failures: list[Any] = []
            Deferred.fromCoroutine(asking).addCallback(_sound).addErrback(failures.append)
            assert all(failure.check(LocalFileError) for failure in failures), failures[0].getTraceback()
    finally:
        pool.close()


@target(
    create,
    declared=(LocalFileError,),
    seeds=[b"", b"SQLite format 3\0" + bytes(84), b"not a database, but long enough to be taken for one" * 3],
)
def journal_file(data: bytes) -> None:
    """A file that is no journal, or a broken one."""
    for end in ("", "-wal", "-shm"):
        (scratch() / f"broken.sqlite{end}").unlink(missing_ok=True)
    create(_written("broken.sqlite", data))


@target(
    load_router,
    load_peers,
    load_plan,
    load_lab_hosts,
    declared=(ConfigError,),
    seeds=[
        *((_ROOT / "etc" / name).read_bytes() for name in ("router-n.yaml", "peers-n.yaml", "experiment.yaml")),
        b"coordinator: x.yaml\npairs: [[n1.n, m1.m]]\n",
        b"a: &a [*a]\n",
        b"? {a: b}\n: c\n",
    ],
)
def yaml(data: bytes) -> None:
    """Every configuration file: one that can't be used is told with its lines."""
    path = _written("config.yaml", data)
    for load in (lambda: load_router(path, files=False), lambda: load_peers(path, files=False)):
        try:
            load()
        except ConfigError as error:
            assert str(error).startswith(str(path))
    for other in (load_plan, load_lab_hosts):
        try:
            other(path)
        except ConfigError as error:
            assert str(error).startswith(str(path))


@target(
    parse_peer,
    parse_cluster,
    declared=(InvalidName,),
    seeds=[b"n1.n", b"router.n", b"N1.N", b"a" * 64 + b".n"],
    most=200,
)
def names(data: bytes) -> None:
    """Names of peers and clusters."""
    text = _text(data)
    try:
        assert str(parse_peer(text)) == text and text.isascii() and text.islower()
    except InvalidName as error:
        assert len(str(error)) < 1_000
    parse_cluster(text)


@target(
    checked_path,
    checked_name,
    declared=(InvalidPath, ExchangeFailed),
    seeds=[b"d/a.txt", b"../x", b"a/./b", b".p2p-x", b"\xff\xfe", "a\u202eb".encode()],
    most=5_000,
)
def paths(data: bytes) -> None:
    """Paths of entries and names of files: nothing that is taken leads out of its folder."""
    text = from_bytes(data)
    assert to_bytes(text) == data
    stays_inside(("a", "b"), text)
    try:
        parts = checked_path(text)
    except InvalidPath as error:
        assert len(str(error)) < 2_000
    else:
        assert not {"", ".", ".."} & set(parts) and all(len(to_bytes(part)) <= MAX_NAME for part in parts)
        assert all(len(to_bytes(numbered(part, 10**9))) <= MAX_NAME for part in parts)
    assert "/" not in checked_name(text)


@target(
    parse_size,
    parse_duration,
    parse_rate,
    parse_condition,
    check_listener,
    check_fresh_listener,
    check_router,
    declared=(ValueError,),
    seeds=[
        b"10GB",
        b"10MB/s",
        b"1h 30min",
        b"text-as-video",
        b"open:20",
        b"tcp:0",
        b"tcp:h:5555",
        b"tcp6:1:interface=\\:\\:",
    ],
    most=200,
)
def words(data: bytes) -> None:
    """Sizes, times, endpoints, and names of what is measured."""
    text = _text(data)
    parsers: list[Any] = [parse_size, parse_duration, parse_rate, parse_condition, check_listener]
    for parse in [*parsers, check_fresh_listener, check_router]:
        try:
            parse(text)
        except ValueError:
            continue


@target(
    decode,
    read_event,
    declared=(ValueError, ValidationError),
    seeds=[
        b'{"id":8,"event":"failed","error":"outcome","outcome":"reset","reason":"x"}',
        b'{"event":"verified","id":1,"transfer":"00","peer":"m1.m","name":"a","size":3,"root":""}',
        b'{"a":' + b"[" * 500,
    ],
)
def console_lines(data: bytes) -> None:
    """Lines of the console, and the events of a transfer in them."""
    message = decode(data)
    message.pop("id", None)
    read_event(message)


@target(
    load_certificate,
    load_key,
    declared=(IdentityError,),
    seeds=[b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", b"-----BEGIN PRIVATE KEY-----\nMC4C\n"],
)
def pem(data: bytes) -> None:
    """Files of certificates and keys."""
    path = _written("some.pem", data)
    for load in (load_certificate, load_key):
        try:
            load(path)
        except IdentityError:
            continue


@target(
    read_run,
    declared=(LocalFileError,),
    seeds=[
        b"samples.csv\0block,pair,exchange\n1,1,1\n",
        b"run.json\0{}",
        b"plan.yaml\0title: x\n",
        b"blocks.csv\0block\n1\n",
    ],
)
def raw_data(data: bytes) -> None:
    """The raw data of a run, of which a file is another."""
    folder = _folder("run")
    for name in ("samples.csv", "blocks.csv", "links.csv", "lookups.csv", "daemons.csv", "run.json", "plan.yaml"):
        (folder / name).unlink(missing_ok=True)
    first, _, content = data.partition(b"\0")
    known = first.decode("utf-8", "replace")
    if known not in ("blocks.csv", "links.csv", "lookups.csv", "daemons.csv", "run.json", "plan.yaml"):
        known = "samples.csv"
    (folder / known).write_bytes(content)
    read_run(folder)


@target(
    inspect,
    declared=(Undecodable,),
    seeds=[
        b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\0\0\0\0",
        b"OggS" + bytes(40),
    ]
    + [
        (_ROOT / "data" / name).read_bytes()[:8_000] for name in ("audio-32k.wav", "audio-256k.opus", "video-256k.webm")
    ],
    most=16_384,
)
def media(data: bytes) -> None:
    """Sound and moving pictures, in the worker of the service inspect."""
    report = inspect(io.BytesIO(data))
    assert len(report.picture) <= 1 << 20 and all(len(one) < 1_000 for one in report.fields.values())
