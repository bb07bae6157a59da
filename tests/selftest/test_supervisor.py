"""The run in a process of its own: every case has an outcome, whatever ends the run."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from swn_torture.cli import main
from tests.docs.documents import clean_environment
from tests.preloaded import process_of, program
from tests.selftest.test_stream import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TIMEOUT = 100.0

#: Cases of some seconds on the reference, in the order in which they run, and a short one.
_LONG = (
    "cluster.keep-alive.each-registration-has-its-own-timeout[ndr32]",
    "cluster.keep-alive.each-registration-has-its-own-timeout[ndr64]",
    "cluster.keep-alive.timeout-starts-with-the-call",
)
_SHORT = "rpc.register.wrong-version[ndr32-register-0x0]"


def command(*arguments: str) -> list[str]:
    return ["selftest", "--target", "reference", *arguments]


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*program(), *command(*arguments)],
        capture_output=True,
        check=False,
        timeout=_TIMEOUT,
        env={**clean_environment(), **variables},
    )


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [*program(), *command(*arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(),
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def children(process: int) -> list[int]:
    """The processes that a process has started."""
    text = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    return [int(word) for word in text.split()]


def wait_for(what: str, found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _TIMEOUT
    while not found():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.05)


def goes_on(report: Path) -> bool:
    """Whether a run with this report directory has started another case after the result of the first one."""
    journal = report / "journal.jsonl"
    text = journal.read_text(encoding="utf-8") if journal.exists() else ""
    return '\n{"start"' in text.partition('\n{"case"')[2]


def cases_of(*cases: str) -> tuple[str, ...]:
    return tuple(f"--case={case}" for case in cases)


def test_stream_of_a_run_has_every_case_once() -> None:
    done = run("--requirement", "SWN-3.1.4.2-null-netname", "-n", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    listed = run("--requirement", "SWN-3.1.4.2-null-netname", "--list")
    assert set(read(done.stdout).outcomes) == set(listed.stdout.decode().split())
    assert set(read(done.stdout).outcomes.values()) == {"success"}


@pytest.mark.parametrize(("strict", "outcome", "code"), [((), "success", 0), (("--strict",), "failure", 1)])
def test_deviation_is_a_failure_only_with_strict(
    tmp_path: Path, strict: tuple[str, ...], outcome: str, code: int
) -> None:
    profile = with_fault(tmp_path, "no-secondary-address")
    case = "rpc.bind.secondary-address"
    done = run("--target", str(profile), f"--case={case}", "-n", "0", *strict)
    assert done.returncode == code
    assert read(done.stdout).outcomes == {case: outcome}


def with_fault(directory: Path, fault: str) -> Path:
    """A profile of the reference with a fault."""
    text = f"""
schema = "swn-torture-target/1"
name = "faulty"
net_name = "SWNCLUSTER"
account = {{ username = "witness", password = "Passw0rd!", domain = "SWNTEST" }}
embedded = {{ fault = "{fault}" }}
expect = {{ unused_timeout = 3.0, scan_interval = 1.0, event_deadline = 5.0, quiet_time = 0.3 }}
"""
    path = directory / "faulty.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_violation_is_a_failure_with_its_finding(tmp_path: Path) -> None:
    profile = with_fault(tmp_path, "any-net-name-taken")
    done = run("--target", str(profile), *cases_of("rpc.names.foreign-net-name", _SHORT), "-n", "0")
    assert done.returncode == 1, done.stdout
    found = read(done.stdout)
    assert set(found.outcomes.values()) == {"failure", "success"}
    text = "".join(found.texts.values())
    assert "  MS-SWN 3.1.4" in text
    assert "  observed: " in text
    assert "run again: swn-torture run" in text


def test_list_selects_the_tests(tmp_path: Path) -> None:
    tests = tmp_path / "tests.txt"
    tests.write_text("swn-torture.rpc.register.wrong-version.ndr32-register-0x0(env)\n", encoding="utf-8")
    done = run("--load-list", str(tests), "-n", "0")
    assert read(done.stdout).outcomes == {"rpc.register.wrong-version.ndr32-register-0x0": "success"}
    assert done.returncode == 0


@contextmanager
def interrupted(tmp_path: Path, workers: str = "0") -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A run of long cases in which one has ended and the next one runs, and its child process."""
    report = tmp_path / "report"
    arguments = (*cases_of(*_LONG), "-n", workers, "--report", str(report))
    with running(*arguments) as process:
        wait_for("the second case", lambda: goes_on(report))
        (caller,) = children(process_of(process.pid))
        child = process_of(caller)
        yield process, child


def outcomes_of(process: subprocess.Popen[bytes]) -> tuple[dict[str, str], str]:
    """The outcomes of a run that was not complete, without that of the run itself, and all texts."""
    stream, _ = process.communicate(timeout=_TIMEOUT)
    assert process.returncode == 3, stream
    found = read(stream)
    assert len(found.outcomes) == len(_LONG) + 1
    assert found.outcomes.pop("run.complete") == "error"
    return found.outcomes, "".join(found.texts.values())


def test_interrupt_ends_the_running_case_as_an_error(tmp_path: Path) -> None:
    with interrupted(tmp_path) as (process, _):
        process.send_signal(signal.SIGINT)
        outcomes, texts = outcomes_of(process)
    assert sorted(outcomes.values()) == ["error", "skip", "success"]
    assert "the case was started and not finished: it was ended by SIGINT" in texts
    assert "not run: it was ended by SIGINT" in texts
    assert "1 of 3 cases were not run." in texts


def test_killed_run_ends_the_running_case_as_an_error(tmp_path: Path) -> None:
    with interrupted(tmp_path) as (process, child):
        os.kill(child, signal.SIGKILL)
        outcomes, texts = outcomes_of(process)
    assert sorted(outcomes.values()) == ["error", "skip", "success"]
    assert "the case was started and not finished: its process was ended by SIGKILL" in texts


def test_killed_worker_ends_its_case_as_an_error(tmp_path: Path) -> None:
    with interrupted(tmp_path, workers="1") as (process, child):
        (worker,) = children(child)
        os.kill(worker, signal.SIGKILL)
        outcomes, texts = outcomes_of(process)
    assert sorted(outcomes.values()) == ["error", "success", "success"]
    assert "crashed while running" in texts


def test_time_limit_ends_the_run() -> None:
    done = run(*cases_of(*_LONG, _SHORT), "-n", "0", "--time-limit", "0.5")
    found = read(done.stdout)
    assert done.returncode == 3
    assert found.outcomes["run.complete"] == "error"
    assert "success" not in found.outcomes.values()
    assert "the time limit of 0.5 s was reached" in found.texts["run.complete"]


def test_time_limit_of_the_environment(tmp_path: Path) -> None:
    done = run(*cases_of(_SHORT), SELFTEST_MAXTIME="0.5")
    assert "the time limit of 0.5 s was reached" in done.stdout.decode()
    done = run(*cases_of(_SHORT), SELFTEST_MAXTIME="soon")
    assert done.returncode == 2
    assert "SELFTEST_MAXTIME is 'soon', which is not a number of seconds" in done.stderr.decode()


def test_unusable_target_is_an_error_of_the_run(tmp_path: Path) -> None:
    profile = tmp_path / "nowhere.toml"
    profile.write_text(
        """
schema = "swn-torture-target/1"
name = "nowhere"
net_name = "X"
account = { username = "u", password = "p" }
node = [{ name = "a", address = "127.0.0.1", port = 1 }]
""",
        encoding="utf-8",
    )
    done = run("--target", str(profile), *cases_of(_SHORT), "-n", "0")
    found = read(done.stdout)
    assert done.returncode == 3, done.stdout
    assert found.outcomes == {"run.complete": "error"}
    assert "The last lines of its output:" in found.texts["run.complete"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--case", "rpc.no-such.case"), "Unknown case 'rpc.no-such.case'"),
        (("--requirement", "SWN-0"), "Unknown requirement 'SWN-0'"),
        (("--load-list", "/nonexistent"), "Cannot read the list /nonexistent: No such file or directory"),
        (("--load-list", "/dev/null"), "No test matches --load-list, --case and --requirement"),
        (("-n", "many"), "must be a number or auto"),
    ],
)
def test_wrong_option_is_named(arguments: tuple[str, ...], problem: str) -> None:
    done = CliRunner().invoke(main, ["selftest", "--target", "reference", *cases_of(_SHORT), *arguments])
    assert done.exit_code == 2
    assert problem in done.output
