"""Security contexts: who is calling, and the protection of each PDU once that is settled.

A :class:`SecurityContext` is one end of one NTLM, SPNEGO or Kerberos exchange. It knows tokens and octets,
never sockets: whoever owns the connection carries the tokens in bind, alter_context and auth3 PDUs, and asks
for the protection of requests and responses. :func:`initiator` makes the calling end,
:class:`~swn_torture.dcerpc.security.acceptor.Acceptor` the answering one.

The providers themselves are imported when the first context is made, so that a program that binds without
authentication does not pay for them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Credentials", "SecurityContext"]


class SecurityContext(Protocol):
    """One end of a security context (MS-RPCE 3.3.1.5.2). Not to be used again after it raised.

    Attributes:
        header_signing: both ends set PFC_SUPPORT_HEADER_SIGN, so Kerberos signatures cover the header and the
            security trailer, too. NTLM with extended session security covers them always: Windows, Samba and
            impacket sign the whole PDU whether the flag was agreed or not, although MS-RPCE 3.3.1.5.2.2 would
            leave the header out. The owner of the connection sets it before the first protected PDU.
    """

    header_signing: bool

    @property
    def complete(self) -> bool:
        """Whether both ends have proved who they are, so that PDUs can be protected."""

    @property
    def principal(self) -> str | None:
        r"""The caller as an acceptor knows it, ``DOMAIN\user`` or ``user@REALM``; None until that is proved.

        An anonymous caller's principal is ``""``. An initiator's is always None.
        """

    def step(self, token: bytes) -> bytes:
        """Take the peer's token, return the next one to send.

        Args:
            token: what the peer sent; ``b""`` only for the initiator's first step.

        Returns:
            The token to send, ``b""`` when there is none.

        Raises:
            AuthenticationError: the token is malformed, out of turn, or does not prove what it claims.
        """

    def signature_size(self, level: int) -> int:
        """Return the octets of a verifier at ``level``, which the header has to tell before there is one.

        Raises:
            AuthenticationError: the context is not complete.
        """

    def protect(self, level: int, header: bytes, body: bytes, trailer: bytes) -> tuple[bytes, bytes]:
        """Protect one PDU. Must be called in the order of sending: each call takes a sequence number.

        Args:
            level: the association's authentication level.
            header: everything before the stub data, i.e. the common header and the rest of the PDU's header.
            body: the stub data with the authentication padding.
            trailer: the eight octets of the security trailer.

        Returns:
            The body as it has to be sent, and the verifier (``b""`` below packet level).

        Raises:
            AuthenticationError: the context is not complete, or did not negotiate what ``level`` needs.
        """

    def unprotect(self, level: int, header: bytes, body: bytes, trailer: bytes, auth_value: bytes) -> bytes:
        """Check one received PDU and return its body in the clear. Must be called in the order of arrival.

        Raises:
            BadSignature: the PDU was altered, repeated, reordered, lost a predecessor, or was made with
                another key, or one before it was. The two ends are out of step: close the connection.
            AuthenticationError: the context is not complete.
        """


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who an initiator says it is.

    Attributes:
        username: account name; ``""`` (with an empty password) asks for an anonymous NTLM logon.
        password: clear text, or ``LMHASH:NTHASH`` in hexadecimal for NTLM. Kerberos takes an empty one to
            mean the caller's own ticket cache.
        domain: NetBIOS domain for NTLM, realm for Kerberos.
        workstation: the machine name an NTLM initiator claims.
    """

    username: str
    password: str = field(repr=False)
    domain: str = ""
    workstation: str = ""

    @property
    def anonymous(self) -> bool:
        """Whether nobody in particular is meant."""
        return not self.username and not self.password
