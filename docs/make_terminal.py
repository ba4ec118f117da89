"""Makes ``terminal.svg``, the picture in the README: real commands, answered by the real daemons of a small lab.

``python docs/make_terminal.py`` makes a lab of two routers and two peers in a temporary folder, has one peer message
the other and send it a film, kills the receiving daemon in the middle and starts it again, stops both routers, and
draws what a terminal would show of that. It takes about half a minute.
"""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final

from rich.console import Console
from rich.text import Text

__all__ = ["main"]

PICTURE: Final = Path(__file__).resolve().with_name("terminal.svg")
BIN: Final = Path(sys.executable).parent

COLUMNS: Final = 96
FILM_BYTES: Final = 200_000_000
KILLED_AT_BYTES: Final = FILM_BYTES // 3
DEADLINE_S: Final = 60.0

DRAWING: Final = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: {char_height}px;
  line-height: {line_height}px; white-space: pre; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
<rect width="{width}" height="{height}" rx="8" fill="#292929"/>
<g transform="translate({terminal_x}, 25)">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""
"""What Rich fills in; its own template fetches a font from the network."""


class Lab:
    """Two routers and two peers, each a process; and a terminal that shows what is done with them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.screen = Console(record=True, width=COLUMNS, file=io.StringIO(), highlight=False)
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._environment = os.environ | {
            "P2P_CONFIG": str(folder / "lab" / "peer-n1.n.yaml"),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        }

    def start(self, name: str) -> None:
        """Start a daemon by the name of its YAML file, or start it again."""
        kind = "p2p-router" if name.startswith("router-") else "p2p-peer"
        command = ["twistd", "--nodaemon", "--pidfile=", "--logfile", f"{name}.log", kind, "--config"]
        self.daemons[name] = subprocess.Popen(
            [*command, f"lab/{name}.yaml"], cwd=self.folder, env=self._environment, start_new_session=True
        )

    def end(self, name: str, *, kill: bool = False) -> None:
        """Stop a daemon and wait until it is gone; or give it no time to stop."""
        process = self.daemons.pop(name)
        if kill:
            process.kill()
        else:
            process.terminate()
        process.wait(DEADLINE_S)

    def quietly(self, command: str) -> bool:
        """Run a command that isn't shown; return whether it succeeded."""
        return not subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            check=False,
            timeout=DEADLINE_S,
        ).returncode

    def until(self, command: str) -> None:
        """Run a command that isn't shown again and again until it succeeds."""
        ends = time.monotonic() + DEADLINE_S
        while not self.quietly(command):
            if time.monotonic() > ends:
                raise SystemExit(f"{command} still fails after {DEADLINE_S:g} s; see the logs in {self.folder}")
            time.sleep(0.5)

    def arrives(self, peer: str, size: int) -> None:
        """Wait until so many bytes are in the inbox of a peer."""
        ends = time.monotonic() + DEADLINE_S
        inbox = self.folder / "lab" / "inbox" / peer
        while sum(file.stat().st_size for file in inbox.rglob("*")) < size:
            if time.monotonic() > ends:
                raise SystemExit(f"{peer} has got less than {size} bytes in {DEADLINE_S:g} s")
            time.sleep(0.05)

    def remark(self, text: str) -> None:
        """Show what happens outside the terminal."""
        self.screen.print(Text(f"# {text}", style="yellow"))

    @contextmanager
    def running(self, command: str) -> Iterator[None]:
        """Show a command and, as they come, the lines that it answers; at the end wait for it.

        :raises SystemExit: if it fails.
        """
        self.screen.print(Text.assemble(("$ ", "green"), (command, "bold white")))
        process = subprocess.Popen(
            ["sh", "-c", command],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        reading = threading.Thread(target=self._show, args=(process.stdout,))
        reading.start()
        try:
            yield
            if process.wait(DEADLINE_S):
                raise SystemExit(f"{command}: exit code {process.returncode}\n{self.screen.export_text()}")
        finally:
            process.kill()
            reading.join()
            process.stdout.close()

    def _show(self, answer: IO[str]) -> None:
        for line in answer:
            self.screen.print(Text(line.rstrip("\n")))

    def run(self, command: str) -> None:
        """Show a command and all that it answers."""
        with self.running(command):
            pass


def free_ports(count: int) -> Sequence[int]:
    """Ports on which nothing listens."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def play(lab: Lab) -> None:
    """Do what the picture shows."""
    n, m = free_ports(2)
    if not lab.quietly(f"p2p lab init lab --peers 1 --port n={n} --port m={m}"):
        raise SystemExit("p2p lab init failed")
    (lab.folder / "film.mkv").write_bytes(os.urandom(FILM_BYTES))
    for name in ("router-n", "router-m", "peer-n1.n", "peer-m1.m"):
        lab.start(name)
    lab.until("p2p ping m1.m -c 1")

    lab.run('p2p message m1.m "good morning"')
    with lab.running("p2p send m1.m film.mkv --limit 50MB/s"):
        lab.arrives("m1.m", KILLED_AT_BYTES)
        lab.remark("here the daemon of m1.m is killed, and started again")
        lab.end("peer-m1.m", kill=True)
        lab.start("peer-m1.m")
    lab.remark("now both routers are stopped: the two peers don't need them any more")
    lab.end("router-n")
    lab.end("router-m")
    lab.run('p2p message m1.m "still there?"')


def main() -> None:
    """Make the picture."""
    with tempfile.TemporaryDirectory(prefix="p2p-") as folder:  # short, for the paths of UNIX sockets
        lab = Lab(Path(folder))
        try:
            play(lab)
        finally:
            for name in list(lab.daemons):
                lab.end(name)
    picture = lab.screen.export_svg(code_format=DRAWING, unique_id="terminal")
    PICTURE.write_text("\n".join(line.rstrip() for line in picture.splitlines()) + "\n", "utf-8")
    sys.stdout.write(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
