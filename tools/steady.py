"""Run the suite several times on one target and compare the verdicts, case by case.

    python tools/steady.py 3 --target reference
    python tools/steady.py 20 --target reference --load

The arguments after the number are those of ``swn-torture run``. With ``--load``, another process uses a CPU
meanwhile. The exit code is 0 if all runs have the same verdicts, 1 if a case has different ones, and 3 if a
run has no results or is not complete.
"""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

USAGE = 2
UNUSABLE = 3


def main(arguments: list[str]) -> int:
    """Run the suite, print the differences, and return the exit code."""
    if not arguments or not arguments[0].isdigit():
        print(__doc__, file=sys.stderr)
        return USAGE
    runs, options = int(arguments[0]), [option for option in arguments[1:] if option != "--load"]
    load = multiprocessing.Process(target=_use_cpu, daemon=True) if "--load" in arguments else None
    if load is not None:
        load.start()
    verdicts: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory() as directory:
        for number in range(1, runs + 1):
            path = Path(directory) / f"{number}.json"
            began = time.monotonic()
            command = [sys.executable, "-m", "swn_torture", "run", *options, "--json", str(path)]
            subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if not path.is_file():
                print(f"run {number} has no results")
                return UNUSABLE
            results = json.loads(path.read_text(encoding="utf-8"))
            if not results["run"]["complete"]:
                print(f"run {number} is not complete: {results['run'].get('stopped', '')}")
                return UNUSABLE
            cases = results["cases"]
            verdicts.append({case["id"]: case["outcome"] for case in cases})
            counts = ", ".join(f"{n} {outcome}" for outcome, n in Counter(verdicts[-1].values()).items())
            seconds = time.monotonic() - began
            print(f"run {number}: {len(cases)} cases in {seconds:.0f} s: {counts}", flush=True)
    if load is not None:
        load.kill()
    differing = differences(verdicts)
    for line in differing:
        print(line)
    summary = f"{len(differing)} cases differ" if differing else "every case has the same verdict"
    print(f"{runs} runs: {summary}")
    return 1 if differing else 0


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
