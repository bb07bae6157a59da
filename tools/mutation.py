"""Change the codec and the state machine in one place at a time, and see which changes no test notices.

    python tools/mutation.py              every change; writes docs/mutation.md
    python tools/mutation.py -j 4 'swn_torture.stubdata.ndr*'

What is changed, by which tests it has to be noticed, and which changes are known to make no difference, and
why, stands in tools/mutation.toml. mutmut lives in a virtual environment of its own under build/mutation,
where the changed copy of the tree is, too; the packages of this interpreter's environment are used beside it.

Exit code 0 when every change that went unnoticed is a known one, and 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
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

SURVIVED, UNTESTED = 0, 33
"""mutmut's exit codes of a change that no test failed for, and of one that no test runs."""


@dataclass(frozen=True)
class Change:
    """A change that went unnoticed.

    Attributes:
        place: the function, from the package on: ``witness.codec.encode``.
        was: the lines concerned as they were, each stripped.
        now: the lines as they were changed; empty where they were left out.
    """

    place: str
    was: str
    now: str


def main() -> int:
    """Change, test, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", help="mutmut's names of changes, or patterns of them")
    parser.add_argument("-j", dest="processes", type=int, default=2, help="how many side by side")
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
        ended = subprocess.run(command, cwd=TREE, stdout=log, stderr=subprocess.STDOUT, check=False)
    codes = _exit_codes()
    if ended.returncode or not codes:
        print(f"mutmut ended with {ended.returncode}; {WORK / 'run.log'} tells why", file=sys.stderr)
        return 1
    left = [_change(name) for name, code in codes.items() if code in {SURVIVED, UNTESTED}]
    strange = [change for change in left if _reason(change, plan) is None]
    minutes = (time.monotonic() - began) / 60
    summary = (
        f"{len(codes)} changes, {len(codes) - len(left)} noticed, {len(left)} not: "
        f"{len(left) - len(strange)} for a known reason, {len(strange)} unexplained"
    )
    for change in strange:
        print(f"UNNOTICED {change.place}\n  - {change.was}\n  + {change.now}")
    if not arguments.names:
        for entry in plan["left"]:
            for now in entry["now"]:
                if not any(c.place == entry["place"] and c.now == now for c in left):
                    print(f"noticed by now: {entry['place']}: {now}")
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(_page(plan, left, summary), encoding="utf-8")
    print(f"{summary}; {minutes:.0f} min")
    return 1 if strange else 0


def _prepare(plan: dict[str, Any]) -> None:
    """Have mutmut, and a fresh copy of the tree that is set up for it."""
    if not MUTMUT.exists():
        venv.create(WORK / "venv", with_pip=True, clear=True)
        pip = [str(WORK / "venv/bin/python"), "-m", "pip", "install", "-q", f"mutmut=={plan['version']}"]
        subprocess.run(pip, check=True)
        site = next((WORK / "venv/lib").glob("python*/site-packages"))
        # A path in a .pth brings no .pth of its own along, so that the tree that is tested is the copy.
        (site / "beside.pth").write_text(sysconfig.get_path("purelib") + "\n")
    shutil.rmtree(TREE, ignore_errors=True)
    TREE.mkdir(parents=True)
    for name in COPIED:
        source, ignore = ROOT / name, shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, TREE / name, ignore=ignore) if source.is_dir() else shutil.copy(source, TREE)
    settings = {
        "source_paths": ["swn_torture"],
        "only_mutate": plan["changed"],
        "also_copy": [name for name in COPIED if name not in {"swn_torture", "tests"}],
        # The same examples every time: what is noticed must not be a matter of luck.
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "--hypothesis-seed=0", *plan["arguments"]],
        "pytest_add_cli_args_test_selection": plan["tests"],
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    lines += ["use_git_change_detection = false", "track_dependencies = false"]
    with (TREE / "pyproject.toml").open("a") as file:
        file.write("\n[tool.mutmut]\n" + "\n".join(lines) + "\n")


def _exit_codes() -> dict[str, int]:
    """The changes that were tried, by name, with what became of them."""
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
    """Why a change makes no difference, if that is known."""
    for entry in plan["left"]:
        if entry["place"] == change.place and change.now in entry["now"]:
            return str(entry["why"])
    return None


def _page(plan: dict[str, Any], left: list[Change], summary: str) -> str:
    """What mutation testing found, for people."""
    lines = [
        "# Mutation testing",
        "",
        "`make mutation` changes the codec and the reference's state machine in one place at a time (another",
        "number, operator or name, an argument or a case left out) and runs the tests of `tests/witness` and",
        "`tests/server` that need no network. A change that no test fails for is a gap in the tests, code",
        "that nobody needs, or no change at all; this is the last run, and what is left and why.",
        "",
        f"**{summary}.**",
        "",
        f"Changed by mutmut {plan['version']}: " + ", ".join(f"`{path}`" for path in plan["changed"]) + ".",
        "Properties, decorated functions and tables outside of functions are not changed by it.",
    ]
    reasons: dict[str, list[Change]] = {}
    for change in left:
        reasons.setdefault(_reason(change, plan) or "Not explained yet.", []).append(change)
    for why, changes in sorted(reasons.items()):
        lines += ["", f"## {why}", ""]
        for change in changes:
            now = f"`{change.now}`" if change.now else "left out"
            lines.append(f"- `{change.place}`: `{change.was}` → {now}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
