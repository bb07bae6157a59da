"""Which cases cannot be judged because a method on a lower rung serves no client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit.facts import CONNECTIONS, FRAGMENTS, SEGMENTS, BrokenMethod
from swn_torture.spec.rungs import BY_ID, below, height, requirements_of, rungs_used
from swn_torture.witness.constants import Opnum

if TYPE_CHECKING:
    from swn_torture.casekit.case import CaseMark
    from swn_torture.casekit.facts import TargetFacts
    from swn_torture.spec.rungs import Rung

#: The rung of each method.
_RUNGS = {
    Opnum.GET_INTERFACE_LIST: "interface-list",
    Opnum.REGISTER: "register",
    Opnum.REGISTER_EX: "register-ex",
    Opnum.UNREGISTER: "unregister",
    Opnum.ASYNC_NOTIFY: "async-notify",
}


#: What is not done because of a requirement.
_REST = {
    SEGMENTS: "No request of several fragments is sent",
    FRAGMENTS: "No request of several fragments is sent",
    CONNECTIONS: "Cases run one after the other; those with several connections are not tested",
}

#: The rungs on which most cases wait for an answer to each PDU. On others a PDU follows the last PDU of the
#: authentication, which has no answer: a server that loses a second PDU loses it.
_FIRST = {"reachable", "endpoint-mapper", "bind"}

#: What cases about security check that call without authentication themselves.
_WITHOUT_SECURITY = {"SWN-3.1.4-enforce-security", "RPC-AUTH-bind-levels"}
_NO_SECURITY = "the target is called without authentication"


def rung_of_method(opnum: int) -> Rung:
    """The rung of a method.

    Args:
        opnum: the method: 0 to 4.
    """
    return BY_ID[_RUNGS[Opnum(opnum)]]


def blocked_by(case_id: str, mark: CaseMark, facts: TargetFacts) -> BrokenMethod | None:
    """The broken method that a case depends on; None when it can be run.

    A case about the requirement that the broken method violates is run: it makes the finding. So is one on a
    lower rung that calls the method on the way; it ends when it does (`Connections.require_method`).

    Args:
        case_id: its id with parameters.
        mark: what it declares.
        facts: what the target has shown.
    """
    used = rungs_used(case_id, mark.requirements, mark.needs)
    own = requirements_of(case_id, mark.requirements)
    if facts.no_security and "security" in used and not _WITHOUT_SECURITY & {*own}:
        return BrokenMethod(-1, facts.no_security, _NO_SECURITY)
    segments = facts.segments
    if segments is not None and segments.loses_pdus and used - _FIRST and segments.requirement not in own:
        return BrokenMethod(-1, segments.requirement, segments.observed)
    if not facts.broken:
        return None
    needed = used.union(*(below(rung) for rung in used))
    if "register-ex" in used and "register" not in used:
        needed -= {"register"}  # it registers with RegisterEx
    for broken in sorted(facts.broken, key=lambda each: height(rung_of_method(each.opnum).id)):
        if rung_of_method(broken.opnum).id in needed and broken.requirement not in own:
            return broken
    return None


def broken_rungs(facts: TargetFacts) -> tuple[str, ...]:
    """A line for each rung that is broken at its root: what is not run because of it."""
    lines = []
    for framing in facts.framing:
        rest = "Only cases of the lowest rungs are run" if framing.loses_pdus else _REST[framing.requirement]
        lines.append(f"{framing.observed}, which violates {framing.requirement}. {rest}.")
    for broken in sorted(facts.broken, key=lambda each: height(rung_of_method(each.opnum).id)):
        rung = rung_of_method(broken.opnum)
        above = [each.title for each in BY_ID.values() if rung.id in below(each.id)]
        rest = f", nor those of {', '.join(above)}" if above else ""
        lines.append(
            f"{rung.title} is broken at its root: an ordinary call ends in {broken.observed}, which violates "
            f"{broken.requirement}. Its other cases are not run{rest}."
        )
    return tuple(lines)
