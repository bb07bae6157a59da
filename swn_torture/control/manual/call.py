"""One call that a case makes of its controller, as a value: calls of several cases can be compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from swn_torture.control.step import Step, failure_of
from swn_torture.control.values import Capability

if TYPE_CHECKING:
    from swn_torture.control.base import Controller
    from swn_torture.control.stimulus import Stimulus

#: Calls for one client or registration: those of several cases do not disturb each other.
_OF_A_CLIENT: Final = frozenset({"move_client", "move_share", "force_unregister"})

_CAPABILITIES: Final = {
    "disable": Capability.DISABLE_NODE,
    "enable": Capability.DISABLE_NODE,
    "recover": Capability.FAIL_CRASH,
    "restart": Capability.RESTART_SERVICE,
    "move_client": Capability.MOVE_CLIENT,
    "move_share": Capability.MOVE_SHARE,
    "force_unregister": Capability.FORCE_UNREGISTER,
    "add_address": Capability.CHANGE_ADDRESS,
    "remove_address": Capability.CHANGE_ADDRESS,
    "move_address": Capability.MOVE_ADDRESS,
    "set_interface": Capability.INTERFACE_STATE,
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a controller."""

    name: str
    """Of the method."""
    arguments: tuple[Any, ...]
    named: tuple[tuple[str, Any], ...] = ()
    """Keyword arguments that are not None."""

    @classmethod
    def of(cls, name: str, *arguments: Any, **named: Any) -> Call:
        """Return a call; keyword arguments that are None are left out."""
        return cls(name, arguments, tuple((key, value) for key, value in named.items() if value is not None))

    @property
    def of_a_client(self) -> bool:
        """Whether it is for one client or registration, so that cases about others do not notice it.

        The move of a share is so only if it is limited to a client.
        """
        limited = self.name != "move_share" or "client" in dict(self.named)
        return self.name in _OF_A_CLIENT and limited

    @property
    def capability(self) -> Capability:
        """The capability that it needs."""
        if self.name == "fail":
            needed: Capability = self.arguments[1].capability
            return needed
        return _CAPABILITIES[self.name]

    @property
    def verb(self) -> str:
        """What it is called on the command line and in a profile."""
        if self.name == "fail":
            return str(self.arguments[1].value)
        if self.name == "set_interface":
            return "interface-up" if dict(self.named)["up"] else "interface-down"
        return self.name.replace("_", "-")

    @property
    def step(self) -> Step | None:
        """The change that it makes; None for a call that changes no node and no address."""
        if self.name in _OF_A_CLIENT or self.name == "restart":
            return None
        if self.name == "fail":
            return failure_of(*self.arguments)
        if self.name == "set_interface":
            return Step(self.verb.replace("-", "_"), self.arguments)
        return Step(self.name, self.arguments)

    async def make(self, controller: Controller) -> Stimulus | None:
        """Make the call.

        Raises:
            ControllerError: it failed.
        """
        sent: Stimulus | None = await getattr(controller, self.name)(*self.arguments, **dict(self.named))
        return sent

    @override
    def __str__(self) -> str:
        return " ".join([self.verb, *map(str, self.arguments), *(f"{k}={v}" for k, v in self.named)])
