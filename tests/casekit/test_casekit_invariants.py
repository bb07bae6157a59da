"""The rules of the wire: each wrong field of a server's PDU breaks its rule, and nothing else does."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.casekit.checks import Spec
from swn_torture.casekit.invariants.judging import judge_wire
from swn_torture.casekit.invariants.table import INVARIANTS, SERVER_PDUS
from swn_torture.dcerpc.pdu.bind import (
    AlterContext,
    AlterContextResp,
    Bind,
    BindAck,
    BindNak,
    ContextResult,
    PresentationContext,
)
from swn_torture.dcerpc.pdu.header import BIG_ENDIAN, PduType, PfcFlags, SecTrailer, rewrite
from swn_torture.dcerpc.pdu.pdus import Auth3, CoCancel, FaultPdu, Pdu, Request, Response, Shutdown
from swn_torture.dcerpc.transcript import Transcript
from swn_torture.spec import load_catalogue
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.witness.constants import WITNESS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from swn_torture.dcerpc.transcript import Kind

LOCAL, SERVER = ("192.0.2.9", 50000), ("192.0.2.1", 49152)
TRAILER = SecTrailer(10, 5, 0, 7)
FIRST, LAST = PfcFlags.FIRST, PfcFlags.LAST

Step = tuple["Kind", "Pdu | bytes"]

BIND = Bind(
    call_id=1,
    contexts=(PresentationContext(0, WITNESS, (NDR32,)), PresentationContext(1, WITNESS, (NDR64,))),
    trailer=TRAILER,
    auth_value=bytes(16),
)
ACK = BindAck(
    call_id=1,
    results=(ContextResult(0, 0, NDR32), ContextResult(2, 2)),
    assoc_group=0x1234,
    secondary_address=b"49152\0",
    trailer=TRAILER,
    auth_value=bytes(16),
)
ALTER = AlterContext(call_id=2, contexts=(PresentationContext(3, WITNESS, (NDR32,)),))
RESP = AlterContextResp(call_id=2, results=(ContextResult(0, 0, NDR32),), assoc_group=0x1234)
REQUEST = Request(call_id=3, opnum=0, stub=bytes(16), context_id=3, trailer=TRAILER, auth_value=bytes(16))
RESPONSE = Response(call_id=3, stub=bytes(32), context_id=3, trailer=TRAILER, auth_value=bytes(16))
FAULT = FaultPdu(call_id=3, status=0x1C010002, context_id=3)


def transcript(*steps: Step) -> Transcript:
    found = Transcript()
    number = found.connection()
    for kind, what in steps:
        found.add(number, kind, LOCAL, SERVER, what if isinstance(what, bytes) else what.pack())
    return found


def sent(*pdus: Pdu | bytes) -> list[Step]:
    return [("sent", pdu) for pdu in pdus]


def received(*pdus: Pdu | bytes) -> list[Step]:
    return [("received", pdu) for pdu in pdus]


def judged(steps: Iterable[Step], *requirements: str) -> Spec:
    spec = Spec("rpc.some.case", requirements)
    judge_wire(spec, [transcript(*steps)])
    return spec


def broken(*steps: Step) -> set[str]:
    return {check.requirement for check in judged(steps).failed}


def raw(pdu: Pdu, **fields: Any) -> bytes:
    return rewrite(pdu.pack(), **fields)


BOUND = (*sent(BIND), *received(ACK))
ALTERED = (*BOUND, *sent(ALTER), *received(RESP))


def two_fragments(**second: Any) -> tuple[Step, ...]:
    first = replace(RESPONSE, flags=FIRST, stub=bytes(16), alloc_hint=32)
    last = replace(RESPONSE, **{"flags": LAST, "stub": bytes(16), **second})
    return (*ALTERED, *sent(REQUEST), *received(first, last))


CONFORMING: dict[str, tuple[Step, ...]] = {
    "bind, alter_context, call": (*ALTERED, *sent(REQUEST), *received(RESPONSE)),
    "two fragments": two_fragments(),
    "alloc_hint 0 in fragments": (
        *ALTERED,
        *sent(REQUEST),
        *received(replace(RESPONSE, flags=FIRST, alloc_hint=0), replace(RESPONSE, flags=LAST, alloc_hint=0)),
    ),
    "fault for a request": (*ALTERED, *sent(REQUEST), *received(FAULT)),
    "fault for a bind": (*sent(BIND), *received(FaultPdu(call_id=1, status=5))),
    "fault for an alter_context": (*BOUND, *sent(ALTER), *received(FaultPdu(call_id=2, status=5))),
    "bind_nak for an alter_context": (*BOUND, *sent(ALTER), *received(BindNak(call_id=2, reason=2))),
    "bind_nak for a request without a bind": (
        *sent(REQUEST),
        *received(BindNak(call_id=REQUEST.call_id, reason=4)),
    ),
    "a fault for each fragment": (
        *ALTERED,
        *sent(replace(REQUEST, flags=FIRST), replace(REQUEST, flags=LAST)),
        *received(FAULT, FAULT),
    ),
    "the same call_id twice": (
        *ALTERED,
        *sent(REQUEST),
        *received(RESPONSE),
        *sent(REQUEST),
        *received(RESPONSE),
    ),
    "shutdown": (*ALTERED, *received(Shutdown(call_id=0), Shutdown(call_id=0))),
    "big-endian response": (
        *ALTERED,
        *sent(REQUEST),
        *received(replace(RESPONSE, drep=BIG_ENDIAN)),
    ),
    "extended error information": (
        *ALTERED,
        *sent(REQUEST),
        *received(replace(FAULT, reserved=1, alloc_hint=0x20 + 12, padding=bytes(12))),
    ),
    "a higher level": (
        *sent(BIND),
        *received(replace(ACK, trailer=replace(TRAILER, auth_level=6))),
    ),
    "legs that differ": (
        *BOUND,
        *sent(replace(ALTER, trailer=replace(TRAILER, auth_type=9, auth_level=6), auth_value=bytes(16))),
        *received(replace(RESP, trailer=TRAILER, auth_value=bytes(16))),
    ),
    "no verifier at level connect": (
        *sent(BIND),
        *received(ACK),
        *sent(replace(REQUEST, context_id=0, trailer=None, auth_value=b"")),
        *received(replace(RESPONSE, context_id=0, trailer=None, auth_value=b"")),
    ),
    "verifier in the request only, at level connect": (
        *BOUND,
        *sent(replace(REQUEST, context_id=0, trailer=replace(TRAILER, auth_level=2))),
        *received(replace(RESPONSE, context_id=0, trailer=None, auth_value=b"")),
    ),
    "low 8 bits of p_cont_id": (
        *ALTERED,
        *sent(replace(REQUEST, context_id=0x1203)),
        *received(replace(RESPONSE, context_id=3)),
    ),
    "fault after the first fragment of a response": (
        *ALTERED,
        *sent(REQUEST, REQUEST),
        *received(replace(RESPONSE, flags=FIRST, alloc_hint=0), FAULT, RESPONSE),
    ),
    "version 5.1 after a PDU of version 5.1": (
        *ALTERED,
        *sent(raw(REQUEST, version_minor=1)),
        *received(raw(FAULT, version_minor=1)),
    ),
    "bind in two segments": (*sent(BIND.pack()[:40], BIND.pack()[40:]), *received(ACK)),
    "cancelled call": (
        *ALTERED,
        *sent(REQUEST, CoCancel(call_id=3)),
        *received(replace(FAULT, cancel_count=1)),
    ),
    "small sizes": (
        *sent(replace(BIND, max_xmit=1432, max_recv=1432)),
        *received(replace(ACK, max_xmit=2048, max_recv=2048)),
    ),
    "an incomplete PDU": (*ALTERED, *sent(REQUEST.pack()[:40]), *received(FAULT)),
    "auth3": (*BOUND, *sent(Auth3(call_id=2, trailer=TRAILER, auth_value=bytes(16)))),
    "nothing is received": (*sent(BIND),),
}


@pytest.mark.parametrize("steps", CONFORMING.values(), ids=CONFORMING)
def test_what_the_text_allows_breaks_no_rule(steps: tuple[Step, ...]) -> None:
    assert broken(*steps) == set()


def answer(pdu: Pdu | bytes, *before: Pdu) -> tuple[Step, ...]:
    return (*ALTERED, *sent(*before or (REQUEST,)), *received(pdu))


PADDED = replace(RESPONSE, stub=bytes(20), padding=bytes(8), trailer=replace(TRAILER, pad_length=8))

WRONG: dict[str, tuple[tuple[Step, ...], str]] = {
    "rpc_vers_minor": (answer(replace(RESPONSE, version=(5, 1))), "RPC-PDU-version"),
    "request from a server": (answer(replace(REQUEST, call_id=9)), "RPC-PDU-ptype"),
    "undefined type": (answer(raw(RESPONSE, ptype=77)), "RPC-PDU-ptype"),
    "bind_ack for a request": (answer(replace(ACK, call_id=3)), "RPC-PDU-ptype"),
    "response for an alter_context": (
        (*BOUND, *sent(ALTER), *received(replace(RESPONSE, call_id=2))),
        "RPC-PDU-ptype",
    ),
    "fault without first": (answer(replace(FAULT, flags=LAST)), "RPC-PDU-one-fragment"),
    "fault without last": (answer(replace(FAULT, flags=FIRST)), "RPC-PDU-one-fragment"),
    "bind_ack without first": (
        (*sent(BIND), *received(replace(ACK, flags=LAST))),
        "RPC-PDU-one-fragment",
    ),
    "response without first": (answer(replace(RESPONSE, flags=LAST)), "RPC-FRAG-response"),
    "second first fragment": (two_fragments(flags=FIRST | LAST), "RPC-FRAG-response"),
    "characters": (answer(replace(FAULT, drep=b"\x12\0\0\0")), "RPC-PDU-drep"),
    "floating point": (answer(replace(FAULT, drep=b"\x10\4\0\0")), "RPC-PDU-drep"),
    "reserved in drep": (answer(replace(RESPONSE, drep=b"\x10\0\0\1")), "RPC-PDU-drep"),
    "drep of fragments": (two_fragments(drep=BIG_ENDIAN), "RPC-PDU-drep"),
    "drep in NDR64": (
        (
            *sent(BIND),
            *received(replace(ACK, results=(ContextResult(2, 2), ContextResult(0, 0, NDR64)))),
            *sent(replace(REQUEST, context_id=1)),
            *received(replace(RESPONSE, context_id=1, drep=BIG_ENDIAN)),
        ),
        "RPC-XFER-ndr64-drep",
    ),
    "too long": (answer(replace(RESPONSE, stub=bytes(5840))), "RPC-FRAG-response"),
    "unknown call_id": (answer(replace(RESPONSE, call_id=4)), "RPC-CALLID-echo"),
    "two responses": ((*answer(RESPONSE), *received(RESPONSE)), "RPC-CALLID-echo"),
    "fault after the response": ((*answer(RESPONSE), *received(FAULT)), "RPC-CALLID-echo"),
    "bind_nak for a request": (answer(BindNak(call_id=REQUEST.call_id, reason=4)), "RPC-PDU-ptype"),
    "call_id of a bind_nak": ((*sent(BIND), *received(BindNak(call_id=0))), "RPC-CALLID-bind"),
    "auth_length": (
        (*sent(BIND), *received(raw(ACK, auth_length=4000))),
        "RPC-AUTH-ack-trailer",
    ),
    "auth_length of a fault": (answer(raw(FAULT, auth_length=4000)), "RPC-AUTH-bind-levels"),
    "response without verifier": (
        answer(replace(RESPONSE, trailer=None, auth_value=b"")),
        "RPC-AUTH-bind-levels",
    ),
    "fragment without verifier": (
        two_fragments(trailer=None, auth_value=b""),
        "RPC-FRAG-response-each-protected",
    ),
    "auth_level of a fragment": (
        two_fragments(trailer=replace(TRAILER, auth_level=6)),
        "RPC-FRAG-response-each-protected",
    ),
    "auth_reserved": (answer(raw(RESPONSE, auth_reserved=1)), "RPC-AUTH-reserved"),
    "alignment": (answer(PADDED), "RPC-AUTH-padding"),
    "auth_pad_length": (answer(raw(RESPONSE, auth_pad_length=16)), "RPC-AUTH-padding"),
    "auth_pad_length of bind_ack": (
        (*sent(BIND), *received(replace(ACK, trailer=replace(TRAILER, pad_length=4)))),
        "RPC-AUTH-ack-trailer",
    ),
    "auth_context_id of bind_ack": (
        (*sent(BIND), *received(replace(ACK, trailer=replace(TRAILER, context_id=0)))),
        "RPC-AUTH-ack-trailer",
    ),
    "auth_type of bind_ack": (
        (*sent(BIND), *received(replace(ACK, trailer=replace(TRAILER, auth_type=9)))),
        "RPC-AUTH-ack-trailer",
    ),
    "auth_level of bind_ack": (
        (*sent(BIND), *received(replace(ACK, trailer=replace(TRAILER, auth_level=2)))),
        "RPC-AUTH-ack-trailer",
    ),
    "auth_context_id of a response": (answer(raw(RESPONSE, auth_context_id=0)), "RPC-AUTH-bind-levels"),
    "auth_level of a response": (answer(raw(RESPONSE, auth_level=2)), "RPC-AUTH-bind-levels"),
    "alloc_hint of a fragment": (two_fragments(alloc_hint=32), "RPC-PDU-alloc-hint"),
    "alloc_hint too large": (answer(replace(RESPONSE, alloc_hint=33)), "RPC-PDU-alloc-hint"),
    "p_cont_id": (answer(replace(RESPONSE, context_id=0)), "RPC-CTXID-echo"),
    "cancel_count": (answer(replace(RESPONSE, cancel_count=1)), "RPC-PDU-cancel-count"),
    "cancel_count of a fault": (answer(replace(FAULT, cancel_count=1)), "RPC-PDU-cancel-count"),
    "reserved of a response": (answer(replace(RESPONSE, reserved=1)), "RPC-PDU-reserved"),
    "reserved of a fault": (answer(replace(FAULT, reserved=2)), "RPC-PDU-reserved"),
    "reserved2 of a fault": (answer(replace(FAULT, reserved2=5)), "RPC-PDU-reserved"),
    "status": (answer(replace(FAULT, status=0)), "RPC-FAULT-status-forbidden"),
    "stub data": (answer(replace(FAULT, padding=bytes(4))), "RPC-FAULT-no-stub"),
    "length of extended error": (
        answer(replace(FAULT, reserved=1, padding=bytes(12))),
        "RPC-FAULT-no-stub",
    ),
    "sizes": (
        (*sent(replace(BIND, max_recv=4280)), *received(ACK)),
        "RPC-FRAG-negotiate",
    ),
    "association group": ((*sent(BIND), *received(replace(ACK, assoc_group=0))), "RPC-ASSOC-new"),
    "too few results": (
        (*sent(BIND), *received(replace(ACK, results=ACK.results[:1]))),
        "RPC-BIND-result-order",
    ),
    "reserved of results": (
        (*sent(BIND), *received(ACK.pack()[:33] + b"\1" + ACK.pack()[34:])),
        "RPC-PDU-reserved",
    ),
    "undefined result": (
        (*sent(BIND), *received(replace(ACK, results=(ContextResult(0, 0, NDR32), ContextResult(4))))),
        "RPC-BIND-result-values",
    ),
    "undefined reason": (
        (*sent(BIND), *received(replace(ACK, results=(ContextResult(0, 0, NDR32), ContextResult(2, 9))))),
        "RPC-BIND-result-values",
    ),
    "transfer syntax not proposed": (
        (*sent(BIND), *received(replace(ACK, results=(ContextResult(0, 0, NDR64), ContextResult(2, 2))))),
        "RPC-BIND-result-values",
    ),
    "transfer syntax of a rejection": (
        (
            *sent(BIND),
            *received(replace(ACK, results=(ContextResult(0, 0, NDR32), ContextResult(2, 2, NDR64)))),
        ),
        "RPC-BIND-result-values",
    ),
}


def test_answers_to_a_bind_in_segments_are_judged() -> None:
    octets = BIND.pack()
    segments = sent(octets[:40], octets[40:])

    assert broken(*segments, *received(replace(ACK, results=ACK.results[:1]))) == {"RPC-BIND-result-order"}
    assert broken(*segments, *received(replace(ACK, call_id=9))) >= {"RPC-CALLID-bind"}


@pytest.mark.parametrize(("steps", "requirement"), WRONG.values(), ids=WRONG)
def test_a_wrong_field_breaks_its_rule(steps: tuple[Step, ...], requirement: str) -> None:
    assert requirement in broken(*steps)


def test_every_rule_has_a_wrong_field() -> None:
    assert {rule.requirement for rule in INVARIANTS} == {requirement for _, requirement in WRONG.values()}


def test_each_requirement_is_in_the_catalogue() -> None:
    assert {rule.requirement for rule in INVARIANTS} <= set(load_catalogue().requirements)
    assert {ptype for rule in INVARIANTS for ptype in rule.ptypes} <= set(SERVER_PDUS)


ODD = {
    "version 4": raw(REQUEST, version=4),
    "a server's PDU": RESPONSE.pack(),
    "frag_length of 8": raw(REQUEST, frag_length=8),
    "undefined data representation": rewrite(REQUEST.pack(), drep=b"\x20\0\0\0"),
    "octets": b"\xff" * 20,
    "a PDU within another": REQUEST.pack()[:30],
}


@pytest.mark.parametrize("octets", ODD.values(), ids=ODD)
def test_after_octets_that_are_no_pdu_relations_are_not_judged(octets: bytes) -> None:
    stray = replace(FAULT, call_id=77, cancel_count=3)
    steps = (*ALTERED, *sent(octets, CoCancel(call_id=3)), *received(stray))

    assert broken(*steps) == set()
    assert broken(*steps, *received(replace(stray, reserved2=1))) == {"RPC-PDU-reserved"}


def test_octets_of_the_server_that_are_no_pdu_end_the_reading() -> None:
    garbage = bytes(64)

    assert broken(*ALTERED, *received(garbage, replace(FAULT, call_id=9))) == set()


def test_pdus_are_read_across_segments_and_from_one_segment() -> None:
    octets = replace(FAULT, flags=LAST).pack()
    parts = received(octets[:3], octets[3:20], octets[20:] + FAULT.pack())

    found = judged((*ALTERED, *sent(REQUEST, REQUEST), *parts)).failed

    assert [check.observed for check in found] == ["fault from 192.0.2.1:49152, call_id 3: pfc_flags 0x02"]


def test_a_broken_rule_is_one_check_with_the_number_of_pdus() -> None:
    wrong = replace(FAULT, flags=LAST)
    spec = judged((*ALTERED, *sent(REQUEST, REQUEST, REQUEST), *received(wrong, wrong, wrong)))

    (check,) = spec.failed
    assert check.observed.endswith("pfc_flags 0x02 (and 2 more)")
    assert check.invariant
    assert check.precondition


def test_a_case_about_a_rule_gets_checks_that_passed() -> None:
    steps = (*ALTERED, *sent(REQUEST), *received(RESPONSE))

    about = judged(steps, "RPC-PDU-version").checks
    assert [(check.requirement, check.passed, check.precondition) for check in about] == [
        ("RPC-PDU-version", True, False)
    ]
    assert not judged(steps).checks
    assert not judged(sent(BIND), "RPC-PDU-version").checks


def test_a_deviation_is_no_violation() -> None:
    spec = judged(answer(replace(RESPONSE, alloc_hint=33)))

    assert spec.failed
    assert not spec.violations


CHOICES: dict[str, tuple[Pdu, str]] = {
    "group 0": (replace(RESP, assoc_group=0), "assoc_group_id: 0"),
    "group of the bind_ack": (RESP, "assoc_group_id: that of the bind_ack"),
    "another group": (replace(RESP, assoc_group=5), "assoc_group_id: another than that of the bind_ack"),
    "sizes 0": (replace(RESP, max_xmit=0, max_recv=0), "max_xmit_frag and max_recv_frag: 0"),
    "other sizes": (replace(RESP, max_xmit=1), "max_xmit_frag and max_recv_frag: others"),
    "address": (replace(RESP, secondary_address=b"49152\0"), "sec_addr: that of the bind_ack"),
    "another address": (replace(RESP, secondary_address=b"1\0"), "sec_addr: another"),
    "flags": (replace(RESP, flags=RESP.flags | 0x40), "0x40 in alter_context_resp"),
    "unasked": (replace(RESP, flags=RESP.flags | 0x10), "0x10 in alter_context_resp"),
    "fault": (FaultPdu(call_id=2, status=5, alloc_hint=7), "alloc_hint: another value"),
}


@pytest.mark.parametrize(("pdu", "choice"), CHOICES.values(), ids=CHOICES)
def test_what_the_text_leaves_open_is_recorded(pdu: Pdu, choice: str) -> None:
    spec = judged((*BOUND, *sent(ALTER), *received(pdu)))

    assert not spec.failed
    assert choice in [each.observed for each in spec.choices]


@pytest.mark.parametrize(
    ("context", "shown"), [(3, "that of the request"), (0, "0"), (9, "another")], ids=str
)
def test_the_context_id_of_a_fault_is_recorded(context: int, shown: str) -> None:
    spec = judged(answer(dataclasses.replace(FAULT, context_id=context)))

    assert f"p_cont_id: {shown}" in [each.observed for each in spec.choices]


def test_ipv6_addresses_are_in_brackets() -> None:
    found = Transcript()
    number = found.connection()
    found.add(number, "sent", LOCAL, ("2001:db8::1", 49152), BIND.pack())
    found.add(number, "received", LOCAL, ("2001:db8::1", 49152), replace(ACK, assoc_group=0).pack())
    spec = Spec("rpc.some.case", ())
    judge_wire(spec, [found])

    assert "bind_ack from [2001:db8::1]:49152" in spec.failed[0].observed
    assert PduType.BIND_ACK in SERVER_PDUS
