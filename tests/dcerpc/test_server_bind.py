"""What a server answers to bind and alter_context."""

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
NOBODY = SyntaxId(uuid4(), 1, 0)


def element(number: int, *transfers: SyntaxId, abstract: SyntaxId = ECHO) -> PresentationContext:
    return PresentationContext(number, abstract, transfers)


def refusal(pair: Pair, answers: list[Pdu]) -> BindNak:
    """The bind_nak that is the only answer, and the end of the connection."""
    assert len(answers) == 1
    assert isinstance(answers[0], BindNak)
    assert pair.server.closing
    assert pair.violations
    assert len(pair.associations) == 0
    return answers[0]


class TestResults:
    def test_one_per_element_in_the_proposed_order(self, pair: Pair) -> None:
        ack = pair.bind(
            [
                element(7, NDR32, abstract=NOBODY),
                element(3, NDR32),
                element(9, bind_time_features(3)),
                element(1, NOBODY),
            ]
        )
        assert ack.results == (UNKNOWN_INTERFACE, ACCEPTED_NDR32, ContextResult(3, 3), UNKNOWN_TRANSFER)

    @pytest.mark.parametrize(
        ("major", "minor", "served"),
        [(1, 1, True), (1, 0, True), (1, 2, False), (2, 1, False), (0, 1, False)],
    )
    def test_versions(self, pair: Pair, major: int, minor: int, served: bool) -> None:
        asked = SyntaxId(ECHO.uuid, major, minor)
        assert pair.bind([element(0, NDR32, abstract=asked)]).results == (
            (ACCEPTED_NDR32,) if served else (UNKNOWN_INTERFACE,)
        )

    def test_exact_versions_by_option(self) -> None:
        pair = Pair(options=ServerOptions(exact_minor_version=True))
        lower = SyntaxId(ECHO.uuid, 1, 0)
        assert pair.bind([element(0, NDR32, abstract=lower)]).results == (UNKNOWN_INTERFACE,)

    @pytest.mark.parametrize("first", [NDR32, NDR64])
    def test_our_preferred_transfer_syntax_is_the_only_one_accepted(
        self, pair: Pair, first: SyntaxId
    ) -> None:
        second = NDR64 if first == NDR32 else NDR32
        ack = pair.bind([element(0, first), element(1, second), element(2, bind_time_features(1))])
        expected = (
            [UNKNOWN_TRANSFER, ACCEPTED_NDR64] if first == NDR32 else [ACCEPTED_NDR64, UNKNOWN_TRANSFER]
        )
        assert list(ack.results[:2]) == expected

    def test_the_clients_first_if_ours_is_not_offered(self) -> None:
        pair = Pair(interfaces=[Echo((NDR64, NDR32, NOBODY))])
        assert pair.bind([element(0, NOBODY, NDR32)]).results == (ContextResult(0, 0, NOBODY),)

    def test_one_transfer_syntax_may_be_accepted_under_two_ids(self, pair: Pair) -> None:
        assert pair.bind([element(0, NDR32), element(5, NDR32)]).results == (ACCEPTED_NDR32, ACCEPTED_NDR32)

    @pytest.mark.parametrize(("asked", "given"), [(1, 1), (2, 2), (3, 3), (0xFC, 0), (0xFFFFFFFFFFFFFFFF, 3)])
    def test_only_supported_features_are_confirmed(self, pair: Pair, asked: int, given: int) -> None:
        ack = pair.bind([element(0, NDR32), element(1, bind_time_features(asked))])
        assert ack.results[1] == ContextResult(3, given)

    def test_the_feature_element_is_no_context(self, pair: Pair) -> None:
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
    def test_fragment_sizes(self, pair: Pair, xmit: int, recv: int, agreed: int) -> None:
        ack = pair.bind(max_xmit=xmit, max_recv=recv)
        assert (ack.max_xmit, ack.max_recv) == (agreed, agreed)

    def test_secondary_address(self, pair: Pair) -> None:
        assert pair.bind().secondary_address == b"49152\0"
        assert Pair(options=ServerOptions(secondary_address="empty")).bind().secondary_address == b""

    def test_multiplexing_is_confirmed_when_asked_for(self) -> None:
        assert Pair().bind(multiplex=True).flags & PfcFlags.CONC_MPX
        assert not Pair().bind(multiplex=False).flags & PfcFlags.CONC_MPX
        assert not Pair(options=ServerOptions(multiplex=False)).bind().flags & PfcFlags.CONC_MPX

    def test_big_endian_clients(self, pair: Pair) -> None:
        assert pair.bind(byte_order="big").results[0] == ACCEPTED_NDR32
        assert pair.client.contexts[0].abstract == ECHO


class TestAssociations:
    def test_each_new_one_has_its_own_id(self) -> None:
        table = AssociationTable()
        ids = {Pair(associations=table, number=n).bind().assoc_group for n in range(1, 4)}
        assert len(ids) == 3
        assert 0 not in ids

    def test_joining(self) -> None:
        table = AssociationTable()
        first = Pair(associations=table)
        group = first.bind().assoc_group
        second = Pair(associations=table, number=2)
        assert second.bind(assoc_group=group).assoc_group == group
        assert second.server.association is first.server.association
        assert len(table) == 1

    def test_an_unknown_one_is_refused(self, pair: Pair) -> None:
        nak = refusal(pair, pair.tell(pair.client.send(pair.client.bind(propose(ECHO), assoc_group=4711))))
        assert nak.reason == BindNakReason.NOT_SPECIFIED

    def test_another_address_is_refused(self) -> None:
        table = AssociationTable()
        group = Pair(associations=table).bind().assoc_group
        other = Pair(associations=table, host="127.0.0.77")
        (nak,) = other.tell(other.client.send(other.client.bind(propose(ECHO), assoc_group=group)))
        assert isinstance(nak, BindNak)

    def test_one_that_has_gone_is_refused(self) -> None:
        table = AssociationTable()
        first = Pair(associations=table)
        group = first.bind().assoc_group
        assert first.server.association is not None
        assert table.leave(first.server.association, first.info)
        second = Pair(associations=table, number=2)
        refusal(second, second.tell(second.client.send(second.client.bind(propose(ECHO), assoc_group=group))))


class TestRefusals:
    def test_no_context(self, pair: Pair) -> None:
        nak = refusal(pair, pair.tell(pair.client.send(pair.client.bind([]))))
        assert nak.reason == BindNakReason.PROTOCOL_VERSION_NOT_SUPPORTED
        assert nak.versions == ((5, 0),)

    @pytest.mark.parametrize("version", [(4, 0), (6, 0), (5, 1)])
    def test_versions_of_the_protocol(self, pair: Pair, version: tuple[int, int]) -> None:
        bind = replace(pair.client.bind(propose(ECHO)), version=version)
        nak = refusal(pair, pair.tell(bind.pack()))
        assert nak.reason == BindNakReason.PROTOCOL_VERSION_NOT_SUPPORTED

    def test_two_feature_elements(self, pair: Pair) -> None:
        twice = [element(0, bind_time_features(1)), element(1, bind_time_features(2))]
        assert refusal(pair, pair.tell(pair.client.send(pair.client.bind(twice)))).reason == 0

    def test_counts_that_do_not_fit(self, pair: Pair) -> None:
        bind = replace(pair.client.bind(propose(ECHO)), n_contexts=9)
        assert refusal(pair, pair.tell(bind.pack())).reason == 4

    def test_a_second_bind(self, pair: Pair) -> None:
        pair.bind()
        (nak,) = pair.tell(pair.client.bind(propose(ECHO)).pack())
        assert isinstance(nak, BindNak)
        assert pair.server.closing

    def test_an_id_for_two_things(self, pair: Pair) -> None:
        twice = [element(0, NDR32), element(0, NDR32, abstract=SyntaxId(ECHO.uuid, 1, 0))]
        assert refusal(pair, pair.tell(pair.client.bind(twice).pack())).reason == 4

    @pytest.mark.parametrize(
        ("auth_type", "level", "reason"), [(99, 5, 8), (10, 7, 0), (10, 1, 0), (10, 0, 0), (16, 5, 8)]
    )
    def test_security_that_is_not_served(self, pair: Pair, auth_type: int, level: int, reason: int) -> None:
        bind = replace(
            pair.client.bind(propose(ECHO)), trailer=SecTrailer(auth_type, level), auth_value=b"hello"
        )
        assert refusal(pair, pair.tell(bind.pack())).reason == reason

    @pytest.mark.parametrize("refused", [False, True])
    def test_level_call_is_packet_or_refused_by_option(self, *, refused: bool) -> None:
        pair = Pair(options=ServerOptions(refuse_level_call=refused))
        bind = replace(
            pair.client.bind(propose(ECHO)), trailer=SecTrailer(10, AuthLevel.CALL), auth_value=b"hello"
        )

        answers = pair.tell(bind.pack())

        if refused:
            assert refusal(pair, answers).reason == BindNakReason.INVALID_CHECKSUM
        else:
            assert isinstance(answers[0], BindAck)

    def test_no_security_at_all(self) -> None:
        pair = Pair(secure=False)
        bind = replace(pair.client.bind(propose(ECHO)), trailer=SecTrailer(10, 5), auth_value=b"hello")
        assert refusal(pair, pair.tell(bind.pack())).reason == 8

    def test_a_token_that_leads_nowhere(self, pair: Pair) -> None:
        bind = replace(pair.client.bind(propose(ECHO)), trailer=SecTrailer(10, 5), auth_value=b"nonsense")
        assert refusal(pair, pair.tell(bind.pack())).reason == BindNakReason.INVALID_CHECKSUM

    def test_padding_that_is_not_there(self, pair: Pair) -> None:
        bind = replace(
            pair.client.bind(propose(ECHO)),
            trailer=SecTrailer(10, 5, 9),
            auth_value=b"hello",
            padding=bytes(8),
        )
        assert refusal(pair, pair.tell(bind.pack())).reason == 4

    def test_a_trailer_at_an_odd_place(self, pair: Pair) -> None:
        bind = replace(
            pair.client.bind(propose(ECHO)),
            trailer=SecTrailer(10, 5, 2),
            auth_value=b"hello",
            padding=bytes(2),
        )
        assert refusal(pair, pair.tell(bind.pack())).reason == 0

    def test_a_context_without_transfer_syntax(self, pair: Pair) -> None:
        assert refusal(pair, pair.tell(pair.client.bind([element(0)]).pack())).reason == 0


class TestAlterContext:
    def test_adds_contexts(self, pair: Pair) -> None:
        pair.bind()
        ack = pair.bind([element(0x1234, NDR64)], alter=True)
        assert isinstance(ack, AlterContextResp)
        assert ack.results == (ACCEPTED_NDR64,)
        assert ack.secondary_address == b""
        assert ack.assoc_group == pair.client.assoc_group
        for context_id in (0, 0x1234):
            (response,) = pair.call(context_id=context_id)
            assert getattr(response, "context_id", None) == context_id

    def test_repeats_are_accepted_again(self, pair: Pair) -> None:
        offer = propose(ECHO, (NDR32, NDR64))
        first = pair.bind(offer)
        assert pair.bind(offer, alter=True).results == first.results

    def test_a_context_keeps_its_transfer_syntax(self, pair: Pair) -> None:
        pair.bind([element(0, NDR32)])
        ack = pair.bind([element(0, NDR32), element(1, NDR64)], alter=True)
        assert ack.results == (ACCEPTED_NDR32, ACCEPTED_NDR64)

    def test_unknown_syntaxes_for_a_context_in_use_change_nothing(self, pair: Pair) -> None:
        pair.bind([element(0, NDR32)])
        assert pair.bind([element(0, NOBODY)], alter=True).results == (UNKNOWN_TRANSFER,)
        assert len(pair.call(0)) == 1

    @pytest.mark.parametrize("elements", [[element(0, NDR64)], [element(0)], []])
    def test_what_breaks_the_protocol(self, pair: Pair, elements: list[PresentationContext]) -> None:
        pair.bind([element(0, NDR32)])
        (fault,) = pair.tell(pair.client.bind(elements, alter=True).pack())
        assert isinstance(fault, FaultPdu)
        assert fault.status == FaultStatus.NCA_S_PROTO_ERROR
        assert fault.flags & PfcFlags.DID_NOT_EXECUTE
        assert pair.server.closing

    def test_features_are_for_binds(self, pair: Pair) -> None:
        pair.bind([element(0, NDR32)])
        ack = pair.bind([element(1, bind_time_features(3))], alter=True)
        assert ack.results == (UNKNOWN_TRANSFER,)

    def test_before_bind(self, pair: Pair) -> None:
        (fault,) = pair.tell(pair.client.bind(propose(ECHO), alter=True).pack())
        assert isinstance(fault, FaultPdu)
        assert fault.status == FaultStatus.NCA_S_PROTO_ERROR
        assert pair.server.closing

    def test_contexts_beyond_the_limit(self) -> None:
        pair = Pair(options=ServerOptions(contexts_per_interface=5))
        pair.bind([element(n, NDR32) for n in range(5)])
        (nak,) = pair.tell(pair.client.send(pair.client.bind([element(5, NDR32)], alter=True)))
        assert isinstance(nak, BindNak)
        assert nak.reason == BindNakReason.LOCAL_LIMIT_EXCEEDED
        assert len(pair.call()) == 1  # the connection goes on

    def test_a_full_load_of_contexts(self, pair: Pair) -> None:
        ack = pair.bind([element(n, NDR32) for n in range(255)])
        assert set(ack.results) == {ACCEPTED_NDR32}

    def test_unknown_provider(self, pair: Pair) -> None:
        pair.bind()
        alter = replace(
            pair.client.bind([element(0, NDR32)], alter=True),
            trailer=SecTrailer(99, 5, 0, 1),
            auth_value=b"?",
        )
        (fault,) = pair.tell(alter.pack())
        assert isinstance(fault, FaultPdu)
        assert fault.status == FaultStatus.RPC_S_UNKNOWN_AUTHN_SERVICE


def test_answers_are_little_endian_even_for_big_endian_callers(pair: Pair) -> None:
    bind = pair.client.bind(propose(ECHO), byte_order="big")
    assert bind.drep == BIG_ENDIAN
    (ack,) = pair.tell(pair.client.send(bind))
    assert isinstance(ack, BindAck)
    assert ack.byte_order == "little"
