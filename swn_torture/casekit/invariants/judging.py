"""Applies the rules of the wire to the transcripts of a case."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from swn_torture.casekit.invariants.choices import choices
from swn_torture.casekit.invariants.conversation import conversations, type_name_of
from swn_torture.casekit.invariants.table import INVARIANTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from swn_torture.casekit.checks import Spec
    from swn_torture.casekit.invariants.table import Invariant
    from swn_torture.dcerpc.transcript import Transcript

#: The rules of each PDU type; those of every type alone are those of unknown types.
_OF_ANY: Final = tuple(rule for rule in INVARIANTS if not rule.ptypes)
_BY_TYPE: Final[Mapping[int, tuple[Invariant, ...]]] = {
    ptype: tuple(rule for rule in INVARIANTS if not rule.ptypes or ptype in rule.ptypes)
    for ptype in {each for rule in INVARIANTS for each in rule.ptypes}
}


def judge_wire(spec: Spec, transcripts: Iterable[Transcript]) -> None:
    """Check every PDU that the target sent during a case, and record what it does where the text is open.

    A rule that is broken fails once, at the first PDU that breaks it, with the number of them. A rule that
    holds is a check only of a case that is about it.

    Args:
        spec: the checks of the case.
        transcripts: its transcripts.
    """
    broken: dict[Invariant, list[str]] = defaultdict(list)
    seen: dict[Invariant, int] = defaultdict(int)
    for transcript in transcripts:
        for pdu in conversations(transcript):
            for rule in _BY_TYPE.get(pdu.header.ptype, _OF_ANY):
                if rule.relation and pdu.connection.odd:
                    continue
                seen[rule] += 1
                problem = rule.wrong(pdu)
                if problem is not None:
                    where = f"{pdu.name} from {pdu.connection.peer}, call_id {pdu.header.call_id}"
                    broken[rule].append(f"{where}: {problem}")
            for ambiguity, observed in choices(pdu):
                spec.choice(ambiguity, observed)
    for rule in INVARIANTS:
        if broken[rule]:
            more = f" (and {len(broken[rule]) - 1} more)" if len(broken[rule]) > 1 else ""
            _check(spec, rule, passed=False, observed=f"{broken[rule][0]}{more}")
        elif seen[rule] and rule.requirement in spec.requirements:
            _check(spec, rule, passed=True, observed=f"{seen[rule]} PDUs as expected")


def _check(spec: Spec, rule: Invariant, *, passed: bool, observed: str) -> None:
    types = ", ".join(map(type_name_of, rule.ptypes)) or "every PDU"
    spec.add(
        rule.requirement,
        passed=passed,
        expected=(rule.expected,),
        observed=observed,
        note=f"{rule.field} of {types}",
        invariant=True,
    )
