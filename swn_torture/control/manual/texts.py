"""What a person is asked to do for each call, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from swn_torture.control.values import Capability, Failure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: How many of the cases that need an action are named.
_CASES_SHOWN: Final = 3

#: Verb -> what the person does, and why.
ACTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "disable": (
        "Take {node} out of service in an orderly way (disable, pause or drain it).",
        "Clients registered for its addresses must be notified that they are UNAVAILABLE.",
    ),
    "enable": (
        "Return {node} to service.",
        "Clients registered for its addresses must be notified that they are AVAILABLE.",
    ),
    "crash": (
        "Kill the cluster services of {node}, so that its kernel resets their connections.",
        "Clients registered through other nodes must be notified of the failure.",
    ),
    "power-off": (
        "Cut the power of {node} or its network, so that it sends nothing any more.",
        "Clients registered through other nodes must be notified of the failure.",
    ),
    "partition": (
        "Cut {node} off from the other nodes, but not from its clients.",
        "Clients on both sides must be notified of what their side knows.",
    ),
    "link-down": (
        "Take the network link of {node} down (pull its cable), and let its processes run.",
        "Clients registered through other nodes must be notified of the failure.",
    ),
    "hang": (
        "Let all cluster processes of {node} hang, without ending them (kill -STOP).",
        "Clients registered through other nodes must be notified of the failure.",
    ),
    "hang-service": (
        "Let only the witness service of {node} hang, without ending it (kill -STOP).",
        "Other nodes must still serve, and its registrations must be served when it goes on.",
    ),
    "kill-worker": (
        "Kill one process of the witness service of {node} (kill -KILL).",
        "Its registrations must be unknown afterwards, and clients must be able to register again.",
    ),
    "ban": (
        "Make the cluster exclude (ban or quarantine) {node}.",
        "Clients registered for its addresses must be notified that they are UNAVAILABLE.",
    ),
    "stop": (
        "Stop {node}, so that it leaves the cluster in an orderly way.",
        "Clients registered for its addresses must be notified that they are UNAVAILABLE.",
    ),
    "recover": (
        "Recover {node} from its failure, and let it serve clients again.",
        "Clients registered through other nodes must be notified that it is AVAILABLE.",
    ),
    "restart": (
        "Restart only the witness service of {node}.",
        "Its registrations must be unknown afterwards.",
    ),
    "move-client": (
        "Move the client {client} to {destination}{only}.",
        "Its registrations must be notified by CLIENT_MOVE, and no others.",
    ),
    "move-share": (
        "Move the clients of the share {share} to {destination}{only}.",
        "Registrations on this share must be notified by SHARE_MOVE, and no others.",
    ),
    "add-address": (
        "Add the address {address} to {node}.",
        "Clients with IP notifications must be notified by IP_CHANGE.",
    ),
    "remove-address": (
        "Remove the address {address} from {node}.",
        "Clients with IP notifications must be notified by IP_CHANGE.",
    ),
    "move-address": (
        "Move the address {address} to {node}.",
        "Clients registered for it must be notified.",
    ),
    "interface-down": (
        "Take the client interface of {node} down, while its witness service still runs.",
        "Clients registered for its addresses must be notified that they are UNAVAILABLE.",
    ),
    "interface-up": (
        "Bring the client interface of {node} up again.",
        "Clients registered for its addresses must be notified that they are AVAILABLE.",
    ),
    "force-unregister": (
        "Remove the registration with the handle {key}.",
        "Its pending call must end with ERROR_NOT_FOUND (0x490).",
    ),
}

#: Capability -> the verbs that it needs. A person cannot list registrations, and nothing makes UNKNOWN.
VERBS: Final[Mapping[Capability, tuple[str, ...]]] = {
    Capability.DISABLE_NODE: ("disable", "enable"),
    **{failure.capability: (failure.value, "recover") for failure in Failure},
    Capability.RESTART_SERVICE: ("restart",),
    Capability.MOVE_CLIENT: ("move-client",),
    Capability.MOVE_SHARE: ("move-share",),
    Capability.CHANGE_ADDRESS: ("add-address", "remove-address"),
    Capability.MOVE_ADDRESS: ("move-address",),
    Capability.INTERFACE_STATE: ("interface-down", "interface-up"),
    Capability.FORCE_UNREGISTER: ("force-unregister",),
}


@dataclass(frozen=True, slots=True)
class Question:
    """One action that a person is asked for."""

    verb: str
    what: tuple[str, ...]
    """What to do; several moves of clients are one action."""
    why: str
    how: str = ""
    """How it is done in this cluster, from the profile."""

    def lines(self, number: int, expected: int, cases: Sequence[str]) -> list[str]:
        """The text on the terminal.

        Args:
            number: of the question in this run, from 1.
            expected: how many questions the run has; 0 if it is not known.
            cases: the cases that need it; none outside a run.
        """
        of_all = f" of {expected}" if number <= expected else ""
        lines = ["", f"=== swn-torture, action {number}{of_all}: {self.verb} ==="]
        if cases:
            more = f" and {len(cases) - _CASES_SHOWN} more" if len(cases) > _CASES_SHOWN else ""
            label = "Case:  " if len(cases) == 1 else f"For {len(cases)} cases:"
            lines.append(f"{label} {', '.join(cases[:_CASES_SHOWN])}{more}")
        lines += [f"Please: {each}" for each in self.what]
        lines += [f"Why:    {self.why}"]
        lines += [f"How:    {self.how}"] if self.how else []
        return lines


def question(verb: str, values: Mapping[str, str | None], how: str = "") -> Question:
    """Return the question for a call.

    Args:
        verb: a key of `ACTIONS`.
        values: its arguments; those that limit a move may be None.
        how: how it is done in this cluster.
    """
    what, why = ACTIONS[verb]
    limits = {"client": "of the client", "net_name": "with the NetName", "ip_address": "with the IpAddress"}
    if verb == "move-client":
        del limits["client"]
    only = [f"{words} {values[name]}" for name, words in limits.items() if values.get(name)]
    text = f" (only registrations {' and '.join(only)})" if only else ""
    return Question(verb, (what.format(**{**values, "only": text}),), why, how)
