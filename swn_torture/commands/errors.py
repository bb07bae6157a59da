"""How a command ends that cannot do its work: with one paragraph and an exit code."""

from __future__ import annotations

import textwrap
from typing import IO, Any

import click

from swn_torture.commands.terminal import echo

VIOLATIONS = 1
USAGE = 2
TARGET_UNUSABLE = 3
BASELINE_NOT_TRUE = 4


class CommandError(click.ClickException):
    """Ends the command with an explanation and an exit code."""

    def __init__(self, problem: object, code: int) -> None:
        """Explain a problem.

        Args:
            problem: the text, or the exception that has the text.
            code: the exit code, one of this module.
        """
        super().__init__(str(problem))
        # click declares exit_code for the class; here it differs between instances.
        self.exit_code = code  # type: ignore[misc]

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the paragraph to standard error, folded at 100 characters."""
        echo(
            textwrap.fill(
                f"swn-torture: {self.message}", 100, break_on_hyphens=False, break_long_words=False
            ),
            file=file,
            err=True,
            paragraph=True,
        )
