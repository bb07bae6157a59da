"""The `[controller]` table of a profile with the kind `ctdb`: its keys, defaults and checks."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, Self

from swn_torture.control.shared import check_known_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

# Each command to cause a failure needs the one to undo it.
_PAIRS: Final = (("power_off", "power_on"), ("partition", "heal"), ("link_down", "link_up"))
_SECONDS: Final = ("timeout", "healthy_timeout")

Command = tuple[str, ...]
"""A command as words. A profile has it as one string, split as a shell does, or as an array of words."""


@dataclass(frozen=True, slots=True)
class CtdbSettings:
    """The settings of a CTDB cluster.

    In every command `{node}` and `{address}` are replaced by the name and the address of the node.
    """

    nodes: Mapping[str, str]
    """Name of each node -> its address in CTDB's `nodes` file, in the order of that file."""
    prefix: Command = ()
    """Words before each command, to run it as root on a node: `ssh root@{node}`. Empty: on this machine."""
    socket: str = ""
    """Path of the socket of CTDB on a node, where several daemons share a machine. Empty: the only daemon."""
    start_ctdb: Command = ("ctdbd",)
    """Starts CTDB on a node; not run where its program runs already."""
    start_services: tuple[Command, ...] = (("smbd", "-D"), ("samba-dcerpcd", "-D", "--libexec-rpcds"))
    """Start Samba on a node; each is not run where its program runs already."""
    witness_service: str = "samba-dcerpcd"
    """Name of the program that `restart` stops. One of `start_services` starts it."""
    crash: Command = (
        "sh",
        "-c",
        'pkill -KILL --ns $$ --nslist net "^(ctdb|smbd|samba|rpcd_|winbindd|nmbd)"; exit 0',
    )
    """Kills all processes of CTDB and Samba on a node.

    `--nslist net` limits it to one network namespace, because the nodes of a lab share a machine.
    """
    hang: Command = (
        "sh",
        "-c",
        'pkill -STOP --ns $$ --nslist net "^(ctdb|smbd|samba|rpcd_|winbindd|nmbd)"; exit 0',
    )
    """Stops all processes of CTDB and Samba on a node, without ending them.

    For another hang, name other processes: `pkill -STOP -x ctdbd`, or `smbd`.
    """
    resume: Command = (
        "sh",
        "-c",
        'pkill -CONT --ns $$ --nslist net "^(ctdb|smbd|samba|rpcd_|winbindd|nmbd)"; exit 0',
    )
    """Undoes `hang` and `hang_service` on a node."""
    witness_worker: str = "rpcd_witness"
    """Name of the program whose processes serve witness clients."""
    end_hung_workers: bool = True
    """Whether to kill a process of `witness_worker` that answers nothing.

    It is killed where it keeps a node from serving again, and before a case that met it is run again.
    """
    hang_service: Command = ("sh", "-c", "exec pkill -STOP --ns $$ --nslist net -x rpcd_witness")
    """Stops the processes that serve witness clients on a node, without ending them."""
    kill_worker: Command = ("sh", "-c", "exec pkill -KILL --ns $$ --nslist net -o -x rpcd_witness")
    """Kills one process that serves witness clients on a node. Samba starts another one when it needs it."""
    ready: Command = ()
    """Run on a node: ends with 0 if the node's witness service answers. Empty: CTDB's state is sufficient."""
    python: Command = ("python3",)
    """Runs Python with the module `samba` on a node (package python3-samba).

    It sends moves to registrations that `net witness` leaves out: the server must leave them out, too. Empty:
    these checks are only recorded.
    """
    power_off: Command = ()
    """Run on this machine: stops a node so that it sends nothing. Empty: no capability fail-power-off."""
    power_on: Command = ()
    """Run on this machine: undoes `power_off`."""
    partition: Command = ()
    """Run on this machine: cuts a node off from the other nodes. Empty: no capability fail-partition."""
    heal: Command = ()
    """Run on this machine: undoes `partition`."""
    link_down: Command = ()
    """Run on this machine: takes the network link of a node down. Empty: no capability fail-link-down."""
    link_up: Command = ()
    """Run on this machine: undoes `link_down`."""
    timeout: float = 20.0
    """Seconds that one command may take."""
    healthy_timeout: float = 90.0
    """Seconds that `enable`, `recover` and `restart` wait for a node.

    The other calls wait as long as the variables of CTDB give it (`ctdb listvars`).
    """

    @classmethod
    def from_mapping(cls, table: Mapping[str, Any]) -> Self:
        """Read the table of a profile, without its `kind`.

        Raises:
            ValueError: a key is missing, unknown or wrong; the text names it.
        """
        check_known_keys(table, (field.name for field in fields(cls)))
        values = {key: _read(key, value) for key, value in table.items()}
        if "nodes" not in values:
            raise ValueError('nodes is missing; write names and addresses: nodes = { node1 = "192.0.2.1" }')
        for one, other in _PAIRS:
            if bool(values.get(one)) != bool(values.get(other)):
                raise ValueError(f"{one} and {other} must be set together")
        return cls(**values)


def _read(key: str, value: Any) -> Any:
    if key == "nodes":
        return _nodes(value)
    if key == "start_services":
        if not isinstance(value, list | tuple):
            raise ValueError(f"{key} must be an array of commands, not {value!r}")
        return tuple(_command(key, each) for each in value)
    if key in _SECONDS:
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise ValueError(f"{key} must be a positive number of seconds, not {value!r}")
        return float(value)
    if key == "end_hung_workers":
        if not isinstance(value, bool):
            raise ValueError(f"{key} must be true or false, not {value!r}")
        return value
    if key in {"witness_service", "witness_worker", "socket"}:
        if not isinstance(value, str):
            what = "a path" if key == "socket" else "the name of a program"
            raise ValueError(f"{key} must be {what}, not {value!r}")
        return value
    return _command(key, value)


def _nodes(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not value:
        raise ValueError(f'nodes must be names and addresses as {{ node1 = "192.0.2.1" }}, not {value!r}')
    for name, address in value.items():
        try:
            ip_address(address)
        except ValueError as error:
            raise ValueError(f"the address of {name} must be as in CTDB's nodes file: {error}") from error
    return value


def _command(key: str, value: Any) -> Command:
    if isinstance(value, str):
        try:
            return tuple(shlex.split(value))
        except ValueError as error:
            raise ValueError(f"{key} is not a command line: {error}") from error
    if isinstance(value, list | tuple) and all(isinstance(word, str) for word in value):
        return tuple(value)
    raise ValueError(f"{key} must be a command: a string or an array of words, not {value!r}")
