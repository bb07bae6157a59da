"""A node fails or is taken out of service, and a client registered through another one hears of it.

That is what the protocol is for (MS-SWN 1.3); the rules are those of 3.1.6.1.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.casekit import SILENCE, case, outcome_of
from swn_torture.casekit.cluster import Failure
from swn_torture.casekit.protocol import ChangeType, MessageType
from swn_torture.casekit.rules.notification_rules import naming
from swn_torture.casekit.steps.host_nodes import HostNode, destinations, index_of
from swn_torture.casekit.steps.interface_list import as_hosted, show_states
from swn_torture.casekit.steps.listeners import (
    SUCCESS,
    Listener,
    either_syntax,
    listen,
    versions,
    wait_for_notifications,
    wait_quiet_time,
)
from swn_torture.casekit.steps.registering import (
    MISMATCH,
    NOT_FOUND,
    methods_of,
    succeeded,
    with_handle,
)

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.protocol import ContextHandle
    from swn_torture.casekit.witness import Witness

_RULES = (
    "SWN-3.1.6.1-queues-change",
    "SWN-3.1.6.1-change-state",
    "SWN-3.1.6.1-wake-async",
    "SWN-3.1.6.1-other-ip-untouched",
    "SWN-3.1.6.1-sets-state",
    "SWN-3.1.4.1-state",
    "SWN-3.1.4.4-change-unavailable",
    "SWN-3.1.4.4-change-otherwise-available",
    "SWN-3.1.4.2-returns-success",
    "SWN-3.1.4.5-returns-success",
)


@case(
    *_RULES,
    needs=("disable-node", "list-nodes", "two-nodes"),
    disturbs=True,
    lasts=30,
)
async def test_node_disabled(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """A node is taken out of service and put back: its clients hear both through another node."""
    scene = await Scene.set(witness, spec, cluster)

    await cluster.disable(scene.host.node)
    await scene.check_told_of_the_failure()
    await scene.check_list("out of service")

    await scene.check_told_of_the_return(cluster.enable(scene.host.node))
    await scene.check_list("back")
    await scene.check_new_registration()


@case(
    *_RULES,
    "SWN-3.1.3-registrations-empty",
    needs=("list-nodes", "two-nodes"),
    disturbs=True,
    lasts=60,
)
@pytest.mark.parametrize("how", [Failure.CRASH, Failure.POWER_OFF], ids=str)
async def test_node_fails(witness: Witness, spec: Spec, cluster: Controller, how: Failure) -> None:
    """A node fails and comes back: its clients hear both through another node, and it remembers nobody."""
    cluster.require(how.capability)
    scene = await Scene.set(witness, spec, cluster)
    lost = await scene.register_at_the_node_itself()

    await cluster.fail(scene.host.node, how)
    await scene.check_told_of_the_failure()
    await scene.check_list("failed")

    await scene.check_told_of_the_return(cluster.recover(scene.host.node))
    await scene.check_list("back")
    await scene.check_new_registration()
    await scene.check_forgotten(lost)


@dataclass
class Scene:
    """A cluster of which one node will fail, and registrations at another node.

    Attributes:
        home: the node that will fail, and its interfaces.
        index: of that node in the profile.
        near: registrations for its addresses, of each version and in each transfer syntax.
        late: one more of them that has no AsyncNotify outstanding when it happens.
        far: registrations for an address that stays.
    """

    witness: Witness
    spec: Spec
    cluster: Controller
    host: HostNode
    index: int
    near: list[Listener]
    late: Listener
    far: list[Listener]

    @classmethod
    async def set(cls, witness: Witness, spec: Spec, cluster: Controller) -> Scene:
        """Choose the node and register."""
        here = await witness.address_of(0)
        host_nodes = await destinations(witness, cluster, other_than=here)
        host = max(host_nodes, key=lambda each: len(each.addresses))
        index = index_of(witness, host.node)

        async def register(address: str, **options: Any) -> Listener:
            return await listen(witness, ip_address=address, **{"version": versions(witness)[-1], **options})

        near = [
            await listen(witness, client, version=version, ip_address=address)
            for client in await either_syntax(witness)
            for address in host.addresses
            for version in versions(witness)
        ]
        late = await register(host.addresses[0], asks=False)
        far = [await register(here, version=version) for version in versions(witness)]
        return cls(witness, spec, cluster, host, index, near, late, far)

    async def check_told_of_the_failure(self) -> None:
        """Whoever registered for the node's addresses hears that they are UNAVAILABLE, and nobody else."""
        spec = self.spec
        await wait_for_notifications(*self.near)
        far = asyncio.create_task(wait_quiet_time(*self.far))
        await wait_for_notifications(self.late)
        for listener in (*self.near, self.late):
            note = f"registered for {listener.address} of {self.host.node}"
            note += ", asked afterwards" if listener is self.late else ""
            outcome = listener.outcome or SILENCE
            if not spec("SWN-3.1.6.1-queues-change").allows(outcome, SUCCESS, note=note):
                continue
            if listener is not self.late:
                spec("SWN-3.1.6.1-wake-async").allows(outcome, SUCCESS, note=note)
            self._check_unavailable(listener, note)
        await far
        for listener in self.far:
            spec("SWN-3.1.6.1-other-ip-untouched").holds(
                not listener.notifications_of(MessageType.RESOURCE_CHANGE),
                expected="no RESOURCE_CHANGE",
                observed="; ".join(map(str, listener.notified)) or listener.outcome,
                note=f"registered for {listener.address}, which no failure of {self.host.node} concerns",
            )

    async def check_told_of_the_return(self, order: Any) -> None:
        """Give the order that brings the node back; its clients hear that its addresses are AVAILABLE.

        Another node may have taken the addresses over before. A server may drop a registration after it has
        told of a failure (AMB-30): then there is nothing more to hear by it.
        """
        spec = self.spec
        told_before = {listener: len(listener.notified) for listener in self.near}
        returned = asyncio.ensure_future(order)
        loop = asyncio.get_running_loop()
        end = loop.time() + self.witness.expect.event_deadline

        async def until_available(listener: Listener) -> None:
            while not self._last_is_available(listener):
                if await listener.wait_for_notifications(max(0.0, end - loop.time())) != SUCCESS:
                    return

        await asyncio.gather(returned, *map(until_available, self.near))
        for listener in self.near:
            available = self._last_is_available(listener)
            if not available and listener.outcome == NOT_FOUND:
                spec.choice("AMB-30", "a registration is dropped after UNAVAILABLE was told")
                continue
            # A change that is not told at all breaks a SHOULD; one that is told as something else, a MUST.
            rules = ["SWN-3.1.6.1-queues-change", "SWN-3.1.6.1-change-state"]
            if available or len(listener.notified) > told_before[listener]:
                rules.append("SWN-3.1.4.4-change-otherwise-available")
            spec(*rules).holds(
                available,
                expected="RESOURCE_CHANGE, AVAILABLE (0x1)",
                observed=f"{'; '.join(map(str, listener.notified))}; then {listener.outcome}",
                note=f"registered for {listener.address} of {self.host.node}, which came back",
            )

    @staticmethod
    def _last_is_available(listener: Listener) -> bool:
        changes = [
            c
            for notification in listener.notifications_of(MessageType.RESOURCE_CHANGE)
            for c in notification.changes
        ]
        return bool(changes) and changes[-1].change_type == ChangeType.AVAILABLE

    def _check_unavailable(self, listener: Listener, note: str) -> None:
        """The last answer tells of UNAVAILABLE, first of all."""
        notification = listener.notification(self.spec, "SWN-3.1.6.1-queues-change")
        if self.spec("SWN-3.1.6.1-queues-change").holds(
            notification.message_type == MessageType.RESOURCE_CHANGE and bool(notification.changes),
            expected="RESOURCE_CHANGE",
            observed=notification,
            note=note,
        ):
            self.spec("SWN-3.1.4.4-change-unavailable", "SWN-3.1.6.1-change-state").equal(
                notification.changes[0].change_type,
                ChangeType.UNAVAILABLE,
                show=naming(ChangeType),
                note=note,
            )

    async def check_list(self, what: str) -> None:
        """The list has the node's addresses as AVAILABLE where somebody hosts them, else as UNAVAILABLE."""
        listed, hosted = await as_hosted(self.witness, self.cluster, self.host.addresses)
        self.spec("SWN-3.1.6.1-sets-state", "SWN-3.1.4.1-state").equal(
            listed,
            hosted,
            show=show_states,
            note=f"as {self.witness.nodes[0].name} tells it, {self.host.node} being {what}",
        )

    async def check_new_registration(self) -> None:
        """After the return clients register again for the node's addresses, by either method."""
        for address in self.host.addresses:
            for method in methods_of(self.witness):
                reply = await method.reply(self.witness, self.near[0].client, ip_address=address)
                self.spec(method.rule("returns-success")).holds(
                    succeeded(reply),
                    expected="ERROR_SUCCESS (0x0) with a handle",
                    observed=with_handle(reply),
                    note=f"registering for {address} after {self.host.node} came back",
                )

    async def register_at_the_node_itself(self) -> ContextHandle:
        """A registration that dies with the node."""
        client = await self.witness.connect(self.index)
        return await self.witness.register(client, ip_address=self.far[0].address)

    async def check_forgotten(self, lost: ContextHandle) -> None:
        """The node that came back does not know that handle any more."""
        self.witness.forget_ports()
        client = await self.witness.connect(self.index)
        quiet = self.witness.expect.quiet_time
        outcome = await outcome_of(client.async_notify(lost), quiet)
        self.spec("SWN-3.1.3-registrations-empty").allows(
            outcome, NOT_FOUND, MISMATCH, note=f"AsyncNotify by a handle from before {self.host.node} failed"
        )
