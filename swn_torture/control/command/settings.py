"""The settings of the ``command`` controller: the ``[controller]`` table of a profile."""

# A wrong setting is a ValueError, whatever is wrong with it.
# ruff: noqa: TRY004

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from swn_torture.control.base import Capability, Failure, NodeState
from swn_torture.control.command.output import Shown
from swn_torture.control.command.template import Command
from swn_torture.control.shared import check_known_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEYS: Final = ("run", "show", "prefix", "timeout", "effect_timeout", "poll", "server_selects")
_NODE: Final = ("node", "address")

#: Key in [controller.run] -> the placeholders that always have a value, and those that may have none.
VERBS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "disable": (_NODE, ()),
    "enable": (_NODE, ()),
    "crash": (_NODE, ()),
    "power-off": (_NODE, ()),
    "partition": (_NODE, ()),
    "link-down": (_NODE, ()),
    "hang": (_NODE, ()),
    "hang-service": (_NODE, ()),
    "kill-worker": (_NODE, ()),
    "ban": (_NODE, ()),
    "stop": (_NODE, ()),
    "recover": (_NODE, ()),
    "restart": (_NODE, ()),
    "move-client": (("client", "destination"), ("net_name", "ip_address")),
    "move-share": (("share", "destination"), ("client", "net_name", "ip_address")),
    "add-address": (_NODE, ()),
    "remove-address": (_NODE, ()),
    "move-address": (_NODE, ()),
    "interface-down": (_NODE, ()),
    "interface-up": (_NODE, ()),
    "interface-unknown": (_NODE, ()),
    "force-unregister": (("key",), ()),
    "force-response": (("key", "result"), ("message_type", "number", "buffer")),
    "healthy": ((), ()),
    "restore": ((), ()),
}

#: Capability -> the commands that it needs.
_NEEDED: Final[Mapping[Capability, tuple[str, ...]]] = {
    Capability.DISABLE_NODE: ("disable", "enable"),
    **{failure.capability: (failure.value, "recover") for failure in Failure},
    Capability.RESTART_SERVICE: ("restart",),
    Capability.MOVE_CLIENT: ("move-client",),
    Capability.MOVE_SHARE: ("move-share",),
    Capability.CHANGE_ADDRESS: ("add-address", "remove-address"),
    Capability.MOVE_ADDRESS: ("move-address",),
    Capability.INTERFACE_STATE: ("interface-down", "interface-up"),
    Capability.UNKNOWN_STATE: ("interface-unknown", "interface-up"),
    Capability.FORCE_UNREGISTER: ("force-unregister",),
    Capability.FORCE_RESPONSE: ("force-response",),
}

_NODE_STATES: Final = tuple(state.value for state in NodeState)
_INTERFACE_STATES: Final = ("AVAILABLE", "UNAVAILABLE", "UNKNOWN")
_OF_REGISTRATIONS: Final = (
    *("share_name", "version", "flags", "timeout", "node", "account", "state", "age"),
    *("notifications_sent", "notifications_cancelled", "queued_notifications"),
)

#: Key in [controller.show] -> the capability, the fields that the output must have, the others, the states.
_SHOWS: Final[Mapping[str, tuple[Capability | None, tuple[str, ...], tuple[str, ...], tuple[str, ...]]]] = {
    "nodes": (Capability.LIST_NODES, ("name", "state", "addresses"), ("management_address",), _NODE_STATES),
    "interfaces": (None, ("node", "addresses", "state"), (), _INTERFACE_STATES),
    "registrations": (
        Capability.LIST_REGISTRATIONS,
        ("key", "client_computer_name", "net_name", "ip_address"),
        _OF_REGISTRATIONS,
        (),
    ),
    "shares": (Capability.SHARES, ("name", "scale_out"), ("asymmetric",), ()),
}


@dataclass(frozen=True, slots=True)
class CommandSettings:
    """The settings of the ``command`` controller.

    Attributes:
        run: the command of each call.
        show: the command of each view of the cluster, and how its output is read.
        timeout: seconds that a command may take.
        effect_timeout: seconds within which the effect of a call must be seen.
        poll: seconds between two looks.
        prefix: the words before each command.
        server_selects: whether the server itself compares each event with all of its registrations. Else a
            check that a registration is not notified is only recorded.
    """

    run: Mapping[str, Command]
    show: Mapping[str, tuple[Command, Shown]]
    timeout: float
    effect_timeout: float
    poll: float
    server_selects: bool

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> Self:
        """Read the ``[controller]`` table, without its ``kind``.

        Raises:
            ValueError: a setting is missing, unknown or wrong; the text names it.
        """
        check_known_keys(settings, _KEYS)
        seconds = {
            key: _seconds(settings.get(key, default), key)
            for key, default in (("timeout", 30.0), ("effect_timeout", 60.0), ("poll", 0.2))
        }
        selects = settings.get("server_selects", False)
        if not isinstance(selects, bool):
            raise ValueError(f"server_selects must be true or false, not {selects!r}")
        prefix = _prefix(settings.get("prefix", []))
        run = _table(settings, "run", tuple(VERBS))
        commands = {
            verb: Command.from_setting(
                run[verb],
                f"run.{verb}",
                timeout=seconds["timeout"],
                prefix=prefix,
                required=VERBS[verb][0],
                optional=VERBS[verb][1],
            )
            for verb in run
        }
        _check_pairs(commands)
        show = {
            name: _show(value, name, seconds["timeout"], prefix)
            for name, value in _table(settings, "show", tuple(_SHOWS)).items()
        }
        if not commands and not show:
            raise ValueError(
                'there is no command; add them to [controller.run], as in disable = ["/opt/cluster/ctl", '
                '"disable", "{node}"]'
            )
        return cls(commands, show, **seconds, server_selects=selects)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the commands are for."""
        by_run = {capability for capability, verbs in _NEEDED.items() if self.run.keys() >= set(verbs)}
        shown = {capability for name in self.show if (capability := _SHOWS[name][0]) is not None}
        return frozenset(by_run | shown)


def _prefix(words: Any) -> tuple[str, ...]:
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f'prefix must be a list of words, as in ["ssh", "root@192.0.2.1"], not {words!r}')
    return tuple(words)


def _show(value: Any, name: str, timeout: float, prefix: tuple[str, ...]) -> tuple[Command, Shown]:
    _, required, others, states = _SHOWS[name]
    where = f"show.{name}"
    shown = Shown.from_setting(value, where, required=required, known=required + others, states=states)
    return Command.from_setting(value, where, timeout=timeout, prefix=prefix), shown


def _table(settings: Mapping[str, Any], key: str, known: tuple[str, ...]) -> dict[str, Any]:
    table = settings.get(key, {})
    if not isinstance(table, dict):
        raise ValueError(f"{key} must be a table, written [controller.{key}]")
    check_known_keys(table, known)
    return table


def _check_pairs(commands: Mapping[str, Command]) -> None:
    """Check that what a command changes can be undone.

    Raises:
        ValueError: the command that undoes it is missing.
    """
    for capability, verbs in _NEEDED.items():
        given = [verb for verb in verbs if verb in commands]
        # `recover` and `interface-up` belong to several capabilities.
        if given and len(given) < len(verbs) and given[0] == verbs[0]:
            missing = verbs[1]
            raise ValueError(
                f"run.{given[0]} needs run.{missing}, which undoes it ({capability.value}); add the command"
            )


def _seconds(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise ValueError(f"{key} must be a number of seconds, not {value!r}")
    return float(value)
