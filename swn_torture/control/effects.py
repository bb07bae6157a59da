"""Whether the effect of a call is seen, in what a cluster's own tools or its interface lists show."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.control.shared import describe
from swn_torture.control.values import NodeState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from swn_torture.control.step import Step
    from swn_torture.control.values import NodeStatus
    from swn_torture.control.witness_lists import InterfaceView

_AVAILABLE = frozenset({"AVAILABLE"})


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen of a cluster at one moment. None: nothing shows this."""

    nodes: Sequence[NodeStatus] | None = None
    interfaces: Sequence[InterfaceView] | None = None
    answering: frozenset[str] | None = None
    """The names of the nodes whose witness service answers."""

    def __bool__(self) -> bool:
        return not (self.nodes is None and self.interfaces is None)

    @override
    def __str__(self) -> str:
        parts = [] if self.nodes is None else [f"nodes {describe(self.nodes)}"]
        if self.interfaces is not None:
            listed = [f"{i.node} {i.address} {'/'.join(sorted(i.all_states))}" for i in self.interfaces]
            parts.append(f"interfaces {', '.join(listed) or 'none'}")
        return "; ".join(parts) or "nothing"

    def state_of(self, node: str) -> NodeState | None:
        """The state of a node; None if it is not shown."""
        return next((each.state for each in self.nodes or () if _same(each.name, node)), None)

    def interfaces_of(self, node: str) -> list[InterfaceView]:
        """The interfaces that a node hosts."""
        return [each for each in self.interfaces or () if _same(each.node, node)]

    def hosts(self, node: str, address: str) -> bool:
        """Whether a node hosts an address."""
        wanted = ip_address(address)
        if self.interfaces is not None:
            return any(ip_address(each.address) == wanted for each in self.interfaces_of(node))
        found = (each for each in self.nodes or () if _same(each.name, node))
        return any(ip_address(listed) == wanted for each in found for listed in each.addresses)

    def out_of_service(self, node: str) -> bool:
        """Whether a node is not in service, and no other node reports an interface of it AVAILABLE."""
        if self.state_of(node) is NodeState.OK:
            return False
        return not any("AVAILABLE" in each.states for each in self.interfaces_of(node))

    def down(self, node: str) -> bool:
        """Whether the others know that a node has failed."""
        if self.nodes is not None:
            return self.state_of(node) is NodeState.DOWN
        return self.out_of_service(node)

    def silent(self, node: str) -> bool:
        """Whether the witness service of a node does not answer, or nothing shows whether it does."""
        return self.answering is None or not any(_same(each, node) for each in self.answering)

    def in_service(self, node: str) -> bool:
        """Whether a node is in service, and every node reports its interfaces AVAILABLE."""
        if self.nodes is not None and self.state_of(node) is not NodeState.OK:
            return False
        if self.answering is not None and not any(_same(each, node) for each in self.answering):
            return False
        own = self.interfaces_of(node)
        return all(each.all_states == _AVAILABLE for each in own) and bool(own or self.nodes is not None)

    def interfaces_are(self, node: str, state: str) -> bool:
        """Whether every node reports all interfaces of a node in one state.

        A list without elements has no interface that is AVAILABLE.
        """
        if self.interfaces is not None and not self.interfaces and self.answering:
            return state == "UNAVAILABLE"
        own = self.interfaces_of(node)
        return bool(own) and all(each.all_states == {state} for each in own)

    def unhealthy(self) -> str:
        """Why the cluster is not healthy; an empty string if it is."""
        if any(node.state is not NodeState.OK for node in self.nodes or ()):
            return f"not all nodes are in service: {describe(self.nodes or ())}"
        wrong = [f"{i.node} {i.address}" for i in self.interfaces or () if i.all_states != _AVAILABLE]
        return f"not all interfaces are AVAILABLE: {', '.join(wrong)}" if wrong else ""


#: Call -> whether its effect is seen.
_EFFECTS: Mapping[str, Callable[[Sight, str], bool]] = {
    "disable": Sight.out_of_service,
    "enable": Sight.in_service,
    "fail": Sight.down,
    "exclude": Sight.out_of_service,
    "hang_service": Sight.silent,
    # Another process takes over at once, so that nothing shows that one is gone.
    "kill_worker": lambda _sight, _node: True,
    "recover": Sight.in_service,
    "interface_down": lambda sight, node: sight.interfaces_are(node, "UNAVAILABLE"),
    "interface_up": lambda sight, node: sight.interfaces_are(node, "AVAILABLE"),
    "interface_unknown": lambda sight, node: sight.interfaces_are(node, "UNKNOWN"),
}


def seen(step: Step, sight: Sight) -> bool:
    """Whether the effect of a call is seen.

    Args:
        step: the call.
        sight: what is seen of the cluster.
    """
    first, *others = step.arguments
    match step.call:
        case "add_address":
            return sight.hosts(first, others[0])
        case "remove_address":
            return not sight.hosts(first, others[0])
        case "move_address":
            return sight.hosts(others[0], first)
        case _:
            return _EFFECTS[step.call](sight, first)


def needs_interfaces(step: Step) -> bool:
    """Whether only interfaces show the effect of a call, not the states of nodes."""
    return step.call.startswith("interface_")


def needs_answers(step: Step) -> bool:
    """Whether only the answers of the witness services show the effect of a call."""
    return step.call == "hang_service"


def can_be_invisible(step: Step) -> bool:
    """Whether a call is done without an effect that anything shows."""
    return step.call in {"hang_service", "kill_worker"}


def _same(name: str, other: str) -> bool:
    return name.casefold() == other.casefold()
