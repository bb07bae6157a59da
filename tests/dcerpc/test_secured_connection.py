"""Security contexts on a connection: legs, verifiers, sequence numbers, several contexts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from swn_torture.dcerpc.client.binding import propose
from swn_torture.dcerpc.client.events import Answered
from swn_torture.dcerpc.errors import BadSignature, LocalProtocolError, RemoteProtocolError
from swn_torture.dcerpc.pdu import verification_trailer as vt
from swn_torture.dcerpc.pdu.bind import BindAck, PresentationContext
from swn_torture.dcerpc.pdu.header import PfcFlags, SecTrailer, rewrite
from swn_torture.dcerpc.pdu.pdus import FaultPdu, Request, Response
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.dcerpc.server.interface import Caller
from swn_torture.dcerpc.server.options import ServerOptions
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.stubdata.syntax import NDR32
from tests.dcerpc.rpc_pair import ECHO, KEEP, FakeSecurity, Pair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.dcerpc.pdu.pdus import Pdu

INTEGRITY, PRIVACY, CONNECT = AuthLevel.INTEGRITY, AuthLevel.PRIVACY, AuthLevel.CONNECT
DENIED = FaultStatus.ERROR_ACCESS_DENIED
BAD_SIGNATURE = FaultStatus.RPC_S_SEC_PKG_ERROR


@pytest.fixture
def signed(pair: Pair) -> Pair:
    """Both ends, bound at level integrity."""
    pair.bind(level=INTEGRITY)
    return pair


def status_of(answers: Sequence[Pdu]) -> int:
    assert len(answers) == 1
    assert isinstance(answers[0], FaultPdu)
    assert answers[0].trailer is None, "faults carry no verifier"
    return answers[0].status


def last_response(pair: Pair) -> bytes:
    """The stub data of the last response that the client has verified."""
    event = pair.client_events[-1]
    assert isinstance(event, Answered)
    return event.stub


class TestLegs:
    @pytest.mark.parametrize("level", [CONNECT, AuthLevel.PKT, AuthLevel.CALL, INTEGRITY, PRIVACY])
    def test_three_legs_with_auth3(self, pair: Pair, level: int) -> None:
        ack = pair.bind(level=level)
        assert ack.auth_value == b"challenge"
        assert ack.trailer is not None
        assert (ack.trailer.auth_level, ack.trailer.context_id) == (level, 1)
        pair.call(0, b"hello")
        assert last_response(pair) == b"hello"
        assert pair.echo.seen[0].caller == Caller("fake", AuthType.NTLM, level)

    def test_three_legs_with_alter_context(self, pair: Pair) -> None:
        offer = propose(ECHO)
        entry = pair.secure(PRIVACY, AuthType.SPNEGO)
        bind = pair.client.bind(offer, security=entry, token=entry.context.step(b""))
        (first,) = pair.send(pair.client.send(bind))
        third = entry.context.step(first.auth_value)
        (last,) = pair.send(
            pair.client.send(pair.client.bind(offer, security=entry, token=third, alter=True))
        )
        assert isinstance(last, BindAck)
        assert last.padding == SecTrailer(9, PRIVACY, 0, 1).pack(), "a sec_trailer without a token"
        pair.call(0, b"hello")
        assert last_response(pair) == b"hello"

    def test_sec_trailers_of_legs_are_aligned_to_4_octets(self, pair: Pair) -> None:
        """Samba rejects a bind whose sec_trailer is aligned to 16 octets."""
        entry = pair.secure(INTEGRITY)
        bind = pair.client.bind(propose(ECHO), security=entry, token=entry.context.step(b""))
        (ack,) = pair.send(pair.client.send(bind))
        for pdu in (bind, ack):
            assert (len(pdu.pack()) - len(pdu.auth_value)) % 4 == 0
            assert pdu.trailer is not None
            assert pdu.trailer.pad_length == len(pdu.padding) < 4

    def test_after_a_wrong_password_the_first_request_is_denied(self, pair: Pair) -> None:
        pair.bind(level=INTEGRITY, password=b"wrong")
        assert status_of(pair.call(0, b"x")) == DENIED
        assert pair.server.closing
        assert pair.echo.seen == []

    def test_a_wrong_password_in_alter_context_is_a_fault(self, pair: Pair) -> None:
        entry = pair.secure(INTEGRITY, AuthType.SPNEGO, b"wrong")
        bind = pair.client.bind(propose(ECHO), security=entry, token=entry.context.step(b""))
        (ack,) = pair.send(pair.client.send(bind))
        third = entry.context.step(ack.auth_value)
        alter = pair.client.bind(propose(ECHO), security=entry, token=third, alter=True)
        assert status_of(pair.send(alter.pack())) == DENIED

    def test_a_request_before_the_last_leg_is_a_protocol_error(self, pair: Pair) -> None:
        entry = pair.secure(INTEGRITY)
        bind = pair.client.bind(propose(ECHO), security=entry, token=entry.context.step(b""))
        pair.send(pair.client.send(bind))
        assert status_of(pair.call(0, b"x")) == FaultStatus.NCA_S_PROTO_ERROR
        assert pair.server.closing

    @pytest.mark.parametrize("change", [{"auth_level": 6}, {"auth_type": 9}])
    def test_a_leg_with_another_type_or_level_is_rejected(self, pair: Pair, change: dict[str, int]) -> None:
        entry = pair.secure(INTEGRITY)
        bind = pair.client.bind(propose(ECHO), security=entry, token=entry.context.step(b""))
        pair.send(pair.client.send(bind))
        third = pair.client.auth3(entry, b"proof right")
        assert third.trailer is not None
        wrong = replace(third, trailer=replace(third.trailer, **change))
        assert status_of(pair.send(wrong.pack())) == FaultStatus.NCA_S_PROTO_ERROR
        assert pair.server.closing

    @pytest.mark.parametrize(
        ("change", "status"),
        [({"auth_level": 6}, DENIED), ({"auth_type": 9}, FaultStatus.RPC_S_SEC_PKG_ERROR)],
    )
    def test_an_alter_context_leg_with_another_type_or_level(
        self, pair: Pair, change: dict[str, int], status: int
    ) -> None:
        entry = pair.secure(INTEGRITY)
        bind = pair.client.bind(propose(ECHO), security=entry, token=entry.context.step(b""))
        pair.send(pair.client.send(bind))
        alter = pair.client.bind(propose(ECHO), security=entry, token=b"proof right", alter=True)
        assert alter.trailer is not None
        answers = pair.send(replace(alter, trailer=replace(alter.trailer, **change)).pack())
        assert status_of(answers) == status
        assert answers[0].flags & PfcFlags.DID_NOT_EXECUTE
        assert pair.server.closing

    def test_a_leg_for_a_complete_context_is_denied(self, signed: Pair) -> None:
        entry = signed.client.security[1]
        alter = signed.client.bind(propose(ECHO), security=entry, token=b"hello", alter=True)
        assert status_of(signed.send(alter.pack())) == DENIED
        assert signed.server.closing


class TestProtection:
    @pytest.mark.parametrize("level", [INTEGRITY, PRIVACY])
    @pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 6000, 30_000])
    def test_every_fragment_has_its_verifier(self, pair: Pair, level: int, size: int) -> None:
        stub = bytes(n & 0xFF for n in range(size))
        pair.bind(level=level)
        answers = pair.call(0, stub)
        assert last_response(pair) == stub
        for answer in answers:
            assert isinstance(answer, Response)
            assert answer.trailer is not None
            assert answer.trailer.auth_level == level
            octets = answer.pack()
            assert len(octets) <= 5840
            assert (len(octets) - 16 - 8 - 24) % 16 == 0
            assert len(answer.padding) < 16

    def test_privacy_hides_the_stub(self, pair: Pair) -> None:
        pair.bind(level=PRIVACY)
        _, (request,) = pair.client.request(0, b"a secret stub...")
        assert b"secret" not in request
        (response,) = pair.send(request)
        assert isinstance(response, Response)
        assert b"secret" not in response.pack()
        assert last_response(pair) == b"a secret stub..."

    @pytest.mark.parametrize("level", [INTEGRITY, PRIVACY])
    @pytest.mark.parametrize("where", [12, 22, 24, 30])
    def test_a_changed_bit_ends_the_connection(self, pair: Pair, level: int, where: int) -> None:
        pair.bind(level=level)

        def flip(_: int, octets: bytes) -> bytes:
            return octets[:where] + bytes([octets[where] ^ 1]) + octets[where + 1 :]

        assert status_of(pair.call(0, b"0123456789", tamper=flip)) == BAD_SIGNATURE
        assert pair.server.closing
        assert pair.echo.seen == []

    def test_a_bad_first_fragment_is_rejected_at_once(self, signed: Pair) -> None:
        _, (first, _, _) = signed.client.request(0, bytes(48), chunk=16)
        assert status_of(signed.send(first[:-1] + b"?")) == BAD_SIGNATURE

    def test_repeated_and_reordered_requests_are_rejected(self, signed: Pair) -> None:
        _, (one,) = signed.client.request(0, b"one")
        _, (two,) = signed.client.request(0, b"two")
        other = Pair()
        other.bind(level=INTEGRITY)
        assert status_of(other.send(two)) == BAD_SIGNATURE
        signed.send(one)
        assert status_of(signed.send(one)) == BAD_SIGNATURE

    def test_a_request_without_a_verifier_is_denied(self, signed: Pair) -> None:
        assert status_of(signed.call(0, b"x", security="none")) == DENIED
        assert signed.server.closing
        assert signed.echo.seen == []

    def test_a_request_in_an_unknown_context_is_denied(self, signed: Pair) -> None:
        octets = Request(call_id=2, trailer=SecTrailer(10, 5, 0, 9), auth_value=bytes(16)).pack()
        assert status_of(signed.send(octets)) == DENIED

    def test_a_request_at_another_level_is_denied(self, signed: Pair) -> None:
        lower = rewrite(signed.client.request(0, b"x")[1][0], auth_level=CONNECT)
        assert status_of(signed.send(lower)) == DENIED

    def test_a_misaligned_sec_trailer_is_a_protocol_error(self, signed: Pair) -> None:
        octets = Request(call_id=2, stub=b"ab", trailer=SecTrailer(10, 5, 0, 1), auth_value=bytes(16)).pack()
        assert status_of(signed.send(octets)) == FaultStatus.NCA_S_PROTO_ERROR

    @pytest.mark.parametrize("status", [FaultStatus.NCA_S_UNK_IF, FaultStatus.NCA_S_OP_RNG_ERROR])
    def test_rejected_requests_take_a_sequence_number(self, signed: Pair, status: int) -> None:
        wrong = {"context_id": 99} if status == FaultStatus.NCA_S_UNK_IF else {}
        assert status_of(signed.call(99, bytes(12_000), **wrong)) == status
        signed.call(0, b"alive")
        assert last_response(signed) == b"alive"

    def test_a_late_answer_is_signed_when_it_is_sent(self, signed: Pair) -> None:
        signed.call(KEEP)
        for number in range(20):
            signed.call(0, bytes([number]))
        signed.echo.kept[0].reply(b"late")
        signed.sent_by_server()
        assert last_response(signed) == b"late"
        signed.call(0, b"alive")
        assert last_response(signed) == b"alive"

    def test_connect_level_needs_no_verifier(self, pair: Pair) -> None:
        pair.bind(level=CONNECT)
        (answer,) = pair.call(0, b"x")
        assert answer.trailer is None
        assert pair.echo.seen[0].caller == Caller("fake", AuthType.NTLM, CONNECT)
        (answer,) = pair.call(0, b"x", security=1)
        assert answer.trailer is None, "the only security context, at level connect"

    def test_connect_level_among_several_contexts_has_a_verifier(self, pair: Pair) -> None:
        pair.bind(level=CONNECT)
        entry = pair.secure(INTEGRITY)
        alter = pair.client.bind(propose(ECHO), security=entry, token=entry.context.step(b""), alter=True)
        (ack,) = pair.send(pair.client.send(alter))
        third = pair.client.auth3(entry, entry.context.step(ack.auth_value))
        pair.send(third.pack())
        (answer,) = pair.call(0, b"x", security=1)
        assert answer.trailer is not None


class TestHeaderSigning:
    def test_header_signing_is_confirmed_if_both_support_it(self, pair: Pair) -> None:
        assert pair.bind(level=INTEGRITY).flags & PfcFlags.SUPPORT_HEADER_SIGN
        assert pair.client.header_signing
        assert pair.server.header_signing

    @pytest.mark.parametrize("ours", [True, False])
    def test_header_signing_is_not_used_without_agreement(self, *, ours: bool) -> None:
        pair = Pair(options=ServerOptions(header_signing=not ours))
        ack = pair.bind(level=INTEGRITY, header_signing=ours)
        assert not ack.flags & PfcFlags.SUPPORT_HEADER_SIGN
        assert not pair.client.header_signing
        assert not pair.server.header_signing
        # The provider signs only the body then, so another opnum is not detected.
        changed = rewrite(pair.client.request(0, b"x")[1][0], opnum=9)
        assert status_of(pair.send(changed)) == FaultStatus.NCA_S_OP_RNG_ERROR

    def test_bitmask1_agrees_with_header_signing(self, signed: Pair) -> None:
        signed.call(0, b"1234", verification=vt.trailer(vt.bitmask1(), vt.pcontext(ECHO, NDR32)))
        assert last_response(signed) == b"1234"


class TestCancelWithVerifier:
    @pytest.mark.parametrize("orphaned", [False, True])
    def test_a_signed_cancel_takes_a_sequence_number(self, signed: Pair, *, orphaned: bool) -> None:
        signed.call(KEEP)
        build = signed.client.orphan if orphaned else signed.client.cancel
        signed.send(build(2, security="default"))
        assert len(signed.echo.ended) == 1
        signed.call(0, b"alive")
        assert last_response(signed) == b"alive"

    def test_a_cancel_with_a_wrong_verifier_is_rejected(self, signed: Pair) -> None:
        signed.call(KEEP)
        octets = signed.client.cancel(2, security="default")
        assert status_of(signed.send(octets[:-1] + b"?")) == BAD_SIGNATURE
        assert signed.echo.ended == []

    def test_a_cancel_with_an_unknown_context_is_processed(self, signed: Pair) -> None:
        """A cancel needs no verifier (MS-RPCE 2.2.2.12), so an unknown one is ignored."""
        signed.call(KEEP)
        signed.server.receive_data(rewrite(signed.client.cancel(2, security="default"), auth_context_id=7))
        signed.serve()
        assert len(signed.echo.ended) == 1

    def test_the_verifier_of_a_cancel_is_ignored_by_option(self) -> None:
        pair = Pair(options=ServerOptions(verify_cancel=False))
        pair.bind(level=INTEGRITY)
        pair.call(KEEP)
        pair.send(pair.client.cancel(2, security="default"))
        assert len(pair.echo.ended) == 1
        assert status_of(pair.call(0, b"x")) == BAD_SIGNATURE


class TestSeveralContexts:
    def test_calls_in_two_security_contexts(self, signed: Pair) -> None:
        second = signed.secure(PRIVACY)
        alter = signed.client.bind(propose(ECHO), security=second, token=second.context.step(b""), alter=True)
        (answer,) = signed.send(signed.client.send(alter))
        third = second.context.step(answer.auth_value)
        signed.send(signed.client.auth3(second, third).pack())
        for chosen in (1, second.id, 1, second.id, second.id):
            (response,) = signed.call(0, b"hello", security=chosen)
            assert response.trailer is not None
            assert response.trailer.context_id == chosen
            assert last_response(signed) == b"hello"
        assert [call.caller.level for call in signed.echo.seen] == [5, 6, 5, 6, 6]

    def test_fragments_of_two_contexts_are_not_one_request(self, signed: Pair) -> None:
        second = signed.secure(INTEGRITY)
        alter = signed.client.bind(propose(ECHO), security=second, token=second.context.step(b""), alter=True)
        (answer,) = signed.send(signed.client.send(alter))
        signed.send(signed.client.auth3(second, second.context.step(answer.auth_value)).pack())
        _, (first, _) = signed.client.request(0, bytes(32), chunk=16, security=1, call_id=50)
        _, (_, last) = signed.client.request(0, bytes(32), chunk=16, security=2, call_id=50)
        # The first PDU of the second context is not sent, so its sequence number may be wrong, too.
        assert signed.send(first) == []
        assert status_of(signed.send(last)) in {FaultStatus.NCA_S_PROTO_ERROR, BAD_SIGNATURE}
        assert signed.server.closing

    def test_too_many_security_contexts_are_rejected(self) -> None:
        pair = Pair(options=ServerOptions(max_security_contexts=1))
        pair.bind(level=INTEGRITY)
        second = pair.secure(INTEGRITY)
        alter = pair.client.bind(propose(ECHO), security=second, token=b"hello", alter=True)
        assert status_of(pair.send(alter.pack())) == FaultStatus.NCA_S_PROTO_ERROR

    @pytest.mark.parametrize("features", [None, 2, 1])
    def test_a_second_context_needs_the_feature_by_option(self, features: int | None) -> None:
        pair = Pair(options=ServerOptions(unasked_multiplexing=False))
        pair.bind(propose(ECHO, features=features), level=INTEGRITY)
        second = pair.secure(INTEGRITY)
        alter = pair.client.bind(propose(ECHO), security=second, token=b"hello", alter=True)
        (answer,) = pair.send(pair.client.send(alter))
        assert isinstance(answer, BindAck if features == 1 else FaultPdu)

    def test_unprotected_and_protected_calls_on_one_connection(self, pair: Pair) -> None:
        """After a bind without security, a request without a verifier has no caller."""
        pair.bind()
        entry = pair.secure(INTEGRITY)
        element = PresentationContext(0, ECHO, (NDR32,))
        alter = pair.client.bind([element], security=entry, token=entry.context.step(b""), alter=True)
        (answer,) = pair.send(pair.client.send(alter))
        pair.send(pair.client.auth3(entry, entry.context.step(answer.auth_value)).pack())
        pair.call(0, b"x", security="none")
        pair.call(0, b"y")
        assert [call.caller.principal for call in pair.echo.seen] == [None, "fake"]


class TestClientVerification:
    """The client detects what a correct server never sends."""

    def _signed_answer(self, pair: Pair) -> bytes:
        _, (request,) = pair.client.request(0, b"0123456789")
        pair.server.receive_data(request)
        pair.serve()
        return pair.server.data_to_send()

    def test_the_client_detects_a_changed_response(self, signed: Pair) -> None:
        octets = self._signed_answer(signed)
        signed.client.receive_data(rewrite(octets, context_id=1))
        with pytest.raises(BadSignature):
            signed.client.next_event()
        with pytest.raises(BadSignature):
            signed.client.next_event()

    def test_the_client_rejects_a_response_without_a_verifier(self, signed: Pair) -> None:
        signed.client.request(0, b"")
        signed.client.receive_data(Response(call_id=2, stub=b"forged").pack())
        with pytest.raises(RemoteProtocolError, match="has no verifier"):
            signed.client.next_event()

    def test_the_client_rejects_a_response_at_another_level(self, signed: Pair) -> None:
        octets = self._signed_answer(signed)
        signed.client.security[1].level = PRIVACY
        signed.client.security[1].context.header_signing = False
        signed.client.receive_data(octets)
        with pytest.raises(RemoteProtocolError):
            signed.client.next_event()

    def test_the_client_rejects_a_response_in_another_context(self, signed: Pair) -> None:
        """The verifier matches, but it belongs to another security context."""
        entry = signed.client.security[1]
        octets = self._signed_answer(signed)
        entry.id = 9
        signed.client.receive_data(octets)
        with pytest.raises(RemoteProtocolError, match=r"are \(10, 5, 1\); the request had \(10, 5, 9\)"):
            signed.client.next_event()

    def test_the_client_rejects_an_unknown_context(self, signed: Pair) -> None:
        signed.client.receive_data(rewrite(self._signed_answer(signed), auth_context_id=7))
        with pytest.raises(RemoteProtocolError, match="no security context 7"):
            signed.client.next_event()

    def test_a_verifier_of_an_unexpected_size_is_an_error(
        self, signed: Pair, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(FakeSecurity, "signature_size", lambda *_: 12)
        with pytest.raises(LocalProtocolError, match="a verifier of 16 octets, but its header has 12"):
            signed.client.request(0, b"x")

    def test_a_request_in_an_unknown_context_is_an_error(self, signed: Pair) -> None:
        with pytest.raises(LocalProtocolError, match="no security context 7"):
            signed.client.request(0, b"", security=7)
