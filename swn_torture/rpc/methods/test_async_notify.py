"""WitnessrAsyncNotify, opnum 3, without anything to tell: whose handle it takes (MS-SWN 3.1.4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit import case, outcome_of
from swn_torture.casekit.steps.registering import (
    MISMATCH,
    NEVER_ISSUED,
    NOT_FOUND,
    NULL_CONTEXT,
    Method,
    each_method,
    each_never_issued,
    unregister,
)

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.witness import Witness


@case("SWN-3.1.4.4-unknown-handle", "SWN-3.1.4.4-error-codes", syntaxes="both")
@each_method
async def test_async_notify_after_unregister(witness: Witness, spec: Spec, method: Method) -> None:
    """AsyncNotify with the handle of a registration that is gone is refused at once."""
    client = await witness.connect()
    handle = await method.register(witness, client)
    await unregister(witness, client, handle)

    reply = await outcome_of(client.async_notify(handle), witness.expect.reply_deadline)

    spec("SWN-3.1.4.4-unknown-handle").allows(reply, NOT_FOUND)
    spec("SWN-3.1.4.4-error-codes").record(reply)


@case("SWN-3.1.4.4-never-issued-handle", "SWN-3.1.4.4-error-codes", syntaxes="both")
@each_never_issued
async def test_async_notify_with_a_handle_never_issued(witness: Witness, spec: Spec, kind: str) -> None:
    """AsyncNotify with a handle that the server never issued is refused at once."""
    client = await witness.connect()
    good = await witness.register(client)

    stranger = NEVER_ISSUED[kind](good)
    reply = await outcome_of(client.async_notify(stranger), witness.expect.reply_deadline)

    refusals = [NOT_FOUND, MISMATCH, *([NULL_CONTEXT] if kind == "null" else [])]
    spec("SWN-3.1.4.4-never-issued-handle").allows(reply, *refusals)
    spec("SWN-3.1.4.4-error-codes").record(reply)
    spec.choice("AMB-2", f"AsyncNotify, {kind} handle: {reply}")
