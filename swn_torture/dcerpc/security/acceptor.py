"""The server's end of authentication: accounts in memory, a new security context for each bind."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from swn_torture.dcerpc.errors import AuthenticationError
from swn_torture.dcerpc.security.levels import AuthType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spnego import ContextProxy

    from swn_torture.dcerpc.security.context import SecurityContext
    from swn_torture.dcerpc.security.ntlm import Accounts

__all__ = ["Acceptor"]


class Acceptor:
    r"""Makes acceptors for NTLM and SPNEGO, and for Kerberos with the optional extra and a keytab.

    Args:
        users: passwords by account name. ``name`` matches any domain of a client, ``DOMAIN\name`` only its
            own. A password may be ``LMHASH:NTHASH`` in hexadecimal.
        domain: NetBIOS name of the server's domain; part of every principal.
        hostname: name of this server, plain or fully qualified.
        allow_anonymous: accept NTLM logons without a name, with principal ``""``.
        keytab: path of a Kerberos keytab; without one, Kerberos is not supported.
        ntlm: accept NTLM, alone and in SPNEGO.
        spnego: accept SPNEGO.

    Raises:
        AuthenticationError: the keytab cannot be read, or Kerberos is not installed.
    """

    def __init__(
        self,
        users: Mapping[str, str],
        domain: str = "SWNTEST",
        hostname: str = "NODE1",
        *,
        allow_anonymous: bool = False,
        keytab: str | None = None,
        ntlm: bool = True,
        spnego: bool = True,
    ) -> None:
        self.users = dict(users)
        self.domain = domain
        self.hostname = hostname
        self.allow_anonymous = allow_anonymous
        self.keytab = keytab
        self.ntlm = ntlm
        self.spnego = spnego
        self._accounts: Accounts | None = None
        if keytab:
            self._kerberos()

    @property
    def auth_types(self) -> frozenset[AuthType]:
        """The authentication types that :meth:`new` supports."""
        served = {
            AuthType.NTLM: self.ntlm,
            AuthType.SPNEGO: self.spnego and bool(self.ntlm or self.keytab),
            AuthType.KERBEROS: bool(self.keytab),
        }
        return frozenset(kind for kind, accepted in served.items() if accepted)

    @cached_property
    def principal(self) -> str:
        """The principal of the server, without realm: the first of its keytab for ``cifs``, else the first.

        A Samba server in a domain names ``cifs/`` and its name. Empty without a keytab.
        """
        if not self.keytab:
            return ""
        from swn_torture.dcerpc.security.tickets import principals_of

        names = [name.rpartition("@")[0] for name in principals_of(self.keytab)]
        return next((name for name in names if name.startswith("cifs/")), names[0])

    def new(self, auth_type: int, level: int | None = None) -> SecurityContext:
        """Return a new acceptor.

        Args:
            auth_type: from the client's sec_trailer.
            level: from the client's sec_trailer. If given, a client whose token does not negotiate what this
                level needs is rejected when it authenticates, not at its first request.

        Raises:
            AuthenticationError: the type is not supported.
        """
        if auth_type not in self.auth_types:
            raise AuthenticationError(f"authentication type {AuthType.of(auth_type)!r} is not supported")
        from spnego._context import GSSMech

        from swn_torture.dcerpc.security.ntlm import Accounts, NtlmAcceptor, SpnegoNegotiation
        from swn_torture.dcerpc.security.providers import BASE_REQUEST, ProviderContext

        if self._accounts is None:
            self._accounts = Accounts(self.users, self.domain)
        if auth_type == AuthType.KERBEROS:
            return ProviderContext(self._kerberos(), "Kerberos", level)
        ntlm = NtlmAcceptor(self._accounts, self.domain, self.hostname, allow_anonymous=self.allow_anonymous)
        if auth_type == AuthType.NTLM:
            return ProviderContext(ntlm, "NTLM", level)
        mechanisms: dict[GSSMech, ContextProxy] = {}
        if self.keytab:
            mechanisms[GSSMech.kerberos] = self._kerberos()
        if self.ntlm:
            mechanisms[GSSMech.ntlm] = ntlm
        return ProviderContext(SpnegoNegotiation("accept", mechanisms, BASE_REQUEST), "SPNEGO", level)

    def _kerberos(self) -> ContextProxy:
        from swn_torture.dcerpc.security.providers import kerberos_acceptor

        return kerberos_acceptor(self.keytab or "")
