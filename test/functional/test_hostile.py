"""The hostile kit against real daemons: it speaks as everybody, and what p2p already withstands stays so."""

from __future__ import annotations

from typing import Final

from twisted.internet.threads import deferToThread

from test.functional.cases import FunctionalCase
from test.hostile import wire
from test.hostile.attack import ATTACKER, CLUSTER, Scene
from test.hostile.catalogue import ATTACKS
from test.hostile.speaker import Budget
from test.hostile.stage import DAEMONS, start_stage

_HELD: Final = ("many-keys", "unasked-answers", "orders", "paths-outside", "wrong-digests", "questions-of-others")


_WORDS: Final = (
    "observed-elsewhere",
    "instructions-to-knock",
    "names-that-escape",
    "pages-without-end",
    "names-that-steer",
    "wrong-names",
)
"""What neighbours, routers and peers say that must lead nowhere."""

_FLOODS: Final = (
    "idle-addresses",
    "registers-in-a-loop",
    "lists-over-quota",
    "lookups-without-a-pause",
    "rapid-resets",
    "unknown-services",
    "broken-exchanges",
)
"""What is harmless once and is done without a pause."""

_FLOOD_S: Final = 4.0


def _honest(scene: Scene) -> list[str]:
    """What comes of speaking as the document says, by every way that an attack has in."""
    found: list[str] = []
    with scene.link() as link:
        found.append(link.request(wire.message("uppercase", b"abc", type="text")).body.decode())
        records = wire.file_records("honest.txt", b"abc") + wire.end_record(1, 3)
        found.append(str(link.request(wire.message("transfer", records, id="00112233445566aa"))))
        found.append(str(link.works()))
    with scene.control(f"router.{CLUSTER}", cluster="m", registered=False) as control:
        found.append(control.ask("LookupPeer", name="m1.m")["address"].decode())
    with scene.asked("ls", ATTACKER, "docs") as (link, process):
        stream, request = link.opened()
        asked, body, _ = wire.read_message(request)
        assert asked is not None
        listed = wire.boxes({"name": "a.txt", "kind": "file", "size": 3, "mtime": 1})
        link.send(stream, wire.boxes({}) + wire.body(listed) + wire.tail(outcome="ok"), wire.FIN)
        said, _ = process.communicate(timeout=20)
        found += [asked["service"].decode(), str("docs" in body.decode()), str("a.txt" in said)]
    scene.close()
    return found


class HostileTests(FunctionalCase):
    """A stage with a victim and a bystander."""

    timeout = 120

    async def test_kit(self) -> None:
        """Whoever speaks as the document says is understood, as a peer that asks or is asked, and as a neighbour; what
        was held before this test was written is held, and the victim still answers the bystander."""
        lab = self.own_lab(("n", "m", CLUSTER))
        await start_stage(lab)
        found = await deferToThread(_honest, Scene(lab.folder, Budget(60, 1 << 20)))
        self.assertEqual(["ABC", "ok", "True", "127.0.0.1", "list", "True", "True"], found)
        for name in _HELD:
            told = await deferToThread(ATTACKS[name].run, lab.folder)
            self.assertTrue(told.held, f"{name}: {told.text}")
        async with await lab.connect("bystander") as client:
            self.assertEqual("HELLO", (await client.message("m1.m", "hello")).text)

    async def test_words(self) -> None:
        """Addresses, names and certificates of others lead nowhere that they mustn't."""
        lab = self.own_lab(("n", "m", CLUSTER))
        await start_stage(lab)
        for name in _WORDS:
            told = await deferToThread(ATTACKS[name].run, lab.folder)
            self.assertTrue(told.held, f"{name}: {told.text}")

    async def test_floods(self) -> None:
        """One peer or stranger without a pause keeps no other from registering within 2 s, or from being answered, and
        all of it together leaves less than 100 kB in the logs of four daemons."""
        lab = self.own_lab(("n", "m", CLUSTER))
        await start_stage(lab)
        before = sum(len(lab.log(name)) for name in DAEMONS)
        async with await lab.connect("bystander") as client:
            for name in _FLOODS:
                flood = deferToThread(ATTACKS[name].run, lab.folder, _FLOOD_S)
                answers = 0
                while not flood.called:
                    self.assertEqual("HELLO", (await client.message("m1.m", "hello")).text, name)
                    answers += 1
                told = await flood
                self.assertIsNot(told.held, False, f"{name}: {told.text}")
                self.assertGreater(answers, 5, name)
        self.assertLess(sum(len(lab.log(name)) for name in DAEMONS) - before, 100_000)
