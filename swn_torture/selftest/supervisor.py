"""Runs the suite in a process of its own, and writes what happens there as a subunit stream.

The suite runs in another process, so that nothing that it prints can be taken for protocol, and so that every
case that was started gets an outcome, even when that process is killed. Samba's selftest has no time limit
for a suite; here the limit ends the run as SIGTERM does: the cluster is restored, and the reports are
written.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from swn_torture.baseline.words import plain_lines
from swn_torture.report.model import CaseResult
from swn_torture.report.results import Results
from swn_torture.selftest.ids import subunit_id
from swn_torture.selftest.outcomes import can_still_change, details_of, word_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from swn_torture.report.comparison import Comparison
    from swn_torture.selftest.subunit import SubunitStream
    from swn_torture.spec import Catalogue

#: The exit codes of a run with wrong options or a wrong profile, and of a run that is not complete.
USAGE, INCOMPLETE = 2, 3

#: The test that stands for the run itself. It is in the stream only if the run is not complete.
RUN = "run.complete"

#: The test that stands for the comparison with a baseline. It is in the stream only with a baseline.
BASELINE = "run.baseline"

#: Seconds that the run has to restore the cluster and to write its reports; then it is killed.
_GRACE_S = 180.0

#: Lines of output of the run that an error shows.
_LAST_LINES = 15


@dataclass
class _Case:
    """A planned case.

    Attributes:
        began: when it was started, in seconds since the epoch; None if it was not.
        ended: when its last report came.
        result: its result so far.
        final: whether that result is the last one.
        crash: why its process ended while it ran.
        written: whether the stream has its outcome.
    """

    began: float | None = None
    ended: float | None = None
    result: CaseResult | None = None
    final: bool = False
    crash: str = ""
    written: bool = False


@dataclass
class Supervisor:
    """One run of the suite.

    Args:
        stream: where the outcomes go.
        catalogue: the requirements.
        node_ids: the ids of the cases by node ids of pytest.
        limit: seconds after which the run is ended.
        strict: a SHOULD that is not followed is a failure.
        compared: whether the run is compared with a baseline, so that every outcome may change at its end.
    """

    stream: SubunitStream
    catalogue: Catalogue
    node_ids: Mapping[str, str]
    limit: float
    strict: bool = False
    compared: bool = False
    _cases: dict[str, _Case] = field(default_factory=dict)
    _results: Results | None = None
    _last_lines: list[str] = field(default_factory=list)
    _ended_by: str = ""
    _received: queue.Queue[tuple[str, str]] = field(default_factory=queue.Queue)

    def run(self, arguments: Sequence[str]) -> int:
        """Run ``swn-torture run`` with these arguments, and return the exit code.

        Args:
            arguments: of the command; the one for the events is added.
        """
        reader, writer = os.pipe()
        command = [sys.executable, "-m", "swn_torture", "run", *arguments, f"--events-to={writer}"]
        with (
            open(reader, "rb") as events,  # noqa: PTH123 - a descriptor
            subprocess.Popen(  # noqa: S603 - our own command
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(writer,),
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            ) as process,
            self._signals(),
        ):
            os.close(writer)
            assert process.stdout is not None
            threads = [self._reader("event", events), self._reader("output", process.stdout)]
            try:
                self._follow(process, open_files=len(threads))
            except BaseException:
                _kill(process)
                raise
        return self._finish(process.returncode)

    def _reader(self, kind: str, file: IO[bytes]) -> threading.Thread:
        """Start a thread that puts the lines of a file into the queue, and an empty one at its end."""

        def read() -> None:
            with contextlib.suppress(ValueError):  # the file was closed
                for line in file:
                    self._received.put((kind, line.decode(errors="replace")))
            self._received.put((kind, ""))

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """End the run at SIGINT and SIGTERM, as at its time limit."""

        def end(number: int, _frame: object) -> None:
            self._ended_by = self._ended_by or f"it was ended by {signal.Signals(number).name}"

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _follow(self, process: subprocess.Popen[bytes], open_files: int) -> None:
        """Process what the run sends until it has ended."""
        deadline = time.monotonic() + self.limit
        kill_at: float | None = None
        while open_files:
            now = time.monotonic()
            if now >= deadline:
                self._ended_by = self._ended_by or f"the time limit of {self.limit:g} s was reached"
            if self._ended_by and kill_at is None:
                kill_at = now + _GRACE_S
                process.terminate()
            if kill_at is not None and now >= kill_at:
                _kill(process)
                kill_at = now + _GRACE_S
            try:
                kind, line = self._received.get(timeout=0.2)
            except queue.Empty:
                if process.poll() is not None:
                    # A process that the run left behind may hold the other end of a pipe.
                    _kill(process)
                    open_files = 0 if self._received.empty() else open_files
                continue
            if not line:
                open_files -= 1
            elif kind == "output":
                self._output(line.rstrip("\n"))
            else:
                self._event(line)

    def _output(self, line: str) -> None:
        self._last_lines = [*self._last_lines[1 - _LAST_LINES :], line]
        self.stream.output(line)

    def _event(self, line: str) -> None:
        try:
            event: dict[str, Any] = json.loads(line)
        except ValueError:
            return  # the last line of a process that was killed
        match event:
            case {"planned": nodes}:
                self._cases = {self._id(node): _Case() for node in nodes}
            case {"started": node, "time": moment}:
                self._case(node).began = moment
            case {"ended": result, "time": moment}:
                ended = CaseResult.from_json(result)
                case = self._cases.setdefault(ended.id, _Case())
                case.result, case.ended = ended, moment
            case {"finished": node}:
                self._settle(self._id(node))
            case {"crashed": node, "text": text}:
                self._case(node).crash = text
            case {"results": results}:
                self._results = Results.from_json(results, self.catalogue)

    def _id(self, node: str) -> str:
        return self.node_ids.get(node, node.rpartition("/")[2])

    def _case(self, node: str) -> _Case:
        return self._cases.setdefault(self._id(node), _Case())

    def _settle(self, name: str) -> None:
        """Write the outcome of a case, if the end of the run cannot change it."""
        case = self._cases.setdefault(name, _Case())
        case.final = True
        if case.result is not None and not (self.compared or can_still_change(case.result)):
            self._write(name, case, case.result)

    def _write(self, name: str, case: _Case, result: CaseResult) -> None:
        if case.written:
            return
        case.written = True
        comparison = self._results.comparison if self._results else None
        word = word_of(result, strict=self.strict, comparison=comparison)
        details = details_of(result, self.catalogue, self._results)
        if word == "success" and details:
            self.stream.output("\n".join([f"{result.outcome} {name}", *details]))
            details = []
        self.stream.test(subunit_id(name), word, details, began=case.began, ended=case.ended)

    def _finish(self, code: int) -> int:
        """Write the outcomes that are left; return the exit code."""
        final = {case.id: case for case in self._results.cases} if self._results else {}
        missing = []
        for name, case in self._cases.items():
            result = final.get(name) or case.result
            if case.crash or (case.began is not None and not case.final and not case.written):
                case.written = True
                reason = case.crash or f"the case was started and not finished: {self._why(code)}"
                self.stream.test(subunit_id(name), "error", [reason], began=case.began, ended=time.time())
            elif result is not None:
                self._write(name, case, result)
            else:
                missing.append(name)
                reason = f"not run: {self._why(code)}"
                self.stream.test(subunit_id(name), "skip", [reason])
        for name, result in final.items():
            if name not in self._cases:  # a finding of the preflight
                self._write(name, _Case(), result)
        if self._results is not None and self._results.comparison is not None:
            self._write_comparison(self._results.comparison)
        broken = [name for name, case in self._cases.items() if case.crash]
        complete = self._results is not None and self._results.run.complete and not (missing or broken)
        if complete and not self._ended_by:
            return code
        self._write_incomplete(code, missing)
        return USAGE if code == USAGE and not self._cases else INCOMPLETE

    def _write_comparison(self, comparison: Comparison) -> None:
        """Write the test of the whole baseline: also what is lost or chosen differently counts."""
        lines = plain_lines(comparison, results="results.json")
        if comparison.exit_code:
            self.stream.test(BASELINE, "failure", lines)
        else:
            self.stream.output("\n".join(lines))
            self.stream.test(BASELINE, "success")

    def _write_incomplete(self, code: int, missing: Sequence[str]) -> None:
        """Write an error for the run itself, so that a run which is not complete cannot pass."""
        lines = [f"The run is not complete: {self._why(code)}."]
        if self._cases:
            lines.append(f"{len(missing)} of {len(self._cases)} cases were not run.")
        if self._results is None:
            lines += ["The last lines of its output:", *self._last_lines]
        self.stream.test(RUN, "error", lines)

    def _why(self, code: int) -> str:
        if self._ended_by:
            return self._ended_by
        if code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        if self._results is not None and self._results.run.stopped:
            return self._results.run.stopped.rstrip(".")
        return f"its process ended with exit code {code}"


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill everything in the session of a process."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
