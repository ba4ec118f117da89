"""The legs of the way to a link, in their order, for the daemon that walks them and for those who show them. Pure."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["LegName", "LegState", "legs_between"]


class LegName(StrEnum):
    """A leg; ``table`` is that of one's own router, ``neighbour-table`` that of the router of the other cluster."""

    DAEMON = "daemon"
    ROUTER = "router"
    LISTEN = "listen"
    TABLE = "table"
    NEIGHBOUR = "neighbour"
    NEIGHBOUR_TABLE = "neighbour-table"
    INSTRUCT = "instruct"
    DIAL = "dial"
    TLS = "tls"
    TICKET = "ticket"
    PING = "ping"
    EXCHANGE = "exchange"


class LegState(StrEnum):
    """How a leg ended: it is good, it failed, the link needed none of it now, or an earlier one failed."""

    OK = "ok"
    FAILED = "failed"
    NOT_NEEDED = "not-needed"
    NOT_REACHED = "not-reached"


def legs_between(*, near: bool, standing: bool = False) -> list[LegName]:
    """Return the legs from one peer to another.

    :param near: whether both are of one cluster.
    :param standing: whether the link is there already, and is pinged.
    """
    other = {LegName.NEIGHBOUR, LegName.NEIGHBOUR_TABLE} if near else {LegName.TABLE}
    return [leg for leg in LegName if leg not in other and (standing or leg is not LegName.PING)]
