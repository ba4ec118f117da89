"""Options as the console declares them, and completion of names: quick, right, and silent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import click
from click.testing import CliRunner
from pydantic import Field
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.cli.main import cli
from p2p.cli.parameters import option
from p2p.console.operations import Arguments, PeersArguments, PeersListed
from p2p.console.server import Handler, checked
from p2p.console.transfer_operations import ListedEntry
from test.cli.commands import CommandCase
from test.consoles import HOSTILE, ConsoleReactor, failing, peer_operations, router_operations
from test.moves import ID, shown, transfer_operations

NAMES = {"n": ["n1.n", "n2.n", "node-7.n"], "m": ["m1.m", "m2.m"], "nn": ["n1.nn"]}


class Wanted(Arguments):
    """Arguments of every kind that options are made of."""

    acting: str | None = Field(default=None, validation_alias="as", serialization_alias="as", description="Who acts.")
    exists: Literal["rename", "refuse"] = "rename"
    count: int = Field(default=50, ge=1, le=1000)
    fast_enough: bool = Field(default=False, description="Whether it is.")
    limit: int | None = Field(default=None, ge=1024, json_schema_extra={"unit": "bytes/s"})
    deadline_s: float = Field(default=5400.0, ge=0, le=86400, json_schema_extra={"unit": "s"})


class OptionTests(SynchronousTestCase):
    """``option``."""

    def run_with(self, *arguments: str) -> Any:
        """What a command with all these options gets, or the text with which it refuses."""
        got: list[dict[str, Any]] = []

        def command(**options: Any) -> None:
            got.append(options)

        for name in reversed(Wanted.model_fields):
            command = option(Wanted, name, *(["-n"] if name == "count" else []))(command)
        result = CliRunner().invoke(click.command()(command), arguments)
        return got[0] if got else result.output

    def test_defaults(self) -> None:
        """Without options the command gets the defaults of the arguments, under their names."""
        self.assertEqual(Wanted(), Wanted(**self.run_with()))

    def test_values(self) -> None:
        """Each option is named after its argument and gives its value as the daemon takes it."""
        given = "--as n1.n --exists refuse -n 7 --fast-enough --limit 10MB/s --deadline 90s"
        expected = Wanted(acting="n1.n", exists="refuse", count=7, fast_enough=True, limit=10_000_000, deadline_s=90.0)
        self.assertEqual(expected, Wanted.read(self.run_with(*given.split())))

    def test_checks(self) -> None:
        """What the argument doesn't take, the option refuses, and names itself."""
        for flag, value, reason in (
            ("--exists", "shout", "rename"),
            ("--count", "1001", "1<=x<=1000"),
            ("--limit", "1kB", "less than 1024 bytes a second"),
            ("--limit", "fast", "10MB/s"),
            ("--deadline", "2d", "more than 1d"),
            ("--deadline", "soon", "90s"),
        ):
            text = self.run_with(flag, value)
            self.assertIn(flag, text)
            self.assertIn(reason, text)

    def test_help(self) -> None:
        """The help has the description, the unit and the default of each, written as people write it."""
        text = " ".join(self.run_with("--help").split())
        for part in (
            "--as ACTING Who acts.",
            "--exists [rename|refuse] [default: rename]",
            "-n, --count INTEGER RANGE [default: 50; 1<=x<=1000]",
            "--fast-enough Whether it is.",
            "--limit RATE",
            "--deadline TIME [default: 90min]",
        ):
            self.assertIn(part, text)
        self.assertNotIn("default: False", text)
        self.assertNotIn("default: None", text)


class CompletionCase(CommandCase):
    """Presses Tab in bash."""

    def setUp(self) -> None:
        """A daemon that hosts n1.n, which has a link to m4.m."""
        super().setUp()
        self.clusters: list[str] = []

        async def peers(arguments: PeersArguments, emit: object) -> PeersListed:
            self.clusters.append(arguments.cluster)
            if arguments.cluster not in NAMES:
                raise ExchangeFailed(Outcome.UNKNOWN_CLUSTER, "no such cluster")
            return PeersListed(cluster=arguments.cluster, names=NAMES[arguments.cluster])

        self.known = peer_operations(peers=checked(PeersArguments, peers))

    def completed(
        self, line: str, operations: Mapping[str, Handler] | None = None, *, config: str | None = None
    ) -> list[str]:
        """What bash is offered for the last word of a line."""
        self.reactor = ConsoleReactor(self.known if operations is None else operations)
        words = line.split(" ")
        env = {
            "_P2P_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
            "P2P_CONFIG": str(self.config) if config is None else config,
        }
        result = CliRunner().invoke(cli, [], obj=self.reactor.run_work, env=env, prog_name="p2p")
        self.assertEqual((0, ""), (result.exit_code, result.stderr))
        return result.stdout.split()


class PeerTests(CompletionCase):
    """Names of peers."""

    def test_own_cluster(self) -> None:
        """Names of one's own cluster are offered, and of those who have a link; not one's own name."""
        for command in ("why", "ping", "message", "send"):
            self.assertEqual(["plain,m4.m", "plain,n2.n", "plain,node-7.n"], self.completed(f"p2p {command} "))
        self.assertEqual(["plain,n2.n", "plain,node-7.n"], self.completed("p2p ping n"))
        self.assertEqual({"n"}, set(self.clusters))

    def test_other_cluster(self) -> None:
        """Once the text names another cluster, names of that are offered."""
        self.assertEqual(["plain,m1.m"], self.completed("p2p why m1.m"))
        self.assertEqual(["m"], self.clusters)

    def test_cluster_begins_alike(self) -> None:
        """A text that names a cluster and can also be the beginning of one's own gets both."""
        self.write("peer.yaml", self.config.read_text().replace("n1.n,", "n1.nn,"))
        status = self.known["status"]

        async def other(request: Mapping[str, Any], emit: Any) -> Mapping[str, Any]:
            answer = await status(request, emit)
            return {**answer, "cluster": "nn", "peers": [{"name": "n9.nn", "registered": True, "links": []}]}

        self.assertEqual(["plain,n1.n", "plain,n1.nn"], self.completed("p2p why n1.n", {**self.known, "status": other}))
        self.assertEqual(["nn", "n"], self.clusters)

    def test_unknown_cluster(self) -> None:
        """A cluster that nobody knows has no names, nor has a text that can't be a name."""
        for text in ("x1.xx", "x1.-", "x.y.z", "X."):
            self.assertEqual([], self.completed(f"p2p why {text}"))

    def test_dot(self) -> None:
        """A text that ends with its dot can still be of one's own cluster, or of one that has a link."""
        self.assertEqual(["plain,n2.n"], self.completed("p2p why n2."))
        self.assertEqual(["plain,m4.m"], self.completed("p2p why m4."))

    def test_options(self) -> None:
        """``--config`` and ``--as`` before the command count."""
        self.assertEqual([], self.completed("p2p --config nowhere.yaml why n"))
        self.assertEqual(["plain,n2.n"], self.completed(f"p2p --config {self.config} why n2", config=""))
        seen: list[Any] = []

        async def peers(request: Mapping[str, Any], emit: Any) -> Mapping[str, Any]:
            seen.append(request["as"])
            return {"cluster": "n", "names": ["n1.n", "n2.n"]}

        self.assertEqual(["plain,n1.n"], self.completed("p2p --as n2.n why n", {**self.known, "peers": peers}))
        self.assertEqual(["n2.n"], seen)

    def test_hosted(self) -> None:
        """``--as`` is offered the peers that the daemon hosts."""
        self.assertEqual(["plain,n1.n"], self.completed("p2p --as "))
        self.assertEqual([], self.completed("p2p --as m"))

    def test_files(self) -> None:
        """Files behind the peer are the shell's business."""
        self.assertEqual(["file,fi"], self.completed("p2p send m4.m fi"))

    def test_hostile(self) -> None:
        """Only what can be a name gets into a command line."""
        names = ["n2.n; reboot", "n2.n\nplain,n3.n", "$(reboot).n", "n5.n"]

        async def peers(request: Mapping[str, Any], emit: Any) -> Mapping[str, Any]:
            return {"cluster": "n", "names": names}

        self.assertEqual(["plain,n5.n"], self.completed("p2p why n", {**self.known, "peers": peers}))


class TargetTests(CompletionCase):
    """Several names with commas between them."""

    def test_last(self) -> None:
        """The last name is completed; those that stand there already aren't offered again."""
        self.assertEqual(["plain,n2.n", "plain,node-7.n"], self.completed("p2p send n"))
        self.assertEqual(["plain,m4.m,n2.n", "plain,m4.m,node-7.n"], self.completed("p2p send m4.m,n"))
        self.assertEqual(["plain,n2.n,node-7.n"], self.completed("p2p send n2.n,n"))


class SharedTests(CompletionCase):
    """Names of what a peer shares."""

    def test_names(self) -> None:
        """What the peer shares is offered, folders with a slash."""
        self.assertEqual(["plain,films/", "plain,newest", "plain,notes.txt"], self.completed("p2p get m4.m "))
        self.assertEqual(["plain,newest", "plain,notes.txt"], self.completed("p2p ls m4.m n"))

    def test_inside_a_folder(self) -> None:
        """Behind a slash, what is in the folder is asked for."""
        asked: list[str] = []

        async def ls(request: Mapping[str, Any], emit: object) -> Mapping[str, Any]:
            asked.append(request["path"])
            return {"peer": "m4.m", "path": "a/b", "entries": [{"name": "x", "kind": "file"}]}

        self.assertEqual(["plain,a/b/x"], self.completed("p2p ls m4.m a/b/", {**self.known, "ls": ls}))
        self.assertEqual(["a/b"], asked)

    def test_odd_names(self) -> None:
        """A name that the shell would have to quote, or that steers a terminal, isn't offered."""
        entries = [ListedEntry(name=name, kind="file") for name in ("a b", "$(rm)", "c\nd", HOSTILE, "größe.txt")]
        operations = {**self.known, **transfer_operations(entries=entries)}
        self.assertEqual(["plain,größe.txt"], self.completed("p2p ls m4.m ", operations))

    def test_file_of_this_machine(self) -> None:
        """Where the peer shares nothing that fits, a folder of this machine may be meant."""
        self.assertEqual(["file,/srv/"], self.completed("p2p get m4.m films /srv/"))

    def test_no_peer(self) -> None:
        """Without a proper name before it, nobody is asked."""
        self.assertEqual(["file,x"], self.completed("p2p get M x"))


class IdTests(CompletionCase):
    """Ids."""

    def test_transfers(self) -> None:
        """Transfers that can be cancelled are offered."""
        rows = [shown(), shown(transfer="5" * 16, state="done"), shown(transfer="6" * 16, state="running")]
        operations = {**self.known, **transfer_operations(known=rows)}
        completed = self.completed("p2p transfers --cancel ", operations)
        self.assertEqual([f"plain,{ID}", f"plain,{'6' * 16}"], completed)
        self.assertEqual([f"plain,{'6' * 16}"], self.completed("p2p transfers --cancel 6", operations))

    def test_offers(self) -> None:
        """Offers are offered."""
        self.assertEqual([f"plain,{ID}"], self.completed("p2p offers accept "))
        self.assertEqual([], self.completed("p2p offers refuse x"))


class SilenceTests(CompletionCase):
    """Nothing is said where nothing is known, and nobody waits."""

    def test_no_daemon(self) -> None:
        """Without a daemon, or a file that names one, nothing is offered."""

        def refused(reactor: Any, *arguments: Any, **more: Any) -> None:
            raise ConnectError(string="No such file or directory")

        self.patch(ConsoleReactor, "connectUNIX", refused)
        self.assertEqual([], self.completed("p2p why "))
        self.assertEqual([], self.completed("p2p why ", config=""))
        self.assertEqual([], self.completed("p2p why ", config=str(self.write("bad.yaml", "router: [1]\n"))))

    def test_router(self) -> None:
        """A router's console knows no names, whichever file describes it."""
        self.assertEqual([], self.completed("p2p why ", config=str(self.router_config)))
        self.assertEqual([], self.completed("p2p why ", router_operations()))

    def test_slow(self) -> None:
        """A daemon that doesn't answer within a second is left alone; what it had said until then is offered."""

        async def never(request: Mapping[str, Any], emit: Any) -> Mapping[str, Any]:
            await Deferred()
            return {}

        self.assertEqual(["plain,m4.m"], self.completed("p2p why ", {**self.known, "peers": never}))
        self.assertLess(self.reactor.seconds(), 1.3)
        self.assertEqual([], self.completed("p2p why ", {**self.known, "status": never}))

    def test_failing(self) -> None:
        """A daemon that isn't registered, or has a fault, offers what it knows."""
        for error in (ExchangeFailed(Outcome.CLUSTER_UNREACHABLE, "not registered"), ValueError("a fault")):
            self.assertEqual(["plain,m4.m"], self.completed("p2p why ", {**self.known, "peers": failing(error)}))
        self.flushLoggedErrors(ValueError)
