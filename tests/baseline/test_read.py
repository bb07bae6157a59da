"""A baseline that cannot be used: the error names the file, the line, the entry and the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.baseline.model import BaselineError
from swn_torture.baseline.read import load_baseline, parse_baseline, shipped_baselines
from swn_torture.harness.case_map import collect_cases
from tests.baseline.conftest import CAUSE, PICTURE, text

if TYPE_CHECKING:
    from pathlib import Path

CASES = ["cluster.lists.empty[ndr64]", "cluster.lists.other[ndr32]", "cluster.lists.ipv6[ndr32]"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('id = "empty-list"\n', "", "line 4, [[cause]] 1: the key 'id' is missing or empty. Add it: id ="),
        ('title = "An', 'titel = "An', "unknown key of a cause 'titel'. Close matches: title."),
        (
            'class = "known"',
            'class = "hidden"',
            "unknown class 'hidden'; known: known, flaky, impossible, required.",
        ),
        ('class = "known"', 'class = "flaky"', "a flaky entry needs the date since when it is listed"),
        ('class = "known"', 'class = "known"\nsince = "2026"', "'since' must be a date without quotes"),
        (
            'reason = "MS-SWN 3.1.4.1 says otherwise."',
            'reason = " "',
            "line 4, cause 'empty-list': the reason is empty",
        ),
        (
            '"SWN-3.1.4.1-empty-list"',
            '"SWN-3.1.4.1-empty"',
            "'SWN-3.1.4.1-empty'. Close matches: SWN-3.1.4.1-empty-list",
        ),
        ('"SWN-3.1.4.1-empty-list"', '"error"', "unknown requirement 'error'"),
        (
            "empty[ndr64]",
            "empt[ndr64]",
            "unknown case 'cluster.lists.empt[ndr64]'. Close matches: cluster.lists.empty[ndr64]",
        ),
        ("cluster.lists.empty[ndr64]", "rpc.*", "no case matches 'rpc.*'"),
        ('observed = ["ERROR_SUCCESS (0x0) (0 elements)"]', "", "the key 'observed' is missing"),
        ('cases = ["cluster.lists.empty[ndr64]"]', "", "the key 'cases' is missing or empty"),
        ('cases = ["cluster.lists.empty[ndr64]"]', 'cases = "x"', "the key 'cases' must be a list of texts"),
        ("[picture]", "[picture]\nruns = 0", "'runs' must be a number of runs, not 0"),
        ("[picture]", "[picture]\nimage = 1", "unknown key of the picture 'image'"),
        ('"empty 1"', '"empty"', "it must be a name and a number: 'null-name 4'"),
        (
            'baseline/2"',
            'baseline/1"',
            "the file has the schema 'swn-torture-baseline/1'; this version reads",
        ),
        (
            'baseline/2"',
            'baseline/2"\nignore = ["all"]',
            "'ignore' has the unknown entry 'all'; known: deviations",
        ),
        (PICTURE, "", "the file has no [picture], so lost cases would not be found"),
        ("[[cause]]", "[[cause]", "is not valid TOML"),
        (CAUSE, CAUSE + CAUSE, "line 15, cause 'empty-list': this id is used twice"),
    ],
)
def test_wrong_entry_is_named_with_its_line_and_remedy(old: str, new: str, message: str) -> None:
    whole = text()
    assert old in whole
    with pytest.raises(BaselineError) as caught:
        parse_baseline(whole.replace(old, new, 1), source="mine.toml", known_cases=CASES)
    assert message in str(caught.value)
    assert "mine.toml" in str(caught.value)


def test_required_entry_with_an_observation_is_refused() -> None:
    with pytest.raises(BaselineError, match="a required entry has no 'observed'"):
        parse_baseline(text(CAUSE.replace('"known"', '"required"')))


def test_unknown_name_lists_the_shipped_ones() -> None:
    has = ", ".join(shipped_baselines())
    with pytest.raises(BaselineError, match=rf"'samba-3'. This package has: {has}"):
        load_baseline("samba-3")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match=r"none.toml cannot be read: No such file"):
        load_baseline(str(tmp_path / "none.toml"))


@pytest.mark.parametrize("name", shipped_baselines())
def test_shipped_baseline_names_present_cases_and_has_reasons(name: str) -> None:
    known = collect_cases()
    baseline = load_baseline(name, known_cases=known)
    assert baseline.causes
    assert sum(baseline.picture.judged.values()) > 900
    for cause in baseline.causes:
        assert len(cause.reason) > 40
        for found in cause.findings:
            exact = [known[case] for case in found.cases if "*" not in case]
            assert all(found.requirement in case.requirements for case in exact), (cause.id, found)
