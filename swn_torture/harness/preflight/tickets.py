"""The Kerberos ticket of the suite: whether there is one for the target, before it is called."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from swn_torture.dcerpc.errors import AuthenticationError
from swn_torture.dcerpc.security.levels import AuthType

if TYPE_CHECKING:
    from swn_torture.target import Profile


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
