"""Every input that fuzzing has kept is read or properly rejected; so is a changed one."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.fuzz_targets import TARGETS, inputs_of
from tests.fuzz.seeds import seeds


def test_every_target_has_seeds() -> None:
    assert seeds().keys() == TARGETS.keys()


@pytest.mark.parametrize("name", TARGETS)
def test_kept_inputs(name: str) -> None:
    inputs = inputs_of(name)
    assert inputs
    for octets in inputs:
        TARGETS[name](octets)


def changed(octets: bytes, chance: random.Random) -> bytes:
    """A copy with some octets changed, left out or doubled."""
    copy = bytearray(octets)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(copy) + 1)
        match chance.randrange(4):
            case 0:
                copy[at : at + 1] = bytes([chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))])
            case 1:
                del copy[at : at + chance.randint(1, 8)]
            case 2:
                copy[at:at] = copy[at : at + chance.randint(1, 8)]
            case _:
                copy[at:at] = chance.randbytes(chance.randint(1, 4))
    return bytes(copy)


@pytest.mark.parametrize("name", TARGETS)
def test_changed_inputs(name: str) -> None:
    chance = random.Random(name)
    inputs = [octets for octets in inputs_of(name) if len(octets) < 4096] or inputs_of(name)
    for _ in range(60 if name in {"results", "orders", "tokens"} else 400):
        octets = changed(chance.choice(inputs), chance)
        try:
            TARGETS[name](octets)
        except Exception as problem:
            raise AssertionError(f"{name}: bytes.fromhex({octets.hex()!r})") from problem
