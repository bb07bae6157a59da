"""The plan: what selftest.pl reads, and the commands in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from swn_torture.harness.case_map import collect_cases
from swn_torture.selftest.ids import subunit_id
from swn_torture.selftest.plan import plan
from tests.preloaded import program, python
from tests.selftest.test_stream import read

if TYPE_CHECKING:
    import pytest

    from tests.selftest.conftest import SambaTools

_CASE = "rpc.register.wrong-version[ndr32-register-0x0]"


def test_plan_has_the_lines_of_a_suite_that_can_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON", "python3.11")
    monkeypatch.setenv("SRCDIR", "/samba")
    head, name, environment, listing, running = plan(["--strict", "--report=a b"])
    assert (head, name) == ("-- TEST-LOADLIST --", "swn-torture(clusteredmember:local)")
    assert environment == "clusteredmember:local"
    assert listing.startswith(f"{sys.executable} -m swn_torture selftest --strict '--report=a b' --list | ")
    filter_ = '--prefix="swn-torture." --suffix="(clusteredmember:local)"'
    assert listing.endswith(f"python3.11 /samba/selftest/filter-subunit --list {filter_}")
    assert " $LOADLIST 2>&1 | " in running
    assert running.endswith(f"python3.11 /samba/selftest/filter-subunit --fail-on-empty {filter_}")


def test_command_prints_the_plan_with_its_own_options() -> None:
    options = ["--time-limit", "60", "--case", _CASE, "--report", "out", "--target", "my.toml"]
    command = [*program(), "selftest", "--plan", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    line = done.stdout.splitlines()[-1]
    for option in (f"--target={Path('my.toml').absolute()}", f"--report={Path('out').absolute()}"):
        assert option in line
    assert f"'--case={_CASE}' --time-limit=60 $LOADLIST" in line


def planned(samba_tools: SambaTools, *options: str) -> list[str]:
    """The plan as selftest.pl gets it in the directory of Samba's tools, with an interpreter of the tests."""
    command = [*program(), "selftest", "--plan", *options]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60, env=environment(samba_tools)
    )
    return [line.replace(f"{sys.executable} -m ", f"{python()} -m ") for line in done.stdout.splitlines()]


def environment(samba_tools: SambaTools) -> dict[str, str]:
    return {**os.environ, "PYTHON": sys.executable, "SRCDIR": str(samba_tools.directory)}


def shell(samba_tools: SambaTools, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of the plan as selftest.pl does."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=samba_tools.directory,
        env=environment(samba_tools),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_commands_of_the_plan_run_with_the_filter_of_samba(samba_tools: SambaTools, tmp_path: Path) -> None:
    lines = planned(samba_tools, "--target", "reference", "-n", "0")
    listed = shell(samba_tools, lines[3]).stdout.splitlines()
    assert listed == [f"swn-torture.{subunit_id(case)}(clusteredmember:local)" for case in collect_cases()]

    tests = tmp_path / "list"
    tests.write_text("\n".join(each for each in listed if "wrong-version.ndr32-register-0x" in each))
    done = shell(samba_tools, lines[4].replace("$LOADLIST", f"--load-list={tests}"))
    assert done.returncode == 0, done.stdout
    outcomes = read(done.stdout.encode()).outcomes
    assert sorted(outcomes) == sorted(tests.read_text().splitlines())
    assert set(outcomes.values()) == {"success"}


def test_violation_fails_the_suite_unless_it_is_known(samba_tools: SambaTools, tmp_path: Path) -> None:
    profile = tmp_path / "faulty.toml"
    profile.write_text(
        """
schema = "swn-torture-target/1"
name = "faulty"
net_name = "SWNCLUSTER"
account = { username = "witness", password = "Passw0rd!", domain = "SWNTEST" }
embedded = { fault = "any-net-name-taken" }
""",
        encoding="utf-8",
    )
    case = "rpc.names.foreign-net-name"
    lines = planned(samba_tools, "--target", str(profile), "--case", case, "-n", "0")
    done = shell(samba_tools, lines[4].replace("$LOADLIST", ""))
    assert done.returncode == 1
    assert set(read(done.stdout.encode()).outcomes.values()) == {"failure"}
    # The second filter of `make test` knows the lists of known failures.
    known = samba_tools.filtered(done.stdout.encode(), knownfail=f"^swn-torture.{case}", prefix="", suffix="")
    assert set(read(known.stdout.encode()).outcomes.values()) == {"xfail"}
    assert known.returncode == 1, "the exit code is that of the first filter: the formatter decides"
