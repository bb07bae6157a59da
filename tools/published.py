"""Write reports/matrix.html from the published results in reports/published/, and publish results.

python tools/published.py                       write the matrix
python tools/published.py --check               exit with 1 if the matrix is not what the results give
python tools/published.py --add NAME RESULTS    publish a results.json under this name, and write the matrix

Published results are results.json, compressed by gzip, without what belongs to the machine of the run: its
command line, and the path of the profile in the commands that run a case again.
"""

from __future__ import annotations

import dataclasses
import gzip
import re
import sys
from pathlib import Path

from swn_torture.report.json_report import load_results, render_json
from swn_torture.report.matrix import Matrix, render_matrix
from swn_torture.report.results import Results, ResultsError
from swn_torture.spec import load_catalogue

REPORTS = Path(__file__).parents[1] / "reports"

#: The matrix has the reference first; the others follow by name.
FIRST = "reference"


def published(reports: Path = REPORTS) -> list[Path]:
    """The published results, in the order of the columns."""
    found = (reports / "published").glob("*.json.gz")
    return sorted(found, key=lambda path: (path.name != f"{FIRST}.json.gz", path.name))


def page(reports: Path = REPORTS) -> str:
    """The matrix of the published results.

    Raises:
        ValueError: there are none, or a file does not hold results.
    """
    catalogue = load_catalogue()
    return render_matrix(Matrix.of([load_results(path, catalogue) for path in published(reports)]))


def without_machine(results: Results, name: str) -> Results:
    """The results under a name, without the command line and the paths of the machine that made them."""
    profile = "reference" if results.target.controller == "reference" else "samba-lab"
    cases = [
        dataclasses.replace(case, repro=re.sub(r"(?<=--target )\S+", profile, case.repro), capture=None)
        for case in results.cases
    ]
    return dataclasses.replace(
        results.with_cases(cases),
        run=dataclasses.replace(results.run, command=""),
        target=dataclasses.replace(results.target, name=name),
    )


def add(name: str, source: Path, reports: Path = REPORTS) -> Path:
    """Publish results; the file.

    Raises:
        OSError: a file cannot be read or written.
        ResultsError: the source does not hold results, or those of a run that is not complete.
    """
    results = without_machine(load_results(source, load_catalogue()), name)
    if not results.run.complete or results.run.selection:
        raise ResultsError(f"{source}: only the results of a complete run of the whole suite are published")
    path = reports / "published" / f"{name}.json.gz"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(render_json(results).encode("utf-8", "backslashreplace"), 9, mtime=0))
    return path


def main(arguments: list[str], reports: Path = REPORTS) -> int:
    """Run the tool; its exit code."""
    matrix = reports / "matrix.html"
    match arguments:
        case ["--add", name, source] if re.fullmatch(r"[a-z0-9.-]+", name):
            try:
                print(add(name, Path(source), reports))
            except (OSError, ResultsError) as problem:
                print(problem, file=sys.stderr)
                return 2
        case ["--check"]:
            if matrix.exists() and matrix.read_text(encoding="utf-8") == page(reports):
                return 0
            print(f"{matrix} is not what the published results give: run `make published`.", file=sys.stderr)
            return 1
        case []:
            pass
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    text = page(reports)
    matrix.write_text(text, encoding="utf-8")
    print(f"{matrix}: {len(published(reports))} columns, {len(text.encode()) / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
