"""Cuts a stream of octets into PDUs, because TCP does not keep their boundaries (MS-RPCE 2.1.1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.pdu.header import HEADER_SIZE, Header

if TYPE_CHECKING:
    from collections.abc import Callable


class Framer:
    """Takes octets and returns complete PDUs.

    Args:
        limit: returns for a header how many octets its PDU may have. It is called as soon as the header is
            complete, so that a PDU that is too long is rejected before the rest arrives.
    """

    def __init__(self, limit: Callable[[Header], int]) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._header: Header | None = None

    @property
    def header(self) -> Header | None:
        """The header of the incomplete PDU, ``None`` before the header is complete."""
        return self._header

    @property
    def buffered(self) -> bytes:
        """The octets that do not form a complete PDU yet."""
        return bytes(self._buffer)

    def receive_data(self, octets: bytes | bytearray | memoryview) -> None:
        """Take octets from the transport, in portions of any size."""
        self._buffer += octets

    def next_pdu(self) -> tuple[Header, bytes] | None:
        """Return the next complete PDU with its header, ``None`` if more octets are needed.

        Raises:
            RemoteProtocolError: frag_length is too small or too large. Nothing more can be read from the
                stream.
        """
        if self._header is None:
            if len(self._buffer) < HEADER_SIZE:
                return None
            self._header = header = Header.unpack(self._buffer)
            if header.frag_length < HEADER_SIZE:
                raise self._error(f"{header.frag_length} octets are less than a header")
            limit = self._limit(header)
            if header.frag_length > limit:
                raise self._error(f"{header.frag_length} octets, at most {limit} are accepted")
        header = self._header
        if len(self._buffer) < header.frag_length:
            return None
        raw = bytes(self._buffer[: header.frag_length])
        del self._buffer[: header.frag_length]
        self._header = None
        return header, raw

    def _error(self, problem: str) -> RemoteProtocolError:
        return RemoteProtocolError(problem, field="frag_length", offset=8, octets=self.buffered)
