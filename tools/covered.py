"""How much of each room the project's own tests run, from what `coverage` has recorded; see `make coverage`.

    python tools/covered.py [--missing]

Of the branches of a room that has a floor in pyproject.toml ([tool.swn-torture.coverage]) more than that have
to be taken, in per cent: of all branches, not of lines and branches together. Parts that are told apart there
are proven otherwise, and why stands beside them. Exit code 0 when every floor holds, 1 otherwise.
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
    """What was counted in the files of a room."""

    statements: int = 0
    run: int = 0
    branches: int = 0
    taken: int = 0

    def add(self, summary: dict[str, int]) -> None:
        """Count a file in."""
        self.statements += summary["num_statements"]
        self.run += summary["covered_lines"]
        self.branches += summary["num_branches"]
        self.taken += summary["covered_branches"]

    @property
    def per_cent(self) -> float:
        """Of the branches."""
        return 100 * self.taken / self.branches if self.branches else 100.0


def main(arguments: list[str]) -> int:
    """Print what there is, and check the floors."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = settings["tool"]["swn-torture"]["coverage"]
    files = _files()
    lines, problems = judge({name: file["summary"] for name, file in files.items()}, wanted)
    print("\n".join(lines))
    if "--missing" in arguments:
        for name, file in files.items():
            if room_of(name, wanted["apart"]) in wanted["floors"] and file["missing_branches"]:
                print(f"{name}: " + " ".join(f"{a}->{b}" for a, b in file["missing_branches"]))
    for problem in problems:
        print(f"not in order: {problem}", file=sys.stderr)
    return 1 if problems else 0


def judge(summaries: dict[str, dict[str, int]], wanted: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The rooms as a table, and which of them are not covered as they have to be; a line each."""
    rooms: dict[str, Room] = defaultdict(Room)
    for name, summary in summaries.items():
        rooms[room_of(name, wanted["apart"])].add(summary)
    lines = [f"{'':16}{'statements':>20}{'branches':>22}  floor"]
    for name, room in sorted(rooms.items()):
        share = 100 * room.run / max(1, room.statements)
        run = f"{room.run:>6} of {room.statements:<5}{share:>4.0f} %"
        taken = f"{room.taken:>6} of {room.branches:<5}{room.per_cent:>6.1f} %"
        floor = f"  > {wanted['floors'][name]} %" if name in wanted["floors"] else ""
        lines.append(f"{name:16}{run:>20}{taken:>22}{floor}")
    lines += [f"{name} has no floor: {why}" for name, why in wanted["apart"].items()]
    problems = []
    for name, floor in wanted["floors"].items():
        if name not in rooms:
            problems.append(f"nothing of {name} was measured")
        elif rooms[name].per_cent <= floor:
            problems.append(f"{rooms[name].per_cent:.1f} % of the branches of {name} were taken")
    return lines, problems


def room_of(name: str, apart: dict[str, str]) -> str:
    """The room that a file is counted in."""
    inside = name.removeprefix(PACKAGE)
    for part in apart:
        if inside.startswith(f"{part}/"):
            return part
    return inside.partition("/")[0] if "/" in inside else "."


def _files() -> dict[str, Any]:
    """What coverage says of each file, by its path in the tree."""
    coverage = Coverage(data_file=str(ROOT / ".coverage"), config_file=str(ROOT / "pyproject.toml"))
    coverage.load()
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        coverage.json_report(outfile=report.name)
        files: dict[str, Any] = json.load(report)["files"]
    return {name[name.index(PACKAGE) :]: file for name, file in files.items()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
