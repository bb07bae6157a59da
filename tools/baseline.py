"""Hold the results of a run against the violations known of a target.

    python tools/baseline.py RESULTS.json BASELINE.toml

A baseline lists, for each requirement that the target is known to violate, the cases that see it and the
reason: why it is a violation, checked against octets and text. Exit code 0 when the run is complete, has no
error, and reports no violation that is not listed; 1 otherwise. An entry that nothing confirms any more is
named, so that it is looked at.
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
    """Compare and say what differs."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return USAGE
    results = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    baseline = tomllib.loads(Path(arguments[1]).read_text(encoding="utf-8"))
    problems, stale = compare(results, baseline)
    for line in problems:
        print(f"not in order: {line}")
    for line in stale:
        print(f"not seen any more: {line}")
    known = len(baseline["violation"]) - len(stale)
    print(f"baseline: {known} known violations seen, {len(problems)} problems, {len(stale)} entries not seen")
    return 1 if problems else 0


def compare(results: dict[str, Any], baseline: dict[str, Any]) -> tuple[list[str], list[str]]:
    """What is wrong with a run, and which entries of the baseline it did not confirm; a line each."""
    requirements = load_catalogue().requirements
    run = results["run"]
    problems = [] if run["complete"] else [f"the run is not complete: {run.get('stopped')}"]
    seen: set[int] = set()
    for entry in baseline["violation"]:
        if entry["requirement"] not in requirements:
            problems.append(f"the baseline names {entry['requirement']}, which the catalogue lacks")
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
            seen.update(matching)
            if not matching:
                problems.append(
                    f"{case['id']} violates {check['requirement']}, observed: {check['observed']}"
                )
    stale = [
        f"{entry['requirement']} in {', '.join(entry['cases'])}"
        for number, entry in enumerate(baseline["violation"])
        if number not in seen
    ]
    return problems, stale


def _literal(pattern: str) -> str:
    """Case ids hold brackets; in a pattern only the asterisk is special."""
    return pattern.replace("[", "[[]")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
