"""``p2p ls``."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.console.transfer_operations import ListedEntry
from test.cli.commands import CommandCase
from test.consoles import HOSTILE, failing, peer_operations
from test.moves import ENTRIES, transfer_operations


class LsTests(CommandCase):
    """What a peer shares."""

    def test_table(self) -> None:
        """Folders end with a slash, links with their sign, and files have a size; all have their time."""
        changed = datetime.fromtimestamp(1_700_000_000, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
        self.assertEqual(
            [
                ["NAME", "SIZE", "CHANGED"],
                ["films/", *changed.split()],
                ["notes.txt", "1.5", "kB", *changed.split()],
                ["newest@", *changed.split()],
            ],
            [line.split() for line in self.output("ls", "m4.m").splitlines()],
        )

    def test_json(self) -> None:
        """JSON is one object."""
        listed = self.json_output("ls", "m4.m", "films")
        self.assertEqual(("m4.m", "films"), (listed["peer"], listed["path"]))
        self.assertEqual(list(ENTRIES), [ListedEntry.model_validate(one) for one in listed["entries"]])

    def test_nothing(self) -> None:
        """Who shares nothing is told about, and it is no error."""
        operations = peer_operations(**transfer_operations(entries=()))
        for arguments, text in (
            (["m4.m"], "m4.m shares nothing with you\n"),
            (["m4.m", "a"], "m4.m shares nothing there\n"),
        ):
            result = self.run_command("ls", *arguments, operations=operations)
            self.assertEqual((0, "", text), (result.exit_code, result.stdout, result.stderr))

    def test_hostile(self) -> None:
        """Names and times that make no sense do no harm."""
        entries = (ListedEntry(name=HOSTILE, kind="file", size=1, mtime=1e30),)
        shown = self.output("ls", "m4.m", operations=peer_operations(**transfer_operations(entries=entries)))
        self.assertIn("$'evil\\033[2J\\342\\200\\256gpj.exe'", shown)
        self.assertTrue(shown.replace("\n", "").isprintable())
        self.assertTrue(shown.rstrip().endswith("?"))

    def test_typed(self) -> None:
        """A name with what can't be shown stands there as a shell takes it, byte for byte; all others as they are."""
        names = [b"caf\xe9", b"a\tb", b"it's\\\n", "\u202egpj".encode(), "café".encode(), b"back\\slash", b"a b'c"]
        entries = tuple(ListedEntry(name=os.fsdecode(name), kind="file") for name in names)
        shown = self.output("ls", "m4.m", operations=peer_operations(**transfer_operations(entries=entries)))
        cells = [os.fsencode(line.partition("   ")[0]) for line in shown.splitlines()[1:]]
        for name, cell in zip(names, cells, strict=True):
            inner = re.fullmatch(rb"\$'(.*)'", cell)
            if inner is not None:
                cell = re.sub(
                    rb"\\([0-7]{3}|.)",
                    lambda found: bytes([int(found[1], 8)]) if len(found[1]) == 3 else found[1],
                    inner[1],
                )
            self.assertEqual((name, not os.fsdecode(name).isprintable()), (cell, inner is not None))

    def test_far_times(self) -> None:
        """Times before 1970 are shown; what is listed with the furthest times is said to be further away."""
        then = datetime.fromtimestamp(-86400 * 365, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
        times = {"a": (-86400.0 * 365, then), "b": (2**63 / 1e9, "after 2262"), "c": (-(2**63) / 1e9, "before 1677")}
        entries = tuple(ListedEntry(name=name, kind="link", mtime=mtime) for name, (mtime, _) in times.items())
        shown = self.output("ls", "m4.m", operations=peer_operations(**transfer_operations(entries=entries)))
        expected = [[f"{name}@", *text.split()] for name, (_, text) in times.items()]
        self.assertEqual(expected, [line.split() for line in shown.splitlines()[1:]])

    def test_refused(self) -> None:
        """A path that isn't shared is refused."""
        operations = peer_operations(ls=failing(ExchangeFailed(Outcome.REFUSED, "m4.m shares no 'x'")))
        self.assertIn("m4.m shares no 'x'", self.failure(5, "ls", "m4.m", "x", operations=operations))
