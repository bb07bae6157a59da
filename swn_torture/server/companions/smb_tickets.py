"""Kerberos for the SMB service: an AP-REQ in the SPNEGO token of SESSION_SETUP (MS-SMB2 3.3.5.5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from impacket.spnego import SPNEGO_NegTokenInit, SPNEGO_NegTokenResp, TypesMech

from swn_torture.dcerpc.errors import AuthenticationError

_MECHANISMS: Final = (
    TypesMech["MS KRB5 - Microsoft Kerberos 5"],
    TypesMech["KRB5 - Kerberos 5"],
)
_NTLM: Final = TypesMech["NTLMSSP - Microsoft NTLM Security Support Provider"]

_INIT: Final = 0x60
"""The first octet of a NegTokenInit: the header of GSS-API."""

_KEY_SIZE: Final = 16
"""Octets of the session key that count (MS-SMB2 3.3.5.5.3)."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A client that logged on by Kerberos.

    Attributes:
        token: the SPNEGO token to answer with.
        principal: ``user@REALM``.
        key: the session key.
    """

    token: bytes
    principal: str
    key: bytes = field(repr=False)


def offer(*, ntlm: bool) -> bytes:
    """Return the SPNEGO token of NEGOTIATE, with the mechanisms of the server.

    Args:
        ntlm: whether NTLM is one of them.
    """
    offered = SPNEGO_NegTokenInit()
    offered["MechTypes"] = [*_MECHANISMS, *((_NTLM,) if ntlm else ())]
    return bytes(offered.getData())


def prefers_kerberos(token: bytes) -> bool:
    """Whether a client that begins with this token would rather log on by Kerberos than by NTLM.

    Args:
        token: the SPNEGO token of SESSION_SETUP, or another one.

    Raises:
        Exception: the token is malformed; the parser raises many kinds.
    """
    return token[:1] == bytes([_INIT]) and SPNEGO_NegTokenInit(token)["MechTypes"][0] in _MECHANISMS


def accept(keytab: str, token: bytes) -> Accepted:
    """Accept a client.

    Args:
        keytab: path of the keytab.
        token: the SPNEGO token of SESSION_SETUP, for which `prefers_kerberos` is true.

    Raises:
        AuthenticationError: the ticket is not accepted, or the client does not ask for mutual authentication.
    """
    from swn_torture.dcerpc.security.providers import kerberos_acceptor

    offered = SPNEGO_NegTokenInit(token)
    context = kerberos_acceptor(keytab, dce_style=False)
    try:
        answer = context.step(offered["MechToken"])
    except Exception as problem:
        raise AuthenticationError(f"SMB: {problem}") from problem
    if not context.complete:
        raise AuthenticationError("SMB: the client sent no complete Kerberos logon")
    accepted = SPNEGO_NegTokenResp()
    accepted["NegState"] = b"\0"  # accept-completed
    accepted["SupportedMech"] = offered["MechTypes"][0]
    accepted["ResponseToken"] = answer or b""
    return Accepted(accepted.getData(), context.client_principal or "", context.session_key[:_KEY_SIZE])
