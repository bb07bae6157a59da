"""The rows of a matrix, its causes and its packed form."""

from __future__ import annotations

import dataclasses
import gzip
import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.report.exchange.stub_fields import AFTER_STRUCTURES
from swn_torture.report.json_report import load_results, render_json
from swn_torture.report.matrix import Matrix, render_matrix
from swn_torture.report.matrix.causes import cause_rows
from swn_torture.report.matrix.evidence import SHOWN_CHECKS, WRONG, evidence_of
from swn_torture.report.matrix.pack import packed, to_script
from swn_torture.report.model import Check
from swn_torture.report.results import ResultsError
from swn_torture.spec import load_catalogue
from tests.docs.documents import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from swn_torture.report.model import CaseResult
    from swn_torture.report.results import Results

VIOLATED = "SWN-3.1.4.2-null-netname"
NULL_NAME = "rpc.register.null-name[ndr32]"


def test_cells_are_the_verdicts_of_each_target(good: Results, bad: Results) -> None:
    matrix = Matrix.of([good, bad])
    assert [matrix.outcome(column, NULL_NAME) for column in (0, 1)] == ["p", "f"]
    assert [matrix.verdict(column, VIOLATED) for column in (0, 1)] == ["p", "f"]
    for column, results in enumerate((good, bad)):
        assert [matrix.verdict(column, row.id) for row in matrix.requirements].count(
            "f"
        ) == results.summary.requirements["violated"]


def test_a_case_that_a_target_does_not_have_is_absent(good: Results, bad: Results) -> None:
    matrix = Matrix.of([good, bad.with_cases(bad.cases[1:])])
    assert matrix.outcome(1, NULL_NAME) == "-"
    assert NULL_NAME in matrix.cases


def test_requirements_are_in_the_order_of_the_sections(good: Results) -> None:
    cited = [row.cite for row in Matrix.of([good]).requirements]
    assert cited.index("MS-SWN 3.1.4.2") < cited.index("MS-SWN 3.1.4.5")
    assert [each.startswith("MS-SWN") for each in cited] == sorted(
        (each.startswith("MS-SWN") for each in cited), reverse=True
    )
    changes = sum(first != second for first, second in itertools.pairwise(cited))
    assert changes == len(set(cited)) - 1  # each section is one block


def test_totals_count_each_requirement_once(good: Results, bad: Results) -> None:
    matrix = Matrix.of([good, bad])
    assert sum(sum(each.values()) for each in matrix.totals(1).values()) == len(matrix.requirements)
    assert matrix.totals(1)["MS-SWN 3.1.4.2", "MUST"]["f"] == 1
    assert matrix.totals(0)["MS-SWN 3.1.4.2", "MUST"]["f"] == 0


@pytest.mark.parametrize(
    ("targets", "starts", "names"),
    [
        (("a", "b"), ("2026-11-28T10:00:00", "2026-11-28T10:00:00"), ("a", "b")),
        (("a", "a", "b"), ("2026-11-27T10:00:00", "2026-11-28T10:00:00", "2026-11-28T10:00:00"),
         ("a 2026-11-27", "a 2026-11-28", "b")),
        (("a", "a"), ("2026-11-28T10:00:00", "2026-11-28T11:00:00"),
         ("a 2026-11-28 10:00:00", "a 2026-11-28 11:00:00")),
        (("a", "b", "a"), ("2026-11-28T10:00:00",) * 3,
         ("a 2026-11-28 10:00:00 (1)", "b", "a 2026-11-28 10:00:00 (2)")),
    ],
)  # fmt: skip
def test_columns_have_different_names(
    good: Results, targets: tuple[str, ...], starts: tuple[str, ...], names: tuple[str, ...]
) -> None:
    results = [
        dataclasses.replace(
            good,
            run=dataclasses.replace(good.run, started=start),
            target=dataclasses.replace(good.target, name=target),
        )
        for target, start in zip(targets, starts, strict=True)
    ]
    assert tuple(column.name for column in Matrix.of(results).columns) == names


def test_no_results_make_no_matrix() -> None:
    with pytest.raises(ValueError, match="at least one run"):
        Matrix.of([])


def test_a_violation_without_a_known_cause_is_a_row_of_its_requirement(good: Results, bad: Results) -> None:
    (row,) = cause_rows(Matrix.of([good, bad]))
    assert row.id == VIOLATED
    assert [cell.letter for cell in row.cells] == ["p", "f"]
    assert row.cells[1].cases == (NULL_NAME,)


def test_a_cause_of_one_baseline_is_looked_for_in_every_target(
    good: Results, bad: Results, explained: Results
) -> None:
    other = dataclasses.replace(bad, target=dataclasses.replace(bad.target, name="other"))
    (row,) = cause_rows(Matrix.of([good, explained, other]))
    assert row.id == "null-name"
    assert row.title == "A null name is taken"
    assert [cell.letter for cell in row.cells] == ["p", "f", "f"]
    assert row.known == (False, True, False)
    assert row.requirements == (VIOLATED,)


def test_a_cause_is_not_tested_where_none_of_its_cases_was_judged(good: Results, explained: Results) -> None:
    skipped = dataclasses.replace(good.cases[0], outcome="not-tested", reason="No.", checks=())
    matrix = Matrix.of([good.with_cases([skipped, *good.cases[1:]]), explained])
    assert [cell.letter for cell in cause_rows(matrix)[0].cells] == ["n", "f"]
    broken = dataclasses.replace(skipped, outcome="error")
    matrix = Matrix.of([good.with_cases([broken]), explained, good.with_cases(good.cases[1:])])
    assert [cell.letter for cell in cause_rows(matrix)[0].cells] == ["e", "f", "-"]


def test_choices_stand_side_by_side(good: Results, bad: Results) -> None:
    (row,) = Matrix.of([good, bad]).choices
    assert row.id == "AMB-1"
    assert [[text for text, _ in cell] for cell in row.observed] == [
        ["ERROR_NOT_FOUND (0x490)"],
        ["ERROR_SUCCESS (0x0)"],
    ]


def test_evidence_keeps_every_finding_and_some_other_checks(
    bad: Results, make_case: Callable[..., CaseResult]
) -> None:
    failed = make_case("rpc.a.b", VIOLATED, passed=False)
    record = Check(VIOLATED, passed=True, observed="fine")
    long = dataclasses.replace(failed, checks=(record,) * 50 + failed.checks)
    found = evidence_of(bad.with_cases([long]))["rpc.a.b"]
    assert [letter for _, letter in found.checks] == ["p"] * SHOWN_CHECKS + ["f"]
    assert found.omitted == 50 - SHOWN_CHECKS


def test_like_findings_share_one_exchange(many: Results) -> None:
    found = evidence_of(many)
    shown = {id_ for id_, each in found.items() if each.exchange}
    like = {each.like for each in found.values() if each.like}
    assert shown
    assert like <= shown
    octets = [each.exchange.octets for each in found.values() if each.exchange]
    assert all(fields for each in octets for _, fields in each)


def test_wrong_octets_of_a_published_finding_are_marked() -> None:
    """Octets follow the last structure of a notification; few fields are marked."""
    found = load_results(ROOT / "reports" / "published" / "samba-4.22.json.gz", load_catalogue())
    exchanges = [each.exchange for each in evidence_of(found).values() if each.exchange]
    labels = {label for each in exchanges for _, fields in each.octets for label, _, _ in fields}
    wrong = {label for label in labels if label.startswith(WRONG)}
    assert f"{WRONG}{AFTER_STRUCTURES}" in wrong
    assert len(wrong) < len(labels) / 10


def test_packed_texts_are_there_once_and_have_no_effect(good: Results) -> None:
    hostile = "\x1b[31m</script><!--\u202e"
    first = dataclasses.replace(good.cases[0], checks=(Check(VIOLATED, passed=True, observed=hostile),))
    results = dataclasses.replace(
        good.with_cases([first, *good.cases[1:]]), target=dataclasses.replace(good.target, name=hostile)
    )
    value = packed(Matrix.of([results]))
    assert len(value["texts"]) == len(set(value["texts"]))
    page = render_matrix(Matrix.of([results]))
    assert page.count("</script>") == 2
    for character in ("\x1b", "\u202e", "<!--"):
        assert character not in page


def test_script_json_is_json() -> None:
    value = {"a": "</script>&<>", "b": [1, "é"]}
    text = to_script(value)
    assert json.loads(text) == value
    assert not set(text) & set("<>&")


def test_compressed_results_are_read(tmp_path: Path, bad: Results) -> None:
    path = tmp_path / "bad.json.gz"
    path.write_bytes(gzip.compress(render_json(bad).encode()))
    assert load_results(path, load_catalogue()).cases == bad.cases
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ResultsError, match="is damaged"):
        load_results(path, load_catalogue())


def test_page_is_the_same_for_the_same_results(good: Results, bad: Results) -> None:
    assert render_matrix(Matrix.of([good, bad])) == render_matrix(Matrix.of([good, bad]))


def test_page_of_six_targets_is_small(many: Results) -> None:
    cases: list[Any] = []
    for number in range(3):
        cases += [dataclasses.replace(case, id=f"{case.id}-{number}") for case in many.cases]
    results = [
        dataclasses.replace(
            many.with_cases(cases), target=dataclasses.replace(many.target, name=f"target-{number}")
        )
        for number in range(6)
    ]
    page = render_matrix(Matrix.of(results))
    assert len(page.encode()) < 3_000_000
    for outside in ("http://", "https://", "src=", "@import", "url("):
        assert outside not in page.split('id="data"')[0]
