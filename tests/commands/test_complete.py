"""Completion by the shell: what click's classes complete, and the line that installs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from swn_torture.baseline.read import shipped_baselines
from swn_torture.cli import main
from swn_torture.commands import complete
from swn_torture.faults.library import load_faults
from swn_torture.harness.case_map import collect_cases
from swn_torture.spec import load_catalogue
from swn_torture.spec.rungs import BY_ID
from swn_torture.target import shipped_profiles
from swn_torture.unusual.library import load_unusual
from tests.docs.documents import ROOT, clean_environment

if TYPE_CHECKING:
    from pathlib import Path


def completed(line: str, *, shell: type[ShellComplete] = BashComplete) -> list[str]:
    """The values for the last word of a command line."""
    words = line.split(" ")
    found = shell(main, {}, "swn-torture", "_SWN_TORTURE_COMPLETE").get_completions(words[1:-1], words[-1])
    return [item.value for item in found if item.type == "plain"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("swn-torture ru", ["run"]),
        ("swn-torture cluster dis", ["disable"]),
        ("swn-torture run --target samba-l", ["samba-lab"]),
        ("swn-torture cluster list --target refe", ["reference"]),
        ("swn-torture client watch --target refe", ["reference"]),
        ("swn-torture doctor --target refe", ["reference"]),
        ("swn-torture run --case rpc.register.null-n", ["rpc.register.null-name"]),
        ("swn-torture run --requirement SWN-3.1.4.2-null-n", ["SWN-3.1.4.2-null-netname"]),
        ("swn-torture run --up-to async", ["async-notify"]),
        ("swn-torture run --fault any-net", ["any-net-name-taken"]),
        ("swn-torture run --unusual one-n", ["one-node"]),
        ("swn-torture run --baseline samba-4.2", ["samba-4.22", "samba-4.25"]),
        ("swn-torture serve --fault any-net", ["any-net-name-taken"]),
        ("swn-torture explain AMB-1", [f"AMB-1{end}" for end in ("", *"0123456789")]),
        ("swn-torture explain any-net", ["any-net-name-taken"]),
        ("swn-torture repro out/results.json rpc.register.null-n", ["rpc.register.null-name"]),
        ("swn-torture baseline show samba-4.25", ["samba-4.25"]),
    ],
)
def test_names_are_completed(line: str, expected: list[str]) -> None:
    assert completed(line) == expected


@pytest.mark.parametrize("shell", [BashComplete, ZshComplete, FishComplete])
def test_every_shell_has_its_script_and_its_format(shell: type[ShellComplete]) -> None:
    assert completed("swn-torture run --up-to async", shell=shell) == ["async-notify"]
    script = shell(main, {}, "swn-torture", "_SWN_TORTURE_COMPLETE").source()
    assert "_SWN_TORTURE_COMPLETE" in script


def test_files_are_completed_where_a_file_may_be_named() -> None:
    found = BashComplete(main, {}, "swn-torture", "_X").get_completions(["run", "--target"], "my")
    assert [item.type for item in found] == ["file"]


def test_nothing_is_missing() -> None:
    """What is read from texts is what is there."""
    catalogue = load_catalogue()
    assert set(complete.case_ids()) == {case.base for case in collect_cases().values()}
    assert sorted(complete.fault_names()) == sorted(fault.name for fault in load_faults())
    assert complete.requirement_ids() == list(catalogue.requirements)
    assert complete.ambiguity_ids() == list(catalogue.ambiguities)
    assert completed("swn-torture run --up-to ") == list(BY_ID)
    assert completed("swn-torture run --target ") == shipped_profiles()
    assert completed("swn-torture run --baseline ") == sorted(shipped_baselines())
    assert completed("swn-torture serve --unusual ") == sorted(load_unusual())


def test_completion_imports_nothing_heavy() -> None:
    """A shell waits for it: what takes long to import is not imported."""
    program = (
        "import sys\n"
        "from click.shell_completion import BashComplete\n"
        "from swn_torture.cli import main\n"
        "complete = BashComplete(main, {}, 'swn-torture', '_X')\n"
        "for option in ('--case', '--fault', '--requirement', '--up-to', '--target'):\n"
        "    assert complete.get_completions(['run', option], '')\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"pytest", "scapy", "impacket", "jinja2", "rich"} & set(done.stdout.split())


def test_line_of_the_readme_installs_it(tmp_path: Path) -> None:
    """A real bash reads the script of the documented line, and completes a word with it."""
    bash = shutil.which("bash")
    assert bash is not None
    line = 'eval "$(_SWN_TORTURE_COMPLETE=bash_source swn-torture)"'
    assert line in (ROOT / "README.md").read_text(encoding="utf-8")
    program = (
        f"{line}\n"
        "COMP_WORDS=(swn-torture run --up-to async); COMP_CWORD=3\n"
        "$(complete -p swn-torture | sed 's/.*-F \\([^ ]*\\).*/\\1/') swn-torture\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])  # noqa: PTH120
    done = subprocess.run(
        [bash, "--norc", "-c", program],
        cwd=tmp_path,
        env={**clean_environment(), "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.stdout.split() == ["async-notify"], done.stdout + done.stderr
