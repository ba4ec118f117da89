"""Attacks by a peer on a peer, over the streams of a direct link."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from test.hostile import wire
from test.hostile.attack import ACCOMPLICE, ATTACKER, VICTIM, Scene, Told, attack, counted, cut_off
from test.hostile.speaker import LINK, CutOff, Late, fresh_port, secured, take_one

_MEDIA: Final = Path(__file__).resolve().parents[2] / "data" / "audio-256k.opus"
_PACE_S: Final = 5.0


@attack("peer", must="Each ends the link at once, without a word.", seconds=20)
def bad_frames(scene: Scene) -> Told:
    """Breaks each rule of Yamux on a link of its own."""
    frame = wire.frame
    words = {
        "version 1": frame(wire.PING, wire.SYN, 0, 1, version=1),
        "type 4": frame(4, 0, 0, 0),
        "flags 16": frame(wire.DATA, 16, 2),
        "stream 0 with data": frame(wire.DATA, wire.SYN, 0, data=b"x"),
        "a ping of a stream": frame(wire.PING, wire.SYN, 2, 1),
        "SYN of the wrong side": frame(wire.DATA, wire.SYN, 1, data=b"x"),
        "SYN twice": 2 * frame(wire.DATA, wire.SYN, 2, data=b"\0"),
        "more than the window": frame(wire.DATA, wire.SYN, 2, 262_145),
        "data after FIN": frame(wire.DATA, wire.SYN | wire.FIN, 2) + frame(wire.DATA, 0, 2, data=b"x"),
        "a window of 4 GiB": frame(wire.WINDOW, wire.SYN, 2, 0xFFFFFFFF) + frame(wire.WINDOW, 0, 2, 0xFFFFFFFF),
        "much for no stream": frame(wire.DATA, 0, 98, 0xFFFFFFFF),
    }
    alive: list[str] = []
    for what, word in words.items():
        with scene.link() as link:
            try:
                link.speaker.say(word)
            except CutOff:
                continue
            if not link.speaker.until_cut(3.0):
                alive.append(what)
    return Told(not alive, f"goes on after {', '.join(alive)}" if alive else f"all {len(words)} were cut off")


@attack("peer", must="Each resets its stream alone or is refused; the link goes on.", seconds=20, most=8 << 20)
def bad_messages(scene: Scene) -> Told:
    """Breaks each rule of a message on a stream of its own, all on one link."""
    head = wire.head("echo")
    words = {
        "a head of 70,000 bytes": wire.head("echo", a=bytes(35_000), b=bytes(35_000)),
        "65 pairs": wire.boxes([(f"k{number}", "") for number in range(65)]),
        "a key twice": wire.boxes([("service", "echo"), ("service", "store")]),
        "a key that isn't ASCII": wire.boxes([("é", "echo")]),
        "a service that isn't UTF-8": wire.boxes({"service": b"\xff"}),
        "no service": wire.boxes({}),
        "a chunk of 4 GiB": head + b"\xff\xff\xff\xff",
        "a chunk of 4 MiB and one byte": head + b"\x00\x40\x00\x01",
        "bytes after the tail": wire.message("echo", b"x") + b"x",
        "a length of 400 digits": wire.message("store", b"x", name="x", length="9" * 400),
        "a length below 0": wire.message("store", b"x", name="x", length="-1"),
        "FIN within the head": head[:9],
        "FIN before the tail": head + wire.body(b"abc"),
    }
    wrong: list[str] = []
    with scene.link() as link:
        for what, word in words.items():
            reply = link.request(word, 5.0)
            if not reply.ended or reply.tail.get("outcome") == b"ok":
                wrong.append(f"{what}: {reply}")
        works = link.works()
    text = "; ".join(wrong) or f"all {len(words)} were refused or reset"
    return Told(works and not wrong, text if works else f"{text}; the link is gone")


@attack("peer", must="New streams a second are bounded; others' exchanges keep their pace.", most=64 << 20)
def rapid_resets(scene: Scene) -> Told:
    """Opens streams with a whole request and resets each at once."""
    count = 0
    request = wire.message("uppercase", b"x" * 100)
    with scene.link() as link:
        try:
            while scene.budget.left:
                batch: list[bytes] = []
                for _ in range(100):
                    stream = link.stream()
                    batch += (
                        wire.frame(wire.DATA, wire.SYN, stream, data=request),
                        wire.frame(wire.WINDOW, wire.RST, stream),
                    )
                link.speaker.say(*batch)
                link.speaker.arrived.clear()
                count += 100
        except (CutOff, Late) as error:
            return Told(True, f"{count} streams, then {error}")
    return Told(None, f"{count} streams in 5 s, and it goes on")


@attack(
    "peer",
    must="Refusals a second are bounded, and the log tells of them once in a while.",
    seconds=_PACE_S,
    most=64 << 20,
)
def unknown_services(scene: Scene) -> Told:
    """Opens streams for services of 80 characters that nobody has, and resets them when they are refused."""
    count = 0
    with scene.link() as link:
        try:
            while scene.budget.left:
                streams = [link.stream() for _ in range(60)]
                heads = (wire.head(os.urandom(40).hex()) for _ in streams)
                link.speaker.say(
                    *(wire.frame(wire.DATA, wire.SYN, n, data=head) for n, head in zip(streams, heads, strict=True))
                )
                refused = 0
                for one in link.frames(0.5):
                    refused += one.kind == wire.DATA
                    if refused >= len(streams):
                        break
                link.speaker.say(*(wire.frame(wire.WINDOW, wire.RST, stream) for stream in streams))
                count += len(streams)
        except (CutOff, Late) as error:
            return Told(True, f"{count} heads, then {error}")
    return Told(None, f"{count} heads in {_PACE_S:g} s, and it goes on")


@attack(
    "peer",
    must="What was broken off a second is bounded, and the log tells of it once in a while.",
    seconds=_PACE_S,
    most=64 << 20,
)
def broken_exchanges(scene: Scene) -> Told:
    """Begins exchanges whose names are 80 characters long, and resets each a moment later, at a pace."""
    count = 0
    with scene.link() as link:
        try:
            while scene.budget.left:
                streams = [link.stream() for _ in range(100)]
                heads = (wire.head("echo", name=os.urandom(40).hex()) for _ in streams)
                pairs = zip(streams, heads, strict=True)
                link.speaker.say(*(wire.frame(wire.DATA, wire.SYN, stream, data=head) for stream, head in pairs))
                time.sleep(0.005)
                link.speaker.say(*(wire.frame(wire.WINDOW, wire.RST, stream) for stream in streams))
                link.speaker.arrived.clear()
                count += len(streams)
        except (CutOff, Late) as error:
            return Told(True, f"{count} exchanges, then {error}")
    return Told(None, f"{count} exchanges in {_PACE_S:g} s, and it goes on")


@attack("peer", must="The link is cut off before 4,096 answers wait.", most=32 << 20, seconds=8)
def unread_pongs(scene: Scene) -> Told:
    """Sends pings without a pause and reads no pong."""
    said = 0
    batch = b"".join(wire.frame(wire.PING, wire.SYN, 0, number) for number in range(1_000))
    with scene.link() as link:
        try:
            while scene.budget.left:
                link.speaker.say(batch, deaf=True, seconds=3.0)
                said += 1_000
        except CutOff as error:
            return Told(True, f"cut off after {said} pings ({error})")
        except Late as error:
            return Told(False, f"{said} pings, then {error}")
    return Told(False, f"{said} pings, and it goes on")


@attack(
    "peer", must="The daemon stays under 300 MB; the streams that hold the most are reset.", most=512 << 20, seconds=8
)
def echo_without_window(scene: Scene) -> Told:
    """Opens 120 streams of echo on each of two links, sends as much as it may, and grants no window for the replies."""
    sent = 0
    with scene.link() as first, scene.link(ACCOMPLICE) as second:
        streams = [(link, link.open(wire.head("echo"))) for link in (first, second) for _ in range(120)]
        chunk = wire.body(bytes(65_532))
        while scene.budget.left:
            idle = True
            for link, stream in streams:
                try:
                    if link.credit[stream] >= len(chunk):
                        link.send(stream, chunk, seconds=2.0)
                        sent += len(chunk)
                        idle = False
                except CutOff as error:
                    return Told(None, f"{sent >> 20} MiB were taken, then {error}")
                except Late:
                    continue
            for link in (first, second):
                for _ in link.frames(0.05 if idle else 0.0):
                    pass
    return Told(None, f"{sent >> 20} MiB were taken on {len(streams)} streams")


@attack(
    "peer",
    must="No more is kept of a request than it may have; the daemon stays under 300 MB.",
    most=3 << 30,
    seconds=6,
)
def fetch_of_everything(scene: Scene) -> Told:
    """Asks on eight streams for 10,001 things each, every one of them a box of nearly 16 KiB."""
    box = wire.boxes({"path": "files/" + "x" * 4_000, "more": bytes(12_000)})
    chunk = wire.body(*[box] * 16)
    sent = 0
    ended: list[str] = []
    with scene.link() as link:
        first = wire.body(wire.boxes({"have": 1}))
        streams = [link.open(wire.head("fetch", id=os.urandom(8).hex()) + first) for _ in range(8)]
        left = dict.fromkeys(streams, 10_001 * len(box))
        while scene.budget.left and left:
            for stream in list(left):
                try:
                    went = link.push(stream, chunk, 1.0)
                except CutOff as error:
                    return Told(None, f"{sent >> 20} MiB were taken, then {error}")
                sent += went
                left[stream] -= went
                if went < len(chunk) or left[stream] <= 0:
                    ended.append("refused" if went < len(chunk) else "taken whole")
                    del left[stream]
        works = link.works()
    return Told(None, f"{sent >> 20} MiB were taken on 8 streams ({counted(ended) or 'none ended'}); works: {works}")


@attack(
    "peer", must="The daemon stays under 300 MB; the streams that hold the most are reset.", most=1 << 30, seconds=8
)
def every_service_at_once(scene: Scene) -> Told:
    """Fills what each service gathers, on 210 streams at once, reads nothing, and begins anew what is reset."""
    chunk = wire.body(bytes(65_532))
    unfinished = wire.record("C", b"", length=1 << 20)
    fillings = [
        (wire.head("echo"), chunk),
        (wire.head("store", name="x"), chunk),
        (wire.head("inspect"), chunk),
        (wire.head("transfer", id=b"0" * 16) + wire.body(wire.entry("x", "file", size=1 << 30), unfinished), chunk),
        (
            wire.head("fetch", id=b"0" * 16) + wire.body(wire.boxes({"have": 1})),
            wire.body(wire.boxes({"path": "x"}) * 4000),
        ),
        (wire.head("chat"), wire.body(wire.boxes({"line": "x" * 30_000}) * 2)),
        (wire.head("uppercase", type="text"), wire.body("ΐ".encode() * 30_000)),
    ]
    sent = resets = 0
    with scene.link() as link:
        filled = {link.open(head): body for head, body in fillings for _ in range(30)}
        heads = {body: head for head, body in fillings}
        while scene.budget.left:
            idle = True
            try:
                for stream, body in list(filled.items()):
                    if link.credit[stream] >= len(body):
                        link.send(stream, body, seconds=2.0)
                        sent += len(body)
                        idle = False
                for one in link.frames(0.05 if idle else 0.0):
                    if one.flags & (wire.RST | wire.FIN) and one.stream in filled:
                        body = filled.pop(one.stream)
                        link.reset(one.stream)
                        resets += 1
                        filled[link.open(heads[body])] = body
            except CutOff as error:
                return Told(None, f"{sent >> 20} MiB were taken, then {error}")
            except Late:
                continue
    return Told(None, f"{sent >> 20} MiB were taken, and {resets} streams ended")


@attack(
    "peer", must="What one sender holds isn't missing to another: an honest file is inspected meanwhile.", seconds=6
)
def inspect_trickle(scene: Scene) -> Told:
    """Holds 16 streams of inspect without a length, on which a byte comes now and then."""
    media = _MEDIA.read_bytes()
    with scene.link() as link:
        streams = [link.open(wire.head("inspect")) for _ in range(16)]
        told = "never asked"
        with scene.link(ACCOMPLICE) as honest:
            while scene.budget.left:
                for stream in streams:
                    link.send(stream, wire.body(b"R"))
                for _ in link.frames(0.2):
                    pass
                told = str(honest.request(wire.message("inspect", media, length=len(media)), 20.0))
                if told == "ok":
                    break
    return Told(told == "ok", f"an honest inspect: {told}")


@attack("peer", must="The stream is reset when its exchange had no progress for *exchange_silence_s*.", seconds=8)
def trickled_heads(scene: Scene) -> Told:
    """Opens as many streams as the link allows, and sends each head a byte a second."""
    with scene.link() as link:
        head = wire.head("echo", name="x" * 200)
        streams = [link.stream() for _ in range(300)]
        refused: set[int] = set()
        for at, byte in enumerate(head):
            if not scene.budget.left:
                break
            for stream in streams:
                link.send(stream, bytes([byte]), 0 if at else wire.SYN)
            for one in link.frames(0.3):
                if one.flags & wire.RST:
                    refused.add(one.stream)
            time.sleep(0.5)
    return Told(len(refused) >= 300 - 256, f"{len(refused)} of 300 streams were reset")


@attack("peer", must="Refused: whoever isn't granted experiments orders nothing.")
def orders(scene: Scene) -> Told:
    """Orders the victim to flood the bystander."""
    order = b'{"order":"gauge"}'
    with scene.link() as link:
        reply = link.request(wire.message("experiment", order))
    return Told(reply.tail.get("outcome") == b"refused", str(reply))


@attack("peer", must="The dial is cut off with the deadline of the handshake.", seconds=14)
def silent_listener(scene: Scene) -> Told:
    """Asks for a link, does the TLS handshake when it is dialled, and says no hello."""
    with scene.control() as control, fresh_port() as listening:
        control.ask(
            "RequestConnect",
            target=VICTIM,
            port=listening.getsockname()[1],
            ticket=os.urandom(32),
            lifetime="30.0",
            plain="False",
            candidates=b"",
        )
        speaker = scene.keep(secured(take_one(listening), scene.identity(ATTACKER), server=True, alpn=LINK))
        return cut_off(speaker, 12.0)


@attack("peer", must="Everything is answered: this is no attack, but what others' pace is compared with.", most=1 << 30)
def honest_load(scene: Scene) -> Told:
    """Does honest exchanges one after another, as fast as they go."""
    count = failed = 0
    with scene.link() as link:
        while scene.budget.left:
            reply = link.request(wire.message("uppercase", b"x" * 1_000, type="text"))
            count += 1
            failed += reply.tail.get("outcome") != b"ok"
    return Told(not failed, f"{count} exchanges, {failed} failed")
