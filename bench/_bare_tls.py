"""The bare loop that `bench/throughput.py` measures links against: OpenSSL on blocking sockets, in two processes.

It takes the same certificates and the same suite as the links, and neither hashes nor reads nor writes a file.
Run as ``python -m bench._bare_tls receive|send CERTIFICATE KEY AUTHORITY PORT BYTES``.
"""

from __future__ import annotations

import json
import resource
import socket
import ssl
import sys
import time
from typing import Final

PIECE: Final = 256 * 1024
HOST: Final = "127.0.0.1"


def _context(side: int, certificate: str, key: str, authority: str) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority)
    return context


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _receive(context: ssl.SSLContext, size: int) -> dict[str, float]:
    with socket.create_server((HOST, 0)) as server:
        print(server.getsockname()[1], flush=True)
        plain, _ = server.accept()
        with context.wrap_socket(plain, server_side=True) as connection:
            began, left = _cpu_s(), size
            buffer = memoryview(bytearray(PIECE))
            while left:
                left -= connection.recv_into(buffer)
            connection.sendall(b".")
            return {"cpu_s": _cpu_s() - began}


def _send(context: ssl.SSLContext, port: int, size: int) -> dict[str, float | str]:
    with socket.create_connection((HOST, port)) as plain, context.wrap_socket(plain) as connection:
        suite = connection.cipher()
        piece = memoryview(bytes(range(256)) * (PIECE // 256))
        began, clock = _cpu_s(), time.perf_counter()
        for start in range(0, size, PIECE):
            connection.sendall(piece[: size - start])
        connection.recv(1)
        seconds = time.perf_counter() - clock
        return {"cpu_s": _cpu_s() - began, "seconds": seconds, "suite": suite[0] if suite else ""}


def _main(role: str, certificate: str, key: str, authority: str, port: str, size: str) -> None:
    side = ssl.PROTOCOL_TLS_SERVER if role == "receive" else ssl.PROTOCOL_TLS_CLIENT
    context = _context(side, certificate, key, authority)
    print(json.dumps(_receive(context, int(size)) if role == "receive" else _send(context, int(port), int(size))))


if __name__ == "__main__":
    _main(*sys.argv[1:])
