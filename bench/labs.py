"""What it takes to make a large lab, and to read its files, beside what a user would do without p2p.

Certificates are issued by p2p's authority, and by the ``openssl`` command, a call for the request and one to sign it,
as guides have it. The YAML file of a daemon with many peers is read by p2p, which checks every key and file in it and
knows the line of each, and by PyYAML's C loader, which checks nothing. Both in turns, in the same run. A daemon that is
written with its peers' certificates, and started, has nothing beside it: it is ready when its console answers.

Run it from the project's folder: ``python -m bench.labs``.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Any, Final

import click
import yaml

from p2p.base.config import load_peers
from p2p.identity.authority import Authority
from p2p.identity.lab import create_lab, write_peer_daemon

START_S: Final = 120.0


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--certificates", default=50, show_default=True, help="How many are issued in a round.")
@click.option("--peers", default=1000, show_default=True, help="How many the daemon's file has.")
@click.option("--started", default=200, show_default=True, help="How many the daemon has that is written and started.")
@click.option("--rounds", default=5, show_default=True, help="How often each is done; the medians are shown.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for other programs.")
def main(certificates: int, peers: int, started: int, rounds: int, as_json: bool) -> None:
    """Measure making a lab and reading its files, beside openssl and a bare YAML loader, and starting a daemon."""
    if shutil.which("openssl") is None:
        raise click.ClickException("openssl isn't here; install it, for example: apt-get install openssl")
    with tempfile.TemporaryDirectory(prefix="p2p-bench-") as name:
        folder = Path(name)
        authority = Authority.create(folder)
        create_lab(folder / "lab", clusters=["n"], peers=0, ports={"n": 5555})
        path = write_peer_daemon(folder / "lab", "peers.yaml", [f"x{number}.n" for number in range(peers)])
        ways: dict[str, Callable[[Path], object]] = {
            "issue, p2p": lambda where: [authority.issue(f"x{one}.n", where) for one in range(certificates)],
            "issue, openssl": lambda where: [_openssl(folder, where, f"x{one}.n") for one in range(certificates)],
            "read, p2p": lambda where: load_peers(path),
            "read, PyYAML": lambda where: yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader),
        }
        took: dict[str, list[float]] = {way: [] for way in ways}
        took |= {"write": [], "start": []}
        for number in range(rounds):
            names = [f"y{number}-{one}.n" for one in range(started)]
            began = perf_counter()
            config = write_peer_daemon(folder / "lab", f"{number}.yaml", names)
            took["write"].append(perf_counter() - began)
            took["start"].append(_start(config))
            for way in sorted(ways, reverse=bool(number % 2)):
                where = folder / f"{number}-{way.replace(', ', '-')}"
                where.mkdir()
                began = perf_counter()
                ways[way](where)
                took[way].append(perf_counter() - began)
    _print({way: median(times) for way, times in took.items()}, certificates, peers, started, as_json)


def _openssl(authority: Path, where: Path, name: str) -> int:
    """A key and a certificate, as p2p makes them; returns the exit code of the last command."""
    key, request = where / f"{name}.key", where / f"{name}.csr"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    asked = ["openssl", "req", "-new", *curve, "-keyout", str(key), "-out", str(request), "-subj", f"/CN={name}"]
    subprocess.run([*asked, "-addext", f"subjectAltName=DNS:{name}"], check=True, capture_output=True)
    signer = ["-CA", str(authority / "ca.pem"), "-CAkey", str(authority / "ca.key"), "-copy_extensions", "copy"]
    signing = [
        "openssl",
        "x509",
        "-req",
        "-in",
        str(request),
        *signer,
        "-days",
        "365",
        "-out",
        str(where / f"{name}.pem"),
    ]
    return subprocess.run(signing, check=True, capture_output=True).returncode


def _start(config: Path) -> float:
    """Start a daemon and end it; returns the seconds until its console answered."""
    twistd = [sys.executable, str(Path(sys.executable).with_name("twistd")), "--nodaemon", "--pidfile="]
    log = config.with_suffix(".log")
    began = perf_counter()
    process = subprocess.Popen([*twistd, f"--logfile={log}", "p2p-peer", "--config", str(config)])
    try:
        while not _answers(config.with_suffix(".sock")):
            if process.poll() is not None or perf_counter() - began > START_S:
                raise click.ClickException(
                    f"the daemon doesn't start: {log.read_text()[-1000:] if log.exists() else ''}"
                )
            sleep(0.005)
        return perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def _answers(console: Path) -> bool:
    """Whether somebody listens there."""
    with socket.socket(socket.AF_UNIX) as caller:
        return caller.connect_ex(str(console)) == 0


def _print(took: dict[str, float], certificates: int, peers: int, started: int, as_json: bool) -> None:
    figures: dict[str, Any] = {
        "certificates": certificates,
        "peers": peers,
        "started": started,
        "seconds": took,
        "openssl_to_p2p": took["issue, openssl"] / took["issue, p2p"],
        "p2p_to_pyyaml": took["read, p2p"] / took["read, PyYAML"],
    }
    if as_json:
        click.echo(json.dumps(figures))
        return
    for way, seconds in took.items():
        click.echo(f"{way:16} {1000 * seconds:9.1f} ms")
    click.echo(f"{certificates} certificates: openssl takes {figures['openssl_to_p2p']:.1f} times as long as p2p")
    click.echo(f"a daemon of {started} peers is written in {took['write']:.2f} s, and up after {took['start']:.2f} s")
    click.echo(
        f"a daemon of {peers} peers: p2p takes {figures['p2p_to_pyyaml']:.1f} times as long as PyYAML, unchecked"
    )


if __name__ == "__main__":
    main()
