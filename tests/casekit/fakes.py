"""Stand-ins for a target, its controller and its calls, for steps that need no network."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from typing_extensions import override

from swn_torture.casekit.checks import Spec
from swn_torture.casekit.outcome import Outcome
from swn_torture.casekit.steps.host_nodes import addresses_of
from swn_torture.casekit.witness import Witness
from swn_torture.control.base import Capability, NodeState, NodeStatus
from swn_torture.control.none import NoController
from swn_torture.dcerpc.errors import DeadlineExceeded
from swn_torture.stubdata.syntax import NDR32
from swn_torture.target import Expectations

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from swn_torture.control.base import RegistrationView
    from swn_torture.witness.client import PendingCall
    from swn_torture.witness.messages import InterfaceInfo

#: Waits short enough for a test.
QUICK = Expectations(event_deadline=0.2, reply_deadline=0.1, quiet_time=0.05, scan_interval=3.0)


class FakeCall:
    """A call that ends with a response or an error; without either it stays pending."""

    def __init__(self, ending: object = None) -> None:
        self.ending = ending
        self.began = time.monotonic()
        self.timeouts: list[float] = []

    def done(self) -> bool:
        """Whether it has ended."""
        return self.ending is not None

    async def reply(self, timeout: float) -> Any:
        """The response; like a real call, it raises the error of a fault or of a timeout."""
        self.timeouts.append(timeout)
        await asyncio.sleep(0)
        if self.ending is None:
            raise DeadlineExceeded("nothing came")
        if isinstance(self.ending, Exception):
            raise self.ending
        return self.ending


def pending_call(ending: object = None) -> PendingCall[Any]:
    """A ``FakeCall`` as the type that the steps take."""
    return cast("PendingCall[Any]", FakeCall(ending))


class FakeCluster(NoController):
    """A controller with nodes and a list of registrations for each query; it records its orders."""

    kind = "fake"

    def __init__(
        self,
        *capabilities: Capability,
        nodes: Sequence[NodeStatus] = (),
        later_nodes: Iterable[tuple[NodeStatus, ...]] = (),
        registrations: Iterable[tuple[RegistrationView, ...]] = (),
    ) -> None:
        self._capabilities = frozenset(capabilities)
        self._nodes = [tuple(nodes), *later_nodes]
        self._registrations = [*registrations]
        self.orders: list[str] = []

    @property
    @override
    def capabilities(self) -> frozenset[Capability]:
        return self._capabilities

    @override
    async def nodes(self) -> tuple[NodeStatus, ...]:
        return self._nodes.pop(0) if len(self._nodes) > 1 else self._nodes[0]

    @override
    async def registrations(self) -> tuple[RegistrationView, ...]:
        return self._registrations.pop(0) if len(self._registrations) > 1 else self._registrations[0]

    @override
    async def set_interface(self, node: str, *, up: bool) -> None:
        self.orders.append(f"interface of {node} {'up' if up else 'down'}")

    @override
    async def disable(self, node: str) -> None:
        self.orders.append(f"disable {node}")

    @override
    async def enable(self, node: str) -> None:
        self.orders.append(f"enable {node}")


def node(name: str, *addresses: str, state: NodeState = NodeState.OK) -> NodeStatus:
    """A node of a ``FakeCluster``."""
    return NodeStatus(name, state, addresses)


def fake_witness(
    *interfaces: InterfaceInfo,
    nodes: Sequence[str] = (),
    outcomes: Iterable[object] = (),
    requirements: Iterable[str] = (),
    expect: Expectations = QUICK,
) -> Witness:
    """A target.

    Args:
        interfaces: the interface list of every node.
        nodes: the names of the nodes in the profile.
        outcomes: what each call on its connections ends with, in this order; the last one for the rest.
        requirements: ids in the mark of the case.
        expect: the expectations of the profile.
    """
    endings = [*outcomes]
    called: list[Any] = []

    async def list_interfaces(_: int = 0) -> tuple[InterfaceInfo, ...]:
        await asyncio.sleep(0)
        return interfaces

    def start(message: object) -> PendingCall[Any]:
        called.append(message)
        return pending_call(endings.pop(0) if len(endings) > 1 else endings[0])

    async def close() -> None:
        return

    async def get_interface_list() -> object:
        await asyncio.sleep(0)
        return SimpleNamespace(interfaces=interfaces)

    client = SimpleNamespace(
        start=start,
        get_interface_list=get_interface_list,
        called=called,
        syntax=NDR32,
        rpc=SimpleNamespace(
            close=close, core=SimpleNamespace(multiplexed=True), closed=asyncio.Event(), outstanding=()
        ),
    )

    async def connect(*_: object, **__: object) -> object:
        await asyncio.sleep(0)
        return client

    async def idle_connection(connection: object) -> object:
        await asyncio.sleep(0)
        return connection

    async def address_of(_: int = 0) -> str:
        await asyncio.sleep(0)
        return str(addresses_of(interfaces[0])[0]) if interfaces else "192.0.2.5"

    witness = SimpleNamespace(
        interfaces=list_interfaces,
        address_of=address_of,
        connect=connect,
        idle_connection=idle_connection,
        client=client,
        nodes=[SimpleNamespace(name=name) for name in nodes],
        spec=Spec("steps.test", requirements),
        syntax=NDR32,
        expect=expect,
    )
    witness.require_version = partial(Witness.require_version, cast("Witness", witness))
    return cast("Witness", witness)


def result(code: int, **fields: object) -> Outcome:
    """The outcome of a method that returned a code and these out parameters."""
    return Outcome("result", code, SimpleNamespace(result=code, **fields))
