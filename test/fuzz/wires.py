"""Targets: everything that another machine says."""

from __future__ import annotations

import json
from typing import Any, Final

from twisted.internet.task import Clock
from twisted.protocols.amp import CommandLocator

from p2p.base.addresses import NotAllowed, checked_address, parse_place
from p2p.base.errors import ExchangeFailed, ProtocolViolation
from p2p.base.strict_json import read_json
from p2p.base.texts import printable
from p2p.base.ticket import Ticket, TicketBook, TicketRefused
from p2p.control.commands import InstructConnect, ListPeers, LookupPeer, Register, RequestConnect, responder
from p2p.control.joining import JoinGreeting, JoinReply, JoinRequest, read_message, read_request
from p2p.exchange.message import Head, MessageDecoder
from p2p.exchange.request import Request
from p2p.experiment.words import parse_lines, parse_order
from p2p.identity.invitation import BadCode, InviteCode, parse_code
from p2p.identity.revocations import (
    BadStatement,
    encode_statements,
    make_revocation,
    parse_statement,
    split_statements,
)
from p2p.link.boxes import BoxParser, BoxReader
from p2p.link.events import DataReceived
from p2p.link.hello import HELLO_BYTES, LinkTerms, check_hello
from p2p.link.mux import Session
from p2p.router.addresses import dialable
from p2p.transfer.listing import ListSession
from p2p.transfer.records import Have, RecordDecoder
from p2p.transfer.reports import ReportReader
from p2p.wire.wide_socket import parse_tcp_info
from test.control.conversation import a_channel
from test.fuzz.target import cut, target
from test.hostile import wire
from test.strategies import ORDER

_LIMIT: Final = 1_024
_NONCE: Final = bytes(range(32))
_TICKET: Final = Ticket(_NONCE, "n1.n", "m4.m", 30.0)
_RECORDS: Final = wire.entry("d", "folder", mode="755") + wire.file_records("d/a", b"abc") + wire.given_up("x", "gone")
_HAVE: Final = wire.boxes({"have": 1, "entries": 1, "bytes": 3, "offset": 0, "last": "d", "partial": "e"})
_RECEIPT: Final = wire.boxes({"path": "d/a", "size": 3, "root": "0" * 64, "outcome": "ok", "reason": ""})


def _held(parser: Any, name: str, most: int) -> None:
    """See that a parser keeps no more than it may."""
    size = len(getattr(parser, name))
    assert size <= most, f"{type(parser).__name__} holds {size} bytes"


@target(
    BoxParser,
    BoxReader,
    declared=(ProtocolViolation,),
    seeds=[b"\0" + wire.boxes({"a": "1", "b": ""}), b"\1" + wire.boxes({"a": "1"}, {}, {"c": "x" * 300})],
    in_pieces=True,
)
def boxes(data: bytes) -> None:
    """One box and boxes in a row: both parsers say the same of the first."""
    found, refused = None, False
    parser = BoxParser(_LIMIT)
    try:
        for piece in cut(data):
            found, _ = parser.feed(piece)
            if found is not None:
                break
            _held(parser, "_buffer", _LIMIT)
    except ProtocolViolation:
        refused = True
    reader = BoxReader(_LIMIT)
    several: list[Any] = []
    try:
        for piece in cut(data):
            several += reader.feed(piece)
            _held(reader, "_held", _LIMIT + len(piece))
    finally:
        assert refused or found is None or not several or several[0] == found, "the two parsers differ"


@target(
    check_hello,
    declared=(ProtocolViolation, TicketRefused),
    seeds=[
        wire.hello(ticket=wire.proof(_NONCE, "dialler", "n1.n", "m4.m")),
        wire.hello(proof=wire.proof(_NONCE, "listener", "n1.n", "m4.m")),
    ],
    most=HELLO_BYTES + 16,
)
def hello(data: bytes) -> None:
    """The hello of a link, at both of its ends."""
    box, _ = BoxParser(HELLO_BYTES).feed(memoryview(data))
    if box is None:
        return
    for dialler in (False, True):
        book = TicketBook()
        book.issue(_NONCE, "n1.n", "m4.m", 30.0)

        def redeem(name: str | None, shown: bytes, book: TicketBook = book) -> None:
            book.redeem(_TICKET, name, shown, 1.0)

        try:
            streams = check_hello(LinkTerms(_TICKET, dialler, False, redeem), box).streams
        except (ProtocolViolation, TicketRefused):
            continue
        assert 1 <= streams <= 999_999_999


class _Answers(CommandLocator):
    """Answers everything that somebody may ask."""

    @responder(Register)
    async def register(self, **asked: Any) -> dict[str, Any]:
        return {"lease": 60.0, "observed": "192.0.2.1"}

    @responder(RequestConnect)
    async def request(self, **asked: Any) -> dict[str, Any]:
        assert isinstance(asked["port"], int) and isinstance(asked["candidates"], list)
        return {"address": "", "table_lookup_ns": 0, "router_lookup_ns": 0, "dialling": True, "plain": False}

    @responder(InstructConnect)
    async def instruct(self, **asked: Any) -> dict[str, Any]:
        return {"dialling": True, "plain": False}

    @responder(LookupPeer)
    async def lookup(self, **asked: Any) -> dict[str, Any]:
        return {"address": "", "table_lookup_ns": 0}

    @responder(ListPeers)
    async def list_peers(self, **asked: Any) -> dict[str, Any]:
        return {"names": [], "more": False}


@target(
    Register,
    RequestConnect,
    InstructConnect,
    LookupPeer,
    ListPeers,
    seeds=[
        b"\0" + wire.question("Register", name="n1.n", version="0.1.0"),
        b"\0" + wire.answer("1", lease="60.0", observed="192.0.2.1"),
        b"\0" + wire.answer("2", names=wire.list_of(["n1.n", "n2.n"]), more="True"),
        b"\0" + wire.answer("3", address="", table_lookup_ns=1, router_lookup_ns=2, dialling="True", plain="False"),
        b"\0" + wire.boxes({"_error": "4", "_error_code": "BUSY", "_error_description": "retry after 1.5 s: x"}),
        b"\0" + wire.question("ListPeers", cluster="n", after=""),
        b"\0"
        + wire.question(
            "RequestConnect",
            target="m1.m",
            port=4_000,
            ticket=_NONCE,
            lifetime="30.0",
            plain="False",
            candidates=wire.list_of(["192.0.2.1"]),
        ),
    ],
    in_pieces=True,
)
def control(data: bytes) -> None:
    """A control channel with questions under way: whatever comes, it goes on or is cut off, and nothing is raised."""
    clock = Clock()
    channel, transport = a_channel(clock, locator=_Answers())
    asked: list[tuple[Any, dict[str, Any]]] = [
        (Register, {"name": "n1.n", "version": "0"}),
        (ListPeers, {"cluster": "n", "after": ""}),
        (LookupPeer, {"name": "m1.m"}),
        (LookupPeer, {"name": "m2.m"}),
    ]
    failures: list[Any] = []
    for command, arguments in asked:
        channel.ask(command, **arguments).addErrback(failures.append)
    transport.take()
    for piece in cut(data):
        channel.dataReceived(bytes(piece))
    text = transport.take()
    assert len(text) <= 64 * (len(data) + 64), "it answers with much more than it is asked"
    for failure in failures:
        assert str(failure.value).isprintable(), "an error can't be shown"


@target(
    Session,
    declared=(ProtocolViolation,),
    seeds=[
        b"\0" + wire.frame(wire.DATA, wire.SYN, 2, data=b"abc") + wire.frame(wire.DATA, wire.FIN, 2),
        b"\1" + wire.frame(wire.WINDOW, wire.ACK, 1, 1_000) + wire.frame(wire.PING, wire.SYN, 0, 7),
        b"\7" + wire.frame(wire.WINDOW, wire.RST, 1) + wire.frame(wire.GO_AWAY, 0, 0, 0),
    ],
    in_pieces=True,
)
def yamux(data: bytes) -> None:
    """Yamux at both ends, with a stream of its own open and something to send on it."""
    for client in (True, False):
        session = Session(client=client, streams=4)
        own = session.open()
        session.write(own, b"x" * 300_000)
        now = 0.0
        try:
            for piece in cut(data):
                now += 0.1
                for event in session.receive(piece, now):
                    if isinstance(event, DataReceived):
                        session.consumed(event.stream_id, len(event.data), now)
                session.take(1 << 20)
                assert session.stream_count <= 4
        except ProtocolViolation:
            continue


@target(
    MessageDecoder,
    Request.parse,
    declared=(ProtocolViolation,),
    seeds=[
        b"\0" + wire.message("echo", b"abc", name="x", length=3, closing={"digest": bytes(32)}),
        b"\3" + wire.boxes({}) + wire.tail(outcome="refused", reason="no"),
    ],
    in_pieces=True,
)
def messages(data: bytes) -> None:
    """Head, chunks and tail, and what a request's head says."""
    decoder = MessageDecoder(_LIMIT)
    for piece in cut(data):
        for event in decoder.feed(piece):
            if isinstance(event, Head):
                request = Request.parse(event.box, "n1.n")
                assert request.length is None or 0 <= request.length < 10**18


@target(
    RecordDecoder,
    declared=(ProtocolViolation,),
    seeds=[
        b"\0" + _RECORDS + wire.end_record(2, 3),
        b"\5" + wire.entry("l", "link", target="a") + wire.entry("f", size=9, offset=3, mtime=-5),
    ],
    in_pieces=True,
)
def records(data: bytes) -> None:
    """Records of a transfer."""
    decoder = RecordDecoder()
    for piece in cut(data):
        decoder.feed(piece)


@target(
    ReportReader,
    Have.from_box,
    declared=(ExchangeFailed,),
    seeds=[
        b"\0" + _HAVE + _RECEIPT + wire.boxes({"bytes": 3, "entries": 1}),
        b"\0" + wire.boxes({"pending": "asked"}) + _HAVE,
    ],
    in_pieces=True,
)
def reports(data: bytes) -> None:
    """What the receiver of a transfer reports."""
    reader = ReportReader()
    for piece in cut(data):
        for report in reader.feed(piece):
            reason = getattr(report, "reason", "")
            assert reason.isprintable(), "a reason can't be shown"


@target(
    ListSession,
    declared=(ExchangeFailed,),
    seeds=[b"\0" + wire.boxes({"name": "a", "kind": "file", "size": 3, "mtime": 1}, {"name": "d", "kind": "folder"})],
    in_pieces=True,
)
def listings(data: bytes) -> None:
    """What is shared."""
    session = ListSession("")
    sink = session.sink()
    for piece in cut(data):
        sink.write(piece)
    for entry in session.entries:
        assert "\x1b" not in entry.name and "\n" not in entry.name


@target(
    read_json,
    declared=(ValueError,),
    seeds=[b'{"a":[1,-2.5e3,true,null,"x"],"b":{"a":{}}}', b'{"a":1,"a":2}', b"[[1e9]]"],
)
def strict_json(data: bytes) -> None:
    """JSON: a value that can be written again, or a reason on one line."""
    try:
        json.dumps(read_json(data), allow_nan=False)
    except ValueError as error:
        assert str(error).isprintable() and len(str(error)) < 200
        raise


@target(
    parse_order,
    parse_lines,
    declared=(ExchangeFailed,),
    seeds=[
        json.dumps(ORDER).encode(),
        b'{"order":"gauge"}',
        b'{"link":{"setup_ns":1}}\n{"samples":[[1,2,3,null,5,"ok",""]]}\n{"end":{"offered":2,"bytes":3,"took_ns":4}}\n',
        b'{"gauge":{"daemon":"a","machine":"b","t_ns":1,"sockets":2,"cpu_s":0.5,"rss_bytes":3}}\n\n',
    ],
)
def orders(data: bytes) -> None:
    """Orders of an experiment, and what is told of them."""
    try:
        parse_order(data)
    except ExchangeFailed as failure:
        assert len(str(failure)) < 2_000
    list(parse_lines(data.decode("utf-8", "replace")))


@target(
    parse_code,
    declared=(BadCode,),
    seeds=[str(InviteCode(bytes(16), 77, bytes(10))).encode(), b"O-l i"],
)
def invitations(data: bytes) -> None:
    """The code of an invitation: what is read is written the same way."""
    code = parse_code(data.decode("utf-8", "replace"))
    assert parse_code(str(code)) == code


@target(
    parse_statement,
    declared=(BadStatement,),
    seeds=[encode_statements([make_revocation(7, 1 << 33, bytes(32), lambda data: b"signed").statement] * 2)],
)
def revocations(data: bytes) -> None:
    """A file of revocations, of which each either is one or says why not; none is taken that isn't signed."""
    for statement in split_statements(data):
        found = parse_statement(statement, lambda signature, signed: signature == b"signed")
        assert found.statement == statement


@target(
    read_message,
    read_request,
    declared=(ProtocolViolation,),
    seeds=[
        b'{"authorities":["AAAA"]}',
        b'{"name":"n5.n","locator":77,"key":"AAAA","proof":"AAAA"}',
        b'{"answer":{"certificate":"AAAA","links":"tls","proof":"AAAA"}}',
        b'{"refused":"no"}',
        b'{"renew":"AAAA"}',
    ],
)
def joining(data: bytes) -> None:
    """What machines that join and their routers say: a message, or a reason on one line."""
    for kind in (JoinGreeting, JoinRequest, JoinReply):
        try:
            read_message(kind, data)
        except ProtocolViolation as error:
            assert str(error).isprintable() and len(str(error)) < 700
    read_request(data)


@target(
    checked_address,
    declared=(NotAllowed,),
    seeds=[b"192.0.2.1", b"::ffff:127.0.0.1", b"fe80::1%lo", b"0.0.0.0", b"2001:db8::1"],
    most=100,
)
def addresses(data: bytes) -> None:
    """Addresses that a router passes on: never one of its own machine to another."""
    text = data.decode("utf-8", "replace")
    checked_address(text)
    for one in dialable(text, [text], [], via="192.0.2.1", target="198.51.100.1", here="192.0.2.2"):
        assert not checked_address(one).is_loopback


@target(
    parse_place,
    declared=(NotAllowed,),
    seeds=[b"127.0.0.1:5432", b"[::1]:22", b"localhost:80", b"[fe80::1%lo]:22", b"1.2.3.4:000000022"],
    most=100,
)
def places(data: bytes) -> None:
    """Addresses with ports, as a configuration opens them: what is read can be written and read again."""
    place = parse_place(data.decode("utf-8", "replace"))
    assert 0 < place.port < 65536
    assert parse_place(str(place)) == place


@target(parse_tcp_info, seeds=[bytes(104), bytes(232), bytes(8)], most=300)
def tcp_info(data: bytes) -> None:
    """What the kernel says of a connection, of any length."""
    parse_tcp_info(data)


@target(printable, seeds=[b"a\x1b[2J", "\u202ex".encode(), b"\xff\xfe"])
def texts(data: bytes) -> None:
    """Texts from elsewhere: short, and nothing in them steers a terminal."""
    for text in (printable(data), printable(data.decode("utf-8", "surrogateescape"))):
        assert len(text) <= 500 and (text.isprintable() or not text)
