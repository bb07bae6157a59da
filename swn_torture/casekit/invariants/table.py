"""The rules of the wire that hold in every case: one row for each field and group of PDU types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from swn_torture.casekit.invariants import bodies, headers, trailers
from swn_torture.dcerpc.pdu.header import PduType

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.casekit.invariants.conversation import Received

#: The PDU types that a server sends.
SERVER_PDUS: Final = (
    PduType.RESPONSE,
    PduType.FAULT,
    PduType.BIND_ACK,
    PduType.BIND_NAK,
    PduType.ALTER_CONTEXT_RESP,
    PduType.SHUTDOWN,
)
_ACKS: Final = (PduType.BIND_ACK, PduType.ALTER_CONTEXT_RESP)
_LEGS: Final = (PduType.BIND_ACK, PduType.BIND_NAK, PduType.ALTER_CONTEXT_RESP)
_WHOLE: Final = tuple(each for each in SERVER_PDUS if each != PduType.RESPONSE)
_RESPONSE: Final = (PduType.RESPONSE,)
_FAULT: Final = (PduType.FAULT,)
_ANSWERS: Final = (PduType.RESPONSE, PduType.FAULT)


@dataclass(frozen=True, slots=True)
class Invariant:
    """A rule on one field.

    Attributes:
        field: the field, as C706 12.6 or MS-RPCE 2.2.2 names it; several with commas between them.
        ptypes: the PDU types in which it holds; empty for all, also unknown ones.
        requirement: catalogue id.
        expected: what is allowed, in one sentence or phrase.
        wrong: returns what is wrong with a PDU, None if nothing is.
        relation: compares with what the client sent. Not judged on a connection on which the client sent
            octets that are not a PDU.
    """

    field: str
    ptypes: tuple[PduType, ...]
    requirement: str
    expected: str
    wrong: Callable[[Received], str | None]
    relation: bool = False


INVARIANTS: Final = (
    # The common header
    Invariant(
        "rpc_vers, rpc_vers_minor",
        (),
        "RPC-PDU-version",
        "version 5.0",
        headers.version,
        relation=True,
    ),
    Invariant("PTYPE", (), "RPC-PDU-ptype", "a PDU type that a server sends", headers.known_type),
    Invariant(
        "PTYPE",
        SERVER_PDUS,
        "RPC-PDU-ptype",
        "a PDU type that answers what the client sent with this call_id",
        headers.type_of_answer,
        relation=True,
    ),
    Invariant(
        "pfc_flags",
        _WHOLE,
        "RPC-PDU-one-fragment",
        "PFC_FIRST_FRAG (0x01) and PFC_LAST_FRAG (0x02)",
        headers.one_fragment,
    ),
    Invariant(
        "pfc_flags",
        _RESPONSE,
        "RPC-FRAG-response",
        "PFC_FIRST_FRAG (0x01) in the first fragment of a response, and only there",
        headers.response_fragments,
    ),
    Invariant(
        "packed_drep",
        (),
        "RPC-PDU-drep",
        "a data representation that C706 defines",
        headers.drep,
    ),
    Invariant(
        "packed_drep",
        _RESPONSE,
        "RPC-PDU-drep",
        "one data representation in all fragments of a response",
        headers.drep_of_fragments,
    ),
    Invariant(
        "packed_drep",
        _RESPONSE,
        "RPC-XFER-ndr64-drep",
        "0x10 as the first octet of packed_drep in an NDR64 context",
        headers.drep_in_ndr64,
        relation=True,
    ),
    Invariant(
        "frag_length",
        _ANSWERS,
        "RPC-FRAG-response",
        "at most the negotiated size",
        headers.length_of_response,
        relation=True,
    ),
    Invariant(
        "call_id",
        _ANSWERS,
        "RPC-CALLID-echo",
        "the call_id of a PDU that the client sent and that is not answered yet",
        headers.call_id,
        relation=True,
    ),
    Invariant(
        "call_id",
        _LEGS,
        "RPC-CALLID-bind",
        "the call_id of a bind or alter_context that is not answered yet",
        headers.call_id,
        relation=True,
    ),
    # The sec_trailer
    Invariant("auth_length", _LEGS, "RPC-AUTH-ack-trailer", "space for the sec_trailer", trailers.place),
    Invariant("auth_length", _ANSWERS, "RPC-AUTH-bind-levels", "space for the sec_trailer", trailers.place),
    Invariant(
        "auth_length",
        _RESPONSE,
        "RPC-AUTH-bind-levels",
        "a sec_trailer in the response to a protected request",
        trailers.protected,
        relation=True,
    ),
    Invariant(
        "auth_length",
        _RESPONSE,
        "RPC-FRAG-response-each-protected",
        "a sec_trailer in every fragment",
        trailers.each_protected,
    ),
    Invariant("auth_reserved", (), "RPC-AUTH-reserved", "auth_reserved 0", trailers.reserved),
    Invariant(
        "auth_pad_length",
        _RESPONSE,
        "RPC-AUTH-padding",
        "sec_trailer at a multiple of 16 octets of the PDU body, auth_pad_length below 16",
        trailers.padding_of_response,
    ),
    Invariant(
        "auth_pad_length",
        _ACKS,
        "RPC-AUTH-ack-trailer",
        "sec_trailer at a multiple of 4 octets, auth_pad_length as the padding before it",
        trailers.padding_of_leg,
    ),
    Invariant(
        "auth_type, auth_level, auth_context_id",
        _ACKS,
        "RPC-AUTH-ack-trailer",
        "auth_type and auth_context_id of the PDU that it answers, and at least its auth_level",
        trailers.context_of_leg,
        relation=True,
    ),
    Invariant(
        "auth_type, auth_level, auth_context_id",
        _RESPONSE,
        "RPC-AUTH-bind-levels",
        "auth_type and auth_context_id of the request, and at least its auth_level",
        trailers.context_of_response,
        relation=True,
    ),
    Invariant(
        "auth_type, auth_level, auth_context_id",
        _RESPONSE,
        "RPC-FRAG-response-each-protected",
        "one auth_type, auth_level and auth_context_id in all fragments",
        trailers.same_in_fragments,
    ),
    # Responses and faults
    Invariant(
        "alloc_hint",
        _RESPONSE,
        "RPC-PDU-alloc-hint",
        "0, or the octets of stub data in this and the following fragments",
        bodies.alloc_hint,
    ),
    Invariant(
        "p_cont_id",
        _RESPONSE,
        "RPC-CTXID-echo",
        "p_cont_id of the request",
        bodies.presentation_context,
        relation=True,
    ),
    Invariant(
        "cancel_count",
        _ANSWERS,
        "RPC-PDU-cancel-count",
        "at most the number of cancels that the client sent for this call",
        bodies.cancel_count,
        relation=True,
    ),
    Invariant("reserved", _RESPONSE, "RPC-PDU-reserved", "0", bodies.reserved_of_response),
    Invariant(
        "reserved",
        _FAULT,
        "RPC-PDU-reserved",
        "0, except for the flag 0x01 of extended error information",
        bodies.reserved_of_fault,
    ),
    Invariant(
        "status",
        _FAULT,
        "RPC-FAULT-status-forbidden",
        "a status that MS-RPCE 3.3.3.5.1 does not forbid",
        bodies.fault_status,
    ),
    Invariant("stub data", _FAULT, "RPC-FAULT-no-stub", "no stub data", bodies.stub_of_fault),
    Invariant(
        "alloc_hint",
        _FAULT,
        "RPC-FAULT-no-stub",
        "0x20 and the length of the extended error information",
        bodies.extended_error,
    ),
    # bind_ack and alter_context_resp
    Invariant(
        "max_xmit_frag, max_recv_frag",
        (PduType.BIND_ACK,),
        "RPC-FRAG-negotiate",
        "sizes that do not exceed the proposed ones",
        bodies.fragment_sizes,
        relation=True,
    ),
    Invariant(
        "assoc_group_id",
        (PduType.BIND_ACK,),
        "RPC-ASSOC-new",
        "an assoc_group_id other than 0",
        bodies.association_group,
    ),
    Invariant(
        "n_results",
        _ACKS,
        "RPC-BIND-result-order",
        "one result for each proposed context",
        bodies.number_of_results,
        relation=True,
    ),
    Invariant(
        "reserved",
        _ACKS,
        "RPC-PDU-reserved",
        "0 in the three octets after n_results",
        bodies.reserved_of_results,
    ),
    Invariant(
        "p_results",
        _ACKS,
        "RPC-BIND-result-values",
        "defined values; a proposed transfer syntax if accepted, else a transfer syntax of zeros",
        bodies.results,
        relation=True,
    ),
)
