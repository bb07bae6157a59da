"""The calling end of authentication: one fresh security context per bind.

The providers are imported when the first context is made, so that a program that binds without authentication
does not load them.
"""

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
    """Return the calling end of a new security context.

    Args:
        auth_type: NTLM, SPNEGO (which offers NTLM alone) or KERBEROS.
        credentials: who is calling.
        host: the server's name as its service principal has it. Samba's Kerberos wants a name, no address.
        service: the service class of that principal.
        level: sealing is only negotiated when this is PRIVACY.

    Raises:
        AuthenticationError: no such provider here, or the credentials cannot be used with it.
    """
    from swn_torture.dcerpc.security.providers import initiator as make

    return make(AuthType.of(auth_type), credentials, f"{service}/{host}", level)
