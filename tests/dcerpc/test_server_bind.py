"""The answers of a server to bind and alter_context."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from swn_torture.dcerpc.client.binding import propose
from swn_torture.dcerpc.pdu.bind import (
    AlterContextResp,
    BindAck,
    BindNak,
    BindNakReason,
    ContextResult,
    PresentationContext,
)
from swn_torture.dcerpc.pdu.header import BIG_ENDIAN, PfcFlags, SecTrailer
from swn_torture.dcerpc.pdu.pdus import FaultPdu
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.dcerpc.server.interface import AssociationTable
from swn_torture.dcerpc.server.options import ServerOptions
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId, bind_time_features
from tests.dcerpc.rpc_pair import ECHO, Echo, Pair

if TYPE_CHECKING:
    from swn_torture.dcerpc.pdu.pdus import Pdu

ACCEPTED_NDR32 = ContextResult(0, 0, NDR32)
ACCEPTED_NDR64 = ContextResult(0, 0, NDR64)
UNKNOWN_INTERFACE = ContextResult(2, 1)
UNKNOWN_TRANSFER = ContextResult(2, 2)
UNKNOWN = SyntaxId(uuid4(), 1, 0)


def element(number: int, *transfers: SyntaxId, abstract: SyntaxId = ECHO) -> PresentationContext:
    return PresentationContext(number, abstract, transfers)


def refusal(pair: Pair, answers: list[Pdu]) -> BindNak:
    """Return the bind_nak, which must be the only answer. The connection must end."""
    assert len(answers) == 1
    assert isinstance(answers[0], BindNak)
    assert pair.server.closing
    assert pair.violations
    assert len(pair.associations) == 0
    return answers[0]


class TestResults:
    def test_results_have_the_proposed_order(self, pair: Pair) -> None:
        ack = pair.bind(
            [
                element(7, NDR32, abstract=UNKNOWN),
                element(3, NDR32),
                element(9, bind_time_features(3)),
                element(1, UNKNOWN),
            ]
        )
        assert ack.results == (UNKNOWN_INTERFACE, ACCEPTED_NDR32, ContextResult(3, 3), UNKNOWN_TRANSFER)

    @pytest.mark.parametrize(
        ("major", "minor", "served"),
        [(1, 1, True), (1, 0, True), (1, 2, False), (2, 1, False), (0, 1, False)],
    )
    def test_accepted_interface_versions(self, pair: Pair, major: int, minor: int, served: bool) -> None:
        proposed = SyntaxId(ECHO.uuid, major, minor)
        assert pair.bind([element(0, NDR32, abstract=proposed)]).results == (
            (ACCEPTED_NDR32,) if served else (UNKNOWN_INTERFACE,)
        )

    def test_a_lower_minor_version_is_rejected_by_option(self) -> None:
        pair = Pair(options=ServerOptions(exact_minor_version=True))
        lower = SyntaxId(ECHO.uuid, 1, 0)
        assert pair.bind([element(0, NDR32, abstract=lower)]).results == (UNKNOWN_INTERFACE,)

    @pytest.mark.parametrize("first", [NDR32, NDR64])
    def test_only_the_preferred_transfer_syntax_is_accepted(self, pair: Pair, first: SyntaxId) -> None:
        second = NDR64 if first == NDR32 else NDR32
        ack = pair.bind([element(0, first), element(1, second), element(2, bind_time_features(1))])
        expected = (
            [UNKNOWN_TRANSFER, ACCEPTED_NDR64] if first == NDR32 else [ACCEPTED_NDR64, UNKNOWN_TRANSFER]
        )
        assert list(ack.results[:2]) == expected

    def test_the_first_known_syntax_if_the_preferred_is_missing(self) -> None:
        pair = Pair(interfaces=[Echo((NDR64, NDR32, UNKNOWN))])
        assert pair.bind([element(0, UNKNOWN, NDR32)]).results == (ContextResult(0, 0, UNKNOWN),)

    def test_one_transfer_syntax_is_accepted_with_two_ids(self, pair: Pair) -> None:
        assert pair.bind([element(0, NDR32), element(5, NDR32)]).results == (ACCEPTED_NDR32, ACCEPTED_NDR32)

    @pytest.mark.parametrize(
        ("proposed", "confirmed"), [(1, 1), (2, 2), (3, 3), (0xFC, 0), (0xFFFFFFFFFFFFFFFF, 3)]
    )
    def test_only_supported_features_are_confirmed(self, pair: Pair, proposed: int, confirmed: int) -> None:
        ack = pair.bind([element(0, NDR32), element(1, bind_time_features(proposed))])
        assert ack.results[1] == ContextResult(3, confirmed)

    def test_a_feature_element_is_not_a_presentation_context(self, pair: Pair) -> None:
        pair.bind([element(0, NDR32), element(1, bind_time_features(3))])
        (fault,) = pair.call(context_id=1)
        assert isinstance(fault, FaultPdu)
        assert fault.status == FaultStatus.NCA_S_UNK_IF


class TestAcknowledgement:
    @pytest.mark.parametrize(
        ("xmit", "recv", "agreed"),
        [
            (5840, 5840, 5840),
            (4280, 4280, 4280),
            (2048, 5840, 2048),
            (100, 100, 2048),
            (65535, 65535, 5840),
            (4281, 4287, 4280),
        ],
    )
    def test_negotiated_fragment_sizes(self, pair: Pair, xmit: int, recv: int, agreed: int) -> None:
        ack = pair.bind(max_xmit=xmit, max_recv=recv)
        assert (ack.max_xmit, ack.max_recv) == (agreed, agreed)

    def test_the_secondary_address_of_a_bind_ack(self, pair: Pair) -> None:
        assert pair.bind().secondary_address == b"49152\0"
        assert Pair(options=ServerOptions(secondary_address="empty")).bind().secondary_address == b""

    def test_multiplexing_is_confirmed_if_proposed(self) -> None:
        assert Pair().bind(multiplex=True).flags & PfcFlags.CONC_MPX
        assert not Pair().bind(multiplex=False).flags & PfcFlags.CONC_MPX
        assert not Pair(options=ServerOptions(multiplex=False)).bind().flags & PfcFlags.CONC_MPX

    def test_a_big_endian_bind_is_accepted(self, pair: Pair) -> None:
        assert pair.bind(byte_order="big").results[0] == ACCEPTED_NDR32
        assert pair.client.contexts[0].abstract == ECHO


class TestAssociations:
    def test_new_associations_have_different_ids(self) -> None:
        table = AssociationTable()
        ids = {Pair(associations=table, number=n).bind().assoc_group for n in range(1, 4)}
        assert len(ids) == 3
        assert 0 not in ids

    def test_a_second_connection_joins_an_association(self) -> None:
        table = AssociationTable()
        first = Pair(associations=table)
        group = first.bind().assoc_group
        second = Pair(associations=table, number=2)
        assert second.bind(assoc_group=group).assoc_group == group
        assert second.server.association is first.server.association
        assert len(table) == 1

    def test_an_unknown_association_is_rejected(self, pair: Pair) -> None:
        nak = refusal(pair, pair.send(pair.client.send(pair.client.bind(propose(ECHO), assoc_group=4711))))
        assert nak.reason == BindNakReason.NOT_SPECIFIED

    def test_an_association_of_another_address_is_rejected(self) -> None:
        table = AssociationTable()
        group = Pair(associations=table).bind().assoc_group
        other = Pair(associations=table, host="127.0.0.77")
        (nak,) = other.send(other.client.send(other.client.bind(propose(ECHO), assoc_group=group)))
        assert isinstance(nak, BindNak)

    def test_an_ended_association_is_rejected(self) -> None:
        table = AssociationTable()
        first = Pair(associations=table)
        group = first.bind().assoc_group
        assert first.server.association is not None
        assert table.leave(first.server.association, first.info)
        second = Pair(associations=table, number=2)
        refusal(second, second.send(second.client.send(second.client.bind(propose(ECHO), assoc_group=group))))


class TestRejections:
    def test_a_bind_without_contexts_is_rejected(self, pair: Pair) -> None:
        nak = refusal(pair, pair.send(pair.client.send(pair.client.bind([]))))
        assert nak.reason == BindNakReason.PROTOCOL_VERSION_NOT_SUPPORTED
        assert nak.versions == ((5, 0),)

    @pytest.mark.parametrize("version", [(4, 0), (6, 0), (5, 1)])
    def test_a_bind_with_another_rpc_version_is_rejected(self, pair: Pair, version: tuple[int, int]) -> None:
        bind = replace(pair.client.bind(propose(ECHO)), version=version)
        nak = refusal(pair, pair.send(bind.pack()))
        assert nak.reason == BindNakReason.PROTOCOL_VERSION_NOT_SUPPORTED

    def test_a_bind_with_two_feature_elements_is_rejected(self, pair: Pair) -> None:
        twice = [element(0, bind_time_features(1)), element(1, bind_time_features(2))]
        assert refusal(pair, pair.send(pair.client.send(pair.client.bind(twice)))).reason == 0

    def test_a_bind_with_a_wrong_context_count_is_rejected(self, pair: Pair) -> None:
        bind = replace(pair.client.bind(propose(ECHO)), n_contexts=9)
        assert refusal(pair, pair.send(bind.pack())).reason == 4

    def test_a_second_bind_is_rejected(self, pair: Pair) -> None:
        pair.bind()
        (nak,) = pair.send(pair.client.bind(propose(ECHO)).pack())
        assert isinstance(nak, BindNak)
        assert pair.server.closing

    def test_one_context_id_for_two_interfaces_is_rejected(self, pair: Pair) -> None:
        twice = [element(0, NDR32), element(0, NDR32, abstract=SyntaxId(ECHO.uuid, 1, 0))]
        assert refusal(pair, pair.send(pair.client.bind(twice).pack())).reason == 4

    @pytest.mark.parametrize(
        ("auth_type", "level", "reason"), [(99, 5, 8), (10, 7, 0), (10, 1, 0), (10, 0, 0), (16, 5, 8)]
    )
    def test_unknown_security_types_and_levels_are_rejected(
        self, pair: Pair, auth_type: int, level: int, reason: int
    ) -> None:
        bind = replace(
            pair.client.bind(propose(ECHO)), trailer=SecTrailer(auth_type, level), auth_value=b"hello"
        )
        assert refusal(pair, pair.send(bind.pack())).reason == reason

    @pytest.mark.parametrize("refused", [False, True])
    def test_level_call_is_accepted_or_rejected_by_option(self, *, refused: bool) -> None:
        pair = Pair(options=ServerOptions(refuse_level_call=refused))
        bind = replace(
            pair.client.bind(propose(ECHO)), trailer=SecTrailer(10, AuthLevel.CALL), auth_value=b"hello"
        )

        answers = pair.send(bind.pack())

        if refused:
            assert refusal(pair, answers).reason == BindNakReason.INVALID_CHECKSUM
        else:
            assert isinstance(answers[0], BindAck)

    def test_a_token_is_rejected_without_a_provider(self) -> None:
        pair = Pair(secure=False)
        bind = replace(pair.client.bind(propose(ECHO)), trailer=SecTrailer(10, 5), auth_value=b"hello")
        assert refusal(pair, pair.send(bind.pack())).reason == 8

    def test_an_invalid_token_is_rejected(self, pair: Pair) -> None:
        bind = replace(pair.client.bind(propose(ECHO)), trailer=SecTrailer(10, 5), auth_value=b"garbage")
        assert refusal(pair, pair.send(bind.pack())).reason == BindNakReason.INVALID_CHECKSUM

    def test_a_wrong_auth_pad_length_is_rejected(self, pair: Pair) -> None:
        bind = replace(
            pair.client.bind(propose(ECHO)),
            trailer=SecTrailer(10, 5, 9),
            auth_value=b"hello",
            padding=bytes(8),
        )
        assert refusal(pair, pair.send(bind.pack())).reason == 4

    def test_a_misaligned_sec_trailer_in_a_bind_is_rejected(self, pair: Pair) -> None:
        bind = replace(
            pair.client.bind(propose(ECHO)),
            trailer=SecTrailer(10, 5, 2),
            auth_value=b"hello",
            padding=bytes(2),
        )
        assert refusal(pair, pair.send(bind.pack())).reason == 0

    def test_a_context_without_transfer_syntaxes_is_rejected(self, pair: Pair) -> None:
        assert refusal(pair, pair.send(pair.client.bind([element(0)]).pack())).reason == 0


class TestAlterContext:
    def test_alter_context_adds_contexts(self, pair: Pair) -> None:
        pair.bind()
        ack = pair.bind([element(0x1234, NDR64)], alter=True)
        assert isinstance(ack, AlterContextResp)
        assert ack.results == (ACCEPTED_NDR64,)
        assert ack.secondary_address == b""
        assert ack.assoc_group == pair.client.assoc_group
        for context_id in (0, 0x1234):
            (response,) = pair.call(context_id=context_id)
            assert getattr(response, "context_id", None) == context_id

    def test_alter_context_accepts_repeated_contexts(self, pair: Pair) -> None:
        offer = propose(ECHO, (NDR32, NDR64))
        first = pair.bind(offer)
        assert pair.bind(offer, alter=True).results == first.results

    def test_a_context_keeps_its_transfer_syntax(self, pair: Pair) -> None:
        pair.bind([element(0, NDR32)])
        ack = pair.bind([element(0, NDR32), element(1, NDR64)], alter=True)
        assert ack.results == (ACCEPTED_NDR32, ACCEPTED_NDR64)

    def test_unknown_syntaxes_for_a_used_context_change_nothing(self, pair: Pair) -> None:
        pair.bind([element(0, NDR32)])
        assert pair.bind([element(0, UNKNOWN)], alter=True).results == (UNKNOWN_TRANSFER,)
        assert len(pair.call(0)) == 1

    @pytest.mark.parametrize("elements", [[element(0, NDR64)], [element(0)], []])
    def test_a_wrong_alter_context_is_a_protocol_error(
        self, pair: Pair, elements: list[PresentationContext]
    ) -> None:
        pair.bind([element(0, NDR32)])
        (fault,) = pair.send(pair.client.bind(elements, alter=True).pack())
        assert isinstance(fault, FaultPdu)
        assert fault.status == FaultStatus.NCA_S_PROTO_ERROR
        assert fault.flags & PfcFlags.DID_NOT_EXECUTE
        assert pair.server.closing

    def test_alter_context_does_not_negotiate_features(self, pair: Pair) -> None:
        pair.bind([element(0, NDR32)])
        ack = pair.bind([element(1, bind_time_features(3))], alter=True)
        assert ack.results == (UNKNOWN_TRANSFER,)

    def test_alter_context_before_bind_is_a_protocol_error(self, pair: Pair) -> None:
        (fault,) = pair.send(pair.client.bind(propose(ECHO), alter=True).pack())
        assert isinstance(fault, FaultPdu)
        assert fault.status == FaultStatus.NCA_S_PROTO_ERROR
        assert pair.server.closing

    def test_too_many_contexts_get_a_bind_nak(self) -> None:
        pair = Pair(options=ServerOptions(contexts_per_interface=5))
        pair.bind([element(n, NDR32) for n in range(5)])
        (nak,) = pair.send(pair.client.send(pair.client.bind([element(5, NDR32)], alter=True)))
        assert isinstance(nak, BindNak)
        assert nak.reason == BindNakReason.LOCAL_LIMIT_EXCEEDED
        assert len(pair.call()) == 1  # the connection continues

    def test_a_bind_with_255_contexts_is_accepted(self, pair: Pair) -> None:
        ack = pair.bind([element(n, NDR32) for n in range(255)])
        assert set(ack.results) == {ACCEPTED_NDR32}

    def test_alter_context_with_an_unknown_provider_gets_a_fault(self, pair: Pair) -> None:
        pair.bind()
        alter = replace(
            pair.client.bind([element(0, NDR32)], alter=True),
            trailer=SecTrailer(99, 5, 0, 1),
            auth_value=b"?",
        )
        (fault,) = pair.send(alter.pack())
        assert isinstance(fault, FaultPdu)
        assert fault.status == FaultStatus.RPC_S_UNKNOWN_AUTHN_SERVICE


def test_a_big_endian_bind_gets_a_little_endian_answer(pair: Pair) -> None:
    bind = pair.client.bind(propose(ECHO), byte_order="big")
    assert bind.drep == BIG_ENDIAN
    (ack,) = pair.send(pair.client.send(bind))
    assert isinstance(ack, BindAck)
    assert ack.byte_order == "little"
