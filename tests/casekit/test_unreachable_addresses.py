"""An address of a network name that this machine has no route to is called at one port only."""

from __future__ import annotations

import asyncio
import errno
from typing import Any

import pytest

from swn_torture.casekit.steps.network_names import Named, connection_to
from swn_torture.casekit.witness import NotTestable
from swn_torture.dcerpc.errors import ConnectionLost
from swn_torture.target import NetworkName


class Witness:
    """In place of the target: three nodes, of which some addresses cannot be called.

    Attributes:
        called: the addresses and nodes that were called.
    """

    nodes = (1, 2, 3)

    def __init__(self, errors: dict[str, int]) -> None:
        self._errors = errors
        self.called: list[tuple[str, int]] = []

    async def connect_at(self, address: str, node: int) -> str:
        """Call an address."""
        self.called.append((address, node))
        number = self._errors.get(address)
        if number is None:
            return "a client"
        lost = ConnectionLost(f"{address} port {node}", reset=number == errno.ECONNREFUSED)
        lost.__cause__ = OSError(number, "as the kernel says")
        if lost.reset:
            raise lost
        raise NotTestable(f"{address} is not reachable from here") from lost


def calls(errors: dict[str, int]) -> tuple[Any, list[tuple[str, int]]]:
    """The result for a name with two addresses, or its error, and the calls."""
    witness: Any = Witness(errors)
    name = Named(NetworkName("NAME", (), ("10.0.0.1", "10.0.0.2")), ("10.0.0.1", "10.0.0.2"))
    try:
        return asyncio.run(connection_to(witness, name)), witness.called
    except NotTestable as problem:
        return problem, witness.called


@pytest.mark.parametrize("number", [errno.EHOSTUNREACH, errno.ENETUNREACH])
def test_no_route_to_an_address_ends_its_attempts(number: int) -> None:
    found, called = calls({"10.0.0.1": number})
    assert found == ("a client", "10.0.0.2")
    assert called == [("10.0.0.1", 0), ("10.0.0.2", 0)]


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.ETIMEDOUT])
def test_another_error_says_nothing_about_the_other_ports(number: int) -> None:
    found, called = calls({"10.0.0.1": number})
    assert found == ("a client", "10.0.0.2")
    assert called == [*(("10.0.0.1", node) for node in range(3)), ("10.0.0.2", 0)]


def test_no_address_can_be_called() -> None:
    problem, called = calls(dict.fromkeys(["10.0.0.1", "10.0.0.2"], errno.EHOSTUNREACH))
    assert len(called) == 2
    assert "no address of NAME can be called: 10.0.0.1 is not reachable" in str(problem)
