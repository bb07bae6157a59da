"""The table of formats: every format renders, loads its module late, and has a name of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from swn_torture.report.formats import DIRECTORY, FORMATS, Format
from swn_torture.report.markdown import plain
from swn_torture.report.write import ReportPaths, write_reports

if TYPE_CHECKING:
    from pathlib import Path

    from swn_torture.report.results import Results


@pytest.mark.parametrize("name", [each.name for each in FORMATS])
def test_every_format_renders_every_case(few: Results, name: str) -> None:
    text = next(each for each in FORMATS if each.name == name).render(few)
    # The summary in Markdown has the findings only, and escapes brackets.
    summary = name == "markdown"
    cases = [case for case in few.cases if not summary or case.outcome == "failed"]
    assert cases
    for case in cases:
        assert (plain(case.id) if summary else case.id) in text


def test_names_and_file_names_are_unique() -> None:
    assert len({each.name for each in FORMATS}) == len(FORMATS)
    assert len({each.file_name for each in FORMATS}) == len(FORMATS)
    assert all(each.file_name in DIRECTORY for each in FORMATS)


def test_known_formats_keep_their_names() -> None:
    assert {each.name: each.file_name for each in FORMATS}.items() >= {
        "json": "results.json",
        "junit": "junit.xml",
        "html": "index.html",
    }.items()


def test_table_imports_nothing_else() -> None:
    code = (
        "import sys; import swn_torture.report.formats;"
        "print(sorted(name for name in sys.modules if name.startswith('swn_torture')))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == str(["swn_torture", "swn_torture.report", "swn_torture.report.formats"])


def test_a_new_line_in_the_table_is_a_new_file(
    few: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = Format("again", "again.xml", "JUnit XML results, again", "junit.render_junit")
    monkeypatch.setattr("swn_torture.report.write.FORMATS", (*FORMATS, extra))
    paths = ReportPaths(directory=tmp_path / "directory", files={"again": tmp_path / "single.xml"})
    assert write_reports(few.with_cases(few.cases[:2]), paths) == []
    for path in (tmp_path / "directory" / "again.xml", tmp_path / "single.xml"):
        assert ET.parse(path).getroot().get("tests") == "2"
    assert json.loads((tmp_path / "directory" / "results.json").read_text(encoding="utf-8"))["cases"]
