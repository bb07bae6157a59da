"""The calling end: what it believes and what it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swn_torture.dcerpc.client.binding import propose
from swn_torture.dcerpc.client.connection import ClientConnection
from swn_torture.dcerpc.client.events import Acknowledged, Answered, ClientEvent, Faulted, Refused, Stray
from swn_torture.dcerpc.errors import LocalProtocolError, RemoteProtocolError
from swn_torture.dcerpc.pdu.bind import BindAck, BindNak, ContextResult
from swn_torture.dcerpc.pdu.header import BIG_ENDIAN, WHOLE, PfcFlags, rewrite
from swn_torture.dcerpc.pdu.pdus import FaultPdu, Request, Response, Shutdown, unpack
from swn_torture.stubdata.syntax import NDR32
from tests.dcerpc.rpc_pair import ECHO

FIRST, LAST = PfcFlags.FIRST, PfcFlags.LAST
ACK = BindAck(
    call_id=1, results=(ContextResult(0, 0, NDR32), ContextResult(3, 3)), assoc_group=9, max_recv=4280
)


@pytest.fixture
def client() -> ClientConnection:
    """A client that has sent its bind, call 1."""
    client = ClientConnection()
    client.send(client.bind(propose(ECHO)))
    return client


def events(client: ClientConnection, *octets: bytes) -> list[ClientEvent]:
    out = []
    for portion in octets:
        client.receive_data(portion)
        while (event := client.next_event()) is not None:
            out.append(event)
    return out


def event(client: ClientConnection, *octets: bytes) -> ClientEvent:
    (only,) = events(client, *octets)
    return only


class TestBinding:
    def test_what_was_agreed(self, client: ClientConnection) -> None:
        ack = replace(ACK, flags=WHOLE | PfcFlags.CONC_MPX)
        acknowledged = event(client, ack.pack())
        assert isinstance(acknowledged, Acknowledged)
        assert [pair[0].context_id for pair in acknowledged.pairs] == [0, 1]
        assert client.multiplexed
        assert client.max_xmit == 4280
        assert client.assoc_group == 9
        assert set(client.contexts) == {0}

    def test_a_big_endian_server(self, client: ClientConnection) -> None:
        assert isinstance(event(client, replace(ACK, drep=BIG_ENDIAN).pack()), Acknowledged)
        assert client.contexts[0].transfer == NDR32

    def test_refusal(self, client: ClientConnection) -> None:
        assert event(client, BindNak(call_id=1, reason=8).pack()) == Refused(BindNak(call_id=1, reason=8))

    def test_as_many_results_as_elements(self, client: ClientConnection) -> None:
        with pytest.raises(RemoteProtocolError, match="1 results for 2 proposed contexts"):
            event(client, replace(ACK, results=ACK.results[:1]).pack())

    def test_answers_to_nothing_are_strays(self, client: ClientConnection) -> None:
        for pdu in (replace(ACK, call_id=2), BindNak(call_id=2), Shutdown(), Response(call_id=5), Request()):
            assert isinstance(event(client, pdu.pack()), Stray)
        assert isinstance(event(client, rewrite(ACK.pack(), ptype=15)), Stray)


class TestCallIds:
    def test_they_grow_by_one(self, client: ClientConnection) -> None:
        assert [client.request(0, b"")[0] for _ in range(3)] == [2, 3, 4]

    def test_a_chosen_one_moves_the_count_on(self, client: ClientConnection) -> None:
        assert client.request(0, b"", call_id=200)[0] == 200
        assert client.request(0, b"")[0] == 201
        assert client.request(0, b"", call_id=5)[0] == 5
        assert client.request(0, b"")[0] > 201

    def test_a_forbidden_one_does_not(self, client: ClientConnection) -> None:
        assert client.request(0, b"", call_id=0x80000000)[0] == 0x80000000
        assert client.request(0, b"")[0] < 10


class TestRequests:
    def test_hooks_before_and_after(self, client: ClientConnection) -> None:
        _, octets = client.request(
            3,
            bytes(10),
            chunk=4,
            prepare=lambda index, part: replace(part, opnum=index),
            tamper=lambda index, raw: rewrite(raw, flags=index),
        )
        parts = [unpack(part) for part in octets]
        assert [(part.opnum, part.flags) for part in parts if isinstance(part, Request)] == [
            (0, 0),
            (1, 1),
            (2, 2),
        ]

    def test_a_fragment_without_room(self, client: ClientConnection) -> None:
        with pytest.raises(LocalProtocolError, match="no room for stub data"):
            client.request(0, b"x", fragment_size=24)

    def test_flags_of_ones_own(self, client: ClientConnection) -> None:
        _, octets = client.request(0, bytes(6), chunk=2, flags=LAST | PfcFlags.MAYBE)
        assert [raw[3] for raw in octets] == [0x40, 0x40, 0x42]


class TestResponses:
    def test_fragments_of_several_calls_may_mix(self, client: ClientConnection) -> None:
        client.request(0, b"")
        client.request(0, b"")
        out = events(
            client,
            Response(call_id=2, stub=b"a", flags=FIRST).pack(),
            Response(call_id=3, stub=b"x", flags=FIRST).pack(),
            Response(call_id=3, stub=b"y", flags=LAST, drep=BIG_ENDIAN).pack(),
            Response(call_id=2, stub=b"b", flags=LAST).pack(),
        )
        assert [(e.call_id, e.stub, e.fragments) for e in out if isinstance(e, Answered)] == [
            (3, b"xy", 2),
            (2, b"ab", 2),
        ]
        assert out[0].level == 1  # type: ignore[union-attr]

    @pytest.mark.parametrize("flags", [0, LAST])
    def test_no_first_fragment(self, client: ClientConnection, flags: int) -> None:
        client.request(0, b"")
        with pytest.raises(RemoteProtocolError, match=r"no first fragment \(call 2\)"):
            event(client, Response(call_id=2, flags=flags).pack())

    def test_two_first_fragments(self, client: ClientConnection) -> None:
        client.request(0, b"")
        assert events(client, Response(call_id=2, flags=FIRST).pack()) == []
        with pytest.raises(RemoteProtocolError, match="a first fragment inside a response"):
            event(client, Response(call_id=2, flags=FIRST).pack())

    def test_a_fault_ends_a_call_that_has_begun_to_answer(self, client: ClientConnection) -> None:
        client.request(0, b"")
        first, last = Response(call_id=2, flags=FIRST).pack(), Response(call_id=2, flags=LAST).pack()
        out = events(client, first, FaultPdu(call_id=2, status=5).pack(), last)
        assert [type(e) for e in out] == [Faulted, Stray]

    def test_an_orphaned_call_is_answered_by_strays(self, client: ClientConnection) -> None:
        client.request(0, b"")
        client.orphan(2)
        assert isinstance(event(client, Response(call_id=2).pack()), Stray)

    def test_another_protocol_version(self, client: ClientConnection) -> None:
        with pytest.raises(RemoteProtocolError, match=r"version 5\.1 is not 5\.0"):
            event(client, rewrite(ACK.pack(), version_minor=1))


@given(
    st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([ACK.pack(), Response().pack()])), max_size=5)
)
@settings(max_examples=150)
def test_any_garbage_is_an_event_or_a_remote_error(portions: list[bytes]) -> None:
    def run(*octets: bytes) -> tuple[list[ClientEvent], str]:
        client = ClientConnection()
        client.send(client.bind(propose(ECHO)))
        out: list[ClientEvent] = []
        try:
            for portion in octets:
                client.receive_data(portion)
                while (found := client.next_event()) is not None:
                    out.append(found)
        except RemoteProtocolError as error:
            return out, str(error)
        return out, ""

    stream = b"".join(portions)
    whole, octets = run(stream), run(*(bytes([octet]) for octet in stream))
    assert whole[0] == octets[0]
    assert bool(whole[1]) == bool(octets[1])
