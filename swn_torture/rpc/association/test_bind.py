"""The bind that opens every conversation (MS-RPCE 3.3.1.5, 3.3.3.5; C706 12.6.4.3 to 12.6.4.5)."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from swn_torture.casekit import CLOSED, case, faults, outcome_of
from swn_torture.casekit.endpoint_mapper import MGMT, inq_if_ids
from swn_torture.casekit.outcome import refuses_bind
from swn_torture.casekit.protocol import NDR32, GetInterfaceListRequest, Opnum, SyntaxId, bind_time_features
from swn_torture.casekit.steps.octets import answer_to, contexts, outcome_of_bind
from swn_torture.casekit.transport import (
    BindNakReason,
    ContextResult,
    FaultStatus,
    ProviderReason,
    Request,
    ResultCode,
    RpcError,
)

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.transport import PresentationContext, RpcClient
    from swn_torture.casekit.witness import Witness

_UNKNOWN_INTERFACE = (ResultCode.PROVIDER_REJECTION, ProviderReason.ABSTRACT_SYNTAX_NOT_SUPPORTED)


@case("RPC-BIND-unknown-interface")
async def test_unknown_interface(witness: Witness, spec: Spec) -> None:
    """A bind to an interface that nobody knows is refused inside bind_ack."""
    rpc = await witness.rpc()
    unknown = contexts(NDR32, abstract=SyntaxId(uuid4(), 1, 0))

    bound = await outcome_of_bind(rpc.bind(unknown, **witness.logon()))

    spec("RPC-BIND-unknown-interface").holds(
        bound.codes == (_UNKNOWN_INTERFACE,),
        expected=f"bind_ack: {ContextResult(*_UNKNOWN_INTERFACE)}",
        observed=bound,
    )


@case("RPC-BIND-version-5")
@pytest.mark.parametrize("version", [(4, 0), (6, 0), (5, 1), (0, 0)], ids=lambda v: f"{v[0]}.{v[1]}")
async def test_other_protocol_version(witness: Witness, spec: Spec, version: tuple[int, int]) -> None:
    """A bind of another RPC protocol version than 5.0 gets an error."""
    rpc = await witness.rpc()
    bind = dataclasses.replace(rpc.core.bind(contexts(NDR32)), version=version)

    answer = await answer_to(rpc, bind.pack(), timeout=witness.expect.reply_deadline)

    spec("RPC-BIND-version-5").allows(answer, refuses_bind(), faults(), CLOSED)
    await witness.check_still_serving(spec)


@case("RPC-BIND-version-5")
@pytest.mark.parametrize("version", [(4, 0), (5, 1)], ids=lambda v: f"{v[0]}.{v[1]}")
async def test_request_of_other_protocol_version(
    witness: Witness, spec: Spec, version: tuple[int, int]
) -> None:
    """A request of another RPC protocol version than 5.0 gets an error on a connection bound with 5.0."""
    client = await witness.connect()

    def change(_: int, request: Request) -> Request:
        return dataclasses.replace(request, version=version)

    answer = await outcome_of(
        client.start(GetInterfaceListRequest(), prepare=change), witness.expect.reply_deadline
    )

    spec("RPC-BIND-version-5").allows(answer, faults(), CLOSED)
    await witness.check_still_serving(spec)


@case("RPC-BIND-no-contexts")
async def test_no_contexts(witness: Witness, spec: Spec) -> None:
    """A bind that proposes no presentation context is refused."""
    rpc = await witness.rpc()

    answer = await answer_to(rpc, rpc.core.bind(()).pack(), timeout=witness.expect.reply_deadline)

    spec("RPC-BIND-no-contexts").allows(
        answer,
        refuses_bind(BindNakReason.PROTOCOL_VERSION_NOT_SUPPORTED),
        refuses_bind(BindNakReason.NOT_SPECIFIED),
        CLOSED,
    )
    await witness.check_still_serving(spec)


_ACCEPTED = (ResultCode.ACCEPTANCE,)
_REJECTED = (ResultCode.PROVIDER_REJECTION,)
_NEGOTIATED = (ResultCode.NEGOTIATE_ACK, ResultCode.PROVIDER_REJECTION)
"""Result codes that an element may get; a server without bind-time features rejects their element."""

_ORDERS = {
    "unknown-first": ("unknown", "witness", "features"),
    "unknown-last": ("witness", "features", "unknown"),
    "unknown-between": ("unknown", "witness", "features", "unknown", "unknown"),
}
_ALLOWED = {"unknown": _REJECTED, "witness": _ACCEPTED, "features": _NEGOTIATED}


def _elements(order: tuple[str, ...]) -> tuple[PresentationContext, ...]:
    unknown = SyntaxId(uuid4(), 1, 0)
    return tuple(
        {
            "unknown": contexts(NDR32, abstract=unknown, first=number),
            "witness": contexts(NDR32, first=number),
            "features": contexts(bind_time_features(), first=number),
        }[what][0]
        for number, what in enumerate(order)
    )


@case("RPC-BIND-result-order")
@pytest.mark.parametrize("order", _ORDERS)
async def test_result_order(witness: Witness, spec: Spec, order: str) -> None:
    """A bind of several contexts is answered by one result each, in the proposed order."""
    rpc = await witness.rpc()

    bound = await outcome_of_bind(rpc.bind(_elements(_ORDERS[order]), **witness.logon()))

    allowed = [_ALLOWED[what] for what in _ORDERS[order]]
    spec("RPC-BIND-result-order").holds(
        len(bound.results) == len(allowed)
        and all(each.result in codes for each, codes in zip(bound.results, allowed, strict=True)),
        expected="; ".join(" or ".join(code.name.lower() for code in codes) for codes in allowed),
        observed=bound,
        note=f"proposed: {', '.join(_ORDERS[order])}",
    )


@case("RPC-BIND-second-address")
async def test_secondary_address(witness: Witness, spec: Spec) -> None:
    """bind_ack names the port of the connection as secondary address, as text with a terminator."""
    rpc = await witness.rpc()

    bound = await rpc.bind(contexts(NDR32), **witness.logon())

    spec("RPC-BIND-second-address").equal(bound.bind_ack.secondary_address, b"%d\0" % rpc.remote[1])


_PER_INTERFACE = 4000
_ID_SPACE = 0x10000
_BIND_HEADER = 28
_ELEMENT = 44
"""Octets of a bind before its contexts, and of one context with one transfer syntax."""


async def _interfaces_served(rpc: RpcClient) -> int | None:
    """How many interfaces the server says it serves, None where it does not tell."""
    try:
        served = await inq_if_ids(*rpc.remote)
    except RpcError:
        return None
    return len({*served, MGMT})


@case("RPC-BIND-context-limit", lasts=10)
async def test_context_limit(witness: Witness, spec: Spec) -> None:
    """Presentation contexts without end are refused at 4000 per interface of the server at the latest."""
    client = await witness.connect()
    served = await _interfaces_served(client.rpc)
    limit = _PER_INTERFACE * (served or 2)
    step, abreast = (client.rpc.core.max_xmit - _BIND_HEADER) // _ELEMENT, 1
    have, number, refusal = 1, 1, ""
    while not refusal and have <= limit and number < _ID_SPACE:
        parts = []
        for _ in range(abreast):
            count = max(min(step, limit + 1 - have, _ID_SPACE - number), 0)
            parts.append(contexts(*[NDR32] * count, first=number))
            number += count
        altering = (outcome_of_bind(client.rpc.alter_context(part)) for part in parts if part)
        for bound in await asyncio.gather(*altering):
            have += len(bound.accepted)
            if not bound.accepted:
                refusal = refusal or str(bound.refusal or bound.results[0])
            elif len(bound.accepted) < len(bound.results):
                # A server may take one new context of a PDU and reject the others (MS-RPCE 3.3.1.5.6). Then
                # many PDUs are sent at once, or most of the time would be spent on the way.
                step, abreast = len(bound.accepted), 16

    notified = f"{have} contexts accepted, then {refusal or 'no refusal'}"
    if not refusal and (served is None or have <= limit):
        spec("RPC-BIND-context-limit").record(
            f"{notified}; {served or 'nobody tells how many'} interfaces served"
        )
    else:
        spec("RPC-BIND-context-limit").holds(
            have <= limit,
            expected=f"a refusal of more than {limit} contexts: 4000 for each of {served} interfaces",
            observed=notified,
        )
    await witness.check_still_serving(spec)


@case("RPC-REQ-before-bind")
async def test_request_before_bind(witness: Witness, spec: Spec) -> None:
    """A request as the first PDU of a connection is not processed."""
    rpc = await witness.rpc()
    request = Request(call_id=1, opnum=Opnum.GET_INTERFACE_LIST)

    answer = await answer_to(rpc, request.pack(), timeout=witness.expect.reply_deadline)

    spec("RPC-REQ-before-bind").allows(
        answer,
        faults(FaultStatus.NCA_S_PROTO_ERROR),
        refuses_bind(BindNakReason.PROTOCOL_VERSION_NOT_SUPPORTED),
        refuses_bind(BindNakReason.NOT_SPECIFIED),
        CLOSED,
    )
    await witness.check_still_serving(spec)
