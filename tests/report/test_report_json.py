"""JSON results and the journal: they follow the schema, can be read back, and survive a crash."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema_rs import Draft202012Validator, ValidationError, meta

from swn_torture.report.html import render_html
from swn_torture.report.journal import Journal, read_journal
from swn_torture.report.json_report import load_results, render_json, results_schema
from swn_torture.report.model import Choice
from swn_torture.report.results import Results, ResultsError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    meta.validate(results_schema())
    return Draft202012Validator(results_schema())


def test_json_output_follows_the_schema(many: Results, validator: Draft202012Validator) -> None:
    validator.validate(json.loads(render_json(many)))


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("schema", "swn-torture-results/2"),
        ("run.started", "yesterday"),
        ("run.complete", None),
        ("summary.verdict", "fine"),
        ("summary.cases.passed", -1),
        ("cases.0.outcome", "maybe"),
        ("cases.0.expected", "one string"),
        ("choices.0.ambiguity", "ambiguous"),
        ("requirements.0.verdict", "unknown"),
    ],
)
def test_schema_rejects_wrong_values(
    few: Results, validator: Draft202012Validator, path: str, wrong: object
) -> None:
    document = json.loads(render_json(few))
    *parents, last = path.split(".")
    member = document
    for name in parents:
        member = member[int(name) if name.isdigit() else name]
    member[last] = wrong
    with pytest.raises(ValidationError):
        validator.validate(document)


def test_schema_requires_a_reason_unless_passed(few: Results, validator: Draft202012Validator) -> None:
    document = json.loads(render_json(few))
    next(case for case in document["cases"] if case["outcome"] != "passed")["reason"] = ""
    with pytest.raises(ValidationError):
        validator.validate(document)


def test_results_are_read_back_from_a_file(few: Results, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(render_json(few), encoding="utf-8")
    again = load_results(path, few.catalogue)
    assert [case.id for case in again.cases] == [case.id for case in few.cases]
    assert again.summary == few.summary
    assert render_json(again) == render_json(few)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema": "other"}', '{"schema": "swn-torture-results/1"}']
)
def test_error_names_a_file_without_results(text: str, few: Results, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ResultsError, match=re.escape(str(path))):
        load_results(path, few.catalogue)


@pytest.mark.parametrize(
    ("member", "value", "text"),
    [
        (("run",), 5, "a Run must be an object, not 5"),
        (("run", "workers"), "two", "the member workers of a Run must not be 'two'"),
        (("run", "complete"), None, "the member complete of a Run must not be None"),
        (("target", "facts"), {"product": 1}, "the member facts of a TargetInfo must not be {'product': 1}"),
        (("cases",), {"id": "a"}, "a CaseResult must be an object, not 'id'"),
        (("cases", 0, "id"), ["a"], "the member id of a CaseResult must not be ['a']"),
        (("cases", 0, "transcript"), [1], "the member transcript of a CaseResult must not be [1]"),
        (("cases", 0, "checks"), "none", "a Check must be an object, not 'n'"),
        (("cases", 0, "checks"), [{"passed": True}], "the member requirement of a Check is missing"),
        (("baseline",), {"baseline": "mine", "situation": "other"}, "unknown situation 'other'"),
    ],
)
def test_error_names_the_member_that_is_wrong(
    member: tuple[str | int, ...], value: object, text: str, few: Results, tmp_path: Path
) -> None:
    document: Any = json.loads(render_json(few))
    *outer, last = member
    place = document
    for name in outer:
        place = place[name]
    place[last] = value
    path = tmp_path / "results.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ResultsError, match=re.escape(text)):
        load_results(path, few.catalogue)


def test_results_of_another_catalogue_make_a_page(few: Results) -> None:
    case = dataclasses.replace(few.cases[0], choices=(Choice("AMB-999", "waits", few.cases[0].id),))
    page = render_html(few.with_cases((case, *few.cases[1:])))
    assert "AMB-999" in page


def test_finished_journal_gives_the_same_results(few: Results, tmp_path: Path) -> None:
    with Journal(tmp_path / "j", few.run, few.target, few.catalogue) as journal:
        for case in few.cases:
            journal.add(case)
        journal.finish(few.run)
    assert render_json(read_journal(tmp_path / "j", few.catalogue)) == render_json(few)


def test_unfinished_journal_holds_every_ended_case(few: Results, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", few.run, few.target, few.catalogue)
    for case in few.cases[:3]:
        journal.add(case)
    # Read while the file is still open for writing: nothing may wait in a buffer.
    found = read_journal(tmp_path / "j", few.catalogue)
    journal.close()
    assert [case.id for case in found.cases] == [case.id for case in few.cases[:3]]
    assert not found.run.complete
    assert "stopped early" in found.run.stopped
    assert found.summary.verdict != "conforming"


def test_second_record_of_a_case_replaces_the_first(few: Results, tmp_path: Path) -> None:
    first = few.cases[0]
    with Journal(tmp_path / "j", few.run, few.target, few.catalogue) as journal:
        journal.add(first)
        journal.add(dataclasses.replace(first, outcome="error", reason="its tear-down failed"))
    assert [case.outcome for case in read_journal(tmp_path / "j", few.catalogue).cases] == ["error"]


@pytest.mark.parametrize("lost", [1, 2, 40])
def test_incomplete_last_line_is_ignored(few: Results, tmp_path: Path, lost: int) -> None:
    with Journal(tmp_path / "j", few.run, few.target, few.catalogue) as journal:
        for case in few.cases[:3]:
            journal.add(case)
    whole = (tmp_path / "j").read_bytes()
    (tmp_path / "j").write_bytes(whole[:-lost])
    assert len(read_journal(tmp_path / "j", few.catalogue).cases) == (3 if lost == 1 else 2)


def test_error_names_the_number_of_a_damaged_line(few: Results, tmp_path: Path) -> None:
    with Journal(tmp_path / "j", few.run, few.target, few.catalogue) as journal:
        journal.add(few.cases[0])
    with (tmp_path / "j").open("a") as file:
        file.write('{"case": nothing}\n{"end": {}}\n')
    with pytest.raises(ResultsError, match="line 3"):
        read_journal(tmp_path / "j", few.catalogue)


def test_file_without_journal_schema_is_rejected(few: Results, tmp_path: Path) -> None:
    (tmp_path / "j").write_text(render_json(few), encoding="utf-8")
    with pytest.raises(ResultsError, match=r"the schema is swn-torture-results/1|is not JSON"):
        read_journal(tmp_path / "j", few.catalogue)
