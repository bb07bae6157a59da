r"""A stream of subunit v1 text in the dialect that Samba's ``selftest/filter-subunit`` reads.

The filter takes a line for protocol if its first word, at column 0, is one of a list (test, time, success,
error ...). It reads standard output and standard error in one stream. So every other line is indented, and
characters that a reader could take for the end of a line are escaped.

Source: ``selftest/subunithelper.py`` of Samba, ``parse_results``; the README of python-subunit describes the
format of subunit v1.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: Outcomes of a test. ``xfail`` and ``uxsuccess`` are a known failure, and one that did not occur.
Word = Literal["success", "failure", "error", "skip", "xfail", "uxsuccess"]

_INDENT = "  "

# Readers that use universal newlines end a line at a carriage return, and str.splitlines ends it at more.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class SubunitStream:
    """Writes the stream. Tests do not overlap: each is written as a whole when it has ended.

    Args:
        write: takes ASCII octets; each call has whole lines.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write

    def output(self, text: str) -> None:
        """Write text that is not protocol: each of its lines is indented."""
        self._send(_indented(text.split("\n")))

    def test(
        self,
        name: str,
        word: Word,
        details: Iterable[str] = (),
        *,
        began: float | None = None,
        ended: float | None = None,
    ) -> None:
        """Write a test that has ended.

        Args:
            name: its id; it has no blanks and no brackets.
            word: its outcome.
            details: lines of text: the finding, or the reason. They are indented.
            began: when it began, in seconds since the epoch; None where that is not known.
            ended: when it ended.
        """
        lines = [] if began is None else [f"time: {_time(began)}"]
        lines.append(f"test: {name}")
        if ended is not None:
            lines.append(f"time: {_time(ended)}")
        shown = _indented(line for text in details for line in text.split("\n"))
        lines += [f"{word}: {name} [", *shown, "]"] if shown else [f"{word}: {name}"]
        self._send(lines)

    def _send(self, lines: list[str]) -> None:
        if lines:
            text = "".join(f"{line}\n" for line in lines)
            self._write(text.encode("ascii", "backslashreplace"))


def _indented(lines: Iterable[str]) -> list[str]:
    shown = (_CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", line) for line in lines)
    return [f"{_INDENT}{line}" for line in shown if line.strip()]


def _time(seconds: float) -> str:
    """A time as subunit v1 writes it: ``2026-11-28 20:30:00.000000Z``."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M:%S.%fZ")
