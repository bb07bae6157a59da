"""``swn-torture report matrix``: the results of several targets, or of several runs, on one page."""

from __future__ import annotations

from pathlib import Path

import click

from swn_torture.commands.errors import USAGE, CommandError
from swn_torture.commands.terminal import echo


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("matrix.html"),
    show_default=True,
    metavar="FILE",
    help="Write the page to this file.",
)
def matrix(results: tuple[Path, ...], output: Path) -> None:
    """Compare RESULTS on one HTML page that needs no network and no other file.

    RESULTS are results.json files, compressed by gzip or not, or the journal.jsonl of a run that stopped
    early. Each makes a column, in the order given. The rows are causes, requirements by section, cases, and
    the choices that the specification leaves. If the results were compared with a baseline (run --baseline),
    its causes group the findings.

    \b
    swn-torture report matrix out/results.json
    swn-torture report matrix reports/reference/results.json out/results.json -o matrix.html
    """
    from swn_torture.commands.baseline import read_results
    from swn_torture.report.matrix import Matrix, render_matrix
    from swn_torture.report.write import cannot_write, write_file

    page = render_matrix(Matrix.of([read_results(path) for path in results]))
    octets = page.encode("utf-8", "backslashreplace")
    try:
        write_file(output, octets)
    except OSError as problem:
        raise CommandError(cannot_write("matrix", output, problem), USAGE) from problem
    echo(f"{output}: {len(results)} columns, {len(octets) / 1e6:.1f} MB")
