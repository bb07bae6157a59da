"""How a CTDB cluster is reached and mended: the `[controller]` table of a profile whose kind is `ctdb`."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, Self

from swn_torture.control.base import no_unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

_PAIRS: Final = (("power_off", "power_on"), ("partition", "heal"))
_SECONDS: Final = ("timeout", "healthy_timeout")

Command = tuple[str, ...]
"""A command in words. A profile writes it as one string, split as a shell would, or as an array of words."""


@dataclass(frozen=True, slots=True)
class CtdbSettings:
    """What a profile says of a CTDB cluster.

    In every command `{node}` and `{address}` stand for the node in question.
    """

    nodes: Mapping[str, str]
    """Name of each node -> its address, as in CTDB's `nodes` file and in its order."""
    prefix: Command = ()
    """Before each command, to run it as root on a node, such as `ssh root@{node}`. Empty: on this machine."""
    start_ctdb: Command = ("ctdbd",)
    start_services: tuple[Command, ...] = (("smbd", "-D"), ("samba-dcerpcd", "-D", "--libexec-rpcds"))
    """Each is left out where its program already runs on the node."""
    witness_service: str = "samba-dcerpcd"
    """Name of the program that `restart` stops; one of `start_services` starts it."""
    crash: Command = (
        "sh",
        "-c",
        'pkill -KILL --ns $$ --nslist net "^(ctdb|smbd|samba|rpcd_|winbindd|nmbd)"; exit 0',
    )
    """Kills all of CTDB and Samba on a node; nodes that share a machine have networks of their own."""
    ready: Command = ()
    """On a node: ends with 0 once its witness service answers. Empty: what CTDB says is enough."""
    power_off: Command = ()
    """Here, not on the node: silences it. Without it power cannot fail."""
    power_on: Command = ()
    """Here: gives the node its power back."""
    partition: Command = ()
    """Here: cuts a node off from the other nodes. Without it there are no partitions."""
    heal: Command = ()
    """Here: ends the partition of a node."""
    timeout: float = 20.0
    """Seconds that one command may take."""
    healthy_timeout: float = 90.0
    """Seconds that the cluster may take to be healthy after `enable` and `recover`."""

    @classmethod
    def from_mapping(cls, table: Mapping[str, Any]) -> Self:
        """Read the table of a profile. Raises `ValueError` that names what is wrong with it."""
        no_unknown(table, (field.name for field in fields(cls)))
        values = {key: _read(key, value) for key, value in table.items()}
        if "nodes" not in values:
            raise ValueError('nodes is missing: names and addresses, as { node1 = "192.0.2.1" }')
        for one, other in _PAIRS:
            if bool(values.get(one)) != bool(values.get(other)):
                raise ValueError(f"{one} and {other} have to be given together")
        return cls(**values)


def _read(key: str, value: Any) -> Any:
    if key == "nodes":
        return _nodes(value)
    if key == "start_services":
        if not isinstance(value, list | tuple):
            raise ValueError(f"{key} has to be an array of commands, and is {value!r}")
        return tuple(_command(key, each) for each in value)
    if key in _SECONDS:
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise ValueError(f"{key} has to be a number of seconds, and is {value!r}")
        return float(value)
    if key == "witness_service":
        if not isinstance(value, str):
            raise ValueError(f"{key} has to be the name of a program, and is {value!r}")
        return value
    return _command(key, value)


def _nodes(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not value:
        raise ValueError(
            f'nodes has to be names and addresses, as {{ node1 = "192.0.2.1" }}, and is {value!r}'
        )
    for name, address in value.items():
        try:
            ip_address(address)
        except ValueError as error:
            raise ValueError(f"the address of {name} has to be as in CTDB's nodes file: {error}") from error
    return value


def _command(key: str, value: Any) -> Command:
    if isinstance(value, str):
        try:
            return tuple(shlex.split(value))
        except ValueError as error:
            raise ValueError(f"{key} is not a command line: {error}") from error
    if isinstance(value, list | tuple) and all(isinstance(word, str) for word in value):
        return tuple(value)
    raise ValueError(f"{key} has to be a command, a string or an array of words, and is {value!r}")
