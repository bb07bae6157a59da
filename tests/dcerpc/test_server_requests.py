"""The answers of a server to requests: order, fragments, limits, cancels, verification trailers."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swn_torture.dcerpc.client.binding import propose
from swn_torture.dcerpc.client.events import Answered, Faulted
from swn_torture.dcerpc.errors import LocalProtocolError, RemoteProtocolError
from swn_torture.dcerpc.pdu import verification_trailer as vt
from swn_torture.dcerpc.pdu.bind import BindNak
from swn_torture.dcerpc.pdu.framing import Framer
from swn_torture.dcerpc.pdu.header import BIG_ENDIAN, WHOLE, PduType, PfcFlags, SecTrailer, rewrite
from swn_torture.dcerpc.pdu.pdus import FaultPdu, Pdu, Request, Response, unpack
from swn_torture.dcerpc.server.interface import Caller
from swn_torture.dcerpc.server.options import ServerOptions
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId
from tests.dcerpc.rpc_pair import ECHO, KEEP, Pair
from tests.examples import examples

if TYPE_CHECKING:
    from collections.abc import Sequence

PROTO_ERROR = FaultStatus.NCA_S_PROTO_ERROR
DENIED = FaultStatus.ERROR_ACCESS_DENIED
FIRST, LAST = PfcFlags.FIRST, PfcFlags.LAST


@pytest.fixture
def bound(pair: Pair) -> Pair:
    """Both ends, bound in NDR32 with context id 0."""
    pair.bind()
    return pair


def fault(answers: Sequence[Pdu]) -> FaultPdu:
    assert len(answers) == 1
    assert isinstance(answers[0], FaultPdu)
    assert not answers[0].trailer
    return answers[0]


def fatal(pair: Pair, answers: Sequence[Pdu], status: int = PROTO_ERROR) -> None:
    """Check that the answer is this fault, that the connection ends, and that no call was executed."""
    assert fault(answers).status == status
    assert pair.server.closing
    assert pair.violations
    assert pair.echo.seen == []


def stub_of(answers: Sequence[Pdu]) -> bytes:
    assert all(isinstance(answer, Response) for answer in answers), answers
    return b"".join(answer.stub for answer in answers if isinstance(answer, Response))


class TestCalls:
    @pytest.mark.parametrize("size", [0, 1, 5815, 5816, 5817, 100_000])
    def test_stub_data_of_any_size_in_both_directions(self, bound: Pair, size: int) -> None:
        stub = bytes(n & 0xFF for n in range(size))
        answers = bound.call(0, stub)
        assert stub_of(answers) == stub
        lengths = [len(answer.pack()) for answer in answers]
        assert max(lengths) <= 5840
        assert [answer.flags & WHOLE for answer in answers] == (
            [WHOLE] if len(answers) == 1 else [FIRST, *[0] * (len(answers) - 2), LAST]
        )
        assert isinstance(bound.client_events[-1], Answered)
        assert bound.client_events[-1].stub == stub

    def test_alloc_hint_counts_down(self, bound: Pair) -> None:
        answers = bound.call(0, bytes(12000))
        hints = [answer.alloc_hint for answer in answers if isinstance(answer, Response)]
        assert hints == [12000, 12000 - 5816, 12000 - 2 * 5816]

    @pytest.mark.parametrize("call_id", [7, 8, 0x7FFFFFF0, 0x7FFFFFFF])
    def test_a_response_has_the_call_id_of_its_request(self, bound: Pair, call_id: int) -> None:
        assert bound.call(call_id=call_id)[0].call_id == call_id

    def test_an_object_uuid_reaches_the_interface(self, bound: Pair) -> None:
        target = uuid4()
        assert stub_of(bound.call(0, b"stub" * 4000, object_uuid=target)) == b"stub" * 4000
        assert bound.echo.seen[0].object_uuid == target

    def test_a_request_with_maybe_is_answered(self, bound: Pair) -> None:
        assert stub_of(bound.call(0, b"x", flags=WHOLE | PfcFlags.MAYBE)) == b"x"

    def test_single_octets_and_two_requests_in_one_portion(self, bound: Pair) -> None:
        _, (one,) = bound.client.request(0, b"one")
        _, (two,) = bound.client.request(0, b"two")
        answers = bound.send(*(bytes([octet]) for octet in one))
        assert stub_of(answers) == b"one"
        _, (three,) = bound.client.request(0, b"three")
        assert stub_of(bound.send(two + three)) == b"twothree"

    @pytest.mark.parametrize("chunk", [1, 3, 8, 1000])
    def test_requests_in_fragments_of_any_size(self, bound: Pair, chunk: int) -> None:
        assert stub_of(bound.call(0, bytes(range(100)), chunk=chunk)) == bytes(range(100))

    def test_an_unknown_opnum_gets_op_rng_error(self, bound: Pair) -> None:
        answer = fault(bound.call(6))
        assert answer.status == FaultStatus.NCA_S_OP_RNG_ERROR
        assert answer.flags & PfcFlags.DID_NOT_EXECUTE
        assert stub_of(bound.call(0, b"still here")) == b"still here"

    def test_an_unknown_context_gets_unk_if(self, bound: Pair) -> None:
        answer = fault(bound.call(0, b"x" * 20000, context_id=99))
        assert answer.status == FaultStatus.NCA_S_UNK_IF
        assert answer.context_id == 0
        assert answer.flags & PfcFlags.DID_NOT_EXECUTE
        assert stub_of(bound.call(0, b"still here")) == b"still here"

    def test_a_big_endian_request_gets_a_little_endian_response(self, bound: Pair) -> None:
        answers = bound.call(0, b"\0\0\0\1", byte_order="big")
        assert bound.echo.seen[0].byte_order == "big"
        assert bound.echo.seen[0].stub == b"\0\0\0\1"
        assert answers[0].byte_order == "little"

    def test_a_response_in_the_byte_order_of_the_request_by_option(self) -> None:
        pair = Pair(options=ServerOptions(reply_byte_order="caller"))
        pair.bind()
        assert pair.call(0, b"x", byte_order="big")[0].byte_order == "big"

    def test_a_big_endian_request_on_ndr64_is_a_protocol_error(self, pair: Pair) -> None:
        pair.bind(propose(ECHO, (NDR64,)))
        assert pair.call(0, b"x")[0].drep == b"\x10\0\0\0"
        pair.echo.seen.clear()
        fatal(pair, pair.call(0, b"x", byte_order="big"))

    def test_the_access_option_denies_a_caller(self) -> None:
        checked: list[tuple[SyntaxId, Caller]] = []

        def access(interface: SyntaxId, caller: Caller) -> int:
            checked.append((interface, caller))
            return DENIED

        pair = Pair(options=ServerOptions(access=access))
        pair.bind()
        assert fault(pair.call(0)).status == DENIED
        assert checked == [(ECHO, Caller())]


class TestAnswering:
    def test_calls_are_answered_in_any_order(self, bound: Pair) -> None:
        for _ in range(3):
            assert bound.call(KEEP) == []
        for kept in reversed(bound.echo.kept):
            kept.reply(str(kept.call_id).encode())
        assert [(a.call_id, stub_of([a])) for a in bound.sent_by_server()] == [
            (4, b"4"),
            (3, b"3"),
            (2, b"2"),
        ]

    def test_a_call_cannot_be_answered_twice(self, bound: Pair) -> None:
        bound.call(KEEP)
        bound.echo.kept[0].reply(b"")
        with pytest.raises(LocalProtocolError, match="answered already"):
            bound.echo.kept[0].fault(5)

    def test_a_forbidden_fault_status_is_an_error(self, bound: Pair) -> None:
        bound.call(KEEP)
        with pytest.raises(LocalProtocolError, match="0xC0000005"):
            bound.echo.kept[0].fault(0xC0000005)
        assert not bound.echo.kept[0].answered

    def test_no_answer_is_sent_after_the_connection_is_lost(self, bound: Pair) -> None:
        bound.call(KEEP)
        assert bound.server.lost() == bound.echo.kept
        bound.echo.kept[0].reply(b"too late")
        assert bound.sent_by_server() == []

    def test_no_answer_is_sent_after_the_fault_that_ends(self, bound: Pair) -> None:
        bound.call(KEEP)
        assert fault(bound.send(rewrite(Request(call_id=9).pack(), version=4))).status == PROTO_ERROR
        bound.echo.kept[0].reply(b"too late")
        assert bound.sent_by_server() == []

    def test_the_repr_of_a_call(self, bound: Pair) -> None:
        bound.call(KEEP)
        assert repr(bound.echo.kept[0]) == "<ServerCall opnum=1 call_id=2 pending>"
        bound.echo.kept[0].reply(b"")
        assert repr(bound.echo.kept[0]) == "<ServerCall opnum=1 call_id=2 answered>"


class TestMultiplexing:
    def test_a_second_request_without_multiplexing_is_an_error(self, pair: Pair) -> None:
        pair.bind(multiplex=False)
        assert stub_of(pair.call(0, b"one")) == b"one"
        assert stub_of(pair.call(0, b"two")) == b"two"
        assert pair.call(KEEP) == []
        pair.echo.seen.clear()
        fatal(pair, pair.call(0))

    def test_a_thousand_pending_calls(self, bound: Pair) -> None:
        for _ in range(1000):
            assert bound.call(KEEP) == []
        assert len(bound.server.calls) == 1000
        for kept in bound.echo.kept:
            kept.reply(b"")
        assert len(bound.sent_by_server()) == 1000
        assert not bound.server.calls


class TestCallIds:
    @pytest.mark.parametrize("call_id", [1, 9, 0x80000000, 0xFFFFFFFF])
    def test_a_lower_or_too_large_call_id_is_a_protocol_error(self, bound: Pair, call_id: int) -> None:
        bound.call(call_id=10)
        bound.echo.seen.clear()
        fatal(bound, bound.call(call_id=call_id))

    def test_an_equal_call_id_is_accepted(self, bound: Pair) -> None:
        assert stub_of(bound.call(0, b"a", call_id=10)) == b"a"
        assert stub_of(bound.call(0, b"b", call_id=10)) == b"b"

    def test_an_equal_call_id_is_rejected_by_option(self) -> None:
        pair = Pair(options=ServerOptions(equal_call_ids=False))
        pair.bind()
        pair.call(call_id=10)
        pair.echo.seen.clear()
        fatal(pair, pair.call(call_id=10))

    def test_the_call_id_of_a_pending_call_is_rejected(self, bound: Pair) -> None:
        bound.call(KEEP, call_id=10)
        bound.echo.seen.clear()
        fatal(bound, bound.call(call_id=10))


class TestFragmentOrder:
    @pytest.mark.parametrize("flags", [0, LAST])
    def test_a_fragment_without_a_first_one_is_a_protocol_error(self, bound: Pair, flags: int) -> None:
        fatal(bound, bound.call(0, b"x", flags=flags, call_id=5))

    @pytest.mark.parametrize(("call_id", "ignored"), [(200, True), (199, True), (51, True), (50, False)])
    def test_late_fragments_of_ended_calls_are_ignored(
        self, bound: Pair, call_id: int, *, ignored: bool
    ) -> None:
        bound.call(call_id=200)
        bound.echo.seen.clear()
        answers = bound.call(0, b"x", flags=LAST, call_id=call_id)
        if ignored:
            assert answers == []
            assert stub_of(bound.call(0, b"alive", call_id=201)) == b"alive"
        else:
            fatal(bound, answers)

    def test_a_request_between_two_fragments_is_rejected(self, bound: Pair) -> None:
        _, (first, _) = bound.client.request(0, b"abcd", chunk=2)
        assert bound.send(first) == []
        fatal(bound, bound.call(0))

    def test_a_fragment_with_another_call_id_is_rejected(self, bound: Pair) -> None:
        _, (first, second) = bound.client.request(0, b"abcd", chunk=2)
        assert bound.send(first) == []
        fatal(bound, bound.send(rewrite(second, call_id=77)))

    @pytest.mark.parametrize(("opnum", "context_id"), [(3, 0), (0, 9)])
    def test_a_fragment_with_another_opnum_or_context_is_rejected(
        self, bound: Pair, opnum: int, context_id: int
    ) -> None:
        _, (first, second) = bound.client.request(0, b"abcd", chunk=2)
        assert bound.send(first) == []
        fatal(bound, bound.send(rewrite(second, opnum=opnum, context_id=context_id)))


class TestLimits:
    def test_a_request_of_the_largest_size_is_accepted(self) -> None:
        pair = Pair(options=ServerOptions(max_request=20_000))
        pair.bind()
        assert len(stub_of(pair.call(0, bytes(20_000)))) == 20_000

    def test_a_request_beyond_the_largest_size_is_rejected(self) -> None:
        pair = Pair(options=ServerOptions(max_request=20_000))
        pair.bind()
        fatal(pair, pair.call(0, bytes(20_001)), DENIED)

    def test_an_alloc_hint_beyond_the_largest_size_is_rejected(self) -> None:
        pair = Pair(options=ServerOptions(max_request=20_000))
        pair.bind()
        assert stub_of(pair.call(0, b"abcd", alloc_hint=20_001)) == b"abcd"
        _, (first, _) = pair.client.request(0, b"abcd", chunk=2, alloc_hint=20_001)
        pair.echo.seen.clear()
        fatal(pair, pair.send(first), DENIED)

    def test_the_largest_request_is_4_megabytes_by_default(self) -> None:
        assert ServerOptions().max_request == 4 * 1024 * 1024

    def test_fragments_larger_than_negotiated_are_accepted(self, pair: Pair) -> None:
        pair.bind(max_xmit=2048, max_recv=2048)
        answers = pair.call(0, bytes(5000), fragment_size=5840)
        assert len(stub_of(answers)) == 5000
        assert max(len(answer.pack()) for answer in answers) <= 2048

    def test_a_fragment_beyond_the_maximum_is_rejected(self, bound: Pair) -> None:
        fatal(bound, bound.send(Request(call_id=2, frag_length=5841).pack()))

    def test_a_frag_length_below_the_header_is_rejected(self, bound: Pair) -> None:
        fatal(bound, bound.send(Request(call_id=2, frag_length=8).pack()))

    @pytest.mark.parametrize("checked", [False, True])
    def test_an_alloc_hint_beyond_the_stub_is_rejected_by_option(self, *, checked: bool) -> None:
        pair = Pair(options=ServerOptions(check_alloc_hint=checked))
        pair.bind()
        for hint in (0, 3, 4):
            assert stub_of(pair.call(0, b"abcd", alloc_hint=hint)) == b"abcd"
        answers = pair.call(0, b"abcd", alloc_hint=0xFFFFFFFF)
        if checked:
            assert fault(answers).status == PROTO_ERROR
        else:
            assert stub_of(answers) == b"abcd"


class TestOutOfPlace:
    def test_a_request_before_the_bind_is_a_protocol_error(self, pair: Pair) -> None:
        fatal(pair, pair.call(0))

    @pytest.mark.parametrize(
        "ptype", [PduType.RESPONSE, PduType.FAULT, PduType.BIND_ACK, PduType.SHUTDOWN, PduType.PING, 77]
    )
    def test_pdus_that_a_server_does_not_accept(self, bound: Pair, ptype: int) -> None:
        fatal(bound, bound.send(rewrite(Request(call_id=2, stub=bytes(40)).pack(), ptype=ptype)))

    @pytest.mark.parametrize("version", [(4, 0), (5, 1), (6, 0)])
    def test_a_request_with_another_rpc_version_is_rejected(
        self, bound: Pair, version: tuple[int, int]
    ) -> None:
        fatal(bound, bound.send(Request(call_id=2, version=version).pack()))

    def test_an_undefined_data_representation_ends_the_connection(self, bound: Pair) -> None:
        assert bound.send(Request(call_id=2, drep=b"\x20\0\0\0").pack()) == []
        assert bound.server.closing

    def test_auth3_without_security_is_a_protocol_error(self, bound: Pair) -> None:
        entry = bound.secure(5)
        answers = bound.send(bound.client.auth3(entry, b"proof right").pack())
        fatal(bound, answers)
        assert fault(answers).flags & PfcFlags.DID_NOT_EXECUTE


class TestCancel:
    def test_cancel_of_a_pending_call(self, bound: Pair) -> None:
        bound.call(KEEP)
        answer = fault(bound.send(bound.client.cancel(2)))
        assert (answer.status, answer.call_id) == (FaultStatus.NCA_S_FAULT_CANCEL, 2)
        assert bound.echo.ended == [(bound.echo.kept[0], False)]
        assert isinstance(bound.client_events[-1], Faulted)

    def test_an_orphaned_call_gets_no_answer(self, bound: Pair) -> None:
        bound.call(KEEP)
        assert bound.send(bound.client.orphan(2)) == []
        assert bound.echo.ended == [(bound.echo.kept[0], True)]
        bound.echo.kept[0].reply(b"too late")
        assert bound.sent_by_server() == []
        assert stub_of(bound.call(0, b"alive")) == b"alive"

    def test_cancel_and_orphaned_for_unknown_calls_are_ignored(self, bound: Pair) -> None:
        assert bound.send(bound.client.cancel(99), bound.client.orphan(98)) == []
        assert stub_of(bound.call(0, b"alive")) == b"alive"

    def test_cancel_and_orphaned_between_two_fragments(self, bound: Pair) -> None:
        _, (first, second) = bound.client.request(KEEP, b"abcd", chunk=2)
        assert (
            fault(bound.send(first, bound.client.cancel(2), second)).status == FaultStatus.NCA_S_FAULT_CANCEL
        )
        _, (first, second) = bound.client.request(KEEP, b"abcd", chunk=2)
        assert bound.send(first, bound.client.orphan(3), second) == []
        assert len(bound.echo.seen) == 1

    def test_a_request_with_pending_cancel_is_cancelled(self, bound: Pair) -> None:
        answers = bound.call(KEEP, flags=WHOLE | PfcFlags.PENDING_CANCEL)
        assert fault(answers).status == FaultStatus.NCA_S_FAULT_CANCEL

    def test_cancel_before_the_bind_is_a_protocol_error(self, pair: Pair) -> None:
        fatal(pair, pair.send(pair.client.cancel(1)))


class TestVerificationTrailers:
    @pytest.mark.parametrize("padding", [0, 4, 8])
    @pytest.mark.parametrize("chunk", [None, 4, 64])
    def test_a_correct_verification_trailer_is_removed(
        self, bound: Pair, padding: int, chunk: int | None
    ) -> None:
        trailer = vt.trailer(
            vt.bitmask1(0), vt.pcontext(ECHO, NDR32), vt.header2(call_id=2, context_id=0, opnum=0)
        )
        stub = b"12345678" + bytes(padding)
        assert stub_of(bound.call(0, stub, verification=trailer, chunk=chunk)) == stub

    @pytest.mark.parametrize(
        ("command", "status"),
        [
            (vt.pcontext(ECHO, NDR64), DENIED),
            (vt.header2(call_id=2, context_id=0, opnum=5), DENIED),
            (vt.bitmask1(), DENIED),
            (vt.Command(0x3FFD | vt.MUST_PROCESS), DENIED),
            (vt.Command(vt.CommandType.BITMASK_1, b"12345678"), FaultStatus.RPC_X_BAD_STUB_DATA),
        ],
    )
    def test_a_wrong_verification_trailer_is_rejected(
        self, bound: Pair, command: vt.Command, status: int
    ) -> None:
        assert fault(bound.call(0, b"x", verification=vt.trailer(command))).status == status
        assert bound.echo.seen == []
        assert stub_of(bound.call(0, b"alive")) == b"alive"

    def test_an_unknown_trailer_command_is_skipped(self, bound: Pair) -> None:
        trailer = vt.trailer(vt.Command(0x3FFD, b"abcd"), vt.pcontext(ECHO, NDR32))
        assert stub_of(bound.call(0, b"1234", verification=trailer)) == b"1234"

    def test_a_verification_trailer_is_not_divided(self, bound: Pair) -> None:
        trailer = vt.trailer(vt.pcontext(ECHO, NDR32))
        _, octets = bound.client.request(0, bytes(60), verification=trailer, chunk=64)
        parts = [unpack(part) for part in octets]
        assert [len(part.stub) for part in parts if isinstance(part, Request)] == [60, 52]


GARBAGE = st.one_of(
    st.binary(max_size=80),
    st.builds(
        lambda ptype, flags, body, drep, auth: rewrite(
            Request(stub=body, drep=drep, call_id=3).pack(), ptype=ptype, flags=flags, auth_length=auth
        ),
        st.just(PduType.REQUEST) | st.integers(0, 20),
        st.just(WHOLE) | st.integers(0, 255),
        st.binary(max_size=100),
        st.sampled_from([b"\x10\0\0\0", BIG_ENDIAN]),
        st.sampled_from([0, 0, 1, 16, 60]),
    ),
    st.builds(
        lambda stub, trailer, value: Request(stub=stub, trailer=trailer, auth_value=value, call_id=4).pack(),
        st.binary(max_size=40),
        st.builds(SecTrailer, st.integers(0, 255), st.integers(0, 7), st.integers(0, 20), st.integers(0, 2)),
        st.binary(min_size=1, max_size=20),
    ),
)


@given(st.lists(GARBAGE, max_size=5), st.booleans())
@examples(200)
def test_garbage_is_rejected_whole_and_octet_by_octet(portions: list[bytes], bound: bool) -> None:
    """Garbage never reaches an interface. A violation is recorded for every rejection and for every end."""
    stream = b"".join(portions)
    results = []
    for parts in ([stream], [bytes([octet]) for octet in stream]):
        pair = Pair()
        if bound:
            pair.bind(level=5)

        answers = pair.send(*parts)

        violations, rejections = len(pair.violations), rejected(answers)
        assert pair.echo.seen == []
        unanswered = pair.server.closing and may_end_without_answer(stream)
        assert rejections in {violations, violations - unanswered}
        assert violations or not pair.server.closing
        assert pair.server.closing or pair.server.framer.next_pdu() is None, "every complete PDU is processed"
        results.append((answers, pair.server.closing, [str(violation) for violation in pair.violations]))
    assert results[0] == results[1]


def may_end_without_answer(stream: bytes) -> bool:
    """Return whether a server may end without an answer: at an undefined drep."""
    framer = Framer(lambda _: 0xFFFF)
    framer.receive_data(stream)
    try:
        while framer.next_pdu() is not None:
            pass
    except RemoteProtocolError as error:
        return error.field == "drep"
    return False


def rejected(answers: Sequence[Pdu]) -> int:
    """Return how many of the answers are a fault or a bind_nak."""
    return sum(isinstance(answer, FaultPdu | BindNak) for answer in answers)
