"""Wait until an event has taken effect, and see what else happened in the cluster meanwhile.

A call of a controller returns when the cluster's own tools show its effect; the witness servers may process
it seconds later. So a case that goes on to the next event, or checks that nothing was sent, first waits for
the effect of the last one.

A call may also do more than its name says: when CTDB reads its addresses again, it may move other addresses,
and clients registered for them are rightly notified. ``ClusterWatch`` sees that.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Self

from swn_torture.casekit.blame import CLIENT_MOVE
from swn_torture.casekit.outcome import SILENCE, SUCCESS
from swn_torture.casekit.steps.host_nodes import make_available, make_unavailable
from swn_torture.casekit.steps.interface_list import (
    listed_and_hosted_states,
    states_of,
    wait_for_interfaces,
)
from swn_torture.casekit.steps.listeners import (
    Listener,
    drain_notifications,
    end,
    listen,
    wait_past,
)
from swn_torture.casekit.steps.registering import NOT_FOUND
from swn_torture.casekit.witness import NotTestable
from swn_torture.control.base import Capability, ControllerError, NodeState
from swn_torture.witness.constants import InterfaceState, MessageType

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from types import TracebackType

    from swn_torture.casekit.steps.host_nodes import HostNode
    from swn_torture.casekit.steps.interface_list import Interfaces
    from swn_torture.casekit.witness import Witness
    from swn_torture.control.base import Controller

#: Seconds between two queries of the controller.
_POLL_S = 0.2


# Interfaces
# ----------------------------------------------------------------------------------------------------------


async def take_down(witness: Witness, cluster: Controller, host: HostNode) -> None:
    """Make the interfaces of a node UNAVAILABLE, and wait until the first node lists the effect.

    Args:
        witness: the target.
        cluster: its controller.
        host: the node. It is not the first node of the profile.
    """
    await make_unavailable(cluster, host.node)
    if cluster.can(Capability.INTERFACE_STATE):
        await _wait_for_state(witness, host, available=False)
        return
    # The whole node went out of service, and other nodes may have taken over its addresses.
    loop = asyncio.get_running_loop()
    deadline = loop.time() + witness.expect.event_deadline
    while True:
        node = await cluster.node(host.node)
        if node.state is not NodeState.OK or loop.time() > deadline:
            break
        await asyncio.sleep(_POLL_S)
    await listed_and_hosted_states(witness, cluster, host.listed_addresses, may_wait=True)


async def bring_up(witness: Witness, cluster: Controller, host: HostNode) -> None:
    """Make the interfaces of a node AVAILABLE again, and wait until the first node lists them so."""
    await make_available(cluster, host.node)
    await _wait_for_state(witness, host, available=True)


async def _wait_for_state(witness: Witness, host: HostNode, *, available: bool) -> None:
    def reached(interfaces: Interfaces) -> bool:
        states = states_of(interfaces)
        return all((states.get(a) == InterfaceState.AVAILABLE) is available for a in host.addresses)

    await wait_for_interfaces(witness, reached)


# Events that no list shows
# ----------------------------------------------------------------------------------------------------------


async def wait_until_events_arrive(witness: Witness, cluster: Controller) -> bool:
    """Wait until the events that the controller has caused before have reached the first node.

    For that it moves a client of its own and waits for the notification, up to the event deadline.

    Returns:
        Whether the notification came. False, too, if the controller cannot move clients.
    """
    if not cluster.can(Capability.MOVE_CLIENT):
        return False
    control = await listen(witness)
    await cluster.move_client(control.name, witness.nodes[-1].name)
    outcome = await wait_past(control, MessageType.RESOURCE_CHANGE)
    await end(control)
    return outcome == SUCCESS


async def see_move(cluster: Controller, probe: Listener, kind: MessageType, move: Awaitable[object]) -> None:
    """Move a client or a share, and wait until the move has taken effect: ``probe`` is notified of it.

    By one reading of 3.1.4.4 a share move completes no pending call (AMB-17). So a client move that follows
    shows that it has taken effect, too.

    Args:
        cluster: the controller.
        probe: a registration that the move is for, besides those that the case is about. The case checks
            those later, and must not call AsyncNotify for them before.
        kind: CLIENT_MOVE or SHARE_MOVE.
        move: the call of the controller.

    Raises:
        CaseStopped: the client move did not complete the pending call, or completed it without a
            notification, which is recorded as a violation.
        NotTestable: the move was not seen: a server may remove a registration after a move (AMB-30).
    """
    expect = probe.witness.expect
    others = {*MessageType} - {kind}
    if kind == MessageType.CLIENT_MOVE:
        probe.async_notify()
        await move
        outcome = await wait_past(probe, *others)
        if outcome == NOT_FOUND:
            raise NotTestable(f"the client move was not seen: AsyncNotify ended with {outcome}")
        if outcome != SUCCESS:
            rule = CLIENT_MOVE if outcome == SILENCE else "SWN-3.1.4.4-returns-success"
            raise probe.witness.spec.precondition_failed(
                rule, expected="CLIENT_MOVE", observed=outcome, note="a client move as a stimulus"
            )
        return
    # Some servers send SHARE_MOVE at once to every registration for a share (AMB-33).
    await drain_notifications(probe)
    await move
    seen = await wait_until_events_arrive(probe.witness, cluster)
    seen |= await wait_past(probe, *others, timeout=expect.quiet_time) == SUCCESS
    if not seen:
        raise NotTestable(f"no {kind.name} was seen within {expect.event_deadline:g} s after the move")


# What else happened
# ----------------------------------------------------------------------------------------------------------


class ClusterWatch:
    """Queries the controller again and again, to see which addresses something happened to.

    A case that checks "nothing happened to this address" asks ``touched``::

        async with ClusterWatch(cluster) as watch:
            await cluster.add_address(...)
            await drain_notifications(...)
        unaffected = [each for each in listeners if each.address not in watch.touched]

    Attributes:
        touched: the addresses that a node got or lost meanwhile, or whose node changed its state.
    """

    def __init__(self, cluster: Controller) -> None:
        self.touched: set[str] = set()
        self._cluster = cluster
        self._last: dict[str, tuple[str, NodeState]] | None = None
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._look()
        self._task = asyncio.create_task(self._keep_looking())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # No cancel: it would leave the response of a query unread.
        self._ended.set()
        assert self._task is not None
        await self._task
        await self._look_if_possible()

    async def _keep_looking(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._ended.is_set():
            began = loop.time()
            await self._look_if_possible()
            with contextlib.suppress(TimeoutError):
                # On a live cluster each query runs programs: leave it more time for its own work.
                async with asyncio.timeout(max(_POLL_S, 2 * (loop.time() - began))):
                    await self._ended.wait()

    async def _look_if_possible(self) -> None:
        with contextlib.suppress(ControllerError):  # a cluster that just lost a node may not answer
            await self._look()

    async def _look(self) -> None:
        now = {a: (node.name, node.state) for node in await self._cluster.nodes() for a in node.addresses}
        last = now if self._last is None else self._last
        self.touched |= {a for a in now.keys() | last.keys() if now.get(a) != last.get(a)}
        self._last = now
