"""Attacks by a neighbour's router on a router, and by a router on its own peer."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from test.hostile import wire
from test.hostile.attack import CLUSTER, STRAY, VICTIM, Scene, Told, attack, counted
from test.hostile.speaker import CONTROL, Control, CutOff, Late, fresh_port, secured, take_one
from test.hostile.wire import Box, Value

_ROUTER: Final = f"router.{CLUSTER}"
_INITIATOR: Final = f"{CLUSTER}7.{CLUSTER}"
_ELSEWHERE: Final = "127.7.7.7"


def _instruction(target: str, port: int, *addresses: str, observed: str = "", **more: Value) -> dict[str, Any]:
    fields: dict[str, Any] = {"target": target, "initiator": _INITIATOR, "observed": observed}
    fields |= {"candidates": wire.list_of(addresses), "port": port, "ticket": os.urandom(32)}
    return {**fields, "lifetime": "10.0", "plain": "False", **more}


@attack(
    "neighbour",
    must="The victim knocks nowhere: a loopback address of a neighbour elsewhere is never dialled.",
    seconds=10,
)
def observed_elsewhere(scene: Scene) -> Told:
    """Says that its peer is seen at another loopback address, where a service of this machine listens."""
    with fresh_port(_ELSEWHERE) as listening, scene.control(_ROUTER, cluster="m", registered=False) as control:
        port = listening.getsockname()[1]
        said = control.ask("InstructConnect", **_instruction(VICTIM, port, observed=_ELSEWHERE))
        try:
            take_one(listening, 3.0).close()
            knocked = True
        except Late:
            knocked = False
    answer = said.get("_error_code", b"dialling").decode()
    return Told(not knocked, f"answered {answer}; {_ELSEWHERE}:{port} was {'dialled' if knocked else 'left alone'}")


@attack(
    "neighbour", must="Questions over the quota are answered BUSY for a while, then the link is cut off.", most=64 << 20
)
def lookups_without_a_pause(scene: Scene) -> Told:
    """Asks LookupPeer and InstructConnect as fast as the connection goes, for names that nobody has."""
    with scene.control(_ROUTER, cluster="m", registered=False) as control:
        asked = 0
        try:
            while scene.budget.left:
                batch = [wire.question("LookupPeer", f"{asked + n:x}", name=f"m{n}.m") for n in range(2, 50)]
                instruction = _instruction(f"m{asked}.m", 40_000, observed="127.0.0.1")
                batch.append(wire.question("InstructConnect", f"i{asked}", **instruction))
                control.speaker.say(*batch)
                control.speaker.arrived.clear()
                asked += len(batch)
        except (CutOff, Late) as error:
            return Told(True, f"{asked} questions, then {error}")
    return Told(None, f"{asked} questions in 5 s, and it goes on")


@attack(
    "neighbour", must="It is cut off or refused each time: a neighbour asks what neighbours ask, for its own cluster."
)
def questions_of_others(scene: Scene) -> Told:
    """Asks as a router what only peers may ask, and for initiators of another cluster."""
    taken: list[str] = []
    for what, command, arguments in (
        ("Register", "Register", {"name": "m7.m", "version": "0"}),
        (
            "RequestConnect",
            "RequestConnect",
            {
                "target": VICTIM,
                "port": 40_000,
                "ticket": bytes(32),
                "lifetime": "9.0",
                "plain": "False",
                "candidates": b"",
            },
        ),
        ("an initiator of n", "InstructConnect", _instruction(VICTIM, 40_000, observed="127.0.0.1", initiator="n1.n")),
        ("a port below 1024", "InstructConnect", _instruction(VICTIM, 22, observed="127.0.0.1")),
        ("a list of n", "ListPeers", {"cluster": "n", "after": ""}),
    ):
        try:
            with scene.control(_ROUTER, cluster="m", registered=False) as control:
                said: Box = control.ask(command, seconds=3.0, **arguments)
                if "_answer" in said:
                    taken.append(what)
        except (CutOff, Late):
            continue
    return Told(not taken, f"answered: {', '.join(taken) or 'none'}")


@contextmanager
def _router_of_stray(scene: Scene) -> Iterator[tuple[Control, str]]:
    """Be the router of the stray peer, which has registered; gives its log's path beside."""
    with fresh_port(port=scene.ports[CLUSTER]) as listening, scene.stray() as log:
        end = time.monotonic() + 40
        while True:
            sock = take_one(listening, max(end - time.monotonic(), 0.1))
            speaker = secured(sock, scene.identity(_ROUTER), server=True, alpn=CONTROL)
            control = Control(scene.keep(speaker))
            try:
                asked = speaker.box(1.5)  # a router that dials here says nothing, a peer does at once
            except (CutOff, Late):
                continue
            if asked.get("_command") == b"Register":
                speaker.say(wire.answer(asked["_ask"], lease="60.0", observed="127.0.0.1"))
                try:
                    yield control, str(log)
                finally:
                    speaker.close()  # else the peer waits for the polite end of it
                return


def _serve(control: Control, command: str, seconds: float) -> Iterator[Box]:
    """The questions of a kind that a peer asks, its pings answered."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        try:
            box = control.speaker.box(left)
        except (CutOff, Late):
            return
        if box.get("_command") == b"Ping":
            control.speaker.say(wire.answer(box.get("_ask", b"")))
        elif box.get("_command") == command.encode():
            yield box


@attack("router", must="The names are refused: no control character reaches a log or a screen.", seconds=45)
def names_that_escape(scene: Scene) -> Told:
    """Answers ListPeers with names that hold escapes, newlines and what is no name."""
    names = ["k2.k", "\x1b[31mk3.k", "k4.k\nk5.k", "K6.K", "k.k.k", "\u202ek7.k"]
    with _router_of_stray(scene) as (control, log), scene.command("stray", "peers", CLUSTER) as process:
        for box in _serve(control, "ListPeers", 15.0):
            control.speaker.say(wire.answer(box["_ask"], names=wire.list_of(names), more="False"))
            break
        said, _ = process.communicate(timeout=20)
        with open(log, errors="replace") as stream:  # noqa: PTH123 - the path came as text
            logged = stream.read()
    raw = [where for where, text in (("the screen", said), ("the log", logged)) if "\x1b" in text or "\u202e" in text]
    kept = [name for name in names[1:] if repr(name)[1:-1] in said]
    return Told(
        not raw and not kept, f"raw on {', '.join(raw) or 'nothing'}; {len(kept)} that are no names were listed"
    )


@attack("router", must="The listing ends at a limit of pages or names, with an error.", seconds=45, most=64 << 20)
def pages_without_end(scene: Scene) -> Told:
    """Answers ListPeers with the same page again and again, and says each time that more follows."""
    names = wire.list_of([f"k{number}.k" for number in range(200)])
    pages = 0
    with _router_of_stray(scene) as (control, _), scene.command("stray", "peers", CLUSTER) as process:
        end = time.monotonic() + 20
        while time.monotonic() < end and process.poll() is None:
            for box in _serve(control, "ListPeers", 0.5):
                control.speaker.say(wire.answer(box["_ask"], names=names, more="True"))
                pages += 1
        try:
            code = process.wait(5.0)
        except subprocess.TimeoutExpired:
            code = None
    return Told(bool(code) and pages > 0, f"{pages} pages were asked for; exit {code}")


@attack("router", must="The peer dials no port below 1024 and no address that isn't one.", seconds=45)
def instructions_to_knock(scene: Scene) -> Told:
    """Instructs its peer to dial a port below 1024, and addresses that mean no machine."""
    answers: list[str] = []
    with _router_of_stray(scene) as (control, _):
        for port, address in (
            (22, "127.0.0.1"),
            (1_023, "127.0.0.1"),
            (0, "127.0.0.1"),
            (70_000, "127.0.0.1"),
            (40_000, "0.0.0.0"),
            (40_000, "localhost"),
            (40_000, "127.0.0.1\nx"),
            (40_000, ""),
        ):
            try:
                said = control.ask("InstructConnect", seconds=5.0, **_instruction(STRAY, port, address))
            except (CutOff, Late) as error:
                answers.append(f"{address!r}:{port} {error}")
                break
            if "_answer" in said and said.get("dialling") == b"True":
                answers.append(f"dials {address!r}:{port}")
    return Told(not any(one.startswith("dials") for one in answers), "; ".join(answers) or "all were refused")


@attack(
    "router",
    must="Dials under way are bounded by attempts_in_flight; the others are answered BUSY.",
    seconds=45,
    most=32 << 20,
)
def instructions_without_a_pause(scene: Scene) -> Told:
    """Instructs its peer 2,000 times to dial a port that takes connections and says nothing."""
    with _router_of_stray(scene) as (control, _), fresh_port() as listening:
        listening.listen(1_024)
        port = listening.getsockname()[1]
        tags = set()
        for _ in range(2_000):
            tags.add(control.put("InstructConnect", **_instruction(STRAY, port, "127.0.0.1")).encode())
        answers: list[str] = []
        end = time.monotonic() + 10
        try:
            while len(answers) < len(tags) and time.monotonic() < end:
                box = control.speaker.box(2.0)
                if box.get("_answer") in tags or box.get("_error") in tags:
                    answers.append(box.get("_error_code", b"dialling").decode())
        except (CutOff, Late) as error:
            answers.append(str(error))
    return Told(answers.count("dialling") <= 64, counted(answers))
