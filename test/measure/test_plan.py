"""The plan of an experiment, as people write it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ConfigError
from p2p.measure.blocks import Load
from p2p.measure.plan import MAX_BLOCKS, MAX_CONTENT, MIN_CONTENT, Arm, ExperimentPlan, load_plan

EXAMPLE: Final = Path(__file__).parents[2] / "etc" / "experiment.yaml"
DEMO: Final = EXAMPLE.with_name("demo-experiment.yaml")

PLAN: Final = """\
title: A test
seed: 7
arms:
  first:
    service: echo
    types: [text, audio]
    sizes: [1KiB, 64KiB]
    pairs: [1, 2]
"""


class PlanCase(SynchronousTestCase):
    """Loads plans from a file."""

    def load(self, text: str) -> ExperimentPlan:
        path = Path(self.mktemp())
        path.write_text(text, encoding="utf-8")
        return load_plan(path)

    def told(self, text: str) -> list[str]:
        """The problems of a plan, without the path."""
        error = self.assertRaises(ConfigError, self.load, text)
        return [line.split(":", 1)[1] for line in str(error).splitlines()]


class GoodPlanTests(PlanCase):
    """What can be run."""

    def test_defaults(self) -> None:
        """A plan needs a title, a seed and an arm; the rest has values that serve."""
        plan = self.load(PLAN)
        self.assertEqual(
            (0.05, Load(), None, 2, 6), (plan.margin, plan.load, plan.exchanges, plan.warm_up, plan.repetitions)
        )
        blocks = plan.blocks()
        self.assertEqual(2 * 2 * 2 * 6, len(blocks))
        self.assertEqual(blocks, self.load(PLAN).blocks())
        self.assertEqual((2, {1024, 65536}), (plan.pairs, {block.size for block in blocks}))
        self.assertEqual({0}, {block.exchanges for block in blocks}, "a pilot finds out")
        self.assertAlmostEqual(sum(block.seconds for block in blocks), plan.seconds)

    def test_loads(self) -> None:
        """An arm has the load of the plan, unless it has one of its own."""
        plan = self.load(
            PLAN + "  second:\n    types: [text]\n    sizes: [4096]\n    pairs: [1]\n    load: closed\n"
            "load: {open: 0.5}\nmargin: 0.1\n"
        )
        self.assertEqual({("first", "open:0.5"), ("second", "closed")}, {(b.arm, str(b.load)) for b in plan.blocks()})
        self.assertEqual(0.1, plan.margin)

    def test_until(self) -> None:
        """Arms go on until they are precise, but for those that say how often, or have nothing to compare."""
        second = "  second: {types: [text], sizes: [4096], pairs: [1]}\n"
        third = "  third: {service: echo, types: [text, audio], sizes: [4096], pairs: [1], repetitions: 2}\n"
        plan = self.load(PLAN + second + third + "until: {half_width: 1.5%, at_most: 10min}\n")
        assert plan.until is not None
        self.assertEqual((0.015, 600.0), (plan.until.half_width, plan.until.at_most))
        self.assertEqual([True, False, False], [one.extends for one in plan.factors])
        blocks = [block for one in islice(plan.rounds(), 50) for some in one for block in some]
        self.assertEqual({"first": 50, "second": 6, "third": 2}, {b.arm: b.repetition for b in blocks})
        for text, seconds in (("90", 90), ("90s", 90), ("1.5 h", 5400)):
            until = self.load(PLAN + f"until: {{at_most: {text}}}\n").until
            assert until is not None
            self.assertEqual((None, seconds), (until.half_width, until.at_most))

    def test_of_an_arm(self) -> None:
        """An arm has the exchanges, the warm-up and the repetitions of the plan, unless it has its own."""
        own = "    exchanges: [5, 3]\n    warm_up: 0\n    repetitions: 2\n"
        second = "  second: {types: [text], sizes: [4096, 8192], pairs: [1], exchanges: 4}\n"
        blocks = self.load(PLAN + own + second).blocks()
        found = {(b.arm, b.size, b.exchanges, b.warm_up) for b in blocks}
        self.assertEqual(
            {("first", 1024, 5, 0), ("first", 65536, 3, 0), ("second", 4096, 4, 2), ("second", 8192, 4, 2)}, found
        )
        self.assertEqual(
            (2, 6), tuple(max(b.repetition for b in blocks if b.arm == arm) for arm in ("first", "second"))
        )

    def test_example(self) -> None:
        """The example has every key, several types in each arm, and less than four minutes of blocks at least."""
        plan = load_plan(EXAMPLE)
        text = EXAMPLE.read_text("utf-8")
        for key in {*ExperimentPlan.model_fields, *Arm.model_fields}:
            self.assertIn(f"{key}:", text)
        self.assertEqual(["transport", "service", "scaling", "sampling"], list(plan.arms))
        self.assertTrue(all(len(arm.types) > 1 for arm in plan.arms.values()))
        self.assertEqual((3 * 8 + 6 * 8 + 12 * 8 + 160, 100), (len(plan.blocks()), plan.pairs))
        self.assertLess(plan.seconds, 200)
        self.assertEqual(80, sum(not block.sampling for block in plan.blocks()))
        self.assertEqual(["transport"], [one.arm for one in plan.factors if one.extends])

    def test_demo(self) -> None:
        """The plan of the demo is short, has all pairs at once, and asks what the example asks."""
        plan = load_plan(DEMO)
        self.assertEqual(["everyone", "transport", "service", "scaling"], list(plan.arms))
        self.assertTrue(all(len(arm.types) > 1 for arm in plan.arms.values()))
        self.assertLess(plan.seconds, 45)


class BadPlanTests(PlanCase):
    """What can't be run is told with its line, and what was expected."""

    def test_until(self) -> None:
        """A run that goes on until it is precise has a time at most, and six repetitions at least."""
        for text, problem in (
            ("until: {half_width: 2%}", "until.at_most: is missing"),
            ("until: {half_width: 2, at_most: 1min}", "'2' is no half-width, expected one from 0.01% to 50%"),
            ("until: {at_most: soon}", "until.at_most"),
            ("until: {at_most: 1min}\nrepetitions: 5", "repetitions: is 5, expected at least 6 beside until"),
        ):
            self.assertIn(problem, "\n".join(self.told(PLAN + text + "\n")))

    def test_sizes(self) -> None:
        """Contents have from 1 KiB to 64 MiB."""
        self.assertEqual(
            2, len(self.load(PLAN.replace("1KiB, 64KiB", f"{MIN_CONTENT}, {MAX_CONTENT}")).arms["first"].sizes)
        )
        self.assertEqual(
            [
                "7: arms.first.sizes[0]: is 1023, expected at least 1024",
                f"7: arms.first.sizes[1]: is '65MiB', expected at most {MAX_CONTENT}",
            ],
            self.told(PLAN.replace("1KiB, 64KiB", "1023, 65MiB")),
        )
        self.assertIn("no size", self.told(PLAN.replace("1KiB", "much"))[0])

    def test_factors(self) -> None:
        """Impossible factors are told where they stand, all of them."""
        found = self.told(PLAN.replace("service: echo", "service: inspect").replace("1, 2", "1, 1"))
        self.assertEqual(
            [
                "6: arms.first.types[0]: inspect can't take text, only audio and video; take another, like echo",
                "8: arms.first.pairs[1]: 1 stands twice, keep one",
            ],
            found,
        )
        self.assertIn("'film' is no content type", self.told(PLAN.replace("text", "film"))[0])
        self.assertIn("'3' is no content type", self.told(PLAN.replace("text", "3"))[0])

    def test_load(self) -> None:
        """A load is closed, or open at a rate that can be had; it is told where it stands."""
        for load in ("open", "{open: fast}", "{open: true}", "{open: 1, closed: 2}", "5"):
            self.assertEqual(
                ["9: load: isn't a load, expected closed, or {open: 20} for 20 exchanges a second of each pair"],
                self.told(PLAN + f"load: {load}\n"),
            )
        self.assertIn("9: load.open: is 0, expected from 0.001", self.told(PLAN + "load: {open: 0}\n")[0])
        self.assertIn(
            "9: load: 9000 exchanges a second of 2 pairs are 18000", self.told(PLAN + "load: {open: 9000}\n")[0]
        )
        own = self.told(PLAN + "    load: {open: 9000}\n")
        self.assertIn("9: arms.first.load: 9000 exchanges", own[0])

    def test_exchanges(self) -> None:
        """An arm has one number of exchanges, or one for each of its sizes."""
        (found,) = self.told(PLAN + "    exchanges: [1, 2, 3]\n")
        self.assertEqual(
            "9: arms.first.exchanges: has 3 numbers for 2 sizes, expected one, or one for each size", found
        )
        for wrong in ("[]", "[0]", "0", "many", "[1, many]"):
            (found,) = self.told(PLAN + f"    exchanges: {wrong}\n")
            self.assertIn("9: arms.first.exchanges", found)

    def test_margin(self) -> None:
        """A margin is a percentage or a share."""
        for margin in ("5", "60%", "0.6", "5 percent", "0%", "[5%]", "-5%"):
            self.assertIn("is no margin, expected one from 0.1% to 50%", self.told(PLAN + f"margin: {margin}\n")[0])

    def test_names(self) -> None:
        """Names of arms and services are lower case: they stand in tables and in files."""
        self.assertIn("'First' can't be a name here", self.told(PLAN.replace("first", "First"))[0])
        self.assertIn("5: arms.first.service: 'a b' can't", self.told(PLAN.replace("echo", "a b"))[0])

    def test_keys(self) -> None:
        """Unknown and missing keys are told."""
        found = self.told(PLAN.replace("pairs", "pair").replace("seed: 7\n", ""))
        self.assertEqual(
            [
                "1: seed: is missing, expected a whole number; it draws order and content",
                "3: arms.first.pairs: is missing, expected a list of numbers: how many pairs talk at once",
                "7: arms.first.pair: unknown key, did you mean pairs?",
            ],
            found,
        )

    def test_too_much(self) -> None:
        """More blocks or exchanges than anybody can run and look at are an error."""
        many = PLAN.replace("1, 2", ", ".join(map(str, range(1, 151)))) + "repetitions: 200\nexchanges: 1\nwarm_up: 0\n"
        (found,) = self.told(many)
        self.assertIn(f"9: repetitions: the arms come to 120000 blocks, at most {MAX_BLOCKS} are run; take", found)
        self.assertIn(
            "9: exchanges: the arms come to 72000144 exchanges, at most 10000000",
            self.told(PLAN + "exchanges: 1000000\n")[0],
        )
