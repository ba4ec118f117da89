"""Tests of p2p.measure.samples."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import Outcome
from p2p.measure.samples import Sample, drops, figures, message_figures, outcomes


def sample(**changes: object) -> Sample:
    """A sample of an exchange of 100 bytes that took 2 s, changed as said."""
    values: dict[str, object] = {
        "pair": 1,
        "direction": "n1.n>m1.m",
        "content_type": "text",
        "service": "uppercase",
        "name": "text-1k.txt",
        "bytes": 100,
        "reply_bytes": 100,
        "planned_ns": 1_000_000_000,
        "first_byte_ns": 2_000_000_000,
        "end_ns": 3_000_000_000,
        "outcome": Outcome.OK,
    }
    return Sample(**{**values, **changes})  # type: ignore[arg-type]  # the values above are of the right types


class FiguresTests(SynchronousTestCase):
    """Mean, median, 99th percentile and maximum."""

    def test_nothing_measured(self) -> None:
        """Where nothing was measured, every figure is 0, not an error."""
        self.assertEqual(figures([]), {"mean": 0.0, "p50": 0.0, "p99": 0.0, "max": 0.0})

    def test_one_value(self) -> None:
        """One value is its own mean, percentile and maximum."""
        self.assertEqual(figures([3.0]), {"mean": 3.0, "p50": 3.0, "p99": 3.0, "max": 3.0})

    def test_known_values(self) -> None:
        """The figures of 1 to 101 are known."""
        self.assertEqual(figures(list(range(1, 102))), {"mean": 51.0, "p50": 51.0, "p99": 100.0, "max": 101})

    @given(st.lists(st.floats(min_value=0, max_value=1e9), min_size=1))
    def test_order(self, values: list[float]) -> None:
        """Median, 99th percentile and maximum never decrease in this order."""
        got = figures(values)
        self.assertLessEqual(min(values), got["p50"] * (1 + 1e-12) + 1e-12)
        self.assertLessEqual(got["p50"], got["p99"] * (1 + 1e-12) + 1e-12)
        self.assertLessEqual(got["p99"], got["max"] * (1 + 1e-12) + 1e-12)


class OutcomeTests(SynchronousTestCase):
    """Every sample is counted once."""

    @given(st.lists(st.sampled_from(list(Outcome))))
    def test_offered_is_the_sum(self, given_outcomes: list[Outcome]) -> None:
        """What was offered is the sum of all outcomes, and everything but ok and refused is a drop."""
        samples = [sample(outcome=outcome) for outcome in given_outcomes]
        counted = outcomes(samples)
        self.assertEqual(counted.pop("offered"), sum(counted.values()))
        self.assertEqual(set(counted), {outcome.value for outcome in Outcome})
        lost = len(samples) - counted["ok"] - counted["refused"]
        self.assertEqual(drops(samples, 4), {"total": lost, "mean_per_pair": lost / 4})

    def test_no_pairs(self) -> None:
        """Without pairs there are no drops a pair."""
        self.assertEqual(drops([], 0), {"total": 0, "mean_per_pair": 0.0})


class MessageFiguresTests(SynchronousTestCase):
    """Sizes, times and rates of messages."""

    def test_two_exchanges(self) -> None:
        """Bytes count both ways over the time from the first plan to the last end; failed exchanges don't count."""
        samples = [
            sample(),
            sample(bytes=300, reply_bytes=0, planned_ns=2_000_000_000, end_ns=6_000_000_000),
            sample(outcome=Outcome.RESET, end_ns=99_000_000_000),
        ]
        got = message_figures(samples, 1)
        self.assertEqual(got["throughput_bytes_per_s"], 500 / 5)
        self.assertEqual(got["message_size_bytes"]["mean"], 200)
        self.assertEqual(got["transmission_time_s"]["max"], 4.0)
        self.assertEqual(got["exchange_bytes_per_s"]["max"], 100.0)
        self.assertEqual(got["exchanges"]["offered"], 3)
        self.assertEqual(got["drops"]["total"], 1)

    def test_nothing_done(self) -> None:
        """Where nothing ended well, rates are 0."""
        self.assertEqual(message_figures([sample(outcome=Outcome.TIMEOUT)], 1)["throughput_bytes_per_s"], 0.0)
