"""Cases that run together while a person changes the cluster: an error of one, and what is asked last."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from typing_extensions import override

from swn_torture.control import Capability, ControllerError
from swn_torture.control.manual.controller import ManualController
from swn_torture.harness.case_ends import CaseError
from swn_torture.harness.persons import group
from swn_torture.harness.persons.group import Group
from swn_torture.harness.persons.member import Member, _WaitingController
from swn_torture.harness.persons.rehearsal import rehearse
from swn_torture.target import load_profile

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.control import Controller

CAPABILITIES = {Capability.DISABLE_NODE, Capability.MOVE_CLIENT, Capability.LIST_NODES}


class Person(ManualController):
    """A person who does what is asked, unless a query of the cluster fails; keeps for which cases it was."""

    def __init__(self, fails: str) -> None:
        super().__init__(CAPABILITIES, {"N1": ("192.0.2.1",), "N2": ("192.0.2.2",)}, {})
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self._fails = fails

    @override
    async def _ask(self, capability: Capability, asked: Any, step: Any) -> None:
        self.asked.append((asked.verb, self.cases))
        if asked.verb == self._fails:
            raise ConnectionResetError(104, "Connection reset by peer")

    @override
    async def wait_healthy(self, timeout: float = 60.0) -> None:
        pass


class Case(Member):
    """A case that only makes a call of its controller."""

    @override
    def _set_up(self) -> None:
        self.run = cast("Any", SimpleNamespace(ended_by=None, ended=0.0))

    @override
    def _call(self) -> None:
        asyncio.run(self.item.obj(_WaitingController(self._controller, self)))  # type: ignore[attr-defined]

    @override
    def _tear_down(self) -> None:
        pass


class Item:
    """What a group knows of pytest's item of a case."""

    def __init__(self, name: str, make: Callable[[Controller], Awaitable[Any]]) -> None:
        self.name = self.originalname = f"test_{name}"
        self.nodeid = f"x.py::{self.name}"
        self.obj = make
        self.session = SimpleNamespace(shouldstop=False)


def item(name: str, make: Callable[[Controller], Awaitable[Any]]) -> Any:
    return Item(name, make)


def run(person: Person, monkeypatch: pytest.MonkeyPatch) -> dict[str, BaseException | None]:
    """Run a case that moves a client and one that takes a node down together; what ended each."""
    monkeypatch.setattr(group, "Member", Case)
    items = [
        item("moves", lambda controller: controller.move_client("C1", "N2")),
        item("disables", lambda controller: controller.disable("N2")),
    ]
    target = SimpleNamespace(controller=lambda: person, lost=None)
    cases = Group(items, cast("Any", target), 10)
    cases._run(items)
    return {each.name: member.run.ended_by for each, member in cases._ended.items() if member.run}


@pytest.mark.parametrize(
    ("fails", "case"), [("move-client", "test_moves"), ("disable", "test_disables"), ("", "")]
)
def test_error_of_a_query_ends_only_the_case_that_asked(
    monkeypatch: pytest.MonkeyPatch, fails: str, case: str
) -> None:
    person = Person(fails)
    ended = run(person, monkeypatch)
    assert [verb for verb, _ in person.asked] == ["move-client", "disable", "enable"]
    for name, problem in ended.items():
        if name == case:
            assert isinstance(problem, ControllerError)
            assert str(problem) == f"{fails}: [Errno 104] Connection reset by peer"
        else:
            assert problem is None


def test_what_is_undone_at_the_end_is_asked_for_all_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    person = Person("")
    run(person, monkeypatch)
    moved, disabled, enabled = (cases for _, cases in person.asked)
    assert (len(moved), len(disabled)) == (1, 1)
    assert enabled == (*moved, *disabled)


def test_error_of_a_query_while_restoring_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    person = Person("")
    monkeypatch.setattr(group, "Member", Case)
    only = item("moves", lambda controller: controller.move_client("C1", "N2"))

    async def restore() -> None:
        raise ConnectionResetError(104, "Connection reset by peer")

    monkeypatch.setattr(person, "restore", restore)
    target = SimpleNamespace(controller=lambda: person, lost=None)
    cases = Group([only], cast("Any", target), 10)
    cases._run([only])
    assert "could not restore it: [Errno 104] Connection reset by peer" in str(target.lost)
    assert only.session.shouldstop == target.lost


def test_cluster_that_cannot_be_made_for_counting_is_a_clear_error() -> None:
    reference = load_profile("reference")
    node = SimpleNamespace(name="N")
    many = SimpleNamespace(nodes=(node,) * 256, expect=reference.expect)
    with pytest.raises(CaseError, match=r"cannot be counted, .* \(256 nodes\) .*: nodes must be"):
        rehearse([item("any", lambda _: asyncio.sleep(0))], cast("Any", many), frozenset())
