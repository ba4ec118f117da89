"""The content of a plan is made before its first block."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2p.experiment.made_files import MadeFiles
from p2p.measure.blocks import Factors, Load, drawn, parse_condition
from p2p.measure.content_files import make_all, needed


class ContentFilesTests(SynchronousTestCase):
    def test_all(self) -> None:
        """Each content of each size is made once, however many blocks and labels there are, and progress is told."""
        conditions = [parse_condition(name) for name in ("text", "zeros", "text-as-audio")]
        blocks = drawn([Factors("one", "echo", conditions, [1024, 2048], [1, 2], Load(), [1, 1], 0, 2)], 1)
        self.assertEqual([("text", 1024), ("text", 2048), ("zeros", 1024), ("zeros", 2048)], needed(blocks))
        told: list[tuple[int, int]] = []
        folder = Path(self.mktemp())
        made = make_all(blocks, MadeFiles(folder, 1), lambda done, total: told.append((done, total)))
        self.assertEqual([(1, 4), (2, 4), (3, 4), (4, 4)], told)
        self.assertEqual({*made.values()}, {*folder.iterdir()})
        self.assertEqual({key: path.stat().st_size for key, path in made.items()}, {key: key[1] for key in made})
        self.assertEqual(made, make_all(blocks, MadeFiles(folder, 1)))
