"""An exchange as lines of text: a full trace, and a form in which two runs of a case can be compared."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from swn_torture.report.exchange.hexdump import TEXT_COLUMN, dump
from swn_torture.report.exchange.records import frames, read_records
from swn_torture.report.exchange.stub_fields import with_stub_fields
from swn_torture.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from swn_torture.report.exchange.records import Direction, Frame
    from swn_torture.report.model import CaseResult, Json

#: Arrow of each direction.
WAYS: Mapping[Direction, str] = {"sent": "->", "received": "<-", "": "--"}

#: Octets of one field in a comparison; the trace has all.
SHOWN_OCTETS = 32

#: Fields whose value differs in every run, or says nothing of the target: what they are is compared, not it.
_VARIES = re.compile(
    r"authentication value|padding|\bpad$|association group|secondary address|\.uuid$|\.referent$|handle"
    r"|IpAddress|ClientComputerName|IPV[46]$",
    re.IGNORECASE,
)

#: What varies in titles and labels.
_VARYING = re.compile(
    r"(?<=fragment length )\d+, authentication length \d+"
    r"|(?<=association group )\S+|(?<=secondary address ).*"
)

#: What also varies in those of PDUs that the suite sends: it chooses names of different lengths.
_VARYING_SENT = re.compile(r"\d+(?= octets of (stub data|padding))|(?<=allocation hint )\d+")


def exchange_of(transcript: Sequence[Json]) -> list[Frame]:
    """The PDUs of a transcript, with the stub data of witness calls field by field.

    Raises:
        KeyError, ValueError: a record is malformed.
    """
    return with_stub_fields(frames(read_records(transcript)))


def trace_lines(exchange: Sequence[Frame], *, octets: bool = True) -> Iterator[str]:
    """Every PDU and event with its time in milliseconds, its connection and, if asked for, its octets."""
    for frame in exchange:
        connection = f"[{frame.connection}] " if any(each.connection > 1 for each in exchange) else ""
        yield visible(f"{frame.time * 1000:10.1f} ms  {connection}{WAYS[frame.direction]} {frame.title}")
        if octets and frame.octets:
            for label, lines in dump(frame.octets, frame.fields, repeated=True):
                for number, line in enumerate(lines.expandtabs(TEXT_COLUMN).splitlines()):
                    yield visible(f"               {line:<74} {label if number == 0 else ''}".rstrip())


def comparable_lines(exchange: Sequence[Frame]) -> list[str]:
    """An exchange as lines that are equal in two runs in which the same happened.

    The connections follow one another. Times are left out, and so are values that differ in every run: tokens
    and signatures, padding, association groups, context handles, ports, addresses, names of clients.
    """
    lines = []
    for frame in sorted(exchange, key=lambda frame: frame.connection):
        sent = frame.direction == "sent"
        title = _VARYING_SENT.sub("...", frame.title) if sent else frame.title
        lines.append(visible(f"[{frame.connection}] {WAYS[frame.direction]} {title}"))
        for item in frame.fields:
            if sent and item.label.endswith("padding"):
                continue
            label = _VARYING.sub("...", item.label)
            label = _VARYING_SENT.sub("...", label) if sent else label
            value = frame.octets[item.offset : item.offset + item.length]
            shown = value[:SHOWN_OCTETS].hex(" ") + (" ..." if len(value) > SHOWN_OCTETS else "")
            # The labels of the header and of the verifier hold their values; those of stub data are names.
            names_only = _VARIES.search(item.label) or item.offset < 24 or "security context" in item.label
            lines.append(visible(f"      {label}" + ("" if names_only else f" = {shown}")))
    return lines


def outcome_lines(case: CaseResult) -> list[str]:
    """Outcome, checks and choices of a case as lines that are equal in two runs with the same verdict."""
    results = {True: "holds", False: "fails", None: "recorded"}
    lines = [f"outcome: {case.outcome}"] + ([f"reason: {case.reason}"] if case.reason else [])
    for check in case.checks:
        note = f" ({check.note})" if check.note else ""
        lines.append(f"{results[check.passed]} {check.requirement}: {check.observed}{note}")
    lines += [f"choice {choice.ambiguity}: {choice.observed}" for choice in case.choices]
    return [visible(line) for line in lines]


def diff_lines(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """A unified diff of two texts, ``recorded`` and ``now``; empty if they are equal."""
    return [line.rstrip("\n") for line in difflib.unified_diff(before, after, "recorded", "now", lineterm="")]
