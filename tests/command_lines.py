"""Command lines of `swn-torture` in texts: parsed as click parses them, without running them."""

from __future__ import annotations

import contextlib
import shlex

import click

from swn_torture.cli import main


def check(line: str) -> None:
    """Parse a command line of ``swn-torture``.

    Raises:
        click.UsageError: the line is wrong.
    """
    with contextlib.suppress(click.exceptions.Exit):  # --help ends the parser
        parsed(main, "swn-torture", shlex.split(line, comments=True)[1:])


def parsed(command: click.Command, name: str, words: list[str]) -> list[click.Context]:
    """Parse a command line as click does before it calls a command; the contexts, outermost first.

    Raises:
        click.UsageError: the line is wrong.
    """
    if isinstance(command, click.Group) and not words:
        return []  # it prints its help
    context = command.make_context(name, list(words))
    if not isinstance(command, click.Group):
        return [context]
    found, subcommand, rest = command.resolve_command(context, [*context._protected_args, *context.args])
    assert subcommand is not None, words
    return [context, *parsed(subcommand, str(found), rest)]
