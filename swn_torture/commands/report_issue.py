"""``swn-torture report issue``: a finding as a text block for a bug report."""

from __future__ import annotations

from pathlib import Path

import click

from swn_torture.commands.errors import USAGE, CommandError
from swn_torture.commands.terminal import echo


@click.command()
@click.argument("cause")
@click.argument("results", type=click.Path(dir_okay=False, path_type=Path))
def issue(cause: str, results: Path) -> None:
    """Print the finding CAUSE of RESULTS as Markdown, to cite it in a bug report about the server.

    CAUSE is the id of a cause of the baseline that RESULTS were compared with, of a violated requirement, or
    of a case with a finding. The text has the rule and its section, what was sent, allowed and observed, the
    PDUs with the octets of the answer, and the command that shows it again. Read it before you send it: it
    holds names and addresses of your cluster.

    \b
    swn-torture report issue no-ip-change reports/published/samba-4.22.json.gz
    swn-torture report issue SWN-3.1.4.5-ip-flag-true reports/published/samba-4.25.json.gz
    """
    from swn_torture.commands.baseline import read_results
    from swn_torture.report.issue import UnknownCauseError, issue_text

    try:
        text = issue_text(read_results(results), cause)
    except UnknownCauseError as problem:
        raise CommandError(f"{results}: {problem}.", USAGE) from problem
    echo(text.rstrip("\n"), paragraph=True)
