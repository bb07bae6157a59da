"""The PDUs of a bind exchange: bind, alter_context and their answers."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from swn_torture.dcerpc.pdu.header import PduType
from swn_torture.dcerpc.pdu.pdus import Pdu
from swn_torture.stubdata.syntax import NULL_SYNTAX, SyntaxId
from swn_torture.values import value_class

if TYPE_CHECKING:
    from swn_torture.dcerpc.pdu.reader import Reader

EXTENDED_ERROR: Final = UUID("90740320-fad0-11d3-82d7-009027b130ab")
"""The signature before extended error information in a bind_nak (MS-RPCE 2.2.1.1.2)."""


class ResultCode(IntEnum):
    """``p_cont_def_result_t`` (C706 12.6.3.1, MS-RPCE 2.2.2.4)."""

    ACCEPTANCE = 0
    USER_REJECTION = 1
    PROVIDER_REJECTION = 2
    NEGOTIATE_ACK = 3


class ProviderReason(IntEnum):
    """``p_provider_reason_t``: why a presentation context is rejected (C706 12.6.3.1)."""

    NOT_SPECIFIED = 0
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 1
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 2
    LOCAL_LIMIT_EXCEEDED = 3


class BindNakReason(IntEnum):
    """``provider_reject_reason`` of bind_nak (MS-RPCE 2.2.2.5)."""

    NOT_SPECIFIED = 0
    TEMPORARY_CONGESTION = 1
    LOCAL_LIMIT_EXCEEDED = 2
    CALLED_PADDR_UNKNOWN = 3
    PROTOCOL_VERSION_NOT_SUPPORTED = 4
    DEFAULT_CONTEXT_NOT_SUPPORTED = 5
    USER_DATA_NOT_READABLE = 6
    NO_PSAP_AVAILABLE = 7
    AUTHENTICATION_TYPE_NOT_RECOGNIZED = 8
    INVALID_CHECKSUM = 9


def describe_reason(reason: int) -> str:
    """Return name and value, ``authentication_type_not_recognized (8)``; the value alone if unknown."""
    known = 0 <= reason <= max(BindNakReason)
    return f"{BindNakReason(reason).name.lower()} ({reason})" if known else str(reason)


@value_class(frozen=True, slots=True)
class PresentationContext:
    """A proposed presentation context: ``p_cont_elem_t``.

    Attributes:
        context_id: 16 bits, chosen by the client.
        abstract: the interface.
        transfers: the transfer syntaxes offered for it.
        n_transfers: the number of transfer syntaxes to write, ``None`` for the correct one.
        reserved: zero.
    """

    context_id: int
    abstract: SyntaxId
    transfers: tuple[SyntaxId, ...]
    n_transfers: int | None = None
    reserved: int = 0


@value_class(frozen=True, slots=True)
class ContextResult:
    """The result for a proposed presentation context: ``p_result_t``.

    Attributes:
        result: see :class:`ResultCode`.
        reason: see :class:`ProviderReason`; the supported features if the result is ``NEGOTIATE_ACK``.
        transfer: the accepted transfer syntax; the null syntax if none is accepted.
    """

    result: int
    reason: int = 0
    transfer: SyntaxId = NULL_SYNTAX

    @property
    def accepted(self) -> bool:
        """Whether the presentation context is accepted."""
        return self.result == ResultCode.ACCEPTANCE

    def __str__(self) -> str:
        known = 0 <= self.result <= max(ResultCode)
        result = f"{ResultCode(self.result).name.lower()} ({self.result})" if known else str(self.result)
        if self.result != ResultCode.PROVIDER_REJECTION or self.reason > max(ProviderReason):
            return f"{result}, reason {self.reason}"
        return f"{result}, {ProviderReason(self.reason).name.lower()} ({self.reason})"


@value_class(frozen=True, slots=True, kw_only=True)
class Bind(Pdu):
    """The first PDU of a connection (C706 12.6.4.3).

    Attributes:
        contexts: the proposed presentation contexts.
        max_xmit: octets of the largest fragment that the client wants to send.
        max_recv: octets of the largest fragment that it can receive.
        assoc_group: the association to join, 0 for a new one.
        n_contexts: the number of contexts to write, ``None`` for the correct one.
        reserved: the three reserved octets after that number.
    """

    ptype = PduType.BIND

    contexts: tuple[PresentationContext, ...] = ()
    max_xmit: int = 5840
    max_recv: int = 5840
    assoc_group: int = 0
    n_contexts: int | None = None
    reserved: bytes = bytes(3)

    def _fixed(self) -> bytes:
        prefix, order = self._prefix, self.byte_order
        count = len(self.contexts) if self.n_contexts is None else self.n_contexts
        parts = [
            struct.pack(prefix + "HHIB", self.max_xmit, self.max_recv, self.assoc_group, count),
            self.reserved,
        ]
        for element in self.contexts:
            transfers = len(element.transfers) if element.n_transfers is None else element.n_transfers
            parts.append(struct.pack(prefix + "HBB", element.context_id, transfers, element.reserved))
            parts.append(element.abstract.pack(order))
            parts.extend(transfer.pack(order) for transfer in element.transfers)
        return b"".join(parts)

    @classmethod
    def _read(cls, reader: Reader) -> dict[str, Any]:
        max_xmit, max_recv, group, count = reader.fields("HHIB", "bind")
        reserved = reader.take(3, "p_context_elem.reserved")
        contexts = []
        for index in range(count):
            name = f"p_context_elem[{index}]"
            context_id, transfers, reserved_octet = reader.fields("HBB", name)
            abstract = reader.syntax(f"{name}.abstract_syntax")
            offered = tuple(reader.syntax(f"{name}.transfer_syntaxes[{i}]") for i in range(transfers))
            contexts.append(PresentationContext(context_id, abstract, offered, None, reserved_octet))
        return {
            "max_xmit": max_xmit,
            "max_recv": max_recv,
            "assoc_group": group,
            "reserved": reserved,
            "contexts": tuple(contexts),
        }


@value_class(frozen=True, slots=True, kw_only=True)
class AlterContext(Bind):
    """Adds contexts, or carries the next leg of a security context, on a bound connection (C706 12.6.4.1)."""

    ptype = PduType.ALTER_CONTEXT


@value_class(frozen=True, slots=True, kw_only=True)
class BindAck(Pdu):
    """The answer to a bind (C706 12.6.4.4).

    Attributes:
        max_xmit: octets of the largest fragment that the server wants to send.
        max_recv: octets of the largest fragment that it can receive.
        assoc_group: the association of this connection.
        secondary_address: octets of ``sec_addr``: text and its terminating zero.
        results: one for each proposed context, in the proposed order.
        address_length: the length of the address to write, ``None`` for the correct one.
        n_results: the number of results to write, ``None`` for the correct one.
    """

    ptype = PduType.BIND_ACK

    results: tuple[ContextResult, ...] = ()
    max_xmit: int = 5840
    max_recv: int = 5840
    assoc_group: int = 0
    secondary_address: bytes = b""
    address_length: int | None = None
    n_results: int | None = None

    def _fixed(self) -> bytes:
        prefix, order = self._prefix, self.byte_order
        length = len(self.secondary_address) if self.address_length is None else self.address_length
        head = struct.pack(prefix + "HHIH", self.max_xmit, self.max_recv, self.assoc_group, length)
        head += self.secondary_address
        # The result list is aligned to 4 octets of the PDU; the common header is a multiple of 4.
        head += bytes(-len(head) % 4)
        count = len(self.results) if self.n_results is None else self.n_results
        parts = [head, struct.pack(prefix + "BBH", count, 0, 0)]
        for result in self.results:
            parts.append(struct.pack(prefix + "HH", result.result, result.reason))
            parts.append(result.transfer.pack(order))
        return b"".join(parts)

    @classmethod
    def _read(cls, reader: Reader) -> dict[str, Any]:
        max_xmit, max_recv, group, length = reader.fields("HHIH", "bind_ack")
        address = reader.take(length, "sec_addr")
        reader.align(4, "pad2")
        (count,) = reader.fields("B3x", "p_result_list")
        results = []
        for index in range(count):
            name = f"p_result_list[{index}]"
            result, reason = reader.fields("HH", name)
            results.append(ContextResult(result, reason, reader.syntax(f"{name}.transfer_syntax")))
        return {
            "max_xmit": max_xmit,
            "max_recv": max_recv,
            "assoc_group": group,
            "secondary_address": address,
            "results": tuple(results),
        }


@value_class(frozen=True, slots=True, kw_only=True)
class AlterContextResp(BindAck):
    """The answer to an alter_context (C706 12.6.4.2); its secondary address is empty."""

    ptype = PduType.ALTER_CONTEXT_RESP


@value_class(frozen=True, slots=True, kw_only=True)
class BindNak(Pdu):
    """The rejection of a bind (C706 12.6.4.5, MS-RPCE 2.2.2.9).

    Attributes:
        reason: see :class:`BindNakReason`.
        versions: protocol versions that the server supports, as (major, minor).
        n_versions: the number of versions to write, ``None`` for the correct one.
        padding: fill octets, or a signature and extended error information. They are kept, not interpreted.
    """

    ptype = PduType.BIND_NAK

    reason: int = 0
    versions: tuple[tuple[int, int], ...] = ((5, 0),)
    n_versions: int | None = None

    def _fixed(self) -> bytes:
        count = len(self.versions) if self.n_versions is None else self.n_versions
        head = struct.pack(self._prefix + "HB", self.reason, count)
        return head + b"".join(bytes(pair) for pair in self.versions)

    @classmethod
    def _read(cls, reader: Reader) -> dict[str, Any]:
        reason, count = reader.fields("HB", "bind_nak")
        pairs = tuple(reader.take(2, f"versions[{index}]") for index in range(count))
        return {
            "reason": reason,
            "versions": tuple((pair[0], pair[1]) for pair in pairs),
        }
