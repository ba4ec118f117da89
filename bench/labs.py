"""What it takes to make a large lab, and to read its files, beside what a user would do without p2p.

Certificates are issued by p2p's authority, and by the ``openssl`` command, a call for the request and one to sign it,
as guides have it. The YAML file of a daemon with many peers is read by p2p, which checks every key and file in it and
knows the line of each, and by PyYAML's C loader, which checks nothing. Both in turns, in the same run.

Run it from the project's folder: ``python -m bench.labs``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import click
import yaml

from p2p.base.config import load_peers
from p2p.identity.authority import Authority
from p2p.identity.lab import create_lab, write_peer_daemon


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--certificates", default=50, show_default=True, help="How many are issued in a round.")
@click.option("--peers", default=1000, show_default=True, help="How many the daemon's file has.")
@click.option("--rounds", default=5, show_default=True, help="How often each is done; the medians are shown.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for other programs.")
def main(certificates: int, peers: int, rounds: int, as_json: bool) -> None:
    """Measure making a lab's certificates and reading its files, beside openssl and a bare YAML loader."""
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
        for number in range(rounds):
            for way in sorted(ways, reverse=bool(number % 2)):
                where = folder / f"{number}-{way.replace(', ', '-')}"
                where.mkdir()
                began = perf_counter()
                ways[way](where)
                took[way].append(perf_counter() - began)
    _print({way: median(times) for way, times in took.items()}, certificates, peers, as_json)


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


def _print(took: dict[str, float], certificates: int, peers: int, as_json: bool) -> None:
    figures: dict[str, Any] = {
        "certificates": certificates,
        "peers": peers,
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
    click.echo(
        f"a daemon of {peers} peers: p2p takes {figures['p2p_to_pyyaml']:.1f} times as long as PyYAML, unchecked"
    )


if __name__ == "__main__":
    main()
