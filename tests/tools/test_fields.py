"""The page of fields: every cell has a rule, a case or a reason, and every id exists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit.invariants.table import INVARIANTS
from swn_torture.harness.case_map import collect_cases
from swn_torture.spec import load_catalogue
from tests.tools.loading import ROOT, load_tool

if TYPE_CHECKING:
    from pathlib import Path

tool = load_tool("fields")


def test_the_page_is_up_to_date() -> None:
    assert tool.main(["--check"]) == 0, "run: python tools/fields.py"


def test_every_cell_has_a_rule_a_case_or_a_reason() -> None:
    assert not [cell for cell in tool.cells() if cell.kind == "nothing"]


def test_every_id_exists() -> None:
    found = tool.cells()

    assert not tool.unknown_cases(found, collect_cases())
    assert {name for cell in found for name in cell.rules} <= set(load_catalogue().requirements)


def test_every_entry_belongs_to_a_cell() -> None:
    assert not tool.unused_entries(tool.cells())


def test_every_rule_is_in_the_page() -> None:
    text = (ROOT / "docs" / "fields.md").read_text(encoding="utf-8")

    assert not [rule.requirement for rule in INVARIANTS if f"`{rule.requirement}`" not in text]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (("[client.opnum]", "[client.opnumber]"), "Nothing checks client: opnum of request."),
        (("[client.opnum]", "[client.opnumber]"), "client.opnumber.request is no field of this PDU type."),
        (("rpc.faults.unknown-opnum", "rpc.faults.no-opnum"), "No case has the id rpc.faults.no-opnum."),
        (("rpc.call-ids.late-fragment", "ndr.no-such*"), "No case has the id ndr.no-such*."),
    ],
)
def test_a_gap_is_reported(
    damage: tuple[str, str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = tool.DATA.read_text(encoding="utf-8")
    assert damage[0] in data
    (tmp_path / "fields.toml").write_text(data.replace(*damage), encoding="utf-8")
    monkeypatch.setattr(tool, "DATA", tmp_path / "fields.toml")

    assert tool.main(["--check"]) == 1
    assert message in capsys.readouterr().err


def test_a_page_that_is_not_up_to_date_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tool, "PAGE", tmp_path / "page.md")
    assert tool.main(["--check"]) == 1
    assert "Run: python tools/fields.py" in capsys.readouterr().err
    assert tool.main([]) == 0
    assert tool.main(["--check"]) == 0
    assert tool.main(["--other"]) == 2
