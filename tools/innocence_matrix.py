"""Run the suite against every unusual server and every value of every option: no conforming server may fail.

    python tools/innocence_matrix.py                         every case on every server: hours
    python tools/innocence_matrix.py --resume                the rest of a run that was interrupted
    python tools/innocence_matrix.py --scope functions       one case of each test function
    python tools/innocence_matrix.py --area limits -j 4      some servers; no page is written
    python tools/innocence_matrix.py --only two-nodes --verbose
    python tools/innocence_matrix.py --requirement SWN-3.1.4.1-count
    python tools/innocence_matrix.py --case rpc.bind.secondary-address
    python tools/innocence_matrix.py --sample 4              a sample, as CI runs it

The servers of a sample follow from the commit, so that the same commit has the same sample; --seed chooses
another one. Exit code 0 if no case raised a false alarm, and every requirement that a server does not follow
on purpose was found. Otherwise 1, or 2 if the command line is wrong.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from swn_torture.unusual.library import AREAS, UnknownUnusual, Unusual, find_unusual, load_unusual
from swn_torture.unusual.matrix.matrix import Innocence, ServerResult
from swn_torture.unusual.matrix.page import page, problem_lines, summary
from swn_torture.unusual.matrix.trials import BUDGET_S, choose_sample, run_trials

if TYPE_CHECKING:
    from swn_torture.trials import Trial

USAGE = 2
REPORTS = Path("reports/innocence-matrix")
TRIALS = REPORTS / "trials"
DOCS = Path("docs/innocence.md")

#: Servers that are part of every sample: the suite runs quickly on them, and each is unusual in another way.
FIXED = ("two-nodes", "partners-only")


def main() -> int:
    """Run the trials, write the reports, and print what is not as expected."""
    options = _options()
    try:
        servers = _selected(options)
    except UnknownUnusual as problem:
        print(problem, file=sys.stderr)
        return USAGE
    began = time.monotonic()
    ended = 0

    def on_trial(trial: Trial) -> None:
        nonlocal ended
        ended += 1
        result = ServerResult(find_unusual(trial.name) if trial.name else None, trial, trial)
        counts = ", ".join(f"{n} {outcome}" for outcome, n in sorted(result.outcomes.items()))
        print(
            f"[{ended}/{len(servers) + 1}] {result.name}: {'ok' if result.innocent else 'JUDGED WRONGLY'}, "
            f"{counts}, {trial.duration_s:.0f} s {trial.cut_short}",
            flush=True,
        )
        for line in problem_lines(result) if options.verbose else ():
            print(f"    {line}", flush=True)

    functions = options.scope == "functions"
    complete = not (functions or options.requirement or options.case) and len(servers) == len(load_unusual())
    for server in [server for server in servers if not server.can_run]:
        print(f"left out: {server.name} needs the address {server.address}, which this machine does not have")
        servers.remove(server)
    with tempfile.TemporaryDirectory() as scratch:
        kept = Path(options.keep or (TRIALS if complete else scratch))
        if not options.resume:
            shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True, exist_ok=True)
        reference, *trials = run_trials(
            servers,
            processes=options.processes,
            directory=kept,
            one_per_function=functions,
            requirements=options.requirement,
            cases=options.case,
            budget=options.budget,
            on_trial=on_trial,
        )
    matrix = Innocence.of(
        servers,
        reference,
        trials,
        one_per_function=functions,
        duration_s=time.monotonic() - began,
        date=dt.datetime.now(dt.UTC).date().isoformat(),
    )
    if options.json or complete:
        _write(options.json or REPORTS / "matrix.json", json.dumps(matrix.to_json(), indent=1))
    if options.page or complete:
        _write(options.page or DOCS, page(matrix))
    for result in matrix.false_alarms:
        print(f"JUDGED WRONGLY {result.name}:")
        for line in problem_lines(result):
            print(f"    {line}")
    for line in summary(matrix):
        print(line)
    return 0 if matrix.as_expected else 1


def _selected(options: argparse.Namespace) -> list[Unusual]:
    servers = [find_unusual(name) for name in options.only] or list(load_unusual().values())
    servers = [server for server in servers if options.area is None or server.area in options.area]
    if options.sample is None:
        return servers
    return choose_sample(servers, options.sample, options.seed or _commit(), FIXED)


def _commit() -> str:
    """Return the id of the present commit, or the date where there is no repository."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S607
    return done.stdout.strip() or dt.datetime.now(dt.UTC).date().isoformat()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only this server")
    parser.add_argument("--area", action="append", choices=AREAS, help="only the servers of this area")
    parser.add_argument("--sample", type=int, metavar="N", help="N servers, and some that are always tried")
    parser.add_argument("--seed", help="chooses the sample; default: the id of the commit")
    parser.add_argument(
        "--scope",
        choices=["all", "functions"],
        default="all",
        help="all cases (the default), or one of each test function",
    )
    parser.add_argument(
        "--requirement",
        action="append",
        default=[],
        metavar="ID",
        help="only cases that check this requirement",
    )
    parser.add_argument(
        "--case",
        action="append",
        default=[],
        metavar="ID",
        help="only this case, with all its parameters if none is named",
    )
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("-j", dest="processes", type=int, default=6 * cores, help="trials at the same time")
    parser.add_argument(
        "--keep", type=Path, help=f"directory for the result of each trial; all servers: {TRIALS}"
    )
    parser.add_argument("--resume", action="store_true", help="do not repeat trials that have a result there")
    parser.add_argument("--budget", type=float, default=BUDGET_S, help="seconds for one server")
    parser.add_argument("--json", type=Path, help=f"default for all servers: {REPORTS}/matrix.json")
    parser.add_argument("--page", type=Path, help=f"default for all servers: {DOCS}")
    parser.add_argument("--verbose", action="store_true", help="print false alarms as they come")
    return parser.parse_args()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
