"""Options that several commands have in common."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from swn_torture.commands import complete
from swn_torture.report.formats import DIRECTORY, FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable


def report_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--report DIR`` and an option for each report format, such as ``--json FILE``.

    The function gets one argument for all of them: ``reports``, a `swn_torture.report.write.ReportPaths`.
    """

    @functools.wraps(function)
    def with_reports(*arguments: Any, report_dir: Path | None, **options: Any) -> Any:
        from swn_torture.report.write import ReportPaths

        given = {each.name: options.pop(f"{each.name}_file") for each in FORMATS}
        files = {name: path for name, path in given.items() if path is not None}
        return function(*arguments, reports=ReportPaths(report_dir, files), **options)

    decorated: Callable[..., Any] = click.option(
        "--report",
        "report_dir",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help=f"Write {DIRECTORY} to this directory.",
    )(with_reports)
    for each in reversed(FORMATS):
        decorated = click.option(
            f"--{each.name}",
            f"{each.name}_file",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help=f"Write the {each.what} to this file.",
        )(decorated)
    return decorated


target_of_cluster = click.option(
    "--target",
    required=True,
    metavar="PROFILE",
    shell_complete=complete.profiles,
    envvar="SWN_TARGET",
    help="Profile of the target: the name of a shipped one or a .toml file.",
)


def keyword_option(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add ``-k EXPR``, whose value is checked before anything is started.

    Args:
        text: its help.
    """
    return click.option("-k", "expression", metavar="EXPR", callback=_checked_expression, help=text)


def _checked_expression(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if not value:
        return value
    from _pytest.mark.expression import Expression

    def matches(_: str, /, **calls: str | int | bool | None) -> bool:
        if calls:
            raise click.BadParameter(f"{value!r}: a name has no parameters", param=parameter)
        return False

    try:
        Expression.compile(value).evaluate(matches)
    except SyntaxError as problem:
        raise click.BadParameter(f"{value!r}: {problem.msg}", param=parameter) from problem
    return value
