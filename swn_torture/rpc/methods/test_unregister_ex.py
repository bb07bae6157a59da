"""WitnessrUnRegisterEx, opnum 5: new in revision 14.0, for version 2 only (MS-SWN 3.1.4.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import SILENCE, SUCCESS, case, outcome_of, returns
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import NULL_HANDLE, UnRegisterExRequest, UnRegisterRequest
from swn_torture.casekit.steps.registering import (
    CONTEXT_MISMATCH,
    INVALID_PARAMETER,
    NEVER_ISSUED,
    NOT_FOUND,
    NULL_CONTEXT,
    OP_RNG_ERROR,
    registrations_of,
    show_registrations,
    version_1_server,
    with_handle,
)
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.casekit import Outcome, Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.protocol import ContextHandle, WitnessClient
    from swn_torture.casekit.witness import Witness


async def unregister_ex(client: WitnessClient, handle: ContextHandle) -> Outcome:
    """Call WitnessrUnRegisterEx and return how it ended.

    Raises:
        NotTestable: the target does not have the method.
    """
    reply = await outcome_of(client.start(UnRegisterExRequest(handle)))
    if reply == OP_RNG_ERROR:
        raise NotTestable("the target has no opnum 5, which only revision 14.0 of MS-SWN defines")
    return reply


@case(
    "SWN-V14-3.1.4.6-opnum-5",
    "SWN-V14-B3-2022-out-of-range",
    syntaxes="both",
)
async def test_opnum_5(witness: Witness, spec: Spec) -> None:
    """Opnum 5 with a valid handle is UnRegisterEx or, before revision 14.0, nca_s_op_rng_error."""
    client = await witness.connect()
    handle = await witness.register(client)

    reply = await outcome_of(client.start(UnRegisterExRequest(handle)))

    spec("SWN-V14-3.1.4.6-opnum-5").allows(reply, returns(), OP_RNG_ERROR)
    spec("SWN-V14-B3-2022-out-of-range").record(reply)
    spec.choice("AMB-24", "opnum 5 is absent" if reply == OP_RNG_ERROR else f"opnum 5 is present: {reply}")


@case("SWN-V14-3.1.4.6-success", "SWN-V14-3.1.4.6-null-handle", needs=("version-2",), syntaxes="both")
async def test_unregister_ex(witness: Witness, spec: Spec) -> None:
    """UnRegisterEx of a registration returns ERROR_SUCCESS and a null handle."""
    client = await witness.connect()
    handle = await witness.register_ex(client)

    reply = await unregister_ex(client, handle)

    spec("SWN-V14-3.1.4.6-success").allows(reply, SUCCESS)
    spec("SWN-V14-3.1.4.6-null-handle").holds(
        reply == SUCCESS and reply.response.context == NULL_HANDLE,
        expected="ERROR_SUCCESS (0x0) and a handle of 20 zero octets",
        observed=with_handle(reply),
    )


@case("SWN-V14-3.1.4.6-removes", "SWN-V14-3.1.4.6-search", needs=("version-2",))
async def test_unregister_ex_one_of_two(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """After UnRegisterEx of one of two registrations, AsyncNotify works only for the other."""
    client, removed, kept = await witness.connect(), witness.client_name(), witness.client_name()
    first = await witness.register_ex(client, client_computer_name=removed)
    second = await witness.register_ex(client, client_computer_name=kept)

    reply = await unregister_ex(client, first)
    notify_removed = await outcome_of(client.async_notify(first), witness.expect.reply_deadline)
    notify_kept = await outcome_of(client.async_notify(second), witness.expect.quiet_time)

    spec("SWN-V14-3.1.4.6-removes").allows(reply, SUCCESS)
    spec("SWN-V14-3.1.4.6-removes").allows(
        notify_removed, NOT_FOUND, CONTEXT_MISMATCH, note="AsyncNotify with the same handle"
    )
    spec("SWN-V14-3.1.4.6-search").allows(
        notify_kept, SILENCE, note="AsyncNotify with the handle of the other registration"
    )
    if cluster.can(Capability.LIST_REGISTRATIONS):
        views = await registrations_of(cluster, removed, kept)
        spec("SWN-V14-3.1.4.6-removes", "SWN-V14-3.1.4.6-search").holds(
            [view.client_computer_name for view in views] == [kept],
            expected=f"{kept} listed, {removed} not",
            observed=show_registrations(views),
        )


@case("SWN-V14-3.1.4.6-unknown", needs=("version-2",), syntaxes="both")
@pytest.mark.parametrize("kind", ["used-up", *NEVER_ISSUED])
async def test_unregister_ex_of_an_unknown_handle(witness: Witness, spec: Spec, kind: str) -> None:
    """UnRegisterEx rejects the handle of a removed registration, and one never issued."""
    client = await witness.connect()
    valid = await witness.register_ex(client)
    handle = valid if kind == "used-up" else NEVER_ISSUED[kind](valid)
    if kind == "used-up":
        await unregister_ex(client, valid)

    reply = await unregister_ex(client, handle)

    allowed = [INVALID_PARAMETER, NOT_FOUND, CONTEXT_MISMATCH, *([NULL_CONTEXT] if kind == "null" else [])]
    spec("SWN-V14-3.1.4.6-unknown").allows(reply, *allowed)
    spec.choice("AMB-2", f"UnRegisterEx, {kind} handle: {reply}")
    spec.choice("AMB-24", f"UnRegisterEx of a {kind} handle: {reply}")


@case("SWN-V14-3.1.4.6-opnum-5", "SWN-3.1.4.3-returns-success")
async def test_fallback_to_unregister(
    witness: Witness, spec: Spec, variant: Callable[[str], Awaitable[Witness]]
) -> None:
    """After nca_s_op_rng_error for opnum 5, opnum 2 on the same connection returns ERROR_SUCCESS."""
    client = await witness.connect()
    handle = await witness.register(client)
    reply = await outcome_of(client.start(UnRegisterExRequest(handle)))
    if reply != OP_RNG_ERROR:
        if "no-unregister-ex" not in witness.profile.variants:
            raise NotTestable("the target has opnum 5, and the profile no [variants.no-unregister-ex]")
        older = await variant("no-unregister-ex")
        client = await older.connect()
        handle = await older.register(client)
        reply = await outcome_of(client.start(UnRegisterExRequest(handle)))

    fallback = await outcome_of(client.start(UnRegisterRequest(handle)))

    spec("SWN-V14-3.1.4.6-opnum-5").allows(reply, OP_RNG_ERROR)
    spec("SWN-3.1.4.3-returns-success").allows(
        fallback, SUCCESS, note="opnum 2 after nca_s_op_rng_error for opnum 5"
    )


@case("SWN-V14-3.1.4.6-v2-only", needs=("version-1",))
async def test_version_1_has_no_unregister_ex(
    witness: Witness, spec: Spec, variant: Callable[[str], Awaitable[Witness]]
) -> None:
    """A version 1 server returns nca_s_op_rng_error for opnum 5 and still serves others."""
    old = await version_1_server(witness, variant)
    client = await old.connect()
    handle = await old.register(client)

    reply = await outcome_of(client.start(UnRegisterExRequest(handle)))

    spec("SWN-V14-3.1.4.6-v2-only").allows(reply, OP_RNG_ERROR)
    await old.check_still_serving(spec)
