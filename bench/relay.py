"""What a relayed link carries, beside a direct one between the same two daemons, in the same run.

Each daemon runs on a machine of its own (network namespaces, ip-netns(8)), so root, ``ip`` and ``nft`` are needed. The
machines of both peers drop what comes from each other, so that their link is relayed; then they don't any more, and the
link becomes direct. A file of random bytes goes over each.

Run it from the project's folder: ``python -m bench.relay``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median
from typing import Any, Final

import click

from p2p.identity.lab import create_lab, write_peer_daemon

SPACE: Final = "10.211.7"
APART: Final = """\
table inet apart {{
  chain input {{
    type filter hook input priority 0
    ip saddr {0} drop
  }}
}}
"""
MACHINES: Final = ("routers", "n", "m", "relay")
DIRECT_S: Final = 60.0


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--size", default=512, show_default=True, help="MiB of the file.")
@click.option("--rounds", default=3, show_default=True, help="How often it goes over each link; medians are shown.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for other programs.")
def main(size: int, rounds: int, as_json: bool) -> None:
    """Measure a relayed link beside a direct one."""
    if os.geteuid() or not (shutil.which("ip") and shutil.which("nft")):
        raise click.ClickException(
            "this makes network namespaces: run it as root, with iproute2 and nftables installed"
        )
    with ExitStack() as stack:
        lab = _Lab(stack)
        film = lab.folder / "film"
        with film.open("wb") as file:
            for _ in range(size):
                file.write(os.urandom(1 << 20))
        rates: dict[str, list[float]] = {"relayed": [], "direct": []}
        for way, each in rates.items():
            if way == "direct":
                lab.on("n", "nft", "flush", "ruleset")
                lab.on("m", "nft", "flush", "ruleset")
            lab.wait_for("relay.n" if way == "relayed" else "")
            for _ in range(rounds):
                began = time.perf_counter()
                lab.send(film)
                each.append(size / (time.perf_counter() - began))
    figures = {way: median(each) for way, each in rates.items()}
    ratio = figures["relayed"] / figures["direct"]
    if as_json:
        print(json.dumps({"size_mib": size, "rounds": rounds, "mib_per_s": figures, "ratio": ratio}))
    else:
        for way, rate in figures.items():
            print(f"{way:<8} {rate:7.1f} MiB/s")
        print(f"relayed / direct: {ratio:.2f}")


class _Lab:
    """Two clusters, a peer in each, and a relay, each on its machine."""

    def __init__(self, stack: ExitStack) -> None:
        top = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="p2p-bench-")))
        self.folder = top / "lab"
        self._spaces = {name: f"p2pbench{os.getpid()}-{name}" for name in ("switch", *MACHINES)}
        stack.callback(self._remove)
        self._run("ip", "netns", "add", self._spaces["switch"])
        self._ip("switch", "link", "add", "br0", "type", "bridge")
        self._ip("switch", "link", "set", "br0", "up")
        for number, name in enumerate(MACHINES, 1):
            self._plug(name, number)
        hosts = {"n": f"{SPACE}.1", "m": f"{SPACE}.1"}
        create_lab(self.folder, clusters=["n", "m"], peers=0, ports={"n": 5555, "m": 5556}, hosts=hosts)
        for cluster in "nm":
            with (self.folder / f"router-{cluster}.yaml").open("a") as file:
                file.write("relays: relay.n\n")
            self._start(stack, "routers", f"router-{cluster}", "p2p-router")
        for name, peer in (("relay", "relay.n"), ("n", "n1.n"), ("m", "m1.m")):
            path = write_peer_daemon(self.folder, f"{name}.yaml", [peer])
            if name == "relay":
                entry = f"  - name: {peer}\n"
                path.write_text(path.read_text().replace(entry, entry + "    relay: {from: '*'}\n"))
            self._start(stack, name, name, "p2p-peer")
        for name in MACHINES[1:]:
            self._until(lambda name=name: self.links(name) is not None, f"{name} to start")

    def on(self, name: str, *command: str, text: str | None = None) -> str:
        """Run a command on a machine."""
        return self._run("ip", "netns", "exec", self._spaces[name], *command, text=text)

    def send(self, film: Path) -> None:
        """Send a file from n1.n to m1.m, and have it away again."""
        self._p2p("n", "send", "m1.m", str(film))
        (self.folder / "inbox" / "m1.m" / film.name).unlink()

    def links(self, name: str) -> list[dict[str, Any]] | None:
        """The links of a daemon's peer; None before it is registered."""
        try:
            peer = json.loads(self._p2p(name, "status", "--json"))["peers"][0]
        except (subprocess.CalledProcessError, ValueError):
            return None
        found: list[dict[str, Any]] = peer["links"]
        return found if peer["registered"] else None

    def wait_for(self, relay: str) -> None:
        """Wait until the link from n1.n to m1.m goes by way of a relay, or of none."""

        def there() -> bool:
            with suppress(subprocess.CalledProcessError):
                self._p2p("n", "message", "m1.m", "hello")
            return [one["relayed_by"] for one in self.links("n") or () if one["peer"] == "m1.m"] == [relay]

        self._until(there, f"a link relayed by {relay}" if relay else "a direct link")

    def _plug(self, name: str, number: int) -> None:
        space = self._spaces[name]
        self._run("ip", "netns", "add", space)
        self._ip(name, "link", "set", "lo", "up")
        peer = ("peer", "name", "eth0", "netns", space)
        self._ip("switch", "link", "add", f"v{number}", "type", "veth", *peer)
        self._ip("switch", "link", "set", f"v{number}", "master", "br0", "up")
        self._ip(name, "addr", "add", f"{SPACE}.{number}/24", "dev", "eth0")
        self._ip(name, "link", "set", "eth0", "up")
        if name in ("n", "m"):
            other = {"n": "m", "m": "n"}[name]
            self.on(name, "nft", "-f", "-", text=APART.format(f"{SPACE}.{MACHINES.index(other) + 1}"))

    def _start(self, stack: ExitStack, name: str, config: str, plugin: str) -> None:
        twistd = str(Path(sys.executable).with_name("twistd"))
        daemon = [twistd, "--nodaemon", "--pidfile=", plugin, "--config", str(self.folder / f"{config}.yaml")]
        with (self.folder / f"{config}.log").open("wb") as log:
            command = ["ip", "netns", "exec", self._spaces[name], *daemon]
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        stack.callback(process.wait)
        stack.callback(process.terminate)

    def _p2p(self, name: str, *arguments: str) -> str:
        p2p = str(Path(sys.executable).with_name("p2p"))
        return self._run(p2p, "--config", str(self.folder / f"{name}.yaml"), *arguments)

    def _until(self, happened: Any, what: str) -> None:
        late = time.monotonic() + DIRECT_S
        while not happened():
            if time.monotonic() > late:
                raise click.ClickException(f"waited for {what} for {DIRECT_S:g} s; the logs are in {self.folder}")
            time.sleep(0.5)

    def _ip(self, name: str, *arguments: str) -> None:
        self._run("ip", "-n", self._spaces[name], *arguments)

    def _run(self, *command: str, text: str | None = None) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True, input=text, timeout=600).stdout

    def _remove(self) -> None:
        for space in self._spaces.values():
            with suppress(subprocess.CalledProcessError):
                self._run("ip", "netns", "del", space)


if __name__ == "__main__":
    main()
