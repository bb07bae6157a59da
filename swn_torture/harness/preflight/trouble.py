"""Why a run cannot begin: no node answers, the account or a name is wrong, there is nothing to register for.

Every text says what was sent and what came back, and where in the profile to look. Whatever else a target
does wrong is for the cases to find.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit.facts import SERVICE_NAMES, SERVICES
from swn_torture.dcerpc.security.levels import AuthType
from swn_torture.dcerpc.security.tickets import name_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from swn_torture.casekit.facts import NodeFacts
    from swn_torture.target import Profile


#: What is said of a node whose endpoint mapper does not know the witness endpoint.
NO_ENDPOINT = "gives no witness endpoint"


def nobody_answers(left_out: Mapping[str, str], profile: Profile) -> str:
    """No node answers."""
    addresses = {node.name: node.address for node in profile.nodes}
    said = "; ".join(f"node {name} ({addresses[name]}): {text}" for name, text in left_out.items())
    fixed = " If the port of the witness endpoint is fixed, set port = NUMBER there."
    no_port = any(NO_ENDPOINT in text for text in left_out.values())
    return (
        f"No node of the target answers. {said}. Check that the cluster and its witness service run, and "
        f"the [[node]] tables of {profile.source}.{fixed if no_port else ''} `swn-torture doctor --target "
        f"{profile.source}` checks every link."
    )


def nobody_logs_on(node: NodeFacts, profile: Profile) -> str | None:
    """The node serves no service, and rejects one at every level; None otherwise."""
    services = [service for service in profile.account.services if service.name in node.services]
    tried = [node.services[service.name] for service in services]
    rejects = any(facts.denied and set(facts.denied) == set(facts.answers) for facts in tried)
    if not rejects or any(facts.levels for facts in tried):
        return None
    answers = [
        f"{service.name} at PKT_{level}: {answer}"
        for service in services
        for level, answer in node.services[service.name].answers.items()
    ]
    where = f"node {node.name} ({node.address})"
    if all(facts.offered is False for facts in tried):
        names = " and ".join(SERVICE_NAMES[service] for service in profile.account.services)
        others = [each for each in SERVICES if (facts := node.services.get(each.name)) and facts.offered]
        mend = "".join(
            f" It offers {SERVICE_NAMES[each]}, which is not used: {profile.account.why_not(each)}."
            for each in others
            if each not in services
        )
        return (
            f"{where} does not offer the authentication services of this suite, {names}. "
            f"{'; '.join(answers)}.{mend}"
        )
    left = [service for service in services if node.services[service.name].offered is not False]
    if left == [AuthType.KERBEROS] or profile.account.without_password:
        return (
            f"{where} rejects the ticket of {name_of(profile.account.credentials())} for "
            f"{profile.principal}. {'; '.join(answers)}. Check that the nodes have the keys of this "
            "principal, the clocks, and that the account may use the cluster."
        )
    if not any(facts.offered for facts in tried):
        # The first token of NTLM, alone or in SPNEGO, says nothing about the account (MS-NLMP 2.2.1.1).
        return (
            f"{where} rejects every bind with authentication. {'; '.join(answers)}. It does so before it "
            "knows the account, so neither the account nor its password is the reason. Check how the server "
            "answers the first token of an authentication, and its log."
        )
    why = ""
    if any("RPC_S_SEC_PKG_ERROR" in answer for answer in answers):
        why = " RPC_S_SEC_PKG_ERROR may also mean that the server cannot verify the first signed call."
    account = profile.account
    who = f"{account.domain}\\{account.username}" if account.domain else account.username
    return (
        f"{where} rejects the account {who}. {'; '.join(answers)}. Check [account] in {profile.source}: the "
        f"user name, the password, the domain, and that the account may use the cluster.{why}"
    )


def nobody_is_served(denied: Mapping[str, str], profile: Profile) -> str:
    """The target rejects callers without authentication, as it must; the profile names no account."""
    said = "; ".join(f"{name}: {answer}" for name, answer in denied.items())
    return (
        f"The target rejects a GetInterfaceList without authentication. {said}. The profile says "
        f'auth = "none" in [account]: give username, password and domain in {profile.source} instead.'
    )


def net_name_rejected(rejections: Mapping[str, str], profile: Profile) -> str:
    """Every node rejects a registration with the NetName of the profile."""
    said = "; ".join(f"{name}: {answer}" for name, answer in rejections.items())
    return (
        f"The target rejects a Register with the NetName {profile.net_name!r}. {said}. Check that clients "
        f"use this name for the cluster: net_name in {profile.source}. If they do, check how the server "
        "reads a string of a request: a pointer, max_count, offset, actual_count, then UTF-16 units that end "
        "with a null character."
    )


def no_usable_interface(nodes: Sequence[NodeFacts]) -> str | None:
    """No node lists an interface that is AVAILABLE; None when one does, or when a list is not known."""
    said = []
    for node in nodes:
        if node.interfaces is None or any(each.state == "AVAILABLE" for each in node.interfaces):
            return None
        listed = ", ".join(
            f"{each.group} {'/'.join(each.addresses)} {each.state}" for each in node.interfaces
        )
        said.append(f"{node.name} lists {listed or 'no interface'}")
    if not said:
        return None
    return (
        "The cluster has no usable witness interface, so that no client can register: GetInterfaceList of "
        f"{'; '.join(said)}. Restore the addresses of the cluster, then run again."
    )
