"""A baseline is written from runs: what a person wrote stays, and what is new has no reason."""

from __future__ import annotations

import datetime as dt

import pytest

from swn_torture.baseline.compare import compare
from swn_torture.baseline.model import BaselineError
from swn_torture.baseline.read import parse_baseline
from swn_torture.baseline.update import update
from tests.baseline.conftest import CAUSE, IPV6, KNOWN, MUST, OTHER, OTHER_MUST, case, check, results, text

TODAY = dt.date(2026, 11, 28)
COMMENTED = text(CAUSE.replace("[[cause]]", "# Told to the vendor in May.\n[[cause]]"))
NEW = case(OTHER.id, check(OTHER_MUST), choices=("kept after a move",))
FIXED = case(KNOWN.id, check(passed=True))


def test_new_file_needs_a_reason_and_is_then_true() -> None:
    run = results(KNOWN, NEW, IPV6)
    made = update("", [run])
    assert made.added == ["new-swn-3-1-4-1-empty-list", "new-swn-3-1-4-2-null-netname"]
    with pytest.raises(BaselineError, match="the reason is empty"):
        parse_baseline(made.text)
    whole = parse_baseline(made.text.replace('reason = ""', 'reason = "It is so."'))
    assert compare(run, whole).situation == "as-expected"
    assert whole.title == "Samba 4.22"


def test_text_of_a_person_stays_and_a_second_update_changes_nothing() -> None:
    run = results(KNOWN, OTHER, IPV6)
    once = update(COMMENTED, [run])
    assert (once.added, once.removed) == ([], [])
    assert "# Told to the vendor in May.\n[[cause]]" in once.text
    assert 'reason = "MS-SWN 3.1.4.1 says otherwise."' in once.text
    assert update(once.text, [run]).text == once.text
    assert compare(run, parse_baseline(once.text)).situation == "as-expected"


def test_finding_that_is_gone_goes_with_its_cause() -> None:
    run = results(FIXED, OTHER, IPV6)
    made = update(COMMENTED, [run])
    assert made.removed == [
        f"empty-list: {MUST} in {KNOWN.id}",
        "cause empty-list: An empty list is returned with success",
    ]
    assert parse_baseline(made.text).causes == ()
    assert compare(run, parse_baseline(made.text)).situation == "as-expected"


def test_changed_observation_becomes_a_new_cause() -> None:
    made = update(COMMENTED, [results(case(KNOWN.id, check(observed="ERROR_TIMEOUT (0x5B4)")), OTHER, IPV6)])
    assert made.added == ["new-swn-3-1-4-1-empty-list"]
    assert 'observed = ["ERROR_TIMEOUT (0x5B4) (0 elements)"]' in made.text
    (cause,) = parse_baseline(made.text.replace('reason = ""', 'reason = "It is so."')).causes
    assert cause.id == made.added[0]


def test_finding_of_some_runs_becomes_flaky_with_a_date() -> None:
    runs = [results(KNOWN, NEW, IPV6), results(KNOWN, OTHER, IPV6)]
    made = update(COMMENTED, runs, today=TODAY)
    assert made.added == ["new-flaky-swn-3-1-4-2-null-netname"]
    assert 'class = "flaky"\nsince = 2026-11-28' in made.text
    whole = parse_baseline(made.text.replace('reason = ""', 'reason = "Not in every run."'))
    assert all(compare(run, whole).situation == "as-expected" for run in runs)


def test_observations_that_vary_are_listed_as_such() -> None:
    other = case(KNOWN.id, check(observed="ERROR_TIMEOUT (0x5B4)"))
    runs = [results(KNOWN, OTHER, IPV6), results(other, OTHER, IPV6)]
    made = update("", runs)
    assert "sometimes = [" in made.text
    whole = parse_baseline(made.text.replace('reason = ""', 'reason = "It varies."'))
    assert all(compare(run, whole).situation == "as-expected" for run in runs)


def test_flaky_entry_goes_only_when_the_draws_agree() -> None:
    flaky = text(CAUSE.replace('"known"', '"flaky"\nsince = 2026-11-01'))
    clean = results(FIXED, OTHER, IPV6)
    assert update(flaky, [clean]).kept == ["empty-list"]
    assert update(flaky, [clean, clean], draws=3).kept == ["empty-list"]
    gone = update(flaky, [clean, clean, clean], draws=3)
    assert (gone.kept, parse_baseline(gone.text).causes) == ([], ())
    assert update(flaky, [clean, results(KNOWN, OTHER, IPV6)], draws=2).removed == []


def test_flaky_entry_goes_with_a_case_that_the_runs_do_not_have() -> None:
    flaky = text(CAUSE.replace('"known"', '"flaky"\nsince = 2026-11-01'))
    part = results(OTHER, IPV6)
    made = update(flaky, [part])
    assert (made.kept, parse_baseline(made.text).causes) == ([], ())
    assert compare(part, parse_baseline(made.text)).situation == "as-expected"


def test_incomplete_run_is_refused() -> None:
    with pytest.raises(BaselineError, match="not complete cannot be a baseline: terminated"):
        update("", [results(KNOWN, complete=False, stopped="terminated")])


def test_runs_of_different_parts_are_refused() -> None:
    with pytest.raises(BaselineError, match="different parts of the suite: the whole suite and -k empty"):
        update("", [results(KNOWN), results(KNOWN, selection="-k empty")])


def test_case_with_an_error_is_noted() -> None:
    made = update("", [results(KNOWN, case(OTHER.id, error="no route"), IPV6)])
    assert made.notes == [
        f"{OTHER.id} did not end, or ended in an error: it is not in the picture. Run it again."
    ]


def test_words_of_records_that_differ_between_runs_become_a_wildcard_and_stay_one() -> None:
    def run(number: int) -> object:
        recorded = check(OTHER_MUST, None, f"{number} of 64 calls completed", "")
        return results(KNOWN, case(OTHER.id, check(passed=True), recorded), IPV6)

    made = update("", [run(6), run(38)])  # type: ignore[list-item]
    assert '"* of 64 calls completed"' in made.text
    assert '"* of 64 calls completed"' in update(made.text, [run(9)]).text  # type: ignore[list-item]


@pytest.mark.parametrize(
    "observed", ['a "name"', r"'S\ud83d'", 'it\'s "both" \\ ways', "del \x7f", "ümläut ✓"]
)
def test_any_text_is_written_as_toml(observed: str) -> None:
    run = results(case(KNOWN.id, check(observed=observed)), OTHER, IPV6)
    whole = parse_baseline(update("", [run]).text.replace('reason = ""', 'reason = "r"'))
    assert compare(run, whole).situation == "as-expected"


def test_cases_listed_as_impossible_are_not_listed_by_reason() -> None:
    causes = """
[[cause]]
id = "no-ipv6"
title = "There is no IPv6"
class = "impossible"
reason = "The network has none."
[[cause.finding]]
cases = ["cluster.lists.ipv6*"]
"""
    run = results(FIXED, OTHER, IPV6)
    made = update(text(causes), [run])
    assert "no IPv6 address" not in made.text
    assert compare(run, parse_baseline(made.text)).situation == "as-expected"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            'schema = "swn-torture-target/1"\nnet_name = "A"',
            "not a baseline: its schema is 'swn-torture-target/1'",
        ),
        ('net_name = "A"', "mine.toml is not a baseline: it names no schema"),
        ("{", "mine.toml is not valid TOML"),
    ],
)
def test_another_file_is_not_overwritten(content: str, text: str) -> None:
    with pytest.raises(BaselineError, match=text):
        update(content, [results(KNOWN)], source="mine.toml")


def test_part_of_the_suite_does_not_replace_the_whole_with_its_reasons() -> None:
    part = results(OTHER, selection="-k other")
    whole = update(COMMENTED, [results(KNOWN, OTHER, IPV6)]).text
    with pytest.raises(
        BaselineError, match=r"of the whole suite, and the run is of -k other.*--from mine\.toml"
    ):
        update(whole, [part], source="mine.toml", in_place=True)
    made = update(whole, [part])  # into another file
    assert compare(part, parse_baseline(made.text)).situation == "as-expected"
    assert update(made.text, [part], in_place=True).text == made.text
    assert update(made.text, [results(KNOWN, OTHER, IPV6)], in_place=True).added == [
        "new-swn-3-1-4-1-empty-list"
    ]
