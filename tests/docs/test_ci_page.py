"""Every command of docs/ci.md runs, in the order of the page.

Stand-ins take the place of what a test does not have: Samba's build and package tools, `podman`, and the
environment of Samba's selftest, whose plan runs against a reference. `gate samba` is only parsed here:
tests/lab runs it.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from swn_torture.target import shipped_profiles
from tests.ci.conftest import CASES, KnownTarget
from tests.command_lines import check
from tests.docs.documents import DOCS, ROOT, blocks, clean_environment
from tests.examples import in_gate
from tests.preloaded import plain_pytest, python, stand_in

PAGE = DOCS / "ci.md"

_FAULT = "register-ex-version-not-supported"

#: Programs that are not ours. Their stand-ins write down what they were called with.
_STAND_INS = ("dpkg-buildpackage", "configure", "configure.developer", "npx")

#: Runs the words after the image, as a container without an entry point does.
_PODMAN = """#!/bin/sh
echo "podman $*" >>"$WORLD/called"
[ "$1" = run ] || exit 0
while [ "$1" != swn-torture ]; do shift; done
shift
eval "exec \\"\\$@\\" $CASES"
"""

_MAKE = """#!/bin/sh
echo "make $*" >>"$WORLD/called"
case "$2" in TEST_LIST=*) ;; *) exit 0 ;; esac
# As selftest.pl: run the command of the list, then the last line of the plan that it prints.
plan=${2#TEST_LIST=}
sh -c "${plan%|}" >"$WORLD/plan" || exit 9
target="s|--target=samba-selftest|--target=$WORLD/my-cluster.toml $CASES|"
line=$(tail -1 "$WORLD/plan" | sed "$target; s|^@NEW@ |@PRELOADED@ |")
PYTHON=python3 LOADLIST= bash -o pipefail -c "$line" >>"$WORLD/stream"
"""

_PYTHON = """#!/bin/sh
case "$*" in "-m pip install"*) echo "python3 $*" >>"$WORLD/called" ;; *) exec {python} "$@" ;; esac
"""

#: What the environment of Samba's selftest does with the stream.
_FILTER = "import sys; sys.stdout.write(sys.stdin.read())\n"


def commands() -> list[str]:
    """The command lines of the page, in its order."""
    text = "\n".join(block.text for block in blocks(PAGE, "console"))
    indented = re.findall(r"^ +\$ (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    lines = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]
    order = PAGE.read_text(encoding="utf-8")
    return sorted({*lines, *indented}, key=order.index)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> KnownTarget:
    """A directory with `my-cluster.toml`, the profile of a server with a violation, and the stand-ins."""
    target = KnownTarget(tmp_path_factory.mktemp("world"))
    target.profile("my-cluster", _FAULT)
    tools = target.directory / "tools"
    tools.mkdir()
    stand_in(tools / "swn-torture")
    scripts = {
        "make": _MAKE.replace("@NEW@", sys.executable).replace("@PRELOADED@", python()),
        "podman": _PODMAN,
        "python3": _PYTHON.format(python=python()),
    }
    scripts |= {name: f'#!/bin/sh\necho "{name} $*" >>"$WORLD/called"\n' for name in _STAND_INS}
    for name, text in scripts.items():
        (tools / name).write_text(text, encoding="utf-8")
        (tools / name).chmod(0o755)
    for name in ("configure", "configure.developer"):
        (target.directory / name).symlink_to(tools / name)
    (target.directory / "selftest").mkdir()
    (target.directory / "selftest" / "filter-subunit").write_text(_FILTER, encoding="utf-8")
    return target


def run(world: KnownTarget, line: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the page. Those that would run the whole suite run two cases."""
    words = shlex.split(line.replace("/tmp/", f"{world.directory}/tmp-"))
    if words[:2] == ["swn-torture", "run"]:
        words += CASES
    if words[0] == "pytest":
        words = [*plain_pytest(), *words[1:], *(f"--swn-case={each}" for each in CASES if "." in each)]
    path = os.pathsep.join(
        [str(world.directory / "tools"), str(Path(sys.executable).parent), os.environ["PATH"]]
    )
    cases = " ".join(f"'{word}'" for word in CASES)
    return subprocess.run(
        words,
        cwd=world.directory,
        env={**clean_environment(), "PATH": path, "WORLD": str(world.directory), "CASES": cases},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def expected_code(line: str) -> int:
    """The exit code: without a baseline, the server of this test has a new violation."""
    judges = line.startswith(("swn-torture run", "podman run", "make test"))
    return 1 if judges and "--baseline" not in line else 0


def write_reasons(world: KnownTarget) -> None:
    """Write a reason for each new cause, as the page says."""
    for path in world.directory.glob("*.toml"):
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub(r'^reason = ""$', 'reason = "A fault."', text, flags=re.MULTILINE), "utf-8")


@in_gate
def test_every_command_runs_in_the_order_of_the_page(world: KnownTarget) -> None:
    lines = commands()
    assert len(lines) > 15
    for line in lines:
        if line.startswith("swn-torture gate samba"):
            check(line)  # tests/lab runs it
            continue
        done = run(world, line)
        assert done.returncode == expected_code(line), f"{line}\n{done.stdout}\n{done.stderr}"
        write_reasons(world)
    called = (world.directory / "called").read_text(encoding="utf-8").splitlines()
    assert {each.split()[0] for each in called} == {*_STAND_INS, "make", "podman", "python3"}
    stream = (world.directory / "stream").read_text(encoding="utf-8")
    assert re.findall(r"^(failure|xfail): rpc\.register", stream, re.MULTILINE) == ["failure", "xfail"]
    assert (world.directory / "allure-results" / "allurerc.json").exists()


def test_examples_for_ci_systems_use_inputs_that_exist() -> None:
    gitlab, github = (yaml.safe_load(block.text) for block in blocks(PAGE, "yaml"))
    (include,) = gitlab["include"]
    declared = next(yaml.safe_load_all((ROOT / "ci/gitlab.yml").read_text(encoding="utf-8")))
    assert (ROOT / include["file"].lstrip("/")).exists()
    assert set(include["inputs"]) <= set(declared["spec"]["inputs"])
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    used = [step for step in github["jobs"]["witness"]["steps"] if "swn-torture" in step["uses"]]
    assert set(used[0]["with"]) <= set(action["inputs"])


def test_example_for_jenkins_is_a_command_of_the_page() -> None:
    (block,) = blocks(PAGE, "groovy")
    (line,) = re.findall(r"sh '(.*)'", block.text)
    assert line in commands()


def test_profile_of_the_selftest_is_shipped() -> None:
    assert "samba-selftest" in shipped_profiles()
