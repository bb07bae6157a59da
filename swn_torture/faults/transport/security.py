"""Authentication and protection: verifiers that are missing, wrong, or not checked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from swn_torture.dcerpc.pdu import verification_trailer as verification
from swn_torture.dcerpc.pdu.bind import BindNakReason
from swn_torture.dcerpc.pdu.header import SecTrailer
from swn_torture.dcerpc.pdu.pdus import Request, Response, unpack
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.dcerpc.server.authentication import Authenticator, Leg
from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.dcerpc.server.negotiation import NegotiationRefused
from swn_torture.dcerpc.server.request_assembly import Rejection
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.faults.registry import part_of, violates, with_rpc

if TYPE_CHECKING:
    from swn_torture.dcerpc.connection import Negotiated
    from swn_torture.dcerpc.pdu.bind import AlterContext, Bind
    from swn_torture.dcerpc.pdu.pdus import Auth3
    from swn_torture.dcerpc.security.protection import SecurityEntry
    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.server.config import ClusterConfig

Opened = tuple["SecurityEntry | None", Request, "Rejection | None"]

# Requests


@violates("RPC-AUTH-bad-signature", "RPC-AUTH-header-signing-scope", near=("RPC-FAULT-early",))
class SignaturesNotVerified(Authenticator):
    """The server requires a verifier, but does not check it."""

    @override
    def open(self, pdu: Request, raw: bytes) -> Opened:
        try:
            return super().open(pdu, raw)
        except Rejection:
            assert pdu.trailer is not None
            return self._connection.security.get(pdu.trailer.context_id), pdu, None


@violates("RPC-AUTH-bad-signature", near=("RPC-FAULT-early",))
class WrongSequenceNotVerified(Authenticator):
    """At PKT_INTEGRITY the server serves a request out of sequence, whatever its checksum."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._expected: dict[int, int] = {}

    @override
    def open(self, pdu: Request, raw: bytes) -> Opened:
        if pdu.trailer is None:
            return super().open(pdu, raw)
        context, number = pdu.trailer.context_id, _sequence_number(pdu.auth_value)
        try:
            opened = super().open(pdu, raw)
        except Rejection:
            entry = self._connection.security.get(context)
            if entry is None or entry.level != AuthLevel.INTEGRITY:
                raise
            # The numbers of NTLM begin with 0, those of Kerberos anywhere; SPNEGO has taken some.
            first = 0 if entry.auth_type == AuthType.NTLM else number
            if number == self._expected.get(context, first):
                raise
            return entry, pdu, None
        self._expected[context] = number + 1
        return opened


def _sequence_number(signature: bytes) -> int:
    """The number in a signature of NTLM (MS-NLMP 2.2.2.9) or Kerberos (RFC 4121 4.2.6)."""
    if len(signature) == 16:
        return int.from_bytes(signature[12:], "little")
    return int.from_bytes(signature[8:16], "big")


@violates("RPC-AUTH-bad-signature", near=("RPC-FAULT-early",))
class EmptyStubNotVerified(Authenticator):
    """The server neither verifies nor counts a protected request without stub data."""

    @override
    def open(self, pdu: Request, raw: bytes) -> Opened:
        entry = self._connection.security.get(pdu.trailer.context_id) if pdu.trailer else None
        if pdu.stub or entry is None or not entry.context.complete:
            return super().open(pdu, raw)
        return entry, pdu, None


@violates("RPC-AUTH-missing-verifier")
class VerifierNotRequired(Authenticator):
    """On a protected connection the server serves a request without a verifier."""

    @override
    def open(self, pdu: Request, raw: bytes) -> Opened:
        entry, pdu, denial = super().open(pdu, raw)
        return entry, pdu, None if pdu.trailer is None else denial


@violates("RPC-AUTH-wrong-password")
class WrongPasswordTaken(Authenticator):
    """The server serves a client that fails to authenticate, without protection."""

    @override
    def auth3(self, pdu: Auth3) -> None:
        super().auth3(pdu)
        for entry in self._connection.security.values():
            entry.error = 0

    @override
    def open(self, pdu: Request, raw: bytes) -> Opened:
        entry = self._connection.security.get(pdu.trailer.context_id) if pdu.trailer else None
        if entry is not None and not entry.context.complete:
            return entry, pdu, None
        return super().open(pdu, raw)


@part_of(WrongPasswordTaken)
class _AnswersInTheClear(ServerConnection):
    @override
    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        return super().response(call, stub, entry if entry and entry.context.complete else None)


@violates("RPC-AUTH-wrong-password")
class RejectedTokenTaken(WrongPasswordTaken):
    """The server accepts a bind or alter_context whose token its security provider rejects."""

    @override
    def leg(self, pdu: Bind, *, multiplexing: bool) -> Leg | None:
        try:
            return super().leg(pdu, multiplexing=multiplexing)
        except NegotiationRefused:
            entry = self._connection.security.get(pdu.trailer.context_id) if pdu.trailer else None
            if entry is None:
                raise
            entry.error = 0
            return Leg(entry, b"")


@part_of(RejectedTokenTaken)
class _AnswersRejectedInTheClear(_AnswersInTheClear):
    pass


# Authenticating


@violates("RPC-AUTH-three-leg")
class ThirdLegIgnored(Authenticator):
    """The server ignores auth3, so that no NTLM authentication completes."""

    @override
    def auth3(self, pdu: Auth3) -> None:
        return


@violates("RPC-AUTH-three-leg")
class SecondTokenRefused(ServerConnection):
    """The server rejects an alter_context that carries the next authentication token."""

    @override
    def on_alter_context(self, pdu: AlterContext) -> None:
        if pdu.trailer is not None and pdu.trailer.context_id in self.security:
            self.send_fault(pdu.call_id, FaultStatus.ERROR_ACCESS_DENIED)
            self.closing = True
        else:
            super().on_alter_context(pdu)


@violates("RPC-AUTH-bind-levels")
class PrivacyRefused(Authenticator):
    """The server rejects a bind at PKT_PRIVACY."""

    @override
    def leg(self, pdu: Bind, *, multiplexing: bool) -> Leg | None:
        if pdu.trailer is not None and pdu.trailer.auth_level == AuthLevel.PRIVACY:
            raise NegotiationRefused("no privacy", BindNakReason.NOT_SPECIFIED, 5, close=True)
        return super().leg(pdu, multiplexing=multiplexing)


@violates("RPC-AUTH-unknown-type")
class UnknownServiceIsNtlm(Authenticator):
    """The server treats an unknown authentication service as NTLM."""

    @override
    def leg(self, pdu: Bind, *, multiplexing: bool) -> Leg | None:
        trailer = pdu.trailer
        if trailer is not None and trailer.auth_type not in {AuthType.NTLM, AuthType.SPNEGO}:
            pdu = replace(pdu, trailer=replace(trailer, auth_type=AuthType.NTLM))
        return super().leg(pdu, multiplexing=multiplexing)


@violates("RPC-AUTH-multiplexed-contexts")
def one_security_context(config: ClusterConfig) -> ClusterConfig:
    """A connection can have only one security context."""
    return with_rpc(config, max_security_contexts=1)


# Responses


@violates("RPC-AUTH-bind-levels")
class ResponsesUnsigned(ServerConnection):
    """Responses have no verifier."""

    @override
    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        return super().response(call, stub, None)


@violates("RPC-AUTH-bind-levels")
class SealedAsSigned(ServerConnection):
    """At PKT_PRIVACY responses are only signed, and declare PKT_INTEGRITY."""

    @override
    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        if entry is None or entry.level != AuthLevel.PRIVACY:
            return super().response(call, stub, entry)
        entry.level = AuthLevel.INTEGRITY
        octets = super().response(call, stub, entry)
        entry.level = AuthLevel.PRIVACY
        return octets


@violates("RPC-AUTH-level-of-response-to-pending")
class PendingSignedWithWrongNumber(ServerConnection):
    """A late response is signed with a sequence number that is one too high."""

    @override
    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        if entry is not None and entry.protects and call.call_id < self._assembler.current:
            entry.protect(Response(call_id=call.call_id, stub=bytes(4)))
        return super().response(call, stub, entry)


@violates("RPC-AUTH-multiplexed-contexts")
class AnsweredInFirstContext(ServerConnection):
    """Responses are protected with the first security context of the connection."""

    @override
    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        first = next(iter(self.security.values()), None)
        return super().response(call, stub, first if entry is not None else None)


class AlteredPadding(ServerConnection):
    """A server that pads protected responses of up to 1024 octets with `padding_octets`."""

    @override
    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        """Build the fragments of a response, with other authentication padding."""
        if entry is None or not entry.protects or len(stub) > 1024:
            return super().response(call, stub, entry)
        (plain,) = super().response(call, stub, None)
        whole = unpack(plain)
        pad = self.padding_octets(len(stub))
        trailer = SecTrailer(entry.auth_type, entry.level, len(pad), entry.id)
        padded = replace(whole, padding=pad, trailer=trailer)
        header, body, tail = padded.segments(entry.token_size)
        body, token = entry.context.protect(entry.level, header, body, tail)
        return [header + body + tail + token]

    def padding_octets(self, length: int) -> bytes:
        """Return the octets between a stub of `length` octets and the sec_trailer."""
        raise NotImplementedError


@violates("RPC-AUTH-padding")
class PaddedToFour(AlteredPadding):
    """The sec_trailer of a response is aligned to 4 octets."""

    @override
    def padding_octets(self, length: int) -> bytes:
        return bytes(-length % 4)


@violates("RPC-AUTH-padding")
class PaddedTwice(AlteredPadding):
    """A response has 16 more octets of authentication padding than it needs."""

    @override
    def padding_octets(self, length: int) -> bytes:
        return bytes(-length % 16 + 16)


@violates("RPC-AUTH-padding")
class NotPadded(AlteredPadding):
    """The sec_trailer of a response follows the stub without padding."""

    @override
    def padding_octets(self, length: int) -> bytes:
        return b""


# The verification trailer


class AlteredTrailerChecks(ServerConnection):
    """A server that checks verification trailers with `check_trailer` alone."""

    @override
    def strip_verification_trailer(self, whole: Any, negotiated: Negotiated) -> bytes:
        found = verification.find(whole.stub)
        if found is None:
            return bytes(whole.stub)
        self.check_trailer(*found)
        return bytes(whole.stub[: found[0]])

    def check_trailer(self, at: int, found: verification.VerificationTrailer) -> None:
        """Reject the request, or return to accept the trailer that begins at octet `at` of the stub."""

    def reject(self) -> None:
        """Reject the request."""
        raise Rejection(FaultStatus.RPC_X_BAD_STUB_DATA, "a verification trailer")


@violates("RPC-VT-accepted")
class TrailersRefused(AlteredTrailerChecks):
    """The server rejects a request with a verification trailer."""

    @override
    def check_trailer(self, at: int, found: verification.VerificationTrailer) -> None:
        self.reject()


@violates("RPC-VT-unknown-optional")
class UnknownTrailerCommandRefused(AlteredTrailerChecks):
    """The server rejects a request with an unknown command in its verification trailer."""

    @override
    def check_trailer(self, at: int, found: verification.VerificationTrailer) -> None:
        if any(command.type not in {1, 2, 3} for command in found.commands):
            self.reject()


@violates("RPC-VT-must-process")
class MustProcessIgnored(AlteredTrailerChecks):
    """The server skips an unknown verification trailer command that must be processed."""


@violates("RPC-VT-search")
class TrailerExpectedAtStart(AlteredTrailerChecks):
    """The server rejects a verification trailer that does not begin at the first stub octet."""

    @override
    def check_trailer(self, at: int, found: verification.VerificationTrailer) -> None:
        if at > 0:
            self.reject()
