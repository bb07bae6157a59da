"""``swn-torture report``: write the reports of a run again; compare the results of several targets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from swn_torture.commands import complete
from swn_torture.commands.errors import USAGE, CommandError
from swn_torture.commands.options import report_options
from swn_torture.commands.report_issue import issue
from swn_torture.commands.report_matrix import matrix
from swn_torture.commands.terminal import echo

if TYPE_CHECKING:
    from swn_torture.report.write import ReportPaths


class _WithDefault(click.Group):
    """A group whose command ``write`` is called if the first word names no command: it names results."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["write", *args]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Options of swn-torture report SOURCE"):
            formatter.write_dl(
                [
                    record
                    for parameter in self.commands["write"].get_params(ctx)
                    if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx))
                ]
            )
        self.format_commands(ctx, formatter)


@click.group(cls=_WithDefault)
def command() -> None:
    """Write the reports of results again, or compare the results of several targets.

    \b
    swn-torture report out/results.json --html page.html
    swn-torture report matrix reports/reference/results.json out/results.json -o matrix.html
    swn-torture report issue no-ip-change reports/published/samba-4.22.json.gz

    The word write may be left out.
    """


command.add_command(matrix)
command.add_command(issue)


@command.command()
@click.argument("source", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--github",
    is_flag=True,
    help="Also print workflow commands, and append the summary to the file GITHUB_STEP_SUMMARY.",
)
@report_options
@click.option(
    "--baseline",
    metavar="NAME|FILE",
    shell_complete=complete.baselines,
    help="Compare with this baseline, so that the reports show what is new. The exit code stays 0.",
)
def write(source: Path, github: bool, reports: ReportPaths, baseline: str | None) -> None:
    """Read SOURCE, print the verdict and write the reports that the options name.

    SOURCE is a results.json, or the journal.jsonl of a run that stopped early.

    \b
    swn-torture report out/journal.jsonl --html page.html
    swn-torture report out/results.json --junit witness.xml
    swn-torture report out/results.json --baseline samba-4.22 --html page.html
    swn-torture report out/results.json --github  # in a job of GitHub: annotations and a summary
    """
    from swn_torture.commands.baseline import read_baseline, read_results
    from swn_torture.report.text import summary_lines
    from swn_torture.report.write import write_reports

    results = read_results(source)
    if baseline is not None:
        from swn_torture.baseline.compare import compare

        results = results.compared(compare(results, read_baseline(baseline)))
    for line in summary_lines(results):
        echo(line)
    if results.comparison is not None:
        from swn_torture.baseline.words import plain_lines

        for line in plain_lines(results.comparison, results=str(source), exits=False):
            echo(line)
    problems = write_reports(results, reports)
    if github:
        from swn_torture.commands.github import annotate

        problems += annotate(results)
    if problems:
        raise CommandError(" ".join(problems), USAGE)
