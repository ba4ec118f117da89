"""Count the files of p2p that are entered for one ``p2p message m4.m hi``, over the command and all daemons.

A file is entered when code in it runs, be it that it is imported; those of which no function is called stand in
brackets. The first figure is of the message, from the start of the command to its end, while the daemons are up and no
link stands. The second adds the start of two routers and two peers. It is a measure of how many places somebody has to
read who follows a message through the code.

``--python`` counts in another environment, for example with an earlier version.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

READY_S: Final = 60.0
COMMAND_S: Final = 60.0

STARTING, MESSAGE, STOPPING = b"s", b"m", b"e"

DAEMONS: Final = {
    "router-n": "p2p-router",
    "router-m": "p2p-router",
    "peer-n1.n": "p2p-peer",
    "peer-m4.m": "p2p-peer",
}

HOOK: Final = """\
import mmap, os, sys, threading

def trace():
    root, folder, name = (os.environ[f"ENTERED_{one}"] for one in ("ROOT", "FOLDER", "NAME"))
    with open(os.path.join(folder, "phase"), "rb") as file:
        phase = mmap.mmap(file.fileno(), 1, access=mmap.ACCESS_READ)
    found = os.open(os.path.join(folder, f"{name}.found"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    seen = set()

    def profile(frame, event, arg):
        if event != "call":
            return
        code = frame.f_code
        now = phase[0:1]
        if (now, code) in seen:
            return
        seen.add((now, code))
        if code.co_filename.startswith(root):
            # Bodies of modules and classes, which run when they are imported, aren't functions (CO_OPTIMIZED).
            kind = b"f" if code.co_flags & 1 else b"b"
            os.write(found, now + kind + os.fsencode(code.co_filename) + b"\\n")

    threading.setprofile(profile)
    sys.setprofile(profile)

trace()
"""
"""``sitecustomize`` of all processes. It writes what it finds at once, since a signal ends daemons; the phase is a byte
of shared memory, so that it changes everywhere at the same moment."""


class Lab:
    """Daemons and commands under the hook, in a folder.

    :ivar found: the folder of the phase and of what the processes entered.
    """

    def __init__(self, folder: Path, python: Path) -> None:
        self.found = folder / "found"
        self._lab = folder / "lab"
        self._bin = python.parent
        self._python = str(python)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._log = folder / "log"
        hook = folder / "hook"
        for one in (self.found, hook):
            one.mkdir()
        (hook / "sitecustomize.py").write_text(HOOK)
        self.phase(STARTING)
        where = "import p2p; print(p2p.__path__[0])"
        self.root = Path(self._run([self._python, "-P", "-c", where]).strip())
        self._traced = {**os.environ, "PYTHONPATH": str(hook), "ENTERED_FOLDER": str(self.found)}
        self._traced["ENTERED_ROOT"] = str(self.root) + os.sep

    def phase(self, phase: bytes) -> None:
        """Tell all processes what happens from now on."""
        path = self.found / "phase"
        with path.open("r+b" if path.exists() else "wb") as file:
            file.write(phase)

    def start(self) -> None:
        """Make a lab, start its daemons and wait until everybody has found everybody."""
        n, m = free_ports(2)
        self.p2p("lab", "init", str(self._lab), f"--port=n={n}", f"--port=m={m}")
        for name, plugin in DAEMONS.items():
            command = [self._python, str(self._bin / "twistd"), "--nodaemon", "--pidfile=", "--logfile=-", plugin]
            with self._log.open("ab") as log:
                self._processes[name] = subprocess.Popen(
                    [*command, "--config", str(self._lab / f"{name}.yaml")],
                    env={**self._traced, "ENTERED_NAME": name},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
        end = time.monotonic() + READY_S
        while not all(self._ready(name) for name in DAEMONS):
            if time.monotonic() > end or any(one.poll() is not None for one in self._processes.values()):
                raise SystemExit(f"the daemons aren't ready:\n{self._log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.2)

    def _ready(self, name: str) -> bool:
        """Whether a peer is registered, or a router has its neighbour and its peer."""
        try:
            status: dict[str, Any] = json.loads(
                self.p2p("--config", str(self._lab / f"{name}.yaml"), "status", "--json")
            )
        except subprocess.CalledProcessError:
            return False  # its console isn't there yet
        if "neighbours" in status:
            return status["peers"] == 1 and all(status["neighbours"].values())
        return bool(status["router"]["connected"])

    def message(self) -> str:
        """Send the message, and return the reply."""
        config = str(self._lab / "peer-n1.n.yaml")
        self.phase(MESSAGE)
        reply = self.p2p("--config", config, "message", "m4.m", "hi", env={**self._traced, "ENTERED_NAME": "p2p"})
        self.phase(STOPPING)
        return reply

    def p2p(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        """Run the command to its end, and return what it prints."""
        return self._run([self._python, str(self._bin / "p2p"), *arguments], env)

    def stop(self) -> None:
        """End all daemons."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def entered(self, phases: bytes) -> dict[str, dict[str, bool]]:
        """The files that were entered in these phases, by process, and whether a function in each was called."""
        files: dict[str, dict[str, bool]] = {}
        for path in self.found.glob("*.found"):
            names = files[path.stem] = {}
            for line in path.read_bytes().splitlines():
                if line[:1] in phases:
                    name = Path(os.fsdecode(line[2:])).relative_to(self.root).as_posix()
                    names[name] = names.get(name, False) or line[1:2] == b"f"
        return files

    def _run(self, command: list[str], env: Mapping[str, str] | None = None) -> str:
        return subprocess.run(
            command, env=env, check=True, timeout=COMMAND_S, capture_output=True, text=True, cwd=self.found.parent
        ).stdout


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody uses now."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]


def merged(processes: Mapping[str, Mapping[str, bool]]) -> dict[str, bool]:
    """The files that any process entered, and whether a function in each was called."""
    files: dict[str, bool] = {}
    for names in processes.values():
        for name, called in names.items():
            files[name] = files.get(name, False) or called
    return files


def by_room(files: Mapping[str, bool]) -> list[str]:
    """A line for each room, with how many of the files are in it, and which."""
    rooms: defaultdict[str, list[str]] = defaultdict(list)
    for file, called in sorted(files.items()):
        room, _, name = file.partition("/")
        shown = (name or room).removesuffix(".py")
        rooms[room if name else "(top)"].append(shown if called else f"[{shown}]")
    return [f"  {room:<12}{len(names):>3}  {' '.join(names)}" for room, names in sorted(rooms.items())]


def main() -> None:
    """Count and print."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument(
        "--python", type=Path, default=Path(sys.executable), help="the interpreter beside which p2p and twistd lie"
    )
    folder = Path(tempfile.mkdtemp(prefix="p2p-"))  # short, for the paths of UNIX sockets
    try:
        lab = Lab(folder, arguments.parse_args().python.absolute())
        try:
            lab.start()
            if (reply := lab.message()) != "HI\n":
                raise SystemExit(f"the reply to hi is {reply!r}")
        finally:
            lab.stop()
        message, both = lab.entered(MESSAGE), lab.entered(STARTING + MESSAGE)
    finally:
        shutil.rmtree(folder)
    of_message, of_both = merged(message), merged(both)
    print(f"{len(of_message)} files are entered for the message, functions are called in {sum(of_message.values())}:")
    print(*by_room(of_message), sep="\n")
    only = {name: called for name, called in of_both.items() if name not in of_message}
    print(f"{len(of_both)} with the start of the daemons, {sum(of_both.values())} by functions; only at the start:")
    print(*by_room(only), sep="\n")
    print("by process, for the message and with the start:")
    print(*(f"  {name:<12}{len(message[name]):>3}{len(both[name]):>5}" for name in sorted(both)), sep="\n")


if __name__ == "__main__":
    main()
