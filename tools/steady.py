"""Run the suite several times on one target and compare the verdicts, case by case.

    python tools/steady.py 3 --target reference
    python tools/steady.py 20 --target reference --load

Everything after the number goes to ``swn-torture run``; ``--load`` keeps a second process busy meanwhile.
Exit code 0 when all runs found the same, 1 when a case was judged in different ways, 3 when a run left no
results.
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
    """Run, compare, and say what differs."""
    if not arguments or not arguments[0].isdigit():
        print(__doc__, file=sys.stderr)
        return USAGE
    runs, options = int(arguments[0]), [option for option in arguments[1:] if option != "--load"]
    load = multiprocessing.Process(target=_spin, daemon=True) if "--load" in arguments else None
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
                print(f"run {number} left no results")
                return UNUSABLE
            cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
            verdicts.append({case["id"]: case["outcome"] for case in cases})
            counts = ", ".join(f"{n} {outcome}" for outcome, n in Counter(verdicts[-1].values()).items())
            seconds = time.monotonic() - began
            print(f"run {number}: {len(cases)} cases in {seconds:.0f} s: {counts}", flush=True)
    if load is not None:
        load.kill()
    differing = differences(verdicts)
    for line in differing:
        print(line)
    same = f"{len(differing)} cases differ" if differing else "identical verdicts, case by case"
    print(f"{runs} runs: {same}")
    return 1 if differing else 0


def differences(verdicts: list[dict[str, str]]) -> list[str]:
    """The cases that were not judged the same in every run, a line each."""
    ids = sorted({case for run in verdicts for case in run})
    return [
        f"{case}: {', '.join(run.get(case, 'missing') for run in verdicts)}"
        for case in ids
        if len({run.get(case) for run in verdicts}) > 1
    ]


def _spin() -> None:
    while True:
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
