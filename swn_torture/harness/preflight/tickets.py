"""The Kerberos ticket of the suite: whether there is one for the target, and for which principal."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swn_torture.dcerpc.client.management import inq_princ_name
from swn_torture.dcerpc.errors import AuthenticationError, RpcError
from swn_torture.dcerpc.security.levels import AuthType
from swn_torture.harness.preflight.mapping import mapped_port

if TYPE_CHECKING:
    from swn_torture.harness.preflight.patience import Patience
    from swn_torture.target import NodeAddress, Profile

#: How MIT's library says that the KDC does not know the service, and not the client.
_UNKNOWN_SERVICE = re.compile(r"\bServer\b.* not found in Kerberos database")


@dataclass(frozen=True, slots=True)
class Ticket:
    """Whether there is a ticket for a target.

    Attributes:
        profile: the profile, with the service principal name that is used; without Kerberos where there is a
            problem.
        problem: why there is no ticket; empty if there is one, or none is needed.
        unknown: the service principal name that the KDC does not know, where a node names another one.
    """

    profile: Profile
    problem: str = ""
    unknown: str = ""

    @property
    def instead(self) -> str:
        """Which name is used instead of the one by default, in one sentence; empty if that one is used."""
        if not self.unknown:
            return ""
        return (
            f"The KDC does not know {self.unknown}. The suite asks for tickets for {self.profile.principal}, "
            "which the server names (inq_princ_name); spn in [account] overrides it."
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a report says about it first."""
        if self.problem:
            return (f"The suite does not use Kerberos. {self.problem.removesuffix('.')}.",)
        return (self.instead,) if self.unknown else ()


async def find_ticket(profile: Profile, patience: Patience) -> Ticket:
    """Fetch a ticket for the target.

    If the profile names no service principal name, and the KDC does not know the one by default, the nodes
    are asked for theirs.

    Args:
        profile: the profile with the account.
        patience: how long to wait.
    """
    if not profile.account.has_tickets:
        return Ticket(profile)
    problem = await asyncio.to_thread(no_ticket, profile)
    if not problem or profile.account.spn or not _UNKNOWN_SERVICE.search(problem):
        return Ticket(without_tickets(profile) if problem else profile, problem)
    for node in profile.nodes:
        if patience.over:
            break
        patience.begin(f"{node.name}: inq_princ_name")
        port = node.port or (await mapped_port(node, patience)).port
        named = await named_principal(node, port, patience)
        if named:
            other = with_spn(profile, named)
            if not await asyncio.to_thread(no_ticket, other):
                return Ticket(other, unknown=profile.principal)
            break
    return Ticket(without_tickets(profile), problem)


async def named_principal(node: NodeAddress, port: int | None, patience: Patience) -> str:
    """The principal that a node names for Kerberos or SPNEGO, by the management interface; empty for none.

    Args:
        node: the node.
        port: TCP port of its witness endpoint; None if it is not known.
        patience: how long to wait.
    """
    for service in (AuthType.KERBEROS, AuthType.SPNEGO) if port is not None else ():
        assert port is not None
        try:
            named = await inq_princ_name(node.address, port, service, timeout=patience.timeout)
        except RpcError:
            continue  # it is optional: C706 and MS-RPCE demand neither the interface nor a name
        if named:
            return named
    return ""


def names_another(principal: str, named: str) -> bool:
    """Whether a node names the principal of another host than the suite asks for.

    ``cifs/CLUSTER`` and ``CLUSTER$@REALM`` are the same account in Active Directory.

    Args:
        principal: the service principal name that the suite asks for; empty if it asks for none.
        named: the principal that the node names; empty if it names none.
    """
    return bool(principal and named) and _host(principal) != _host(named)


def _host(principal: str) -> str:
    name = principal.partition("@")[0].rpartition("/")[2].removesuffix("$")
    return name.partition(".")[0].casefold()


def with_spn(profile: Profile, spn: str) -> Profile:
    """The profile with another service principal name, for both accounts.

    Args:
        profile: the profile with the accounts.
        spn: the service principal name.
    """
    second = profile.second_account
    return dataclasses.replace(
        profile,
        account=dataclasses.replace(profile.account, spn=spn),
        second_account=None if second is None else dataclasses.replace(second, spn=spn),
    )


def no_ticket(profile: Profile) -> str:
    """Why there is no ticket for the target; empty if there is one, or none is needed.

    It asks the KDC, which can take seconds. The ticket is kept for the logons of this process.

    Args:
        profile: the profile with the account.
    """
    account = profile.account
    if not account.has_tickets or account.anonymous:
        return ""
    if AuthType.KERBEROS not in account.services and not account.without_password:
        return account.why_not(AuthType.KERBEROS) if account.auth in {"any", "kerberos"} else ""
    from swn_torture.dcerpc.security.tickets import fetch_ticket

    try:
        fetch_ticket(account.credentials(), profile.principal)
    except AuthenticationError as problem:
        return str(problem)
    return ""


def stops(profile: Profile) -> bool:
    """Whether a run needs a ticket: there is no other way to log on.

    Args:
        profile: the profile with the account.
    """
    return profile.account.auth == "kerberos" or profile.account.without_password


def trouble(profile: Profile, problem: str) -> str:
    """Why a run cannot begin without a ticket.

    Args:
        profile: the profile with the account.
        problem: why there is none.
    """
    return (
        f"There is no Kerberos ticket for {profile.principal}. {problem.removesuffix('.')}. The account is "
        f"in [account] of {profile.source}."
    )


def without_tickets(profile: Profile) -> Profile:
    """The profile without Kerberos.

    Args:
        profile: the profile with the account.
    """
    nothing = {"realm": "", "keytab": "", "ccache": "", "kdc": "", "spn": ""}
    return dataclasses.replace(profile, account=dataclasses.replace(profile.account, **nothing))
