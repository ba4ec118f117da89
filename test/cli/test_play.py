"""``p2p play``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from p2p.base.errors import ExchangeFailed, Outcome
from test.cli.commands import CommandCase
from test.consoles import HOSTILE, failing, peer_operations

FILM = {
    "container": "mov,mp4",
    "codecs": "h264,aac",
    "duration_s": "4.017052",
    "frames": "96",
    "width": "320",
    "height": "192",
    "rate": "44100",
    "channels": "1",
}


class PlayTests(CommandCase):
    """A file that a peer plays."""

    def setUp(self) -> None:
        """Have m4.m play a film."""
        super().setUp()
        self.file = self.write("film.mp4", "a film")
        self.said = FILM
        self.picture = ("aGVs", "bG8=")
        self.asked: Mapping[str, Any] = {}
        usual = peer_operations()["exchange"]

        async def exchange(request: Mapping[str, Any], emit: Any) -> Mapping[str, Any]:
            self.asked = request
            answer = await usual(request, emit)
            for part in self.picture:
                await emit("text", text=part)
            return {**answer, "said": self.said}

        self.operations = peer_operations(exchange=exchange)

    def play(self, *options: str) -> str:
        """Have the file played."""
        return self.output("play", "m4.m", str(self.file), *options, operations=self.operations)

    def test_film(self) -> None:
        """What the peer saw is shown, each on a line."""
        lines = self.play().splitlines()
        self.assertEqual(lines[0], "m4.m has played film.mp4, 4.0 kB, within 500 ms")
        self.assertEqual(
            [line.split(maxsplit=1) for line in lines[1:]],
            [
                ["container", "mov,mp4"],
                ["codecs", "h264,aac"],
                ["duration", "4.017052 s"],
                ["frames", "96"],
                ["size", "320 x 192 pixels"],
                ["sound", "44100 Hz, 1 channel"],
            ],
        )
        self.assertEqual(
            (self.asked["service"], self.asked["type"], self.asked["name"]), ("inspect", "video", "film.mp4")
        )

    def test_sound(self) -> None:
        """Sound has no pixels; what a peer doesn't say isn't shown."""
        self.said = {"container": "ogg", "rate": "48000", "channels": "2"}
        self.assertEqual(self.play().splitlines()[1:], ["container  ogg", "sound      48000 Hz, 2 channels"])

    def test_picture(self) -> None:
        """The picture is saved where one says, and nowhere else."""
        path = self.folder.absolute() / "sheet.png"
        self.assertIn(f"picture    {path}", self.play("--picture", str(path)))
        self.assertEqual(path.read_bytes(), b"hello")
        answer = self.json_output("play", "m4.m", str(self.file), operations=self.operations)
        self.assertEqual((answer["said"], answer["picture"], answer["seconds"]), (FILM, None, 0.5))

    def test_no_picture(self) -> None:
        """A picture that can't be written, or is none, is told."""
        missing = str(self.folder.absolute() / "missing" / "x.png")
        options = ("play", "m4.m", str(self.file), "--picture")
        self.assertIn("with --picture", self.failure(11, *options, missing, operations=self.operations))
        self.picture = ("?", "?")
        path = str(self.folder.absolute() / "x.png")
        self.assertIn("makes no sense", self.failure(1, *options, path, operations=self.operations))

    def test_hostile(self) -> None:
        """What a peer says can't steer the terminal."""
        self.said = {"container": HOSTILE}
        self.assertIn("container  evil\\x1b[2J", self.play())

    def test_refused(self) -> None:
        """What can't be played is told with the peer's reason."""
        refused = failing(ExchangeFailed(Outcome.REFUSED, "undecodable: it breaks off before its end"))
        operations = peer_operations(exchange=refused)
        self.assertIn("it breaks off", self.failure(5, "play", "m4.m", str(self.file), operations=operations))
