"""``swn-torture report``: write the reports of a run again, or those of a run that stopped early."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from swn_torture.commands.errors import USAGE, CommandError
from swn_torture.commands.options import report_options

if TYPE_CHECKING:
    from swn_torture.report.write import ReportPaths


@click.command()
@click.argument("source", type=click.Path(dir_okay=False, path_type=Path))
@report_options
def command(source: Path, reports: ReportPaths) -> None:
    """Read SOURCE, print the verdict and write the reports that the options name.

    SOURCE is a results.json, or the journal.jsonl of a run that stopped early.

    \b
    swn-torture report out/journal.jsonl --html page.html
    swn-torture report out/results.json --junit witness.xml
    """
    from swn_torture.report.journal import read_journal
    from swn_torture.report.json_report import load_results
    from swn_torture.report.results import ResultsError
    from swn_torture.report.text import summary_lines
    from swn_torture.report.write import write_reports
    from swn_torture.spec import load_catalogue

    catalogue = load_catalogue()
    try:
        results = (
            read_journal(source, catalogue) if source.suffix == ".jsonl" else load_results(source, catalogue)
        )
    except OSError as problem:
        raise CommandError(f"Cannot read {source}: {problem.strerror}.", USAGE) from problem
    except ResultsError as problem:
        raise CommandError(f"Cannot read results: {problem}.", USAGE) from problem
    for line in summary_lines(results):
        click.echo(line)
    problems = write_reports(results, reports)
    if problems:
        raise CommandError(" ".join(problems), USAGE)
