"""Exchanges as text: the trace shows every octet; a comparison shows what the target does."""

from __future__ import annotations

import base64
import dataclasses
import re
import struct
from typing import TYPE_CHECKING, Any

from swn_torture.report.exchange.trace import (
    comparable_lines,
    diff_lines,
    exchange_of,
    outcome_lines,
    trace_lines,
)
from swn_torture.report.model import CaseResult, Check, Choice
from tests.report.conftest import Wire, bind, bind_ack, exchange, fault, request, response

if TYPE_CHECKING:
    from collections.abc import Sequence


def lines(transcript: Sequence[dict[str, Any]]) -> list[str]:
    return comparable_lines(exchange_of(transcript))


def answered(reply: bytes, *, start: float = 1_780_000_000.0, group: int = 0x53F0) -> list[dict[str, Any]]:
    """A bind, and a call with this reply."""
    wire = Wire(start=start)
    acknowledged = bind_ack()
    acknowledged = acknowledged[:20] + struct.pack("<I", group) + acknowledged[24:]
    for kind, data in (("open", b""), ("sent", bind()), ("received", acknowledged)):
        wire.put(kind, data)
    wire.put("sent", request(2, 1, bytes(40)))
    wire.put("received", reply, wait=0.002)
    return wire.records


def test_trace_has_every_octet_and_its_time() -> None:
    transcript = exchange(1)
    text = "\n".join(trace_lines(exchange_of(transcript)))
    octets = sum(len(base64.b64decode(record["data"])) for record in transcript)
    dumped = [line for line in text.splitlines() if re.match(r" {15}[0-9a-f]{4}  ", line)]
    shown = sum(len(line[21:70].split()) for line in dumped)
    assert shown == octets
    assert "0.7 ms  -> bind, call 1" in text
    assert "the client closed the connection (FIN)" in text


def test_trace_without_octets_has_a_line_for_each_pdu() -> None:
    found = exchange_of(exchange(2))
    assert len(list(trace_lines(found, octets=False))) == len(found)


def test_times_groups_and_handles_do_not_differ() -> None:
    first = answered(response(2, bytes(4) + b"\x11" * 16 + bytes(4)))
    second = answered(response(2, bytes(4) + b"\x22" * 16 + bytes(4)), start=1.0, group=7)
    assert first != second
    assert diff_lines(lines(first), lines(second)) == []


def test_a_return_value_differs() -> None:
    first = answered(response(2, bytes(20) + struct.pack("<I", 0)))
    second = answered(response(2, bytes(20) + struct.pack("<I", 0x57)))
    changed = [line for line in diff_lines(lines(first), lines(second)) if line[0] in "+-"]
    assert changed[2:] == ["-      ReturnValue = 00 00 00 00", "+      ReturnValue = 57 00 00 00"]


def test_a_fault_instead_of_a_response_differs() -> None:
    changed = diff_lines(lines(answered(response(2, bytes(24)))), lines(answered(fault(2, 5))))
    assert any(line.startswith("+[1] <- fault") for line in changed)


def test_outcomes_differ_by_checks_and_choices() -> None:
    check = Check("SWN-3.1.4.2-null-netname", passed=True, observed="0x57", note="first call")
    case = CaseResult("rpc.a.b", "", "rpc", (), "MUST", "passed", checks=(check,))
    assert outcome_lines(case) == ["outcome: passed", "holds SWN-3.1.4.2-null-netname: 0x57 (first call)"]
    other = dataclasses.replace(case, choices=(Choice("AMB-1", "0x490\x1b", "rpc.a.b"),))
    assert diff_lines(outcome_lines(case), outcome_lines(other))[-1] == "+choice AMB-1: 0x490\\x1b"
    assert diff_lines(outcome_lines(case), outcome_lines(case)) == []
