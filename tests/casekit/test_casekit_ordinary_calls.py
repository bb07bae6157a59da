"""An ordinary call that fails like the unusual one shows that the case has found nothing of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from swn_torture.casekit import SILENCE, Outcome, Spec, ordinary_calls, returns
from swn_torture.casekit.known import KnownAnswers
from swn_torture.casekit.ordinary_calls import explain_failures
from swn_torture.casekit.witness import Witness
from swn_torture.control.base import Capability
from swn_torture.dcerpc.errors import ConnectionLost
from swn_torture.target import load_profile
from swn_torture.witness.constants import Opnum
from tests.casekit.fakes import FakeCluster

if TYPE_CHECKING:
    import pytest

CLOSED_CALL = Outcome("closed", opnum=Opnum.GET_INTERFACE_LIST)
LIST, REGISTER, NOTIFY = (f"SWN-3.1.4.{method}-returns-success" for method in (1, 2, 4))
RULE, WAITS = "RPC-FAULT-connection-survives", "SWN-3.1.4.4-waits"
MOVER = FakeCluster(Capability.MOVE_CLIENT, Capability.LIST_NODES)


class Ordinary:
    """The outcomes of the ordinary calls, by method; those that were made; what later cases know of them."""

    def __init__(self, **outcomes: Outcome | Exception) -> None:
        self.outcomes = outcomes
        self.made: list[str] = []
        self.known = KnownAnswers()

    def of(self, method: str) -> Outcome:
        self.made.append(method)
        ended = self.outcomes[method]
        if isinstance(ended, Exception):
            raise ended
        return ended


def explained(
    monkeypatch: pytest.MonkeyPatch,
    ordinary: Ordinary,
    *observed: Outcome,
    cluster: Any = None,
    **options: Any,
) -> list[tuple[str, str]]:
    """The failed checks of a case with these outcomes, each with its explanation."""
    spec = Spec("rpc.example", [RULE, WAITS])
    for outcome in observed:
        spec(RULE, WAITS).allows(outcome, returns(0))
    witness = Witness(load_profile("reference"), spec)

    async def outcomes(compared: Witness, opnums: set[Opnum]) -> list[tuple[Opnum, Outcome]]:
        for earlier in ("a", "b"):
            compared.known.add_silence(LIST, "node1", earlier)
        return [(opnum, ordinary.of(opnum.name)) for opnum in sorted(opnums)]

    async def move(*_: object) -> Outcome:
        return ordinary.of("move")

    ordinary.known = witness.known

    monkeypatch.setattr(ordinary_calls, "_ordinary_outcomes", outcomes)
    monkeypatch.setattr(ordinary_calls, "_ordinary_move", move)
    asyncio.run(explain_failures(witness, cluster, **options))
    return [(check.requirement, check.because) for check in spec.failed]


def test_no_call_is_made_without_a_failed_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    ordinary = Ordinary()
    assert explained(monkeypatch, ordinary, returns(0)) == []
    assert explained(monkeypatch, ordinary, Outcome("result", 5, opnum=Opnum.UNREGISTER_EX)) == [
        (RULE, ""),
        (WAITS, ""),
    ]
    assert ordinary.made == []


def test_a_call_that_is_always_closed_explains_the_case(monkeypatch: pytest.MonkeyPatch) -> None:
    ordinary = Ordinary(GET_INTERFACE_LIST=CLOSED_CALL)
    found = explained(monkeypatch, ordinary, Outcome("closed", opnum=Opnum.UNREGISTER_EX))
    assert found == [(RULE, LIST), (WAITS, LIST), (LIST, "")]


def test_an_ordinary_call_that_succeeds_explains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ordinary = Ordinary(GET_INTERFACE_LIST=returns(0), REGISTER=returns(0))
    found = explained(monkeypatch, ordinary, CLOSED_CALL, Outcome("result", 5, opnum=Opnum.REGISTER))
    assert {because for _, because in found} == {""}
    assert ordinary.made == ["GET_INTERFACE_LIST", "REGISTER"]


def test_a_method_that_always_fails_explains_the_case(monkeypatch: pytest.MonkeyPatch) -> None:
    denied = Outcome("result", 5, opnum=Opnum.REGISTER)
    found = explained(monkeypatch, Ordinary(REGISTER=denied), denied)
    assert found == [(RULE, REGISTER), (WAITS, REGISTER), (REGISTER, "")]


def test_an_async_notify_that_always_ends_explains_the_case(monkeypatch: pytest.MonkeyPatch) -> None:
    ended, pending = (Outcome(kind, opnum=Opnum.ASYNC_NOTIFY) for kind in ("closed", "silence"))
    lists = {"GET_INTERFACE_LIST": returns(0)}
    found = explained(monkeypatch, Ordinary(**lists, ASYNC_NOTIFY=ended), ended)
    assert found == [(RULE, NOTIFY), (WAITS, NOTIFY), (NOTIFY, "")]

    found = explained(monkeypatch, Ordinary(**lists, ASYNC_NOTIFY=pending), ended)
    assert found == [(RULE, ""), (WAITS, "")]


def test_a_list_that_stays_pending_may_be_conforming(monkeypatch: pytest.MonkeyPatch) -> None:
    pending = Outcome("silence", opnum=Opnum.GET_INTERFACE_LIST)
    ordinary = Ordinary(GET_INTERFACE_LIST=pending)
    assert {because for _, because in explained(monkeypatch, ordinary, pending, silence=False)} == {""}
    assert not ordinary.known.silent(LIST, "node1"), "later cases try the call"
    assert {because for _, because in explained(monkeypatch, ordinary, pending)} == {LIST, ""}
    assert ordinary.known.silent(LIST, "node1")


def test_a_move_that_notifies_nobody_explains_rules_that_use_one(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = Outcome("silence", opnum=Opnum.ASYNC_NOTIFY)
    ordinary = Ordinary(GET_INTERFACE_LIST=returns(0), move=silent)
    found = explained(monkeypatch, ordinary, silent, cluster=MOVER)
    assert found == [(RULE, "SWN-3.1.6.2-wake"), (WAITS, ""), ("SWN-3.1.6.2-wake", "")]

    without = Ordinary(GET_INTERFACE_LIST=returns(0))
    assert explained(monkeypatch, without, silent, cluster=FakeCluster()) == [(RULE, ""), (WAITS, "")]
    assert explained(monkeypatch, without, silent) == [(RULE, ""), (WAITS, "")]


def test_a_target_that_is_gone_explains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ordinary = Ordinary(GET_INTERFACE_LIST=ConnectionLost())
    assert explained(monkeypatch, ordinary, SILENCE) == [(RULE, ""), (WAITS, "")]
