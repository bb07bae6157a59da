"""A registration that an administrator removes: its handle is unknown afterwards (MS-SWN 3.1.4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import case, outcome_of
from swn_torture.casekit.steps.listeners import listen
from swn_torture.casekit.steps.registering import (
    CONTEXT_MISMATCH,
    METHODS,
    NOT_FOUND,
    forget,
    registration_of,
    succeeded,
    with_handle,
)

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.steps.registering import Method
    from swn_torture.casekit.witness import Witness


@case(
    "SWN-3.1.4.2-returns-success",
    "SWN-3.1.4.4-unknown-handle",
    "SWN-3.1.4.5-returns-success",
    needs=("force-unregister", "list-registrations"),
)
@pytest.mark.parametrize("method", METHODS, ids=str)
async def test_registration_is_removed(
    witness: Witness, spec: Spec, cluster: Controller, method: Method
) -> None:
    """An administrator removes a registration: its handle becomes unknown, and the client registers again."""
    expect = witness.expect
    listener = await listen(witness, version=method.version)
    key = (await registration_of(cluster, listener.name)).key

    await cluster.force_unregister(key)
    pending = await outcome_of(listener.async_notify(), expect.event_deadline)
    spec("SWN-3.1.4.4-unknown-handle").record(pending, "the call that was pending when it was removed")
    client = await witness.connect()
    same = client if listener.client.rpc.closed.is_set() else await witness.idle_connection(listener.client)
    later = await outcome_of(same.async_notify(listener.handle), expect.reply_deadline)
    spec("SWN-3.1.4.4-unknown-handle").allows(
        later, NOT_FOUND, CONTEXT_MISMATCH, note="AsyncNotify with the handle of the removed registration"
    )
    reply = await method.reply(witness, client, client_computer_name=listener.name)
    spec(method.rule("returns-success")).holds(
        succeeded(reply),
        expected="ERROR_SUCCESS (0x0) with a handle",
        observed=with_handle(reply),
        note="the same client registers again",
    )
    await forget(witness, client, reply)
