"""Which octets of a PDU that came are wrong: the fields that a page marks.

Only what is sure is marked: stub data that do not decode, octets after their end, and in the answer that a
finding is about what none of the allowed answers has: its PDU type, its return value, the status of a fault,
the result of a bind with one context. And the data representation that a finding names.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from swn_torture.dcerpc.pdu.bind import BindAck
from swn_torture.dcerpc.pdu.pdus import FaultPdu, Response
from swn_torture.report.exchange.stub_fields import AFTER_PARAMETERS, AFTER_STRUCTURES, UNDECODED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from swn_torture.report.exchange.records import Frame
    from swn_torture.report.exchange.right_answer import RightAnswer

#: A finding about the data representation (packed_drep, C706 14.1) names its four octets.
_DREP = re.compile(r"\bpacked_drep (?:.*, then )?((?:[0-9a-f]{2} ){3}[0-9a-f]{2})\b")

_ALWAYS = (UNDECODED, AFTER_PARAMETERS, AFTER_STRUCTURES)

_CODE = re.compile(r"^\w+ \(0x([0-9A-F]+)\)$")
_FAULT = re.compile(r"^fault \w+ \(0x([0-9A-F]{8})\)$")
_RESULT = re.compile(r"^(?:acceptance|user_rejection|provider_rejection) \(\d\)")


def wrong_fields(
    frame: Frame, right: RightAnswer | None, expected: Sequence[str], observed: str = ""
) -> frozenset[str]:
    """The labels of the fields that are wrong.

    Args:
        frame: a PDU of the case of a finding.
        right: a right answer to the request that the finding is about; None where that is not sure.
        expected: what the finding allows.
        observed: what it observed.
    """
    if frame.direction != "received":
        return frozenset()
    found = {field.label for field in frame.fields if field.label.startswith(_ALWAYS)}
    named = _DREP.search(observed)
    if named and frame.octets[4:8] == bytes.fromhex(named[1]):
        found |= {field.label for field in frame.fields if field.offset == 4}
    if right is not None and frame.octets and frame.octets == right.instead:
        found |= set(_of_answer(frame, expected)) | set(_of_bind_ack(frame, right, expected))
    return frozenset(found)


def _of_answer(frame: Frame, expected: Sequence[str]) -> Iterator[str]:
    codes = [int(match[1], 16) for match in map(_CODE.match, expected) if match]
    faults = [int(match[1], 16) for match in map(_FAULT.match, expected) if match]
    if len(codes) + len(faults) < len(expected):
        return  # something else is allowed, too
    labels = {field.offset: field.label for field in frame.fields}
    kind = frame.octets[2]
    octets = {field.label: frame.octets[field.offset : field.offset + field.length] for field in frame.fields}
    if (kind == Response.ptype and not codes) or (kind == FaultPdu.ptype and not faults):
        yield labels[0]
    if kind == Response.ptype and codes:
        value = octets.get("ReturnValue", b"")
        if value and int.from_bytes(value, "little" if frame.octets[4] & 0x10 else "big") not in codes:
            yield "ReturnValue"
    if kind == FaultPdu.ptype:
        yield from (label for label in octets if label.startswith("status "))


def _of_bind_ack(frame: Frame, right: RightAnswer, expected: Sequence[str]) -> Iterator[str]:
    if len(expected) != 1 or not _RESULT.match(expected[0]):
        return
    if not frame.octets[2] == right.octets[2] == BindAck.ptype:
        return
    came, allowed = ([each.label for each in fields if each.label.startswith("result ")]
                     for fields in (frame.fields, right.fields))  # fmt: skip
    if len(came) == len(allowed) == 1 and came != allowed:
        yield from came
