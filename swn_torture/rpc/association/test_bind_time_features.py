"""Bind-time feature negotiation: the feature element of bind and its result (MS-RPCE 3.3.1.5.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import CLOSED, case, faults, outcome_of
from swn_torture.casekit.protocol import (
    NDR32,
    NULL_SYNTAX,
    GetInterfaceListRequest,
    WitnessClient,
    bind_time_features,
)
from swn_torture.casekit.steps.octets import BindOutcome, contexts, outcome_of_bind
from swn_torture.casekit.transport import FaultStatus, ResultCode
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.transport import RpcClient
    from swn_torture.casekit.witness import Witness

_DEFINED = 0x3
"""SecurityContextMultiplexing (0x1) and KeepConnectionOnOrphan (0x2)."""


async def _propose(witness: Witness, features: int) -> tuple[RpcClient, BindOutcome]:
    """Bind with NDR as context 0 and the feature element as context 1."""
    rpc = await witness.rpc()
    proposed = contexts(NDR32, bind_time_features(features))
    bound = await outcome_of_bind(rpc.bind(proposed, **witness.logon()))
    return rpc, bound


@case("RPC-BTF-negotiate")
async def test_features_are_negotiated(witness: Witness, spec: Spec) -> None:
    """bind_ack answers the feature element with negotiate_ack and the supported bits, or rejects it."""
    _, bound = await _propose(witness, _DEFINED)

    rule = spec("RPC-BTF-negotiate")
    if len(bound.results) == 2 and bound.results[1].result == ResultCode.PROVIDER_REJECTION:
        rule.record(f"bind-time features are not supported: {bound}")
        return
    rule.holds(
        len(bound.results) == 2
        and bound.results[1].result == ResultCode.NEGOTIATE_ACK
        and not bound.results[1].reason & ~_DEFINED
        and bound.results[1].transfer == NULL_SYNTAX,
        expected=[
            "second result negotiate_ack (3), reason 0 to 3, transfer syntax all zero",
            "second result provider_rejection (2), from a server without bind-time features",
        ],
        observed=f"{bound}" + (f", transfer syntax {bound.results[1].transfer}" if bound.results[1:] else ""),
    )


_REQUESTED = {
    "multiplexing": 0x1,
    "keep-connection": 0x2,
    "none": 0x0,
    "reserved-in-first-octet": 0xFC,
    "reserved-in-others": 0xFFFFFFFFFFFFFF00,
    "all": 0xFFFFFFFFFFFFFFFF,
}


@case("RPC-BTF-subset")
@pytest.mark.parametrize("which", _REQUESTED)
async def test_features_are_a_subset(witness: Witness, spec: Spec, which: str) -> None:
    """negotiate_ack sets only feature bits that are defined and were requested."""
    requested = _REQUESTED[which]
    _, bound = await _propose(witness, requested)

    if len(bound.results) == 2 and bound.results[1].result == ResultCode.PROVIDER_REJECTION:
        raise NotTestable(f"the target does not support bind-time features: {bound}")
    spec("RPC-BTF-subset").holds(
        len(bound.results) == 2 and not bound.results[1].reason & ~(requested & _DEFINED),
        expected=f"reason of the second result has no bit outside 0x{requested & _DEFINED:X}",
        observed=bound,
        note=f"requested 0x{requested:016X}",
    )


@case("RPC-BTF-no-request")
async def test_no_features_without_request(witness: Witness, spec: Spec) -> None:
    """Without a feature element bind_ack has one result per context and no negotiate_ack."""
    rpc = await witness.rpc()
    bound = await outcome_of_bind(rpc.bind(contexts(NDR32), **witness.logon()))

    rule = spec("RPC-BTF-no-request")
    if not rule.holds(
        bound.accepted == (0,) and len(bound.results) == 1,
        expected="one result, acceptance (0)",
        observed=bound,
    ):
        raise spec.stop()
    second = await outcome_of_bind(rpc.alter_context(**witness.logon()))
    rule.record(f"alter_context with a second security context, not negotiated: {second}")


@case("RPC-BTF-not-a-context")
async def test_feature_element_is_not_a_context(witness: Witness, spec: Spec) -> None:
    """A request on the context id of the feature element gets a fault or a closed connection."""
    rpc, bound = await _propose(witness, _DEFINED)

    call = WitnessClient(rpc, NDR32, context_id=1).start(GetInterfaceListRequest())
    answer = await outcome_of(call, witness.expect.reply_deadline)

    spec("RPC-BTF-not-a-context").allows(
        answer,
        faults(FaultStatus.NCA_S_UNK_IF),
        faults(FaultStatus.NCA_S_INVALID_PRES_CONTEXT_ID),
        faults(FaultStatus.NCA_S_PROTO_ERROR),
        CLOSED,
        note=f"{bound}",
    )
    await witness.check_still_serving(spec)
