"""The way of every text of a target to the terminal: no character of it has an effect there."""

from __future__ import annotations

from typing import IO, Any

import click

from swn_torture.visible import visible


def echo(
    text: object = "", *, err: bool = False, file: IO[Any] | None = None, paragraph: bool = False
) -> None:
    """Print one line that may contain names which a target chose.

    Args:
        text: the line. A line break in it is shown as an escape, because a name could forge a line.
        err: print to standard error.
        file: print to this file instead.
        paragraph: the text has lines of its own; its line breaks stay.
    """
    click.echo(visible(str(text), keep="\n\t" if paragraph else ""), err=err, file=file)
