"""The tool that checks the coverage of branches, room by room."""

from __future__ import annotations

import pytest

from tests.tools.loading import load_tool

SETTINGS = {"floors": {"witness": 95, "server": 95}, "no-floor": {"server/faults": "wrong on purpose"}}


covered = load_tool("covered")


def summary(taken: int, branches: int = 100) -> dict[str, int]:
    return {
        "num_statements": 10,
        "covered_lines": 10,
        "num_branches": branches,
        "covered_branches": taken,
    }


def problems(**taken: int) -> list[str]:
    files = {f"swn_torture/{room.replace('__', '/')}/a.py": summary(n) for room, n in taken.items()}
    _, found = covered.check_floors(files, SETTINGS)
    assert isinstance(found, list)
    return found


def test_room_at_or_below_its_floor_is_a_problem() -> None:
    assert problems(witness=96, server=100) == []
    assert problems(witness=95, server=96) == [
        "only 95.0 % of the branches of witness are taken; the floor is 95 %"
    ]
    assert problems(witness=96) == ["there is no data of server"]


def test_directory_without_floor_does_not_count_for_its_room() -> None:
    assert problems(witness=100, server=96, server__faults=0) == []
    assert problems(witness=100, server=90, server__faults=100) != []


def test_counts_of_a_room_are_those_of_all_its_files() -> None:
    files = {
        "swn_torture/witness/a.py": summary(0, 2),
        "swn_torture/witness/b.py": summary(98, 98),
        "swn_torture/server/a/b.py": summary(0, 0),
        "swn_torture/target.py": summary(1, 4),
    }

    lines, found = covered.check_floors(files, SETTINGS)

    assert found == []
    assert [line.split()[0] for line in lines[1:4]] == [".", "server", "witness"]
    assert "98 of 100" in lines[3]
    assert lines[3].endswith("98.0 %  > 95 %")


@pytest.mark.parametrize(
    ("path", "room"),
    [
        ("swn_torture/witness/codec.py", "witness"),
        ("swn_torture/server/clusapi/codec.py", "server"),
        ("swn_torture/server/faults/timers.py", "server/faults"),
        ("swn_torture/cli.py", "."),
    ],
)
def test_room_of_a_file(path: str, room: str) -> None:
    assert covered.room_of(path, SETTINGS["no-floor"]) == room
