"""Orders and the lines of their answers."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.experiment.interleaving import MOST_CELLS
from p2p.experiment.words import (
    MOST_CONTENTS,
    BlockOrder,
    Ended,
    ExchangeTold,
    GaugeOrder,
    GaugeTold,
    LinkTold,
    PrepareOrder,
    RunOrder,
    encode_line,
    encode_samples,
    parse_lines,
    parse_order,
)

BLOCK = BlockOrder(
    partner="m1.m",
    service="echo",
    content="text",
    label="video",
    name="text-as-video-1024",
    size=1024,
    seed=7,
    exchanges=10,
    warm_up=2,
    rate=20.0,
    deadline_s=60.0,
)
CELL = {"service": "echo", "content": "text", "label": "text", "name": "text"}
SAMPLES = [ExchangeTold(5, 6, 10, None, 30, "reset", "gone"), ExchangeTold(5, 6, 40, 50, 60, "ok", "")]


class OrderTests(SynchronousTestCase):
    def test_there_and_back(self) -> None:
        """Each kind of order is read as it was given."""
        for order in (PrepareOrder(block=BLOCK), RunOrder(block=BLOCK), GaugeOrder()):
            self.assertEqual(parse_order(order.model_dump_json().encode()), order)

    def test_senseless(self) -> None:
        """What is no order, or asks for what can't be, is refused with the place of it."""
        block = json.loads(BLOCK.model_dump_json())
        for data, where in (
            (b"", "isn't JSON at character 1"),
            (b"{}", "beginning"),
            (b'{"order": "dance"}', "beginning"),
            (json.dumps({"order": "run", "block": {**block, "size": 1 << 40}}).encode(), "size"),
            (json.dumps({"order": "run", "block": {**block, "content": "smell"}}).encode(), "content"),
            (json.dumps({"order": "run", "block": {**block, "seeds": [1] * (MOST_CONTENTS + 1)}}).encode(), "seeds"),
            (json.dumps({"order": "run", "block": {**block, "cells": [CELL] * (MOST_CELLS + 1)}}).encode(), "cells"),
            (b"\xff", "isn't UTF-8"),
            (b'{"order": "gauge", "order": "gauge"}', "the key 'order' stands twice"),
            (json.dumps({"order": "run", "block": {**block, "service": "\ud800"}}).encode(), "service"),
        ):
            failure = self.assertRaises(ExchangeFailed, parse_order, data)
            self.assertEqual(failure.outcome, Outcome.REFUSED)
            self.assertIn(where, str(failure))


class LineTests(SynchronousTestCase):
    def test_there_and_back(self) -> None:
        """Everything that is told is read as it was told, and empty lines say nothing."""
        told: list[LinkTold | Ended | GaugeTold] = [
            LinkTold(setup_ns=5),
            Ended(offered=2, bytes=11, rtt_us=20),
            GaugeTold(daemon="d", machine="m", t_ns=1, sockets=2, cpu_s=0.5, rss_bytes=3),
        ]
        text = b"\n".join([encode_samples(SAMPLES), *map(encode_line, told)]).decode()
        self.assertEqual(list(parse_lines(text)), [*SAMPLES, *told])

    def test_cut_off(self) -> None:
        """A last line that is cut off is left out, and the lines before it count."""
        text = encode_samples(SAMPLES).decode() + encode_line(Ended(offered=2, bytes=11)).decode()[:-3]
        self.assertEqual(list(parse_lines(text)), SAMPLES)

    def test_unknown(self) -> None:
        """What a later version tells besides is passed over."""
        self.assertEqual(
            list(parse_lines('{"weather": "fine"}\n{"end": {"offered": 1, "bytes": 2, "new": 3}}\n')),
            [Ended(offered=1, bytes=2)],
        )

    def test_senseless(self) -> None:
        """Lines that are none end the answer by name."""
        end = '{"end": {"offered": -1, "bytes": 0}}\n'
        for text in (end.replace("-1", '1, "offered": 1'), "x\n", "5\n", '{"samples": [[1]]}\n', end, '{"link": 5}\n'):
            failure = self.assertRaises(ExchangeFailed, list, parse_lines(text))
            self.assertEqual(failure.outcome, Outcome.CORRUPT)
