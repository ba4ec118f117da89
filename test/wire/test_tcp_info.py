"""TCP_INFO as the kernel gives it."""

from __future__ import annotations

import socket
import struct
import sys
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from p2p.wire.tcp_info import TCP_INFO_BYTES, TCP_INFO_LEAST_BYTES, TcpInfo, parse_tcp_info


class TcpInfoTests(SynchronousTestCase):
    def test_fields(self) -> None:
        """The figures stand where Linux has them, and what later kernels append is passed over."""
        numbers = [0] * 24
        numbers[15], numbers[16], numbers[18], numbers[23] = 20_500, 300, 10, 7
        data = struct.pack("=8B24I", *range(8), *numbers)
        self.assertEqual(len(data), TCP_INFO_BYTES)
        for more in (b"", b"\xff" * 128):
            self.assertEqual(parse_tcp_info(data + more), TcpInfo(20_500, 300, 10, 7))

    def test_least_round_trip(self) -> None:
        """Where newer kernels tell the least round trip, it is read, and none is made up."""
        for raw, told in (((125).to_bytes(4, sys.byteorder), 125), (b"\xff" * 4, None)):
            info = parse_tcp_info(bytes(TCP_INFO_LEAST_BYTES - 4) + raw)
            assert info is not None
            self.assertEqual(info.least_rtt_us, told)

    def test_short(self) -> None:
        """What is shorter isn't Linux's, and no guess is made."""
        self.assertIsNone(parse_tcp_info(b"\0" * (TCP_INFO_BYTES - 1)))

    @skipUnless(hasattr(socket, "TCP_INFO"), "this system has no TCP_INFO")
    def test_real(self) -> None:
        """The kernel of this machine tells a round trip of a connection that carried something."""
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname()) as near,
            server.accept()[0] as far,
        ):
            near.sendall(b"x")
            far.recv(1)
            info = parse_tcp_info(near.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES))
        assert info is not None
        self.assertTrue(0 < info.rtt_us < 10_000_000)
        self.assertEqual(info.retransmits, 0)
