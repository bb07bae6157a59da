"""The client without I/O: what it sends, accepts and rejects."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swn_torture.dcerpc.client.binding import propose
from swn_torture.dcerpc.client.connection import ClientConnection
from swn_torture.dcerpc.client.events import Acknowledged, Answered, ClientEvent, Faulted, Refused, Unexpected
from swn_torture.dcerpc.errors import LocalProtocolError, RemoteProtocolError
from swn_torture.dcerpc.pdu.bind import BindAck, BindNak, ContextResult
from swn_torture.dcerpc.pdu.header import BIG_ENDIAN, WHOLE, PfcFlags, rewrite
from swn_torture.dcerpc.pdu.pdus import FaultPdu, Request, Response, Shutdown, unpack
from swn_torture.stubdata.syntax import NDR32
from tests.dcerpc.rpc_pair import ECHO
from tests.examples import examples

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
    def test_a_bind_ack_sets_the_state_of_the_client(self, client: ClientConnection) -> None:
        ack = replace(ACK, flags=WHOLE | PfcFlags.CONC_MPX)
        acknowledged = event(client, ack.pack())
        assert isinstance(acknowledged, Acknowledged)
        assert [pair[0].context_id for pair in acknowledged.pairs] == [0, 1]
        assert client.multiplexed
        assert client.max_xmit == 4280
        assert client.assoc_group == 9
        assert set(client.contexts) == {0}

    def test_a_big_endian_bind_ack_is_accepted(self, client: ClientConnection) -> None:
        assert isinstance(event(client, replace(ACK, drep=BIG_ENDIAN).pack()), Acknowledged)
        assert client.contexts[0].transfer == NDR32

    def test_a_bind_nak_is_reported(self, client: ClientConnection) -> None:
        assert event(client, BindNak(call_id=1, reason=8).pack()) == Refused(BindNak(call_id=1, reason=8))

    def test_a_bind_ack_with_too_few_results_is_rejected(self, client: ClientConnection) -> None:
        with pytest.raises(RemoteProtocolError, match="1 results for 2 proposed contexts"):
            event(client, replace(ACK, results=ACK.results[:1]).pack())

    def test_answers_without_a_request_are_unexpected(self, client: ClientConnection) -> None:
        for pdu in (replace(ACK, call_id=2), BindNak(call_id=2), Shutdown(), Response(call_id=5), Request()):
            assert isinstance(event(client, pdu.pack()), Unexpected)
        assert isinstance(event(client, rewrite(ACK.pack(), ptype=15)), Unexpected)


class TestCallIds:
    def test_call_ids_increase_by_one(self, client: ClientConnection) -> None:
        assert [client.request(0, b"")[0] for _ in range(3)] == [2, 3, 4]

    def test_a_chosen_call_id_moves_the_next_one(self, client: ClientConnection) -> None:
        assert client.request(0, b"", call_id=200)[0] == 200
        assert client.request(0, b"")[0] == 201
        assert client.request(0, b"", call_id=5)[0] == 5
        assert client.request(0, b"")[0] > 201

    def test_a_call_id_beyond_the_range_does_not_move_the_next(self, client: ClientConnection) -> None:
        assert client.request(0, b"", call_id=0x80000000)[0] == 0x80000000
        assert client.request(0, b"")[0] < 10


class TestRequests:
    def test_prepare_and_tamper_change_each_fragment(self, client: ClientConnection) -> None:
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

    def test_a_fragment_size_without_space_is_an_error(self, client: ClientConnection) -> None:
        with pytest.raises(LocalProtocolError, match="no space for stub data"):
            client.request(0, b"x", fragment_size=24)

    def test_flags_are_set_in_the_right_fragments(self, client: ClientConnection) -> None:
        _, octets = client.request(0, bytes(6), chunk=2, flags=LAST | PfcFlags.MAYBE)
        assert [raw[3] for raw in octets] == [0x40, 0x40, 0x42]


class TestResponses:
    def test_fragments_of_several_responses_may_mix(self, client: ClientConnection) -> None:
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
    def test_a_response_without_a_first_fragment_is_rejected(
        self, client: ClientConnection, flags: int
    ) -> None:
        client.request(0, b"")
        with pytest.raises(RemoteProtocolError, match=r"no first fragment \(call 2\)"):
            event(client, Response(call_id=2, flags=flags).pack())

    def test_a_response_with_two_first_fragments_is_rejected(self, client: ClientConnection) -> None:
        client.request(0, b"")
        assert events(client, Response(call_id=2, flags=FIRST).pack()) == []
        with pytest.raises(RemoteProtocolError, match="a second first fragment"):
            event(client, Response(call_id=2, flags=FIRST).pack())

    def test_a_fault_ends_a_call_with_an_incomplete_response(self, client: ClientConnection) -> None:
        client.request(0, b"")
        first, last = Response(call_id=2, flags=FIRST).pack(), Response(call_id=2, flags=LAST).pack()
        out = events(client, first, FaultPdu(call_id=2, status=5).pack(), last)
        assert [type(e) for e in out] == [Faulted, Unexpected]

    def test_a_response_to_an_orphaned_call_is_unexpected(self, client: ClientConnection) -> None:
        client.request(0, b"")
        client.orphan(2)
        assert isinstance(event(client, Response(call_id=2).pack()), Unexpected)

    def test_another_rpc_version_is_rejected(self, client: ClientConnection) -> None:
        with pytest.raises(RemoteProtocolError, match=r"version 5\.1 is not 5\.0"):
            event(client, rewrite(ACK.pack(), version_minor=1))


@given(
    st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([ACK.pack(), Response().pack()])), max_size=5)
)
@examples(150)
def test_garbage_has_the_same_result_whole_or_in_octets(portions: list[bytes]) -> None:
    """Every result is an event or RemoteProtocolError."""

    def run(*octets: bytes) -> tuple[list[ClientEvent], str]:
        client = ClientConnection()
        client.send(client.bind(propose(ECHO)))
        out: list[ClientEvent] = []
        try:
            for portion in octets:
                client.receive_data(portion)
                while (received := client.next_event()) is not None:
                    out.append(received)
        except RemoteProtocolError as error:
            return out, str(error)
        return out, ""

    stream = b"".join(portions)
    assert run(stream) == run(*(bytes([octet]) for octet in stream))
