"""A case whose result says nothing, because of what happened beside it, is run again.

A server may leave one bind without an answer, and answer the next one. A process of the server may hang, so
that the clients that it serves wait in vain. The case that meets this is about something else: it would be
*not tested*, or find a violation of a rule that the server does not break. So it is run again, with the
target to itself. What happened is kept in its result (`CaseResult.attempts`), and the report warns of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from _pytest.runner import runtestprotocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from swn_torture.harness.case_run import CaseRun
    from swn_torture.report.model import CaseResult

#: Why the attempts before the present one of an item say nothing.
ATTEMPTS: pytest.StashKey[tuple[str, ...]] = pytest.StashKey()

MOST_ATTEMPTS: Final = 3
"""How many times a case is run at most. What the last attempt shows is its result, whatever it is."""


def run_until_it_tells(
    item: pytest.Item, nextitem: pytest.Item | None, running: pytest.StashKey[CaseRun]
) -> None:
    """Run a case; run it again if the result says nothing. Only the last attempt is reported.

    Args:
        item: the case.
        nextitem: the test after it.
        running: the key under which the item has its running case.
    """
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for _ in range(MOST_ATTEMPTS):
        if running in item.stash:
            del item.stash[running]
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        case = item.stash.get(running, None)
        attempts = item.stash.get(ATTEMPTS, ())
        restored = not any(report.failed for report in reports if report.when == "teardown")
        if case is None or not case.spoiled or not restored or len(attempts) + 1 == MOST_ATTEMPTS:
            break
        item.stash[ATTEMPTS] = (*attempts, case.spoiled)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


def warnings_of(cases: Iterable[CaseResult]) -> tuple[str, ...]:
    """Return what a reader must know of the cases that were run again, as one sentence or two; or nothing."""
    again = [case for case in cases if case.attempts]
    if not again:
        return ()
    shown = ", ".join(case.id for case in again[:3]) + (" ..." if len(again) > 3 else "")
    number = f"{len(again)} cases were" if len(again) > 1 else "1 case was"
    why = f"the server left a client without an answer. First: {again[0].attempts[0]}."
    return (f"{number} run again ({shown}): {why}",)
