"""Context handles as the RPC runtime sees them: what they are, where they are valid, who may use them.

C706 5.1.6; MS-RPCE 2.2.1.1.4, 3.3.1.4.1.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import SILENCE, case, outcome_of
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.outcome import ending_of
from swn_torture.casekit.protocol import NULL_HANDLE, AsyncNotifyRequest, UnRegisterRequest
from swn_torture.casekit.steps.listeners import SUCCESS, listen
from swn_torture.casekit.steps.registering import (
    MISMATCH,
    NEVER_ISSUED,
    NOT_FOUND,
    NULL_CONTEXT,
    WRONG_PARAMETER,
    each_method,
)
from swn_torture.casekit.transport import AuthLevel, RpcError

if TYPE_CHECKING:
    from swn_torture.casekit import Outcome, Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.protocol import ContextHandle, WitnessClient
    from swn_torture.casekit.steps.registering import Method
    from swn_torture.casekit.witness import Witness

#: How AsyncNotify and UnRegister refuse a handle that is none of the caller's (AMB-2, AMB-1).
REFUSALS = {
    "AsyncNotify": (MISMATCH, NOT_FOUND),
    "UnRegister": (MISMATCH, NOT_FOUND, WRONG_PARAMETER),
}


async def _use(witness: Witness, client: WitnessClient, handle: ContextHandle) -> dict[str, Outcome]:
    """How AsyncNotify and UnRegister end with a handle, in this order."""
    expect = witness.expect
    return {
        "AsyncNotify": await outcome_of(client.start(AsyncNotifyRequest(handle)), expect.quiet_time),
        "UnRegister": await outcome_of(client.start(UnRegisterRequest(handle)), expect.reply_deadline),
    }


def _used_names(outcomes: dict[str, Outcome]) -> str:
    return "; ".join(f"{method}: {outcome}" for method, outcome in outcomes.items())


async def _still_registered(
    spec: Spec, rule: str, witness: Witness, client: WitnessClient, handle: ContextHandle
) -> None:
    """The registration is usable at home: AsyncNotify waits, UnRegister succeeds."""
    at_home = await _use(witness, client, handle)
    spec(rule).allows(
        at_home["AsyncNotify"], SILENCE, note="AsyncNotify with the right handle at home afterwards"
    )
    spec(rule).allows(
        at_home["UnRegister"], SUCCESS, note="UnRegister with the right handle at home afterwards"
    )


# What is no handle
# ----------------------------------------------------------------------------------------------------------


@case("RPC-CTXH-mismatch", syntaxes="both")
@pytest.mark.parametrize("kind", [kind for kind in NEVER_ISSUED if kind != "null"])
async def test_never_issued(witness: Witness, spec: Spec, kind: str) -> None:
    """A handle that the server never issued is refused by AsyncNotify and UnRegister."""
    client = await witness.connect()
    handle = await witness.register(client)

    outcomes = await _use(witness, client, NEVER_ISSUED[kind](handle))

    for method, outcome in outcomes.items():
        spec("RPC-CTXH-mismatch").allows(outcome, *REFUSALS[method], note=f"{method}, {kind}")
    spec.choice("AMB-2", f"{kind} handle: {_used_names(outcomes)}")


@case("RPC-CTXH-null-in", syntaxes="both")
async def test_null_handle(witness: Witness, spec: Spec) -> None:
    """A null handle is refused by AsyncNotify and UnRegister."""
    client = await witness.connect()
    handle = await witness.register(client)

    outcomes = await _use(witness, client, NULL_HANDLE)

    for method, outcome in outcomes.items():
        spec("RPC-CTXH-null-in").allows(outcome, *REFUSALS[method], NULL_CONTEXT, note=method)
    spec.choice("AMB-2", f"null handle: {_used_names(outcomes)}")
    await _still_registered(spec, "RPC-CTXH-null-in", witness, client, handle)


@case("RPC-CTXH-attributes", syntaxes="both")
@pytest.mark.parametrize("change", [0x1, 0x80000000, 0x7FFFFFFF], ids=hex)
async def test_attributes(witness: Witness, spec: Spec, change: int) -> None:
    """A handle with another attributes word is another handle, and is refused."""
    client = await witness.connect()
    handle = await witness.register(client)
    other = dataclasses.replace(handle, attributes=handle.attributes ^ change)

    outcomes = await _use(witness, client, other)

    rule = spec("RPC-CTXH-attributes")
    for method, outcome in outcomes.items():
        note = f"{method}, attributes 0x{other.attributes:X}, issued with 0x{handle.attributes:X}"
        rule.allows(outcome, *REFUSALS[method], note=note)
    spec.choice("AMB-34", f"0x{handle.attributes:X}")


@case("RPC-CTXH-null-out-on-error", syntaxes="both")
@each_method
async def test_no_handle_of_a_failure(witness: Witness, spec: Spec, method: Method) -> None:
    """A registration that fails returns a null handle, twenty zero octets in front of the code."""
    expect = witness.expect
    client = await witness.connect()
    address = await witness.address_of(0)
    failing = {
        "Version 0": method.request(witness, ip_address=address, version=0),
        "no NetName": method.request(witness, ip_address=address, net_name=None),
        "no IpAddress": method.request(witness, ip_address=None),
        "no ClientComputerName": method.request(witness, ip_address=address, client_computer_name=None),
        "another NetName": method.request(witness, ip_address=address, net_name="NO-CLUSTER-OF-THIS-NAME"),
    }

    for what, request in failing.items():
        call = client.start(request)
        outcome = await outcome_of(call, expect.reply_deadline)
        note = f"{method.slug} with {what}: {outcome}"
        answered = call.call.response_meta
        rule = spec("RPC-CTXH-null-out-on-error")
        if answered is None or outcome == SUCCESS:
            rule.record(outcome, note)  # whether it ought to fail is another rule's matter
            continue
        rule.equal(answered.stub[:20].hex(" "), bytes(20).hex(" "), show=str, note=note)


# Where a handle is valid
# ----------------------------------------------------------------------------------------------------------


@case("RPC-CTXH-scope-association", syntaxes="both")
async def test_another_association(witness: Witness, spec: Spec) -> None:
    """A handle is refused in another association, and goes on to serve in its own."""
    host, abroad = await witness.connect(), await witness.connect()
    handle = await witness.register(host)

    outcomes = await _use(witness, abroad, handle)

    for method, outcome in outcomes.items():
        spec("RPC-CTXH-scope-association").allows(outcome, *REFUSALS[method], note=f"{method} abroad")
    await _still_registered(spec, "RPC-CTXH-scope-association", witness, host, handle)


@case("RPC-CTXH-scope-association", needs=("two-nodes",))
async def test_another_node(witness: Witness, spec: Spec) -> None:
    """A handle is refused by another node, and goes on to serve on its own."""
    host, abroad = await witness.connect(0), await witness.connect(1)
    handle = await witness.register(host)

    outcomes = await _use(witness, abroad, handle)

    for method, outcome in outcomes.items():
        spec("RPC-CTXH-scope-association").allows(outcome, *REFUSALS[method], note=f"{method} abroad")
    await _still_registered(spec, "RPC-CTXH-scope-association", witness, host, handle)


@case("RPC-CTXH-shared-in-association", needs=("two-nodes", Capability.MOVE_CLIENT))
async def test_two_connections_of_an_association(witness: Witness, cluster: Controller, spec: Spec) -> None:
    """A handle serves on another connection of its association: AsyncNotify waits and hears of the event."""
    expect = witness.expect
    host = await witness.connect()
    listener = await listen(witness, host, version=1, asks=False)
    other = await witness.connect(assoc_group=host.rpc.core.assoc_group)

    call = other.async_notify(listener.handle)
    quiet = await outcome_of(call, expect.quiet_time)
    await cluster.move_client(listener.name, witness.nodes[1].name)
    notified = await outcome_of(call, expect.event_deadline)

    rule = spec("RPC-CTXH-shared-in-association")
    rule.allows(quiet, SILENCE, note="AsyncNotify on the second connection")
    rule.allows(notified, SUCCESS, note="at the event")


# Who may use it
# ----------------------------------------------------------------------------------------------------------


@case("RPC-CTXH-other-user", needs=("second-account",))
async def test_another_user(witness: Witness, spec: Spec) -> None:
    """A handle is used by another user of its association: on a connection of its own, and on the same."""
    host = await witness.connect()
    group = host.rpc.core.assoc_group
    here, there = await asyncio.gather(witness.register(host), witness.register(host))

    other = await witness.connect(assoc_group=group, credentials=witness.second_credentials)
    spec("RPC-CTXH-other-user").record(
        _used_names(await _use(witness, other, here)), "another user on another connection of the association"
    )
    try:
        second = await host.rpc.alter_context(**witness.logon(credentials=witness.second_credentials))
    except RpcError as error:
        spec("RPC-CTXH-other-user").record(ending_of(error), "no second security context on a connection")
        return
    assert second.security is not None
    notify = host.start(AsyncNotifyRequest(there), security=second.security.id)
    spec("RPC-CTXH-other-user").record(
        await outcome_of(notify, witness.expect.quiet_time),
        "AsyncNotify as another user in a security context of the same connection",
    )


@case("RPC-CTXH-other-user")
@pytest.mark.parametrize(
    ("made", "used"),
    [(AuthLevel.PRIVACY, AuthLevel.INTEGRITY), (AuthLevel.INTEGRITY, AuthLevel.PRIVACY)],
    ids=["lower", "higher"],
)
async def test_another_level(witness: Witness, spec: Spec, made: AuthLevel, used: AuthLevel) -> None:
    """A handle is used by the same user at a lower, or higher, level of protection than it was made at."""
    host = await witness.connect(level=made)
    handle = await witness.register(host)
    other = await witness.connect(level=used, assoc_group=host.rpc.core.assoc_group)

    outcomes = await _use(witness, other, handle)

    spec("RPC-CTXH-other-user").record(_used_names(outcomes), f"made at {made.name}, used at {used.name}")
