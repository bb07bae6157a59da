"""Results as values: checks, choices, cases, the target and the run. No files, no verdicts.

A *check* compares one observation with one requirement. A *case* makes one or more checks; its outcome
follows from them (:func:`swn_torture.report.verdict.decide_outcome`). The *results* are all cases of a run
against one target (:mod:`swn_torture.report.results`).

Every class turns into plain JSON values with ``to_json`` and is read back with ``from_json``. Together they
make the schema ``swn-torture-results/1`` (``results.schema.json`` in this package).
"""

from __future__ import annotations

import re
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, cast, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping


Json = dict[str, Any]
Value = TypeVar("Value", bound="Plain")

#: The outcome of a case. ``passed``; ``failed``: a binding requirement is violated; ``deviation``: a SHOULD
#: is not followed; ``not-tested``: the case cannot be run on this target; ``error``: the harness or the
#: target could not be used.
CaseOutcome = Literal["passed", "failed", "deviation", "not-tested", "error"]

#: First words of the reason of a case that was not tested because a target of this kind can never show it.
IMPOSSIBLE = "impossible here: "

#: First words of the reason of a case that was not tested because the target was lost before it.
LOST = "the target stopped answering during "

#: Outcomes in the order in which reports show them, worst first.
OUTCOMES: tuple[CaseOutcome, ...] = ("failed", "error", "deviation", "not-tested", "passed")

#: The three parts of the suite; each builds on the one before.
SUITES = ("ndr", "rpc", "cluster")


class Plain:
    """A dataclass of plain values that turns into JSON and back, field by field."""

    __slots__ = ()

    def to_json(self) -> Json:
        """The JSON form: an object with one member for each field."""
        return {item.name: _plain(getattr(self, item.name)) for item in fields(cast("Any", self))}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The value from its JSON form; unknown members are ignored.

        Raises:
            TypeError: this is not an object, a member is missing, or one has the wrong type.
        """
        return build(cls, data)


def build(cls: type[Value], data: Mapping[str, Any]) -> Value:
    """A value of a class of plain values from its members; unknown members are ignored, lists become tuples.

    Raises:
        TypeError: this is not an object, a member is missing, or one has the wrong type.
    """
    known = {item.name: item for item in fields(cast("Any", cls))}
    values = {name: value for name, value in members(cls, data).items() if name in known}
    for name, value in values.items():
        if not _fits(value, str(known[name].type)):
            raise TypeError(f"the member {name} of a {cls.__name__} must not be {_short(value)}")
    for name, item in known.items():
        if name not in values and item.default is MISSING and item.default_factory is MISSING:
            raise TypeError(f"the member {name} of a {cls.__name__} is missing")
    return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def members(cls: type[Plain], data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The members of an object.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(data, dict):
        raise TypeError(f"a {cls.__name__} must be an object, not {_short(data)}")
    return data


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]} ..."


#: What a member may be, by the first word of its annotation; another word is that of a Literal, a string.
_KINDS: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "tuple": (list, tuple),
    "Mapping": (dict,),
}


def _fits(value: object, annotation: str) -> bool:
    """Whether a value is of the kind that the annotation of its member says, and so is what it holds."""
    if value is None:
        return "| None" in annotation
    kind = re.split(r"\W", annotation, maxsplit=1)[0]
    if not isinstance(value, _KINDS.get(kind, (str,))) or (isinstance(value, bool) and kind != "bool"):
        return False
    held = str if "[str" in annotation else dict if "[Json" in annotation else object
    if isinstance(value, dict):
        value = [*value.values()]
    return not isinstance(value, list | tuple) or all(isinstance(each, held) for each in value)


def _plain(value: object) -> object:
    if isinstance(value, Plain):
        return value.to_json()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value


@dataclass(frozen=True, slots=True)
class Check(Plain):
    """One observation compared with one requirement.

    Attributes:
        requirement: catalogue id.
        passed: whether the observation is allowed; None when it is only recorded.
        expected: every allowed observation, one entry each.
        observed: what the target did; codes by symbol and value: ``ERROR_INVALID_STATE (0x139F)``.
        note: where in the case this was, or what a reader should know.
        precondition: whether the case only relies on the requirement and is not about it. A failed one is
            the reason why the case ended, and evidence for a finding in another case.
        because: catalogue id of another requirement whose violation explains a failed check: an ordinary call
            of the same method ends in the same way. Empty otherwise.
        invariant: whether it is a rule of the wire that is checked in every case, whatever the case is about.
            One that failed does not end the case.
    """

    requirement: str
    passed: bool | None
    expected: tuple[str, ...] = ()
    observed: str = ""
    note: str = ""
    precondition: bool = False
    because: str = ""
    invariant: bool = False


@dataclass(frozen=True, slots=True)
class Choice(Plain):
    """What the target does where the specification leaves a choice.

    Attributes:
        ambiguity: catalogue id, ``AMB-<n>``.
        observed: what the target did.
        case: id of the case that observed it.
    """

    ambiguity: str
    observed: str
    case: str


@dataclass(frozen=True, slots=True)
class CaseResult(Plain):
    """The result of one case.

    Attributes:
        id: stable id with its parameters: ``rpc.register.null-netname[ndr64]``.
        title: what is sent and what must come back, in one sentence.
        suite: ``ndr``, ``rpc`` or ``cluster``.
        requirements: catalogue ids that the case can verify, whether it checked them or not.
        level: the strictest level among them.
        outcome: see `CaseOutcome`.
        reason: what was violated, why it was not tested, or what went wrong, in one sentence; empty when it
            passed.
        because: catalogue id of the requirement whose violation is the reason why it was not tested; else
            empty.
        found_by: id of the case that reports this violation; else empty.
        rung: id of the rung that it belongs to (`swn_torture.spec.rungs`); empty when it does not say so.
        attempts: why each earlier attempt to run it says nothing; empty when the first one is the result.
        expected: every allowed observation of the first check that failed.
        observed: what the target did instead.
        checks: every check that was reached, in order.
        choices: what the target does where the specification leaves a choice.
        duration_s: seconds, set-up included.
        repro: the command that runs this case again.
        transcript: octet records of the exchange, as :mod:`swn_torture.report.exchange.records` reads them.
        events: what the controller did to the cluster, each as ``time`` (seconds since the epoch) and
            ``text``; kept with the transcript.
        capture: path of its packet capture, relative to the report that names it; None when there is none.
        node_id: pytest's node id.
    """

    id: str
    title: str
    suite: str
    requirements: tuple[str, ...]
    level: str
    outcome: CaseOutcome
    reason: str = ""
    expected: tuple[str, ...] = ()
    observed: str = ""
    checks: tuple[Check, ...] = ()
    choices: tuple[Choice, ...] = ()
    duration_s: float = 0.0
    repro: str = ""
    transcript: tuple[Json, ...] = field(default=(), repr=False)
    events: tuple[Json, ...] = ()
    capture: str | None = None
    node_id: str = ""
    because: str = ""
    found_by: str = ""
    rung: str = ""
    attempts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.outcome not in get_args(CaseOutcome):
            raise ValueError(
                f"{self.id}: unknown outcome {self.outcome!r}; known: {', '.join(get_args(CaseOutcome))}"
            )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The case from its JSON form."""
        data = members(cls, data)
        checks = [Check.from_json(check) for check in data.get("checks", ())]
        choices = [Choice.from_json(choice) for choice in data.get("choices", ())]
        return build(cls, {**data, "checks": checks, "choices": choices})


@dataclass(frozen=True, slots=True)
class TargetInfo(Plain):
    """The target of a run.

    Attributes:
        name: name of its profile: ``reference``, ``samba-4.22``.
        controller: kind of controller; ``none`` when the suite cannot change the cluster.
        capabilities: what the controller can do to the cluster.
        address: address of the first node.
        net_name: the NetName that clients register with.
        facts: other facts for the head of a report (product, authentication, shares), by label.
        title: what it is, in one line: ``Samba 4.22.3 on Debian trixie, 3 CTDB nodes``. Empty when not known.
        nodes: its nodes, each as text: ``node1 (192.0.2.11)``.
        warnings: what a reader must know before the results, one sentence or two each: contradictions between
            the profile and the target, nodes left out.
    """

    name: str
    controller: str = "none"
    capabilities: tuple[str, ...] = ()
    address: str = ""
    net_name: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
    nodes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run(Plain):
    """One run of the suite.

    Attributes:
        started: ISO 8601 with its offset from UTC.
        duration_s: wall time in seconds.
        complete: False when the run stopped early; its results until then are valid.
        stopped: why it stopped early, in one sentence.
        command: the command line, without passwords.
        host: where it ran: ``Linux x86_64, Python 3.11.7``.
        workers: number of processes that shared the cases.
        selection: how the user selected some of the cases (``-k register``); empty for the whole suite.
        unfinished: ids of the cases that were started and did not end.
        resumes: when the run started from whose journal this one goes on, ISO 8601; empty for none.
    """

    started: str
    duration_s: float = 0.0
    complete: bool = True
    stopped: str = ""
    command: str = ""
    host: str = ""
    workers: int = 1
    selection: str = ""
    unfinished: tuple[str, ...] = ()
    resumes: str = ""
