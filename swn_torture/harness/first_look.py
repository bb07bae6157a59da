"""The lower rungs of the ladder as the first calls show them: seconds after the start, before any case."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.harness.rung_gate import rung_of_method
from swn_torture.spec.rungs import BY_ID, below, rung_of_requirement
from swn_torture.witness.constants import Opnum

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from swn_torture.casekit.facts import NodeFacts, TargetFacts
    from swn_torture.harness.preflight.learning import Preflight
    from swn_torture.target import Profile

_METHODS = (
    Opnum.GET_INTERFACE_LIST,
    Opnum.REGISTER,
    Opnum.REGISTER_EX,
    Opnum.UNREGISTER,
    Opnum.ASYNC_NOTIFY,
)

_RUNGS = frozenset(rung_of_method(opnum).id for opnum in _METHODS)


def first_look(profile: Profile, learned: Preflight) -> list[str]:
    """A line for each rung that the first calls reach, lowest first.

    Args:
        profile: the profile of the target.
        learned: what the target has shown.
    """
    return _lines([*_rows(profile, learned)])


def lowest_rungs(profile: Profile, learned: Preflight) -> list[str]:
    """The first of these lines: the rungs below the methods, which are known before a method is called.

    Args:
        profile: the profile of the target.
        learned: what the target has shown so far.
    """
    return _lines([row for row in _rows(profile, learned) if row[0] not in _RUNGS])


def _lines(rows: Sequence[tuple[str, str]]) -> list[str]:
    wide = max(len(BY_ID[rung].title) for rung, _ in rows)
    return [f"  {BY_ID[rung].title:{wide}}  {text}" for rung, text in rows]


def _rows(profile: Profile, learned: Preflight) -> Iterator[tuple[str, str]]:
    facts = learned.facts
    yield "reachable", _reachable(facts)
    if not facts.nodes:
        return
    yield "endpoint-mapper", _mapper(profile, facts.nodes)
    serving = [node for node in facts.nodes if node.services]
    if not serving:
        yield "bind", _violated("bind", learned) or "not reached"
        return
    if learned.stopped_at == "security":
        yield "bind", _violated("bind", learned) or "an answer"
        yield "security", "no call is served"
        return
    syntaxes = {True: "NDR32, NDR64", False: "NDR32", None: "accepted"}[facts.ndr64]
    yield "bind", _violated("bind", learned) or syntaxes
    if facts.level == AuthLevel.NONE:
        yield "security", _violated("security", learned) or "called without authentication"
    else:
        levels = f"{facts.auth_type.name} at PKT_{facts.level.name}"
        yield "security", _violated("security", learned) or levels
    broken: set[str] = set()
    for opnum in _METHODS:
        found, rung = facts.broken_method(opnum), rung_of_method(opnum)
        if found is not None:
            yield rung.id, f"violated: {found.requirement} ({found.observed})"
            broken.add(rung.id)
        elif broken & below(rung.id):
            yield rung.id, f"not reached: {', '.join(BY_ID[each].title for each in broken & below(rung.id))}"
        elif rung.id == learned.stopped_at:
            yield rung.id, "no usable answer"
            return
        elif opnum != Opnum.REGISTER_EX or profile.expect.version >= 2:
            yield rung.id, "answers"


def _reachable(facts: TargetFacts) -> str:
    names = ", ".join(node.name for node in facts.nodes)
    left_out = ", ".join(facts.left_out)
    if not names:
        return f"no: {left_out} {'does' if len(facts.left_out) == 1 else 'do'} not answer"
    return f"{names}; no answer: {left_out}" if left_out else names


def _mapper(profile: Profile, nodes: tuple[NodeFacts, ...]) -> str:
    ports = {node.name: node.port for node in profile.nodes}
    said = []
    for node in nodes:
        if node.mapped_port is not None:
            said.append(f"{node.name} port {node.mapped_port}")
        elif ports.get(node.name):
            said.append(f"{node.name} not needed: the profile says port {ports[node.name]}")
        else:
            said.append(f"{node.name}: {node.mapper}")
    return "; ".join(said) or "not reached"


def _violated(rung: str, learned: Preflight) -> str:
    for finding in learned.findings:
        found = rung_of_requirement(finding.requirement)
        if found is not None and found.id == rung:
            return f"violated: {finding.requirement} ({finding.observed})"
    return ""
