"""What a tunnel carries, beside two blocking TLS forwarders and ``ssh -L``, on one machine, in turns.

The same program sends the same bytes through each: from a socket here, by way of two processes with TLS 1.3 between
them, to a program that reads them. The forwarders are as simple as they can be: two threads each, with OpenSSL on
blocking sockets. ``ssh -L`` goes to an sshd of our own, with the default cipher; where that is missing it is left out.

Run it from the project's folder: ``python -m bench.tunnel``.
"""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Any, Final

import click

from bench._rivals import HOST, Scp, Unavailable, free_port
from p2p.identity.lab import create_lab

PIECE: Final = 256 * 1024
START_S: Final = 20.0


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--size", default=512, show_default=True, help="MiB that go through at a time.")
@click.option("--rounds", default=5, show_default=True, help="How often; medians are shown.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for other programs.")
def main(size: int, rounds: int, as_json: bool) -> None:
    """Measure a tunnel beside two forwarders and ssh -L."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="p2p-bench-")))
        sink = _Sink()
        ways: dict[str, Callable[[], socket.socket]] = {}
        for name, begin in (("p2p tunnel", _tunnel), ("forwarders", _forwarders), ("ssh -L", _ssh)):
            try:
                ways[name] = begin(stack, folder, sink.port)
            except Unavailable as why:
                click.echo(f"{name} is left out: {why}", err=True)
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds + 1):
            for name, connect in ways.items():
                rate = sink.rate(connect(), size << 20)
                if number:  # the first round warms up
                    rates[name].append(rate)
    figures = {name: median(each) for name, each in rates.items()}
    ratios = {name: figures["p2p tunnel"] / rate for name, rate in figures.items() if name != "p2p tunnel"}
    if as_json:
        print(json.dumps({"size_mib": size, "rounds": rounds, "mib_per_s": figures, "ratios": ratios}))
        return
    for name, rate in figures.items():
        print(f"{name:<12}{rate:8.1f} MiB/s")
    for name, ratio in ratios.items():
        print(f"p2p tunnel / {name}: {ratio:.2f}")


class _Sink:
    """The program that reads, and says when it has everything."""

    def __init__(self) -> None:
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        Thread(target=self._serve, daemon=True).start()

    def rate(self, connection: socket.socket, size: int) -> float:
        """Send so many bytes; return MiB a second."""
        piece = memoryview(bytes(PIECE))
        with connection:
            connection.sendall(size.to_bytes(8))
            connection.recv(1)
            began = time.perf_counter()
            for start in range(0, size, PIECE):
                connection.sendall(piece[: size - start])
            if connection.recv(1) != b"!":
                raise click.ClickException("not everything has come through")
            return size / (1 << 20) / (time.perf_counter() - began)

    def _serve(self) -> None:
        buffer = bytearray(PIECE)
        while True:
            connection, _ = self._listener.accept()
            with connection, suppress(OSError):
                left = int.from_bytes(connection.recv(8))
                connection.sendall(b".")
                while left and (count := connection.recv_into(buffer)):
                    left -= count
                connection.sendall(b"!")


def _tunnel(stack: ExitStack, folder: Path, port: int) -> Callable[[], socket.socket]:
    lab = create_lab(folder / "lab", peers=1, ports={cluster: free_port() for cluster in "nm"})
    target = lab.peers["m1.m"]
    text = target.read_text()
    grant = f"  - name: m1.m\n    tunnel: [{{to: '{HOST}:{port}', from: n1.n}}]\n"
    target.write_text(text.replace("  - name: m1.m\n", grant))
    programs = Path(sys.executable).parent
    for plugin, configs in (("p2p-router", lab.routers), ("p2p-peer", lab.peers)):
        for name, config in configs.items():
            daemon = [str(programs / "twistd"), "--nodaemon", "--pidfile=", plugin, "--config", str(config)]
            _spawn(stack, daemon, folder / f"{plugin}-{name}.log")
    path = folder / "s"
    p2p = [str(programs / "p2p"), "--config", str(lab.peers["n1.n"])]
    until = time.monotonic() + START_S
    while subprocess.run([*p2p, "ping", "m1.m", "-c", "1"], capture_output=True, check=False).returncode:
        if time.monotonic() > until:
            raise click.ClickException(f"m1.m can't be reached; the logs are in {folder}")
        time.sleep(0.5)
    _spawn(stack, [*p2p, "tunnel", "m1.m", str(port), str(path)], folder / "tunnel.log")
    _wait(lambda: _unix(path).close())
    return lambda: _unix(path)


def _forwarders(stack: ExitStack, folder: Path, port: int) -> Callable[[], socket.socket]:
    certificate, key = folder / "lab/certificates/m1.m.pem", folder / "lab/certificates/m1.m.key"
    ports = free_port(), free_port()
    files = [str(certificate), str(key), str(folder / "lab/ca.pem")]
    for role, listens, to in (("far", ports[1], port), ("near", ports[0], ports[1])):
        command = [sys.executable, "-m", "bench.tunnel", role, str(listens), str(to), *files]
        _spawn(stack, command, folder / f"{role}.log")
        if role == "near":
            _wait(lambda: socket.create_connection((HOST, ports[0])).close())
    return lambda: socket.create_connection((HOST, ports[0]))


class _SSH(Scp):
    """An sshd of our own, with the ciphers that it has by default."""

    def start(self) -> None:
        super().start()
        self.stop()
        self._processes.clear()
        config = self.folder / "sshd_config"
        lines = [line for line in config.read_text().splitlines() if not line.startswith("Ciphers")]
        config.write_text("\n".join(lines) + "\n")
        self._sshd = self._spawn([*self._sshd.args[:1], "-D", "-e", "-f", str(config)], self._port)  # type: ignore[index]  # a list, as it was given

    def forward(self, listens: int, port: int) -> list[str]:
        """The command that forwards a port."""
        options = ["IdentitiesOnly=yes", "BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"]
        forwarding = ["-N", "-L", f"{HOST}:{listens}:{HOST}:{port}", "-p", str(self._port), HOST]
        return ["ssh", "-F", "none", "-i", str(self.folder / "user"), *[f"-o{one}" for one in options], *forwarding]


def _ssh(stack: ExitStack, folder: Path, port: int) -> Callable[[], socket.socket]:
    server, listens = _SSH(folder / "ssh"), free_port()
    stack.callback(server.stop)
    server.start()
    _spawn(stack, server.forward(listens, port), folder / "ssh.log")
    _wait(lambda: socket.create_connection((HOST, listens)).close())
    return lambda: socket.create_connection((HOST, listens))


def _unix(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.connect(str(path))
    return made


def _wait(look: Callable[[], object]) -> None:
    until = time.monotonic() + START_S
    while True:
        try:
            look()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return


def _spawn(stack: ExitStack, command: list[str], log: Path) -> None:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    stack.callback(process.wait)
    stack.callback(process.terminate)


def _forward(role: str, listens: int, to: int, certificate: str, key: str, authority: str) -> None:
    """Be one of the two forwarders: ``near`` has TLS behind it, ``far`` before it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if role == "near" else ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.load_verify_locations(authority)
    context.load_cert_chain(certificate, key)
    with socket.create_server((HOST, listens)) as listener:
        while True:
            accepted, _ = listener.accept()
            with suppress(OSError):
                behind: Any = socket.create_connection((HOST, to))
                before: Any = accepted
                if role == "near":
                    behind = context.wrap_socket(behind)
                else:
                    before = context.wrap_socket(before, server_side=True)
                for source, target in ((before, behind), (behind, before)):
                    Thread(target=_pass_on, args=(source, target), daemon=True).start()


def _pass_on(source: Any, target: Any) -> None:
    buffer = memoryview(bytearray(PIECE))
    with suppress(OSError):
        while count := source.recv_into(buffer):
            target.sendall(buffer[:count])
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)  # no half-close: a blocking SSLSocket has none


if __name__ == "__main__":
    if sys.argv[1:2] in (["near"], ["far"]):
        _forward(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
    else:
        main()
