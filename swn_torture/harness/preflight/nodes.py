"""What one node shows: its endpoint map, authentication services and levels, features, interface list."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swn_torture.casekit.facts import SERVICES, InterfaceFacts, NodeFacts, ServiceFacts
from swn_torture.dcerpc.pdu.header import PfcFlags
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.harness.preflight.defects import Defects, find_defects, no_service
from swn_torture.harness.preflight.findings import PreflightFinding
from swn_torture.harness.preflight.logon import Attempt, knows_service, log_on
from swn_torture.harness.preflight.mapping import Mapped, mapped_port, nobody_at
from swn_torture.harness.preflight.trouble import NO_ENDPOINT
from swn_torture.stubdata.syntax import NDR64
from swn_torture.stubdata.win32 import Win32, describe
from swn_torture.witness.constants import InterfaceFlags, InterfaceState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from swn_torture.dcerpc.client.binding import BindResult
    from swn_torture.harness.preflight.patience import Patience
    from swn_torture.target import NodeAddress, Profile
    from swn_torture.witness.messages import GetInterfaceListResponse, InterfaceInfo


class Unanswered(Exception):  # noqa: N818 - named after what it reports
    """A node has no witness service that answers; the text says what was tried.

    Attributes:
        mapper_answers: whether its endpoint mapper answers: the node is there, and has no witness endpoint.
    """

    def __init__(self, text: str, *, mapper_answers: bool = False) -> None:
        self.mapper_answers = mapper_answers
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Examined:
    """What a node has shown.

    Attributes:
        facts: the facts about it.
        findings: what it violates.
        plain: whether it serves calls without authentication, but none with it.
        denied: how it rejects a call without authentication that the profile asks for; else empty.
    """

    facts: NodeFacts
    findings: tuple[PreflightFinding, ...] = ()
    plain: bool = False
    denied: str = ""


async def examine(
    profile: Profile, node: NodeAddress, patience: Patience, *, last: bool, first_node: bool
) -> Examined:
    """Call a node in every way that the suite needs, one connection after the other.

    Args:
        profile: the profile of the target.
        node: the node.
        patience: how long to wait.
        last: the node is not called again: try everything.
        first_node: no other node was called before.

    Raises:
        Unanswered: the node has no witness service that answers.
    """
    patience.begin(f"the endpoint mapper of {node.name}")
    mapped = await mapped_port(node, patience)
    port = node.port or mapped.port
    if port is None:
        text = f"its endpoint mapper, TCP port {node.endpoint_mapper_port}, {NO_ENDPOINT}: "
        if last and mapped.finding is not None:
            return _stopped(node, mapped, mapped.finding, text + mapped.problem)
        raise Unanswered(text + mapped.problem, mapper_answers=mapped.answers)
    if profile.account.anonymous:
        return await _examine_plain(profile, node, mapped, port, patience, last=last)
    services: dict[str, ServiceFacts] = {}
    attempts: list[Attempt] = []
    for service in profile.account.services:
        rejected = bool(attempts) and all(each.offered and each.verdict == "denied" for each in attempts)
        mute = any(each.offered and each.verdict == "silent" for each in attempts)
        made = await _try_service(profile, node, port, service, patience, rejected=rejected, call=not mute)
        services[service.name] = facts_of(made)
        attempts += made.values()
        silent = all(attempt.verdict == "silent" for attempt in attempts)
        if patience.over or (silent and not last):
            break
    defects = Defects()
    if not any(attempt.verdict == "served" for attempt in attempts):
        defects = await find_defects(profile, node, mapped, attempts, patience, last=last)
    if defects.stops is not None:
        text = f"its witness endpoint, TCP port {port}: {defects.stops.observed}"
        return _stopped(node, mapped, defects.stops, text)
    # A service that has just started may bind at once, and answer its first call late: it is called again.
    if all(each.unanswered if last else each.verdict == "silent" for each in attempts):
        raise Unanswered(f"its witness endpoint, TCP port {port}, does not answer: {attempts[0].answer}")
    for service in SERVICES if first_node else ():
        if profile.account.why_not(service) and not patience.over:
            patience.begin(f"{node.name}: bind with a token for {service.name}")
            known = await knows_service(node, port, service, patience.timeout)
            services[service.name] = ServiceFacts(offered=known)
    plain = defects.plain
    if plain is not None:
        attempts.append(plain)
    lists = (interfaces_of(attempt.listed) for attempt in attempts if attempt.listed is not None)
    interfaces = next((listed for listed in lists if listed is not None), None)
    facts = NodeFacts(
        name=node.name,
        address=node.address,
        mapped_port=mapped.port,
        mapper=mapped.problem,
        mapper_answers=mapped.answers,
        services=services,
        interfaces=interfaces,
    )
    bound = next((attempt.bound for attempt in attempts if attempt.bound and attempt is not plain), None)
    findings = [*defects.findings, *await _of_mapper(node, mapped, patience), *_of_lists(node, attempts)]
    return Examined(
        facts if bound is None else _with_features(facts, bound),
        tuple(findings),
        plain=plain is not None and plain.verdict == "served",
    )


async def _examine_plain(
    profile: Profile, node: NodeAddress, mapped: Mapped, port: int, patience: Patience, *, last: bool
) -> Examined:
    """Call a node without authentication, because the profile says so; ask which services it knows.

    Raises:
        Unanswered: the node has no witness service that answers.
    """
    patience.begin(f"{node.name}: bind and GetInterfaceList without authentication")
    plain = await log_on(profile, node, port, AuthType.NTLM, AuthLevel.NONE, patience.timeout)
    defects = Defects()
    if plain.verdict not in {"served", "denied"}:
        if last or plain.blame is not None:
            defects = await find_defects(profile, node, mapped, [plain], patience, last=last)
        if defects.stops is not None:
            text = f"its witness endpoint, TCP port {port}: {defects.stops.observed}"
            return _stopped(node, mapped, defects.stops, text)
        if plain.bound is None or (plain.verdict == "silent" and not last):
            raise Unanswered(f"its witness endpoint, TCP port {port}, does not answer: {plain.answer}")
    patience.begin(f"{node.name}: binds with authentication")
    known = {service: await knows_service(node, port, service, patience.timeout) for service in SERVICES}
    services = {service.name: ServiceFacts(offered=offered) for service, offered in known.items()}
    findings = [*defects.findings, *await _of_mapper(node, mapped, patience), *_of_lists(node, [plain])]
    if all(offered is False for offered in known.values()):
        findings.insert(0, no_service(f"bind to node {node.name}, {node.address} port {port}"))
    facts = NodeFacts(
        name=node.name,
        address=node.address,
        mapped_port=mapped.port,
        mapper=mapped.problem,
        mapper_answers=mapped.answers,
        services=services,
        interfaces=None if plain.listed is None else interfaces_of(plain.listed),
    )
    facts = facts if plain.bound is None else _with_features(facts, plain.bound)
    return Examined(facts, tuple(findings), plain=plain.verdict != "denied", denied=_denial(plain))


def _denial(plain: Attempt) -> str:
    return plain.answer if plain.verdict == "denied" else ""


def _stopped(node: NodeAddress, mapped: Mapped, finding: PreflightFinding, defect: str) -> Examined:
    """The facts of a node that no client can call."""
    facts = NodeFacts(
        name=node.name,
        address=node.address,
        mapped_port=mapped.port,
        mapper=mapped.problem,
        mapper_answers=mapped.answers,
        violates=finding.requirement,
        defect=defect,
    )
    return Examined(facts, (finding,))


async def _of_mapper(node: NodeAddress, mapped: Mapped, patience: Patience) -> list[PreflightFinding]:
    """What the endpoint mapper violates although the profile makes it unnecessary."""
    findings = [mapped.finding] if mapped.finding is not None else []
    if node.port is not None and mapped.port not in {None, node.port}:
        assert mapped.port is not None
        if await nobody_at(node.address, mapped.port, patience):
            findings.append(mapped.wrong_port(node, "connection refused"))
    return findings


def _of_lists(node: NodeAddress, attempts: Iterable[Attempt]) -> list[PreflightFinding]:
    """What an interface list without interfaces violates: the server must return ERROR_NO_MORE_ITEMS."""
    for attempt in attempts:
        listed = attempt.listed
        if listed is not None and listed.result == Win32.ERROR_SUCCESS:
            if interfaces_of(listed) in {None, ()}:
                return [
                    PreflightFinding.of(
                        "SWN-3.1.4.1-empty-list",
                        f"{describe(Win32.ERROR_NO_MORE_ITEMS)}, or a list with an interface",
                        f"{describe(Win32.ERROR_SUCCESS)} and a list without interfaces",
                        f"GetInterfaceList of node {node.name}",
                        attempt.transcript,
                    )
                ]
            return []
    return []


def _with_features(facts: NodeFacts, bound: BindResult) -> NodeFacts:
    """The facts with those that a bind shows."""
    return dataclasses.replace(
        facts,
        ndr64=NDR64 in bound.accepted.values(),
        multiplexing=bool(bound.bind_ack.flags & PfcFlags.CONC_MPX),
        header_signing=bool(bound.bind_ack.flags & PfcFlags.SUPPORT_HEADER_SIGN),
    )


async def _try_service(
    profile: Profile,
    node: NodeAddress,
    port: int,
    service: AuthType,
    patience: Patience,
    *,
    rejected: bool,
    call: bool,
) -> dict[AuthLevel, Attempt]:
    """Log on at PKT_INTEGRITY, and if that is rejected at PKT_PRIVACY.

    If the account was rejected with another service at both levels (``rejected``), its password may be wrong,
    and some servers lock an account after a few of those: one attempt then has to do.
    """
    attempts: dict[AuthLevel, Attempt] = {}
    levels = (AuthLevel.INTEGRITY, AuthLevel.PRIVACY)
    for level in reversed(levels) if rejected else levels:
        patience.begin(f"{node.name}: bind and GetInterfaceList with {service.name} at PKT_{level.name}")
        attempt = await log_on(profile, node, port, service, level, patience.timeout, call=call)
        attempts[level] = attempt
        if attempt.offered is False or (attempt.verdict == "denied") == rejected:
            break
    return attempts


def facts_of(attempts: dict[AuthLevel, Attempt]) -> ServiceFacts:
    """What the attempts with one service show."""
    return ServiceFacts(
        offered=next((a.offered for a in attempts.values() if a.offered is not None), None),
        answers={level.name: attempt.answer for level, attempt in attempts.items()},
        levels=tuple(level.name for level, attempt in attempts.items() if attempt.verdict == "served"),
        denied=tuple(level.name for level, attempt in attempts.items() if attempt.verdict == "denied"),
    )


def interfaces_of(response: GetInterfaceListResponse) -> tuple[InterfaceFacts, ...] | None:
    """The elements of an interface list; None when the response has none.

    Args:
        response: a response of GetInterfaceList.
    """
    listed = response.interface_list
    if response.result == Win32.ERROR_NO_MORE_ITEMS and listed is None:
        return ()
    if response.result not in {Win32.ERROR_SUCCESS, Win32.ERROR_NO_MORE_ITEMS} or listed is None:
        return None
    return tuple(_interface(each) for each in listed.interfaces or ())


def _interface(listed: InterfaceInfo) -> InterfaceFacts:
    addresses = [
        str(address)
        for flag, address in ((InterfaceFlags.IPV4, listed.ipv4), (InterfaceFlags.IPV6, listed.ipv6))
        if listed.flags & flag
    ]
    known = listed.state in list(InterfaceState)
    return InterfaceFacts(
        group=listed.group_name,
        addresses=tuple(addresses),
        state=InterfaceState(listed.state).name if known else f"0x{listed.state:04X}",
        own=not listed.flags & InterfaceFlags.WITNESS,
        version=listed.version,
    )
