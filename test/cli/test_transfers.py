"""``p2p transfers``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from p2p.base.errors import InvalidRequest
from p2p.console.server import Handler
from p2p.console.transfer_operations import LeftOut, TransferShown
from test.cli.commands import CommandCase
from test.consoles import HOSTILE, ConsoleReactor, failing, peer_operations
from test.moves import (
    ID,
    done,
    failed,
    left_out,
    offered,
    pending,
    progress,
    resumed,
    shown,
    stalled,
    transfer_operations,
    verified,
    waiting,
)


def knowing(*known: TransferShown) -> dict[str, Handler]:
    """A daemon that knows these transfers."""
    return peer_operations(**transfer_operations(known=known))


class ListTests(CommandCase):
    """The table."""

    def test_table(self) -> None:
        """Each transfer has its line, the newest last, and below it is told why those that wait or failed do."""
        operations = knowing(
            shown(),
            shown(transfer="0" * 16, direction="receive", state="done", bytes=4000, names=list("abcde"), reason="ok"),
        )
        lines = self.output("transfers", operations=operations).splitlines()
        self.assertEqual(["ID", "CHANGED", "PEER", "STATE", "ENTRIES", "SIZE", "WHAT"], lines[0].split())
        self.assertIn("from m4.m   done", lines[1])
        self.assertTrue(lines[1].endswith("4.0 kB             a, b, c and 2 more"), lines[1])
        self.assertIn("to m4.m     waiting   0         1.0 kB of 4.0 kB   film.mkv", lines[2])
        self.assertEqual(["", f"{ID}: the link ended"], lines[3:])

    def test_nothing_to_explain(self) -> None:
        """Transfers that are done need no reasons."""
        operations = knowing(shown(state="done", bytes=4000, bytes_total=None, names=[HOSTILE]))
        lines = self.output("transfers", operations=operations).splitlines()
        self.assertEqual(2, len(lines))
        self.assertTrue(lines[1].endswith("4.0 kB   evil\\x1b[2J\\u202egpj.exe"), lines[1])

    def test_left_out(self) -> None:
        """Of what is done but for some entries, these are told: it may have been detached, and nobody was told then."""
        lacking = [LeftOut(path=HOSTILE, outcome="refused", reason="a socket")] * 3
        operations = knowing(shown(state="done", refused=5, left_out=lacking))
        told = self.output("transfers", operations=operations).splitlines()[-1]
        self.assertTrue(told.startswith(f"{ID}: 5 left out: evil"), told)
        self.assertTrue(told.endswith("refused: a socket; and 2 more"), told)
        self.assertNotIn("\x1b", told)

    def test_none(self) -> None:
        """That there were none is told."""
        result = self.run_command("transfers", operations=knowing())
        self.assertEqual((0, "", "there have been no transfers\n"), (result.exit_code, result.stdout, result.stderr))

    def test_count(self) -> None:
        """So many are listed."""
        operations = knowing(*(shown(transfer=f"{number:016}") for number in range(5)))
        self.assertEqual(2, len(self.json_output("transfers", "--count", "2", operations=operations)["transfers"]))
        self.failure(2, "transfers", "--count", "0")

    def test_json(self) -> None:
        """JSON has what the journal has."""
        (one,) = self.json_output("transfers")["transfers"]
        self.assertEqual(shown(), TransferShown.model_validate(one))


class CancelTests(CommandCase):
    """``--cancel``."""

    def test_cancelled(self) -> None:
        """What was cancelled is shown as it is now."""
        self.assertIn("cancelled", self.output("transfers", "--cancel", ID))

    def test_unknown(self) -> None:
        """What isn't there can't be cancelled."""
        operations = peer_operations(**{"cancel-transfer": failing(InvalidRequest("there is no transfer x"))})
        self.assertIn("there is no transfer x", self.failure(2, "transfers", "--cancel", "x", operations=operations))

    def test_not_with_follow(self) -> None:
        """It is one or the other."""
        self.failure(2, "transfers", "--cancel", ID, "--follow")


class FollowTests(CommandCase):
    """``--follow``."""

    def following(self, *events: Any, known: Any = ()) -> dict[str, Handler]:
        """A daemon in which this happens."""

        async def transfers(request: Mapping[str, Any], emit: Any) -> Mapping[str, Any]:
            await emit("transfers", transfers=[one.model_dump(mode="json") for one in known])
            for event in events:
                await emit("transfer", transfer=event.model_dump(mode="json"))
            return {"transfers": []}

        return peer_operations(transfers=transfers)

    def test_lines(self) -> None:
        """After the list, each event has a line with its time and the transfer's id."""
        operations = self.following(
            offered(names=list("abcde")),
            pending(),
            resumed(),
            progress(1000),
            progress(2000),
            progress(1, transfer="0" * 16),
            verified(),
            left_out("a", "refused", "no"),
            stalled(),
            waiting(),
            failed(),
            done(),
            known=[shown()],
        )
        lines = self.output("transfers", "--follow", operations=operations).splitlines()
        self.assertEqual("ID", lines[0].split()[0])
        told = lines[4:]
        self.assertEqual({f"  {ID}  ", f"  {'0' * 16}  "}, {line[8:28] for line in told})
        self.assertEqual(
            [
                "m4.m: begins: a, b, c and 2 more",
                "m4.m: waits for consent: a person decides",
                "m4.m: goes on after 3 entries",
                "m4.m: 0 of 1 entry, 1.0 kB of 4.0 kB, 1.0 kB/s",
                "m4.m: 0 of 1 entry, 1 byte of 4.0 kB, 1.0 kB/s",
                "m4.m: film.mkv: 4.0 kB, verified 1a2b3c4d1a2b",
                "m4.m: a: refused: no",
                "m4.m has taken nothing for 5 s; the link answers pings in 2 ms: its disk is slow",
                "m4.m: reset: the link ended; goes on in 2 s, tries for 58 min 0 s more",
                "m4.m: ended: reset: the link ended",
                "done: to m4.m: 1 entry, 4.0 kB in 500 ms (8.0 kB/s)",
            ],
            [line[28:] for line in told],
        )

    def test_interrupted(self) -> None:
        """Ctrl-C ends the watching, not what is watched."""

        def interrupted(reactor: object, work: object) -> None:
            raise KeyboardInterrupt

        self.patch(ConsoleReactor, "run_work", interrupted)
        result = self.run_command("transfers", "--follow")
        self.assertEqual((130, "\np2p: interrupted; the transfers go on\n"), (result.exit_code, result.stderr))

    def test_nothing_yet(self) -> None:
        """Where there are no transfers yet, there is no table."""
        self.assertEqual(1, len(self.output("transfers", "-f", operations=self.following(done())).splitlines()))

    def test_json(self) -> None:
        """JSON has the list as the first object, and then the events."""
        lines = self.output("transfers", "-f", "--json", operations=self.following(done(), known=[shown()]))
        first, second = map(json.loads, lines.splitlines())
        self.assertEqual(("transfers", ID), (first["event"], first["transfers"][0]["transfer"]))
        self.assertEqual(done().model_dump(mode="json"), second)
