"""Compare the results of a run with the known violations of a target.

    python tools/baseline.py RESULTS.json BASELINE.toml

A baseline lists, for each requirement that the target is known to violate, the cases that find it and the
reason why it is a violation. The exit code is 0 if the run is complete, has no error, and has no violation
that is not in the baseline; otherwise 1. The output lists entries that the run did not confirm.
"""

from __future__ import annotations

import fnmatch
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

from swn_torture.spec import load_catalogue

USAGE = 2


def main(arguments: list[str]) -> int:
    """Compare, print the differences, and return the exit code."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return USAGE
    results = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    baseline = tomllib.loads(Path(arguments[1]).read_text(encoding="utf-8"))
    problems, unconfirmed = compare(results, baseline)
    for line in problems:
        print(f"problem: {line}")
    for line in unconfirmed:
        print(f"not confirmed: {line}")
    confirmed = len(baseline["violation"]) - len(unconfirmed)
    print(
        f"baseline: {confirmed} known violations confirmed, {len(problems)} problems, "
        f"{len(unconfirmed)} entries not confirmed"
    )
    return 1 if problems else 0


def compare(results: dict[str, Any], baseline: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the problems of a run, and the entries of the baseline that it did not confirm, as lines."""
    requirements = load_catalogue().requirements
    run = results["run"]
    problems = [] if run["complete"] else [f"the run is not complete: {run.get('stopped')}"]
    confirmed: set[int] = set()
    for entry in baseline["violation"]:
        if entry["requirement"] not in requirements:
            problems.append(f"the baseline names {entry['requirement']}, which is not in the catalogue")
        if not entry.get("reason"):
            problems.append(f"the baseline gives no reason for {entry['requirement']}")
    for case in results["cases"]:
        if case["outcome"] == "error":
            problems.append(f"{case['id']} ended in an error: {case['reason']}")
        for check in case["checks"]:
            row = requirements.get(check["requirement"])
            if check["passed"] is not False or (row is not None and not row.binding):
                continue
            matching = [
                number
                for number, entry in enumerate(baseline["violation"])
                if entry["requirement"] == check["requirement"]
                and any(fnmatch.fnmatch(case["id"], _literal(pattern)) for pattern in entry["cases"])
            ]
            confirmed.update(matching)
            if not matching:
                problems.append(
                    f"{case['id']} violates {check['requirement']}, observed: {check['observed']}"
                )
    unconfirmed = [
        f"{entry['requirement']} in {', '.join(entry['cases'])}"
        for number, entry in enumerate(baseline["violation"])
        if number not in confirmed
    ]
    return problems, unconfirmed


def _literal(pattern: str) -> str:
    """Escape brackets, which case ids have: only the asterisk is a wildcard."""
    return pattern.replace("[", "[[]")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
