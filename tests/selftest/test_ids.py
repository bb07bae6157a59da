"""The ids of tests in the stream: without brackets, unique in both directions."""

from __future__ import annotations

import re

import pytest

from swn_torture.harness.case_map import collect_cases
from swn_torture.selftest.ids import UnknownTestsError, case_id, read_list, subunit_id

CASES = list(collect_cases())


def test_ids_are_unique_in_both_directions() -> None:
    tests = [subunit_id(each) for each in CASES]
    assert len(set(tests)) == len(CASES)
    assert [case_id(each) for each in tests] == CASES


def test_ids_need_no_quoting_in_a_regular_expression() -> None:
    """Except the dot, which matches itself, and the hyphen, which is plain outside of brackets."""
    for each in CASES:
        assert re.fullmatch(r"[\w.~%-]+", subunit_id(each))
        assert re.match(subunit_id(each), subunit_id(each))


@pytest.mark.parametrize(
    ("case", "test"),
    [
        ("rpc.register.list", "rpc.register.list"),
        ("rpc.register.list[a.b-1.0]", "rpc.register.list.a.b-1.0"),
        ("own.mine.is-there[a b [c]/%]", "own.mine.is-there.a%20b%20%5Bc%5D%2F%25"),
        ("preflight.first-answers[SWN-2.1-x]", "preflight.first-answers.SWN-2.1-x"),
    ],
)
def test_mapping_is_reversible(case: str, test: str) -> None:
    assert subunit_id(case) == test
    assert case_id(test) == case


def test_list_takes_every_form_of_an_id() -> None:
    case = "rpc.register.wrong-version[ndr32-register-0x0]"
    test = subunit_id(case)
    for line in (case, test, f"{test}(clusteredmember:local)", f"swn-torture.{test}(env)", f"  {test}\r"):
        assert read_list(f"# a comment\n\n{line}\n", CASES) == [case]
    assert read_list(f"{test}\n{case}\n", CASES) == [case]


def test_list_with_unknown_tests_is_rejected() -> None:
    with pytest.raises(UnknownTestsError, match=r"does not have: a\.b\.c, d, e and 1 more\."):
        read_list("a.b.c\nd\ne\nf\n", CASES)
