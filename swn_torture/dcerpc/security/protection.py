"""The security contexts of a connection: protection of its PDUs (MS-RPCE 3.3.1.5.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeVar

from swn_torture.dcerpc.errors import LocalProtocolError
from swn_torture.dcerpc.pdu.header import TRAILER_SIZE, SecTrailer
from swn_torture.dcerpc.pdu.pdus import Pdu, Request, Response
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.dcerpc.status import FaultStatus

if TYPE_CHECKING:
    from swn_torture.dcerpc.security.context import SecurityContext

AUTH_ALIGNMENT: Final = 16
"""The sec_trailer begins at a multiple of this number of octets in the PDU body (MS-RPCE 2.2.2.11)."""

LEG_ALIGNMENT: Final = 4
"""The same for the PDUs of a bind exchange, as Windows, Samba and impacket send them. MS-RPCE 2.2.2.11
requires 16 there, too, but Samba 4.22 rejects a bind with padding before the sec_trailer (bind_nak, reason
4)."""

CONNECT_TOKEN: Final = b"\x01" + bytes(15)
"""The verifier at level connect. It protects nothing, but its sec_trailer names the security context."""

_PADDINGS: Final = tuple(bytes(size) for size in range(AUTH_ALIGNMENT))

AnyPdu = TypeVar("AnyPdu", bound=Pdu)


@dataclass(eq=False, slots=True)
class SecurityEntry:
    """One security context of a connection.

    Attributes:
        id: ``auth_context_id``, chosen by the client.
        auth_type: the security provider in the sec_trailer.
        level: the authentication level in the sec_trailer, for every PDU.
        context: this end of the security context.
        error: the fault status for requests after a failed authentication; 0 without a failure.
        problem: why it failed.
    """

    id: int
    auth_type: int
    level: int
    context: SecurityContext
    error: int = 0
    problem: str = ""

    def fail(self, problem: str, status: int = FaultStatus.ERROR_ACCESS_DENIED) -> None:
        """Record that the authentication failed. The requests with this security context are rejected."""
        self.error, self.problem = status, problem

    @property
    def protects(self) -> bool:
        """Whether requests and responses are signed: from CALL on, which has the same effect as PKT."""
        return self.level >= AuthLevel.CALL

    @property
    def token_size(self) -> int:
        """Octets of a verifier."""
        return self.context.signature_size(self.level) if self.protects else len(CONNECT_TOKEN)

    def trailer(self, pad_length: int) -> SecTrailer:
        """Return the sec_trailer of a PDU with this security context, after so many octets of padding."""
        return SecTrailer(self.auth_type, self.level, pad_length, self.id)

    def with_token(self, pdu: AnyPdu, token: bytes) -> AnyPdu:
        """Return a PDU of a bind exchange with a token of this security context."""
        return self._with(pdu, bytes(-len(pdu.pack()) % LEG_ALIGNMENT), token)

    def protect(self, pdu: Request | Response) -> bytes:
        """Return the octets of a request or response, protected. Takes the next sequence number."""
        padding = _PADDINGS[-len(pdu.stub) % AUTH_ALIGNMENT]
        if not self.protects:
            return self._with(pdu, padding, CONNECT_TOKEN).pack()
        return self._protect(pdu, padding)

    def sign(self, pdu: Pdu) -> bytes:
        """Return the octets of another PDU with a verifier, which MS-RPCE 2.2.2.12 does not allow."""
        return self._protect(pdu, b"")

    def unprotect(self, pdu: AnyPdu, raw: bytes) -> AnyPdu:
        """Return a received PDU with its stub data decrypted. Takes the next sequence number of the peer.

        Args:
            pdu: the parsed PDU, with a sec_trailer.
            raw: its octets.

        Raises:
            BadSignature: the verifier does not match.
        """
        start = len(raw) - len(pdu.auth_value) - TRAILER_SIZE
        stub = pdu.stub if isinstance(pdu, Request | Response) else b""
        split = start - len(stub) - len(pdu.padding)
        body = self.context.unprotect(
            self.level,
            raw[:split],
            raw[split:start],
            raw[start : start + TRAILER_SIZE],
            pdu.auth_value,
        )
        if not isinstance(pdu, Request | Response):
            return pdu
        if body == raw[split:start]:
            return pdu  # signed only
        keep = len(body) - len(pdu.padding)
        return replace(pdu, stub=body[:keep], padding=body[keep:])

    def _with(self, pdu: AnyPdu, padding: bytes, token: bytes) -> AnyPdu:
        trailer = self.trailer(len(padding))
        return replace(pdu, padding=padding, trailer=trailer, auth_value=token)

    def _protect(self, pdu: Pdu, padding: bytes) -> bytes:
        size = self.token_size
        trailer = SecTrailer(self.auth_type, self.level, len(padding), self.id)
        # Not a changed copy of the PDU: that takes as long as the signature.
        header, body, tail = pdu.segments(size, padding=padding, trailer=trailer)
        body, token = self.context.protect(self.level, header, body, tail)
        if len(token) != size:
            raise LocalProtocolError(f"a verifier of {len(token)} octets, but its header has {size}")
        return b"".join((header, body, tail, token))
