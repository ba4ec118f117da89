"""The programs that `bench/throughput.py` measures p2p against, each started by itself on free ports of this machine.

Everything here blocks and runs in a thread. A rival whose programs are missing says what to install.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import click
import psutil

HOST: Final = "127.0.0.1"
START_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer: how long it took and the CPU time it took at both ends, in seconds."""

    seconds: float
    sender_cpu_s: float
    receiver_cpu_s: float


class Unavailable(Exception):
    """A rival can't be measured here; the text says why and what to do."""


class Rival(ABC):
    """A way to bring a file from here to there.

    :param folder: for its files; the file arrives in there too.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        folder.mkdir()

    def start(self) -> None:  # noqa: B027 - the bare loop has nothing to start beforehand
        """Start what stays up; raises :class:`Unavailable`."""

    @abstractmethod
    def transfer(self, source: Path) -> Transfer:
        """Bring the file over, check that it came whole, and remove what came."""

    def stop(self) -> None:
        """End every process that this one started."""
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        for process in self._processes:
            process.wait()

    def _spawn(self, command: list[str], port: int) -> subprocess.Popen[bytes]:
        """Start a server and wait until its port answers."""
        log = self.folder / "server.log"
        with log.open("ab") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.folder)
        self._processes.append(process)
        until = time.monotonic() + START_S
        while time.monotonic() < until and process.poll() is None:
            try:
                socket.create_connection((HOST, port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return process
        raise Unavailable(f"{Path(command[0]).name} didn't start: {log.read_text(errors='replace').strip()[-300:]}")


class Scp(Rival):
    """OpenSSH with AES-128-GCM: scp to an sshd of our own, with its own keys."""

    def start(self) -> None:
        self._scp = _program("scp", "apt-get install openssh-client")
        sshd = _program("sshd", "apt-get install openssh-server")
        keygen = _program("ssh-keygen", "apt-get install openssh-client")
        for key in ("host", "user"):
            _run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / key)])
        self._port = free_port()
        config = self.folder / "sshd_config"
        config.write_text(
            f"ListenAddress {HOST}:{self._port}\nHostKey {self.folder}/host\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {self.folder}/user.pub\nStrictModes no\nPermitRootLogin yes\n"
            "Subsystem sftp internal-sftp\nCiphers aes128-gcm@openssh.com\n"
        )
        # sshd insists on being started by its absolute path, and as root on a folder that its package makes at boot.
        if os.geteuid() == 0 and not Path("/run/sshd").is_dir():
            raise Unavailable("sshd needs the folder /run/sshd: mkdir -p /run/sshd")
        self._sshd = self._spawn([sshd, "-D", "-e", "-f", str(config)], self._port)

    def transfer(self, source: Path) -> Transfer:
        target = self.folder / "arrived"
        before = _family_cpu_s(self._sshd.pid)
        seconds, cpu = _timed(
            [self._scp, "-q", "-F", "none", "-P", str(self._port), "-i", str(self.folder / "user")]
            + [f"-o{option}" for option in _SSH_OPTIONS]
            + [str(source), f"{HOST}:{target}"]
        )
        until = time.monotonic() + START_S
        while psutil.Process(self._sshd.pid).children() and time.monotonic() < until:
            time.sleep(0.01)  # the time of a session counts once it has ended
        _check(source, target)
        return Transfer(seconds, cpu, _family_cpu_s(self._sshd.pid) - before)


_SSH_OPTIONS: Final = (
    "Ciphers=aes128-gcm@openssh.com",
    "Compression=no",
    "IdentitiesOnly=yes",
    "BatchMode=yes",
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "LogLevel=ERROR",
)


class Wormhole(Rival):
    """magic-wormhole with its mailbox server on this machine, without a transit relay."""

    def start(self) -> None:
        programs = _wormhole_programs()
        self._wormhole = str(programs / "wormhole")
        port = free_port()
        self._spawn([str(programs / "twist"), "wormhole-mailbox", f"--port=tcp:{port}:interface={HOST}"], port)
        self._relay = [self._wormhole, "--relay-url", f"ws://{HOST}:{port}/v1", "--transit-helper", ""]
        self._number = 0

    def transfer(self, source: Path) -> Transfer:
        self._number += 1
        code = f"{self._number}-bench-file"
        target = self.folder / "arrived"
        sending = ["send", "--hide-progress", "--code", code, str(source)]
        receiving = ["receive", "--hide-progress", "--accept-file", "--output-file", str(target), code]
        with (self.folder / "sender.log").open("wb") as log:
            began = time.perf_counter()
            sender = subprocess.Popen([*self._relay, *sending], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            _, receiver_cpu = _timed([*self._relay, *receiving], log)
            _, status, usage = os.wait4(sender.pid, 0)
            seconds = time.perf_counter() - began
        sender.returncode = os.waitstatus_to_exitcode(status)
        _check(source, target)
        return Transfer(seconds, usage.ru_utime + usage.ru_stime, receiver_cpu)


def _wormhole_programs() -> Path:
    """The folder of wormhole's programs: an environment of its own in the cache, made when it is first needed.

    Its packages would change ours.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "p2p-bench"
    programs = cache / "wormhole" / "bin"
    if not (programs / "wormhole").exists():
        click.echo(f"wormhole: installing {' and '.join(_WORMHOLE)} into {programs.parent}", err=True)
        shutil.rmtree(programs.parent, ignore_errors=True)
        cache.mkdir(parents=True, exist_ok=True)
        _run([sys.executable, "-m", "venv", str(programs.parent)])
        try:
            _run([str(programs / "pip"), "install", "--quiet", "--disable-pip-version-check", *_WORMHOLE])
        except Unavailable as error:
            shutil.rmtree(programs.parent)
            raise Unavailable(f"{error}; it needs a package index: see pip's --index-url") from error
    return programs


_WORMHOLE: Final = ("magic-wormhole", "magic-wormhole-mailbox-server")


class Rsync(Rival):
    """rsync from the file to a daemon of its own, unencrypted."""

    def start(self) -> None:
        self._rsync = _program("rsync", "apt-get install rsync")
        self._port = free_port()
        config = self.folder / "rsyncd.conf"
        config.write_text(
            f"address = {HOST}\nport = {self._port}\nuse chroot = no\nlog file = {self.folder}/rsyncd.log\n"
            f"pid file = {self.folder}/rsyncd.pid\n[inbox]\npath = {self.folder}\nread only = no\n"
            + (f"uid = {os.geteuid()}\ngid = {os.getegid()}\n" if os.geteuid() == 0 else "")
        )
        self._daemon = self._spawn([self._rsync, "--daemon", "--no-detach", "--config", str(config)], self._port)

    def transfer(self, source: Path) -> Transfer:
        target = self.folder / "arrived"
        before = _family_cpu_s(self._daemon.pid)
        url = f"rsync://{HOST}:{self._port}/inbox/arrived"
        seconds, cpu = _timed([self._rsync, "--whole-file", "--times", str(source), url])
        until = time.monotonic() + START_S
        while psutil.Process(self._daemon.pid).children() and time.monotonic() < until:
            time.sleep(0.01)  # the time of a session counts once it has ended
        _check(source, target)
        return Transfer(seconds, cpu, _family_cpu_s(self._daemon.pid) - before)


class RsyncOverSSH(Scp):
    """``rsync -a`` of a folder over ssh, with the sshd and the cipher of :class:`Scp`."""

    def start(self) -> None:
        super().start()
        self._rsync = _program("rsync", "apt-get install rsync")
        self._ssh = _program("ssh", "apt-get install openssh-client")

    def transfer(self, source: Path) -> Transfer:
        target = self.folder / source.name
        before = _family_cpu_s(self._sshd.pid)
        options = " ".join(f"-o{option}" for option in _SSH_OPTIONS)
        shell = f"{self._ssh} -F none -p {self._port} -i {self.folder / 'user'} {options}"
        seconds, cpu = _timed([self._rsync, "-a", "-e", shell, str(source), f"{HOST}:{self.folder}/"])
        until = time.monotonic() + START_S
        while psutil.Process(self._sshd.pid).children() and time.monotonic() < until:
            time.sleep(0.01)  # the time of a session counts once it has ended
        if sum(1 for _ in target.iterdir()) != sum(1 for _ in source.iterdir()):
            raise Unavailable("rsync didn't bring all files over")
        shutil.rmtree(target)
        return Transfer(seconds, cpu, _family_cpu_s(self._sshd.pid) - before)


class BareTLS(Rival):
    """A loop over OpenSSL on blocking sockets with the links' suite; no disk, no digest.

    :param files: certificate, key and authority (PEM) that both ends show and trust.
    """

    def __init__(self, folder: Path, files: tuple[Path, Path, Path]) -> None:
        super().__init__(folder)
        self._files = [str(path) for path in files]
        self.suite = ""

    def start(self) -> None:
        # The ssl module can't choose among the suites of TLS 1.3; OpenSSL's own configuration can.
        (self.folder / "openssl.cnf").write_text(
            "openssl_conf = start\n[start]\nssl_conf = ssl\n[ssl]\nsystem_default = links\n"
            "[links]\nCiphersuites = TLS_AES_128_GCM_SHA256\n"
        )
        self._environment = {**os.environ, "OPENSSL_CONF": str(self.folder / "openssl.cnf")}

    def transfer(self, source: Path) -> Transfer:
        size = source.stat().st_size
        with self._end("receive", 0, size) as receiver:
            assert receiver.stdout is not None
            with self._end("send", int(receiver.stdout.readline()), size) as sender:
                assert sender.stdout is not None
                sent = json.loads(sender.stdout.read())
            received = json.loads(receiver.stdout.read())
        self.suite = sent["suite"]
        return Transfer(sent["seconds"], sent["cpu_s"], received["cpu_s"])

    def _end(self, role: str, port: int, size: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "bench._bare_tls", role, *self._files, str(port), str(size)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, env=self._environment, cwd=Path(__file__).resolve().parents[1]
        )
        self._processes.append(process)
        return process


def _program(name: str, hint: str) -> str:
    places = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    found = shutil.which(name, path=places)
    if found is None:
        raise Unavailable(f"{name} is missing: {hint}")
    return found


def free_port() -> int:
    """A TCP port of this machine that nobody listens on now."""
    with socket.create_server((HOST, 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        raise Unavailable(f"{command[0]} failed: {done.stderr.decode(errors='replace').strip()[-300:]}")


def _timed(command: list[str], errors: IO[bytes] | None = None) -> tuple[float, float]:
    """Run a command and return its seconds and its CPU seconds, those of its children included."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Unavailable(f"{Path(command[0]).name} ended with exit code {process.returncode}")
    return seconds, usage.ru_utime + usage.ru_stime


def _family_cpu_s(pid: int) -> float:
    """CPU seconds of a process and of the children that it has waited for."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def _check(source: Path, target: Path) -> None:
    if target.stat().st_size != source.stat().st_size:
        raise Unavailable(f"{target} has {target.stat().st_size} bytes, not {source.stat().st_size}")
    target.unlink()
