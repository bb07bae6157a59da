"""WitnessrAsyncNotify, opnum 3, without anything to tell: whose handle it takes (MS-SWN 3.1.4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.harness import case, outcome_of
from swn_torture.harness.registering import (
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
    from swn_torture.harness import Law
    from swn_torture.harness.witness import Witness


@case("SWN-3.1.4.4-unknown-handle", "SWN-3.1.4.4-error-codes", syntaxes="both")
@each_method
async def test_async_notify_after_unregister(witness: Witness, law: Law, method: Method) -> None:
    """AsyncNotify with the handle of a registration that is gone is refused at once."""
    client = await witness.connect()
    handle = await method.register(witness, client)
    await unregister(witness, client, handle)

    reply = await outcome_of(client.async_notify(handle), witness.place.profile.expect.reply_deadline)

    law("SWN-3.1.4.4-unknown-handle").allows(reply, NOT_FOUND)
    law("SWN-3.1.4.4-error-codes").record(reply)


@case("SWN-3.1.4.4-never-issued-handle", "SWN-3.1.4.4-error-codes", syntaxes="both")
@each_never_issued
async def test_async_notify_with_a_handle_never_issued(witness: Witness, law: Law, kind: str) -> None:
    """AsyncNotify with a handle that the server never issued is refused at once."""
    client = await witness.connect()
    good = await witness.register(client)

    stranger = NEVER_ISSUED[kind](good)
    reply = await outcome_of(client.async_notify(stranger), witness.place.profile.expect.reply_deadline)

    refusals = [NOT_FOUND, MISMATCH, *([NULL_CONTEXT] if kind == "null" else [])]
    law("SWN-3.1.4.4-never-issued-handle").allows(reply, *refusals)
    law("SWN-3.1.4.4-error-codes").record(reply)
    law.choice("AMB-2", f"AsyncNotify, {kind} handle: {reply}")
