"""What the kernel knows of a TCP connection: ``TCP_INFO`` of Linux (``struct tcp_info`` of ``linux/tcp.h``). Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

__all__ = ["TCP_INFO_BYTES", "TCP_INFO_LEAST_BYTES", "TcpInfo", "parse_tcp_info"]

_LAYOUT: Final = struct.Struct("=8B24I")
"""Eight bytes of state and options, then 24 numbers; later kernels append more, and leave these where they are."""

TCP_INFO_BYTES: Final = _LAYOUT.size
"""Bytes to ask ``getsockopt`` for."""

TCP_INFO_LEAST_BYTES: Final = 152
"""As many as hold the least round trip, too (since Linux 4.6)."""

_RTT, _RTT_VARIATION, _WINDOW, _RETRANSMITS = 8 + 15, 8 + 16, 8 + 18, 8 + 23
_LEAST: Final = struct.Struct("=I")
_UNKNOWN: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """Some figures of a connection.

    :ivar rtt_us: the smoothed round trip in microseconds, 0 before the first acknowledgement.
    :ivar rtt_variation_us: its mean deviation, likewise.
    :ivar window_segments: the congestion window.
    :ivar retransmits: segments that were sent again since the connection began.
    :ivar least_rtt_us: the shortest round trip of the last minutes; None if that isn't told.
    """

    rtt_us: int
    rtt_variation_us: int
    window_segments: int
    retransmits: int
    least_rtt_us: int | None = None


def parse_tcp_info(data: bytes) -> TcpInfo | None:
    """Read what ``getsockopt(IPPROTO_TCP, TCP_INFO)`` gave; None if it is too short to be Linux's."""
    if len(data) < TCP_INFO_BYTES:
        return None
    fields = _LAYOUT.unpack_from(data)
    least: int | None = None
    if len(data) >= TCP_INFO_LEAST_BYTES:
        (least,) = _LEAST.unpack_from(data, TCP_INFO_LEAST_BYTES - _LEAST.size)
    known = None if least == _UNKNOWN else least
    return TcpInfo(fields[_RTT], fields[_RTT_VARIATION], fields[_WINDOW], fields[_RETRANSMITS], known)
