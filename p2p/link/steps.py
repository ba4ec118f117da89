"""How far a TCP connection has come on its way to a link, for whoever asks why there is none. Pure."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Steps"]


@dataclass(slots=True)
class Steps:
    """When a connection took its steps, ns on the monotonic clock; 0 for those that it hasn't taken.

    :ivar remote: the address at its other end, ``host:port``.
    :ivar connected_ns: the TCP connection stood.
    :ivar secured_ns: TLS was done, and the certificate at the other end was the right peer's; 0 on a plain link.
    :ivar proved_ns: the ticket was proved: it is a link.
    :ivar reason: why it ended, empty while it stands.
    """

    remote: str = ""
    connected_ns: int = 0
    secured_ns: int = 0
    proved_ns: int = 0
    reason: str = ""
