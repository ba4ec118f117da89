"""What a coordinator and the peers of an experiment say to each other, in exchanges with the service ``experiment``.

A request is an order, one JSON object. The body of the reply is lines, each a JSON object with one key:

============ ======================================================================================================
key          what the line says
============ ======================================================================================================
``gauge``    what the peer's daemon holds now, and on which machine it runs
``link``     how the link to the partner came to be
``samples``  exchanges that have ended, each a list of the fields of :class:`ExchangeTold`
``end``      what the whole block came to
============ ======================================================================================================

An empty line says that the peer is still at it. Unknown keys are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.base.strict_json import read_json
from p2p.experiment.interleaving import MOST_CELLS
from p2p.experiment.making import Content

__all__ = [
    "MOST_CONTENTS",
    "ORDER_BYTES",
    "SERVICE",
    "BlockOrder",
    "Cell",
    "Ended",
    "ExchangeTold",
    "GaugeOrder",
    "GaugeTold",
    "LinkTold",
    "Order",
    "PrepareOrder",
    "RunOrder",
    "Told",
    "encode_line",
    "encode_samples",
    "parse_lines",
    "parse_order",
]

SERVICE: Final = "experiment"

ORDER_BYTES: Final = 16_384
"""Bytes of an order."""

MOST_CONTENTS: Final = 16
"""Contents of a kind and size that take turns in a block."""


class _Words(BaseModel):
    model_config = ConfigDict(frozen=True, defer_build=True, strict=True, extra="ignore")


class Cell(_Words):
    """One message of a set.

    :ivar service: the content service of the partner.
    :ivar content: what the bytes are; ``label`` is the type in the head, ``name`` what the content is called there.
    """

    service: str = Field(max_length=40)
    content: Content
    label: Literal["text", "audio", "video", "data"]
    name: str = Field(max_length=200)


class BlockOrder(Cell):
    """What one peer does in a block.

    :ivar partner: the peer that it exchanges content with.
    :ivar seed: of the content.
    :ivar seeds: of several contents, which take turns set by set; ``seed`` if there are none.
    :ivar cells: the messages of each matched set, if the block is interleaved; else a set is one message, the block's.
    :ivar lot: draws the order within each set.
    :ivar exchanges: how many sets are counted, after ``warm_up`` others.
    :ivar span_s: a pilot: no set begins after so many seconds, and ``exchanges`` are the most.
    :ivar rate: exchanges a second at planned times, the first ``offset_s`` after the order; None for the closed loop.
    :ivar stays: whether the link stands on at the end, since the partner does exchanges over it, too.
    :ivar deadline_s: after so many seconds the exchanges that haven't ended count as timed out.
    """

    partner: str = Field(max_length=130)
    size: int = Field(ge=1, le=67_108_864)
    seed: int = Field(ge=0, lt=1 << 63)
    seeds: list[Annotated[int, Field(ge=0, lt=1 << 63)]] = Field(default=[], max_length=MOST_CONTENTS)
    cells: list[Cell] = Field(default=[], max_length=MOST_CELLS)
    lot: str = Field(default="", max_length=200)
    exchanges: int = Field(ge=1, le=1_000_000)
    warm_up: int = Field(ge=0, le=1_000_000)
    rate: float | None = Field(default=None, gt=0, le=1e6)
    offset_s: float = Field(default=0.0, ge=0, le=3600)
    sampling: bool = True
    stays: bool = False
    deadline_s: float = Field(gt=0, le=864_000)
    span_s: float | None = Field(default=None, gt=0, le=3600)

    @property
    def messages(self) -> list[Cell]:
        """The messages of each set."""
        return self.cells or [self]

    @property
    def contents(self) -> list[int]:
        """The seeds of the contents that take turns."""
        return self.seeds or [self.seed]


class PrepareOrder(_Words):
    """Make the content and a fresh link to the partner; the answer is a ``link``.

    :ivar link: false, to make the content alone, and to have no link.
    """

    order: Literal["prepare"] = "prepare"
    block: BlockOrder
    link: bool = True


class RunOrder(_Words):
    """Run the exchanges of a block; the answer is ``samples`` each second, and an ``end``."""

    order: Literal["run"] = "run"
    block: BlockOrder


class GaugeOrder(_Words):
    """Say what your daemon holds; the answer is a ``gauge``."""

    order: Literal["gauge"] = "gauge"


Order = PrepareOrder | RunOrder | GaugeOrder

_ORDER: Final[TypeAdapter[Order]] = TypeAdapter(Annotated[Order, Field(discriminator="order")])


class ExchangeTold(NamedTuple):
    """One exchange; the fields are those of docs/raw-data.rst.

    :ivar set: the set that it belongs to, from 0 after the warm-up, and ``cell`` its place in the order's ``cells``.
    """

    bytes: int
    reply_bytes: int
    planned_ns: int
    first_byte_ns: int | None
    end_ns: int
    outcome: str
    reason: str
    set: int = 0
    cell: int = 0


class LinkTold(_Words):
    """How a link came to be; the fields are those of docs/raw-data.rst."""

    setup_ns: int | None = None
    table_lookup_ns: int | None = None
    router_lookup_ns: int | None = None
    listen_ns: int | None = None
    instruct_ns: int | None = None
    dial_ns: int | None = None
    tls_ns: int | None = None
    ticket_ns: int | None = None


class Ended(_Words):
    """What a block came to.

    :ivar offered: exchanges that were begun or came too late, after the warm-up.
    :ivar ok: how many of them ended so; None if it doesn't tell.
    :ivar bytes: content both ways of those that were ok.
    :ivar took_ns: from the plan of the first to the end of the last.
    """

    offered: int = Field(ge=0)
    bytes: int = Field(ge=0)
    took_ns: int | None = Field(default=None, ge=0)
    ok: int | None = Field(default=None, ge=0)
    rtt_us: int | None = None
    retransmits: int | None = None


class GaugeTold(_Words):
    """What a daemon holds; ``daemon`` is the same for all peers of one daemon and nobody else.

    :ivar life: drawn anew when the daemon starts; empty if it doesn't tell.
    """

    daemon: str = Field(max_length=200)
    machine: str = Field(max_length=200)
    t_ns: int
    sockets: int
    cpu_s: float
    rss_bytes: int
    life: str = Field(default="", max_length=64)


Told = LinkTold | Ended | GaugeTold | ExchangeTold
"""Whatever a line says; a line of samples says many."""

_MODELS: Final[Mapping[str, type[LinkTold | Ended | GaugeTold]]] = {
    "link": LinkTold,
    "end": Ended,
    "gauge": GaugeTold,
}
_SAMPLES: Final[TypeAdapter[list[ExchangeTold]]] = TypeAdapter(list[ExchangeTold])


def parse_order(data: bytes) -> Order:
    """Read an order.

    :raises ExchangeFailed: with ``refused``, if it is none.
    """
    try:
        return _ORDER.validate_python(read_json(data))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        wrong = f" at {where or 'its beginning'}: {first['msg']}"
    except ValueError as error:
        wrong = f": {error}"
    raise ExchangeFailed(
        Outcome.REFUSED, f"this order can't be understood{wrong}; are both of the same version of p2p?"
    )


def encode_line(told: LinkTold | Ended | GaugeTold) -> bytes:
    """Write a line that says one thing."""
    key = next(key for key, model in _MODELS.items() if isinstance(told, model))
    return json.dumps({key: told.model_dump()}).encode() + b"\n"


def encode_samples(samples: Iterable[ExchangeTold]) -> bytes:
    """Write a line of samples."""
    return json.dumps({"samples": list(samples)}).encode() + b"\n"


def parse_lines(text: str) -> Iterator[Told]:
    """Read the lines of a reply, of which the last may be cut off.

    :raises ExchangeFailed: with ``corrupt``, if they are none.
    """
    *lines, _ = text.split("\n")
    for line in filter(None, lines):
        try:
            fields: Any = read_json(line)
            for key, model in _MODELS.items():
                if key in fields:
                    yield model.model_validate(fields[key])
            if "samples" in fields:
                yield from _SAMPLES.validate_python(fields["samples"])
        except (ValueError, TypeError) as error:
            raise ExchangeFailed(Outcome.CORRUPT, "the peer's answer to an order makes no sense") from error
