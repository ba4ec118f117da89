"""Blocks: what is sent under which name, in which order, and what can't be had."""

from __future__ import annotations

from itertools import islice
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.blocks import (
    MAX_BYTES_PER_S,
    MAX_EXCHANGES_PER_S,
    MAX_INSPECTED_PER_S,
    Condition,
    Factors,
    Load,
    contents_of,
    drawn,
    impossible,
    parse_condition,
    rounds,
)


def arm(types: str = "text audio video", **different: Any) -> Factors:
    """An arm in which all is possible, unless told otherwise."""
    factors: dict[str, Any] = {
        "arm": "one",
        "service": "echo",
        "conditions": [parse_condition(name) for name in types.split()],
        "sizes": [65536],
        "pairs": [10],
        "load": Load(),
        "warm_up": 2,
        "repetitions": 1,
    }
    chosen = factors | different
    return Factors(**{"exchanges": [10] * len(chosen["sizes"]), **chosen})


class ConditionTests(SynchronousTestCase):
    """What is sent, and what its head calls it."""

    def test_types(self) -> None:
        """A content type goes under its own label and to the service that it is for."""
        for name, service in (("text", "uppercase"), ("audio", "inspect"), ("video", "inspect")):
            condition = parse_condition(name)
            self.assertEqual((name, name, service), (condition.content, condition.label, condition.own_service))
            self.assertFalse(condition.is_relabelled)

    def test_controls(self) -> None:
        """Zeros and noise are data, and no service is for them."""
        for name in ("zeros", "random"):
            condition = parse_condition(name)
            self.assertEqual((name, "data", None), (condition.content, condition.label, condition.own_service))

    def test_other_label(self) -> None:
        """The bytes of one type under the label of another go where the bytes belong."""
        condition = parse_condition("text-as-video")
        self.assertEqual(Condition("text-as-video", "text", "video"), condition)
        self.assertTrue(condition.is_relabelled)
        self.assertEqual("uppercase", condition.own_service)
        self.assertEqual("audio", parse_condition("zeros-as-audio").label)

    def test_unknown(self) -> None:
        """What is no condition is told with what would be one."""
        for name in (
            "",
            "film",
            "text-as",
            "text-as-",
            "text-as-film",
            "film-as-text",
            "text-as-video-as-audio",
            "data",
        ):
            self.assertIn("expected text, audio", str(self.assertRaises(ValueError, parse_condition, name)), name)

    def test_own_label(self) -> None:
        """Bytes under their own label are no control."""
        for name in ("text-as-text", "random-as-data"):
            self.assertIn("its own label", str(self.assertRaises(ValueError, parse_condition, name)))


class LoadTests(SynchronousTestCase):
    """When exchanges begin."""

    def test_words(self) -> None:
        """Raw data says closed, or the rate of the open loop, without zeros that mean nothing."""
        for rate, word in ((None, "closed"), (20.0, "open:20"), (0.5, "open:0.5"), (123456.5, "open:123456.5")):
            self.assertEqual(word, str(Load(rate)))


class OrderTests(SynchronousTestCase):
    """The blocks of a plan."""

    def test_all(self) -> None:
        """Each factor is combined with each, as often as it is repeated, and the service follows the bytes."""
        one = arm(
            "text audio text-as-audio", service=None, sizes=[4096, 65536], pairs=[1, 5], load=Load(20.0), repetitions=3
        )
        blocks = drawn([one], 1)
        self.assertEqual(3 * 3 * 2 * 2, len(blocks))
        self.assertEqual(36, len({(b.condition, b.size, b.pairs, b.repetition) for b in blocks}))
        services = {(one.condition, one.service, one.content, one.label) for b in blocks for one in b.messages}
        self.assertEqual(
            {
                ("text", "uppercase", "text", "text"),
                ("audio", "inspect", "audio", "audio"),
                ("text-as-audio", "uppercase", "text", "audio"),
            },
            services,
        )
        self.assertEqual({"open:20"}, {str(b.load) for b in blocks})

    def test_repetitions(self) -> None:
        """Every repetition has an order of its own, and one is over before the next begins."""
        blocks = drawn([arm(sizes=[1024, 2048, 4096], repetitions=4)], 1)
        self.assertEqual(sorted(b.repetition for b in blocks), [b.repetition for b in blocks])
        self.assertEqual([*range(1, 37)], [b.order for b in blocks])
        orders = {tuple((b.condition, b.size) for b in blocks if b.repetition == one) for one in range(1, 5)}
        self.assertEqual(4, len(orders))

    @given(st.integers(0, 2**63 - 1))
    def test_seed(self, seed: int) -> None:
        """The same seed gives the same order; numbers and factors of a block depend on none."""
        arms = [arm(repetitions=2), arm("zeros", arm="two", unsampled=True, repetitions=3)]
        blocks = drawn(arms, seed)
        self.assertEqual(drawn(arms, seed), blocks)

        def known(seed: int) -> list[tuple[int, str, str, int, bool]]:
            return sorted((b.number, b.arm, b.condition, b.repetition, b.sampling) for b in drawn(arms, seed))

        self.assertEqual(known(0), known(seed))

    def test_fixed(self) -> None:
        """The order of a seed is the same on every machine and with every version."""
        self.assertEqual([2, 3, 1, 4, 5, 6], [b.number for b in drawn([arm(repetitions=2)], 20261122)])

    def test_sets_stay_together(self) -> None:
        """Blocks that are compared follow one another, and those that differ in sampling alone are neighbours."""
        blocks = drawn([arm(sizes=[1024, 2048], pairs=[1, 5], unsampled=True, repetitions=3)], 1)
        for start in range(0, len(blocks), 6):
            one = blocks[start : start + 6]
            self.assertEqual(1, len({(b.size, b.pairs, b.repetition) for b in one}))
            for first, second in (one[:2], one[2:4], one[4:]):
                self.assertEqual((first.condition, not first.sampling), (second.condition, second.sampling))
        firsts = {(blocks[start].condition, blocks[start].sampling) for start in range(0, len(blocks), 6)}
        self.assertGreater(len(firsts), 3)

    def test_spread(self) -> None:
        """An arm with fewer repetitions has them all over the run, not at its beginning."""
        blocks = drawn([arm("text", repetitions=9), arm("text", arm="few", repetitions=3)], 1)
        self.assertEqual([0, 1, 2], [(b.order - 1) // 4 for b in blocks if b.arm == "few"])

    def test_single_repetition(self) -> None:
        """What is run once is run in the middle of the others' repetitions."""
        blocks = drawn([arm("text", repetitions=8), arm("text", arm="once", repetitions=1)], 1)
        self.assertEqual([5], [b.order for b in blocks if b.arm == "once"])

    def test_sampling_cost(self) -> None:
        """Where sampling is to be judged, each block is there with it and without."""
        blocks = drawn([arm(unsampled=True)], 1)
        self.assertEqual(
            {(c, s) for c in ("text", "audio", "video") for s in (True, False)},
            {(b.condition, b.sampling) for b in blocks},
        )

    def test_figures_of_a_block(self) -> None:
        """A block knows what it offers, and about how long it takes."""
        block, *_ = drawn([arm("text-as-audio")], 1)
        self.assertEqual((100, "text-as-audio", False), (block.offered, block.condition, block.interleaved))
        self.assertAlmostEqual(0.083, block.seconds, 2)
        (inspected,) = drawn([arm("audio", service="inspect")], 1)
        self.assertAlmostEqual(1.28, inspected.seconds, 2)
        self.assertGreater(inspected.seconds, block.seconds)
        (slow,) = drawn([arm("text", load=Load(1.0))], 1)
        self.assertGreater(slow.seconds, 12)
        (slower,) = drawn([arm("text", load=Load(0.5))], 1)
        self.assertGreater(slower.seconds, 24)

    def test_extended(self) -> None:
        """Arms that go on until they are precise have one repetition a round, without end; the others stop."""
        arms = [arm("text audio", repetitions=2, extends=True), arm("text", arm="fixed", repetitions=1)]
        first = list(islice(rounds(arms, 1), 5))
        self.assertEqual([2, 1, 1, 1, 1], [len(one) for one in first])
        blocks = [block for one in first for some in one for block in some]
        self.assertEqual([*range(1, 12)], sorted(block.number for block in blocks))
        self.assertEqual([*range(1, 12)], [block.order for block in blocks])
        self.assertEqual(blocks[:5], drawn(arms, 1))

    def test_interleaved(self) -> None:
        """The conditions of an interleaved arm share a block, which offers each of them as often."""
        blocks = drawn([arm("text audio text-as-audio", pairs=[1], sizes=[1024, 2048], interleaved=True)], 1)
        self.assertEqual([("interleaved", 30)] * 2, [(b.condition, b.offered) for b in blocks])
        self.assertEqual(["text", "audio", "text-as-audio"], [one.condition for one in blocks[0].messages])
        self.assertEqual(("one", "interleaved", 1, "closed"), tuple(blocks[0].level[at] for at in (0, 1, 3, 4)))

    def test_counted_out(self) -> None:
        """A pilot's pace says how many exchanges take 250 ms; in an interleaved block they are whole cycles."""
        (block,) = drawn([arm("text", exchanges=[0])], 1)
        self.assertEqual([1, 25, 26, 250_000], [block.counted_out(each) for each in (9, 0.01, 0.0099, 0)])
        (block,) = drawn([arm("text audio video", pairs=[1], exchanges=[0], interleaved=True)], 1)
        self.assertEqual([6, 30], [block.counted_out(each) for each in (9, 0.01)])
        self.assertAlmostEqual(0.28, block.seconds, 1)
        (block,) = drawn([arm("text", exchanges=[0], load=Load(20.0), warm_up=0)], 1)
        self.assertAlmostEqual(0.31, block.seconds, 2)


class ContentTests(SynchronousTestCase):
    """Which contents take turns."""

    def test_several(self) -> None:
        """A block has several contents of small sizes; of large ones each repetition has another."""
        for size, found in (
            (1024, [*range(1, 9)]),
            (4 << 20, [1, 2, 3, 4]),
            (64 << 20, [1]),
        ):
            self.assertEqual(found, [number for number, _ in contents_of(7, size, 1)])
        self.assertEqual([[5], [1]], [[number for number, _ in contents_of(7, 16 << 20, one)] for one in (5, 9)])
        self.assertEqual([2], [number for number, _ in contents_of(7, 64 << 20, 2)])
        seeds = {seed for run in (7, 8) for _, seed in contents_of(run, 1024, 1)}
        self.assertEqual(16, len(seeds))
        self.assertTrue(all(0 <= seed < 1 << 63 for seed in seeds))


class ImpossibleTests(SynchronousTestCase):
    """Factors that can't be had."""

    def told(self, one: Factors, where: tuple[int | str, ...], text: str) -> None:
        """Exactly one problem is told, there."""
        ((found, words),) = impossible(one)
        self.assertEqual(where, found)
        self.assertIn(text, words)

    def test_possible(self) -> None:
        """What can be had is no problem, whatever the service."""
        for one in (
            arm("text audio video zeros random text-as-video", sizes=[1024]),
            arm("text zeros", service="uppercase"),
            arm("audio video", service="inspect", sizes=[4096]),
            arm("text audio video audio-as-text", service=None),
            arm("video", service="of-my-own", sizes=[1024]),
            arm(load=Load(20.0)),
        ):
            self.assertEqual([], impossible(one))

    def test_twice(self) -> None:
        """A value that stands twice would be one level with twice the blocks."""
        self.told(arm("text audio text"), ("types", 2), "text stands twice")
        self.told(arm(sizes=[4096, 4096]), ("sizes", 1), "4096 stands twice")
        self.told(arm(pairs=[1, 2, 1]), ("pairs", 2), "1 stands twice")

    def test_unreadable(self) -> None:
        """A service that looks into the content gets what it can read."""
        self.told(arm("text audio", service="uppercase"), ("types", 1), "uppercase can't take audio")
        self.told(arm("random", service="uppercase"), ("types", 0), "uppercase can't take random")
        self.told(arm("audio text", service="inspect"), ("types", 1), "inspect can't take text, only audio and video")

    def test_too_small(self) -> None:
        """1 KiB of video can't be played, so it can't be inspected."""
        one = arm("audio video", service=None, sizes=[65536, 1024])
        self.told(one, ("types", 1), "1024 bytes hold no video that can be played, at least 4096 do")

    def test_no_own_service(self) -> None:
        """Zeros and noise are for no service, so the arm must name one."""
        self.told(arm("text zeros", service=None), ("types", 1), "zeros has no service of its own")

    def test_other_services(self) -> None:
        """Services that take no single content can't be measured so."""
        for service in ("chat", "fetch", "list", "transfer"):
            self.told(arm(service=service), ("service",), f"{service} takes no single content")

    def test_not_alternating(self) -> None:
        """Types alternate between two peers alone, one message after the other, and there are two at least."""
        good: dict[str, Any] = {"interleaved": True, "pairs": [1]}
        self.assertEqual([], impossible(arm(**good)))
        self.told(arm(**good | {"pairs": [1, 10]}), ("pairs",), "an interleaved arm has 1 pair")
        self.told(arm("text", **good), ("types",), "1 types can't alternate")
        self.told(arm(**good, load=Load(2.0)), ("load",), "has the load closed")

    def test_lonely_control(self) -> None:
        """The control with another label needs the same bytes under their own."""
        self.told(arm("audio text-as-audio"), ("types", 1), "judged against text, which this arm lacks")


class OpenLoadTests(SynchronousTestCase):
    """Open loads that nobody can keep up with."""

    def told(self, text: str, **factors: Any) -> None:
        """The arm is refused, and at the limit it isn't."""
        ((where, words),) = impossible(arm(**factors))
        self.assertEqual(("load",), where)
        self.assertIn(text, words)

    def test_exchanges(self) -> None:
        """No more exchanges a second can be asked for than fast machines reach."""
        rate = MAX_EXCHANGES_PER_S / 10
        self.assertEqual([], impossible(arm(sizes=[1024], load=Load(rate))))
        self.told("are 10010 exchanges a second, at most 10000", sizes=[1024], load=Load(rate + 1))

    def test_inspected(self) -> None:
        """Fewer of them can be played."""
        rate = MAX_INSPECTED_PER_S / 10
        few: dict[str, Any] = {"types": "audio", "service": None, "sizes": [1024]}
        self.assertEqual([], impossible(arm(**few, load=Load(rate))))
        self.told("are 1010 files to decode a second, at most 1000", **few, load=Load(rate + 1))

    def test_bytes(self) -> None:
        """No more bytes can be asked for than the fastest network of a lab carries."""
        rate = MAX_BYTES_PER_S / (2 * 1_000_000 * 10)
        self.assertEqual([], impossible(arm(sizes=[1_000_000], load=Load(rate))))
        self.told("1.27e+09 bytes a second both ways", sizes=[1_000_000], load=Load(rate + 1))
