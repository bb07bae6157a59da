"""Run the suite against every fault of the reference server and tell what caught which.

    python tools/mutants.py                        the cases that concern each fault, or its neighbours
    python tools/mutants.py --scope functions      and one case of each other function: half an hour
    python tools/mutants.py --scope all            every case on every fault: hours
    python tools/mutants.py --resume               what is left of a run that was interrupted
    python tools/mutants.py --area timers -j 4     some faults; nothing is written
    python tools/mutants.py --fault NAME --verbose

Exit code 0 when every requirement that a fault violates was found broken by a case, and the reference was
failed by none; when all faults were tried, also that each case is failed by one and each MUST that has a case
is broken by one. 1 otherwise, 2 when the command line is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from swn_torture.faults.library import AREAS, UnknownFault, find_fault, load_faults
from swn_torture.faults.matrix.matrix import CAUGHT, FaultResult, Matrix
from swn_torture.faults.matrix.page import page, summary
from swn_torture.faults.matrix.picture import picture
from swn_torture.faults.matrix.trials import BUDGET_S, Scope, Trial, run_trials

USAGE = 2
KEPT = Path("reports/mutants/hunts")


def main() -> int:
    """Hunt, and say what is not in order."""
    options = _options()
    try:
        faults = [find_fault(name) for name in options.fault] or list(load_faults())
    except UnknownFault as problem:
        print(problem, file=sys.stderr)
        return USAGE
    faults = [fault for fault in faults if options.area is None or fault.area in options.area]
    began = time.monotonic()
    seen = 0

    def done(trial: Trial) -> None:
        nonlocal seen
        seen += 1
        guilty = [case for case, outcome in trial.outcomes.items() if outcome in CAUGHT]
        print(
            f"[{seen}/{len(faults) + 1}] {trial.fault or 'the reference'}: {len(guilty)} of "
            f"{len(trial.outcomes)} cases in {trial.duration_s:.0f} s {trial.cut}",
            flush=True,
        )
        for case in guilty if options.verbose else ():
            print(f"    {case}: {', '.join(trial.broken[case])}")

    complete = len(faults) == len(load_faults())
    with tempfile.TemporaryDirectory() as scratch:
        kept = Path(options.keep or (KEPT if complete else scratch)) / options.scope
        if not options.resume:
            shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True, exist_ok=True)
        reference, *trials = run_trials(
            faults,
            scope=options.scope,
            processes=options.processes,
            directory=kept,
            budget=options.budget,
            done=done,
        )
    results = tuple(FaultResult(fault, trial) for fault, trial in zip(faults, trials, strict=True))
    matrix = Matrix(results, reference, options.scope, time.monotonic() - began)
    if options.json or complete:
        _write(options.json or Path("reports/mutants/matrix.json"), json.dumps(matrix.to_json(), indent=1))
    if options.page or complete:
        docs = Path("reports/mutants/faults.md" if options.scope is Scope.NEAR else "docs/faults.md")
        _write(options.page or docs, page(matrix))
    if options.picture or complete:
        _write(options.picture or Path("reports/mutants/index.html"), picture(matrix))
    _tell(matrix)
    return 0 if matrix.in_order and not (complete and matrix.has_gaps) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--scope",
        type=Scope,
        choices=list(Scope),
        default=Scope.NEAR,
        help="the cases for each fault: those that concern it or a neighbour (near, the default),\n"
        "one of each other function as well (functions), or all (all)",
    )
    parser.add_argument("--fault", action="append", default=[], metavar="NAME")
    parser.add_argument("--area", action="append", choices=AREAS)
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("-j", dest="processes", type=int, default=12 * cores, help="how many side by side")
    parser.add_argument("--keep", type=Path, help=f"where to keep what came of each; a whole run: {KEPT}")
    parser.add_argument("--resume", action="store_true", help="do not try again what is kept there")
    parser.add_argument("--budget", type=float, default=BUDGET_S, help="seconds for one fault")
    parser.add_argument("--json", type=Path, help="default for a whole run: reports/mutants/matrix.json")
    parser.add_argument(
        "--page", type=Path, help="default for a whole run of more than --scope near: docs/faults.md"
    )
    parser.add_argument("--picture", type=Path, help="default for a whole run: reports/mutants/index.html")
    parser.add_argument("--verbose", action="store_true", help="name the cases that catch a fault")
    return parser.parse_args()


def _tell(matrix: Matrix) -> None:
    for catch in matrix.results:
        if not catch.trial.outcomes:
            print(f"NOT RUN {catch.fault.name}: {catch.trial.cut}")
        elif catch.survived:
            print(f"SURVIVED {catch.fault.name}: {', '.join(catch.fault.violates)}")
        elif catch.unproven:
            print(f"not found broken by {catch.fault.name}: {', '.join(catch.unproven)}")
        if catch.trial.crashes:
            print(f"BROKE {catch.fault.name}: {'; '.join(catch.trial.crashes)}")
    for case in matrix.false_alarms:
        print(f"FAILS THE REFERENCE {case}: {', '.join(matrix.reference.broken[case])}")
    for crash in matrix.reference.crashes:
        print(f"THE REFERENCE BROKE: {crash}")
    for line in summary(matrix):
        print(line)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
