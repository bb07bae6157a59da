"""A person with scripted answers, at the other end of a terminal."""

from __future__ import annotations

import os
import pty
import re
import threading
from typing import TYPE_CHECKING, Final, Self

from swn_torture.control.manual.texts import ACTIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


def _pattern(text: str) -> re.Pattern[str]:
    """A pattern for what the person is asked to do, with a group for each value."""

    def group(match: re.Match[str]) -> str:
        return r"( \(only .*\))?" if match[1] == "only" else rf"(?P<{match[1]}>.+?)"

    return re.compile("Please: " + re.sub(r"\\{(\w+)\\}", group, re.escape(text)))


_PATTERNS: Final = {verb: _pattern(what) for verb, (what, _) in ACTIONS.items()}
_ONLY: Final = {
    "client": re.compile(r"of the client (\S+?)[ )]"),
    "net_name": re.compile(r"with the NetName (\S+?)[ )]"),
    "ip_address": re.compile(r"with the IpAddress (\S+?)[ )]"),
}


class ScriptedPerson:
    """Reads the questions on a terminal, in a thread, and answers them.

    Args:
        act: is called with the verb and its arguments; returns the line to enter, or None for none.

    Attributes:
        path: of the terminal.
        text: what was shown on it.
    """

    def __init__(self, act: Callable[[str, dict[str, str]], str | None]) -> None:
        self._act = act
        self._master, self._slave = pty.openpty()
        self.path = os.ttyname(self._slave)
        self.text = ""
        self.begin = ""
        """The answer to the question before the first case."""
        self._answers: list[str | None] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.write(self._slave, b"=== end ===\n")
        self._thread.join()
        os.close(self._slave)
        os.close(self._master)

    def _run(self) -> None:
        received = b""
        while True:
            received += os.read(self._master, 4096)
            *lines, received = received.split(b"\n")
            for line in lines:
                text = line.decode().strip()
                self.text += text + "\n"
                if text == "=== end ===":
                    return
                if text.startswith("Which of them cannot be done here?"):
                    self._enter(self.begin)
                if text.startswith("Please: "):
                    self._answers.append(self._answer(text))
                if text.startswith("[Enter] done"):
                    *_, answer = self._answers
                    self._answers.clear()
                    if answer is not None:
                        self._enter(answer)

    def _answer(self, text: str) -> str | None:
        """Do what one line asks for, and return the line to enter."""
        for verb, pattern in _PATTERNS.items():
            if match := pattern.fullmatch(text):
                values = match.groupdict()
                values |= {name: found[1] for name, each in _ONLY.items() if (found := each.search(text))}
                return self._act(verb, values)
        raise AssertionError(f"unknown action: {text}")

    def _enter(self, answer: str) -> None:
        os.write(self._master, answer.encode() + b"\n")
