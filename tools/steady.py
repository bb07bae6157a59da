"""Run the suite several times on one target and compare the verdicts, case by case.

    python tools/steady.py 3 --target reference
    python tools/steady.py 20 --target reference --load
    python tools/steady.py 3 --target samba-lab --keep reports/steady

All other arguments are those of ``swn-torture run``. A verdict is the outcome of a case and the
requirements that it found broken. The exit code is 0 if all runs have the same verdicts, 1 if a case has
different ones, and 3 if a run has no results or is not complete.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

UNUSABLE = 3


def main(arguments: list[str]) -> int:
    """Run the suite, print the differences, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=int, help="how often")
    parser.add_argument("--load", action="store_true", help="another process uses a processor meanwhile")
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="where the results of every run stay")
    options, others = parser.parse_known_args(arguments)
    verdicts: list[dict[str, str]] = []
    with ExitStack() as stack:
        if options.load:
            load = multiprocessing.Process(target=_use_cpu, daemon=True)
            load.start()
            stack.callback(load.kill)
        directory = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        directory.mkdir(parents=True, exist_ok=True)
        for number in range(1, options.runs + 1):
            path = directory / f"{number}.json"
            path.unlink(missing_ok=True)
            began = time.monotonic()
            command = [sys.executable, "-m", "swn_torture", "run", *others, "--json", str(path)]
            subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if not path.is_file():
                print(f"run {number} has no results")
                return UNUSABLE
            results = json.loads(path.read_text(encoding="utf-8"))
            if not results["run"]["complete"]:
                print(f"run {number} is not complete: {results['run'].get('stopped', '')}")
                return UNUSABLE
            cases = results["cases"]
            verdicts.append({case["id"]: verdict(case) for case in cases})
            counts = ", ".join(
                f"{n} {outcome}" for outcome, n in Counter(c["outcome"] for c in cases).items()
            )
            seconds = time.monotonic() - began
            print(f"run {number}: {len(cases)} cases in {seconds:.0f} s: {counts}", flush=True)
            for case in cases:
                if case.get("attempts"):
                    print(f"  {case['id']} needed more than one attempt", flush=True)
    differing = differences(verdicts)
    for line in differing:
        print(line)
    summary = f"{len(differing)} cases differ" if differing else "every case has the same verdict"
    print(f"{options.runs} runs: {summary}")
    return 1 if differing else 0


def verdict(case: dict[str, Any]) -> str:
    """The outcome of a case, and the requirements that it found broken."""
    broken = sorted({check["requirement"] for check in case.get("checks", ()) if check["passed"] is False})
    return f"{case['outcome']} ({', '.join(broken)})" if broken else str(case["outcome"])


def differences(verdicts: list[dict[str, str]]) -> list[str]:
    """Return the cases with different verdicts, one line each."""
    ids = sorted({case for run in verdicts for case in run})
    return [
        f"{case}: {', '.join(run.get(case, 'missing') for run in verdicts)}"
        for case in ids
        if len({run.get(case) for run in verdicts}) > 1
    ]


def _use_cpu() -> None:
    while True:
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
