"""Learns the facts about a target that runs."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from swn_torture.casekit.facts import PROFILE_SAYS_NONE, SERVICES, NodeFacts, TargetFacts
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.harness.preflight import trouble
from swn_torture.harness.preflight.contradictions import contradictions
from swn_torture.harness.preflight.findings import PreflightFinding
from swn_torture.harness.preflight.framing import (
    Framed,
    FramingProbe,
    findings_of_framing,
    framing_of,
    register_of,
)
from swn_torture.harness.preflight.mapping import EACH_NODE
from swn_torture.harness.preflight.methods import (
    Tried,
    broken_methods,
    findings_of,
    opener,
    probe_methods,
)
from swn_torture.harness.preflight.nodes import Examined, Unanswered, examine
from swn_torture.harness.preflight.registering import ENOUGH, Registered, register_at, usable_address
from swn_torture.harness.preflight.shares import ask_shares
from swn_torture.harness.preflight.tickets import find_ticket, named_principal, stops
from swn_torture.harness.preflight.tickets import trouble as trouble_of_ticket
from swn_torture.harness.preflight.tree_connect import connect_trees
from swn_torture.witness.constants import ProtocolVersion

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from swn_torture.harness.preflight.patience import Patience
    from swn_torture.harness.preflight.tree_connect import TreeConnects
    from swn_torture.target import NodeAddress, Profile


@dataclass(frozen=True, slots=True)
class Preflight:
    """What a preflight found.

    Attributes:
        facts: what the target has shown.
        trouble: why a run cannot begin, in one paragraph; empty when it can.
        findings: what the target violates. They are reported, whatever the cases find.
        stopped_at: id of the rung that the target does not reach because of the trouble; else empty.
    """

    facts: TargetFacts
    trouble: str = ""
    findings: tuple[PreflightFinding, ...] = ()
    stopped_at: str = ""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "facts": self.facts.to_json(),
            "trouble": self.trouble,
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
            "stopped_at": self.stopped_at,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What was found, from its plain values."""
        findings = tuple(PreflightFinding.from_json(each) for each in data["findings"])
        return cls(TargetFacts.from_json(data["facts"]), data["trouble"], findings, data["stopped_at"])


async def learn(
    profile: Profile,
    patience: Patience,
    *,
    ask_for_shares: bool = True,
    show: Callable[[Preflight], None] = lambda _: None,
) -> Preflight:
    """Call the nodes of a target in every way that the suite needs.

    Args:
        profile: its profile, with the addresses of its nodes.
        patience: how long to wait.
        ask_for_shares: ask the first node for its shares, and every node for their capabilities, too.
        show: is told what is known as soon as a node serves a call: the rungs below GetInterfaceList.
    """
    ticket = await find_ticket(profile, patience)
    if ticket.problem and stops(profile):
        return Preflight(TargetFacts(), trouble_of_ticket(profile, ticket.problem))
    unused = unused_services(profile)
    warned = ticket.warnings
    if ticket.problem:
        unused[AuthType.KERBEROS.name] = ticket.problem
    profile = ticket.profile
    found, left_out = await _examine_all(profile, patience)
    examined = [found[node.name] for node in profile.nodes if node.name in found]
    nodes = tuple(each.facts for each in examined)
    findings = tuple(finding for each in examined for finding in each.findings)
    facts = TargetFacts(nodes=nodes, left_out=left_out)
    serving = tuple(node for node in nodes if node.services)
    if not serving:
        if findings:
            warnings = tuple(_about_nodes(facts, {}, profile))
            return Preflight(dataclasses.replace(facts, warnings=warnings), findings=findings)
        silent = {**left_out, **{node.name: node.mapper for node in nodes}}
        return Preflight(facts, trouble.nobody_answers(silent, profile), stopped_at="reachable")
    plain = all(each.plain for each in examined if each.facts.services)
    denied = {each.facts.name: each.denied for each in examined if each.denied}
    if denied:
        return Preflight(facts, trouble.nobody_is_served(denied, profile), stopped_at="security")
    problem = None if plain else trouble.nobody_logs_on(serving[0], profile)
    if problem and not findings:
        return Preflight(facts, problem, stopped_at="security")
    auth = (AuthType.NTLM, AuthLevel.NONE) if plain else _choose(serving, profile.account.services)
    show(Preflight(dataclasses.replace(facts, auth_type=auth[0], level=auth[1]), findings=findings))
    asked, connected = None, None
    if ask_for_shares:
        asked = asyncio.create_task(asyncio.to_thread(ask_shares, profile, _node(profile, serving[0].name)))
        connected = asyncio.gather(*_tree_connects(profile, nodes))
    framed, tried = await _probe_calls(profile, serving[0], auth, patience)
    first_node = _node(profile, serving[0].name)
    findings += (*findings_of(tried, first_node), *findings_of_framing(framed, first_node))
    registered = await _register_all(profile, serving, auth, patience)
    if asked:
        patience.begin(f"the shares of {serving[0].name}")
    shares = await asked if asked else None
    connects = await connected if connected else ()
    first = registered[serving[0].name]
    facts = dataclasses.replace(
        facts,
        auth_type=auth[0],
        level=auth[1],
        registrations=first.limit,
        registrations_tried=first.tried,
        server=shares.server if shares else "",
        shares=str(shares) if shares else "",
        broken=broken_methods(tried),
        framing=framing_of(framed),
        unused=unused,
        principal=profile.principal if profile.account.has_tickets else "",
        named_principal=await _named_principal(profile, serving[0], patience),
        no_security=_no_security(profile, findings) if plain else "",
    )
    rejections = {name: each.rejected for name, each in registered.items() if each.rejected}
    problem, stopped_at = trouble.no_usable_interface(serving), "interface-list"
    if problem and any(each.tried and not each.rejected for each in registered.values()):
        findings += tuple(_not_available(examined))
    about = _about_nodes(facts, rejections, profile)
    warnings = (*warned, *about, *contradictions(profile, facts, shares, connects))
    if not problem and len(rejections) == len(serving):
        problem, stopped_at = trouble.net_name_rejected(rejections, profile), "register"
    if problem and findings:
        warnings, problem = (*warnings, problem), None
    facts = dataclasses.replace(facts, warnings=warnings)
    return Preflight(facts, problem or "", findings, stopped_at if problem else "")


def _tree_connects(profile: Profile, nodes: Iterable[NodeFacts]) -> Iterable[Awaitable[TreeConnects]]:
    """TREE_CONNECT to the shares of the profile on each node, in the newest dialect that it has."""
    names = [share.name for share in profile.expect.shares]
    for facts in nodes if names else ():
        yield asyncio.to_thread(connect_trees, profile, _node(profile, facts.name), names)


def unused_services(profile: Profile) -> dict[str, str]:
    """The authentication services that the suite does not use with an account, each with the reason.

    Args:
        profile: the profile with the account.
    """
    reasons = {service.name: profile.account.why_not(service) for service in SERVICES}
    return {name: reason for name, reason in reasons.items() if reason}


async def _probe_calls(
    profile: Profile, facts: NodeFacts, auth: tuple[AuthType, AuthLevel], patience: Patience
) -> tuple[tuple[Framed, ...], tuple[Tried, ...]]:
    """Requests in parts, and each method. Where PDUs are lost, the outcome of a method says nothing."""
    framed = await _probe_framing(profile, facts, auth, patience)
    if any(each.together for each in framed):
        return framed, ()
    return framed, await _probe_methods(profile, facts, auth, patience)


async def _probe_methods(
    profile: Profile, facts: NodeFacts, auth: tuple[AuthType, AuthLevel], patience: Patience
) -> tuple[Tried, ...]:
    """Call each method of a node once; RegisterEx if version 2 is expected, and announced if any is."""
    node = _node(profile, facts.name)
    port = node.port or facts.mapped_port
    if port is None or patience.over:
        return ()
    announced = {each.version for each in facts.interfaces or ()}
    version_2 = profile.expect.version >= 2 and announced != {ProtocolVersion.V1}
    return await probe_methods(
        profile,
        node,
        opener(profile, node, port, auth, patience),
        usable_address(facts),
        patience,
        version_2=version_2,
        ndr64=facts.ndr64 is not False,
    )


async def _probe_framing(
    profile: Profile, facts: NodeFacts, auth: tuple[AuthType, AuthLevel], patience: Patience
) -> tuple[Framed, ...]:
    """Send requests in parts to a node whose ordinary calls are served.

    An embedded cluster is not asked: what it does wrong is for the cases to find.
    """
    node, address = _node(profile, facts.name), usable_address(facts)
    port = node.port or facts.mapped_port
    if port is None or patience.over or patience.passes == 1:
        return ()
    probe = FramingProbe(node, port, opener(profile, node, port, auth, patience), patience)
    register = None if address is None else register_of(profile.net_name, address)
    return await probe.run(register, multiplexing=bool(facts.multiplexing))


async def _named_principal(profile: Profile, facts: NodeFacts, patience: Patience) -> str:
    """The principal that a node names; empty if it names none, or if no ticket is used."""
    if not profile.account.has_tickets or patience.over:
        return ""
    node = _node(profile, facts.name)
    return await named_principal(node, node.port or facts.mapped_port, patience)


def _no_security(profile: Profile, findings: Iterable[PreflightFinding]) -> str:
    """Why authenticated calls are not served: the first violated requirement about authentication."""
    about = (each.requirement for each in findings if each.requirement.startswith("RPC-AUTH-"))
    return next(about, PROFILE_SAYS_NONE if profile.account.anonymous else "RPC-AUTH-bind-levels")


def _not_available(examined: Iterable[Examined]) -> Iterable[PreflightFinding]:
    """What a list without an AVAILABLE interface violates, at a server that takes registrations for one."""
    for each in examined:
        states = sorted({listed.state for listed in each.facts.interfaces or ()})
        if states:
            yield PreflightFinding(
                "SWN-3.1.4.1-wait-available",
                "no response before an interface is AVAILABLE",
                f"a list whose interfaces are {', '.join(states)}; Register for one of them succeeds",
                f"GetInterfaceList of node {each.facts.name}",
            )


async def _examine_all(profile: Profile, patience: Patience) -> tuple[dict[str, Examined], dict[str, str]]:
    """What the nodes that answer have shown, by name, and what the others did not answer.

    A service that has just started may not answer at first: a node that does not is called again, after the
    other nodes.
    """
    began = time.monotonic()
    found: dict[str, Examined] = {}
    silent: dict[str, str] = {}
    for number in range(1, patience.passes + 1):
        last = number == patience.passes
        for node in profile.nodes:
            if node.name in found:
                continue
            if patience.over:
                silent.setdefault(node.name, "the time of the preflight was over before it was called")
                continue
            first = not any(each.facts.services for each in found.values())
            try:
                examined = await examine(profile, node, patience, last=last, first_node=first)
            except Unanswered as problem:
                silent[node.name] = str(problem)
                if last and problem.mapper_answers:
                    facts = NodeFacts(node.name, node.address, mapper=silent.pop(node.name))
                    found[node.name] = Examined(facts)
                continue
            facts = dataclasses.replace(
                examined.facts,
                tries=number,
                waited=time.monotonic() - began,
                silence=silent.pop(node.name, ""),
            )
            found[node.name] = dataclasses.replace(examined, facts=facts)
            if first and not examined.findings and trouble.nobody_logs_on(facts, profile):
                return found, silent  # more logons with a wrong password could lock the account
        if not silent or patience.over:
            break
        if not last:
            patience.begin(f"{', '.join(silent)} to answer")
            await asyncio.sleep(min(patience.pause, max(0.0, patience.left)))
    return found, silent


def _choose(nodes: Iterable[NodeFacts], services: Iterable[AuthType]) -> tuple[AuthType, AuthLevel]:
    """The service and the level that the suite uses by default: the first that work on every node.

    Where none does, the cases use the first one at PKT_INTEGRITY, and show what goes wrong.
    """
    services = tuple(services)
    combinations = [
        (service, level) for level in (AuthLevel.INTEGRITY, AuthLevel.PRIVACY) for service in services
    ]
    serving = {
        (service, level): sum(
            service.name in node.services and level.name in node.services[service.name].levels
            for node in nodes
        )
        for service, level in combinations
    }
    return max(combinations, key=serving.__getitem__)


async def _register_all(
    profile: Profile, nodes: tuple[NodeFacts, ...], auth: tuple[AuthType, AuthLevel], patience: Patience
) -> dict[str, Registered]:
    """Register once at every node; at the first one as often as the largest case."""
    registered: dict[str, Registered] = {}
    for facts in nodes:
        enough = 1 if registered else ENOUGH
        node = _node(profile, facts.name)
        patience.begin(f"{facts.name}: Register")
        registered[facts.name] = await register_at(profile, node, facts, auth, patience, enough=enough)
    return registered


def _about_nodes(facts: TargetFacts, rejections: dict[str, str], profile: Profile) -> Iterable[str]:
    for name, problem in facts.left_out.items():
        yield f"The run goes without node {name}: {problem}."
    yield from _about_broken_nodes(facts)
    if facts.no_security:
        why = "" if facts.no_security == PROFILE_SAYS_NONE else f", which violates {facts.no_security}"
        yield (
            f"The target is called without authentication{why}. All verdicts but those on the rung Security "
            "were obtained so."
        )
    for node in facts.nodes:
        if node.violates:
            continue
        if not node.services:
            yield f"Node {node.name} has no witness service: {node.mapper}."
        if node.interfaces and not any(each.addresses for each in node.interfaces):
            yield (
                f"No interface in the list of {node.name} has an address: neither IPv4 nor IPv6 is set in "
                "the Flags of any. No client can register for one."
            )
        if node.tries > 1:
            yield (
                f"Node {node.name} answered only when it was called for the {_ordinal(node.tries)} time, "
                f"after {node.waited:.0f} s: before, {node.silence}."
            )
    if len(rejections) < sum(bool(node.services) for node in facts.nodes):
        for name, answer in rejections.items():
            yield f"Node {name} rejects a Register with the NetName {profile.net_name!r}: {answer}."
    if facts.registrations is not None:
        yield (
            f"The target holds {facts.registrations} registrations at the same time. The cases make no more, "
            "or are not tested."
        )


def _about_broken_nodes(facts: TargetFacts) -> Iterable[str]:
    other = " The run uses the other nodes." if any(node.services for node in facts.nodes) else ""
    for requirement in dict.fromkeys(node.violates for node in facts.nodes if node.violates):
        broken = [node for node in facts.nodes if node.violates == requirement]
        fixed = " If the port of the witness endpoint is fixed, set port = NUMBER in the [[node]] tables."
        yield (
            f"No client can call {', '.join(node.name for node in broken)}, which violates {requirement}: "
            f"{broken[0].defect}.{other}{fixed if requirement == EACH_NODE else ''}"
        )


def _ordinal(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")


def _node(profile: Profile, name: str) -> NodeAddress:
    return {node.name: node for node in profile.nodes}[name]
