"""What was asked for, as the journal keeps it, and how it becomes what moves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import InvalidRequest, LocalFileError
from p2p.console.transfer_operations import GetArguments, SendArguments
from p2p.peer.node import HostedPeer
from p2p.peer.transfers.getting import Getting
from p2p.peer.transfers.plans import GetPlan, Plan, SendPlan, plan_again
from p2p.peer.transfers.sender_leaves import KeptState
from p2p.peer.transfers.sending import Sending
from test.peer.pair import at_once
from test.peer.transfers.journals import make_journal, row

NOBODY = cast(HostedPeer, None)
"""Plans only pass the peer on."""


class PlanCase(SynchronousTestCase):
    """n1.n has a film."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.film = self.folder / "film.mp4"
        self.film.write_bytes(b"film")
        self.clock = Clock()
        self.journal, pool = make_journal(self.folder / "journal")
        self.addCleanup(pool.close)
        self.kept = KeptState(self.folder / "kept", self.journal, at_once)

    def send(self, *paths: str, **more: Any) -> SendPlan:
        known: dict[str, Any] = {"peers": ["m4.m"], "paths": list(paths), **more}
        return SendPlan.asked("n1.n", SendArguments(**known), None, self.kept, at_once, self.clock)

    def get(self, *names: str, **more: Any) -> GetPlan:
        known: dict[str, Any] = {"peer": "m4.m", "names": list(names), "folder": str(self.folder), **more}
        return GetPlan.asked(GetArguments(**known), None, self.journal.seal, at_once, self.clock)

    def check(self, plan: Plan) -> None:
        self.successResultOf(Deferred.fromCoroutine(plan.check()))

    def unchecked(self, plan: Plan, error: type[Exception]) -> None:
        self.failureResultOf(Deferred.fromCoroutine(plan.check()), error)


class SendPlanTests(PlanCase):
    def test_what(self) -> None:
        """What is sent makes the transfer, its limits don't; both fit into the journal."""
        slow, fast = self.send(str(self.film), limit=2000), self.send(str(self.film))
        self.assertEqual(slow.what, fast.what)
        self.assertEqual((2000, None), (slow.how["limit"], fast.how["limit"]))
        self.assertNotEqual(slow.what, self.send(str(self.film), name="other").what)
        self.assertEqual(slow.what, json.loads(json.dumps(slow.what)))
        self.assertEqual(("send", False), (slow.direction, slow.is_stream))

    def test_check(self) -> None:
        """What isn't there, or can't be called that, is told before anything begins."""
        self.check(self.send(str(self.film)))
        self.unchecked(self.send(str(self.folder / "none")), LocalFileError)
        self.assertRaises(InvalidRequest, self.send, str(self.film), str(self.folder), name="one")

    def test_moving(self) -> None:
        """One that begins anew shares the reading with those that begin with it; one that goes on reads alone."""
        plan = self.send(str(self.film))
        self.successResultOf(Deferred.fromCoroutine(plan.share(3)))
        self.assertEqual(3, len(plan._senders))
        moving = plan.moving(row(what=plan.what, how=plan.how), NOBODY, fresh=True)
        self.assertEqual((["film.mp4"], 2), (list(moving.names), len(plan._senders)))
        plan.moving(row(what=plan.what, how=plan.how), NOBODY, fresh=False)
        self.assertEqual(2, len(plan._senders))


class GetPlanTests(PlanCase):
    def test_what(self) -> None:
        """Names and the folder make the transfer; that a name was typed as a folder's doesn't."""
        plan = self.get("films/", "notes")
        self.assertEqual((["films", "notes"], ["films"]), (plan.what["names"], plan.how["folders"]))
        self.assertEqual(plan.what, self.get("films", "notes").what)
        self.assertNotEqual(plan.what, self.get("films", "notes", exists="replace").what)
        self.assertEqual(("get", False), (plan.direction, plan.is_stream))
        self.assertEqual(["/"], self.get("/").what["names"])

    def test_check(self) -> None:
        """A folder that isn't there and names that can't be asked for are told before anything begins."""
        self.check(self.get("films"))
        self.unchecked(self.get("films", folder=str(self.folder / "none")), LocalFileError)
        self.unchecked(self.get("../films"), InvalidRequest)
        self.successResultOf(Deferred.fromCoroutine(self.get("films").share(1)))


class AgainTests(PlanCase):
    def test_again(self) -> None:
        """From its row a transfer is planned once more as it was, whichever direction it has."""
        plans: list[tuple[Plan, type]] = [(self.send(str(self.film)), Sending), (self.get("films"), Getting)]
        for plan, kind in plans:
            known = row(direction=plan.direction, what=plan.what, how=plan.how)
            again = plan_again(known, self.journal, self.kept, at_once, self.clock)
            self.assertEqual((plan.what, plan.how, type(plan)), (again.what, again.how, type(again)))
            self.check(again)
            self.assertIsInstance(again.moving(known, NOBODY, fresh=False), kind)
