"""Security contexts on top of pyspnego: NTLM, SPNEGO and, with the optional extra, Kerberos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spnego import ContextProxy, ContextReq
from spnego._context import GSSMech
from spnego.exceptions import SpnegoError
from spnego.iov import BufferType

from swn_torture.dcerpc.errors import AuthenticationError, BadSignature, ProtectionUnavailable
from swn_torture.dcerpc.security.extra import require_kerberos
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType, effective_level
from swn_torture.dcerpc.security.ntlm import NtlmInitiator, SpnegoNegotiation
from swn_torture.dcerpc.security.tickets import NoTicket, client_context, explained

if TYPE_CHECKING:
    from swn_torture.dcerpc.security.context import Credentials, SecurityContext

BASE_REQUEST = (
    ContextReq.integrity | ContextReq.replay_detect | ContextReq.sequence_detect | ContextReq.dce_style
)
"""Requested at every level, because SPNEGO signs its list of mechanisms even if no PDU is signed."""

_NTLM_SIGNATURE_SIZE = 16
_KERBEROS_WRAP_EXTRA = 48
"""How many octets a DCE-style AES wrap header is longer than a MIC: confounder, padding and encrypted copy of
the header, 16 octets each (RFC 4121 4.2.4, MS-KILE 3.4.5.4). For the SHA-1 enctypes they have 76 and 28
octets."""
_RC4_WRAP_HEADER_SIZE = 45
_RC4_MIC_SIZE = 37

_KERBEROS_OID = bytes.fromhex("06092a864886f712010202")
_AP_REQ_ID = b"\x01\x00"
_LONGEST_DER_LENGTH = 6
"""Octets of the tag and the length before the OID in a GSS-API header."""

_NEEDED: dict[int, ContextReq] = {
    AuthLevel.NONE: ContextReq.none,
    AuthLevel.CONNECT: ContextReq.none,
    AuthLevel.INTEGRITY: ContextReq.integrity,
    AuthLevel.PRIVACY: ContextReq.integrity | ContextReq.confidentiality,
}
"""The features that a context must have negotiated for an effective level."""


class ProviderContext:
    """A :class:`~swn_torture.dcerpc.security.context.SecurityContext` on top of a context of pyspnego.

    Args:
        proxy: a new context, of either usage.
        name: of the provider, for error messages.
        level: if given, the context fails when it completes without the features of this level.
    """

    def __init__(self, proxy: ContextProxy, name: str, level: int | None = None) -> None:
        self.header_signing = True
        self._proxy = proxy
        self._name = name
        self._level = level
        self._accepts = proxy.usage == "accept"
        self._started = False
        self._complete = False
        self._failed = False
        self._out_of_step = False
        self._effective: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"<{self._name} {'acceptor' if self._accepts else 'initiator'}, {self._state}>"

    @property
    def _state(self) -> str:
        return "failed" if self._failed else "complete" if self._complete else "incomplete"

    @property
    def complete(self) -> bool:
        """See :class:`~swn_torture.dcerpc.security.context.SecurityContext`, also for the methods below."""
        return self._complete

    @property
    def principal(self) -> str | None:
        """The authenticated client of an acceptor."""
        return self._proxy.client_principal if self._complete else None

    def step(self, token: bytes) -> bytes:
        """Process the peer's token and return the next token to send."""
        if self._failed or self._complete:
            raise AuthenticationError(f"{self._name}: a token for a context that is {self._state} already")
        if not token and (self._accepts or self._started):
            self._failed = True
            raise AuthenticationError(f"{self._name}: empty token")
        self._started = True
        try:
            answer = self._proxy.step(bytes(token) or None) or b""
            if self._proxy.complete:
                self._check_completion()
        except (ProtectionUnavailable, NoTicket):
            self._failed = True
            raise
        except Exception as error:
            # A hostile token may cause any exception in the parsers of the library: authentication fails.
            self._failed = True
            raise AuthenticationError(f"{self._name}: {str(error) or type(error).__name__}") from error
        self._complete = self._proxy.complete
        return answer

    def _check_completion(self) -> None:
        """Check that the mechanism is complete, and not only SPNEGO.

        An accept-completed without a token completes pyspnego's negotiation at either end without
        authentication.
        """
        if not self._proxy.session_key or (self._accepts and self._proxy.client_principal is None):
            raise AuthenticationError(
                f"{self._name}: the peer ended the negotiation before the authentication"
            )
        if self._level is not None:
            effective = effective_level(self._level)
            self._check_capable(effective)
            self._effective[self._level] = effective

    def _check_capable(self, level: int) -> None:
        needed = _NEEDED.get(level)
        if needed is None:
            raise AuthenticationError(f"{self._name}: authentication level {level} is unknown")
        if self._proxy.context_attr & needed != needed:
            # Without NTLMSSP_NEGOTIATE_SIGN the library would use a constant instead of a signature.
            raise ProtectionUnavailable(
                f"{self._name}: the context was negotiated without the features of level {level}"
            )

    def _require(self, level: int) -> int:
        # What a complete context can do does not change, and to ask the library takes 4 µs.
        effective = self._effective.get(level)
        if effective is None:
            if not self._complete:
                raise AuthenticationError(f"{self._name}: the security context is not complete")
            effective = effective_level(level)
            self._check_capable(effective)
            self._effective[level] = effective
        return effective

    def signature_size(self, level: int) -> int:
        """Return the octets of a verifier."""
        effective = self._require(level)
        if effective < AuthLevel.INTEGRITY:
            return 0
        if self._proxy.negotiated_protocol == "ntlm":
            return _NTLM_SIGNATURE_SIZE
        header = self._proxy.query_message_sizes().header
        if effective == AuthLevel.PRIVACY:
            return header
        return _RC4_MIC_SIZE if header == _RC4_WRAP_HEADER_SIZE else header - _KERBEROS_WRAP_EXTRA

    def _covered(self, header: bytes, trailer: bytes) -> tuple[bytes, bytes]:
        """Return the parts of header and sec_trailer that the signature covers in addition to the body."""
        if self.header_signing or self._proxy.negotiated_protocol == "ntlm":
            return bytes(header), bytes(trailer)
        return b"", b""

    def protect(self, level: int, header: bytes, body: bytes, trailer: bytes) -> tuple[bytes, bytes]:
        """Protect a PDU."""
        effective = self._require(level)
        if effective < AuthLevel.INTEGRITY:
            return body, b""
        head, tail = self._covered(header, trailer)
        if effective == AuthLevel.INTEGRITY:
            return body, self._proxy.sign(head + bytes(body) + tail)
        wrapped = self._proxy.wrap_iov(
            [
                (BufferType.sign_only, head),
                (BufferType.data, bytes(body)),
                (BufferType.sign_only, tail),
                BufferType.header,
            ]
        ).buffers
        return wrapped[1].data or b"", wrapped[3].data or b""

    def unprotect(self, level: int, header: bytes, body: bytes, trailer: bytes, auth_value: bytes) -> bytes:
        """Verify a received PDU and return its decrypted body."""
        effective = self._require(level)
        if effective < AuthLevel.INTEGRITY:
            return body
        if self._out_of_step:
            raise BadSignature(f"{self._name}: no verification is possible after a bad signature")
        head, tail = self._covered(header, trailer)
        try:
            if effective == AuthLevel.INTEGRITY:
                self._proxy.verify(head + bytes(body) + tail, bytes(auth_value))
                return body
            unwrapped = self._proxy.unwrap_iov(
                [
                    (BufferType.sign_only, head),
                    (BufferType.data, bytes(body)),
                    (BufferType.sign_only, tail),
                    (BufferType.header, bytes(auth_value)),
                ]
            ).buffers
        except SpnegoError as error:
            self._out_of_step = True
            raise BadSignature(f"{self._name}: {error}") from error
        return unwrapped[1].data or b""


def initiator(auth_type: int, credentials: Credentials, spn: str, level: int) -> SecurityContext:
    """Return the client's end; see :func:`swn_torture.dcerpc.security.initiator.initiator`."""
    request = BASE_REQUEST
    if effective_level(level) == AuthLevel.PRIVACY:
        request |= ContextReq.confidentiality
    if auth_type == AuthType.NTLM:
        return ProviderContext(NtlmInitiator(credentials, spn, request), "NTLM", level)
    if auth_type == AuthType.SPNEGO:
        mechanisms = _mechanisms(credentials, spn, request)
        return ProviderContext(SpnegoNegotiation("initiate", mechanisms, request), "SPNEGO", level)
    if auth_type == AuthType.KERBEROS:
        return ProviderContext(_kerberos_initiator(credentials, spn, request), "Kerberos", level)
    raise AuthenticationError(f"no security provider for authentication type {auth_type!r}")


def _mechanisms(credentials: Credentials, spn: str, request: ContextReq) -> dict[GSSMech, ContextProxy]:
    """The mechanisms of SPNEGO: Kerberos with tickets, then NTLM with a password (RFC 4178).

    Without a ticket for the server, as with a wrong password, NTLM alone is left, as in Windows.
    """
    found: dict[GSSMech, ContextProxy] = {}
    if credentials.tickets is not None:
        try:
            found[GSSMech.kerberos] = _kerberos_initiator(credentials, spn, request)
        except AuthenticationError:
            if not credentials.password:
                raise
    if credentials.tickets is None or credentials.password:
        found[GSSMech.ntlm] = NtlmInitiator(credentials, spn, request)
    return found


def _kerberos_initiator(credentials: Credentials, spn: str, request: ContextReq) -> ContextProxy:
    if not request & ContextReq.confidentiality:
        # Sets GSS_KRB5_CRED_NO_CI_FLAGS_X. Otherwise MIT's library requests confidentiality itself. Samba's
        # server then expects the longer verifier of sealing, fails to sign and returns the fault 0x00000001.
        request |= ContextReq.no_integrity
    return client_context(credentials, spn, request | ContextReq.mutual_auth)


def _without_header(token: bytes) -> bytes:
    """Return an AP-REQ without its GSS-API header (RFC 4121 4.1): MIT's library rejects it with DCE style."""
    at = token.find(_KERBEROS_OID + _AP_REQ_ID) if token[:1] == b"\x60" else -1
    return token[at + len(_KERBEROS_OID + _AP_REQ_ID) :] if 0 < at <= _LONGEST_DER_LENGTH else token


def kerberos_acceptor(keytab: str, *, dce_style: bool = True) -> ContextProxy:
    """Return the server's end, for every principal of a keytab.

    Args:
        keytab: its path.
        dce_style: as in DCE/RPC: three legs, tokens without a GSS-API header. Else two legs, as in SMB.

    Raises:
        AuthenticationError: the keytab cannot be read, or Kerberos is not installed.
    """
    require_kerberos()
    import gssapi
    from spnego._gss import GSSAPIProxy

    class _AtOnce(gssapi.SecurityContext):  # type: ignore[misc]
        """Raises the error of a step at once, and not another one that hides it later."""

        __DEFER_STEP_ERRORS__ = False

    class _Acceptor(GSSAPIProxy):
        """Takes the first token also in a GSS-API header, as impacket sends it."""

        def step(self, in_token: bytes | None = None, **more: Any) -> bytes | None:
            token = in_token or b""
            return super().step(_without_header(token) if dce_style else token, **more)

    # pyspnego itself takes the keytab only from KRB5_KTNAME, which is the same for the whole process.
    try:
        credential = gssapi.Credentials(usage="accept", store={"keytab": keytab})
        proxy = _Acceptor(
            usage="accept",
            protocol="kerberos",
            context_req=BASE_REQUEST | ContextReq.confidentiality | ContextReq.mutual_auth
            if dce_style
            else ContextReq.mutual_auth | ContextReq.integrity,
            _gssapi_credential=credential,
        )
        proxy._context = _AtOnce(creds=credential, usage="accept")  # noqa: SLF001 - as `tickets` does
    except (SpnegoError, gssapi.exceptions.GSSError) as error:
        raise AuthenticationError(str(explained(error, "the keytab cannot be used"))) from error
    return proxy
