"""Prints how much of each room the project's own tests run, from the data of `coverage`; see `make coverage`.

    python tools/covered.py [--missing]

pyproject.toml ([tool.swn-torture.coverage]) gives floors for rooms. The tests must take more than this
percentage of the branches of a room; lines do not count. Directories and files without a floor are listed
there with the reason. With ``--missing`` the branches that no test takes are printed. The exit code is 0 if
every room is above its floor, otherwise 1.
"""

from __future__ import annotations

import json
import sys
import tempfile
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coverage import Coverage

ROOT = Path(__file__).parents[1]
PACKAGE = "swn_torture/"


@dataclass
class Room:
    """The counts of all files of a room."""

    statements: int = 0
    run: int = 0
    branches: int = 0
    taken: int = 0

    def add(self, summary: dict[str, int]) -> None:
        """Add the counts of a file."""
        self.statements += summary["num_statements"]
        self.run += summary["covered_lines"]
        self.branches += summary["num_branches"]
        self.taken += summary["covered_branches"]

    @property
    def per_cent(self) -> float:
        """The percentage of branches taken."""
        return 100 * self.taken / self.branches if self.branches else 100.0


def main(arguments: list[str]) -> int:
    """Print the table, check the floors, and return the exit code."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    settings = project["tool"]["swn-torture"]["coverage"]
    files = _files()
    lines, problems = check_floors({name: file["summary"] for name, file in files.items()}, settings)
    print("\n".join(lines))
    if "--missing" in arguments:
        for name, file in files.items():
            if room_of(name, settings["no-floor"]) in settings["floors"] and file["missing_branches"]:
                print(f"{name}: " + " ".join(f"{a}->{b}" for a, b in file["missing_branches"]))
    for problem in problems:
        print(f"problem: {problem}", file=sys.stderr)
    return 1 if problems else 0


def check_floors(
    summaries: dict[str, dict[str, int]], settings: dict[str, Any]
) -> tuple[list[str], list[str]]:
    """Return the table of rooms, and the rooms that are not above their floor; one line each."""
    rooms: dict[str, Room] = defaultdict(Room)
    for name, summary in summaries.items():
        rooms[room_of(name, settings["no-floor"])].add(summary)
    lines = [f"{'':16}{'statements':>20}{'branches':>22}  floor"]
    for name, room in sorted(rooms.items()):
        statements = (
            f"{room.run:>6} of {room.statements:<5}{100 * room.run / max(1, room.statements):>4.0f} %"
        )
        branches = f"{room.taken:>6} of {room.branches:<5}{room.per_cent:>6.1f} %"
        floor = f"  > {settings['floors'][name]} %" if name in settings["floors"] else ""
        lines.append(f"{name:16}{statements:>20}{branches:>22}{floor}")
    lines += [f"{name} has no floor: {why}" for name, why in settings["no-floor"].items()]
    problems = []
    for name, floor in settings["floors"].items():
        if name not in rooms:
            problems.append(f"there is no data of {name}")
        elif (taken := rooms[name].per_cent) <= floor:
            problems.append(f"only {taken:.1f} % of the branches of {name} are taken; the floor is {floor} %")
    return lines, problems


def room_of(name: str, no_floor: dict[str, str]) -> str:
    """Return the room that a file belongs to, or its entry in ``no_floor``: its directory, or itself."""
    inside = name.removeprefix(PACKAGE)
    for part in no_floor:
        if inside == part or inside.startswith(f"{part}/"):
            return part
    return inside.partition("/")[0] if "/" in inside else "."


def _files() -> dict[str, Any]:
    """Return the data of coverage for each file, by its path in the package."""
    coverage = Coverage(data_file=str(ROOT / ".coverage"), config_file=str(ROOT / "pyproject.toml"))
    coverage.load()
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        coverage.json_report(outfile=report.name)
        files: dict[str, Any] = json.load(report)["files"]
    return {name[name.index(PACKAGE) :]: file for name, file in files.items()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
