"""Attacks by somebody without a certificate, on the port of a router."""

from __future__ import annotations

import contextlib
import os
import ssl
import time
from typing import Final

from test.hostile.attack import Scene, Told, attack, counted, cut_off
from test.hostile.speaker import CutOff, Late, Speaker, connect

_ADDRESSES: Final = 16
_EACH: Final = 34
_HANDSHAKE_S: Final = 10.0
"""*handshake_s* of a router."""


def _client_hello() -> bytes:
    """The first bytes of a TLS client."""
    out = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    tls = context.wrap_bio(ssl.MemoryBIO(), out)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()


@attack("stranger", must="An honest peer registers within 2 s all the while.", seconds=8)
def idle_addresses(scene: Scene) -> Told:
    """Sixteen addresses hold 34 TCP connections each to a router, say nothing, and come again when they are closed."""
    held: dict[tuple[int, int], Speaker] = {}
    took: list[float | None] = []
    began = time.monotonic()
    while scene.budget.left:
        for address in range(_ADDRESSES):
            for number in range(_EACH):
                key = (address, number)
                if key in held:
                    try:
                        held[key].hear(0)
                    except CutOff:
                        held.pop(key).close()
                    except Late:
                        continue
                try:
                    sock = connect(scene.ports["n"], source=f"127.0.1.{address + 1}", seconds=0.5)
                    held[key] = scene.keep(Speaker(sock))
                except (CutOff, Late):
                    continue
        took.append(scene.registers())
    late = [one for one in took if one is None or one > 2.0]
    shown = ", ".join("never" if one is None else f"{one:.2f} s" for one in took[:6])
    text = f"{len(held)} held for {time.monotonic() - began:.0f} s; an honest registration took {shown}"
    return Told(bool(took) and not late, text)


@attack("stranger", must="The connection is cut off at once, or with the deadline of the handshake.", seconds=12)
def rubbish(scene: Scene) -> Told:
    """Says what isn't TLS to a router: a request of HTTP, a box of AMP, zeros, random bytes."""
    seen: list[str] = []
    held = True
    for what in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\4_ask\0\x011\0\x08_command\0\4Ping\0\0",
        bytes(4096),
        os.urandom(4096),
    ):
        try:
            speaker = scene.bare()
            speaker.say(what)
            told = cut_off(speaker, _HANDSHAKE_S + 2)
            held = held and told.held is True
            seen.append(told.text)
        except CutOff as error:
            seen.append(str(error))
    return Told(held, counted(seen))


@attack("stranger", must="The connection is cut off when the time for the handshake is over.", seconds=14)
def trickled_handshake(scene: Scene) -> Told:
    """Says its ClientHello a byte each half second."""
    speaker = scene.bare()
    began = time.monotonic()
    try:
        for byte in _client_hello():
            speaker.say(bytes([byte]))
            time.sleep(0.5)
            if not scene.budget.left:
                return Told(False, "not cut off")
    except CutOff as error:
        took = time.monotonic() - began
        return Told(took < _HANDSHAKE_S + 1, f"cut off after {took:.1f} s ({error})")
    return Told(False, "all of it was taken")


@attack("stranger", must="The handshake fails: neither an older TLS nor a client without a certificate is let in.")
def no_certificate(scene: Scene) -> Told:
    """Does a TLS handshake without a certificate, and one of TLS 1.2."""
    seen: list[str] = []
    held = True
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(["p2p-control/1"])
        sock = connect(scene.ports["n"])
        try:
            with scene.keep(Speaker(context.wrap_socket(sock))) as speaker:
                told = cut_off(speaker, _HANDSHAKE_S + 2)
                held = held and told.held is True
                seen.append(f"{version.name}: {told.text}")
        except OSError as error:
            seen.append(f"{version.name}: {getattr(error, 'reason', None) or error}")
            sock.close()
    return Told(held, "; ".join(seen))
