"""A registration that succeeds is judged only if the server treats a share as scale-out (AMB-37)."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.casekit.outcome import CLOSED, SUCCESS, returns
from swn_torture.casekit.steps import scale_out
from swn_torture.casekit.steps.registering import INVALID_STATE
from swn_torture.casekit.steps.scale_out import UNKNOWN_SHARE, check_rejected
from swn_torture.casekit.witness import NotTestable
from swn_torture.stubdata.win32 import Win32
from swn_torture.target import Expectations, ExpectedShare
from tests.casekit.fakes import fake_witness

if TYPE_CHECKING:
    from swn_torture.casekit.checks import Spec
    from swn_torture.casekit.outcome import Outcome

RULE = "SWN-3.1.4.5-share-unknown"

#: What RegisterEx returns for an unknown share, for an unknown address with a share, and with no share.
IGNORES_SHARES = (SUCCESS, SUCCESS, SUCCESS)
CHECKS_EVERY_ADDRESS = (SUCCESS, INVALID_STATE, INVALID_STATE)
CHECKS_ADDRESS_FOR_SHARE = (SUCCESS, INVALID_STATE, SUCCESS)
CHECKS_SHARES = (INVALID_STATE, SUCCESS, SUCCESS)
SHORT_OF_RESOURCES = (returns(Win32.ERROR_NO_SYSTEM_RESOURCES), SUCCESS, SUCCESS)


def check(
    monkeypatch: pytest.MonkeyPatch,
    reply: Outcome,
    answers: tuple[Outcome, ...],
    *more_allowed: Outcome,
    version: int = 2,
) -> Spec:
    """Check one reply on a server that gives these answers; returns the checks."""
    unknown_share, for_share, without_share = answers

    async def answer(*_: Any, share_name: str | None, **fields: Any) -> Outcome:
        await asyncio.sleep(0)
        if share_name == UNKNOWN_SHARE:
            return unknown_share
        return without_share if share_name is None else for_share

    monkeypatch.setattr(scale_out, "REGISTER_EX", SimpleNamespace(version=2, reply=answer))
    expect = Expectations(version=version, shares=(ExpectedShare("SHARE", scale_out=True),))
    witness = fake_witness(requirements=[RULE], expect=expect)
    asyncio.run(check_rejected(witness, witness.spec, RULE, reply, INVALID_STATE, *more_allowed))
    return witness.spec


@pytest.mark.parametrize(
    ("answers", "version"),
    [
        (IGNORES_SHARES, 2),
        (CHECKS_EVERY_ADDRESS, 2),
        (SHORT_OF_RESOURCES, 2),
        (CHECKS_SHARES, 1),
    ],
    ids=["ignores-shares", "checks-every-address", "short-of-resources", "version-1"],
)
def test_success_is_not_judged_without_a_scale_out_share(
    monkeypatch: pytest.MonkeyPatch, answers: tuple[Outcome, ...], version: int
) -> None:
    with pytest.raises(NotTestable, match="AMB-37"):
        check(monkeypatch, SUCCESS, answers, version=version)


def test_allowed_success_shows_nothing_without_a_scale_out_share(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotTestable):
        check(monkeypatch, SUCCESS, IGNORES_SHARES, SUCCESS)

    (result,) = check(monkeypatch, SUCCESS, CHECKS_SHARES, SUCCESS).checks
    assert (result.passed, result.note) == (True, "")


@pytest.mark.parametrize(
    ("answers", "note"),
    [
        (CHECKS_SHARES, "RegisterEx with an unknown ShareName returns ERROR_INVALID_STATE (0x139F)"),
        (
            CHECKS_ADDRESS_FOR_SHARE,
            "RegisterEx rejects an unknown IpAddress for SHARE and accepts it",
        ),
    ],
    ids=["by-share", "by-address"],
)
def test_success_is_a_violation_with_a_scale_out_share(
    monkeypatch: pytest.MonkeyPatch, answers: tuple[Outcome, ...], note: str
) -> None:
    (failed,) = check(monkeypatch, SUCCESS, answers).failed

    assert failed.note.startswith(f"the server treats a share as scale-out: {note}")


@pytest.mark.parametrize(
    ("reply", "passed"),
    [(INVALID_STATE, True), (returns(Win32.ERROR_INVALID_PARAMETER), False), (CLOSED, False)],
)
def test_a_rejection_is_always_judged(monkeypatch: pytest.MonkeyPatch, reply: Outcome, passed: bool) -> None:
    (result,) = check(monkeypatch, reply, IGNORES_SHARES).checks

    assert result.passed is passed
