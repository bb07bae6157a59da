"""A trial whose process ends without a result."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.preloaded import python

if TYPE_CHECKING:
    from pathlib import Path

#: Jobs whose processes end: each writes a line, and a result only if there are as many lines as it is told.
_SCRIPT = """
import json, sys
from pathlib import Path
from swn_torture import trials

def run(job, path):
    with path.with_suffix(".log").open("a") as log:
        log.write("it broke\\n")
    begun = path.with_suffix(".log").read_text().count("broke")
    if begun < int(sys.argv[2]):
        sys.exit(1)
    names = ("outcomes", "named", "judged", "broken", "reasons")
    path.write_text(json.dumps({"name": job.name, "crashes": [], **dict.fromkeys(names, {})}))

trials._run_trial, trials._preload = run, lambda _: None
trial, = trials.run_jobs([trials.Job("a", (), 9.0)], processes=1, directory=Path(sys.argv[1]), preload=dict)
print(trial.cut_short)
"""

_ENDED = "the process ended with exit code 1 it broke"


@pytest.mark.parametrize(("needed", "says"), [(1, ""), (2, ""), (3, _ENDED)])
def test_it_runs_once_more(tmp_path: Path, needed: int, says: str) -> None:
    """In a process of its own, since it forks."""
    done = subprocess.run(
        [python(), "-c", _SCRIPT, str(tmp_path), str(needed)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.partition("\n")[0] == says
    again = f"a runs again: {_ENDED}\n"
    assert done.stderr == ("" if needed == 1 else again)
