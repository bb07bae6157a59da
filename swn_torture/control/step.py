"""One call of a controller that changes the cluster, and the call that undoes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from swn_torture.control.values import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Call -> the call with the same arguments that undoes it. `move_address` is undone by itself.
_INVERSES: Final[Mapping[str, str]] = {
    "disable": "enable",
    "fail": "recover",
    "exclude": "recover",
    "hang_service": "recover",
    "kill_worker": "recover",
    "interface_down": "interface_up",
    "interface_unknown": "interface_up",
    "add_address": "remove_address",
    "remove_address": "add_address",
}

#: Kind of failure -> its call; after all others the node is down.
_FAILURES: Final[Mapping[Failure, str]] = {
    Failure.BAN: "exclude",
    Failure.STOP: "exclude",
    Failure.HANG_SERVICE: "hang_service",
    Failure.KILL_WORKER: "kill_worker",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a controller that changes the cluster."""

    call: str
    """disable, enable, recover; fail, exclude, hang_service or kill_worker for a failure; interface_down,
    interface_up, interface_unknown, add_address, remove_address or move_address."""
    arguments: tuple[str, ...]
    """Of the call, without keywords; for a failure only the node."""

    @override
    def __str__(self) -> str:
        return f"{self.call.replace('_', '-')} {' '.join(self.arguments)}"


def failure_of(node: str, how: Failure) -> Step:
    """Return the step of `Controller.fail`, which `recover` undoes.

    Args:
        node: the name of the node.
        how: the kind of failure. What the cluster shows of it decides the call of the step.
    """
    return Step(_FAILURES.get(how, "fail"), (node,))


def undo_of(step: Step, host: str | None = None) -> Step | None:
    """Return the call that undoes another one; None if there is none, as for `enable`.

    Args:
        step: the other call.
        host: for `move_address`, the node that hosts the address before; None if it is not known.
    """
    if step.call == "move_address":
        return None if host is None else Step("move_address", (step.arguments[0], host))
    inverse = _INVERSES.get(step.call)
    return None if inverse is None else Step(inverse, step.arguments)
