"""Security contexts: they authenticate the client, then protect each PDU.

A :class:`SecurityContext` is one end of an NTLM, SPNEGO or Kerberos exchange. It processes tokens and octets
and does no I/O. The owner of the connection sends its tokens in bind, alter_context and auth3 PDUs, and calls
it to protect requests and responses. :func:`~swn_torture.dcerpc.security.initiator.initiator` makes the
client's end, :class:`~swn_torture.dcerpc.security.acceptor.Acceptor` the server's end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Credentials", "SecurityContext", "Tickets"]


class SecurityContext(Protocol):
    """One end of a security context (MS-RPCE 3.3.1.5.2). It must not be used after it raised an error.

    Attributes:
        header_signing: both ends set PFC_SUPPORT_HEADER_SIGN, so Kerberos signatures cover the header and the
            sec_trailer, too. NTLM with extended session security always covers them: Windows, Samba and
            impacket sign the whole PDU with and without the flag, although MS-RPCE 3.3.1.5.2.2 excludes the
            header without it. The owner of the connection sets this before the first protected PDU.
    """

    header_signing: bool

    @property
    def complete(self) -> bool:
        """Whether the exchange of tokens is complete, so that PDUs can be protected."""

    @property
    def principal(self) -> str | None:
        r"""The authenticated client of an acceptor: ``DOMAIN\user`` or ``user@REALM``.

        ``None`` before the context is complete, ``""`` for an anonymous client. For an initiator always
        ``None``.
        """

    def step(self, token: bytes) -> bytes:
        """Process the peer's token and return the next token to send.

        Args:
            token: the token of the peer; ``b""`` only for the first step of an initiator.

        Returns:
            The token to send, ``b""`` for none.

        Raises:
            AuthenticationError: the token is malformed or not expected now, or the authentication fails.
        """

    def signature_size(self, level: int) -> int:
        """Return the octets of a verifier at ``level``. The header contains this before the verifier is made.

        Raises:
            AuthenticationError: the context is not complete.
        """

    def protect(self, level: int, header: bytes, body: bytes, trailer: bytes) -> tuple[bytes, bytes]:
        """Protect a PDU. Calls must have the order of sending: each one takes a sequence number.

        Args:
            level: the authentication level.
            header: the octets before the stub data: the common header and the other header fields of the PDU.
            body: the stub data with the authentication padding.
            trailer: the eight octets of the sec_trailer.

        Returns:
            The body to send, and the verifier (``b""`` below packet level).

        Raises:
            AuthenticationError: the context is not complete, or it did not negotiate what ``level`` needs.
        """

    def unprotect(self, level: int, header: bytes, body: bytes, trailer: bytes, auth_value: bytes) -> bytes:
        """Verify a received PDU and return its decrypted body. Calls must have the order of arrival.

        Raises:
            BadSignature: the PDU or one before it was changed, repeated, reordered, lost, or signed with
                another key. The sequence numbers of the two ends differ now; the owner closes the connection.
            AuthenticationError: the context is not complete.
        """


@dataclass(frozen=True, slots=True)
class Tickets:
    """Where the Kerberos tickets of a client come from, beside its name and password.

    Attributes:
        realm: the realm of the client; empty for the domain of its credentials, or else the default realm.
        keytab: path of a keytab with the keys of the client, instead of a password.
        ccache: path of a ticket cache, instead of a password.
        kdc: ``HOST`` or ``HOST:PORT`` of the KDC of the realm; empty to find it as the system does.
        spn: the service principal name to ask for; empty for the one of the caller.
    """

    realm: str = ""
    keytab: str = ""
    ccache: str = ""
    kdc: str = ""
    spn: str = ""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials of a client.

    Attributes:
        username: account name; ``""`` with an empty password means an anonymous NTLM logon.
        password: clear text, or ``LMHASH:NTHASH`` in hexadecimal for NTLM. For Kerberos an empty password
            means the user's ticket cache, unless ``tickets`` names a source.
        domain: NetBIOS domain for NTLM, realm for Kerberos.
        workstation: the machine name that an NTLM client sends. It sends one, because it sets
            NTLMSSP_NEGOTIATE_VERSION (MS-NLMP 3.1.5.1.2); servers may reject a logon without it.
        tickets: where its Kerberos tickets come from. With them, SPNEGO offers Kerberos before NTLM.
    """

    username: str
    password: str = field(repr=False)
    domain: str = ""
    workstation: str = "SWN-TORTURE"
    tickets: Tickets | None = None

    @property
    def anonymous(self) -> bool:
        """Whether these are the credentials of an anonymous logon."""
        return not self.username and not self.password
