"""Outcomes of calls: which of them match, their text, and the errors of the client that they stand for."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from swn_torture.casekit import CLOSED, SILENCE, Outcome, faults, outcome_of, returns
from swn_torture.casekit.outcome import outcome_of_error, refuses_bind
from swn_torture.dcerpc.errors import (
    BindRefused,
    ConnectionLost,
    DeadlineExceeded,
    Fault,
    LocalProtocolError,
    RemoteProtocolError,
    RpcError,
)
from swn_torture.witness.codec import DecodeError
from tests.casekit.fakes import FakeCall, pending_call


@pytest.mark.parametrize(
    ("allowed", "observed", "match"),
    [
        (returns(0), returns(0), True),
        (returns(0), returns(5), False),
        (returns(), returns(5), True),
        (returns(5), faults(5), False),
        (faults(), faults(0x6F7), True),
        (refuses_bind(4), refuses_bind(4), True),
        (refuses_bind(4), refuses_bind(8), False),
        (refuses_bind(), refuses_bind(8), True),
        (CLOSED, Outcome("closed", detail="reset"), True),
        (SILENCE, CLOSED, False),
        (Outcome("malformed"), Outcome("malformed", detail="Length at 12"), True),
        (Outcome("pdu", detail="shutdown"), Outcome("pdu", detail="shutdown"), False),
    ],
)
def test_outcomes_match_by_kind_and_code(allowed: Outcome, observed: Outcome, match: bool) -> None:
    assert allowed.matches(observed) is match


def test_an_observed_code_is_not_a_wildcard() -> None:
    # None is "any code" only in an allowed outcome.
    assert not returns(5).matches(Outcome("result", None))


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (returns(0x139F), "ERROR_INVALID_STATE (0x139F)"),
        (returns(), "any return value"),
        (faults(0x1C010002), "fault nca_s_op_rng_error (0x1C010002)"),
        (faults(), "any fault"),
        (CLOSED, "connection closed"),
        (Outcome("silence", detail="waited 5 s"), "no answer (waited 5 s)"),
        (Outcome("bind-nak", 8), "bind_nak reason 8"),
        (Outcome("pdu", detail="shutdown"), "shutdown"),
        (Outcome("malformed", detail="Length at 12"), "octets that do not decode (Length at 12)"),
    ],
)
def test_outcomes_show_symbol_and_value(outcome: Outcome, text: str) -> None:
    assert str(outcome) == text


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Fault(0x6F7), faults(0x6F7)),
        (BindRefused(4), refuses_bind(4)),
        (ConnectionLost(reset=True), CLOSED),
        (DeadlineExceeded("nothing came"), SILENCE),
        (DecodeError("Length", 12, "too long"), Outcome("malformed")),
        (RemoteProtocolError("wrong version"), Outcome("malformed")),
    ],
)
def test_an_error_stands_for_an_outcome(error: RpcError | DecodeError, outcome: Outcome) -> None:
    assert outcome_of_error(error) == outcome


@pytest.mark.parametrize(("timeout", "detail"), [(None, "nothing came"), (2.5, "waited 2.5 s")])
def test_silence_shows_the_time_waited(timeout: float | None, detail: str) -> None:
    assert outcome_of_error(DeadlineExceeded("nothing came"), timeout).detail == detail


def test_a_mistake_of_the_client_is_not_an_outcome() -> None:
    error = LocalProtocolError("no such context")

    with pytest.raises(LocalProtocolError) as raised:
        outcome_of_error(error)

    assert raised.value is error


def test_an_outcome_names_the_method_of_its_call() -> None:
    call = FakeCall(ConnectionLost())
    cast("Any", call).request = SimpleNamespace(opnum=3)
    ended = asyncio.run(outcome_of(cast("Any", call)))
    assert (ended, ended.opnum, ended.blame) == (CLOSED, 3, None)
    assert asyncio.run(outcome_of(pending_call(ConnectionLost()))).opnum is None


def test_an_answer_that_cannot_be_read_is_blamed_on_its_octets() -> None:
    wrong = RemoteProtocolError("16 of 4", field="sec_trailer.auth_pad_length")
    ended = asyncio.run(outcome_of(pending_call(wrong)))
    assert ended.kind == "malformed"
    assert ended.blame is not None
    assert ended.blame.requirement == "RPC-AUTH-padding"


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome("closed", opnum=0), True),
        (Outcome("silence"), True),
        (Outcome("silence", opnum=3), False),
        (Outcome("result", 0xEA, opnum=0), False),
    ],
)
def test_a_close_or_a_silence_may_concern_any_call(outcome: Outcome, expected: bool) -> None:
    assert outcome.ends_any_call is expected
