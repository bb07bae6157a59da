"""The witness service of a CTDB cluster in memory: `net witness`, and the messages to its processes."""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from typing_extensions import override

from swn_torture.control.ctdb.messages import SEND
from swn_torture.control.runner import Output
from tests.control.simulated_ctdb import SimulatedCtdb

if TYPE_CHECKING:
    from collections.abc import Iterable

_FILTERS = {"share-name": "share_name", "client-computer-name": "client_computer_name"}
_SHARE_MOVES = {4, 5, 6}


@dataclass
class SimulatedRegistration:
    """A registration, as `net witness list` shows it."""

    client_computer_name: str
    share_name: str | None
    pid: int
    pnn: int = 0
    notified: int = 0
    """How often the server queued a move for it."""

    def shown(self) -> dict[str, Any]:
        """The JSON of the registration."""
        return {
            "version": "0x00020000",
            "net_name": "SWNCLUSTER",
            "share_name": self.share_name,
            "ip_address": "198.51.100.200",
            "client_computer_name": self.client_computer_name,
            "context_handle": {"handle_type": 1, "uuid": "unused"},
            "server_id": {"pid": self.pid, "task_id": 0, "vnn": self.pnn, "unique_id": 1},
        }


@dataclass
class SimulatedSamba:
    """What the processes of the witness service hold.

    Attributes:
        registrations: those that `net witness` lists, by key.
        removed: those that were removed; a process with a defect may still have them.
        messages: all messages to processes: PNN, PID, type, key, destination.
        python_fails: what Python prints to standard error, if it cannot send messages.
        silent: the processes that do not answer a ping.
        share_moves_to_all: a defect: share moves notify registrations without ShareName, too.
    """

    registrations: dict[str, SimulatedRegistration] = field(default_factory=dict)
    removed: dict[str, SimulatedRegistration] = field(default_factory=dict)
    messages: list[tuple[int, int, int, str, bytes]] = field(default_factory=list)
    python_fails: str = ""
    silent: set[int] = field(default_factory=set)
    share_moves_to_all: bool = False

    def net(self, subcommand: str, options: Iterable[str]) -> Output:
        """What `net witness` does: it selects the registrations, and sends a message for each."""
        given = dict(option.removeprefix("--witness-").split("=", 1) for option in options if "=" in option)
        selected = {key: each for key, each in self.registrations.items() if _matches(each, given)}
        if subcommand == "share-move":
            selected = {key: each for key, each in selected.items() if each.share_name is not None}
        if subcommand != "list":
            kind = 4 if subcommand == "share-move" else 1
            for key, each in selected.items():
                octets = struct.pack("<I16sHHI", 1, UUID(key).bytes_le, kind, kind, int(given["new-node"]))
                self.receive(each.pnn, each.pid, octets)
        return Output(0, json.dumps({"registrations": {k: r.shown() for k, r in selected.items()}}), "")

    def python(self, arguments: list[str]) -> Output:
        """What the program with the module `samba` does."""
        if self.python_fails:
            return Output(1, "", f"Traceback\n{self.python_fails}\n")
        pnn, *messages = arguments
        pids = set()
        for message in messages:
            pid, octets = message.split(":")
            pids.add(int(pid))
            self.receive(int(pnn), int(pid), bytes.fromhex(octets))
        return Output(0, " ".join(map(str, pids - self.silent)), "")

    def receive(self, pnn: int, pid: int, octets: bytes) -> None:
        """What a process does with a message: it looks for the registration by its key."""
        handle_type, key, kind, again = struct.unpack("<I16sHH", octets[:24])
        assert (handle_type, kind) == (1, again)
        name = str(UUID(bytes_le=key))
        self.messages.append((pnn, pid, kind, name, octets[24:]))
        found = {**self.registrations, **self.removed}.get(name)
        if found is None or (found.pnn, found.pid) != (pnn, pid) or name in self.removed:
            return
        if kind not in _SHARE_MOVES or found.share_name is not None or self.share_moves_to_all:
            found.notified += 1


class SimulatedCluster(SimulatedCtdb):
    """A CTDB cluster with the witness service.

    Attributes:
        samba: the witness service.
    """

    def __init__(self, count: int = 3) -> None:
        super().__init__(count)
        self.samba = SimulatedSamba()

    @override
    def _carry_out(self, words: list[str]) -> Output:
        match words:
            case [_, "net", "witness", subcommand, "--json", *options]:
                return self.samba.net(subcommand, options)
            case [_, "python3", "-c", program, *arguments]:
                assert program == SEND
                return self.samba.python(arguments)
        return super()._carry_out(words)


def _matches(registration: SimulatedRegistration, given: dict[str, str]) -> bool:
    return all(
        re.search(given[option], getattr(registration, name) or "", re.IGNORECASE)
        for option, name in _FILTERS.items()
        if option in given
    )
