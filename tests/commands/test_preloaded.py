"""What `tests.preloaded` runs does the same as a new interpreter does."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.examples import one_in
from tests.preloaded import process_of, program, python

if TYPE_CHECKING:
    from collections.abc import Iterator

CASE = "rpc.check-order.every-defect[register]"
NEW = [sys.executable, "-m", "swn_torture"]

COMMANDS = {
    "help": ["--help"],
    "usage error": ["run", "-n", "many"],
    "unknown case": ["run", "--case", "rpc.check-order.every-defec"],
    "explanation": ["explain", "AMB-1"],
    "case": ["run", "-n", "0", "--case", CASE, "--json", "results.json"],
    "two processes": ["run", "-n", "2", "--case", "rpc.check-order.every-defect"],
    "finding": ["run", "-n", "0", "--case", "rpc.names.foreign-net-name", "--fault", "any-net-name-taken"],
}


def ended(command: list[str], directory: Path, **variables: str) -> tuple[int, list[str], list[str]]:
    """The exit code and the sorted lines of a command, without times and numbers: cases end in any order."""
    done = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    said, errors = (
        re.sub(r"\d+\.?\d* m?s\b|^\[.*\] ", "", text, flags=re.MULTILINE)
        for text in (done.stdout, done.stderr)
    )
    return done.returncode, sorted(said.splitlines()), sorted(errors.splitlines())


@pytest.mark.parametrize("words", one_in(len(COMMANDS), COMMANDS.values()), ids=COMMANDS)
def test_command_says_and_does_the_same(words: list[str], tmp_path: Path) -> None:
    places = tmp_path / "new", tmp_path / "preloaded"
    for place in places:
        place.mkdir()

    answers = [ended([*first, *words], place) for first, place in zip((NEW, program()), places, strict=True)]

    assert answers[0] == answers[1]
    assert len({tuple(path.name for path in place.iterdir()) for place in places}) == 1


def test_environment_is_that_of_the_caller(tmp_path: Path) -> None:
    (tmp_path / "profile.toml").write_text(
        'schema = "swn-torture-target/1"\nname = "x"\nnet_name = "X"\n[account]\nusername = "u"\n'
        'password_env = "MADE_FOR_THIS"\n[[node]]\nname = "n"\naddress = "127.0.0.1"\nport = 1\n',
        encoding="utf-8",
    )
    words = ["run", "--target", "profile.toml", "-n", "0"]

    assert ended([*program(), *words], tmp_path)[0] == 2
    assert ended([*program(), *words], tmp_path, MADE_FOR_THIS="secret")[0] == 3


def test_what_only_a_new_interpreter_can_have_is_run_by_one(tmp_path: Path) -> None:
    code, _, errors = ended([*program(), "explain", "AMB-1"], tmp_path, PYTHONPROFILEIMPORTTIME="1")

    assert code == 0
    assert [line for line in errors if line.startswith("import time:") and line.endswith(" click")]


@contextlib.contextmanager
def serving(first: list[str], directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A cluster that is served, by a new interpreter or a forked process."""
    with subprocess.Popen(
        [*first, "serve", "--log-level", "off"], cwd=directory, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert any(line.startswith("Ctrl-C") for line in process.stdout)
        yield process


def test_signal_reaches_the_command(tmp_path: Path) -> None:
    """SIGTERM. Tests of the commands that run until Ctrl-C show the same of SIGINT."""
    codes = []
    for first in (NEW, program()):
        with serving(first, tmp_path) as process:
            process.send_signal(signal.SIGTERM)
        codes.append(process.returncode)

    assert codes[0] == codes[1]


def test_killed_caller_ends_the_command(tmp_path: Path) -> None:
    with serving(program(), tmp_path) as process:
        assert process.stdout is not None
        process.kill()
        assert process.stdout.read() is not None  # its end: the command has it no longer open
    assert ended([*program(), "--help"], tmp_path)[0] == 0


def test_command_gets_further_descriptors_and_leads_its_session(tmp_path: Path) -> None:
    """As `swn-torture selftest` starts the run, to which it gives a pipe for its events."""
    reader, writer = os.pipe()
    with subprocess.Popen(
        [*program(), "run", "-n", "0", "--case", CASE, f"--events-to={writer}"],
        cwd=tmp_path,
        pass_fds=(writer,),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        os.close(writer)
        with open(reader, encoding="utf-8") as events:  # noqa: PTH123 - a descriptor
            kinds = [next(iter(json.loads(line))) for line in events]
    assert process.returncode == 0
    assert {"planned", "started"} <= set(kinds)


SAYS = """\
import json
import sys
from pathlib import Path

is_loaded = "swn_torture.commands" in sys.modules
print(json.dumps([__name__, sys.argv, sys.path[0], Path("here").is_file(), is_loaded]))
sys.exit(7)
"""


@pytest.mark.parametrize("interpreter", ["new", "preloaded"])
def test_scripts_and_code_are_run_as_by_a_new_interpreter(tmp_path: Path, interpreter: str) -> None:
    (tmp_path / "here").touch()
    script = tmp_path / "script.py"
    script.write_text(SAYS, encoding="utf-8")
    first = sys.executable if interpreter == "new" else python()

    by_file, by_code = (ended([first, *words, "a b"], tmp_path) for words in ([str(script)], ["-c", SAYS]))

    loaded = interpreter == "preloaded"
    assert by_file[0] == by_code[0] == 7
    assert json.loads(by_file[1][0]) == ["__main__", [str(script), "a b"], str(tmp_path), True, loaded]
    assert json.loads(by_code[1][0]) == ["__main__", ["-c", "a b"], "", True, loaded]


def test_the_process_of_a_command_is_known_while_it_runs(tmp_path: Path) -> None:
    with serving(program(), tmp_path) as process:
        command = process_of(process.pid)
        assert Path(f"/proc/{command}/cwd").readlink() == tmp_path
        os.kill(command, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
