"""What a run found: checks, cases, choices, and the results of a whole run. Values only; no files.

A *check* is one observation held against one requirement. A *case* makes a few checks; its outcome follows
from them (:func:`swn_torture.report.verdict.judge`) unless it never got that far. The *results* are all cases
of a run against one target; what they say about each requirement is computed in
:mod:`swn_torture.report.verdict`, once, for every report.

Every class turns into plain JSON values with ``to_json`` and comes back with ``from_json``; together they are
the schema ``swn-torture-results/1`` (``results.schema.json`` beside this module).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, cast, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping


Json = dict[str, Any]
Value = TypeVar("Value", bound="_Plain")

#: What became of a case: ``passed``; ``failed``, a MUST is violated; ``deviation``, a SHOULD is not followed;
#: ``not-tested``, it cannot be run on this target; ``error``, the harness or the target could not be used.
CaseOutcome = Literal["passed", "failed", "deviation", "not-tested", "error"]

#: Outcomes in the order in which a reader wants them: worst first.
OUTCOMES: tuple[CaseOutcome, ...] = ("failed", "error", "deviation", "not-tested", "passed")

#: The three parts of the suite, in the order in which they build on one another.
SUITES = ("ndr", "rpc", "cluster")


class _Plain:
    """A dataclass of plain values, which turns into JSON field by field and back."""

    __slots__ = ()

    def to_json(self) -> Json:
        """The JSON form: an object with one member per field."""
        return {item.name: _plain(getattr(self, item.name)) for item in fields(cast("Any", self))}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The value from its JSON form; members that this version does not know are left aside.

        Raises:
            TypeError: a member is missing.
        """
        return _build(cls, data)


def _build(cls: type[Value], data: Mapping[str, Any]) -> Value:
    known = {item.name for item in fields(cast("Any", cls))}
    values = {name: value for name, value in data.items() if name in known}
    return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def _plain(value: object) -> object:
    if isinstance(value, _Plain):
        return value.to_json()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value


@dataclass(frozen=True, slots=True)
class Check(_Plain):
    """One observation, held against one requirement.

    Attributes:
        requirement: catalogue id.
        passed: whether what was observed is allowed; None when nothing was judged, only recorded.
        expected: every allowed observation, one entry each.
        observed: what came; codes by symbol and value: ``ERROR_INVALID_STATE (0x139F)``.
        note: where in the case this was, or what a reader should know.
    """

    requirement: str
    passed: bool | None
    expected: tuple[str, ...] = ()
    observed: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Choice(_Plain):
    """What the target chose where the text leaves a choice.

    Attributes:
        ambiguity: catalogue id, ``AMB-<n>``.
        observed: what the target did.
        case: id of the case that saw it.
    """

    ambiguity: str
    observed: str
    case: str


@dataclass(frozen=True, slots=True)
class CaseResult(_Plain):
    """What one case found.

    Attributes:
        id: stable slug with its parameters: ``rpc.register.null-netname[ndr64]``.
        title: the stimulus, in a sentence.
        suite: ``ndr``, ``rpc`` or ``cluster``.
        requirements: catalogue ids that the case can verify, whether it reached them or not.
        level: the strictest level among them.
        outcome: what became of it.
        reason: why, in a sentence: what was violated, why it was not tested, what broke; empty when passed.
        expected: all that is allowed, of the first check that failed.
        observed: what came instead.
        checks: every check reached, in order.
        choices: what the target chose where the text leaves a choice.
        duration_s: seconds, set-up included.
        repro: the one command that runs this case again.
        transcript: octet records of the exchange, as :mod:`swn_torture.report.exchange.records` reads them.
        capture: file name of its packet capture, relative to the JSON results; None when there is none.
        node_id: the name by which pytest knows it.
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
    capture: str | None = None
    node_id: str = ""

    def __post_init__(self) -> None:
        if self.outcome not in get_args(CaseOutcome):
            raise ValueError(
                f"{self.id}: outcome {self.outcome!r} is none of {', '.join(get_args(CaseOutcome))}"
            )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The case from its JSON form."""
        checks = [Check.from_json(check) for check in data.get("checks", ())]
        choices = [Choice.from_json(choice) for choice in data.get("choices", ())]
        return _build(cls, {**data, "checks": checks, "choices": choices})


@dataclass(frozen=True, slots=True)
class TargetInfo(_Plain):
    """What was judged.

    Attributes:
        name: the profile's name for it: ``reference``, ``samba-4.22``.
        controller: kind of controller; ``none`` when the cluster cannot be moved.
        capabilities: what the controller can do to the cluster.
        address: where the suite connected first.
        net_name: the name clients register for.
        facts: anything else worth a line in a report (product, version, number of nodes), by label.
    """

    name: str
    controller: str = "none"
    capabilities: tuple[str, ...] = ()
    address: str = ""
    net_name: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run(_Plain):
    """One run of the suite.

    Attributes:
        started: ISO 8601 with its offset from UTC.
        duration_s: wall time, seconds.
        complete: False when it was cut short; what was found until then still stands.
        stopped: why it was cut short, in a sentence.
        command: the command line, passwords left out.
        host: what it ran on: ``Linux 6.1 x86_64, Python 3.11.7``.
        workers: how many processes shared the cases.
    """

    started: str
    duration_s: float = 0.0
    complete: bool = True
    stopped: str = ""
    command: str = ""
    host: str = ""
    workers: int = 1
