"""The security contexts of a server's connection: their legs, the verifiers of requests, the caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from swn_torture.dcerpc.errors import (
    AuthenticationError,
    BadSignature,
    ProtectionUnavailable,
    RemoteProtocolError,
)
from swn_torture.dcerpc.pdu.bind import BindAck, BindNakReason
from swn_torture.dcerpc.pdu.header import TRAILER_SIZE
from swn_torture.dcerpc.pdu.pdus import Request
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.dcerpc.security.protection import AnyPdu, SecurityEntry
from swn_torture.dcerpc.server.interface import Caller
from swn_torture.dcerpc.server.negotiation import NegotiationRefused, refused_without_reason
from swn_torture.dcerpc.server.refusal import NOWHERE, Where
from swn_torture.dcerpc.server.request_assembly import Rejection
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.values import value_class

if TYPE_CHECKING:
    from collections.abc import Container

    from swn_torture.dcerpc.connection import Connection
    from swn_torture.dcerpc.pdu.bind import Bind
    from swn_torture.dcerpc.pdu.header import SecTrailer
    from swn_torture.dcerpc.pdu.pdus import Auth3, Pdu
    from swn_torture.dcerpc.security.context import SecurityContext
    from swn_torture.dcerpc.server.options import ServerOptions

_LEVELS: Final = frozenset(range(AuthLevel.CONNECT, AuthLevel.PRIVACY + 1))

Ack = TypeVar("Ack", bound=BindAck)


class SecurityProvider(Protocol):
    """Makes the server's ends of security contexts.

    :class:`~swn_torture.dcerpc.security.acceptor.Acceptor` implements this protocol.
    """

    @property
    def auth_types(self) -> Container[int]:
        """The supported authentication types."""

    @property
    def principal(self) -> str:
        """The principal of the server, for the management interface; empty for none."""

    def new(self, auth_type: int, level: int | None = None) -> SecurityContext:
        """Return a new acceptor for a supported type."""


@value_class(frozen=True, slots=True)
class Leg:
    """A processed leg of a security context.

    Attributes:
        entry: the security context.
        token: the token to send back, ``b""`` for none.
    """

    entry: SecurityEntry
    token: bytes


class Authenticator:
    """Processes the tokens and verifiers that a client sends on one connection.

    Args:
        connection: the connection; its table of security contexts is used and filled.
        provider: makes the server's ends of security contexts; ``None`` rejects all authentication.
        options: the server's choices.
    """

    def __init__(
        self, connection: Connection, provider: SecurityProvider | None, options: ServerOptions
    ) -> None:
        self._connection = connection
        self._provider = provider
        self._options = options
        self._default: SecurityEntry | None = None

    @property
    def available(self) -> bool:
        """Whether the server supports authentication."""
        return self._provider is not None

    def leg(self, pdu: Bind, *, multiplexing: bool) -> Leg | None:
        """Process the token of a bind or alter_context (MS-RPCE 3.3.1.5.2.1).

        Args:
            pdu: the PDU, with or without a token.
            multiplexing: both ends support several security contexts on a connection.

        Returns:
            The leg; ``None`` if the PDU has no token.

        Raises:
            NegotiationRefused: the token, its type or its level is rejected.
            RemoteProtocolError: the PDU breaks the protocol.
        """
        trailer = pdu.trailer
        if trailer is None:
            return None
        # As in Windows, the octets before the sec_trailer are not checked, but its alignment and padding size
        # are.
        misaligned = self._misaligned(pdu)
        if misaligned:
            raise refused_without_reason(misaligned, Where("sec_trailer", None, "MS-RPCE 2.2.2.11"))
        _check_padding(pdu)
        entry = self._connection.security.get(trailer.context_id)
        if entry is None:
            entry = self._new(trailer, multiplexing=multiplexing)
        else:
            self._check_continues(entry, trailer)
        try:
            token = entry.context.step(pdu.auth_value)
        except AuthenticationError as error:
            entry.fail(str(error), _status_of(error))
            raise NegotiationRefused(
                str(error),
                BindNakReason.INVALID_CHECKSUM,
                entry.error,
                close=True,
                where=Where("auth_value", None, "MS-RPCE 3.3.1.5.2.1"),
            ) from error
        return Leg(entry, token)

    def use_by_default(self, leg: Leg | None) -> None:
        """Use the security context of the bind, if it has one, for requests without a verifier."""
        if leg is not None:
            self._default = leg.entry

    def with_token(self, ack: Ack, leg: Leg | None) -> Ack:
        """Return an answer with the token of a leg. Samba requires a sec_trailer even for an empty token."""
        return ack if leg is None else leg.entry.with_token(ack, leg.token)

    def auth3(self, pdu: Auth3) -> None:
        """Process an auth3. It has no answer: after a failed logon the first request is rejected.

        Raises:
            NegotiationRefused: its type or level differs from that of its security context.
            RemoteProtocolError: no security context expects it.
        """
        entry = None if pdu.trailer is None else self._connection.security.get(pdu.trailer.context_id)
        if entry is None or pdu.trailer is None:
            raise RemoteProtocolError("auth3 without a known security context", field="sec_trailer")
        misaligned = self._misaligned(pdu)
        if misaligned:
            raise RemoteProtocolError(misaligned, field="sec_trailer")
        _check_padding(pdu)
        self._check_continues(entry, pdu.trailer)
        try:
            entry.context.step(pdu.auth_value)
        except AuthenticationError as error:
            entry.fail(str(error), _status_of(error))
        if not entry.context.complete and not entry.error:
            entry.fail("the auth3 does not complete it")

    def open(self, pdu: Request, raw: bytes) -> tuple[SecurityEntry | None, Request, Rejection | None]:
        """Verify and decrypt a fragment of a request.

        Args:
            pdu: the fragment.
            raw: its octets.

        Returns:
            Its security context, the decrypted fragment, and why access is denied, if it is. The caller
            raises that only after it has admitted the fragment.

        Raises:
            Rejection: the verifier does not match.
        """
        if pdu.trailer is None:
            entry, denial = self._without_verifier(pdu)
            return entry, pdu, denial
        entry = self._connection.security.get(pdu.trailer.context_id)
        if entry is None:
            where = Where("sec_trailer.auth_context_id", None, "MS-RPCE 2.2.2.11, 3.3.1.5.4")
            return None, pdu, _denied(pdu, f"no security context {pdu.trailer.context_id}", where=where)
        denial = _mismatch(entry, pdu)
        if denial is None and entry.protects:
            pdu = _unprotect(entry, pdu, raw)
        return entry, pdu, denial

    def of_response(self, request: Request, entry: SecurityEntry | None) -> SecurityEntry | None:
        """Return the security context of the response to a request, ``None`` for a response without verifier.

        At level connect, an end may omit the only security context of a connection (MS-RPCE 3.3.1.5.4).
        Windows and Samba omit it in every response at this level.
        """
        if request.trailer is None or entry is None:
            return None
        if entry.level == AuthLevel.CONNECT and len(self._connection.security) == 1:
            return None
        return entry

    def check(self, pdu: Pdu, raw: bytes) -> None:
        """Verify a PDU that has a verifier but does not need one.

        Raises:
            Rejection: the verifier does not match.
        """
        assert pdu.trailer is not None
        entry = self._connection.security.get(pdu.trailer.context_id)
        if entry is not None and entry.protects and _mismatch(entry, pdu) is None:
            _unprotect(entry, pdu, raw)

    def _misaligned(self, pdu: Pdu) -> str:
        """Return what is wrong with the place of the sec_trailer, ``""`` if nothing is."""
        at = self._connection.pdu_size - len(pdu.auth_value) - TRAILER_SIZE
        wrong = f"the sec_trailer begins at octet {at} of the PDU, which is not a multiple of 4"
        return wrong if at % 4 else ""

    def _without_verifier(self, pdu: Request) -> tuple[SecurityEntry | None, Rejection | None]:
        entry = self._default
        if entry is None:
            return None, None
        # At level connect, requests may omit the only security context of a connection (MS-RPCE 3.3.1.5.4).
        if entry.level == AuthLevel.CONNECT and len(self._connection.security) == 1:
            return entry, _unusable(entry, pdu)
        where = Where("auth_length", 10, "MS-RPCE 3.3.1.5.2.2, 3.3.1.5.4")
        return entry, _denied(pdu, "a request without a verifier on a protected connection", where=where)

    def _new(self, trailer: SecTrailer, *, multiplexing: bool) -> SecurityEntry:
        table = self._connection.security
        if trailer.auth_level not in _LEVELS:
            raise NegotiationRefused(
                f"authentication level {trailer.auth_level} is unknown",
                BindNakReason.NOT_SPECIFIED,
                FaultStatus.RPC_S_UNKNOWN_AUTHN_LEVEL,
                where=Where("sec_trailer.auth_level", None, "MS-RPCE 2.2.1.1.8"),
            )
        if self._provider is None or trailer.auth_type not in self._provider.auth_types:
            raise NegotiationRefused(
                f"authentication type {trailer.auth_type} is not supported",
                BindNakReason.AUTHENTICATION_TYPE_NOT_RECOGNIZED,
                FaultStatus.RPC_S_UNKNOWN_AUTHN_SERVICE,
                where=Where("sec_trailer.auth_type", None, "MS-RPCE 3.3.3.5.3, 2.2.2.5"),
            )
        if trailer.auth_level == AuthLevel.CALL and self._options.refuse_level_call:
            raise NegotiationRefused(
                "level call is not supported",
                BindNakReason.INVALID_CHECKSUM,
                FaultStatus.ERROR_ACCESS_DENIED,
                where=Where("sec_trailer.auth_level"),
            )
        several = multiplexing or self._options.unasked_multiplexing
        if len(table) >= (self._options.max_security_contexts if several else 1):
            raise NegotiationRefused(
                f"more than {len(table)} security contexts",
                BindNakReason.LOCAL_LIMIT_EXCEEDED,
                # MS-RPCE 3.3.1.5.4 says RPC_S_PROTOCOL_ERROR; servers send it as nca_s_proto_error.
                FaultStatus.NCA_S_PROTO_ERROR,
                close=True,
                where=Where("sec_trailer.auth_context_id", None, "MS-RPCE 3.3.1.5.4"),
            )
        context = self._provider.new(trailer.auth_type, trailer.auth_level)
        context.header_signing = self._connection.header_signing
        entry = SecurityEntry(trailer.context_id, trailer.auth_type, trailer.auth_level, context)
        table[entry.id] = entry
        return entry

    def _check_continues(self, entry: SecurityEntry, trailer: SecTrailer) -> None:
        if entry.context.complete or entry.error:
            raise NegotiationRefused(
                f"a leg for security context {entry.id}, which is complete or has failed",
                BindNakReason.INVALID_CHECKSUM,
                FaultStatus.ERROR_ACCESS_DENIED,
                close=True,
                where=Where("sec_trailer.auth_context_id", None, "MS-RPCE 3.3.1.5.2.1"),
            )
        if (trailer.auth_type, trailer.auth_level) != (entry.auth_type, entry.level):
            # The two statuses are those of Windows and Samba.
            other_type = trailer.auth_type != entry.auth_type
            raise NegotiationRefused(
                f"a leg for security context {entry.id} with another {'type' if other_type else 'level'}",
                BindNakReason.INVALID_CHECKSUM,
                FaultStatus.RPC_S_SEC_PKG_ERROR if other_type else FaultStatus.ERROR_ACCESS_DENIED,
                close=True,
                where=Where(
                    "sec_trailer.auth_type" if other_type else "sec_trailer.auth_level",
                    None,
                    "MS-RPCE 2.2.2.11, 3.3.1.5.2.1",
                ),
            )


def caller_of(entry: SecurityEntry | None) -> Caller:
    """Return the caller of a security context, an unauthenticated caller for ``None``."""
    return Caller() if entry is None else Caller(entry.context.principal, entry.auth_type, entry.level)


def _status_of(error: AuthenticationError) -> int:
    """Return the fault status for a failed authentication, as Windows and Samba send it."""
    unprotected = isinstance(error, ProtectionUnavailable)
    return FaultStatus.RPC_S_SEC_PKG_ERROR if unprotected else FaultStatus.ERROR_ACCESS_DENIED


def _check_padding(pdu: Pdu) -> None:
    if pdu.trailer is not None and pdu.trailer.pad_length > len(pdu.padding):
        raise RemoteProtocolError(
            f"{pdu.trailer.pad_length}, but there are {len(pdu.padding)} octets of padding",
            field="sec_trailer.auth_pad_length",
        )


def _unprotect(entry: SecurityEntry, pdu: AnyPdu, raw: bytes) -> AnyPdu:
    try:
        return entry.unprotect(pdu, raw)
    except BadSignature as error:
        # The sequence numbers of the two ends differ from now on.
        raise Rejection(
            FaultStatus.RPC_S_SEC_PKG_ERROR,
            str(error),
            close=True,
            context_id=_context_of(pdu),
            where=Where("auth_value", None, "MS-RPCE 3.3.1.5.2.2"),
        ) from error


def _mismatch(entry: SecurityEntry, pdu: Pdu) -> Rejection | None:
    trailer = pdu.trailer
    assert trailer is not None
    if (trailer.auth_type, trailer.auth_level) != (entry.auth_type, entry.level):
        where = Where("sec_trailer", None, "MS-RPCE 2.2.2.11")
        return _denied(pdu, f"another type or level than that of security context {entry.id}", where=where)
    return _unusable(entry, pdu)


def _unusable(entry: SecurityEntry, pdu: Pdu) -> Rejection | None:
    if entry.error:
        return _denied(
            pdu,
            f"security context {entry.id} has failed: {entry.problem}",
            entry.error,
            Where("sec_trailer.auth_context_id", None, "MS-RPCE 3.3.1.5.2.1"),
        )
    if not entry.context.complete:
        return Rejection(
            FaultStatus.NCA_S_PROTO_ERROR,
            f"security context {entry.id} is not complete",
            close=True,
            did_not_execute=True,
            where=Where("sec_trailer.auth_context_id", None, "MS-RPCE 3.3.1.5.2.1"),
        )
    return None


def _denied(
    pdu: Pdu, problem: str, status: int = FaultStatus.ERROR_ACCESS_DENIED, where: Where = NOWHERE
) -> Rejection:
    return Rejection(status, problem, close=True, context_id=_context_of(pdu), where=where)


def _context_of(pdu: Pdu) -> int:
    return pdu.context_id if isinstance(pdu, Request) else 0
