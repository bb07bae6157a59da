"""WitnessrUnRegister, opnum 2 (MS-SWN 3.1.4.3).

``test_context_handles.py`` has the handles that the server never issued.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import SILENCE, SUCCESS, case, outcome_of
from swn_torture.casekit.protocol import UnRegisterRequest
from swn_torture.casekit.steps.registering import (
    CONTEXT_MISMATCH,
    INVALID_PARAMETER,
    NOT_FOUND,
    Method,
    each_method,
    registrations_of,
    show_registrations,
    unregister,
)

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.witness import Witness


@case(
    "SWN-3.1.4.3-success-code",
    "SWN-3.1.4.3-returns-success",
    "SWN-3.1.4.3-removes-entry",
    syntaxes="both",
)
@each_method
async def test_unregister(witness: Witness, spec: Spec, method: Method) -> None:
    """UnRegister returns ERROR_SUCCESS; AsyncNotify with the same handle is then rejected."""
    client = await witness.connect()
    handle = await method.register(witness, client)

    reply = await outcome_of(client.start(UnRegisterRequest(handle)))
    after = await outcome_of(client.async_notify(handle), witness.expect.reply_deadline)

    spec("SWN-3.1.4.3-success-code", "SWN-3.1.4.3-returns-success").allows(reply, SUCCESS)
    spec("SWN-3.1.4.3-removes-entry").allows(
        after, NOT_FOUND, CONTEXT_MISMATCH, note="AsyncNotify afterwards"
    )


@case("SWN-3.1.4.3-returns-success", "SWN-3.1.4.3-removes-entry", needs=("list-registrations",))
async def test_unregister_removes_from_list(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """UnRegister of one of two registrations removes that one from the server's list, not the other."""
    client, removed, kept = await witness.connect(), witness.client_name(), witness.client_name()
    handle = await witness.register(client, client_computer_name=removed)
    await witness.register(client, client_computer_name=kept)
    before = await registrations_of(cluster, removed, kept)

    reply = await outcome_of(client.start(UnRegisterRequest(handle)))

    after = await registrations_of(cluster, removed, kept)
    spec("SWN-3.1.4.3-returns-success").allows(reply, SUCCESS)
    spec("SWN-3.1.4.3-removes-entry").holds(
        len(before) == 2 and [view.client_computer_name for view in after] == [kept],
        expected=f"{removed} and {kept} before, only {kept} afterwards",
        observed=f"before: {show_registrations(before)}; afterwards: {show_registrations(after)}",
    )


@case("SWN-3.1.4.3-search-by-key")
@pytest.mark.parametrize("which", ["first", "second"])
async def test_unregister_one_of_two(witness: Witness, spec: Spec, which: str) -> None:
    """After UnRegister of one of two equal registrations, AsyncNotify works only for the other."""
    client = await witness.connect()
    same = {"client_computer_name": witness.client_name(), "ip_address": await witness.address_of(0)}
    handles = [await witness.register(client, **same) for _ in range(2)]
    removed, kept = handles if which == "first" else reversed(handles)

    reply = await outcome_of(client.start(UnRegisterRequest(removed)))
    notify_removed = await outcome_of(client.async_notify(removed), witness.expect.reply_deadline)
    notify_kept = await outcome_of(client.async_notify(kept), witness.expect.quiet_time)

    rule = spec("SWN-3.1.4.3-search-by-key")
    rule.allows(reply, SUCCESS, note=f"UnRegister of the {which} registration")
    rule.allows(notify_removed, NOT_FOUND, CONTEXT_MISMATCH, note="AsyncNotify with the same handle")
    rule.allows(notify_kept, SILENCE, note="AsyncNotify with the handle of the other registration")


@case("SWN-3.1.4.2-entry-key-uuid", "SWN-3.1.4.5-entry-key-uuid")
@each_method
async def test_handles_are_not_used_again(witness: Witness, spec: Spec, method: Method) -> None:
    """Register and unregister three times: each registration has another handle."""
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
    """A second UnRegister with one handle returns ERROR_INVALID_PARAMETER or ERROR_NOT_FOUND."""
    client = await witness.connect()
    handle = await method.register(witness, client)
    await unregister(witness, client, handle)

    reply = await outcome_of(client.start(UnRegisterRequest(handle)))

    spec(
        "SWN-3.1.4.3-unknown-handle",
        "SWN-V14-3.1.4.3-unknown-handle",
        "SWN-B4-unregister-invalid-parameter",
        "SWN-V14-B5-2012-not-found",
    ).allows(reply, INVALID_PARAMETER, NOT_FOUND)
    spec("SWN-3.1.4.3-error-codes").record(reply)
    spec.choice("AMB-1", reply)
