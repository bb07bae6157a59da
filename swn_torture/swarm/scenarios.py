"""What happens to the cluster while the swarm is registered: four scenarios, as steps of the controller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from swn_torture.control.values import Capability, Failure
from swn_torture.swarm.member import CLIENT_NAME
from swn_torture.witness.constants import ChangeType, MessageType

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from swn_torture.control.base import Controller


@dataclass(frozen=True, slots=True)
class Step:
    """One change of the cluster.

    Attributes:
        title: what it is, for the report.
        needs: what the controller must be able to do.
        node: the node whose addresses it concerns, by its place among the nodes of the profile.
        act: makes the change. It gets the controller and the names of the nodes.
        message_type: of the notification that every client registered for an address of `node` must hear; 0
            if the step makes no demand.
        change: its ChangeType.
        all_nodes: it concerns the addresses of every node.
    """

    title: str
    needs: Capability
    node: int
    act: Callable[[Controller, Sequence[str]], Awaitable[object]]
    message_type: int = 0
    change: int = 0
    all_nodes: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named sequence of changes.

    Attributes:
        name: on the command line.
        title: one line.
        steps: the changes for a cluster of so many nodes, one after the other.
        at_once: all clients start at the same moment.
        cold: the witness service of each node is restarted before the clients start.
    """

    name: str
    title: str
    steps: Callable[[int], tuple[Step, ...]] = lambda _nodes: ()
    at_once: bool = False
    cold: bool = False


def _disable(node: int) -> Step:
    return Step(
        f"disable node {node + 1}",
        Capability.DISABLE_NODE,
        node,
        lambda controller, names: controller.disable(names[node]),
        MessageType.RESOURCE_CHANGE,
        ChangeType.UNAVAILABLE,
    )


def _enable(node: int) -> Step:
    return Step(
        f"enable node {node + 1}",
        Capability.DISABLE_NODE,
        node,
        lambda controller, names: controller.enable(names[node]),
    )


def _fail(node: int) -> Step:
    return Step(
        f"crash of node {node + 1}",
        Capability.FAIL_CRASH,
        node,
        lambda controller, names: controller.fail(names[node], Failure.CRASH),
        MessageType.RESOURCE_CHANGE,
        ChangeType.UNAVAILABLE,
    )


def _recover(node: int) -> Step:
    return Step(
        f"recovery of node {node + 1}",
        Capability.FAIL_CRASH,
        node,
        lambda controller, names: controller.recover(names[node]),
    )


def _move_away(node: int) -> Step:
    async def act(controller: Controller, names: Sequence[str]) -> None:
        destination = names[(node + 1) % len(names)]
        status = await controller.node(names[node])
        for address in status.addresses:
            await controller.move_client(CLIENT_NAME, destination, ip_address=address)

    return Step(
        f"client move of all clients of node {node + 1} to the next node",
        Capability.MOVE_CLIENT,
        node,
        act,
        MessageType.CLIENT_MOVE,
    )


def _move_all(node: int) -> Step:
    return Step(
        f"one client move of all clients to node {node + 1}",
        Capability.MOVE_CLIENT,
        node,
        lambda controller, names: controller.move_client(CLIENT_NAME, names[node]),
        MessageType.CLIENT_MOVE,
        all_nodes=True,
    )


SCENARIOS: Final = {
    each.name: each
    for each in (
        Scenario(
            "steady",
            "a node is disabled and enabled again, twice",
            lambda _nodes: (_disable(1), _enable(1)) * 2,
        ),
        Scenario(
            "logon-storm",
            "all clients log on at the same moment, after the witness services were restarted",
            at_once=True,
            cold=True,
        ),
        Scenario(
            "failover-storm",
            "a node crashes and comes back; its witness clients come back elsewhere",
            lambda _nodes: (_fail(1), _recover(1)),
        ),
        Scenario(
            "client-move",
            "the clients of each address of a node are moved to the next node; then all clients at once",
            lambda _nodes: (_move_away(1), _move_all(0)),
        ),
        Scenario(
            "rolling-restart",
            "each node is emptied by client moves, disabled, and enabled again",
            lambda nodes: tuple(
                step for node in range(nodes) for step in (_move_away(node), _disable(node), _enable(node))
            ),
        ),
    )
}
