"""What plays files: everything is decoded, and what can't be is told."""

from __future__ import annotations

import io
import json
import resource
import signal
import socket
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
from twisted.trial.unittest import SynchronousTestCase

from p2p.experiment.making import audio, text
from p2p.experiment.making_video import video
from p2p.services import inspect_worker
from p2p.services.inspect_worker import MEMORY_BYTES, Undecodable, inspect, main

DATA: Final = Path(__file__).parents[2] / "data"
PNG: Final = b"\x89PNG\r\n\x1a\n"


def cover(*, song: bool = True) -> bytes:
    """A song with a picture of its cover, or the cover alone."""
    picture = av.VideoFrame(32, 32, "yuvj420p")
    for plane in picture.planes:
        plane.update(bytes(plane.buffer_size))
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=16000, layout="mono") if song else None
        still = container.add_stream("mjpeg", rate=1)
        still.width = still.height = 32
        still.pix_fmt = "yuvj420p"
        still.disposition = av.stream.Disposition.attached_pic
        picture.pts, picture.time_base = 0, Fraction(1, 1)
        container.mux(still.encode(picture))
        container.mux(still.encode(None))
        if sound is not None:
            for number in range(16):
                frame = av.AudioFrame("fltp", "mono", 1024)
                frame.planes[0].update(bytes(4096))
                frame.rate, frame.pts, frame.time_base = 16000, 1024 * number, Fraction(1, 16000)
                container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
    return file.getvalue()


class InspectTests(SynchronousTestCase):
    """Files that play, and files that don't."""

    def refused(self, data: bytes) -> str:
        """The file can't be played; the reason."""
        return str(self.assertRaises(Undecodable, inspect, io.BytesIO(data)))

    def test_samples(self) -> None:
        """Every sample plays to its end: each frame is counted, and there is a picture."""
        expected: dict[str, dict[str, str]] = {
            "audio-32k.wav": {"codecs": "pcm_s16le", "duration_s": "2.040000", "rate": "8000", "channels": "1"},
            "audio-256k.opus": {"codecs": "opus", "duration_s": "21.000000", "frames": "1051"},
            "audio-512k.flac": {"container": "flac", "frames": "77", "rate": "44100"},
            "video-96k.mp4": {"codecs": "h264,aac", "frames": "96", "width": "320", "height": "192", "rate": "44100"},
            "video-256k.webm": {"container": "matroska,webm", "codecs": "vp9,opus", "frames": "168"},
            "video-896k.mkv": {"duration_s": "10.000000", "frames": "240"},
        }
        for name, fields in expected.items():
            with (DATA / name).open("rb") as file:
                report = inspect(file)
            self.assertEqual(fields, {key: report.fields[key] for key in fields}, name)
            self.assertTrue(report.picture.startswith(PNG))
            self.assertEqual(name.startswith("video"), "width" in report.fields)

    def test_made(self) -> None:
        """What is made to measure with plays for as long as its bytes say."""
        self.assertEqual("2.046625", inspect(io.BytesIO(audio(65536, 1))).fields["duration_s"])
        self.assertEqual("mpeg4", inspect(io.BytesIO(video(65536, 1))).fields["codecs"])

    def test_same_again(self) -> None:
        """The same file gives the same report and picture."""
        first, second = (inspect(io.BytesIO(video(65536, 1))) for _ in range(2))
        self.assertEqual(first, second)

    def test_cover(self) -> None:
        """A cover is no film: the song is shown as a sound."""
        fields = inspect(io.BytesIO(cover())).fields
        self.assertEqual(("aac", "16000"), (fields["codecs"], fields["rate"]))
        self.assertNotIn("width", fields)

    def test_no_media(self) -> None:
        """Text and nothing at all can't be played."""
        for data in (b"", b"RIFF", text(5000, 1), bytes(5000)):
            self.assertIn("it is damaged, or no sound or film", self.refused(data))

    def test_damaged(self) -> None:
        """A film with a hole doesn't count as played."""
        film = (DATA / "video-256k.webm").read_bytes()
        self.refused(film[:60000] + b"\x5a" * 3000 + film[63000:])

    def test_cut_off(self) -> None:
        """A film that breaks off doesn't count as played."""
        self.assertIn("breaks off after 0.8 of 7.0 s", self.refused((DATA / "video-256k.webm").read_bytes()[:50000]))
        for name, told in (
            ("video-96k.mp4", "it breaks off before its end"),
            ("audio-32k.wav", "it breaks off after 1.0 s"),
            ("audio-256k.opus", "it breaks off after 10.0 s"),
            ("audio-512k.flac", "it breaks off or is damaged after 3.9 of 8.0 s"),
        ):
            data = (DATA / name).read_bytes()
            self.assertEqual(told, self.refused(data[: len(data) // 2]))

    def test_other_container(self) -> None:
        """A container that isn't played here is told, with those that are."""
        file = io.BytesIO()
        with av.open(file, "w", format="gif") as container:
            stream = container.add_stream("gif", rate=10)
            stream.width, stream.height, stream.pix_fmt = 16, 16, "rgb8"
            for packet in [*stream.encode(av.VideoFrame(16, 16, "rgb8")), *stream.encode(None)]:
                container.mux(packet)
        self.assertRegex(self.refused(file.getvalue()), "any container that is played here: aac, .* wav, webm")

    def test_empty_sound(self) -> None:
        """A file with a sound that has no samples holds nothing that plays."""
        self.assertIn("nothing in it can be played", self.refused(audio(46, 1)[:40] + bytes(4)))

    def test_neither(self) -> None:
        """A file with neither sound nor moving pictures is told, such as a cover without its song."""
        self.assertIn("neither sound nor moving pictures", self.refused(cover(song=False)))

    def test_no_other_files(self) -> None:
        """A playlist is not followed: it would have the receiver open its own files."""
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nfile://{DATA}/audio-32k.wav\n#EXT-X-ENDLIST\n"
        self.refused(playlist.encode())

    def test_memory(self) -> None:
        """A file that needs more memory than there may be is told."""

        def greedy(*arguments: Any) -> None:
            raise MemoryError

        self.patch(inspect_worker, "_play", greedy)
        self.assertEqual("it needs too much memory", self.refused(audio(5000, 1)))


class MainTests(SynchronousTestCase):
    """The worker's loop, in this process."""

    def setUp(self) -> None:
        """Keep this process as it is."""
        self.limits: dict[int, int] = {}
        self.patch(resource, "setrlimit", lambda kind, limits: self.limits.update({kind: limits[0]}))
        self.timers: list[float] = []
        self.patch(signal, "setitimer", lambda kind, seconds: self.timers.append(seconds))
        self.patch(av.logging, "set_level", lambda level: None)

    def ask(self, *files: bytes) -> list[dict[str, Any]]:
        """Run the worker with some files, and return its answers."""
        near, far = socket.socketpair()
        with near:
            for number, data in enumerate(files):
                path = Path(self.mktemp())
                path.write_bytes(data)
                with path.open("rb") as file:
                    file.seek(number)  # as a file that has been written is at its end
                    socket.send_fds(near, [b"j"], [file.fileno()])
            near.shutdown(socket.SHUT_WR)
            main([str(far.detach()), "20"])
            with near.makefile("rb") as answers:
                read = answers.read()
        found = []
        while read:
            text_size, picture_size = struct.unpack(">II", read[:8])
            found.append({**json.loads(read[8 : 8 + text_size]), "picture": read[8 + text_size :][:picture_size]})
            read = read[8 + text_size + picture_size :]
        return found

    def test_files(self) -> None:
        """Each file gets its answer, in order, until nobody asks any more."""
        good, bad = self.ask(audio(5000, 1), b"nothing")
        self.assertEqual("pcm_s16le", good["fields"]["codecs"])
        self.assertTrue(good["picture"].startswith(PNG))
        self.assertEqual((b"", "it is damaged, or no sound or film"), (bad["picture"], bad["undecodable"]))

    def test_deadline(self) -> None:
        """While a file plays, a timer runs that would end the process."""
        self.ask(audio(5000, 1))
        self.assertEqual([20, 0], self.timers)

    def test_limits(self) -> None:
        """The kernel keeps the process from memory, files and core dumps."""
        self.patch(resource, "getrlimit", lambda kind: (0, resource.RLIM_INFINITY))
        self.ask()
        expected = {resource.RLIMIT_AS: MEMORY_BYTES, resource.RLIMIT_NOFILE: 64, resource.RLIMIT_CORE: 0}
        self.assertEqual(expected, self.limits)

    def test_lower_limits(self) -> None:
        """Limits that are lower already stay."""
        self.patch(resource, "getrlimit", lambda kind: (0, 10))
        self.ask()
        self.assertEqual({resource.RLIMIT_AS: 10, resource.RLIMIT_NOFILE: 10, resource.RLIMIT_CORE: 0}, self.limits)


class ProcessTests(SynchronousTestCase):
    """The worker as a process."""

    def test_confined(self) -> None:
        """A worker really gets no more memory than it may have."""
        script = (
            "from p2p.services import inspect_worker as w; w._confine()\n"
            f"try: bytearray({MEMORY_BYTES})\nexcept MemoryError: print('no')"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
        self.assertEqual("no\n", done.stdout)
