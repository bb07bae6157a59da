"""The report of a run of the swarm: text for a person, JSON for a program."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from hdrh.histogram import HdrHistogram

from swn_torture.swarm.ledger import failures, settle

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from swn_torture.swarm.ledger import Account
    from swn_torture.swarm.run import Outcome, Plan
    from swn_torture.swarm.scenarios import Scenario

_LONGEST: Final = 3600 * 1000 * 1000
"""The largest delay that a histogram holds, in microseconds."""

_PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9, 100.0)

_SHOWN: Final = 8
"""Failures to show in the text."""


def histogram(delays: Sequence[float]) -> Any:
    """Return an HDR histogram, in microseconds with three significant digits, of delays in seconds."""
    made = HdrHistogram(1, _LONGEST, 3)
    for delay in delays:
        made.record_value(max(1, round(delay * 1_000_000)))
    return made


def as_text(scenario: Scenario, plan: Plan, outcome: Outcome, deadline: float) -> Iterator[str]:
    """Yield the lines of the report.

    Args:
        scenario: what happened.
        plan: how the swarm ran.
        outcome: what it has shown.
        deadline: seconds after which a notification is late.
    """
    yield f"{scenario.name}: {scenario.title}"
    missing = plan.clients - outcome.registered
    yield (
        f"{outcome.registered} of {plan.clients} clients were registered after {outcome.settled_in:.1f} s"
        + (f"; {missing} were not, in {plan.settle:g} s" if missing > 0 else "")
    )
    for account in settle(outcome.changes, outcome.records, deadline):
        yield from _lines(account, deadline)
    for failed in outcome.failed:
        yield f"FAILED: {failed}"
    for left_out in outcome.left_out:
        yield f"left out: {left_out}"
    counts = failures(outcome.records)
    if counts:
        yield "what failed:"
        for text, count in list(counts.items())[:_SHOWN]:
            yield f"  {count} x {text}"
        if len(counts) > _SHOWN:
            yield f"  and {len(counts) - _SHOWN} kinds more"


def _lines(account: Account, deadline: float) -> Iterator[str]:
    told = len(account.delays)
    yield f"{account.change.title}: {told} of {account.concerned} clients concerned were told"
    if told:
        made = histogram(account.delays)
        shown = ", ".join(
            f"p{percent:g} {made.get_value_at_percentile(percent) / 1e6:.3f} s" for percent in _PERCENTILES
        )
        yield f"  first {account.delays[0]:.3f} s, {shown}"
    lost = "not told: the controller failed" if account.change.failed else "LOST: registered, and not told"
    for count, what in (
        (account.lost, lost),
        (account.twice, "told more than once"),
        (account.late, f"told later than {deadline:g} s"),
        (account.gone, "not told: their registration ended before"),
        (account.others, "told without being concerned"),
    ):
        if count:
            yield f"  {len(count)} {what}"


def as_json(scenario: Scenario, plan: Plan, outcome: Outcome, deadline: float) -> dict[str, Any]:
    """Return the report as values for JSON; the arguments are those of :func:`as_text`.

    ``histogram`` is an HDR histogram in its compressed, encoded form (V2, base64), in microseconds.
    """
    accounts = settle(outcome.changes, outcome.records, deadline)
    return {
        "schema": "swn-torture-swarm/1",
        "scenario": scenario.name,
        "clients": plan.clients,
        "registered": outcome.registered,
        "settled_seconds": round(outcome.settled_in, 3),
        "late_after_seconds": deadline,
        "changes": [_values(account) for account in accounts],
        "failed_changes": outcome.failed,
        "left_out": outcome.left_out,
        "failures": failures(outcome.records),
    }


def _values(account: Account) -> dict[str, Any]:
    made = histogram(account.delays)
    change = asdict(account.change)
    change["addresses"] = sorted(change["addresses"])
    return {
        **change,
        "concerned": account.concerned,
        "told": len(account.delays),
        "lost": len(account.lost),
        "told_twice": len(account.twice),
        "late": len(account.late),
        "registration_ended": len(account.gone),
        "told_unconcerned": len(account.others),
        "first_seconds": account.delays[0] if account.delays else None,
        "percentiles_seconds": {
            f"{percent:g}": made.get_value_at_percentile(percent) / 1e6 for percent in _PERCENTILES
        }
        if account.delays
        else {},
        "histogram": made.encode().decode("ascii"),
    }
