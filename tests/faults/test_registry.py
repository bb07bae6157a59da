"""How faults are declared, and that each one replaces a part that the server uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from swn_torture import faults
from swn_torture.faults.library import (
    KINDS,
    ROOMS,
    Fault,
    FaultError,
    Registry,
    find_fault,
    load_faults,
    renamed_faults,
)
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.parts import REPLACEABLE_PARTS, Parts, replaced_part


@pytest.mark.parametrize("part", REPLACEABLE_PARTS, ids=lambda part: part.__name__)
def test_slot_of_a_replaceable_part_holds_its_class(part: type) -> None:
    """A slot is a string: after a rename of the attribute, a fault would have no effect."""
    holder, attribute = REPLACEABLE_PARTS[part]
    held = Parts() if holder is Parts else holder

    assert hasattr(held, attribute), f"{holder.__name__} has no attribute {attribute!r}"
    assert getattr(held, attribute) is part


def test_part_stands_before_its_holder() -> None:
    order = [*REPLACEABLE_PARTS, Parts]

    for part, slot in REPLACEABLE_PARTS.items():
        assert order.index(part) < order.index(slot.holder)


def test_every_part_of_a_fault_is_in_the_cluster() -> None:
    for fault in load_faults():
        _, parts = fault.apply(ClusterConfig(), Parts())
        for part in fault.parts:
            used: object = parts
            path: list[str] = []
            original = replaced_part(part)
            while True:
                holder, attribute = REPLACEABLE_PARTS[original]
                path.insert(0, attribute)
                if holder is Parts:
                    break
                original = holder
            for attribute in path:
                used = getattr(used, attribute)
            assert isinstance(used, type)
            assert issubclass(used, part), f"{fault.name}: {'.'.join(path)} is {used}"


def test_kind_comes_from_the_room() -> None:
    narrowed = {module.replace("_", "-") for module in ROOMS["narrowed"]}

    assert {fault.kind for fault in load_faults()} == set(KINDS)
    for fault in load_faults():
        assert (fault.kind == "narrowed") == (fault.area in narrowed), fault.name


@pytest.mark.parametrize("room", ROOMS)
def test_library_lists_every_module_with_faults(room: str) -> None:
    directory = Path(faults.__file__).parent / room
    modules = {path.stem for path in directory.glob("*.py") if "@violates(" in path.read_text("utf-8")}

    assert modules == set(ROOMS[room])


def test_fault_says_in_which_server_it_was_seen() -> None:
    assert find_fault("empty-list-succeeds").seen_in == "Samba 4.22"
    assert not find_fault("empty-list-not-found").seen_in


def test_narrowed_fault_cannot_be_seen_in_a_server() -> None:
    fault = Fault("a", "It is wrong.", ("SWN-1.9-uuid",), "conditions", kind="narrowed", seen_in="Samba 4.22")

    with pytest.raises(FaultError, match=r"seen in Samba 4\.22"):
        Registry().add(fault)


def test_old_names_lead_to_present_faults() -> None:
    present = {fault.name for fault in load_faults()}
    assert set(renamed_faults().values()) <= present
    assert not set(renamed_faults()) & present
    old, new = next(iter(renamed_faults().items()))
    assert find_fault(old).name == new
