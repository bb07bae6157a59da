"""``swn-torture report``: write the reports of a run again, or for the first time when the run died."""

from __future__ import annotations

from pathlib import Path

import click

from swn_torture.commands.errors import USAGE, explain


@click.command(short_help="Write reports again from results or from the journal of a run that died.")
@click.argument("source", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Results as JSON.")
@click.option(
    "--junit", "junit_file", type=click.Path(dir_okay=False, path_type=Path), help="Results as JUnit XML."
)
@click.option(
    "--html", "html_file", type=click.Path(dir_okay=False, path_type=Path), help="Results as one HTML page."
)
@click.option(
    "--report",
    "report_dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="All of these, in one directory.",
)
def command(
    source: Path,
    json_file: Path | None,
    junit_file: Path | None,
    html_file: Path | None,
    report_dir: Path | None,
) -> None:
    """Read SOURCE, a results.json or a journal.jsonl, print its verdict and write the reports asked for."""
    from swn_torture.report.journal import read_journal
    from swn_torture.report.json_report import load_results
    from swn_torture.report.results import ResultsError
    from swn_torture.report.text import summary_lines
    from swn_torture.report.write import ReportPaths, write_reports
    from swn_torture.spec import load_catalogue

    catalogue = load_catalogue()
    try:
        results = (
            read_journal(source, catalogue) if source.suffix == ".jsonl" else load_results(source, catalogue)
        )
    except OSError as problem:
        raise explain(f"{source} cannot be read: {problem.strerror}.", USAGE) from problem
    except ResultsError as problem:
        raise explain(f"{source} holds no results: {problem}.", USAGE) from problem
    for line in summary_lines(results):
        click.echo(line)
    problems = write_reports(
        results, ReportPaths(directory=report_dir, json=json_file, junit=junit_file, html=html_file)
    )
    if problems:
        raise explain(" ".join(problems), USAGE)
