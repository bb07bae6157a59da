"""The page of preconditions: it is up to date, and counts what each need costs."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit.needs import KNOWN
from swn_torture.harness.case_map import CaseInfo, collect_cases
from tests.tools.loading import load_tool

if TYPE_CHECKING:
    from pathlib import Path

tool = load_tool("preconditions")


def case(case_id: str, *requirements: str, needs: tuple[str, ...] = ()) -> CaseInfo:
    return CaseInfo(case_id, "", "", "rpc", requirements, needs, disturbs=False, lasts=0.0, source="")


def rows(*cases: CaseInfo) -> dict[str, tuple[int, tuple[str, ...]]]:
    """The number of cases and the requirements of each need."""
    found = tool.rows({each.id: each for each in cases})
    return {row.need: (len(row.cases), row.requirements) for row in found}


def test_the_page_is_up_to_date() -> None:
    assert tool.main(["--check"]) == 0, "run: python tools/preconditions.py"


def test_a_requirement_counts_if_no_case_without_the_need_checks_it() -> None:
    assert rows(
        case("rpc.a.one", "X", "Y", needs=("two-nodes",)),
        case("rpc.a.two", "Y", needs=("two-nodes", "any-share")),
        case("rpc.a.three", "Y"),
    ) == {"two-nodes": (2, ("X",)), "any-share": (1, ())}


@pytest.mark.parametrize(
    ("parameters", "need"),
    [
        (("ndr32", "ndr64"), "ndr64"),
        (("register", "register-ex"), "version-2"),
        (("ntlm-privacy", "spnego-privacy"), "spnego"),
    ],
)
def test_a_parameter_is_a_need_if_there_is_another(parameters: tuple[str, str], need: str) -> None:
    first, second = (case(f"rpc.a.one[{parameter}]", "X") for parameter in parameters)

    assert rows(first, second)[need] == (1, ())
    assert need not in rows(second)


@pytest.mark.parametrize("need", sorted(KNOWN))
def test_every_need_has_a_meaning(need: str) -> None:
    assert tool.meaning(need)


def test_no_case_needs_room_for_many_registrations() -> None:
    """A case that wants many registrations makes as many as there is room for."""
    needed = {need for each in collect_cases().values() for need in each.needs if "registrations:" in need}
    assert needed == {"registrations:2", "registrations:4"}


def test_a_page_that_is_not_up_to_date_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tool, "PAGE", tmp_path / "page.md")
    assert tool.main(["--check"]) == 1
    assert "Run: python tools/preconditions.py" in capsys.readouterr().err
    assert tool.main([]) == 0
    assert tool.main(["--check"]) == 0
    assert tool.main(["--other"]) == 2


def test_a_row_names_its_cases() -> None:
    (row,) = tool.rows({"rpc.a.one": case("rpc.a.one", "X", needs=("any-share",))})
    assert dataclasses.astuple(row)[2:] == (("rpc.a.one",), ("X",))
