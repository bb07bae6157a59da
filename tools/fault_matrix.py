"""Run the suite against every fault of the reference server, and say which case caught which fault.

    python tools/fault_matrix.py                        the cases near each fault: a quarter of an hour
    python tools/fault_matrix.py --scope own            the cases for its requirements only: five minutes
    python tools/fault_matrix.py --scope first          these, until each is found broken: three minutes
    python tools/fault_matrix.py --scope functions      and one case of each other function: an hour
    python tools/fault_matrix.py --scope all            every case on every fault: hours
    python tools/fault_matrix.py --resume               the rest of a run that was interrupted
    python tools/fault_matrix.py --area timers -j 4     some faults; no report is written
    python tools/fault_matrix.py --kind narrowed        the faults of one kind
    python tools/fault_matrix.py --fault NAME --verbose

Exit code 0 if a case found every requirement broken that a fault violates, and the reference passed every
case. If all faults were tried, a fault also has to fail each case and to violate each MUST that has a case.
Otherwise 1, or 2 if the command line is wrong.
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

from swn_torture.faults.library import AREAS, KINDS, UnknownFault, find_fault, load_faults
from swn_torture.faults.matrix.matrix import CAUGHT, FaultResult, Matrix
from swn_torture.faults.matrix.page import page, summary
from swn_torture.faults.matrix.picture import picture
from swn_torture.faults.matrix.trials import BUDGET_S, Scope, Trial, run_trials

USAGE = 2
REPORTS = Path("reports/fault-matrix")
TRIALS = REPORTS / "trials"
DOCS = Path("docs/faults.md")


def main() -> int:
    """Run the trials, write the reports, and print what is not as expected."""
    options = _options()
    try:
        faults = [find_fault(name) for name in options.fault] or list(load_faults())
    except UnknownFault as problem:
        print(problem, file=sys.stderr)
        return USAGE
    faults = [fault for fault in faults if options.area is None or fault.area in options.area]
    faults = [fault for fault in faults if options.kind in {None, fault.kind}]
    began = time.monotonic()
    ended = 0

    def on_trial(trial: Trial) -> None:
        nonlocal ended
        ended += 1
        catching = [case for case, outcome in trial.outcomes.items() if outcome in CAUGHT]
        print(
            f"[{ended}/{len(faults) + 1}] {trial.name or 'the reference'}: {len(catching)} of "
            f"{len(trial.outcomes)} cases failed, {trial.duration_s:.0f} s {trial.cut_short}",
            flush=True,
        )
        for case in catching if options.verbose else ():
            print(f"    {case}: {', '.join(trial.broken[case])}")

    complete = len(faults) == len(load_faults())
    with tempfile.TemporaryDirectory() as scratch:
        kept = Path(options.keep or (TRIALS if complete else scratch)) / options.scope
        if not options.resume:
            shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True, exist_ok=True)
        reference, *trials = run_trials(
            faults,
            scope=options.scope,
            processes=options.processes,
            directory=kept,
            budget=options.budget,
            on_trial=on_trial,
        )
    results = tuple(FaultResult(fault, trial) for fault, trial in zip(faults, trials, strict=True))
    matrix = Matrix(results, reference, options.scope, time.monotonic() - began)
    if options.json or complete:
        _write(options.json or REPORTS / "matrix.json", json.dumps(matrix.to_json(), indent=1))
    if options.page or complete:
        default = REPORTS / "faults.md" if options.scope.limited else DOCS
        _write(options.page or default, page(matrix))
    if options.picture or complete:
        _write(options.picture or REPORTS / "index.html", picture(matrix))
    _print_result(matrix)
    return 0 if matrix.as_expected and not (complete and matrix.has_gaps) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--scope",
        type=Scope,
        choices=list(Scope),
        default=Scope.NEAR,
        help="the cases for each fault: those for its requirements (own), only the first that find each of\n"
        "them broken (first), those of own and those for their sections\n"
        "(near, the default), also one of each other function (functions), or all (all)",
    )
    parser.add_argument("--fault", action="append", default=[], metavar="NAME", help="only this fault")
    parser.add_argument("--area", action="append", choices=AREAS, help="only the faults of this area")
    parser.add_argument("--kind", choices=KINDS, help="only the faults of this kind")
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("-j", dest="processes", type=int, default=12 * cores, help="trials at the same time")
    parser.add_argument(
        "--keep", type=Path, help=f"directory for the result of each trial; all faults: {TRIALS}"
    )
    parser.add_argument("--resume", action="store_true", help="do not repeat trials that have a result there")
    parser.add_argument("--budget", type=float, default=BUDGET_S, help="seconds for one fault")
    parser.add_argument("--json", type=Path, help=f"default for all faults: {REPORTS}/matrix.json")
    parser.add_argument(
        "--page", type=Path, help=f"default for all faults and a wider scope than near: {DOCS}"
    )
    parser.add_argument("--picture", type=Path, help=f"default for all faults: {REPORTS}/index.html")
    parser.add_argument("--verbose", action="store_true", help="print the cases that catch each fault")
    return parser.parse_args()


def _print_result(matrix: Matrix) -> None:
    for result in matrix.results:
        name = f"{result.fault.name} ({result.fault.kind})"
        if not result.trial.outcomes:
            print(f"NOT RUN {name}: {result.trial.cut_short}")
        elif result.not_caught:
            print(f"NOT CAUGHT {name}: {', '.join(result.fault.violates)}")
        elif result.not_found:
            print(f"NOT FOUND BROKEN with {name}: {', '.join(result.not_found)}")
        if result.trial.crashes:
            print(f"EXCEPTION IN THE SERVER with {name}: {'; '.join(result.trial.crashes)}")
    for case in matrix.reference_failures:
        print(f"NOT PASSED ON THE REFERENCE {case}: {', '.join(matrix.reference.broken[case])}")
    for crash in matrix.reference.crashes:
        print(f"EXCEPTION IN THE REFERENCE: {crash}")
    for line in summary(matrix):
        print(line)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
