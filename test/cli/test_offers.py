"""``p2p offers``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from p2p.base.errors import InvalidRequest
from p2p.console.transfer_operations import PendingOffer
from test.cli.commands import CommandCase
from test.consoles import failing, peer_operations
from test.moves import ID, OFFER, transfer_operations


class OffersTests(CommandCase):
    """What others want to send."""

    def test_table(self) -> None:
        """Each offer says who wants to send what to whom, how much it is, and for how long it waits."""
        heads, row = (line.split() for line in self.output("offers").splitlines())
        self.assertEqual(["ID", "FROM", "FOR", "WHAT", "TYPE", "ENTRIES", "SIZE", "WAITS"], heads)
        self.assertEqual([ID, "m4.m", "n1.n", "film.mkv", "video", "1", "1.5", "MB", "12.2", "s"], row)

    def test_unknown_size(self) -> None:
        """What nobody knows yet stays empty."""
        offer = OFFER.model_copy(update={"entries": None, "bytes": None})
        shown = self.output("offers", operations=peer_operations(**transfer_operations(offers=(offer,))))
        self.assertEqual([ID, "m4.m", "n1.n", "film.mkv", "video", "12.2", "s"], shown.splitlines()[1].split())

    def test_many(self) -> None:
        """All names and types are shown, in short where they are many: nobody agrees to what they weren't shown."""
        names = {"names": ["s9.mp3", "y.sh", "a", "b"], "more_names": 9_996, "types": ["audio", "text"]}
        offer = OFFER.model_copy(update=names)
        shown = self.output("offers", operations=peer_operations(**transfer_operations(offers=(offer,))))
        self.assertIn("s9.mp3, y.sh, a and 9,997 more   audio, text", shown)

    def test_none(self) -> None:
        """That there are none is told."""
        result = self.run_command("offers", operations=peer_operations(**transfer_operations(offers=())))
        self.assertEqual((0, "", "nothing waits for your consent\n"), (result.exit_code, result.stdout, result.stderr))

    def test_json(self) -> None:
        """JSON is one object."""
        (one,) = self.json_output("offers")["offers"]
        self.assertEqual(OFFER, PendingOffer.model_validate(one))

    def test_decide(self) -> None:
        """Offers are accepted or refused by their ids, several at once."""
        asked: list[tuple[str, bool]] = []

        async def decide(request: Mapping[str, Any], emit: object) -> Mapping[str, Any]:
            asked.append((request["offer"], request["accept"]))
            return {}

        operations = peer_operations(decide=decide)
        self.assertEqual("a accepted\nb accepted\n", self.output("offers", "accept", "a", "b", operations=operations))
        self.assertEqual("c refused\n", self.output("offers", "refuse", "c", operations=operations))
        self.assertEqual([("a", True), ("b", True), ("c", False)], asked)
        shown = self.output("offers", "refuse", "--json", "a", operations=operations)
        self.assertEqual({"offer": "a", "accepted": False}, json.loads(shown))

    def test_gone(self) -> None:
        """An offer that isn't there any more is told."""
        operations = peer_operations(decide=failing(InvalidRequest("no offer a waits")))
        self.assertIn("no offer a waits", self.failure(2, "offers", "accept", "a", operations=operations))
