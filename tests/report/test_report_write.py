"""Report files: complete or absent, and an explanation of those that could not be written."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from swn_torture.report.write import ReportPaths, cannot_write, capture_name, unwritable, write_reports

if TYPE_CHECKING:
    from swn_torture.report.results import Results


@pytest.fixture(scope="module")
def handful(few: Results) -> Results:
    return few.with_cases(few.cases[:8])


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_directory_gets_all_reports_and_captures(handful: Results, tmp_path: Path) -> None:
    assert write_reports(handful, ReportPaths(directory=tmp_path / "new" / "directory")) == []
    directory = tmp_path / "new" / "directory"
    assert names(directory) == {"index.html", "results.json", "junit.xml", "summary.md", "captures"}
    ET.parse(directory / "junit.xml")
    cases = json.loads((directory / "results.json").read_text())["cases"]
    with_octets = [case for case in cases if case["transcript"]]
    assert with_octets
    for case in cases:
        assert bool(case["capture"]) == bool(case["transcript"])
    assert {(directory / case["capture"]).stat().st_size > 0 for case in with_octets} == {True}
    finding = next(case for case in with_octets if case["outcome"] != "passed")
    assert finding["capture"] in (directory / "index.html").read_text()


def test_capture_paths_are_relative_to_each_file(handful: Results, tmp_path: Path) -> None:
    paths = ReportPaths(
        directory=tmp_path / "d",
        files={"json": tmp_path / "elsewhere" / "r.json", "html": tmp_path / "p.html"},
    )
    assert write_reports(handful, paths) == []
    for path in (tmp_path / "d/results.json", tmp_path / "elsewhere/r.json"):
        for case in json.loads(path.read_text())["cases"]:
            assert case["capture"] is None or (path.parent / case["capture"]).is_file()
    assert 'href="d/captures/' in (tmp_path / "p.html").read_text()


def test_single_files_have_captures_next_to_them(handful: Results, tmp_path: Path) -> None:
    assert (
        write_reports(
            handful, ReportPaths(files={"html": tmp_path / "page.html", "junit": tmp_path / "j.xml"})
        )
        == []
    )
    assert names(tmp_path) == {"page.html", "j.xml", "page-captures"}
    assert write_reports(handful, ReportPaths(files={"junit": tmp_path / "only" / "j.xml"})) == []
    assert names(tmp_path / "only") == {"j.xml"}


def test_only_captures_of_an_earlier_run_are_removed(handful: Results, tmp_path: Path) -> None:
    (tmp_path / "captures").mkdir()
    for name in ("gone.pcapng", "notes.txt"):
        (tmp_path / "captures" / name).write_text("old")
    write_reports(handful.with_cases(handful.cases[:2]), ReportPaths(directory=tmp_path))
    assert "notes.txt" in names(tmp_path / "captures")
    assert "gone.pcapng" not in names(tmp_path / "captures")


def test_cases_with_similar_ids_keep_their_own_captures(handful: Results, tmp_path: Path) -> None:
    case = next(case for case in handful.cases if case.transcript)
    twins = [dataclasses.replace(case, id="a[x]"), dataclasses.replace(case, id="a(x)")]
    write_reports(handful.with_cases(twins), ReportPaths(directory=tmp_path))
    assert len(names(tmp_path / "captures")) == 2


@pytest.mark.parametrize(
    ("id_", "name"),
    [
        ("rpc.register.null-netname[ndr64]", "rpc.register.null-netname-ndr64.pcapng"),
        ("../../etc/passwd", "etc-passwd.pcapng"),
        ("a b\n\ud800", "a-b.pcapng"),
    ],
)
def test_capture_name_has_only_plain_characters(id_: str, name: str) -> None:
    assert capture_name(id_) == name


def test_damaged_transcript_does_not_stop_other_files(handful: Results, tmp_path: Path) -> None:
    case = next(case for case in handful.cases if case.transcript)
    broken = dataclasses.replace(case, id="broken", transcript=({"time": 1, "kind": "sent"},))
    (problem,) = write_reports(handful.with_cases([broken, case]), ReportPaths(directory=tmp_path))
    assert "broken" in problem
    assert len(names(tmp_path / "captures")) == 1
    assert "index.html" in names(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_full_disk_is_explained_and_stops_no_other_report(handful: Results, tmp_path: Path) -> None:
    (problem,) = write_reports(
        handful, ReportPaths(files={"json": Path("/dev/full"), "html": tmp_path / "page.html"})
    )
    assert problem == (
        "Cannot write the JSON results to /dev/full: no space left on device "
        "(free some space on that file system, or choose another path)."
    )
    assert "page.html" in names(tmp_path)


def test_each_path_that_cannot_be_written_is_named_once(handful: Results, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "taken").mkdir()
    paths = ReportPaths(
        files={
            "json": tmp_path / "file" / "r.json",
            "junit": tmp_path / "taken",
            "html": tmp_path / "ok" / "page.html",
        }
    )
    problems = write_reports(handful, paths)
    assert len(problems) == 2
    assert f"{tmp_path}/file/r.json: not a directory" in problems[0] or "file exists" in problems[0]
    assert f"{tmp_path}/taken: is a directory (it is a directory; give the name of a file)" in problems[1]
    assert names(tmp_path / "ok") == {"page.html", "page-captures"}


def test_a_place_for_reports_is_looked_at_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    good = ReportPaths(tmp_path / "new/out", {"json": Path("/dev/stdout"), "html": tmp_path / "x/page.html"})
    assert unwritable(good) == ""
    assert unwritable(ReportPaths(tmp_path / "file/out")).startswith("Cannot write the reports to")
    one = ReportPaths(files={"json": tmp_path / "file/r.json"})
    assert "the JSON results to" in unwritable(one)
    assert "a part of that path is a file; choose another path" in unwritable(one)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    assert "permission denied (choose a path that you may write to)" in unwritable(good)
    assert names(tmp_path) == {"file"}


def test_failed_write_leaves_the_old_report(
    handful: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "r.json").write_text("the old report")

    def full(_: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    (problem,) = write_reports(handful.with_cases([]), ReportPaths(files={"json": tmp_path / "r.json"}))
    assert "no space left" in problem
    assert (tmp_path / "r.json").read_text() == "the old report"
    assert names(tmp_path) <= {"r.json", "r-captures"}


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS, errno.EDQUOT, errno.EIO])
def test_every_error_comes_with_a_remedy(code: int) -> None:
    text = cannot_write("HTML page", Path("/x/index.html"), OSError(code, os.strerror(code)))
    assert text.startswith(f"Cannot write the HTML page to /x/index.html: {os.strerror(code).lower()}"[:50])
    assert re.search(r"\(.*(choose|free).*\)\.$", text)


def test_lone_surrogates_do_not_stop_a_report(handful: Results, tmp_path: Path) -> None:
    case = dataclasses.replace(handful.cases[0], title="\ud800", observed="\x00", reason="\udfff")
    assert write_reports(handful.with_cases([case]), ReportPaths(directory=tmp_path)) == []


def test_finished_capture_takes_the_place_of_the_one_from_octets(handful: Results, tmp_path: Path) -> None:
    cases = [case for case in handful.cases if case.transcript][:2]
    finished = tmp_path / "finished"
    finished.write_bytes(b"packets")
    paths = ReportPaths(directory=tmp_path / "out")
    packets = {cases[0].id: finished, cases[1].id: tmp_path / "gone"}
    assert write_reports(handful.with_cases(cases), paths, packets) == []
    captures = tmp_path / "out" / "captures"
    assert (captures / capture_name(cases[0].id)).read_bytes() == b"packets"
    assert len((captures / capture_name(cases[1].id)).read_bytes()) > 100
    assert not finished.exists()
