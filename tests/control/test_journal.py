"""The journal of a target, and a controller with a journal."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
from typing import TYPE_CHECKING, Any, Self

import pytest
from typing_extensions import override

from swn_torture.control import Capability, Controller, ControllerError, NodeState, NodeStatus, NotSupported
from swn_torture.control.step import Step, undo_of
from swn_torture.control.undoing.changes import Changes, perform
from swn_torture.control.undoing.journal import Journal
from swn_torture.control.undoing.journaled import JournaledController

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

DISABLE, ENABLE = Step("disable", ("node1",)), Step("enable", ("node1",))
ADD, REMOVE = Step("add_address", ("node1", "192.0.2.9")), Step("remove_address", ("node1", "192.0.2.9"))


@pytest.fixture(autouse=True)
def state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def journal() -> Journal:
    return Journal("my cluster/1", "key")


def test_file_is_there_only_while_something_is_to_be_undone(state_directory: Path) -> None:
    first = journal()
    assert first.entries() == ()
    first.add(DISABLE, ENABLE, {"hosts": {"192.0.2.1": 0}})
    first.add(ADD, REMOVE, {"hosts": {}})
    assert first.path.parent == state_directory / "swn-torture"
    assert first.path.name.startswith("my-cluster-1-")
    again = journal()
    assert [(e.change, e.undo, e.process) for e in again.entries()] == [
        (DISABLE, ENABLE, os.getpid()),
        (ADD, REMOVE, os.getpid()),
    ]
    assert again.state() == {"hosts": {"192.0.2.1": 0}}, "the state before the oldest change"
    assert str(again.entries()[0]).startswith("disable node1 (2")
    again.remove(ENABLE)
    assert [e.undo for e in first.entries()] == [REMOVE]
    first.remove_own()
    assert not first.path.exists()
    assert Journal("my cluster/1", "other key").path != first.path


def test_entries_of_other_processes_are_kept() -> None:
    own = journal()
    own.add(DISABLE, ENABLE, {})
    data = json.loads(own.path.read_text(encoding="utf-8"))
    for process, began in ((1, data["entries"][0]["began"]), (2**22 + 1, 5)):
        data["entries"].append(data["entries"][0] | {"process": process, "began": began})
    own.path.write_text(json.dumps(data), encoding="utf-8")
    own.remove_own()
    # Process 1 runs, but it began earlier: the process that made the change had ended.
    assert [(e.process, e.running) for e in own.entries()] == [(1, False), (2**22 + 1, False)]
    own.clear()
    assert own.entries() == ()


def test_journal_that_cannot_be_used_is_an_error(
    state_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = journal()
    own.path.parent.mkdir()
    own.path.write_text("{", encoding="utf-8")
    with pytest.raises(ControllerError, match="cannot be read"):
        own.entries()
    own.path.write_text("{}", encoding="utf-8")
    with pytest.raises(ControllerError, match="is not of the schema swn-torture-journal/1; remove it"):
        own.add(DISABLE, ENABLE, {})
    (state_directory / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(state_directory / "file"))
    with pytest.raises(ControllerError, match="cannot be written, so that a change could not be undone"):
        journal().add(DISABLE, ENABLE, {})


class Recorder(Controller):
    """A controller that writes down its calls, and what the journal has when they are made."""

    kind = "recorder"

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[str]]] = []
        self.recalled: Any = None
        self.fails = False

    @classmethod
    @override
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        return cls()

    @property
    @override
    def capabilities(self) -> frozenset[Capability]:
        return frozenset({Capability.LIST_NODES})

    @override
    async def nodes(self) -> tuple[NodeStatus, ...]:
        return (NodeStatus("node1", NodeState.OK, ("192.0.2.1",)), NodeStatus("node2", NodeState.OK, ()))

    @override
    def state(self) -> Mapping[str, Any]:
        return {"seen": 1}

    @override
    def recall(self, state: Mapping[str, Any], undo: Sequence[Step]) -> None:
        self.recalled = state, list(undo)

    def _call(self, name: str) -> None:
        self.calls.append((name, [str(entry.undo) for entry in journal().entries()]))
        if self.fails:
            raise ControllerError("no")

    @override
    async def disable(self, node: str) -> None:
        self._call(f"disable {node}")

    @override
    async def enable(self, node: str) -> None:
        self._call(f"enable {node}")

    @override
    async def move_address(self, address: str, node: str) -> None:
        self._call(f"move {address} {node}")

    @override
    async def wait_healthy(self, timeout: float = 60.0) -> None:
        return

    @override
    async def restore(self, timeout: float = 120.0) -> None:
        self._call("restore")


def test_change_is_in_the_journal_before_it_is_made() -> None:
    async def steps() -> None:
        inner = Recorder()
        controller = JournaledController(inner, journal())
        await controller.disable("node1")
        await controller.move_address("192.0.2.1", "node2")
        await controller.move_address("192.0.2.1", "node1")
        await controller.enable("node1")
        assert inner.calls == [
            ("disable node1", ["enable node1"]),
            ("move 192.0.2.1 node2", ["enable node1", "move-address 192.0.2.1 node1"]),
            ("move 192.0.2.1 node1", ["enable node1", "move-address 192.0.2.1 node1"]),
            ("enable node1", ["enable node1"]),
        ]
        assert journal().entries() == ()
        inner.fails = True
        with pytest.raises(ControllerError):
            await controller.disable("node2")
        assert [str(e.undo) for e in journal().entries()] == ["enable node2"], "it may have happened"
        with pytest.raises(NotSupported):
            await controller.restart("node1")
        with pytest.raises(NotSupported):
            await controller.set_interface("node1", up=False)
        assert len(journal().entries()) == 1

    asyncio.run(steps())


def test_changes_of_a_killed_process_are_recalled() -> None:
    async def steps() -> None:
        killed = JournaledController(Recorder(), journal())
        await killed.disable("node1")
        inner = Recorder()
        later = JournaledController(inner, journal())
        inner.fails = True
        with pytest.raises(ControllerError):
            await later.restore_from_journal()
        assert inner.recalled == ({"seen": 1}, [ENABLE])
        assert len(journal().entries()) == 1, "it was not restored"
        inner.fails = False
        (entry,) = await later.restore_from_journal()
        assert entry.change == DISABLE
        assert journal().entries() == ()

    asyncio.run(steps())


def test_every_change_has_its_opposite() -> None:
    class Calls:
        def __init__(self) -> None:
            self.made: list[Any] = []

        def __getattr__(self, name: str) -> Any:
            async def call(*arguments: Any, **keywords: Any) -> None:
                self.made.append((name, *arguments, *keywords.values()))

            return call

    calls: Any = Calls()
    changes = Changes()
    for name, arguments in (
        ("disable", ("a",)),
        ("fail", ("a",)),
        ("hang_service", ("b",)),
        ("interface_down", ("a",)),
        ("interface_unknown", ("b",)),
        ("add_address", ("a", "x")),
        ("remove_address", ("a", "y")),
    ):
        changes.begin(Step(name, arguments))
    changes.begin(Step("move_address", ("z", "b")), "a")
    assert undo_of(Step("move_address", ("z", "b"))) is None
    changes.begin(Step("enable", ("a",)))
    for undo in changes.pending:
        asyncio.run(perform(undo, calls))
    assert calls.made == [
        *(("enable", "a"), ("recover", "a"), ("recover", "b"), ("set_interface", "a", True)),
        ("set_interface", "b", True),
        *(("remove_address", "a", "x"), ("add_address", "a", "y"), ("move_address", "z", "a")),
    ]
    changes.end(Step("enable", ("a",)))
    assert Step("enable", ("a",)) not in changes.pending


def test_steps_are_values() -> None:
    assert dataclasses.asdict(DISABLE) == {"call": "disable", "arguments": ("node1",)}
