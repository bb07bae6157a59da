"""Crashes and hangs of the programs of Samba in a lab, as its logs tell them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from swn_torture.lab.lifecycle import Lab

#: What smb_panic() of Samba writes, for a failed assertion and for a signal such as SIGSEGV.
_PANIC: Final = re.compile(r"^\s*INTERNAL ERROR: (?P<reason>.+?) in (?P<program>\S+) .*\bpid \d+")
#: What a program writes that waits for a reply of ctdbd, reads that to another request of its own, and
#: discards it. That request waits for ever, and with it the program (`swn_torture.control.ctdb.hangs`).
_DISCARDED: Final = re.compile(r"^\s*Discarding mismatched ctdb reqid \d+ should have been \d+")
#: The lines of a log that follow and show where it was; each begins with a head of Samba or with spaces.
_LINES: Final = 60


@dataclass(slots=True)
class Crash:
    """One kind of crash: the same program, for the same reason.

    Attributes:
        program: the program: ``rpcd_witness``.
        reason: what it said: ``assert failed: r->in.version == WITNESS_V1``.
        times: how often, by node.
        excerpt: the log of the first one, with its stack.
    """

    program: str
    reason: str
    times: dict[str, int] = field(default_factory=dict)
    excerpt: str = ""

    def __str__(self) -> str:
        total = sum(self.times.values())
        nodes = ", ".join(self.times)
        return f"{self.program} crashed {total} time{'s' if total > 1 else ''} on {nodes}: {self.reason}"


def crashes_of(lab: Lab) -> list[Crash]:
    """Return the crashes that the logs of a running lab tell, the most frequent first.

    Args:
        lab: the lab.

    Raises:
        OSError: a log cannot be read.
    """
    found: dict[tuple[str, str], Crash] = {}
    for node, file in _logs(lab):
        _read(file, node, found)
    return sorted(found.values(), key=lambda crash: -sum(crash.times.values()))


def discarded_replies(lab: Lab) -> dict[str, int]:
    """Return how many replies of ctdbd the programs of Samba discarded, by node: each hangs one of them.

    Raises:
        OSError: a log cannot be read.
    """
    times: dict[str, int] = {}
    for node, file in _logs(lab):
        with file.open(encoding="utf-8", errors="replace") as lines:
            number = sum(_DISCARDED.match(line) is not None for line in lines)
        if number:
            times[node] = times.get(node, 0) + number
    return times


def _logs(lab: Lab) -> Iterator[tuple[str, Path]]:
    """The logs of Samba of each node, with the name of the node."""
    for node in lab.config.node_configs:
        for file in sorted((lab.directory / node.name / "log").rglob("log.*")):
            if file.is_file():
                yield node.name, file


def _read(file: Path, node: str, found: dict[tuple[str, str], Crash]) -> None:
    """Add the crashes in a log."""
    shown: Crash | None = None
    left = 0
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            panic = _PANIC.match(line)
            if panic is not None:
                key = panic["program"], panic["reason"]
                crash = found.setdefault(key, Crash(*key))
                crash.times[node] = crash.times.get(node, 0) + 1
                if not crash.excerpt:
                    crash.excerpt, shown, left = f"{file.name} of {node}:\n", crash, _LINES
            if shown is not None and left and not line.startswith("["):
                shown.excerpt += line
                left -= 1
