"""Defects of a node that stop every client before its first call, from what it answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from swn_torture.casekit.blame import UNANSWERED_BIND
from swn_torture.casekit.facts import SERVICE_NAMES, SERVICES
from swn_torture.dcerpc.pdu.bind import BindNakReason
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.harness.preflight.findings import PreflightFinding
from swn_torture.harness.preflight.logon import Attempt, knows_service, log_on
from swn_torture.stubdata.syntax import NDR32

#: Reasons of a bind_nak that name neither a limit of the server nor an authentication service. A server that
#: rejects every bind so, with each service and without, has no client.
_REJECTIONS = (BindNakReason.NOT_SPECIFIED, BindNakReason.PROTOCOL_VERSION_NOT_SUPPORTED)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.harness.preflight.mapping import Mapped
    from swn_torture.harness.preflight.patience import Patience
    from swn_torture.target import NodeAddress, Profile

#: The services in the text of an observation.
_SHORT = {AuthType.NTLM: "NTLM", AuthType.SPNEGO: "SPNEGO", AuthType.KERBEROS: "Kerberos"}


@dataclass(slots=True)
class Defects:
    """What is wrong with a node.

    Attributes:
        findings: what it violates.
        stops: the first finding that no client gets past; None when a client can call the node.
        plain: the attempt without authentication; None when it was not necessary.
    """

    findings: list[PreflightFinding] = field(default_factory=list)
    stops: PreflightFinding | None = None
    plain: Attempt | None = None

    def add(self, finding: PreflightFinding, *, stops: bool = False) -> None:
        """Keep a finding; the same requirement counts once."""
        if all(each.requirement != finding.requirement for each in self.findings):
            self.findings.append(finding)
        if stops and self.stops is None:
            self.stops = finding


async def find_defects(
    profile: Profile,
    node: NodeAddress,
    mapped: Mapped,
    attempts: Sequence[Attempt],
    patience: Patience,
    *,
    last: bool,
) -> Defects:
    """Judge the attempts to log on to a node of which none was served.

    An answer that cannot be read is a defect at once. A closed connection is one if a bind without
    authentication ends in the same way, and the node is not called again (``last``). Where the account was
    rejected, nothing is judged: it may be a wrong one.

    Args:
        profile: the profile of the target.
        node: the node.
        mapped: what its endpoint mapper says.
        attempts: how it answered; the first one is an ordinary one.
        patience: how long to wait.
        last: the node is not called again.
    """
    found = Defects()
    port = node.port or mapped.port or 0
    where = f"bind to node {node.name}, {node.address} port {port}"
    for attempt in attempts:
        if attempt.blame is not None:
            found.add(_of(attempt, attempt.blame.requirement, attempt.blame.expected, where))
    if attempts[0].refused:
        if last and node.port is None:
            found.add(mapped.wrong_port(node, attempts[0].answer), stops=True)
        return found
    if not last and not found.findings and all(attempt.verdict == "silent" for attempt in attempts):
        return found
    every_nak = all(attempt.nak in _REJECTIONS for attempt in attempts)
    if not every_nak and any(attempt.rejects_account for attempt in attempts):
        return found
    patience.begin(f"{node.name}: bind and GetInterfaceList without authentication")
    found.plain = await log_on(
        profile, node, port, AuthType.NTLM, AuthLevel.NONE, patience.timeout, transfer=(NDR32,)
    )
    if every_nak and found.plain.nak not in _REJECTIONS:
        found.plain = None  # only binds with authentication are rejected, for every account
        return found
    _judge_plain(found, found.plain, node, mapped, attempts, f"{where} without authentication")
    if not found.findings and found.plain.bound is not None:
        others = [each for each in SERVICES if profile.account.why_not(each)]
        requirement, expected, observed = await _without_security(node, port, attempts, others, patience)
        if requirement:
            names = " and ".join(SERVICE_NAMES[service] for service in profile.account.services)
            octets = attempts[0].transcript
            found.add(PreflightFinding.of(requirement, expected, observed, f"{where}, with {names}", octets))
    return found


def _judge_plain(
    found: Defects,
    plain: Attempt,
    node: NodeAddress,
    mapped: Mapped,
    attempts: Sequence[Attempt],
    where: str,
) -> None:
    """Judge a bind without authentication, the plainest that there is."""
    if plain.bound is not None:
        return
    if plain.blame is not None:
        found.add(_of(plain, plain.blame.requirement, plain.blame.expected, where), stops=True)
    elif all(each.nak in _REJECTIONS for each in (plain, *attempts)) or (
        plain.closed and all(each.closed for each in attempts)
    ):
        found.add(_of(plain, UNANSWERED_BIND.requirement, UNANSWERED_BIND.expected, where), stops=True)
    elif plain.unknown_interface and node.port is None and mapped.port == node.endpoint_mapper_port:
        found.add(mapped.wrong_port(node, "the endpoint mapper itself"), stops=True)
    elif plain.unknown_interface:
        found.add(_of(plain, "SWN-1.9-uuid", "acceptance of the witness interface", where))


async def _without_security(
    node: NodeAddress,
    port: int,
    attempts: Sequence[Attempt],
    others: Sequence[AuthType],
    patience: Patience,
) -> tuple[str, str, str]:
    """What a node that accepts a bind violates when it knows no authentication service.

    A node that knows a service for which the suite has no credentials knows one: no rule demands another.

    Returns:
        The requirement, what was expected and what was observed; empty if it knows a service.
    """
    if all(attempt.token_ignored for attempt in attempts):
        return "RPC-AUTH-three-leg", "a leg that completes the authentication", "a bind_ack without a token"
    if all(attempt.offered is False for attempt in attempts):
        known = [await knows_service(node, port, each, patience.timeout) for each in others]
        if all(each is False for each in known):
            names = " and ".join(_SHORT[each] for each in others)
            observed = attempts[0].answer + (f", and the same with {names}" if names else "")
            return "RPC-AUTH-bind-levels", "a bind that completes at PKT_INTEGRITY and PKT_PRIVACY", observed
    return "", "", ""


def no_service(where: str) -> PreflightFinding:
    """What a node violates that knows no authentication service.

    Args:
        where: which bind this was.
    """
    names = " and ".join(SERVICE_NAMES[service] for service in SERVICES)
    return PreflightFinding.of(
        "RPC-AUTH-bind-levels",
        "a bind that completes at PKT_INTEGRITY and PKT_PRIVACY",
        "bind_nak with authentication_type_not_recognized, or a bind_ack without a token",
        f"{where}, with a token for {names}",
    )


def _of(attempt: Attempt, requirement: str, expected: str, note: str) -> PreflightFinding:
    return PreflightFinding.of(requirement, expected, attempt.answer, note, attempt.transcript)
