"""WitnessrAsyncNotify, opnum 3, with the handle of a removed registration (MS-SWN 3.1.4.4).

``test_context_handles.py`` has the handles that the server never issued. The ``cluster`` suite has the
notifications.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit import case, outcome_of
from swn_torture.casekit.steps.registering import NOT_FOUND, Method, each_method, unregister

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.witness import Witness


@case("SWN-3.1.4.4-unknown-handle", "SWN-3.1.4.4-error-codes", syntaxes="both")
@each_method
async def test_async_notify_after_unregister(witness: Witness, spec: Spec, method: Method) -> None:
    """AsyncNotify with the handle of a removed registration returns ERROR_NOT_FOUND at once."""
    client = await witness.connect()
    handle = await method.register(witness, client)
    await unregister(witness, client, handle)

    reply = await outcome_of(client.async_notify(handle), witness.expect.reply_deadline)

    spec("SWN-3.1.4.4-unknown-handle").allows(reply, NOT_FOUND)
    spec("SWN-3.1.4.4-error-codes").record(reply)
