"""Mutation testing: change the codec and the state machine in one place at a time, and run the tests.

    python tools/mutation.py              every change; writes docs/mutation.md
    python tools/mutation.py -j 4 'swn_torture.stubdata.ndr*'

tools/mutation.toml says what is changed, which tests have to notice it, and which changes are known to make
no difference, with the reason. mutmut has its own virtual environment in build/mutation, next to the changed
copy of the tree; it also uses the packages of this interpreter's environment.

Exit code 0 if every change that no test noticed is a known one, otherwise 1.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build/mutation"
TREE = WORK / "tree"
MUTMUT = WORK / "venv/bin/mutmut"
PAGE = ROOT / "docs/mutation.md"
COPIED = ("swn_torture", "tests", "fixtures", "conftest.py", "pyproject.toml", "README.md")

NO_TEST_FAILED, NO_TEST_RAN = 0, 33
"""mutmut's exit codes for a change that fails no test, and for one that no test runs."""


@dataclass(frozen=True)
class Change:
    """A change that no test noticed.

    Attributes:
        function: the function with its module, without the package: ``witness.codec.encode``.
        was: the original lines, each stripped.
        now: the changed lines; empty if the original lines were removed.
    """

    function: str
    was: str
    now: str


def main() -> int:
    """Change the code, run the tests, write the page, and print the unexplained changes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", help="mutmut's names of changes, or patterns")
    parser.add_argument("-j", dest="processes", type=int, default=2, help="processes at the same time")
    arguments = parser.parse_args()
    plan = tomllib.loads((ROOT / "tools/mutation.toml").read_text(encoding="utf-8"))
    began = time.monotonic()
    _prepare(plan)
    with (WORK / "run.log").open("w") as log:
        command: list[str] = [
            str(MUTMUT),
            "run",
            "--max-children",
            str(arguments.processes),
            *arguments.names,
        ]
        environment = {**os.environ, "SWN_TORTURE_ALL_EXAMPLES": "1"}
        ended = subprocess.run(
            command, cwd=TREE, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False
        )
    codes = _exit_codes()
    if ended.returncode or not codes:
        print(f"mutmut ended with {ended.returncode}; {WORK / 'run.log'} says why", file=sys.stderr)
        return 1
    unnoticed = [_change(name) for name, code in codes.items() if code in {NO_TEST_FAILED, NO_TEST_RAN}]
    unexplained = [change for change in unnoticed if _reason(change, plan) is None]
    minutes = (time.monotonic() - began) / 60
    summary = (
        f"{len(codes)} changes, {len(codes) - len(unnoticed)} noticed, {len(unnoticed)} not noticed: "
        f"{len(unnoticed) - len(unexplained)} for a known reason, {len(unexplained)} unexplained"
    )
    for change in unexplained:
        print(f"NOT NOTICED {change.function}\n  - {change.was}\n  + {change.now}")
    if not arguments.names:
        for entry in plan["unnoticed"]:
            for now in entry["now"]:
                if not any(c.function == entry["function"] and c.now == now for c in unnoticed):
                    print(f"in mutation.toml, but noticed: {entry['function']}: {now}")
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(_page(plan, unnoticed, summary), encoding="utf-8")
    print(f"{summary}; {minutes:.0f} min")
    return 1 if unexplained else 0


def _prepare(plan: dict[str, Any]) -> None:
    """Install mutmut, and copy the tree with a configuration for it."""
    if not MUTMUT.exists():
        venv.create(WORK / "venv", with_pip=True, clear=True)
        pip = [str(WORK / "venv/bin/python"), "-m", "pip", "install", "-q", f"mutmut=={plan['version']}"]
        subprocess.run(pip, check=True)
        site = next((WORK / "venv/lib").glob("python*/site-packages"))
        # A .pth file found through this path is not read, so the tests import the copy of the tree.
        (site / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    shutil.rmtree(TREE, ignore_errors=True)
    TREE.mkdir(parents=True)
    for name in COPIED:
        source, ignore = ROOT / name, shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, TREE / name, ignore=ignore) if source.is_dir() else shutil.copy(source, TREE)
    settings = {
        "source_paths": ["swn_torture"],
        "only_mutate": plan["changed"],
        "also_copy": [name for name in COPIED if name not in {"swn_torture", "tests"}],
        # The same examples in every run, so that the result does not depend on chance.
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "--hypothesis-seed=0", *plan["arguments"]],
        "pytest_add_cli_args_test_selection": plan["tests"],
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    lines += ["use_git_change_detection = false", "track_dependencies = false"]
    with (TREE / "pyproject.toml").open("a") as file:
        file.write("\n[tool.mutmut]\n" + "\n".join(lines) + "\n")


def _exit_codes() -> dict[str, int]:
    """Return the exit code of each tried change, by name."""
    found: dict[str, int] = {}
    for file in sorted(TREE.glob("mutants/**/*.meta")):
        codes = json.loads(file.read_text(encoding="utf-8"))["exit_code_by_key"]
        found |= {name: code for name, code in codes.items() if code is not None}
    return found


def _change(name: str) -> Change:
    shown = subprocess.run([MUTMUT, "show", name], cwd=TREE, capture_output=True, text=True, check=True)
    lines = [line for line in shown.stdout.splitlines() if not line.startswith(("---", "+++"))]
    was, now = (" ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    # swn_torture.stubdata.ndr.xǁReaderǁu16__mutmut_3, and for a plain function ...ndr.x_wide_size__mutmut_1
    module, _, function = name.removeprefix("swn_torture.").rpartition(".")
    function = re.sub(r"^x_?|__mutmut_\d+$", "", function).strip("ǁ").replace("ǁ", ".")
    return Change(f"{module}.{function}", was, now)


def _reason(change: Change, plan: dict[str, Any]) -> str | None:
    """Return why a change makes no difference, if that is known."""
    for entry in plan["unnoticed"]:
        if entry["function"] == change.function and change.now in entry["now"]:
            return str(entry["why"])
    return None


def _page(plan: dict[str, Any], unnoticed: list[Change], summary: str) -> str:
    """Return the page of the documentation, in Markdown."""
    lines = [
        "# Mutation testing",
        "",
        "`make mutation` changes the codec and the reference's state machine in one place at a time (another",
        "number, operator or name; an argument or a case removed). Then it runs the tests of `tests/witness`",
        "and `tests/server` that need no network. A change that fails no test shows a gap in the tests, code",
        "that is not needed, or a change that makes no difference. This page shows the last run.",
        "",
        f"**{summary}.**",
        "",
        f"Changed by mutmut {plan['version']}: " + ", ".join(f"`{path}`" for path in plan["changed"]) + ".",
        "mutmut does not change properties, decorated functions and tables outside of functions.",
    ]
    reasons: dict[str, list[Change]] = {}
    for change in unnoticed:
        reasons.setdefault(_reason(change, plan) or "Unexplained.", []).append(change)
    for why, changes in sorted(reasons.items()):
        lines += ["", f"## {why}", ""]
        for change in changes:
            now = f"`{change.now}`" if change.now else "removed"
            lines.append(f"- `{change.function}`: `{change.was}` → {now}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
