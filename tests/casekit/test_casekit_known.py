"""What earlier cases found out about answers, so that later cases do not wait for them again."""

from __future__ import annotations

import pytest

from swn_torture.casekit import known
from swn_torture.casekit.known import Blocked, KnownAnswers, NotTestable

RULE = "SWN-3.1.4.1-returns-success"


@pytest.fixture
def answers() -> KnownAnswers:
    return KnownAnswers()


def test_one_silence_is_not_enough(answers: KnownAnswers) -> None:
    answers.add_silence(RULE, "node1", "a")
    answers.add_silence(RULE, "node1", "a")
    assert answers.silent(RULE, "node1") == ()


def test_two_cases_with_the_same_silence_are_enough(answers: KnownAnswers) -> None:
    for case in ("a", "b", "c"):
        answers.add_silence(RULE, "node1", case)
    assert answers.silent(RULE, "node1") == ("a", "b")
    assert answers.silent(RULE, "node2") == ()
    assert answers.silent("RPC-BIND-result-order", "node1") == ()


def test_an_answer_ends_the_silence(answers: KnownAnswers) -> None:
    for case in ("a", "b"):
        answers.add_silence(RULE, "node1", case)
    assert not answers.was_served(RULE, "node1")
    answers.add_service(RULE, "node1")
    assert answers.was_served(RULE, "node1")
    assert answers.silent(RULE, "node1") == ()
    answers.add_silence(RULE, "node1", "c")
    assert answers.silent(RULE, "node1") == ()


def test_after_some_time_one_case_tries_again(answers: KnownAnswers, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    for case in ("a", "b"):
        answers.add_silence(RULE, "node1", case)
    now += known.TRY_AGAIN_S - 1
    assert answers.silent(RULE, "node1")
    now += 2
    assert not answers.silent(RULE, "node1")
    assert answers.silent(RULE, "node1")


def test_a_blocked_case_is_not_tested_and_says_why() -> None:
    blocked = Blocked(RULE, "node1 gave no answer to a and b")
    assert isinstance(blocked, NotTestable)
    assert blocked.requirement == RULE
    assert str(blocked) == f"not tested because of {RULE}: node1 gave no answer to a and b"
