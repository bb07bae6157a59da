"""Node failures: a node fails or is disabled, and clients registered at another node are notified.

This is the purpose of the protocol (MS-SWN 1.3); the rules are those of MS-SWN 3.1.6.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import SUCCESS, also_needs, case, outcome_of
from swn_torture.casekit.cluster import Capability, Failure
from swn_torture.casekit.protocol import GetInterfaceListRequest, InterfaceState, describe
from swn_torture.casekit.rules.failure_scenario import FailureScenario
from swn_torture.casekit.steps.host_nodes import index_of, other_nodes
from swn_torture.casekit.steps.interface_list import show_states, states_of, wait_for_interfaces
from swn_torture.casekit.steps.listeners import listen, wait_quiet_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.protocol import InterfaceInfo
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

#: The failures that every run makes where the controller can.
USUAL = {Failure.CRASH, Failure.POWER_OFF}

#: The failures of a whole node, each with what it needs.
OF_A_NODE = [
    pytest.param(
        how,
        id=how.value,
        marks=also_needs(*(() if how in USUAL else ("all-failures",)), how.capability.value),
    )
    for how in Failure
    if how not in {Failure.HANG_SERVICE, Failure.KILL_WORKER}
]


@case(
    *_RULES,
    needs=("disable-node", "list-nodes", "two-nodes"),
    disturbs=True,
    lasts=30,
    apart="failing",
)
async def test_node_disabled(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Disable and enable a node: clients registered through another node are notified of both."""
    scenario = await FailureScenario.prepare(witness, spec, cluster)

    await scenario.check_failure_notified(cluster.disable(scenario.host.node), Capability.DISABLE_NODE)
    await scenario.check_list("was disabled")

    await scenario.check_return_notified(cluster.enable(scenario.host.node))
    await scenario.check_list("was enabled")
    await scenario.check_new_registration()


@case(
    *_RULES,
    "SWN-3.1.3-registrations-empty",
    needs=("list-nodes", "two-nodes"),
    disturbs=True,
    lasts=60,
    apart="failing",
)
@pytest.mark.parametrize("how", OF_A_NODE)
async def test_node_fails(witness: Witness, spec: Spec, cluster: Controller, how: Failure) -> None:
    """A node fails and recovers: clients at another node are notified; its own handles become unknown."""
    scenario = await FailureScenario.prepare(witness, spec, cluster)
    lost = await scenario.register_at_failing_node()

    await scenario.check_failure_notified(cluster.fail(scenario.host.node, how), how.capability)
    await scenario.check_list("failed")

    await scenario.check_return_notified(cluster.recover(scenario.host.node))
    await scenario.check_list("recovered")
    await scenario.check_new_registration()
    await scenario.check_handle_unknown(lost, restarted=how in {Failure.CRASH, Failure.POWER_OFF})


@case(
    "SWN-3.1.6.1-queues-change",
    "SWN-3.1.6.1-sets-state",
    "SWN-3.1.4.1-state",
    needs=("all-failures", "fail-partition", "list-nodes", "two-nodes"),
    disturbs=True,
    lasts=60,
    apart="failing",
)
async def test_side_of_the_minority(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """Cut one node off and heal it: it lists all interfaces AVAILABLE again; before, its view is recorded."""
    (host, *_) = await other_nodes(witness, cluster)
    index = index_of(witness, host.node)
    before = states_of(await witness.interfaces(index))
    other = next((address for address in before if address not in host.addresses), None)
    address = other or host.addresses[0]
    listener = await listen(witness, await witness.connect(index), ip_address=address)

    await cluster.fail(host.node, Failure.PARTITION)
    await wait_quiet_time(listener)
    client = await witness.idle_connection(listener.client)
    alone = await outcome_of(client.start(GetInterfaceListRequest()), witness.expect.reply_deadline)
    spec("SWN-3.1.6.1-sets-state").record(
        show_kinds(alone.response.interface_list.interfaces or ()) if alone == SUCCESS else alone,
        f"the list of {host.node} while it is cut off from the other nodes",
    )
    spec("SWN-3.1.6.1-queues-change").record(
        listener.received, f"registered at {host.node} for {address} of the other side"
    )

    await cluster.recover(host.node)
    witness.forget_ports()
    after = await wait_for_interfaces(witness, lambda found: states_of(found) == before, node=index)
    spec("SWN-3.1.6.1-sets-state", "SWN-3.1.4.1-state").equal(
        states_of(after),
        before,
        show=show_states,
        note=f"interface list of {host.node} after the partition was healed",
    )


def show_kinds(interfaces: Iterable[InterfaceInfo]) -> str:
    """The states that occur in an interface list, as text for a report."""
    found = sorted({describe(InterfaceState, interface.state) for interface in interfaces})
    return f"its interfaces are {' or '.join(found)}" if found else "no interface"
