"""A run that goes on from the journal of one that stopped: what has ended is kept, the rest runs.

``swn-torture run --resume`` reads the journal before it starts pytest (``Resume``), and sends the ids of the
kept cases to the workers of pytest-xdist, so that all of them leave out the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.report.journal import Content, read_content
from swn_torture.report.model import LOST
from swn_torture.report.roots import PREFLIGHT

if TYPE_CHECKING:
    from pathlib import Path

    from swn_torture.report.model import CaseResult, TargetInfo


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a run that stopped.

    Attributes:
        started: when it started, ISO 8601.
        cases: the results that are kept, in their order.
        again: ids of the other cases that were started; they run again.
    """

    started: str
    cases: tuple[CaseResult, ...]
    again: tuple[str, ...]


#: What the run of a session goes on from.
RESUMED: pytest.StashKey[Kept] = pytest.StashKey()

#: Key under which the ids of the kept cases go to a worker of pytest-xdist, as JSON.
_KEY = "swn_kept"

#: Facts of a target that must be the same: another build or another fault is another target.
_SAME = ("version", "build ids", "fault", "unusual server")


class ResumeError(ValueError):
    """A journal cannot be resumed; the message says why, and what to do."""


@dataclass(frozen=True)
class Stopped:
    """A run that stopped.

    Attributes:
        path: its journal.
        content: what the journal holds.
    """

    path: Path
    content: Content


def stopped_run(path: Path) -> Stopped:
    """Read the journal of a run that stopped.

    Raises:
        OSError: the journal cannot be read.
        ResultsError: it is not a journal.
        ResumeError: its run is complete.
    """
    content = read_content(path)
    if content.run.complete:
        raise ResumeError(f"{path}: that run is complete; there is nothing to resume")
    return Stopped(path, content)


def kept_of(stopped: Stopped, target: TargetInfo, selection: str) -> Kept:
    """What to keep of a run that stopped.

    Cases that ended in an error, or were not tested because the target was lost, say nothing about it, so
    they run again. What the first calls showed is learned again.

    Args:
        stopped: that run.
        target: the target of the run that goes on.
        selection: how the user selects cases now, as in `Run.selection`.

    Raises:
        ResumeError: it is that of another target or selection.
    """
    content = stopped.content
    before = content.target
    for what, then, now in (
        ("the target", before.name, target.name),
        ("the nodes", ", ".join(before.nodes), ", ".join(target.nodes)),
        *((f"the {each}", before.facts.get(each, ""), target.facts.get(each, "")) for each in _SAME),
        ("the selected cases", content.run.selection, selection),
    ):
        if then != now:
            raise ResumeError(
                f"{stopped.path}: {what} of that run: {then or 'none'}; of this one: {now or 'none'}. "
                "Resume with the same --target and the same options, or start a new run"
            )
    ended = [case for case in content.cases if not case.id.startswith(PREFLIGHT)]
    kept = tuple(case for case in ended if case.outcome != "error" and not case.reason.startswith(LOST))
    names = {case.id for case in kept}
    again = [*(case.id for case in ended if case.id not in names), *content.run.unfinished]
    return Kept(content.run.resumes or content.run.started, kept, tuple(dict.fromkeys(again)))


class Resume:
    """A pytest plugin for the main process of a run that goes on."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def pytest_configure(self, config: pytest.Config) -> None:
        """Keep it for the selection of cases and for the reports of this process."""
        config.stash[RESUMED] = self._kept

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Send the ids to a worker of pytest-xdist."""
        node.workerinput[_KEY] = json.dumps([case.id for case in self._kept.cases])


def kept_ids(config: pytest.Config) -> frozenset[str]:
    """The ids of the cases that do not run, because their results are kept."""
    sent = getattr(config, "workerinput", {}).get(_KEY)
    if sent is not None:
        return frozenset(json.loads(sent))
    kept = config.stash.get(RESUMED, None)
    return frozenset(case.id for case in kept.cases) if kept else frozenset()
