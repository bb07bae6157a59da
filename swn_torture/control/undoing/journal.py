"""The journal of a target: what must be undone, in a file, written before it is done.

There is one file for each target, in ``$XDG_STATE_HOME/swn-torture`` (default ``~/.local/state``). It is
replaced as a whole and synced, so that a crash leaves the old or the new one. A lock serves the processes of
one run and other commands. Without changes there is no file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from filelock import FileLock
from typing_extensions import override

from swn_torture.control.base import ControllerError
from swn_torture.control.step import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_SCHEMA: Final = "swn-torture-journal/1"


@dataclass(frozen=True, slots=True)
class Entry:
    """One change that is not undone.

    Attributes:
        change: the call that was to be made.
        undo: the call that undoes it.
        by: the command or the case that made it.
        process: the id of its process.
        began: when that process started, in clock ticks after boot; tells it from a later one with the id.
        time: of the change, in seconds since 1970.
    """

    change: Step
    undo: Step
    by: str
    process: int
    began: int
    time: float

    @property
    def running(self) -> bool:
        """Whether the process that made the change still runs; it will undo it."""
        return self.process != os.getpid() and _start_of(self.process) == self.began

    @override
    def __str__(self) -> str:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.time))
        return f"{self.change} ({when}, process {self.process}: {self.by})"


class Journal:
    """The journal of one target.

    Args:
        name: of the target, for people.
        key: what identifies its cluster: the settings of the controller.
    """

    def __init__(self, name: str, key: str) -> None:
        digest = hashlib.sha256(f"{name}\n{key}".encode()).hexdigest()[:16]
        self.path = _directory() / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', name)}-{digest}.json"
        self._name = name

    def entries(self) -> tuple[Entry, ...]:
        """The changes that are not undone, oldest first.

        Raises:
            ControllerError: the file cannot be read.
        """
        return tuple(map(_entry, self._read()["entries"]))

    def state(self) -> Mapping[str, Any]:
        """What the controller stored about the cluster before the oldest change."""
        state: Mapping[str, Any] = self._read()["state"]
        return state

    def add(self, change: Step, undo: Step, state: Mapping[str, Any]) -> None:
        """Store a change before it is made.

        Args:
            change: the call that will be made.
            undo: the call that undoes it.
            state: what the controller knows about the cluster before the change; kept with the oldest one.

        Raises:
            ControllerError: the file cannot be written.
        """
        process = os.getpid()
        entry = Entry(change, undo, _caller(), process, _start_of(process) or 0, time.time())
        with self._changed() as data:
            if not data["entries"]:
                data["state"] = dict(state)
            data["entries"].append(asdict(entry))

    def remove(self, undo: Step) -> None:
        """Remove the changes that a call has undone.

        Raises:
            ControllerError: the file cannot be written.
        """
        self._keep(lambda entry: entry.undo != undo)

    def remove_own(self) -> None:
        """Remove the changes of this process, after it has restored the cluster.

        Raises:
            ControllerError: the file cannot be written.
        """
        self._keep(lambda entry: entry.process != os.getpid())

    def clear(self) -> None:
        """Remove all changes, after the cluster was restored from the journal.

        Raises:
            ControllerError: the file cannot be written.
        """
        self._keep(lambda _: False)

    def _keep(self, wanted: Callable[[Entry], bool]) -> None:
        if self.path.exists():
            with self._changed() as data:
                data["entries"] = [each for each in data["entries"] if wanted(_entry(each))]

    @contextmanager
    def _changed(self) -> Iterator[dict[str, Any]]:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with FileLock(f"{self.path}.lock"):
                data = self._read()
                yield data
                self._write(data)
        except OSError as problem:
            raise ControllerError(
                f"the journal {self.path} cannot be written, so that a change could not be undone after a "
                f"crash: {problem.strerror or problem}. XDG_STATE_HOME sets another directory"
            ) from problem

    def _read(self) -> dict[str, Any]:
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"schema": _SCHEMA, "target": self._name, "state": {}, "entries": []}
        except (OSError, ValueError) as problem:
            raise ControllerError(f"the journal {self.path} cannot be read: {problem}") from problem
        if not isinstance(data, dict) or data.get("schema") != _SCHEMA:
            raise ControllerError(f"the journal {self.path} is not of the schema {_SCHEMA}; remove it")
        return data

    def _write(self, data: Mapping[str, Any]) -> None:
        if not data["entries"]:
            self.path.unlink(missing_ok=True)
            return
        new = self.path.with_suffix(".new")
        with new.open("w", encoding="utf-8") as file:
            json.dump(data, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)
        directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _directory() -> Path:
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "swn-torture"


def _entry(data: Mapping[str, Any]) -> Entry:
    steps = {name: Step(data[name]["call"], tuple(data[name]["arguments"])) for name in ("change", "undo")}
    return Entry(**{**data, **steps})


def _caller() -> str:
    case = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0]
    return case or shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200]


def _start_of(process: int) -> int | None:
    """When a process started, from /proc/PID/stat; None if it does not run."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name of the program, in parentheses, may contain spaces.
    state, *fields = text.rpartition(")")[2].split()
    return None if state in {"Z", "X"} else int(fields[18])
