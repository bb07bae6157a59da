"""What ``--github`` prints in a job of GitHub: annotations, and the summary of the job."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from swn_torture.report.results import Results

#: Names the file to which a step of a job appends its summary.
_SUMMARY = "GITHUB_STEP_SUMMARY"


def annotate(results: Results) -> list[str]:
    """Print the workflow commands of GitHub, and append the summary to the file of the job, if there is one.

    Returns:
        One sentence for each file that could not be written.
    """
    from swn_torture.report.github import workflow_commands
    from swn_torture.report.markdown import render_markdown
    from swn_torture.report.write import cannot_write

    for line in workflow_commands(results):
        click.echo(line)
    path = os.environ.get(_SUMMARY)
    if not path:
        return []
    try:
        with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(render_markdown(results))
    except OSError as problem:
        return [cannot_write("summary", Path(path), problem)]
    return []
