"""WitnessrUnRegister, opnum 2 (MS-SWN 3.1.4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import SILENCE, case, outcome_of, returns
from swn_torture.casekit.protocol import UnRegisterRequest, Win32
from swn_torture.casekit.steps.registering import (
    MISMATCH,
    NEVER_ISSUED,
    NOT_FOUND,
    NULL_CONTEXT,
    WRONG_PARAMETER,
    Method,
    each_method,
    each_never_issued,
    listed,
    show_listed,
    unregister,
)

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.witness import Witness

SUCCESS = returns(Win32.ERROR_SUCCESS)


@case(
    "SWN-3.1.4.3-success-code",
    "SWN-3.1.4.3-returns-success",
    "SWN-3.1.4.3-removes-entry",
    syntaxes="both",
)
@each_method
async def test_unregister(witness: Witness, spec: Spec, method: Method) -> None:
    """UnRegister of a registration returns success, and AsyncNotify no longer finds the handle."""
    client = await witness.connect()
    handle = await method.register(witness, client)

    reply = await outcome_of(client.start(UnRegisterRequest(handle)))
    after = await outcome_of(client.async_notify(handle), witness.expect.reply_deadline)

    spec("SWN-3.1.4.3-success-code", "SWN-3.1.4.3-returns-success").allows(reply, SUCCESS)
    spec("SWN-3.1.4.3-removes-entry").allows(after, NOT_FOUND, MISMATCH, note="AsyncNotify afterwards")


@case("SWN-3.1.4.3-returns-success", "SWN-3.1.4.3-removes-entry", needs=("list-registrations",))
async def test_unregister_takes_it_off_the_list(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """UnRegister of one of two registrations takes that one off the server's list, and only that one."""
    client, gone, kept = await witness.connect(), witness.client_name(), witness.client_name()
    handle = await witness.register(client, client_computer_name=gone)
    await witness.register(client, client_computer_name=kept)
    before = await listed(cluster, gone, kept)

    reply = await outcome_of(client.start(UnRegisterRequest(handle)))

    after = await listed(cluster, gone, kept)
    spec("SWN-3.1.4.3-returns-success").allows(reply, SUCCESS)
    spec("SWN-3.1.4.3-removes-entry").holds(
        len(before) == 2 and [view.client_computer_name for view in after] == [kept],
        expected=f"{gone} and {kept} before, {kept} alone afterwards",
        observed=f"before: {show_listed(before)}; afterwards: {show_listed(after)}",
    )


@case("SWN-3.1.4.3-search-by-key")
@pytest.mark.parametrize("which", ["first", "second"])
async def test_unregister_one_of_two(witness: Witness, spec: Spec, which: str) -> None:
    """UnRegister of one of two equal registrations leaves the other working."""
    client = await witness.connect()
    same = {"client_computer_name": witness.client_name(), "ip_address": await witness.address_of(0)}
    handles = [await witness.register(client, **same) for _ in range(2)]
    left, stays = handles if which == "first" else reversed(handles)

    reply = await outcome_of(client.start(UnRegisterRequest(left)))
    gone = await outcome_of(client.async_notify(left), witness.expect.reply_deadline)
    kept = await outcome_of(client.async_notify(stays), witness.expect.quiet_time)

    rule = spec("SWN-3.1.4.3-search-by-key")
    rule.allows(reply, SUCCESS, note=f"UnRegister of the {which}")
    rule.allows(gone, NOT_FOUND, MISMATCH, note="AsyncNotify with its handle")
    rule.allows(kept, SILENCE, note="AsyncNotify with the handle of the other")


@case("SWN-3.1.4.2-entry-key-uuid", "SWN-3.1.4.5-entry-key-uuid")
@each_method
async def test_handles_are_not_used_again(witness: Witness, spec: Spec, method: Method) -> None:
    """Of registrations that follow each other, the one before being removed, each has a handle of its own."""
    client = await witness.connect()
    handles = []
    for _ in range(3):
        handles.append(await method.register(witness, client))
        await unregister(witness, client, handles[-1])

    spec(method.rule("entry-key-uuid")).holds(
        len({handle.uuid for handle in handles}) == len(handles),
        expected="three different UUIDs",
        observed=", ".join(str(handle.uuid) for handle in handles),
    )


@case(
    "SWN-3.1.4.3-unknown-handle",
    "SWN-V14-3.1.4.3-unknown-handle",
    "SWN-B4-unregister-invalid-parameter",
    "SWN-V14-B5-2012-not-found",
    "SWN-3.1.4.3-error-codes",
    syntaxes="both",
)
@each_method
async def test_unregister_twice(witness: Witness, spec: Spec, method: Method) -> None:
    """UnRegister of a registration that is gone is refused."""
    client = await witness.connect()
    handle = await method.register(witness, client)
    await unregister(witness, client, handle)

    reply = await outcome_of(client.start(UnRegisterRequest(handle)))

    spec(
        "SWN-3.1.4.3-unknown-handle",
        "SWN-V14-3.1.4.3-unknown-handle",
        "SWN-B4-unregister-invalid-parameter",
        "SWN-V14-B5-2012-not-found",
    ).allows(reply, WRONG_PARAMETER, NOT_FOUND)
    spec("SWN-3.1.4.3-error-codes").record(reply)
    spec.choice("AMB-1", reply)


@case("SWN-3.1.4.3-never-issued-handle", "SWN-3.1.4.3-error-codes", syntaxes="both")
@each_never_issued
async def test_unregister_of_a_handle_never_issued(witness: Witness, spec: Spec, kind: str) -> None:
    """UnRegister with a handle that the server never issued is refused."""
    client = await witness.connect()
    good = await witness.register(client)

    reply = await outcome_of(client.start(UnRegisterRequest(NEVER_ISSUED[kind](good))))

    refusals = [NOT_FOUND, WRONG_PARAMETER, MISMATCH, *([NULL_CONTEXT] if kind == "null" else [])]
    spec("SWN-3.1.4.3-never-issued-handle").allows(reply, *refusals)
    spec("SWN-3.1.4.3-error-codes").record(reply)
    spec.choice("AMB-2", f"UnRegister, {kind} handle: {reply}")
