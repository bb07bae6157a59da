"""The controller of the environment ``clusteredmember`` of Samba's own selftest.

selftest.pl starts three nodes on this machine: processes that socket_wrapper connects by Unix sockets. Their
tools run in the source directory of Samba:

- ``ctdb/tests/local_daemons.sh DIRECTORY onnode N COMMAND`` runs ``ctdb`` for a node. It sets the variables
  CTDB_SOCKET and CTDB_BASE itself, and must not find those of the environment.
- ``bin/net witness`` reads the configuration of a node, with UID_WRAPPER_ROOT=1.

The nodes have no public addresses: their own addresses are in the interface list (``rpcd witness:include
node ips``), and do not move. So this controller can disable a node and enable it, and move clients and
shares. Each other event is impossible here, for a reason that `SambaSelftestController.impossible` gives.

Sources: ``selftest/target/Samba3.pm`` (``setup_clusteredmember``, ``provision_ctdb``) and
``python/samba/tests/blackbox/rpcd_witness_samba_only.py`` of Samba.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Self

from typing_extensions import override

from swn_torture.control.base import Capability, Controller, ControllerError
from swn_torture.control.ctdb.cluster import CtdbCluster, CtdbView
from swn_torture.control.ctdb.controller import CtdbController
from swn_torture.control.ctdb.output import parse_status
from swn_torture.control.ctdb.settings import CtdbSettings
from swn_torture.control.runner import Output, run
from swn_torture.control.shared import check_known_keys

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from swn_torture.control.base import NodeStatus, RegistrationView
    from swn_torture.control.step import Step
    from swn_torture.control.stimulus import Stimulus
    from swn_torture.witness.messages import RespAsyncNotify

_OF_SELFTEST: Final = (
    "the processes of the nodes belong to selftest.pl, and the environment has no tool that starts one again"
)
_OF_SOCKETS: Final = (
    "socket_wrapper connects the nodes by Unix sockets, so that no node can become silent or be cut off"
)
_OF_ADDRESSES: Final = (
    "the nodes of clusteredmember have no public addresses, and their own addresses do not move"
)

_IMPOSSIBLE: Final[Mapping[Capability, str]] = {
    Capability.FAIL_CRASH: _OF_SELFTEST,
    Capability.RESTART_SERVICE: _OF_SELFTEST,
    Capability.FAIL_KILL_WORKER: _OF_SELFTEST,
    Capability.FAIL_POWER_OFF: _OF_SOCKETS,
    Capability.FAIL_LINK_DOWN: _OF_SOCKETS,
    Capability.FAIL_PARTITION: _OF_SOCKETS,
    Capability.CHANGE_ADDRESS: _OF_ADDRESSES,
    Capability.MOVE_ADDRESS: _OF_ADDRESSES,
}

_CAPABILITIES: Final = frozenset(
    {
        Capability.LIST_NODES,
        Capability.LIST_REGISTRATIONS,
        Capability.DISABLE_NODE,
        Capability.INTERFACE_STATE,
        Capability.MOVE_CLIENT,
        Capability.MOVE_SHARE,
        Capability.FORCE_UNREGISTER,
        Capability.FORCE_RESPONSE,
    }
)


@dataclass(frozen=True, slots=True)
class SelftestNode:
    """One node of the environment.

    Attributes:
        name: its name: ``ctdb0``.
        address: its address.
        directory: its directory (CTDB_BASE_NODEn), with ``lib/server.conf``, the configuration of its Samba.
        socket: the socket of its CTDB (CTDB_SOCKET_NODEn).
    """

    name: str
    address: str
    directory: str
    socket: str


@dataclass(frozen=True, slots=True)
class SelftestSettings:
    """The ``[controller]`` table.

    Attributes:
        source: the source directory of Samba, with a build in ``bin``.
        directory: the directory of the environment (CTDB_PREFIX).
        nodes: the nodes, in the order of their numbers.
        python: runs Python with the module ``samba``; empty to send nothing without ``net witness``.
        timeout: seconds that one command may take.
    """

    source: str
    directory: str
    nodes: tuple[SelftestNode, ...]
    python: str = "python3"
    timeout: float = 30.0

    @classmethod
    def from_mapping(cls, table: Mapping[str, Any]) -> Self:
        """Read the table of a profile, without its ``kind``.

        Raises:
            ValueError: a key is missing, unknown or wrong; the text names it.
        """
        check_known_keys(table, (field.name for field in fields(cls)))
        for key in ("source", "directory", "nodes"):
            if key not in table:
                raise ValueError(f"{key} is missing; the shipped profile samba-selftest has all keys")
        rows = table["nodes"]
        if not isinstance(rows, list | tuple) or not rows:
            raise ValueError(f"nodes must be an array of tables, not {rows!r}")
        return cls(**{**table, "nodes": tuple(_node(number, row) for number, row in enumerate(rows))})


def _node(number: int, row: object) -> SelftestNode:
    names = [field.name for field in fields(SelftestNode)]
    if not isinstance(row, dict) or set(row) != set(names):
        raise ValueError(f"node {number} must be a table with {', '.join(names)}, not {row!r}")
    return SelftestNode(**row)


class SelftestCluster(CtdbCluster):
    """The nodes, reached by the tools of the environment.

    Args:
        settings: the settings of the profile.
    """

    def __init__(self, settings: SelftestSettings) -> None:
        addresses = {node.name: node.address for node in settings.nodes}
        python = tuple(shlex.split(settings.python))
        super().__init__(
            CtdbSettings(nodes=addresses, start_services=(), python=python, timeout=settings.timeout)
        )
        self._environment = settings
        self._numbers = {node.name: number for number, node in enumerate(settings.nodes)}

    @override
    async def run_on(self, node: str, *command: str, check: bool = True) -> Output:
        """Run ``ctdb``, ``net`` or Python for a node.

        Raises:
            CommandFailed: as `Runner.run_on`.
            ControllerError: the environment has no tool for the command.
        """
        return await run(self.argv(node, command), timeout=self.settings.timeout, check=check)

    def argv(self, node: str, command: Sequence[str]) -> list[str]:
        """The command line that runs a command for a node, from any directory.

        Raises:
            ControllerError: the environment has no tool for the command.
        """
        settings, number = self._environment, self._numbers[node]
        here = ["env", "-C", settings.source]
        if command[0] == "ctdb":
            tool = ["ctdb/tests/local_daemons.sh", settings.directory, "onnode", str(number)]
            return [*here, "-u", "CTDB_SOCKET", "-u", "CTDB_BASE", *tool, shlex.join(command)]
        if command[0] == "net" or tuple(command[: len(self.settings.python)]) == self.settings.python:
            where = settings.nodes[number]
            variables = [
                "UID_WRAPPER_ROOT=1",
                f"CTDB_SOCKET={where.socket}",
                f"SMB_CONF_PATH={where.directory}/lib/server.conf",
            ]
            words = ["bin/net", *command[1:]] if command[0] == "net" else command
            return [*here, *variables, *words]
        raise ControllerError(
            f"clusteredmember has no tool that runs `{shlex.join(command)}` on the node {node}"
        )

    @override
    async def view_from(self, name: str) -> CtdbView:
        """Return the cluster as this node sees it. Each node hosts its own address while it is in service."""
        status = await self.run_on(name, "ctdb", "-X", "status")
        nodes = parse_status(status.text)
        return CtdbView(name, nodes, {node.address: None if node.flags else node.pnn for node in nodes})

    @override
    async def own_addresses(self, node: str) -> dict[str, int | None]:
        """Return no address: none can move."""
        return {}

    @override
    async def start(self, node: str, command: Sequence[str]) -> None:
        """Return: selftest.pl has started every process."""
        return

    @override
    async def resume(self, node: str) -> None:
        """Return: no call of this controller lets a process hang."""
        return


class SambaSelftestController(Controller):
    """Changes the cluster of a ``clusteredmember``.

    Args:
        settings: the settings of the profile.
    """

    kind = "samba-selftest"

    def __init__(self, settings: SelftestSettings) -> None:
        cluster = SelftestCluster(settings)
        self._ctdb = CtdbController(cluster.settings, cluster)

    @classmethod
    @override
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Make the controller from the `[controller]` table of a profile; `SelftestSettings` has the keys.

        Raises:
            ValueError: a setting is missing, unknown or wrong; the text names it.
        """
        return cls(SelftestSettings.from_mapping(settings))

    @property
    @override
    def capabilities(self) -> frozenset[Capability]:
        """What the tools of the environment can do."""
        return _CAPABILITIES

    @override
    def impossible(self, capability: Capability) -> str:
        """Why no clusteredmember can have the capability; empty where that is not so."""
        return _IMPOSSIBLE.get(capability, "")

    @override
    def state(self) -> Mapping[str, Any]:
        """What the cluster was like at `open`."""
        return self._ctdb.state()

    @override
    def recall(self, state: Mapping[str, Any], undo: Sequence[Step]) -> None:
        """Take over the changes of a process that was killed."""
        self._ctdb.recall(state, undo)

    @override
    async def open(self) -> None:
        """Read the state of the cluster.

        Raises:
            ControllerError: CTDB answers on no node, or its nodes are not those of the profile.
        """
        await self._ctdb.open()

    @override
    def stimulus(self, capability: Capability) -> Stimulus:
        """Events of nodes: CTDB sends them to every witness server, which selects itself."""
        return self._ctdb.stimulus(capability)

    @override
    async def nodes(self) -> tuple[NodeStatus, ...]:
        """Return all nodes; each hosts its own address while it is in service."""
        return await self._ctdb.nodes()

    @override
    async def registrations(self) -> tuple[RegistrationView, ...]:
        """Return all registrations, as `net witness list` prints them."""
        return await self._ctdb.registrations()

    @override
    async def disable(self, node: str) -> None:
        """Run `ctdb disable`."""
        await self._ctdb.disable(node)

    @override
    async def enable(self, node: str) -> None:
        """Run `ctdb enable`, and return when the node is in service.

        Raises:
            NotHealthy: it is not within `healthy_timeout`.
        """
        await self._ctdb.enable(node)

    @override
    async def set_interface(self, node: str, *, up: bool) -> None:
        """Disable or enable a node: its witness server runs meanwhile, and its address moves nowhere."""
        await (self.enable(node) if up else self.disable(node))

    @override
    async def recover(self, node: str) -> None:
        """Return a node to service.

        Raises:
            NotHealthy: it is not in service within `healthy_timeout`.
        """
        await self._ctdb.recover(node)

    @override
    async def move_client(
        self,
        client: str,
        destination: str,
        *,
        net_name: str | None = None,
        ip_address: str | None = None,
        not_for: Collection[str] = (),
    ) -> Stimulus:
        """Run `net witness client-move`; see `CtdbController.move_client`."""
        return await self._ctdb.move_client(
            client, destination, net_name=net_name, ip_address=ip_address, not_for=not_for
        )

    @override
    async def move_share(
        self,
        share: str,
        destination: str,
        *,
        client: str | None = None,
        net_name: str | None = None,
        ip_address: str | None = None,
        not_for: Collection[str] = (),
    ) -> Stimulus:
        """Run `net witness share-move`; see `CtdbController.move_share`."""
        return await self._ctdb.move_share(
            share, destination, client=client, net_name=net_name, ip_address=ip_address, not_for=not_for
        )

    @override
    async def force_unregister(self, key: str) -> None:
        """Run `net witness force-unregister` for one registration, and return when it is not listed."""
        await self._ctdb.force_unregister(key)

    @override
    async def force_response(
        self, key: str, *, result: int = 0, response: RespAsyncNotify | None = None
    ) -> None:
        """Run `net witness force-response` for one registration."""
        await self._ctdb.force_response(key, result=result, response=response)

    @override
    async def wait_healthy(self, timeout: float = 60.0) -> None:
        """Return when every node is OK and no recovery runs.

        Raises:
            NotHealthy: the cluster is in another state after `timeout` seconds.
        """
        await self._ctdb.wait_healthy(timeout)

    @override
    async def restore(self, timeout: float = 120.0) -> None:
        """Return every node to service.

        Raises:
            NotHealthy: something is left undone after `timeout` seconds.
        """
        await self._ctdb.restore(timeout)
