"""The published results and their matrix: current, complete, and without paths of a machine."""

from __future__ import annotations

import dataclasses
import gzip
import json
import re
from typing import TYPE_CHECKING

import jsonschema_rs
import pytest

from swn_torture.report.json_report import load_results, render_json, results_schema
from swn_torture.spec import load_catalogue
from tests.tools.loading import load_tool

if TYPE_CHECKING:
    from pathlib import Path

tool = load_tool("published")

PUBLISHED = tool.published()


def test_the_matrix_is_what_the_published_results_give() -> None:
    assert tool.main(["--check"]) == 0


def test_the_reference_is_the_first_column_and_conforms() -> None:
    assert PUBLISHED[0].name == "reference.json.gz"
    assert load_results(PUBLISHED[0], load_catalogue()).summary.verdict == "conforming"


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.name)
def test_published_results_are_complete_and_name_no_machine(path: Path) -> None:
    text = gzip.decompress(path.read_bytes()).decode("utf-8")
    jsonschema_rs.validate(results_schema(), json.loads(text))
    results = load_results(path, load_catalogue())
    assert results.run.complete
    assert results.target.name == path.name.removesuffix(".json.gz")
    assert not re.search(r"/(home|root|tmp|work|var|opt)/", text)


def test_results_of_a_part_of_the_suite_are_not_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = load_results(PUBLISHED[0], load_catalogue())
    source = tmp_path / "results.json"
    part = dataclasses.replace(whole, run=dataclasses.replace(whole.run, selection="-k register"))
    source.write_text(render_json(part), encoding="utf-8")
    assert tool.main(["--add", "other", str(source)], tmp_path) == 2
    assert "only the results of a complete run" in capsys.readouterr().err
    assert not (tmp_path / "matrix.html").exists()


def test_adding_results_writes_the_same_files_again(tmp_path: Path) -> None:
    whole = load_results(PUBLISHED[0], load_catalogue())
    first = whole.cases[0]
    own = dataclasses.replace(first, repro=f"swn-torture run --target /home/me/ref.toml --case '{first.id}'")
    source = tmp_path / "results.json"
    source.write_text(render_json(whole.with_cases([own])), encoding="utf-8")
    assert tool.main(["--add", "reference", str(source)], tmp_path) == 0
    (path,) = tool.published(tmp_path)
    octets, page = path.read_bytes(), (tmp_path / "matrix.html").read_bytes()
    assert load_results(path, load_catalogue()).cases[0].repro == first.repro
    assert tool.main(["--add", "reference", str(source)], tmp_path) == 0
    assert (path.read_bytes(), (tmp_path / "matrix.html").read_bytes()) == (octets, page)
    assert tool.main(["--check"], tmp_path) == 0
    (tmp_path / "matrix.html").write_text("old", encoding="utf-8")
    assert tool.main(["--check"], tmp_path) == 1


@pytest.mark.parametrize("arguments", [["--other"], ["--add", "Name/", "x"], ["--add", "name", "missing"]])
def test_wrong_arguments_are_a_usage_error(arguments: list[str], tmp_path: Path) -> None:
    assert tool.main(arguments, tmp_path) == 2
