"""The folder in which a receiver keeps what a transfer has brought so far, and what it remembers from run to run.

``.p2p-<id>`` in the folder that the transfer goes to, so that everything in it can be moved to its place without being
copied. Its ``state.json`` is replaced whole. A lock on the folder keeps a second engine for the same transfer out.
All functions here block; they run in threads.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.base.saving import sync_names
from p2p.base.values import DATA
from p2p.exchange.naming import is_there
from p2p.exchange.paths import RESERVED
from p2p.exchange.rules import Arrived
from p2p.transfer.final_names import FOLDER_FLAGS, Close, Folder, PlaceStep, Receipt, Step
from p2p.transfer.partial import leaves_of, write_all
from p2p.transfer.records import Kind

__all__ = ["PartialEntry", "WorkFolder", "WorkState"]

_ID: Final = re.compile(r"[0-9a-f]{16}")
_STATE: Final = "state.json"
_NEW_STATE: Final = "state.new"
_VERSION: Final = 2
_TRIES: Final = 100  # to get hold of the folder, while one session after the other removes it
_STEP_FIELDS: Final = ("path", "temp", "final", "size", "root", "reason")


@dataclass(slots=True)
class PartialEntry:
    """A file of which there is a part.

    :ivar marks: what its part was like when it was synced last (:attr:`p2p.transfer.partial.PartialFile.marks`); None
        if it never was, or if an earlier version has written this.
    """

    temp: str
    path: str
    mtime: int
    size: int | None
    marks: tuple[int, int, int] | None = None

    @property
    def names(self) -> tuple[str, str]:
        """What there is of it in the work folder."""
        return self.temp, leaves_of(self.temp)


@dataclass(slots=True)
class WorkState:
    """What a receiver remembers.

    :ivar next: the number of the next temporary file.
    :ivar stack: the folders that still get entries, outermost first.
    :ivar steps: what was about to be done, and is to be done again.
    :ivar owed: receipts that nobody has been given yet.
    :ivar arrived: what counts for its bounds.
    """

    next: int = 0
    entries: int = 0
    bytes: int = 0
    refused: int = 0
    last: str | None = None
    stack: list[Folder] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    partial: PartialEntry | None = None
    owed: list[Receipt] = field(default_factory=list)
    arrived: Arrived = field(default_factory=Arrived)


class WorkFolder:
    """The work folder of one transfer, made if it isn't there, and locked.

    :param root: descriptor of the folder that the transfer goes to.
    :ivar file: its descriptor.
    :raises ExchangeFailed: with ``refused``, if another engine works on the same transfer, or what has its name is no
        folder of ours.
    """

    def __init__(self, root: int, transfer_id: str, sync: bool) -> None:
        if not _ID.fullmatch(transfer_id):
            raise ExchangeFailed(Outcome.REFUSED, "the id of a transfer is 16 digits in hex")
        self._root = root
        self._name = RESERVED + transfer_id
        self._sync = sync
        self.file = self._locked()

    def _locked(self) -> int:
        for _ in range(_TRIES):
            with suppress(FileExistsError):  # it is from an earlier session
                os.mkdir(self._name, 0o700, dir_fd=self._root)
            try:
                file = os.open(self._name, FOLDER_FLAGS, dir_fd=self._root)
            except FileNotFoundError:
                continue  # an engine that came to its end has just removed it
            try:
                status = os.fstat(file)
                if status.st_uid != os.geteuid():
                    raise ExchangeFailed(
                        Outcome.REFUSED, f"the folder {self._name} of the receiver belongs to somebody else"
                    )
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                there = is_there(self._root, self._name)
                if there is not None and os.path.samestat(there, status):
                    return file
            except BlockingIOError as error:
                os.close(file)
                raise ExchangeFailed(Outcome.RESET, "an earlier session of this transfer hasn't ended yet") from error
            except BaseException:
                os.close(file)
                raise
            os.close(file)  # it was removed before it was locked: nothing in it would last
        raise ExchangeFailed(Outcome.RESET, "other sessions of this transfer come and go all the time")

    def load(self) -> WorkState:
        """What was remembered; a fresh state if nothing was.

        :raises ExchangeFailed: with ``refused``, if it makes no sense.
        """
        try:
            file = os.open(_STATE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.file)
        except FileNotFoundError:
            return WorkState()
        try:
            raw = os.pread(file, os.fstat(file).st_size, 0)
        finally:
            os.close(file)
        try:
            return _decoded(json.loads(raw))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            reason = f"what the receiver remembers of this transfer is damaged; remove its folder {self._name}"
            raise ExchangeFailed(Outcome.REFUSED, f"{reason} and send again") from error

    def save(self, state: WorkState) -> None:
        """Remember a state, whatever happens next."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(_NEW_STATE, flags, 0o600, dir_fd=self.file)
        try:
            write_all(file, [json.dumps(_encoded(state), separators=(",", ":")).encode("ascii")])
            if self._sync:
                os.fsync(file)
        finally:
            os.close(file)
        os.rename(_NEW_STATE, _STATE, src_dir_fd=self.file, dst_dir_fd=self.file)

    def sync(self) -> None:
        """Bring the names in it to the disk."""
        sync_names(self.file)

    def clear(self, keep: Iterable[str] = ()) -> None:
        """Remove what an earlier session left behind, but for the state and some names."""
        kept = {_STATE, *keep}
        with os.scandir(self.file) as entries:
            names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries if entry.name not in kept]
        for name, is_folder in names:
            if is_folder:
                shutil.rmtree(name, dir_fd=self.file)  # it is empty, unless somebody else put something there
            else:
                os.unlink(name, dir_fd=self.file)

    def remove(self) -> None:
        """Remove it with all that is in it."""
        with suppress(FileNotFoundError):  # nothing had been remembered yet
            # It goes first: after a crash, what it says is to be moved and isn't there would count as moved.
            os.unlink(_STATE, dir_fd=self.file)
        self.clear()
        os.rmdir(self._name, dir_fd=self._root)

    def close(self) -> None:
        """Let go of it, and of its lock."""
        os.close(self.file)


def _encoded(state: WorkState) -> dict[str, Any]:
    folders: list[dict[str, Any]] = []
    numbers: dict[Folder, int] = {}

    def number(folder: Folder | None) -> int:
        if folder is None:
            return -1
        if folder not in numbers:
            up = number(folder.up)
            numbers[folder] = len(folders)
            names = {"name": folder.name, "final": folder.final, "refused": folder.refused}
            folders.append({"up": up, "mode": folder.mode, "mtime": folder.mtime, **names})
        return numbers[folder]

    return {
        "version": _VERSION,
        "next": state.next,
        "entries": state.entries,
        "bytes": state.bytes,
        "refused": state.refused,
        "last": state.last,
        "stack": [number(folder) for folder in state.stack],
        "steps": [
            {"close": number(step.folder)}
            if isinstance(step, Close)
            else {
                "kind": step.kind,
                "outcome": step.outcome,
                "folder": number(step.folder),
                "made": number(step.made),
                "notes": step.notes,
                **{name: getattr(step, name) for name in _STEP_FIELDS},
            }
            for step in state.steps
        ],
        "partial": None if state.partial is None else asdict(state.partial),
        "owed": [asdict(receipt) for receipt in state.owed],
        "arrived": asdict(state.arrived),
        "folders": folders,
    }


def _decoded(raw: dict[str, Any]) -> WorkState:
    if raw.pop("version") != _VERSION:
        raise ExchangeFailed(Outcome.REFUSED, "another version of p2p began this transfer; begin it anew")
    folders: list[Folder] = []
    for each in raw.pop("folders"):
        up = each.pop("up")
        folders.append(Folder(None if up < 0 else folders[up], **each))

    def maybe(number: int) -> Folder | None:
        return None if number < 0 else folders[number]

    steps: list[Step] = []
    for each in raw.pop("steps"):
        if "close" in each:
            steps.append(Close(folders[each["close"]]))
            continue
        own = {name: each[name] for name in _STEP_FIELDS}
        notes = [*each.get("notes", ())]  # earlier versions had none
        step = PlaceStep(kind=Kind(each["kind"]), folder=maybe(each["folder"]), notes=notes, **own)
        step.made, step.outcome = maybe(each["made"]), Outcome(each["outcome"])
        steps.append(step)
    stack = [folders[number] for number in raw.pop("stack")]
    owed = [Receipt(**{**each, "outcome": Outcome(each["outcome"])}) for each in raw.pop("owed")]
    partial = _partial(raw.pop("partial"))
    raw.pop("boot", None)  # of earlier versions
    # A state of version 0.1.0 doesn't say it.
    arrived = raw.pop("arrived", None) or {"entries": raw["entries"] - raw["refused"], "by_type": {DATA: raw["bytes"]}}
    return WorkState(stack=stack, steps=steps, owed=owed, partial=partial, arrived=Arrived(**arrived), **raw)


def _partial(raw: dict[str, Any] | None) -> PartialEntry | None:
    if raw is None:
        return None
    raw.pop("synced", None)  # of earlier versions
    marks = raw.pop("marks", None)
    return PartialEntry(**raw, marks=None if marks is None else tuple(marks))
