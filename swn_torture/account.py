"""The accounts of a profile: who the suite is, and by which authentication service it logs on."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swn_torture.dcerpc.security.context import Credentials, Tickets
from swn_torture.dcerpc.security.extra import kerberos_missing
from swn_torture.dcerpc.security.levels import AuthType

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What ``auth`` of an account may be, with the services that it stands for.
SERVICES_BY_NAME = {
    "any": (AuthType.NTLM, AuthType.SPNEGO, AuthType.KERBEROS),
    "ntlm": (AuthType.NTLM,),
    "spnego": (AuthType.SPNEGO,),
    "kerberos": (AuthType.KERBEROS,),
    "none": (),
}

#: The keys of an account that say where Kerberos tickets come from.
_OF_TICKETS = ("realm", "keytab", "ccache", "kdc", "spn", "service_keytab")

#: A host, with or without a port; an IPv6 address with a port is in brackets.
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]{}]+)(:\d{1,5})?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the target. Neither its repr nor a report shows the password.

    Attributes:
        username: its name; empty with ``auth = "none"``, or for the principal of a keytab or a ticket cache.
        password: its password; empty for an account with a keytab or a ticket cache.
        domain: the domain or the name of the server that knows it.
        auth: ``any`` of the services that the target offers; ``ntlm``, ``spnego`` or ``kerberos`` for this
            one only; ``none`` for a server without security: the suite then calls without authentication.
        realm: its Kerberos realm. With a realm, a keytab or a ticket cache, ``any`` includes Kerberos.
        keytab: path of a keytab with its keys.
        ccache: path of a ticket cache with its ticket.
        kdc: ``HOST`` or ``HOST:PORT`` of the KDC; empty to find it as the system does.
        spn: the service principal name of the cluster; empty for ``cifs/`` and its name.
        service_keytab: path of a keytab with the keys of the cluster, for tickets that no KDC gives.
    """

    username: str
    password: str = field(default="", repr=False)
    domain: str = ""
    auth: str = "any"
    realm: str = ""
    keytab: str = ""
    ccache: str = ""
    kdc: str = ""
    spn: str = ""
    service_keytab: str = ""

    @property
    def anonymous(self) -> bool:
        """Whether the suite calls without authentication."""
        return self.auth == "none"

    @property
    def has_tickets(self) -> bool:
        """Whether the account can have Kerberos tickets: the profile says so."""
        return self.auth == "kerberos" or bool(self.realm or self.keytab or self.ccache)

    @property
    def without_password(self) -> bool:
        """Whether only Kerberos can be used."""
        return self.has_tickets and not self.password

    @property
    def services(self) -> tuple[AuthType, ...]:
        """The authentication services that can be used, in the order in which the suite prefers them.

        Kerberos, then SPNEGO, for an account of a domain, whose profile says so; else NTLM first.
        """
        found = tuple(each for each in SERVICES_BY_NAME[self.auth] if not self.why_not(each))
        return found[::-1] if AuthType.KERBEROS in found else found

    @property
    def to_try(self) -> tuple[AuthType, ...]:
        """The services to log on with, at least one. Where none can be used, the failed logon says why."""
        return self.services or ((AuthType.KERBEROS,) if self.has_tickets else (AuthType.NTLM,))

    def why_not(self, service: AuthType) -> str:
        """Why a service cannot be used with the account; empty if it can.

        Args:
            service: the service.
        """
        if service not in SERVICES_BY_NAME[self.auth]:
            return f'the profile says auth = "{self.auth}" in [account]'
        if service == AuthType.NTLM and self.without_password:
            return "the profile has no password in [account]"
        if service == AuthType.KERBEROS and not self.has_tickets:
            return "the profile has no realm, keytab or ccache in [account]"
        needs_tickets = service == AuthType.KERBEROS or self.without_password
        return kerberos_missing() if needs_tickets else ""

    def beside(self, other: Account) -> Account:
        """This account, with what it need not say again where another account of the same cluster says it.

        Args:
            other: the other account. Its realm and KDC are those of this account, too, if the domain is the
                same and this one has a password and no realm of its own.
        """
        found = self
        same_domain = self.domain.casefold() == other.domain.casefold()
        if same_domain and self.password and not self.realm and self.auth not in {"ntlm", "none"}:
            found = replace(found, realm=other.realm, kdc=other.kdc)
        return replace(found, spn=other.spn) if found.has_tickets and not found.spn else found

    def credentials(self) -> Credentials:
        """The account as credentials for the transport."""
        if not self.has_tickets or self.auth == "ntlm" or (not self.without_password and kerberos_missing()):
            return Credentials(self.username, self.password, self.domain)
        tickets = Tickets(self.realm, self.keytab, self.ccache, self.kdc, self.spn)
        return Credentials(self.username, self.password, self.domain, tickets=tickets)


def account_problems(row: dict[str, Any], where: str) -> Iterator[str]:
    """What is wrong with the table of an account, as clauses.

    Args:
        row: the table, with the password; the paths of files are complete.
        where: its name, for the texts.
    """
    auth = row.get("auth", "any")
    has_password = bool(row.get("password"))
    if row.get("keytab") and row.get("ccache"):
        yield f"{where} has a keytab and a ccache; keep one of them"
    if has_password and (row.get("keytab") or row.get("ccache")):
        yield f"{where} has a password and a {'keytab' if row.get('keytab') else 'ccache'}; keep one of them"
    if auth in {"ntlm", "none"}:
        for key in _OF_TICKETS:
            if row.get(key):
                yield f'{key} in {where} is for Kerberos, but auth = "{auth}"'
    if row.get("kdc") and not row.get("realm"):
        yield f"{where} has a kdc and no realm; name the realm of that KDC"
    if row.get("kdc") and not _HOST_AND_PORT.fullmatch(str(row["kdc"])):
        yield f'kdc in {where} must be "HOST" or "HOST:PORT", not {row["kdc"]!r}'
    if row.get("spn") and not re.fullmatch(r"([^/@\s]+/[^@\s]+|[^/@\s]+\$)(@[^@\s]+)?", str(row["spn"])):
        yield f'spn in {where} must be "SERVICE/HOST" or "MACHINE$", not {row["spn"]!r}'
    for key, mend in (
        ("keytab", "make it on the KDC"),
        ("ccache", "fetch a ticket: kinit -c PATH"),
        ("service_keytab", "copy it from the cluster"),
    ):
        if row.get(key) and not Path(str(row[key])).is_file():
            yield f"{key} in {where}: there is no file {row[key]}; {mend}"


def completed(row: dict[str, Any], directory: Path) -> dict[str, Any]:
    """The table of an account with what need not be said.

    Args:
        row: the table.
        directory: that of the profile; the paths in the table are relative to it.
    """
    found = dict(row)
    for key in ("keytab", "ccache", "service_keytab"):
        if isinstance(found.get(key), str) and found[key]:
            found[key] = str(directory / found[key].removeprefix("FILE:"))
    if found.get("auth") == "none" or found.get("keytab") or found.get("ccache"):
        return {"username": "", "password": "", **found}
    return found
