"""The answering end of authentication: accounts in memory, one fresh security context per bind."""

from __future__ import annotations

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
    r"""Makes acceptors for NTLM and SPNEGO, and for Kerberos when the optional extra and a keytab are there.

    Args:
        users: passwords by account name. ``name`` is found whatever domain a client claims, ``DOMAIN\name``
            only in its own. A password may be ``LMHASH:NTHASH`` in hexadecimal.
        domain: NetBIOS name of the domain the server says it belongs to; part of every principal.
        hostname: this server's name, plain or fully qualified.
        allow_anonymous: let in NTLM logons without a name, as principal ``""``.
        keytab: path of a Kerberos keytab; without one Kerberos is refused.

    Raises:
        AuthenticationError: there is a keytab, but it cannot be read or Kerberos is not installed.
    """

    def __init__(
        self,
        users: Mapping[str, str],
        domain: str = "SWNTEST",
        hostname: str = "NODE1",
        *,
        allow_anonymous: bool = False,
        keytab: str | None = None,
    ) -> None:
        self.users = dict(users)
        self.domain = domain
        self.hostname = hostname
        self.allow_anonymous = allow_anonymous
        self.keytab = keytab
        self._accounts: Accounts | None = None
        if keytab:
            self._kerberos()

    @property
    def auth_types(self) -> frozenset[AuthType]:
        """The authentication types that :meth:`new` serves."""
        served = {AuthType.NTLM, AuthType.SPNEGO}
        return frozenset(served | {AuthType.KERBEROS} if self.keytab else served)

    def new(self, auth_type: int, level: int | None = None) -> SecurityContext:
        """Return a fresh acceptor.

        Args:
            auth_type: as the client's security trailer has it.
            level: as that trailer has it; a client whose token does not negotiate what this level needs is
                then refused when it authenticates, not at its first request.

        Raises:
            AuthenticationError: this type is not served here.
        """
        if auth_type not in self.auth_types:
            raise AuthenticationError(f"authentication type {AuthType.of(auth_type)!r} is not served here")
        from spnego._context import GSSMech

        from swn_torture.dcerpc.security.ntlm import Accounts, NtlmAcceptor, SpnegoNegotiation
        from swn_torture.dcerpc.security.providers import BASE_REQUEST, ProviderContext

        if self._accounts is None:
            self._accounts = Accounts(self.users, self.domain)
        if auth_type == AuthType.KERBEROS:
            return ProviderContext(self._kerberos(), "Kerberos", level)
        answering = NtlmAcceptor(
            self._accounts, self.domain, self.hostname, allow_anonymous=self.allow_anonymous
        )
        if auth_type == AuthType.NTLM:
            return ProviderContext(answering, "NTLM", level)
        mechanisms: dict[GSSMech, ContextProxy] = {}
        if self.keytab:
            mechanisms[GSSMech.kerberos] = self._kerberos()
        mechanisms[GSSMech.ntlm] = answering
        return ProviderContext(SpnegoNegotiation("accept", mechanisms, BASE_REQUEST), "SPNEGO", level)

    def _kerberos(self) -> ContextProxy:
        from swn_torture.dcerpc.security.providers import kerberos_acceptor

        return kerberos_acceptor(self.keytab or "")
