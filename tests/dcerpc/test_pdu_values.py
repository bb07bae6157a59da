"""PDUs as values: packing, parsing, wrong fields, and names of codes."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swn_torture.dcerpc.errors import LocalProtocolError, RemoteProtocolError
from swn_torture.dcerpc.pdu import pdus
from swn_torture.dcerpc.pdu.bind import (
    AlterContext,
    AlterContextResp,
    Bind,
    BindAck,
    BindNak,
    ContextResult,
    PresentationContext,
    ResultCode,
    describe_reason,
)
from swn_torture.dcerpc.pdu.header import (
    BIG_ENDIAN,
    LITTLE_ENDIAN,
    Header,
    PduType,
    PfcFlags,
    SecTrailer,
    rewrite,
    type_name,
)
from swn_torture.dcerpc.pdu.pdus import (
    Auth3,
    CoCancel,
    FaultPdu,
    Orphaned,
    Pdu,
    Request,
    Response,
    Shutdown,
    unpack,
)
from swn_torture.dcerpc.status import FORBIDDEN_STATUSES, describe_status
from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId, bind_time_features
from tests.examples import examples

U8, U16, U32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))
OCTETS = st.binary(max_size=40)
SYNTAXES = st.builds(SyntaxId, st.uuids(), U16, U16)
ELEMENTS = st.builds(
    PresentationContext, U16, SYNTAXES, st.lists(SYNTAXES, max_size=3).map(tuple), reserved=U8
)
RESULTS = st.builds(ContextResult, U16, U16, SYNTAXES)
COMMON = {
    "call_id": U32,
    "flags": U8.filter(lambda flags: not flags & PfcFlags.OBJECT_UUID),
    "drep": st.sampled_from([LITTLE_ENDIAN, BIG_ENDIAN]),
}
BINDS = {
    "contexts": st.lists(ELEMENTS, max_size=3).map(tuple),
    "max_xmit": U16,
    "max_recv": U16,
    "assoc_group": U32,
}
ACKS = {
    "results": st.lists(RESULTS, max_size=3).map(tuple),
    "max_xmit": U16,
    "max_recv": U16,
    "assoc_group": U32,
    "secondary_address": OCTETS,
}
STUBS = {"stub": OCTETS, "context_id": U16, "alloc_hint": U32}
PDUS: st.SearchStrategy[Pdu] = st.one_of(
    st.builds(Request, opnum=U16, **STUBS, **COMMON),
    st.builds(Response, cancel_count=U8, **STUBS, **COMMON),
    st.builds(FaultPdu, status=U32, context_id=U16, cancel_count=U8, alloc_hint=U32, **COMMON),
    st.builds(Bind, **BINDS, **COMMON),
    st.builds(AlterContext, **BINDS, **COMMON),
    st.builds(BindAck, **ACKS, **COMMON),
    st.builds(AlterContextResp, **ACKS, **COMMON),
    st.builds(BindNak, reason=U16, versions=st.lists(st.tuples(U8, U8), max_size=3).map(tuple), **COMMON),
    st.builds(Auth3, pad=st.binary(min_size=4, max_size=4), **COMMON),
    st.builds(CoCancel, **COMMON),
    st.builds(Orphaned, **COMMON),
    st.builds(Shutdown, **COMMON),
)
TRAILERS = st.builds(SecTrailer, U8, U8, st.just(0), U32, U8)


class TestRoundTrip:
    @given(PDUS)
    @examples(300)
    def test_a_packed_pdu_is_parsed_to_the_same_value(self, pdu: Pdu) -> None:
        assert unpack(pdu.pack()) == pdu

    @given(PDUS, TRAILERS, st.binary(min_size=1, max_size=30), st.integers(0, 15))
    def test_a_pdu_with_a_verifier_is_parsed_to_the_same_value(
        self, pdu: Pdu, trailer: SecTrailer, token: bytes, pad: int
    ) -> None:
        protected = replace(
            pdu, trailer=replace(trailer, pad_length=pad), padding=bytes(pad), auth_value=token
        )
        assert unpack(protected.pack()) == protected

    @given(st.uuids(), st.sampled_from([LITTLE_ENDIAN, BIG_ENDIAN]))
    def test_a_request_with_an_object_uuid(self, target: UUID, drep: bytes) -> None:
        pdu = Request(flags=0x83, object_uuid=target, stub=b"x", alloc_hint=1, drep=drep)
        assert unpack(pdu.pack()) == pdu

    def test_a_bind_has_the_expected_octets(self) -> None:
        element = PresentationContext(
            1, SyntaxId(UUID("00112233-4455-6677-8899-aabbccddeeff"), 1, 2), (NDR32,)
        )
        expected = (
            "05000b03 10000000 4800 0000 07000000"  # header: bind, first and last, 72 octets, call 7
            "d016 d016 00000000 01 000000"  # 5840, 5840, new association, one context
            "0100 01 00 33221100554477668899aabbccddeeff 0100 0200"
            "045d888aeb1cc9119fe808002b104860 0200 0000"
        )
        assert Bind(call_id=7, contexts=(element,)).pack() == bytes.fromhex(expected)

    def test_a_big_endian_interface_version_is_one_word(self) -> None:
        assert SyntaxId(UUID(int=0), 0x0102, 0x0304).pack("big")[16:] == bytes.fromhex("03040102")


class TestWrongOnPurpose:
    """Every length and count can be written wrong; nothing else changes."""

    def test_wrong_lengths_are_written(self) -> None:
        octets = Request(stub=b"abcd", frag_length=8, auth_length=99, alloc_hint=7).pack()
        assert Header.unpack(octets).frag_length == 8
        assert Header.unpack(octets).auth_length == 99
        assert octets[16:20] == bytes.fromhex("07000000")

    def test_wrong_counts_are_written(self) -> None:
        bind = Bind(contexts=(PresentationContext(0, NDR32, (NDR32,), n_transfers=9),), n_contexts=200)
        assert bind.pack()[24] == 200
        assert bind.pack()[30] == 9
        ack = BindAck(secondary_address=b"135\0", address_length=0xFFFF, n_results=3)
        assert ack.pack()[24:26] == b"\xff\xff"

    def test_any_version_and_drep_are_written(self) -> None:
        assert CoCancel(version=(4, 1)).pack()[:2] == b"\x04\x01"
        assert CoCancel(drep=b"\x11\x02\x03\x04").pack()[4:8] == b"\x11\x02\x03\x04"

    def test_rewrite_changes_only_the_given_fields(self) -> None:
        octets = Request(opnum=1, trailer=SecTrailer(10, 5, 0, 1), auth_value=bytes(16)).pack()
        changed = rewrite(octets, opnum=4, auth_context_id=77, ptype=99, drep=BIG_ENDIAN)
        assert [index for index in range(len(octets)) if octets[index] != changed[index]] == [2, 4, 22, 28]
        with pytest.raises(LocalProtocolError, match="no field 'auth_level'"):
            rewrite(CoCancel().pack(), auth_level=1)
        with pytest.raises(LocalProtocolError, match="opnum"):
            rewrite(CoCancel().pack(), opnum=1)


class TestRejected:
    """Errors name the field and its offset."""

    @pytest.mark.parametrize(
        ("octets", "field", "offset"),
        [
            (Request().pack()[:10], None, None),
            (Request(frag_length=30).pack(), "frag_length", 8),
            (Request(auth_length=20).pack(), "auth_length", 10),
            (rewrite(Request().pack(), ptype=77), "ptype", 2),
            (rewrite(Request().pack(), ptype=PduType.PING), "ptype", 2),
            (Request(drep=b"\x20\0\0\0").pack(), "drep", 4),
            (Bind(n_contexts=1).pack(), "p_context_elem[0]", 28),
            (
                Bind(contexts=(PresentationContext(0, NDR32, (), n_transfers=1),)).pack(),
                "p_context_elem[0].transfer_syntaxes[0]",
                52,
            ),
            (BindAck(address_length=100).pack(), "sec_addr", 26),
            (BindAck(n_results=1).pack(), "p_result_list[0]", 32),
            (BindNak(n_versions=9).pack(), "versions[1]", 21),
            (Request(flags=0x83, stub=b"short").pack(), "object", 24),
            (
                Request(stub=b"ab", trailer=SecTrailer(10, 5, 3), auth_value=b"x").pack(),
                "sec_trailer.auth_pad_length",
                28,
            ),
        ],
    )
    def test_an_error_has_the_field_and_its_offset(
        self, octets: bytes, field: str | None, offset: int | None
    ) -> None:
        with pytest.raises(RemoteProtocolError) as caught:
            unpack(octets)
        assert (caught.value.field, caught.value.offset) == (field, offset)

    def test_octets_after_the_fields_are_kept_as_padding(self) -> None:
        assert unpack(CoCancel(padding=b"\0").pack()).padding == b"\0"

    @given(
        st.sampled_from([PduType.REQUEST, PduType.RESPONSE]),
        U8,
        st.integers(0, 20),
        st.sampled_from([LITTLE_ENDIAN, BIG_ENDIAN]),
        st.binary(max_size=60),
    )
    @examples(300)
    def test_what_is_read_at_once_is_what_is_read_field_by_field(
        self, ptype: PduType, flags: int, auth_length: int, drep: bytes, octets: bytes
    ) -> None:
        raw = Header(ptype, flags, 16 + len(octets), auth_length, 7, drep).pack() + octets
        answers: list[object] = []
        for ways in (pdus._AT_ONCE, {}):
            with mock.patch.object(pdus, "_AT_ONCE", ways):
                try:
                    answers.append(unpack(raw))
                except RemoteProtocolError as error:
                    answers.append(str(error))
        assert answers[0] == answers[1]

    @given(st.binary(max_size=120))
    def test_garbage_without_a_header_is_rejected(self, octets: bytes) -> None:
        raw = octets[:8] + (len(octets) + 1).to_bytes(2, "little") + octets[10:]
        with pytest.raises(RemoteProtocolError):
            unpack(raw)

    @given(st.integers(0, 20), U8, st.integers(0, 20), st.binary(max_size=120))
    @examples(300)
    def test_garbage_after_a_header_is_parsed_or_rejected(
        self, ptype: int, flags: int, auth_length: int, octets: bytes
    ) -> None:
        """What is parsed is packed again with the same length and the same header."""
        header = Header(ptype, flags, 16 + len(octets), auth_length, 7)
        raw = header.pack() + octets
        try:
            packed = unpack(raw).pack()
        except RemoteProtocolError:
            return
        assert len(packed) == len(raw)
        assert Header.unpack(packed) == header


class TestNames:
    def test_descriptions_of_fault_statuses(self) -> None:
        assert describe_status(0x1C010002) == "nca_s_op_rng_error (0x1C010002)"
        assert describe_status(5) == "ERROR_ACCESS_DENIED (0x00000005)"
        assert describe_status(0x16C9A0D6) == "ept_s_not_registered (0x16C9A0D6)"
        assert describe_status(0xDEADBEEF) == "0xDEADBEEF"
        assert len(FORBIDDEN_STATUSES) == 14

    def test_descriptions_of_pdu_types_and_reasons(self) -> None:
        assert type_name(11) == "bind (11)"
        assert type_name(77) == "PDU type 77"
        assert describe_reason(8) == "authentication_type_not_recognized (8)"
        assert describe_reason(4711) == "4711"
        assert str(ContextResult(ResultCode.PROVIDER_REJECTION, 2)) == (
            "provider_rejection (2), transfer_syntaxes_not_supported (2)"
        )
        assert str(ContextResult(3, 1)) == "negotiate_ack (3), reason 1"

    def test_bind_time_features_as_a_transfer_syntax(self) -> None:
        assert str(bind_time_features(3).uuid) == "6cb71c2c-9812-4540-0300-000000000000"
        assert bind_time_features(0xFC).features == 0xFC
        assert NDR64.features is None

    def test_which_minor_versions_an_interface_serves(self) -> None:
        ours = SyntaxId(UUID(int=5), 1, 1)
        assert ours.serves(replace(ours, minor=0))
        assert not ours.serves(replace(ours, minor=2))
        assert not ours.serves(replace(ours, major=2))
