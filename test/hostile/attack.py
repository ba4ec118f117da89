"""What an attack is, and the stage on which it takes place: a lab of real daemons on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from test.hostile.link import Link, answer_call, call
from test.hostile.speaker import Budget, Control, CutOff, Identity, Late, Speaker, Spent, connect, secured

__all__ = [
    "ACCOMPLICE",
    "ATTACKER",
    "ATTACKS",
    "BYSTANDER",
    "CLUSTER",
    "QUOTA",
    "STRAY",
    "VICTIM",
    "Attack",
    "Role",
    "Scene",
]
__all__ += ["Told", "attack", "counted", "cut_off"]

VICTIM: Final = "m1.m"
"""The peer that attacks by peers are aimed at; it shares the folder ``files``."""

BYSTANDER: Final = "n1.n"
"""The honest peer that talks with it meanwhile."""

ATTACKER, ACCOMPLICE = "n9.n", "n8.n"
"""Peers of cluster n with certificates and without daemons: whoever attacks is these."""

CLUSTER: Final = "k"
"""A cluster that both routers know as a neighbour and that has no router of its own: an attack may be it."""

QUOTA: Final = 20_000_000
"""Bytes that the victim's inbox may have."""

STRAY: Final = "k1.k"
"""A peer of that cluster: its daemon, ``stray``, is started by the attacks that are its router."""

Role = Literal["stranger", "peer", "serving peer", "neighbour", "router"]
"""Who attacks: without a certificate; with one, asking or being asked; as another cluster's router, or one's own."""

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Told:
    """What came of an attack.

    :ivar held: whether what must happen did; None if only measures of the daemons tell that.
    :ivar text: what was seen, for a person.
    """

    held: bool | None
    text: str


@dataclass(frozen=True, slots=True)
class Attack:
    """Something that must not harm anybody.

    :ivar name: how it is called on the command line.
    :ivar tries: what it tries, a sentence.
    :ivar must: what must happen, a sentence.
    :ivar seconds: for how long it goes on, its way in and out not counted.
    :ivar most: bytes that it says at most.
    """

    name: str
    role: Role
    tries: str
    must: str
    seconds: float
    most: int
    play: Callable[[Scene], Told] = field(repr=False)

    def run(self, folder: Path, seconds: float | None = None) -> Told:
        """Attack the daemons of a lab that is set up as :mod:`test.hostile.stage` does it; blocks.

        :param seconds: a shorter time for it.
        """
        scene = Scene(folder, Budget(min(seconds or self.seconds, self.seconds), self.most))
        try:
            return self.play(scene)
        except Spent as error:
            return Told(None, f"it didn't come to its end: {error}")
        except (CutOff, Late) as error:
            return Told(None, f"it didn't get that far: {error}")
        finally:
            scene.close()


ATTACKS: Final[dict[str, Attack]] = {}
"""All attacks by their names, in the order in which they are run."""


def attack(
    role: Role, *, must: str, seconds: float = 5.0, most: int = 1 << 20
) -> Callable[[Callable[[Scene], Told]], Callable[[Scene], Told]]:
    """Declare a function as an attack: its docstring says what it tries, its name is the attack's."""

    def declare(play: Callable[[Scene], Told]) -> Callable[[Scene], Told]:
        name = play.__name__.replace("_", "-")
        tries = " ".join((play.__doc__ or "").split())
        assert name not in ATTACKS and tries
        ATTACKS[name] = Attack(name, role, tries, must, seconds, most, play)
        return play

    return declare


class Scene:
    """A lab, as an attack sees it.

    :ivar folder: the lab's folder.
    :ivar ports: of the routers, by cluster.
    :ivar budget: how much the attack may still do.
    """

    def __init__(self, folder: Path, budget: Budget) -> None:
        self.folder = folder
        self.budget = budget
        self.ports: dict[str, int] = {}
        for path in sorted(folder.glob("router-*.yaml")):
            said = yaml.safe_load(path.read_text())
            self.ports[said["cluster"]] = int(said["listen"].split(":")[1])
        self._open: list[Speaker] = []

    def close(self) -> None:
        """End every connection that the attack has left open."""
        for speaker in self._open:
            speaker.close()

    # Ways in

    def identity(self, name: str) -> Identity:
        """The certificate of a peer or a router of the lab."""
        place = self.folder / "certificates"
        return Identity(place / f"{name}.pem", place / f"{name}.key", self.folder / "ca.pem")

    def forged(self, name: str, *, authority: bool = False, days: float = 1, extra: tuple[str, ...] = ()) -> Identity:
        """A certificate that the lab's authority vouches for, and that says what no honest one does.

        :param authority: whether it is one of an authority itself (CA:TRUE).
        :param extra: further DNS names.
        """
        made = self.folder / "forged"
        made.mkdir(exist_ok=True)
        signer = x509.load_pem_x509_certificate((self.folder / "ca.pem").read_bytes())
        signing = serialization.load_pem_private_key((self.folder / "ca.key").read_bytes(), None)
        assert isinstance(signing, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])]))
            .issuer_name(signer.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * _DAY)
            .not_valid_after(now + days * _DAY)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in (name, *extra)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .sign(signing, hashes.SHA256())
        )
        number = sum(1 for _ in made.iterdir())
        paths = made / f"{number}.pem", made / f"{number}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return Identity(paths[0], paths[1], self.folder / "ca.pem")

    def keep(self, speaker: Speaker) -> Speaker:
        """Charge a connection to the attack, and close it when the attack is over."""
        speaker.budget = self.budget
        self._open.append(speaker)
        return speaker

    def bare(self, cluster: str = "n", *, source: str = "127.0.0.1") -> Speaker:
        """A TCP connection to a router, with nothing said yet."""
        return self.keep(Speaker(connect(self.ports[cluster], source=source)))

    def control(
        self, name: str = ATTACKER, *, cluster: str | None = None, who: Identity | None = None, registered: bool = True
    ) -> Control:
        """A control channel to a router, by default as a peer of its own cluster that registers.

        :param who: another certificate than the name's own.
        """
        where = cluster or name.split(".")[1]
        shown = who or self.identity(name)
        speaker = secured(connect(self.ports[where]), shown, server=False, alpn="p2p-control/1")
        control = Control(self.keep(speaker))
        if registered:
            said = control.register(name)
            if "_error" in said:
                raise CutOff(f"the router doesn't register {name}: {said}")
        return control

    @contextmanager
    def link(self, me: str = ATTACKER, target: str = VICTIM) -> Iterator[Link]:
        """A direct link to a peer, for which the attacker asks."""
        with self.control(me) as control, call(control, self.identity(me), me, target) as link:
            self.keep(link.speaker)
            yield link

    @contextmanager
    def asked(self, *arguments: str | Path, me: str = ATTACKER) -> Iterator[tuple[Link, subprocess.Popen[str]]]:
        """Have the victim's user run ``p2p`` with these arguments, and be linked with by it."""
        with (
            self.control(me) as control,
            self.command("victim", *arguments) as process,
            answer_call(control, self.identity(me), me) as link,
        ):
            self.keep(link.speaker)
            yield link, process

    @contextmanager
    def command(self, daemon: str, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
        """Run ``p2p`` for a daemon; it is killed at the end if it goes on."""
        process = subprocess.Popen(
            [sys.executable, Path(sys.executable).with_name("p2p"), *arguments],
            env={**os.environ, "P2P_CONFIG": str(self.folder / f"{daemon}.yaml")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="surrogateescape",
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    @contextmanager
    def stray(self) -> Iterator[Path]:
        """Run the daemon of the stray peer, whose router is the attacker; gives the file that it logs to."""
        log = self.folder / "stray.log"
        with log.open("ab") as stream:
            twistd = [sys.executable, str(Path(sys.executable).with_name("twistd")), "--nodaemon", "--pidfile="]
            process = subprocess.Popen(
                [*twistd, "p2p-peer", "--config", str(self.folder / "stray.yaml")],
                stdout=stream,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )
            try:
                yield log
            finally:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    # What is to be seen

    def inbox(self, peer: str = VICTIM) -> Path:
        """The folder that a peer's files come to."""
        return self.folder / "inbox" / peer

    def arrived(self, prefix: str) -> list[str]:
        """Names in the victim's inbox that begin so, what is under way left out."""
        return sorted(one.name for one in self.inbox().iterdir() if one.name.startswith(prefix))

    def registers(self, name: str = ACCOMPLICE) -> float | None:
        """Seconds that an honest registration takes now; None if it doesn't come to be in ten."""
        began = time.monotonic()
        try:
            with self.control(name):
                return time.monotonic() - began
        except (CutOff, Late):
            return None


def cut_off(speaker: Speaker, seconds: float) -> Told:
    """Whether the other end ends the connection in time."""
    began = time.monotonic()
    how = speaker.until_cut(seconds)
    took = time.monotonic() - began
    return Told(bool(how), f"cut off after {took:.1f} s ({how})" if how else f"not cut off within {seconds:g} s")


def counted(texts: list[str]) -> str:
    """Texts and how often each came, the most frequent first."""
    found: Mapping[str, int] = {text: texts.count(text) for text in dict.fromkeys(texts)}
    return ", ".join(f"{count}x {text}" for text, count in sorted(found.items(), key=lambda one: -one[1])[:5])
