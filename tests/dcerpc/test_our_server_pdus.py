"""What our servers send, octet by octet: bind_ack, alter_context_resp, bind_nak, fault, response.

docs/our-server.md names a test of this module for each field. The statuses and ids are those of Windows, as
Samba's tests of the protocol have them.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from swn_torture.dcerpc.client.binding import propose
from swn_torture.dcerpc.errors import ProtectionUnavailable
from swn_torture.dcerpc.pdu.bind import BindAck, PresentationContext
from swn_torture.dcerpc.pdu.header import PfcFlags, SecTrailer
from swn_torture.dcerpc.pdu.pdus import FaultPdu, Request, Response
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.dcerpc.server.events import CallReceived
from swn_torture.dcerpc.server.options import ServerOptions
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId, bind_time_features
from tests.dcerpc.rpc_pair import ECHO, KEEP, FakeSecurity, Pair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.dcerpc.pdu.pdus import Pdu

FIRST, LAST, WHOLE = int(PfcFlags.FIRST), int(PfcFlags.LAST), int(PfcFlags.FIRST | PfcFlags.LAST)
INTEGRITY = AuthLevel.INTEGRITY
PROTO_ERROR = FaultStatus.NCA_S_PROTO_ERROR


@pytest.fixture
def pair() -> Pair:
    return Pair()


def element(context_id: int, *transfers: SyntaxId, abstract: SyntaxId = ECHO) -> PresentationContext:
    return PresentationContext(context_id, abstract, transfers)


def sent(pair: Pair, *octets: bytes) -> bytes:
    """Send octets to the server; return what it sends, unparsed."""
    for portion in octets:
        pair.server.receive_data(portion)
        pair.serve()
    return pair.server.data_to_send()


def common(ptype: int, size: int, *, flags: int = WHOLE, auth_length: int = 0, call_id: int = 1) -> bytes:
    return struct.pack("<BBBBIHHI", 5, 0, ptype, flags, 0x10, size, auth_length, call_id)


class TestBindAck:
    OFFER = (element(7, NDR32), element(9, bind_time_features(3)), element(8, NDR32, abstract=NDR64))

    def test_every_field_has_its_place(self, pair: Pair) -> None:
        bind = pair.client.bind(self.OFFER, call_id=3, max_xmit=4280, max_recv=4280)
        octets = sent(pair, replace(bind, flags=bind.flags | PfcFlags.SUPPORT_HEADER_SIGN).pack())
        flags = WHOLE | PfcFlags.CONC_MPX | PfcFlags.SUPPORT_HEADER_SIGN
        assert octets[:16] == common(12, len(octets), flags=flags, call_id=3)
        assert octets[16:24] == struct.pack("<HHI", 4280, 4280, pair.server.assoc_group)
        assert octets[24:32] == b"\6\0" + b"49152\0", "the port with its zero"
        assert octets[32:36] == b"\3\0\0\0", "three results, reserved octets; no padding is necessary"
        assert octets[36:60] == struct.pack("<HH", 0, 0) + NDR32.pack("little")
        assert octets[60:84] == struct.pack("<HH", 3, 3) + bytes(20), "features, and the null syntax"
        assert octets[84:108] == struct.pack("<HH", 2, 1) + bytes(20), "rejected, with the null syntax"
        assert len(octets) == 108

    @pytest.mark.parametrize(("port", "padding"), [(1, 0), (80, 3), (135, 2), (9999, 1), (49152, 0)])
    def test_the_results_are_aligned_to_4_octets(self, port: int, padding: int) -> None:
        pair = Pair()
        pair.server._info = replace(pair.info, local=("127.0.0.9", port))
        octets = sent(pair, pair.client.bind(propose(ECHO)).pack())
        address = f"{port}\0".encode()
        assert octets[24 : 26 + len(address)] == struct.pack("<H", len(address)) + address
        at = 26 + len(address)
        assert octets[at : at + padding] == bytes(padding)
        assert octets[at + padding :][:4] == struct.pack("<BBH", len(propose(ECHO)), 0, 0)

    def test_the_sec_trailer_follows_the_results(self, pair: Pair) -> None:
        entry = pair.secure(INTEGRITY)
        bind = pair.client.bind((element(0, NDR32),), security=entry, token=entry.context.step(b""))
        octets = sent(pair, bind.pack())
        assert octets[60:68] == struct.pack("<BBBBI", AuthType.NTLM, INTEGRITY, 0, 0, 1)
        assert octets[68:] == b"challenge"
        assert octets[8:12] == struct.pack("<HH", len(octets), len(b"challenge"))


class TestAlterContextResp:
    def test_every_field_has_its_place(self, pair: Pair) -> None:
        pair.bind(max_xmit=4280, max_recv=4280)
        alter = pair.client.bind((element(5, NDR64),), alter=True, call_id=9, header_signing=False)
        octets = sent(pair, alter.pack())
        assert octets[:16] == common(15, 56, flags=WHOLE | PfcFlags.CONC_MPX, call_id=9)
        assert octets[16:24] == struct.pack("<HHI", 4280, 4280, pair.server.assoc_group)
        assert octets[24:28] == bytes(4), "no secondary address, and two octets of padding"
        assert octets[28:32] == b"\1\0\0\0"
        assert octets[32:] == struct.pack("<HH", 0, 0) + NDR64.pack("little")

    def test_the_group_is_that_of_the_bind_whatever_the_client_sends(self, pair: Pair) -> None:
        group = pair.bind().assoc_group
        for other in (0, 0xFFFFFFFF - group):
            (ack,) = pair.send(replace(pair.client.bind(propose(ECHO), alter=True), assoc_group=other).pack())
            assert isinstance(ack, BindAck)
            assert ack.assoc_group == group

    def test_the_last_leg_has_a_sec_trailer_without_a_token(self, pair: Pair) -> None:
        """As in Windows: auth_length is 0, and a sec_trailer follows the results."""
        entry = pair.secure(INTEGRITY, AuthType.SPNEGO)
        offer = (element(0, NDR32),)
        (ack,) = pair.send(
            pair.client.send(pair.client.bind(offer, security=entry, token=entry.context.step(b"")))
        )
        third = entry.context.step(ack.auth_value)
        octets = sent(pair, pair.client.bind(offer, security=entry, token=third, alter=True).pack())
        assert octets[8:12] == struct.pack("<HH", len(octets), 0)
        assert octets[56:] == SecTrailer(AuthType.SPNEGO, INTEGRITY, 0, 1).pack()

    def test_a_context_without_what_its_level_needs(
        self, pair: Pair, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def step(_: FakeSecurity, token: bytes) -> bytes:
            if token == b"hello":
                return b"challenge"
            raise ProtectionUnavailable("not sealed")

        entry = pair.secure(AuthLevel.PRIVACY, AuthType.SPNEGO)
        bind = pair.client.bind(propose(ECHO), security=entry, token=b"hello").pack()
        alter = pair.client.bind(propose(ECHO), security=entry, token=b"proof right", alter=True).pack()
        monkeypatch.setattr(FakeSecurity, "step", step)
        pair.send(bind)
        (fault,) = pair.send(alter)
        assert isinstance(fault, FaultPdu)
        assert (fault.status, fault.flags) == (
            FaultStatus.RPC_S_SEC_PKG_ERROR,
            WHOLE | PfcFlags.DID_NOT_EXECUTE,
        )
        assert pair.server.closing


class TestBindNak:
    def test_every_field_has_its_place(self, pair: Pair) -> None:
        octets = sent(pair, pair.client.bind(propose(ECHO), assoc_group=4711, call_id=6).pack())
        assert octets == common(13, 24, call_id=6) + struct.pack("<HBBB", 0, 1, 5, 0) + bytes(3)


class TestFault:
    def test_every_field_has_its_place(self, pair: Pair) -> None:
        pair.bind((element(0x1234, NDR32),))
        _, (request,) = pair.client.request(9, b"x", context_id=0x1234, call_id=5)
        octets = sent(pair, request)
        flags = WHOLE | PfcFlags.DID_NOT_EXECUTE
        assert octets == common(3, 32, flags=flags, call_id=5) + struct.pack(
            "<IHBBII", 32, 0x1234, 0, 0, FaultStatus.NCA_S_OP_RNG_ERROR, 0
        )

    def test_a_fault_has_no_verifier(self, pair: Pair) -> None:
        pair.bind(level=INTEGRITY)
        (fault,) = pair.call(9, b"x")
        assert isinstance(fault, FaultPdu)
        assert fault.trailer is None
        assert pair.call(0, b"x")[0].trailer is not None, "the fault took no sequence number"


def fragment(call_id: int, flags: int, **fields: object) -> Request:
    return Request(call_id=call_id, flags=flags, stub=bytes(16), **fields)  # type: ignore[arg-type]


def the_fault(pair: Pair, answers: Sequence[Pdu]) -> FaultPdu:
    (fault,) = answers
    assert isinstance(fault, FaultPdu)
    assert not fault.flags & PfcFlags.DID_NOT_EXECUTE
    assert pair.server.closing
    return fault


class TestFaultsForFragments:
    """Which call and which presentation context a fault names when fragments do not fit."""

    @staticmethod
    def bound(*, multiplex: bool) -> Pair:
        pair = Pair(options=ServerOptions(multiplex=multiplex))
        pair.bind((element(7, NDR32),))
        return pair

    @pytest.mark.parametrize("flags", [FIRST, LAST, WHOLE])
    @pytest.mark.parametrize("multiplex", [False, True])
    def test_a_pdu_of_another_call(self, flags: int, *, multiplex: bool) -> None:
        pair = self.bound(multiplex=multiplex)
        assert pair.send(fragment(3, FIRST, context_id=7).pack()) == []
        fault = the_fault(pair, pair.send(fragment(4, flags, context_id=7).pack()))
        assert (fault.status, fault.call_id, fault.context_id) == (
            (PROTO_ERROR, 4, 0) if multiplex else (PROTO_ERROR, 3, 7)
        )

    @pytest.mark.parametrize("multiplex", [False, True])
    def test_a_fragment_that_differs(self, *, multiplex: bool) -> None:
        pair = self.bound(multiplex=multiplex)
        pair.send(fragment(3, FIRST, context_id=7).pack())
        fault = the_fault(pair, pair.send(fragment(3, LAST, context_id=7, opnum=1).pack()))
        assert (fault.status, fault.call_id, fault.context_id) == (PROTO_ERROR, 3, 7)

    @pytest.mark.parametrize("multiplex", [False, True])
    def test_a_fragment_without_a_first_one(self, *, multiplex: bool) -> None:
        pair = self.bound(multiplex=multiplex)
        fault = the_fault(pair, pair.send(fragment(3, 0, context_id=7).pack()))
        assert (fault.status, fault.call_id, fault.context_id) == (PROTO_ERROR, 3, 7 if multiplex else 0)

    def test_a_fragment_in_another_security_context(self, pair: Pair) -> None:
        pair.bind(level=INTEGRITY)
        second = pair.secure(INTEGRITY)
        alter = pair.client.bind(propose(ECHO), security=second, token=second.context.step(b""), alter=True)
        (ack,) = pair.send(pair.client.send(alter))
        pair.send(pair.client.auth3(second, second.context.step(ack.auth_value)).pack())
        first, last = (
            pair.client.security[number].protect(fragment(9, flags))
            for number, flags in ((1, FIRST), (2, LAST))
        )
        assert pair.send(first) == []
        fault = the_fault(pair, pair.send(last))
        assert (fault.status, fault.call_id) == (FaultStatus.RPC_S_SEC_PKG_ERROR, 9)


class TestResponse:
    def test_every_field_has_its_place(self, pair: Pair) -> None:
        pair.bind((element(0x1234, NDR32),))
        _, (request,) = pair.client.request(0, b"hello", context_id=0x1234, call_id=5)
        assert (
            sent(pair, request) == common(2, 29, call_id=5) + struct.pack("<IHBB", 5, 0x1234, 0, 0) + b"hello"
        )

    def test_the_sec_trailer_is_aligned_to_16_octets(self, pair: Pair) -> None:
        pair.bind(level=INTEGRITY)
        for size in (0, 1, 15, 16, 17, 40):
            (answer,) = pair.call(0, bytes(size))
            assert isinstance(answer, Response)
            assert answer.trailer == SecTrailer(AuthType.NTLM, INTEGRITY, -size % 16, 1)
            assert answer.padding == bytes(-size % 16)

    def test_fragments_have_the_negotiated_size_and_what_is_left(self) -> None:
        pair = Pair()
        pair.bind(max_xmit=4280, max_recv=4280)
        _, (request,) = pair.client.request(KEEP, b"")
        sent(pair, request)
        pair.echo.kept[0].reply(bytes(10_000))
        answers = [answer for answer in pair.sent_by_server() if isinstance(answer, Response)]
        assert [len(answer.pack()) for answer in answers] == [4280, 4280, 24 + 10_000 - 2 * 4256]
        assert [answer.alloc_hint for answer in answers] == [10_000, 10_000 - 4256, 10_000 - 2 * 4256]


class TestReasons:
    """The reason of each rejection is kept with the connection. The PDUs have no place for it."""

    def test_a_misplaced_sec_trailer_of_a_request(self, pair: Pair) -> None:
        pair.bind(level=INTEGRITY)
        request = Request(call_id=9, stub=bytes(18), trailer=SecTrailer(10, 5, 0, 1), auth_value=bytes(16))
        assert the_fault(pair, pair.send(request.pack())).status == PROTO_ERROR
        assert [str(each) for each in pair.violations] == [
            "the sec_trailer begins at octet 42 of the PDU, which is not a multiple of 4"
        ]

    def test_a_misplaced_sec_trailer_of_an_auth3(self, pair: Pair) -> None:
        entry = pair.secure(INTEGRITY)
        pair.send(pair.client.bind(propose(ECHO), security=entry, token=entry.context.step(b"")).pack())
        third = replace(pair.client.auth3(entry, b"proof right"), padding=bytes(2))
        (fault,) = pair.send(third.pack())
        assert isinstance(fault, FaultPdu)
        assert (fault.status, fault.flags) == (PROTO_ERROR, WHOLE | PfcFlags.DID_NOT_EXECUTE)
        (problem,) = pair.violations
        assert "the sec_trailer begins at octet 22 of the PDU" in str(problem)

    def test_a_failed_logon_is_named_with_the_first_request(self, pair: Pair) -> None:
        pair.bind(level=INTEGRITY, password=b"wrong")
        pair.call(0, b"x")
        (problem,) = pair.violations
        assert str(problem) == "security context 1 has failed: unexpected token b'proof wrong'"

    def test_what_an_interface_says_about_the_stub_data(self, pair: Pair) -> None:
        pair.bind()
        _, (request,) = pair.client.request(KEEP, b"x", call_id=7)
        pair.server.receive_data(request)
        event = pair.server.next_event()
        assert isinstance(event, CallReceived)
        event.call.fault(FaultStatus.RPC_X_BAD_STUB_DATA, problem="NetName: no terminator")
        pair.serve()
        assert [str(each) for each in pair.violations] == ["call 7, opnum 1: NetName: no terminator"]
