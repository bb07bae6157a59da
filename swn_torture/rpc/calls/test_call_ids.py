"""call_id, which identifies a call on its connection (C706 12.6.3.1; MS-RPCE 3.3.3.5.2, 3.3.3.5.6)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import CLOSED, SILENCE, SUCCESS, case, faults, outcome_of
from swn_torture.casekit.endpoint_mapper import MGMT, MgmtOpnum
from swn_torture.casekit.protocol import NDR32, GetInterfaceListRequest
from swn_torture.casekit.steps.listeners import listen
from swn_torture.casekit.steps.octets import contexts, outcome_of_bind, outcome_of_raw_call, send_octets
from swn_torture.casekit.transport import AuthLevel, FaultStatus, PfcFlags, Request
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit import Outcome, Spec
    from swn_torture.casekit.transport import Call, RpcClient
    from swn_torture.casekit.witness import Witness

PROTOCOL_ERROR = faults(FaultStatus.NCA_S_PROTO_ERROR)
CALL_IDS = (7, 8, 0x100, 0x12345678, 0x7FFFFFF0)
UNKNOWN_OPNUM = 200


@case("RPC-CALLID-echo")
@pytest.mark.parametrize("level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY], ids=lambda v: v.name.lower())
async def test_answers_carry_the_id(witness: Witness, spec: Spec, level: AuthLevel) -> None:
    """Send seven requests: each response or fault carries the call_id of its request."""
    deadline = witness.expect.reply_deadline
    client = await witness.connect(level=level)
    unknown = (CALL_IDS[-1] + 1, CALL_IDS[-1] + 2)

    async def get_list(call_id: int) -> Outcome:
        return await outcome_of(client.start(GetInterfaceListRequest(), call_id=call_id), deadline)

    async def call_unknown_opnum(call_id: int) -> Outcome:
        return await outcome_of_raw_call(client.rpc.call(UNKNOWN_OPNUM, b"", call_id=call_id), deadline)

    calls = [*map(get_list, CALL_IDS), *map(call_unknown_opnum, unknown)]
    # All at once, if a connection allows several calls at a time.
    at_once = client.rpc.core.multiplexed
    outcomes = await asyncio.gather(*calls) if at_once else [await call for call in calls]

    for call_id, outcome in zip((*CALL_IDS, *unknown), outcomes, strict=True):
        if call_id in unknown:
            spec("RPC-CALLID-echo").allows(
                outcome, faults(), note=f"opnum {UNKNOWN_OPNUM} with call_id 0x{call_id:X}"
            )
        else:
            note = f"GetInterfaceList with call_id 0x{call_id:X}"
            spec("RPC-CALLID-echo").allows(outcome, SUCCESS, note=note)


SEQUENCES = {"lower": (10, 9), "much-lower": (0x1000, 1), "zero": (10, 0), "wrapped": (0x7FFFFFFF, 1)}


@case("RPC-CALLID-monotonic")
@pytest.mark.parametrize("order", SEQUENCES)
async def test_ids_that_do_not_increase(witness: Witness, spec: Spec, order: str) -> None:
    """A decreasing call_id gets fault nca_s_proto_error (0x1C01000B) or a closed connection."""
    deadline = witness.expect.reply_deadline
    first, second = SEQUENCES[order]
    client = await witness.connect()
    first_outcome = await outcome_of(client.start(GetInterfaceListRequest(), call_id=first), deadline)
    if not spec("RPC-CALLID-monotonic").allows(first_outcome, SUCCESS, note=f"call_id {first}"):
        raise spec.stop()

    outcome = await outcome_of(client.start(GetInterfaceListRequest(), call_id=second), deadline)

    spec("RPC-CALLID-monotonic").allows(
        outcome, PROTOCOL_ERROR, CLOSED, note=f"call_id 0x{second:X} after 0x{first:X}"
    )
    await witness.check_still_serving(spec)


@case("RPC-CALLID-monotonic")
async def test_large_and_repeated_call_ids(witness: Witness, spec: Spec) -> None:
    """Send call_id 0x80000000 and the call_id of a completed and of a pending call; record the results."""
    expect = witness.expect
    client = await witness.connect()
    await outcome_of(client.start(GetInterfaceListRequest(), call_id=10), expect.reply_deadline)
    again = await outcome_of(client.start(GetInterfaceListRequest(), call_id=10), expect.reply_deadline)

    client = await witness.connect()
    large = await outcome_of(
        client.start(GetInterfaceListRequest(), call_id=0x80000000), expect.reply_deadline
    )

    rule = spec("RPC-CALLID-monotonic")
    rule.record(again, "call_id of a completed call")
    if client.rpc.core.multiplexed:
        listener = await listen(witness, version=1)
        call_id = listener.async_notify().call.call_id
        call = listener.client.start(GetInterfaceListRequest(), call_id=call_id)
        rule.record(await outcome_of(call, expect.quiet_time), "call_id of a pending AsyncNotify")
    rule.record(large, "call_id 0x80000000, which Windows rejects (MS-RPCE note 123)")
    await witness.check_still_serving(spec)


#: How far the call_id of a late fragment is below the current one, and whether the server has to ignore it.
LATE_FRAGMENTS = {
    "by-1": (1, True),
    "by-100": (100, True),
    "by-149": (149, True),
    "by-150": (150, False),
    "by-190": (190, False),
}


@case("RPC-CALLID-old-fragment")
@pytest.mark.parametrize("below", LATE_FRAGMENTS)
async def test_late_fragment(witness: Witness, spec: Spec, below: str) -> None:
    """A non-first fragment less than 150 call ids late is ignored; a later one is a protocol error."""
    expect = witness.expect
    distance, ignored = LATE_FRAGMENTS[below]
    # The management interface is served without authentication. So it does not matter whether an ignored
    # fragment takes a sequence number, and no call is rejected for missing authentication.
    rpc = await witness.rpc()
    bound = await outcome_of_bind(rpc.bind(contexts(NDR32, abstract=MGMT)))
    before = (
        await outcome_of_raw_call(_is_server_listening(rpc, 200), expect.reply_deadline)
        if bound.accepted
        else bound
    )
    if rpc.closed.is_set() or not str(before).startswith("response"):
        raise NotTestable(f"no interface is served without authentication: {before}")
    late = Request(call_id=200 - distance, flags=PfcFlags.LAST, opnum=MgmtOpnum.IS_SERVER_LISTENING)

    outcome = await send_octets(rpc, late.pack(), timeout=expect.quiet_time)

    rule = spec("RPC-CALLID-old-fragment")
    note = f"fragment with call_id {200 - distance} after call_id 200"
    if ignored:
        if rule.allows(outcome, SILENCE, note=note):
            usable = await outcome_of_raw_call(_is_server_listening(rpc, 201), expect.reply_deadline)
            rule.holds(
                str(usable).startswith("response"),
                expected="a response to the next call",
                observed=usable,
                note=note,
            )
    else:
        rule.allows(outcome, PROTOCOL_ERROR, CLOSED, note=note)
    await witness.check_still_serving(spec)


def _is_server_listening(rpc: RpcClient, call_id: int) -> Call:
    return rpc.call(MgmtOpnum.IS_SERVER_LISTENING, b"", call_id=call_id)
