"""What commands that move something say when it doesn't go well, and the codes that they end with."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from p2p.base.errors import ExchangeFailed, LocalFileError, Outcome
from test.cli.test_send import SendCase
from test.consoles import ConsoleReactor, failing, peer_operations
from test.moves import Move, done, failed, left_out, moved, moved_one, offered, progress


class FailureTests(SendCase):
    """How it ends when it doesn't go well."""

    def test_before_it_begins(self) -> None:
        """What fails before anything begins is told as with every command."""
        for error, code in (
            (LocalFileError("/srv/a: gone"), 11),
            (ExchangeFailed(Outcome.UNKNOWN_PEER, "no other peer is called *.x"), 3),
        ):
            self.assertIn(str(error), self.failure(code, "send", "m4.m", str(self.film), operations=self.with_(error)))

    def with_(self, error: Exception) -> Any:
        """A daemon that fails like this."""
        return peer_operations(send=failing(error))

    def test_outcomes(self) -> None:
        """A transfer that failed says why and what to do, and ends with the code of its outcome."""
        for outcome, error, code in (
            ("reset", "outcome", 8),
            ("refused", "outcome", 5),
            ("corrupt", "outcome", 9),
            ("unheard-of", "outcome", 1),
            (None, "file", 11),
            (None, "usage", 2),
            (None, "cancelled", 130),
            (None, "internal", 1),
        ):
            told = failed(outcome, "because", error=error)
            one = moved_one(outcome, reason="because", error=error)
            result = self.send("m4.m", self.film, move=Move(offered(), told, answer=moved(one)))
            self.assertEqual((code, ""), (result.exit_code, result.stdout), outcome)
            shown = f"p2p: m4.m: {outcome}: because" if outcome else "p2p: m4.m: because"
            before = "change what the reason names; then " if outcome == "refused" else ""
            step = f"next: {before}the same command goes on where this one stopped"
            if outcome == "corrupt":
                step += (
                    f"; if that ends like this again, give it up (p2p transfers --cancel {told.transfer}) to begin anew"
                )
            self.assertEqual(f"{shown}\n{step}\n", result.stderr)

    def test_not_resumable(self) -> None:
        """Where the same command doesn't help, the outcome's remedy is told; what no event told, the end tells."""
        told = failed("refused", "no room", resumable=False)
        one = moved_one("refused", reason="no room")
        for events in ((told,), ()):
            result = self.send("m4.m", self.film, move=Move(*events, answer=moved(one)))
            self.assertEqual(
                "p2p: m4.m: refused: no room\nnext: change what the reason names, then try again\n", result.stderr
            )

    def test_one_of_several(self) -> None:
        """One peer that fails doesn't hide that another has everything; the code is that of the first failure."""
        other = {"transfer": "0" * 16, "peer": "n2.n"}
        move = Move(
            offered(),
            offered(**other),
            failed(),
            done(**other),
            answer=moved(moved_one("reset"), moved_one("ok", **other)),
        )
        result = self.send("m4.m,n2.n", self.film, move=move)
        self.assertEqual(8, result.exit_code)
        self.assertEqual("to n2.n: 1 entry, 4.0 kB in 500 ms (8.0 kB/s)\n", result.stdout)

    def test_left_out(self) -> None:
        """An entry that didn't get through is told with its reason, and the code is that of the first such entry."""
        move = Move(
            left_out("photos/a.jpg", "refused", "the name is taken"),
            left_out("photos/b.jpg", "corrupt", "a chunk is wrong"),
            done(entries=5, refused=2),
            answer=moved(moved_one(refused=2)),
        )
        result = self.send("m4.m", self.photos, move=move)
        self.assertEqual(5, result.exit_code)
        self.assertEqual(
            "p2p: photos/a.jpg: refused: the name is taken\np2p: photos/b.jpg: corrupt: a chunk is wrong\n",
            result.stderr,
        )
        self.assertEqual("to m4.m: 5 entries, 4.0 kB in 500 ms (8.0 kB/s), 2 left out\n", result.stdout)
        move = Move(done(refused=1), answer=moved(moved_one(refused=1)))
        self.assertEqual(5, self.send("m4.m", self.photos, move=move).exit_code)

    def test_json(self) -> None:
        """With JSON, the last line has the code, and an error that comes before any event is an object too."""
        move = Move(failed(), answer=moved(moved_one("reset", reason="the link ended")))
        result = self.send("--json", "m4.m", self.film, move=move)
        first, last = map(json.loads, result.stdout.splitlines())
        self.assertEqual(("failed", "ended", 8), (first["event"], last["event"], last["exit_code"]))
        self.assertEqual((8, ""), (result.exit_code, result.stderr))

    def test_daemon_dies(self) -> None:
        """When the daemon ends in the middle, it is told that it will go on."""
        result = self.send("m4.m", self.film, move=self.die)
        self.assertEqual(10, result.exit_code)
        self.assertIn("it goes on with the transfer by itself", result.stderr)

    def test_interrupted(self) -> None:
        """Ctrl-C in the middle says that the same command goes on; before it begins, there is nothing to say."""

        def interrupted(reactor: ConsoleReactor, work: Callable[[Any], Coroutine[Any, Any, Any]]) -> None:
            running = Deferred.fromCoroutine(work(reactor))
            reactor.settle()
            running.cancel()
            reactor.settle()
            self.failureResultOf(running, CancelledError)
            raise KeyboardInterrupt

        self.patch(ConsoleReactor, "run_work", interrupted)
        for events, reason in (
            ([progress(1000)], "interrupted; the same command goes on where this one stopped"),
            ([], "interrupted"),
        ):
            begun: list[Deferred[None]] = []
            result = self.send("m4.m", self.film, move=Move(*events, until=begun))
            self.assertEqual((130, f"\np2p: {reason}\n"), (result.exit_code, result.stderr))
            self.assertTrue(begun[0].called)
