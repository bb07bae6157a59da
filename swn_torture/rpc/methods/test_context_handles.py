"""Context handles: what AsyncNotify and UnRegister reject, where a handle is valid, which user may use it.

C706 5.1.6; MS-RPCE 2.2.1.1.4, 3.3.1.4.1; MS-SWN 3.1.4.3, 3.1.4.4. ``test_unregister_ex.py`` sends the same
handles to WitnessrUnRegisterEx, which most targets do not have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import SILENCE, SUCCESS, case, outcome_of
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.outcome import outcome_of_error
from swn_torture.casekit.protocol import (
    NULL_HANDLE,
    SECURITY_CONTEXT_MULTIPLEXING,
    AsyncNotifyRequest,
    UnRegisterRequest,
)
from swn_torture.casekit.steps.listeners import listen
from swn_torture.casekit.steps.registering import (
    CONTEXT_MISMATCH,
    INVALID_PARAMETER,
    NEVER_ISSUED,
    NOT_FOUND,
    NULL_CONTEXT,
    each_method,
)
from swn_torture.casekit.transport import AuthLevel, RpcError

if TYPE_CHECKING:
    from swn_torture.casekit import Outcome, Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.protocol import ContextHandle, WitnessClient
    from swn_torture.casekit.steps.registering import Method
    from swn_torture.casekit.witness import Witness

#: How AsyncNotify and UnRegister may reject a handle that is not valid for the caller (AMB-2, AMB-1).
REFUSALS = {
    "AsyncNotify": (CONTEXT_MISMATCH, NOT_FOUND),
    "UnRegister": (CONTEXT_MISMATCH, NOT_FOUND, INVALID_PARAMETER),
}

#: The rules of MS-SWN about a handle that the server never issued, and about other error codes.
NEVER_ISSUED_RULES = {
    "AsyncNotify": "SWN-3.1.4.4-never-issued-handle",
    "UnRegister": "SWN-3.1.4.3-never-issued-handle",
}
ERROR_CODES = {"AsyncNotify": "SWN-3.1.4.4-error-codes", "UnRegister": "SWN-3.1.4.3-error-codes"}


async def _use(
    witness: Witness, client: WitnessClient, handle: ContextHandle, *, may_wait: bool = False
) -> dict[str, Outcome]:
    """Call AsyncNotify, then UnRegister, with a handle; returns how each call ended.

    ``may_wait``: AsyncNotify is allowed to stay pending, so that it is watched for the quiet time only.
    """
    deadline = witness.expect.reply_deadline
    notify = client.start(AsyncNotifyRequest(handle))
    notified = await outcome_of(notify, witness.expect.quiet_time if may_wait else deadline)
    free = await witness.idle_connection(client)
    return {
        "AsyncNotify": notified,
        "UnRegister": await outcome_of(free.start(UnRegisterRequest(handle)), deadline),
    }


def _show(outcomes: dict[str, Outcome]) -> str:
    return "; ".join(f"{method}: {outcome}" for method, outcome in outcomes.items())


async def _check_still_registered(
    spec: Spec, rule: str, witness: Witness, client: WitnessClient, handle: ContextHandle
) -> None:
    """The registration still works on its own connection: AsyncNotify stays pending, UnRegister succeeds."""
    outcomes = await _use(witness, client, handle, may_wait=True)
    where = "with the valid handle on its own connection afterwards"
    spec(rule).allows(outcomes["AsyncNotify"], SILENCE, note=f"AsyncNotify {where}")
    spec(rule).allows(outcomes["UnRegister"], SUCCESS, note=f"UnRegister {where}")


# Handles that the server did not issue
# ----------------------------------------------------------------------------------------------------------


@case(
    "RPC-CTXH-mismatch",
    "SWN-3.1.4.3-never-issued-handle",
    "SWN-3.1.4.3-error-codes",
    "SWN-3.1.4.4-never-issued-handle",
    "SWN-3.1.4.4-error-codes",
    syntaxes="both",
)
@pytest.mark.parametrize("kind", [kind for kind in NEVER_ISSUED if kind != "null"])
async def test_never_issued(witness: Witness, spec: Spec, kind: str) -> None:
    """AsyncNotify and UnRegister reject a handle that the server never issued."""
    client = await witness.connect()
    handle = await witness.register(client)

    outcomes = await _use(witness, client, NEVER_ISSUED[kind](handle))

    for method, outcome in outcomes.items():
        rules = spec("RPC-CTXH-mismatch", NEVER_ISSUED_RULES[method])
        rules.allows(outcome, *REFUSALS[method], note=f"{method}, {kind} handle")
        spec(ERROR_CODES[method]).record(outcome)
        spec.choice("AMB-2", f"{method}, {kind} handle: {outcome}")


@case(
    "RPC-CTXH-null-in",
    "SWN-3.1.4.3-never-issued-handle",
    "SWN-3.1.4.3-error-codes",
    "SWN-3.1.4.4-never-issued-handle",
    "SWN-3.1.4.4-error-codes",
    syntaxes="both",
)
async def test_null_handle(witness: Witness, spec: Spec) -> None:
    """AsyncNotify and UnRegister reject a null handle."""
    client = await witness.connect()
    handle = await witness.register(client)

    outcomes = await _use(witness, client, NULL_HANDLE)

    for method, outcome in outcomes.items():
        rules = spec("RPC-CTXH-null-in", NEVER_ISSUED_RULES[method])
        rules.allows(outcome, *REFUSALS[method], NULL_CONTEXT, note=f"{method}, null handle")
        spec(ERROR_CODES[method]).record(outcome)
        spec.choice("AMB-2", f"{method}, null handle: {outcome}")
    await _check_still_registered(spec, "RPC-CTXH-null-in", witness, client, handle)


@case("RPC-CTXH-attributes", syntaxes="both")
@pytest.mark.parametrize("change", [0x1, 0x80000000, 0x7FFFFFFF], ids=hex)
async def test_attributes(witness: Witness, spec: Spec, change: int) -> None:
    """AsyncNotify and UnRegister reject an issued handle with a changed attributes field."""
    client = await witness.connect()
    handle = await witness.register(client)
    other = type(handle)(handle.attributes ^ change, handle.uuid)

    outcomes = await _use(witness, client, other)

    rule = spec("RPC-CTXH-attributes")
    for method, outcome in outcomes.items():
        note = f"{method}, attributes 0x{other.attributes:X}, issued with 0x{handle.attributes:X}"
        rule.allows(outcome, *REFUSALS[method], note=note)
    spec.choice("AMB-34", f"0x{handle.attributes:X}")


@case("RPC-CTXH-null-out-on-error", syntaxes="both")
@each_method
async def test_null_handle_on_failure(witness: Witness, spec: Spec, method: Method) -> None:
    """A Register or RegisterEx that fails returns a null handle: 20 zero octets before the code."""
    expect = witness.expect
    client = await witness.connect()
    address = await witness.address_of(0)
    failing = {
        "Version 0": method.request(witness, ip_address=address, version=0),
        "NULL NetName": method.request(witness, ip_address=address, net_name=None),
        "NULL IpAddress": method.request(witness, ip_address=None),
        "NULL ClientComputerName": method.request(witness, ip_address=address, client_computer_name=None),
        "another NetName": method.request(witness, ip_address=address, net_name="NO-CLUSTER-OF-THIS-NAME"),
    }

    for what, request in failing.items():
        call = client.start(request)
        outcome = await outcome_of(call, expect.reply_deadline)
        note = f"{method.slug} with {what}: {outcome}"
        response = call.call.response_meta
        rule = spec("RPC-CTXH-null-out-on-error")
        if response is None or outcome == SUCCESS:
            rule.record(outcome, note)  # other rules decide whether the request has to fail
            continue
        rule.equal(response.stub[:20].hex(" "), bytes(20).hex(" "), show=str, note=note)


# Where a handle is valid
# ----------------------------------------------------------------------------------------------------------


@case("RPC-CTXH-scope-association", syntaxes="both")
async def test_another_association(witness: Witness, spec: Spec) -> None:
    """AsyncNotify and UnRegister reject a handle of another association; it still works in its own."""
    client, other = await witness.connect(), await witness.connect()
    handle = await witness.register(client)

    outcomes = await _use(witness, other, handle)

    for method, outcome in outcomes.items():
        note = f"{method} in another association"
        spec("RPC-CTXH-scope-association").allows(outcome, *REFUSALS[method], note=note)
    await _check_still_registered(spec, "RPC-CTXH-scope-association", witness, client, handle)


@case("RPC-CTXH-scope-association", needs=("two-nodes",))
async def test_another_node(witness: Witness, spec: Spec) -> None:
    """AsyncNotify and UnRegister reject a handle that another node issued; it still works there."""
    client, other = await witness.connect(0), await witness.connect(1)
    handle = await witness.register(client)

    outcomes = await _use(witness, other, handle)

    for method, outcome in outcomes.items():
        note = f"{method} at another node"
        spec("RPC-CTXH-scope-association").allows(outcome, *REFUSALS[method], note=note)
    await _check_still_registered(spec, "RPC-CTXH-scope-association", witness, client, handle)


@case("RPC-CTXH-shared-in-association", needs=("two-nodes", Capability.MOVE_CLIENT))
async def test_two_connections_of_an_association(witness: Witness, cluster: Controller, spec: Spec) -> None:
    """AsyncNotify on a second connection of the association stays pending until a client move."""
    expect = witness.expect
    client = await witness.connect()
    listener = await listen(witness, client, version=1, async_notify=False)
    other = await witness.connect(assoc_group=client.rpc.core.assoc_group)

    call = other.async_notify(listener.handle)
    before = await outcome_of(call, expect.quiet_time)
    await cluster.move_client(listener.name, witness.nodes[1].name)
    after = await outcome_of(call, expect.event_deadline)

    rule = spec("RPC-CTXH-shared-in-association")
    rule.allows(before, SILENCE, note="AsyncNotify on the second connection, before the client move")
    rule.allows(after, SUCCESS, note="AsyncNotify on the second connection, after the client move")


# Which user may use a handle
# ----------------------------------------------------------------------------------------------------------


@case("RPC-CTXH-other-user", needs=("second-account",))
async def test_another_user(witness: Witness, spec: Spec) -> None:
    """Use a handle as another user, on another and on the same connection; record the results."""
    client = await witness.connect()
    group = client.rpc.core.assoc_group
    first, second = [await witness.register(client) for _ in range(2)]

    other = await witness.connect(assoc_group=group, credentials=witness.second_credentials)
    spec("RPC-CTXH-other-user").record(
        _show(await _use(witness, other, first, may_wait=True)),
        "another user on another connection of the association",
    )
    if not client.rpc.core.features & SECURITY_CONTEXT_MULTIPLEXING:
        spec("RPC-CTXH-other-user").record("not negotiated", "SecurityContextMultiplexing")
        return
    try:
        logon = await client.rpc.alter_context(**witness.logon(credentials=witness.second_credentials))
    except RpcError as error:
        spec("RPC-CTXH-other-user").record(
            outcome_of_error(error), "alter_context for a second security context on the connection"
        )
        return
    assert logon.security is not None
    call = client.start(AsyncNotifyRequest(second), security=logon.security.id)
    spec("RPC-CTXH-other-user").record(
        await outcome_of(call, witness.expect.quiet_time),
        "AsyncNotify as another user in a security context of the same connection",
    )


@case("RPC-CTXH-other-user")
@pytest.mark.parametrize(
    ("made", "used"),
    [(AuthLevel.PRIVACY, AuthLevel.INTEGRITY), (AuthLevel.INTEGRITY, AuthLevel.PRIVACY)],
    ids=["lower", "higher"],
)
async def test_another_level(witness: Witness, spec: Spec, made: AuthLevel, used: AuthLevel) -> None:
    """Use a handle at a lower or higher authentication level than its Register; record the results."""
    client = await witness.connect(level=made)
    handle = await witness.register(client)
    other = await witness.connect(level=used, assoc_group=client.rpc.core.assoc_group)

    outcomes = await _use(witness, other, handle)

    spec("RPC-CTXH-other-user").record(_show(outcomes), f"registered at {made.name}, used at {used.name}")
