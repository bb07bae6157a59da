"""The client's end of authentication: a new security context for each bind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.dcerpc.security.levels import AuthLevel, AuthType

if TYPE_CHECKING:
    from swn_torture.dcerpc.security.context import Credentials, SecurityContext

__all__ = ["initiator"]


def initiator(
    auth_type: int,
    credentials: Credentials,
    *,
    host: str,
    service: str = "cifs",
    level: int = AuthLevel.INTEGRITY,
) -> SecurityContext:
    """Return the client's end of a new security context.

    Args:
        auth_type: NTLM, SPNEGO (which offers Kerberos only to a client with ``tickets``) or KERBEROS.
        credentials: of the client. Their ``tickets`` can name another service principal name.
        host: the server's name in its service principal name. Kerberos in Samba needs a name, not an address.
        service: the service class in that name.
        level: authentication level. Sealing is negotiated only for PRIVACY.

    Raises:
        AuthenticationError: the provider is not available, or the credentials cannot be used with it.
    """
    from swn_torture.dcerpc.security.providers import initiator as make

    chosen = credentials.tickets.spn if credentials.tickets is not None else ""
    return make(AuthType.of(auth_type), credentials, chosen or f"{service}/{host}", level)
