"""A stream that is compared with a baseline: known failures, fixed ones, new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.selftest.ids import subunit_id
from tests.ci.conftest import CASES, GOOD, KNOWN
from tests.selftest.test_stream import Recorded, read

if TYPE_CHECKING:
    from tests.ci.conftest import KnownTarget

_TESTS = (subunit_id(KNOWN), subunit_id(GOOD))


def stream(known: KnownTarget, target: str, *options: str) -> tuple[Recorded, int]:
    done = known.run("selftest", "--target", target, "--baseline", "known.toml", *CASES, *options)
    return read(done.stdout), done.returncode


def test_known_violation_is_an_xfail_with_its_cause(known: KnownTarget) -> None:
    found, code = stream(known, "faulty.toml")
    assert found.outcomes == {_TESTS[0]: "xfail", _TESTS[1]: "success", "run.baseline": "success"}
    assert "known: " in found.texts[_TESTS[0]]
    assert "observed: " in found.texts[_TESTS[0]]
    assert code == 0


def test_fixed_violation_is_an_unexpected_success(known: KnownTarget) -> None:
    target = known.profile("fixed")
    found, code = stream(known, target)
    assert found.outcomes == {_TESTS[0]: "uxsuccess", _TESTS[1]: "success", "run.baseline": "failure"}
    assert code == 4
    found, code = stream(known, target, "--allow-fixed")
    assert set(found.outcomes.values()) == {"success"}
    assert code == 0


def test_new_violation_is_a_failure(known: KnownTarget) -> None:
    found, code = stream(known, known.profile("worse", "register-version-invalid-parameter"))
    assert found.outcomes[_TESTS[1]] == "failure"
    assert found.outcomes["run.baseline"] == "failure"
    assert code == 1


def test_unknown_baseline_is_named(known: KnownTarget) -> None:
    done = known.run("selftest", "--target", "reference", "--baseline", "nosuch")
    assert done.returncode == 2
    assert b"Unknown baseline 'nosuch'" in done.stderr
