"""Attacks by a peer with a certificate on its router, over the control channel."""

from __future__ import annotations

import os
import socket
import time
from typing import Final

from test.hostile import wire
from test.hostile.attack import ACCOMPLICE, ATTACKER, VICTIM, Scene, Told, attack, counted, cut_off
from test.hostile.speaker import Control, CutOff, Late, fresh_port
from test.hostile.wire import Value

_MANY: Final = 20_000
_REGISTRATIONS: Final = 50
"""Of one name in five seconds: far more than a peer ever needs."""


@attack("peer", must="Registrations of one name are slowed down; what they replace is closed at once.", seconds=5)
def registers_in_a_loop(scene: Scene) -> Told:
    """Registers again and again with one certificate, each time over a new connection, and keeps the old ones open."""
    count = 0
    last: list[Control] = []
    try:
        while scene.budget.left:
            last.append(scene.control())
            count += 1
    except (CutOff, Late) as error:
        return Told(count <= _REGISTRATIONS, f"{count} registrations, then {error}")
    open_still = 0
    for one in last:
        try:
            one.speaker.hear(0)
        except CutOff:
            continue
        except Late:
            open_still += 1
    return Told(count <= _REGISTRATIONS, f"{count} registrations; {open_still} of the connections stand")


@attack("peer", must="The connection isn't read for a while, and then cut off; others are served.", most=64 << 20)
def lists_over_quota(scene: Scene) -> Told:
    """Asks ListPeers as fast as the connection goes, whatever the answers are."""
    control = scene.control()
    busy = asked = 0
    question = b"".join(wire.question("ListPeers", f"{n:x}", cluster="n", after="") for n in range(2, 102))
    try:
        while scene.budget.left:
            control.speaker.say(question)
            asked += 100
            busy += control.speaker.arrived.count(b"BUSY")
            control.speaker.arrived.clear()
    except (CutOff, Late) as error:
        return Told(True, f"{asked} questions, {busy} times busy, then {error}")
    return Told(asked < 2_000, f"{asked} questions, {busy} times busy, and it goes on")


@attack("peer", must="The connection is cut off at the first key that stands twice.", most=256 << 20, seconds=4)
def repeated_key(scene: Scene) -> Told:
    """Sends a box that never ends and repeats one key with a long value."""
    return _endless_box(scene, lambda number: "key")


@attack("peer", must="The connection is cut off at the 17th key.", most=64 << 20, seconds=4)
def many_keys(scene: Scene) -> Told:
    """Sends a box that never ends, with a new key each time."""
    return _endless_box(scene, lambda number: f"key{number}")


def _endless_box(scene: Scene, key: object) -> Told:
    assert callable(key)
    control = scene.control()
    said = 0
    try:
        while scene.budget.left and said < 4_000:
            control.speaker.say(wire.pair(key(said), bytes(65_535)))
            said += 1
    except CutOff as error:
        return Told(said < 100, f"cut off after {said} values of 64 KiB ({error})")
    return Told(False, f"{said} values of 64 KiB were taken")


@attack("peer", must="The connection is cut off.")
def unasked_answers(scene: Scene) -> Told:
    """Answers questions that its router has never asked, with errors of its own making, too."""
    return _each(
        scene,
        wire.answer("7fffffff", dialling="True"),
        wire.boxes({"_error": "ffff", "_error_code": "MADE_UP", "_error_description": "\x1b[2J"}),
        wire.boxes({"neither": "question", "nor": "answer"}),
        wire.boxes({}),
    )


@attack("peer", must="The connection is cut off, and no exception of Python is told to anybody.")
def ill_fitting_arguments(scene: Scene) -> Told:
    """Asks with arguments that are missing, of another type, not UTF-8, or a list that is cut off."""
    ask: dict[str, Value] = {
        "target": VICTIM,
        "port": 40_000,
        "ticket": bytes(32),
        "lifetime": "30.0",
        "plain": "False",
    }
    return _each(
        scene,
        wire.question("ListPeers"),
        wire.question("ListPeers", cluster=b"\xff\xfe", after=""),
        wire.question("RequestConnect", candidates=b"\0\x09\x01", **ask),
        wire.question("RequestConnect", candidates=b"", **{**ask, "port": "9" * 5_000}),
        wire.question("RequestConnect", candidates=b"", **{**ask, "lifetime": "soon"}),
        wire.question("StartTLS"),
        wire.question("Unheard\x1b[31mOf"),
        b"\x7f\xff" + bytes(300),
    )


def _each(scene: Scene, *words: bytes) -> Told:
    """Say each over a connection of its own; all must be cut off."""
    held = True
    seen: list[str] = []
    for word in words:
        control = scene.control()
        try:
            control.speaker.say(word)
        except CutOff as error:
            seen.append(f"cut off ({error})")
            continue
        told = cut_off(control.speaker, 3.0)
        held = held and told.held is True
        seen.append("cut off" if told.held else f"{word[:60]!r}: {told.text}")
    return Told(held, counted(seen))


@attack("peer", must="The connection is cut off when more than 1 MiB waits.", seconds=10, most=16 << 20)
def deaf_asker(scene: Scene) -> Told:
    """Pings without a pause and reads no answer."""
    control = scene.control()
    said = 0
    question = b"".join(wire.question("Ping", f"{'0' * 200}{n:x}") for n in range(100))
    try:
        while scene.budget.left:
            control.speaker.say(question, deaf=True, seconds=5.0)
            said += 100
    except CutOff as error:
        return Told(True, f"cut off after {said} questions ({error})")
    except Late as error:
        return Told(False, f"{said} questions, then {error}")
    return Told(False, f"{said} questions, and it goes on")


@attack("peer", must="None is registered: an authority's certificate is no peer's, and capitals aren't folded.")
def wrong_names(scene: Scene) -> Told:
    """Registers under another name, in capitals, with a certificate of an authority, of two names, and of a router."""
    got_in: list[str] = []
    for what, name, who in (
        ("another's name", ACCOMPLICE, scene.identity(ATTACKER)),
        ("capitals", "N7.N", scene.forged("N7.N")),
        ("capitals in the certificate", "n7.n", scene.forged("N7.N")),
        ("CA:TRUE", "n7.n", scene.forged("n7.n", authority=True)),
        ("two names", "n7.n", scene.forged("n7.n", extra=("n6.n",))),
        ("a wildcard", "n7.n", scene.forged("*.n")),
        ("an expired one", "n7.n", scene.forged("n7.n", days=-1)),
        ("another cluster", "q1.q", scene.forged("q1.q")),
    ):
        try:
            with scene.control(name, cluster="n", who=who, registered=False) as control:
                if "lease" in control.ask("Register", name=name, version="0.1.0", seconds=3.0):
                    got_in.append(what)
        except (CutOff, Late):
            continue
    return Told(not got_in, f"registered: {', '.join(got_in)}" if got_in else "none was registered")


@attack("peer", must="All are refused: only a fresh port of the asker's own address is ever passed on.")
def odd_requests(scene: Scene) -> Told:
    """Asks for links to ports below 1024, with tickets that live for ever or are too short, and foreign addresses."""
    taken: list[str] = []
    fine: dict[str, Value] = {"target": VICTIM, "port": 40_000, "ticket": os.urandom(32), "lifetime": "30.0"}
    for what, changed in (
        ("port 22", {"port": 22}),
        ("port 0", {"port": 0}),
        ("port 70000", {"port": 70_000}),
        ("port -1", {"port": -1}),
        ("lifetime nan", {"lifetime": "nan"}),
        ("lifetime inf", {"lifetime": "inf"}),
        ("lifetime 0", {"lifetime": "0.0"}),
        ("a ticket of 31 bytes", {"ticket": bytes(31)}),
        ("nine candidates", {"candidates": wire.list_of([f"127.0.0.{n}" for n in range(9)])}),
        ("a zone", {"candidates": wire.list_of(["fe80::1%lo"])}),
        ("no name", {"target": "\u202em1.m"}),
    ):
        try:
            with scene.control() as control:
                asked: dict[str, Value] = {"plain": "False", "candidates": b"", **fine, **changed}
                if "_answer" in control.ask("RequestConnect", seconds=5.0, **asked):
                    taken.append(what)
        except (CutOff, Late):
            continue
    return Told(not taken, f"taken: {', '.join(taken)}" if taken else "all were refused")


@attack("peer", must="The target holds a bounded number of attempts, and honest links come to stand.", seconds=8)
def links_that_never_stand(scene: Scene) -> Told:
    """Asks for links without a pause, takes the TCP connections of the target, and says nothing on them."""
    answers: list[str] = []
    with fresh_port() as listening, scene.control() as control:
        listening.setblocking(False)
        held: list[socket.socket] = []
        while scene.budget.left and len(answers) < _MANY:
            try:
                said = control.ask(
                    "RequestConnect",
                    target=VICTIM,
                    port=listening.getsockname()[1],
                    ticket=os.urandom(32),
                    lifetime="30.0",
                    plain="False",
                    candidates=b"",
                    seconds=2.0,
                )
                answers.append(said.get("_error_code", b"dialling").decode())
            except Late:
                answers.append("no answer")
            except CutOff as error:
                answers.append(str(error))
                break
            try:
                while len(held) < 1_000:
                    held.append(listening.accept()[0])
            except BlockingIOError:
                pass
        began = time.monotonic()
        try:
            with scene.link(ACCOMPLICE) as link:
                works = link.works()
        except (CutOff, Late) as error:
            answers.append(str(error))
            works = False
        took = time.monotonic() - began
        for sock in held:
            sock.close()
    return Told(works and len(held) <= 64, f"{counted(answers)}; {len(held)} held; an honest link in {took:.1f} s")
