"""The calls of a controller that are noted for the capture of a case."""

from __future__ import annotations

import asyncio

import pytest

from swn_torture.control import ControllerError, Failure
from swn_torture.control.noted import note_calls
from swn_torture.control.reference import ReferenceController
from swn_torture.server.nodes.embedded import EmbeddedCluster


def test_calls_are_noted_with_their_effect_or_problem() -> None:
    noted: list[str] = []

    async def steps(port: int) -> None:
        controller = ReferenceController(port=port)
        note_calls(controller, noted.append)
        async with controller:
            await controller.disable("NODE2")
            await controller.set_interface("NODE3", up=False)
            await controller.fail("NODE1", how=Failure.CRASH)
            await controller.move_client("C1", "NODE2", ip_address="192.0.2.1", not_for=["key"])
            with pytest.raises(ControllerError):
                await controller.disable("NODE9")
            await controller.restore(timeout=60)

    with EmbeddedCluster() as cluster:
        asyncio.run(steps(cluster.admin_port))
    assert noted[:7] == [
        *("disable NODE2", "disable NODE2: its effect was seen"),
        *("set-interface NODE3 up=False", "set-interface NODE3 up=False: its effect was seen"),
        *("fail NODE1 how=crash", "fail NODE1 how=crash: its effect was seen"),
        "move-client C1 NODE2 ip-address=192.0.2.1",
    ]
    assert any(line.startswith("disable NODE9: ") for line in noted)
    assert noted[-1] == "restore: its effect was seen"
