"""The octets of a DCE/RPC PDU, named field by field, for readers of a hex dump.

The input is what a torture test sent or received, so this reader never raises and never trusts a length:
octets that do not fit are shown without names. It serves reports only. The strict parser of the suite is in
:mod:`swn_torture.dcerpc`. Layouts: C706 chapter 12.6 and MS-RPCE 2.2.2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from uuid import UUID

from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.dcerpc.status import describe_status

HEADER = 16  #: octets of the common header

PDU_NAMES = {
    0: "request", 2: "response", 3: "fault", 11: "bind", 12: "bind_ack", 13: "bind_nak", 14: "alter_context",
    15: "alter_context_resp", 16: "auth3", 17: "shutdown", 18: "co_cancel", 19: "orphaned",
}  # fmt: skip

FLAG_NAMES = (
    (0x01, "first"), (0x02, "last"), (0x04, "cancel pending or header signing"), (0x10, "multiplexing"),
    (0x20, "did not execute"), (0x40, "maybe"), (0x80, "object"),
)  # fmt: skip

SYNTAX_NAMES = {
    "ccd8c074-d0e5-4a40-92b4-d074faa6ba28": "witness",
    "8a885d04-1ceb-11c9-9fe8-08002b104860": "NDR32",
    "71710533-beba-4937-8319-b5dbef9ccc36": "NDR64",
    "e1af8308-5d1f-11c9-91a4-08002b14a0fa": "endpoint mapper",
    "afa8bd80-7d8a-11c9-bef4-08002b102989": "mgmt",
    "00000000-0000-0000-0000-000000000000": "none",
}

WITNESS_OPNUMS = (
    "WitnessrGetInterfaceList", "WitnessrRegister", "WitnessrUnRegister", "WitnessrAsyncNotify",
    "WitnessrRegisterEx", "WitnessrUnRegisterEx",
)  # fmt: skip

#: What the title adds to a PDU that is not the only fragment of its message, by its two lowest flags.
_PARTS = {0: " (middle fragment)", 1: " (first fragment)", 2: " (last fragment)"}

RESULTS = ("acceptance", "user rejection", "provider rejection", "negotiate_ack")
RESULT_REASONS = (
    "reason not specified",
    "abstract syntax not supported",
    "transfer syntaxes not supported",
    "local limit",
)


@dataclass(frozen=True, slots=True)
class Field:
    """Some octets of a PDU and their meaning.

    Attributes:
        offset: offset of the first octet.
        length: number of octets.
        label: name and value: ``fragment length 152``.
    """

    offset: int
    length: int
    label: str


@dataclass(slots=True)
class Association:
    """The presentation contexts and the calls of a connection, which its later PDUs refer to."""

    offered: dict[int, str] = field(default_factory=dict)  #: abstract syntax by presentation context
    opnums: dict[int, str] = field(default_factory=dict)  #: opnum and method by call_id


def pdu_length(octets: bytes) -> int | None:
    """The length of the PDU that starts here; None while its header is incomplete, 0 when it is not a PDU."""
    if octets[:1] not in {b"", b"\x05"}:
        return 0
    if len(octets) < HEADER:
        return None
    length: int = struct.unpack_from(_order(octets) + "H", octets, 8)[0]
    return length if length >= HEADER else 0


def describe_pdu(octets: bytes, association: Association) -> tuple[str, tuple[Field, ...]]:
    """A title for this PDU, and its octets by field. Its common header must be complete."""
    reader = _Reader(octets, _order(octets))
    kind = PDU_NAMES.get(octets[2], f"PDU type {octets[2]}")
    flags = octets[3]
    reader.skip(4, f"version {octets[0]}.{octets[1]}, {kind}, flags 0x{flags:02X} ({_flags(flags)})")
    byte_order = "big-endian" if reader.order == ">" else "little-endian"
    reader.skip(4, f"data representation: {byte_order}")
    length, auth_length = reader.peek("HH")
    reader.skip(4, f"fragment length {length}, authentication length {auth_length}")
    call_id = reader.peek("I")[0]
    reader.skip(4, f"call_id {call_id}")
    if auth_length and HEADER + 8 + auth_length <= len(octets):
        reader.end = len(octets) - auth_length - 8
        _, level, reader.pad = octets[reader.end : reader.end + 3]
        reader.sealed = level == AuthLevel.PRIVACY
    try:
        detail = _BODIES.get(kind, _no_body)(reader, association, call_id, flags)
    except (struct.error, IndexError):
        detail = "truncated"
    if reader.end < len(octets):
        protection = _trailer(reader)
        detail = f"{detail}, {protection}" if detail else protection
    reader.rest("octets after the last field" if kind != "shutdown" else "octets")
    title = f"{kind}{_PARTS.get(flags & 3, '')}, call {call_id}" + (f", {detail}" if detail else "")
    return title, tuple(reader.fields)


def _order(octets: bytes) -> str:
    """The byte order in the data representation label."""
    return "<" if octets[4] & 0x10 else ">"


def _flags(flags: int) -> str:
    return ", ".join(name for bit, name in FLAG_NAMES if flags & bit) or "none"


class _Reader:
    """Reads the octets of a PDU in order and names them."""

    def __init__(self, octets: bytes, order: str) -> None:
        self.octets, self.order = octets, order
        self.at, self.end = 0, len(octets)
        self.pad, self.sealed = 0, False
        self.fields: list[Field] = []

    def peek(self, layout: str) -> tuple[int, ...]:
        if self.at + struct.calcsize(self.order + layout) > self.end:
            raise IndexError(layout)
        return struct.unpack_from(self.order + layout, self.octets, self.at)

    def skip(self, length: int, label: str) -> None:
        if self.at + length > self.end:
            raise IndexError(label)
        if length:
            self.fields.append(Field(self.at, length, label))
        self.at += length

    def rest(self, label: str) -> None:
        self.skip(self.end - self.at, label)

    def stub(self) -> str:
        """Read the stub data and the padding before the sec_trailer; return the stub data's size as text."""
        pad = self.pad if self.pad <= self.end - self.at else 0
        size = self.end - self.at - pad
        self.skip(size, "stub data, sealed" if self.sealed else "stub data")
        self.rest("authentication padding")
        return f"{size} octets of {'sealed ' if self.sealed else ''}stub data"

    def syntax(self, what: str) -> str:
        """Read a syntax identifier; return its name."""
        if self.at + 20 > self.end:
            raise IndexError(what)
        raw = self.octets[self.at : self.at + 16]
        uuid = str(UUID(bytes_le=raw) if self.order == "<" else UUID(bytes=raw))
        (version,) = struct.unpack_from(self.order + "I", self.octets, self.at + 16)
        name = "bind-time features" if uuid.startswith("6cb71c2c-9812-4540") else SYNTAX_NAMES.get(uuid, uuid)
        self.skip(20, f"{what}: {name} {version & 0xFFFF}.{version >> 16}")
        return name


def _no_body(_reader: _Reader, _association: Association, _call_id: int, _flags: int) -> str:
    return ""


def _request(reader: _Reader, association: Association, call_id: int, flags: int) -> str:
    hint, context, opnum = reader.peek("IHH")
    interface = association.offered.get(context, "")
    name = ""
    if interface == "witness":
        name = WITNESS_OPNUMS[opnum] if opnum < len(WITNESS_OPNUMS) else "not a witness opnum"
    called = f"opnum {opnum}" + (f" {name}" if name else f" of {interface}" if interface else "")
    association.opnums[call_id] = called
    reader.skip(4, f"allocation hint {hint}")
    reader.skip(4, f"context {context}, {called}")
    if flags & 0x80:
        reader.skip(16, "object UUID")
    return f"{called}, {reader.stub()}"


def _response(reader: _Reader, association: Association, call_id: int, _flags: int) -> str:
    hint, context, cancels, _ = reader.peek("IHBB")
    reader.skip(4, f"allocation hint {hint}")
    reader.skip(4, f"context {context}, cancel count {cancels}")
    return f"to {association.opnums.get(call_id, 'a call that is not in the transcript')}, {reader.stub()}"


def _fault(reader: _Reader, association: Association, call_id: int, _flags: int) -> str:
    hint, context, cancels, _ = reader.peek("IHBB")
    reader.skip(4, f"allocation hint {hint}")
    reader.skip(4, f"context {context}, cancel count {cancels}")
    status = describe_status(reader.peek("I")[0])
    reader.skip(4, f"status {status}")
    reader.skip(min(4, reader.end - reader.at), "reserved")
    reader.rest("stub data")
    return f"{status}, to {association.opnums.get(call_id, 'a call that is not in the transcript')}"


def _bind(reader: _Reader, association: Association, _call_id: int, _flags: int) -> str:
    transmit, receive, group = reader.peek("HHI")
    reader.skip(4, f"longest fragment sent {transmit}, received {receive}")
    reader.skip(4, f"association group 0x{group:08X}")
    count = reader.peek("B")[0]
    reader.skip(4, f"{count} presentation contexts")
    offers = []
    for _ in range(count):
        context, transfers, _ = reader.peek("HBB")
        some = "transfer syntax" if transfers == 1 else "transfer syntaxes"
        reader.skip(4, f"context {context}, {transfers} {some}")
        interface = reader.syntax("abstract syntax")
        association.offered[context] = interface
        names = [reader.syntax("transfer syntax") for _ in range(transfers)]
        offers.append(f"{interface} over {' or '.join(names) or 'no transfer syntax'}")
    return "; ".join(offers)


def _bind_ack(reader: _Reader, _association: Association, _call_id: int, _flags: int) -> str:
    transmit, receive, group = reader.peek("HHI")
    reader.skip(4, f"longest fragment sent {transmit}, received {receive}")
    reader.skip(4, f"association group 0x{group:08X}")
    size = reader.peek("H")[0]
    address = bytes(reader.octets[reader.at + 2 : reader.at + 2 + size]).rstrip(b"\0")
    reader.skip(2 + size, f'secondary address "{address.decode("ascii", "backslashreplace")}"')
    reader.skip(-reader.at % 4, "padding")
    count = reader.peek("B")[0]
    reader.skip(4, f"{count} results")
    answers = []
    for _ in range(count):
        result, reason = reader.peek("HH")
        name = _name(RESULTS, result)
        if name == "negotiate_ack":
            why = f" 0x{reason:X}"
        else:
            why = f" ({_name(RESULT_REASONS, reason)})" if result else ""
        reader.skip(4, f"result {name}{why}")
        transfer = reader.syntax("transfer syntax")
        answers.append(f"{transfer} accepted" if result == 0 else f"{name}{why}")
    return "; ".join(answers)


def _bind_nak(reader: _Reader, _association: Association, _call_id: int, _flags: int) -> str:
    reason = reader.peek("H")[0]
    reader.skip(2, f"reject reason {reason}")
    reader.rest("versions supported, padding")
    return f"reason {reason}"


def _auth3(reader: _Reader, _association: Association, _call_id: int, _flags: int) -> str:
    reader.rest("pad")
    return ""


def _trailer(reader: _Reader) -> str:
    """Read the sec_trailer and the authentication value."""
    reader.rest("octets before the sec_trailer")
    reader.end = len(reader.octets)
    kind, level, pad, _, context = reader.peek("BBBBI")
    type_name, level_name = _enum(AuthType.of(kind)), _enum(AuthLevel.of(level))
    reader.skip(8, f"{type_name}, level {level_name}, {pad} octets of padding, security context {context}")
    reader.rest("authentication value")
    return f"{type_name} {level_name}"


def _enum(value: AuthType | AuthLevel | int) -> str:
    if isinstance(value, AuthType):
        return value.name
    return value.name.lower() if isinstance(value, AuthLevel) else f"0x{value:02X}"


def _name(names: tuple[str, ...], index: int) -> str:
    return names[index] if index < len(names) else str(index)


_BODIES = {
    "request": _request,
    "response": _response,
    "fault": _fault,
    "bind": _bind,
    "alter_context": _bind,
    "bind_ack": _bind_ack,
    "alter_context_resp": _bind_ack,
    "bind_nak": _bind_nak,
    "auth3": _auth3,
}
