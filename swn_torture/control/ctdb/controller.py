"""The controller of a Samba cluster: `ctdb` for nodes and addresses, `net witness` for clients and shares.

All commands run as root on the nodes, through a prefix from the profile. The behaviour of CTDB decides how a
call works here:

- `ctdb disable` takes effect within a second. The other nodes detect a killed ctdbd as fast, because its
  connections break. They detect a node that stopped sending after KeepaliveInterval times KeepaliveLimit:
  25 s unless configured otherwise, and later under load. So each call waits until `ctdb status` and `ctdb ip`
  show its effect; how long, follows from the variables of CTDB (`ctdb listvars`).
- CTDB may ban a node that returns from a partition, for five minutes. `recover` removes the ban.
- Unless configured otherwise, CTDB may move any address when one is added, removed or moved. Those calls keep
  the others where they are until `restore` (`restore.CtdbChanges.hold_addresses`).
"""

from __future__ import annotations

import json
import shlex
import time
from typing import TYPE_CHECKING, Any, Final, Self

from typing_extensions import override

from swn_torture.control.base import (
    Capability,
    Controller,
    ControllerError,
    EffectNotSeen,
    Failure,
    NodeStatus,
    NotHealthy,
    NotRegistered,
    RegistrationView,
    ShareView,
)
from swn_torture.control.ctdb.addresses import CtdbAddresses
from swn_torture.control.ctdb.cluster import CtdbCluster, CtdbView
from swn_torture.control.ctdb.failures import CtdbFailures
from swn_torture.control.ctdb.hangs import CtdbHangs
from swn_torture.control.ctdb.messages import response_json
from swn_torture.control.ctdb.moves import CtdbMoves
from swn_torture.control.ctdb.output import parse_shares
from swn_torture.control.ctdb.restore import CtdbChanges
from swn_torture.control.ctdb.settings import CtdbSettings
from swn_torture.control.stimulus import Stimulus

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from swn_torture.control.step import Step
    from swn_torture.witness.messages import RespAsyncNotify

_WITHOUT_SETTINGS: Final = frozenset(
    {
        Capability.LIST_NODES,
        Capability.LIST_REGISTRATIONS,
        Capability.DISABLE_NODE,
        Capability.FAIL_CRASH,
        Capability.FAIL_HANG,
        Capability.FAIL_HANG_SERVICE,
        Capability.FAIL_KILL_WORKER,
        Capability.FAIL_BAN,
        Capability.FAIL_STOP,
        Capability.MOVE_CLIENT,
        Capability.MOVE_SHARE,
        Capability.CHANGE_ADDRESS,
        Capability.MOVE_ADDRESS,
        Capability.INTERFACE_STATE,
        Capability.RESTART_SERVICE,
        Capability.FORCE_UNREGISTER,
        Capability.FORCE_RESPONSE,
        Capability.SHARES,
    }
)

_FROM_CTDB: Final = Stimulus(
    "as a change of the CTDB cluster; the server learns the hosts of the addresses from CTDB, and selects "
    "the registrations itself"
)


class CtdbController(Controller):
    """Changes a CTDB cluster with the witness service of Samba (4.20 or later).

    Args:
        settings: the settings of the profile.
        cluster: the nodes; None for those of the settings.
    """

    kind = "ctdb"
    finds_hung = True

    def __init__(self, settings: CtdbSettings, cluster: CtdbCluster | None = None) -> None:
        self._settings = settings
        self._cluster = cluster or CtdbCluster(settings)
        self._hangs = CtdbHangs(self._cluster)
        self._changes = CtdbChanges(self._cluster, self._hangs)
        self._failures = CtdbFailures(self._cluster, self._changes)
        self._own_addresses = CtdbAddresses(self._cluster, self._changes)
        self._moves = CtdbMoves(self._cluster)

    @classmethod
    @override
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Make the controller from the `[controller]` table of a profile; `CtdbSettings` has the keys.

        Raises:
            ValueError: a setting is missing, unknown or wrong; the text names it.
        """
        return cls(CtdbSettings.from_mapping(settings))

    @property
    @override
    def capabilities(self) -> frozenset[Capability]:
        """What every CTDB cluster supports, and what the settings add."""
        by_settings = {
            Capability.FAIL_POWER_OFF: bool(self._settings.power_off),
            Capability.FAIL_PARTITION: bool(self._settings.partition),
            Capability.FAIL_LINK_DOWN: bool(self._settings.link_down),
        }
        return _WITHOUT_SETTINGS | {capability for capability, is_set in by_settings.items() if is_set}

    @override
    async def open(self) -> None:
        """Read the state of the cluster, and remember which node hosts which address.

        Raises:
            ControllerError: CTDB answers on no node, or its nodes are not those of the profile.
        """
        view = await self._cluster.view()
        found, expected = {node.address for node in view.nodes}, set(self._settings.nodes.values())
        if found != expected:
            raise ControllerError(
                f"CTDB has the nodes {', '.join(sorted(found))}, but the profile has "
                f"{', '.join(sorted(expected))}"
            )
        await self._changes.remember(view)

    @override
    def changed_at(self) -> float | None:
        return self._changes.changed_at

    @override
    def state(self) -> Mapping[str, Any]:
        """Which node hosted which address, and the variables of CTDB."""
        return self._changes.state()

    @override
    def recall(self, state: Mapping[str, Any], undo: Sequence[Step]) -> None:
        self._changes.recall(state, undo)

    # Queries

    @override
    async def nodes(self) -> tuple[NodeStatus, ...]:
        """Return all nodes, as seen by one that is connected to most of the others."""
        return self._cluster.statuses(await self._cluster.view())

    @override
    async def registrations(self) -> tuple[RegistrationView, ...]:
        """Return all registrations. CTDB shares the list, so that every node has it."""
        return await self._cluster.net_witness(await self._cluster.view(), "list")

    @override
    async def shares(self) -> tuple[ShareView, ...]:
        """Return the shares of Samba's configuration, which is the same on all nodes (`testparm`)."""
        view = await self._cluster.view()
        return parse_shares((await self._cluster.run_on(view.seen_from, "testparm", "-s")).text)

    # Nodes

    @override
    async def disable(self, node: str) -> None:
        """Run `ctdb disable`: the node stays connected, and other nodes take over its addresses."""
        node = self._cluster.node_name(node)
        view = await self._cluster.view()
        movable = await self._changes.movable(view, node)

        async def disabled() -> bool:
            now = await self._cluster.view()
            return (
                "disabled" in self._cluster.flags(now, node)
                and self._cluster.pnn(now, node) not in now.hosts.values()
                and all(now.hosts.get(address) is not None for address in movable)
            )

        await self._changes.until_seen(
            f"{node} is disabled and hosts no address",
            lambda: self._cluster.run_on(node, "ctdb", "disable"),
            disabled,
        )

    @override
    async def enable(self, node: str) -> None:
        """Run `ctdb enable`, and return when the node serves clients again.

        Raises:
            NotHealthy: it does not within `healthy_timeout`.
        """
        node = self._cluster.node_name(node)
        limit = self._settings.healthy_timeout
        deadline = time.monotonic() + limit
        try:
            await self._changes.until_seen(
                f"{node} is in service",
                lambda: self._cluster.run_on(node, "ctdb", "enable"),
                lambda: self._changes.in_service(node),
                limit,
            )
        except EffectNotSeen as problem:
            raise NotHealthy(str(problem)) from problem
        await self._changes.wait_for_node(node, deadline)

    @override
    async def fail(self, node: str, how: Failure = Failure.CRASH) -> None:
        """Make a node fail; `CtdbFailures.fail` says how, and when it returns."""
        self.require(how.capability)
        await self._failures.fail(self._cluster.node_name(node), how)

    @override
    async def recover(self, node: str) -> None:
        """Return a node to service from any failure or state, and return when it serves clients again.

        The state may come from another process, such as an interrupted run.

        Raises:
            NotHealthy: the node does not serve within `healthy_timeout`.
        """
        node = self._cluster.node_name(node)
        self._changes.used = True
        deadline = time.monotonic() + self._settings.healthy_timeout
        await self._cluster.return_to_service(node, deadline)
        await self._changes.wait_for_node(node, deadline)

    @override
    async def restart(self, node: str) -> None:
        """Restart the daemon of the RPC services on a node, and return when the witness service answers.

        The connections of its clients break.

        Raises:
            NotHealthy: it does not answer within `healthy_timeout`.
        """
        node = self._cluster.node_name(node)
        self._changes.used = True
        deadline = time.monotonic() + self._settings.healthy_timeout

        async def stopped() -> bool:
            await self._cluster.stop(node, self._settings.witness_service)
            return True

        async def serves() -> bool:
            for command in self._settings.start_services:
                await self._cluster.start(node, command)
            return await self._hangs.serves(node)

        await self._cluster.wait_until(stopped, deadline)
        await self._cluster.wait_until(serves, deadline)

    # Clients and shares

    @override
    def stimulus(self, capability: Capability) -> Stimulus:
        """Events of nodes and addresses: CTDB sends them to every witness server, which selects itself."""
        return _FROM_CTDB

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
        """Run `net witness client-move`; send the move to registrations that were removed, too.

        Raises:
            NotRegistered: the cluster lists no registration of the client.
            ControllerError: it does, and none matches.
        """
        filters = {"client-computer-name": client, "net-name": net_name, "ip-address": ip_address}
        self._changes.used = True
        return await self._moves.send("client-move", destination, filters, not_for)

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
        """Run `net witness share-move`; send the move to registrations without ShareName, too.

        Raises:
            NotRegistered: the cluster lists no registration of the client.
            ControllerError: it does, none matches, and every registration has a ShareName.
        """
        filters = {"share-name": share, "client-computer-name": client}
        filters |= {"net-name": net_name, "ip-address": ip_address}
        self._changes.used = True
        return await self._moves.send("share-move", destination, filters, not_for)

    @override
    async def force_unregister(self, key: str) -> None:
        """Run `net witness force-unregister` for one registration, and return when it is not listed.

        Raises:
            NotRegistered: the cluster does not list it.
        """
        view = await self._cluster.view()
        await self._net_witness(view, "force-unregister", key)

        async def gone() -> bool:
            return all(registration.key != key for registration in await self.registrations())

        async def nothing() -> None:
            return

        await self._changes.until_seen(f"the registration {key} is removed", nothing, gone)

    @override
    async def force_response(
        self, key: str, *, result: int = 0, response: RespAsyncNotify | None = None
    ) -> None:
        """Run `net witness force-response` for one registration.

        Raises:
            NotRegistered: the cluster does not list it.
        """
        forced: dict[str, Any] = {"result": result}
        if response is not None:
            forced["response"] = response_json(response)
        await self._net_witness(
            await self._cluster.view(),
            "force-response",
            key,
            f"--witness-forced-response={json.dumps(forced)}",
        )

    async def _net_witness(self, view: CtdbView, subcommand: str, key: str, *options: str) -> None:
        self._changes.used = True
        options = (f"--witness-registration={key}", *options)
        # The exit code is 0 even if no registration matches.
        if await self._cluster.net_witness(view, subcommand, *options):
            return
        if all(each.key != key for each in await self.registrations()):
            raise NotRegistered(f"the server does not list the registration {key}: it may have removed it")
        command = f"net witness {subcommand} {shlex.join(options)}"
        raise ControllerError(f"no registration matches `{command}`, but the cluster lists it")

    # Addresses

    @override
    async def add_address(self, node: str, address: str) -> None:
        """Run `ctdb addip` on one node, so that no other node can host the address."""
        await self._own_addresses.add(self._cluster.node_name(node), address)

    @override
    async def remove_address(self, node: str, address: str) -> None:
        """Run `ctdb delip` on one node. Another node with the address in its configuration takes it over."""
        await self._own_addresses.remove(self._cluster.node_name(node), address)

    @override
    async def move_address(self, address: str, node: str) -> None:
        """Run `ctdb moveip`. The address stays there until `restore`."""
        await self._own_addresses.move(address, self._cluster.node_name(node))

    @override
    async def set_interface(self, node: str, *, up: bool) -> None:
        """Disable a node while CTDB does not move addresses (NoIPTakeover), or enable it again.

        So no node hosts its addresses. For CTDB this is the same as an interface that is down.
        """
        node = self._cluster.node_name(node)
        if not up:
            await self._changes.allow_takeover(allowed=False)
            await self.disable(node)
            return

        async def enabled() -> bool:
            return not self._cluster.flags(await self._cluster.view(), node)

        # CTDB must not move addresses before. Another node might take over those of this node, and give them
        # back a moment later; clients are notified of both.
        await self._changes.until_seen(
            f"{node} is enabled", lambda: self._cluster.run_on(node, "ctdb", "enable"), enabled
        )
        await self._changes.allow_takeover(allowed=True)
        await self._cluster.run_on(node, "ctdb", "ipreallocate")
        await self.enable(node)

    # The whole cluster

    @override
    async def hung(self) -> tuple[str, ...]:
        """Ask every process of the witness service by `smbcontrol PID ping`.

        Those that hung while this controller waited for their node, and were ended then, are named, too.
        """
        return self._hangs.told_with_ended(await self._hangs.found())

    @override
    async def end_hung(self) -> tuple[str, ...]:
        """Kill the processes that do not answer `smbcontrol PID ping`."""
        return await self._hangs.end()

    @override
    async def wait_healthy(self, timeout: float = 60.0) -> None:
        """Return when every node is OK and serves, every public address is hosted, and no recovery runs.

        Raises:
            NotHealthy: the cluster is in another state after `timeout` seconds.
        """
        await self._changes.wait_healthy(time.monotonic() + timeout)

    @override
    async def restore(self, timeout: float = 120.0) -> None:
        """Return every node to service, and move every address to the node that hosted it at `open`.

        Raises:
            NotHealthy: something is left undone after `timeout` seconds.
        """
        await self._changes.restore(timeout)
