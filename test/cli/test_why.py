"""``p2p why``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from click.testing import Result
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError

from p2p.base.errors import Outcome
from p2p.cli import why as module
from p2p.console.operations import Candidate, Diagnosis, FoundLink, Leg, LegName, LegState, WhyArguments, legs_between
from p2p.console.server import Handler, checked
from test.cli.commands import CommandCase
from test.consoles import HOSTILE, ConsoleReactor, peer_operations

LINK = FoundLink(
    initiator="n1.n",
    local="192.0.2.1:41234",
    remote="192.0.2.4:50022",
    security="tls",
    age_s=12.5,
    observed="192.0.2.4",
    same_address=True,
    note="the other end is 192.0.2.4, where router.m sees m4.m",
)


def good(name: LegName, detail: str = "") -> Leg:
    """A leg that is good."""
    return Leg(leg=name, state=LegState.OK, took_ns=1_500_000, detail=detail or f"about {name}")


def broken(name: LegName, outcome: Outcome, cause: str = "it broke", remedy: str = "mend it") -> Leg:
    """A leg that failed."""
    return Leg(leg=name, state=LegState.FAILED, outcome=outcome, took_ns=2_000_000_000, detail=cause, remedy=remedy)


def rest(state: LegState, *names: LegName) -> list[Leg]:
    """Legs that weren't walked."""
    return [
        Leg(leg=name, state=state, detail="the link stands" if state is LegState.NOT_NEEDED else "") for name in names
    ]


def whole() -> list[Leg]:
    """All legs to another cluster, all good."""
    return [good(name) for name in legs_between(near=False)]


def stopped(outcome: Outcome) -> list[Leg]:
    """Legs of which the dial failed."""
    names = legs_between(near=False)
    where = names.index(LegName.DIAL)
    return [
        *(good(name) for name in names[:where]),
        broken(LegName.DIAL, outcome),
        *rest(LegState.NOT_REACHED, *names[where + 1 :]),
    ]


class WhyTests(CommandCase):
    """The table, the verdict, and the code."""

    def operations(self, legs: list[Leg], **more: Any) -> dict[str, Handler]:
        """A daemon that finds these legs."""
        self.asked: list[WhyArguments] = []
        failed = next((leg for leg in legs if leg.state == LegState.FAILED), None)
        outcome = Outcome.OK if failed is None else failed.outcome

        async def why(arguments: WhyArguments, emit: Any) -> Diagnosis:
            self.asked.append(arguments)
            for leg in legs:
                await emit("leg", **leg.model_dump(mode="json"))
            fields = {
                "standing": False,
                "outcome": outcome,
                "failed": failed and failed.leg,
                "took_ns": 31_000_000,
                **more,
            }
            return Diagnosis(peer=arguments.peer, acting="n1.n", legs=legs, **fields)

        return peer_operations(why=checked(WhyArguments, why))

    def ran(self, legs: list[Leg], *arguments: str, **more: Any) -> Result:
        """Run the command against such a daemon."""
        return self.run_command("why", *(arguments or ("m4.m",)), operations=self.operations(legs, **more))

    def test_good(self) -> None:
        """Each leg has a line with its time and what was found; then the link is told, and that all is well."""
        result = self.ran(whole(), link=LINK)
        self.assertEqual((0, ""), (result.exit_code, result.stderr))
        table, _, verdict = result.stdout.partition("\n\n")
        heads, *lines = table.splitlines()
        self.assertEqual(["LEG", "TIME", "OUTCOME", "DETAIL"], heads.split())
        self.assertEqual(10, len(lines))
        self.assertEqual("own router         1.5 ms        ok                    about router", lines[1])
        self.assertEqual({heads.index("OUTCOME")}, {line.index("ok  ") for line in lines})
        link, direct, last = verdict.splitlines()
        self.assertEqual(
            "link     192.0.2.1:41234 - 192.0.2.4:50022, TLS 1.3, asked for by n1.n, stands for 12.5 s", link
        )
        self.assertEqual("direct   the other end is 192.0.2.4, where router.m sees m4.m", direct)
        self.assertEqual("verdict  n1.n reaches m4.m, in 31 ms", last)

    def test_candidates(self) -> None:
        """Each address that was dialled is told with what became of it, and where this machine stands."""
        candidates = [
            Candidate(by="m4.m", address="192.0.2.1", port=41234, what="no-answer"),
            Candidate(by="n1.n", address="192.0.2.4", port=50022, what="link"),
            Candidate(by="n1.n", address="192.0.2.5", port=50022, what=HOSTILE),
        ]
        result = self.ran(whole(), link=LINK, candidates=candidates, position="a firewall here drops what others begin")
        *_, first, second, third, here, last = result.stdout.splitlines()
        self.assertEqual("tried    m4.m dials 192.0.2.1, port 41234: nothing answers", first)
        self.assertEqual("         n1.n dials 192.0.2.4, port 50022: this is the link", second)
        self.assertTrue(third.isprintable())
        self.assertEqual("here     a firewall here drops what others begin", here)
        self.assertTrue(last.startswith("verdict  n1.n reaches"))

    def test_failed(self) -> None:
        """The leg that fails is named with its cause and its remedy, and the code is that of its outcome."""
        for outcome, code in ((Outcome.CONNECT_FAILED, 6), (Outcome.UNKNOWN_PEER, 3), (Outcome.CORRUPT, 9)):
            result = self.ran(stopped(outcome))
            self.assertEqual((code, ""), (result.exit_code, result.stderr))
            self.assertIn(f"dial               2 s           {outcome}\n", result.stdout)
            self.assertIn("TLS                              not reached\n", result.stdout)
            self.assertIn(f"\n\nfailed  dial, {outcome}\ncause   it broke\nnext    mend it\n", result.stdout)

    def test_standing(self) -> None:
        """Where a link stands, the legs that weren't needed are told, and how to walk them."""
        *needless, ping, exchange = legs_between(near=False, standing=True)[1:]
        legs = [good(LegName.DAEMON), *rest(LegState.NOT_NEEDED, *needless), good(ping), good(exchange)]
        output = self.ran(legs, standing=True, link=LINK.model_copy(update={"security": "plain"})).stdout
        self.assertEqual(8, output.count("not needed            the link stands\n"))
        self.assertIn("ping               1.5 ms        ok", output)
        self.assertIn("plain: closed labs only", output)
        self.assertIn("weren't needed now; to walk all of them: p2p why --fresh m4.m", output)

    def test_fresh(self) -> None:
        """``--fresh`` and the peer that acts go along."""
        operations = self.operations(whole())
        self.run_command("--as", "n1.n", "why", "--fresh", "m4.m", operations=operations)
        self.run_command("why", "m4.m", operations=operations)
        self.assertEqual([(True, "n1.n"), (False, None)], [(one.fresh, one.acting) for one in self.asked])

    def test_json(self) -> None:
        """JSON has everything in one object, good or not, with the exit code."""
        answer = json.loads(self.ran(whole(), "m4.m", "--json", link=LINK).stdout)
        self.assertEqual(("ok", None, 0), (answer["outcome"], answer["failed"], answer["exit_code"]))
        self.assertEqual("about tls", next(leg["detail"] for leg in answer["legs"] if leg["leg"] == "tls"))
        self.assertEqual("192.0.2.4", answer["link"]["observed"])
        result = self.ran(stopped(Outcome.CONNECT_FAILED), "m4.m", "--json")
        answer = json.loads(result.stdout)
        self.assertEqual((6, "dial", 6), (answer["exit_code"], answer["failed"], result.exit_code))

    def test_no_daemon(self) -> None:
        """A daemon that isn't there is a leg like any other, told with how to start it."""

        def refused(reactor: Any, *arguments: Any, **more: Any) -> None:
            raise ConnectError(string="No such file or directory")

        self.patch(ConsoleReactor, "connectUNIX", refused)
        for peer, legs in (("m4.m", 10), ("n2.n", 9)):
            result = self.run_command("why", peer)
            self.assertEqual((10, ""), (result.exit_code, result.stderr))
            self.assertIn("own daemon                       failed\n", result.stdout)
            self.assertEqual(legs - 1, result.stdout.count("not reached\n"))
            self.assertIn("failed  own daemon, no daemon\ncause   no daemon answers on ", result.stdout)
            self.assertIn("next    if it isn't running, start it with: twistd -n --pidfile= p2p-peer", result.stdout)
        result = self.run_command("--as", "n1.n", "why", "m4.m", "--json")
        answer = json.loads(result.stdout)
        self.assertEqual((10, 10), (result.exit_code, answer["exit_code"]))
        self.assertEqual((None, "daemon", "n1.n"), (answer["outcome"], answer["failed"], answer["acting"]))

    def test_daemon_hangs(self) -> None:
        """A daemon that is there but doesn't answer is told to be that, in time."""

        async def status(request: Mapping[str, Any], emit: object) -> Mapping[str, Any]:
            await Deferred()
            return {}

        result = self.run_command("why", "m4.m", operations=peer_operations(status=status))
        self.assertEqual(10, result.exit_code)
        self.assertIn("has not answered status within 10 s\nnext    see its log; if it hangs, kill it", result.stdout)

    def test_usage(self) -> None:
        """What can't be asked is an error like that of any command."""
        self.assertIn("isn't <node>.<cluster>", self.failure(2, "why", "m4"))
        self.assertIn("this is a router's", self.failure(2, "why", "m4.m", config=self.router_config))

    def test_hostile(self) -> None:
        """What comes from elsewhere can't steer the terminal."""
        legs = [good(LegName.DAEMON, HOSTILE), broken(LegName.ROUTER, Outcome.TIMEOUT, HOSTILE, HOSTILE)]
        output = self.ran(legs).stdout
        self.assertNotIn("\x1b", output)
        self.assertEqual(3, output.count("evil\\x1b[2J"))

    def test_newer_daemon(self) -> None:
        """A leg and a state that a newer daemon tells of are shown as they are."""
        output = self.ran([Leg(leg="moon", state="eclipsed"), *whole()]).stdout
        self.assertIn("moon                             eclipsed\n", output)

    def test_terminal(self) -> None:
        """On a terminal the leg that is walked now is shown, and taken away when it has ended."""
        self.patch(module, "sys", _Terminal())
        output = self.ran(whole()).stdout  # without the escape that clears the line, since this isn't one after all
        self.assertIn("\nown router ...\rown router  ", output)
        self.assertIn("\nfirst exchange ...\rfirst exchange  ", output)
        self.assertNotIn("ping ...", output)


class _Terminal:
    """Stands in for :mod:`sys` where its standard output is a terminal, and for that."""

    def __init__(self) -> None:
        self.stdout = self

    def isatty(self) -> bool:
        return True

    def exit(self, code: int) -> None:
        raise SystemExit(code)
