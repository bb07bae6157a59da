"""How a command ends when it cannot do what it was asked: one paragraph and the right exit code."""

from __future__ import annotations

import textwrap
from typing import IO, Any

import click

VIOLATIONS = 1
USAGE = 2
TARGET_UNUSABLE = 3


class Explained(click.ClickException):
    """An explanation for the person at the terminal."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        # click declares it for the class; each of ours ends for a reason of its own.
        self.exit_code = code  # type: ignore[misc]

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the paragraph, folded, to standard error."""
        click.echo(
            textwrap.fill(
                f"swn-torture: {self.message}", 100, break_on_hyphens=False, break_long_words=False
            ),
            file=file,
            err=True,
        )


def explain(problem: object, code: int) -> Explained:
    """The exception that ends the command with this explanation and exit code."""
    return Explained(str(problem), code)
