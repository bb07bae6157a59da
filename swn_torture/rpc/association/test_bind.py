"""bind, the first PDU of a connection, and its answers.

MS-SWN 1.9, 2.1; MS-RPCE 3.3.1.5, 3.3.3.5; C706 12.6.4.3 to 12.6.4.5.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from swn_torture.casekit import CLOSED, case, faults, outcome_of, returns
from swn_torture.casekit.endpoint_mapper import MGMT, inq_if_ids
from swn_torture.casekit.outcome import refuses_bind
from swn_torture.casekit.protocol import (
    NDR32,
    WITNESS,
    GetInterfaceListRequest,
    Opnum,
    SyntaxId,
    Win32,
    WitnessClient,
    bind_time_features,
)
from swn_torture.casekit.steps.octets import contexts, outcome_of_bind, send_octets
from swn_torture.casekit.transport import (
    AuthType,
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

_ACCEPTANCE = str(ContextResult(ResultCode.ACCEPTANCE))
_UNKNOWN_INTERFACE = (ResultCode.PROVIDER_REJECTION, ProviderReason.ABSTRACT_SYNTAX_NOT_SUPPORTED)


@case("SWN-1.9-uuid", "SWN-2.1-if-version", "SWN-2.1-rpc-over-tcp")
async def test_witness_interface_on_every_node(witness: Witness, spec: Spec) -> None:
    """Bind to witness version 1.1 over TCP on every node; GetInterfaceList returns ERROR_SUCCESS (0x0)."""
    for number, node in enumerate(witness.nodes):
        rpc = await witness.rpc(number)
        bound = await outcome_of_bind(rpc.bind(contexts(NDR32, abstract=WITNESS), **witness.logon()))
        note = f"{node.name}, {node.address} port {rpc.remote[1]}"
        accepted = spec("SWN-1.9-uuid", "SWN-2.1-if-version").holds(
            bound.accepted == (0,), expected=f"{WITNESS}: {_ACCEPTANCE}", observed=bound, note=note
        )
        if not accepted:
            raise spec.stop()
        answer = await outcome_of(WitnessClient(rpc, NDR32).start(GetInterfaceListRequest()))
        spec("SWN-2.1-rpc-over-tcp").allows(answer, returns(Win32.ERROR_SUCCESS), note=note)


@case("SWN-2.1-any-user-connect")
async def test_any_user_may_bind(witness: Witness, spec: Spec) -> None:
    """An ordinary user can bind; record the answer to a bind without authentication.

    The bind uses SPNEGO or Kerberos, if the server offers one of them, because the server answers the last
    leg. It does not answer an auth3 of NTLM: a rejected logon shows only at the first call, and looks like a
    rejected caller there.
    """
    answered = (each for each in (AuthType.SPNEGO, AuthType.KERBEROS) if not witness.facts.not_offered(each))
    service = next(answered, witness.auth_type)
    users = [witness.credentials]
    second = witness.profile.second_account
    if second is not None and (service != AuthType.KERBEROS or second.has_tickets):
        users.append(witness.second_credentials)
    for user in users:
        rpc = await witness.rpc()
        bound = await outcome_of_bind(
            rpc.bind(contexts(NDR32), **witness.logon(auth_type=service, credentials=user))
        )

        spec("SWN-2.1-any-user-connect").holds(
            bound.accepted == (0,), expected=_ACCEPTANCE, observed=bound, note=f"as {user.username}"
        )
    unauthenticated = await outcome_of_bind((await witness.rpc()).bind(contexts(NDR32)))
    spec("SWN-2.1-any-user-connect").record(f"a bind without authentication: {unauthenticated}")


@case("RPC-BIND-unknown-interface")
async def test_unknown_interface(witness: Witness, spec: Spec) -> None:
    """A bind to an unknown interface is rejected in bind_ack: abstract_syntax_not_supported (1)."""
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
    """A bind with an RPC version other than 5.0 gets a bind_nak, a fault or a closed connection."""
    rpc = await witness.rpc()
    bind = dataclasses.replace(rpc.core.bind(contexts(NDR32)), version=version)

    answer = await send_octets(rpc, bind.pack(), timeout=witness.expect.reply_deadline)

    spec("RPC-BIND-version-5").allows(answer, refuses_bind(), faults(), CLOSED)
    await witness.check_still_serving(spec)


@case("RPC-BIND-version-5")
@pytest.mark.parametrize("version", [(4, 0), (5, 1)], ids=lambda v: f"{v[0]}.{v[1]}")
async def test_request_of_other_protocol_version(
    witness: Witness, spec: Spec, version: tuple[int, int]
) -> None:
    """A request with an RPC version other than 5.0 gets a fault or a closed connection."""
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
    """A bind without presentation contexts gets a bind_nak (reason 4 or 0) or a closed connection."""
    rpc = await witness.rpc()

    answer = await send_octets(rpc, rpc.core.bind(()).pack(), timeout=witness.expect.reply_deadline)

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
"""Result codes that a context element may get. A server without bind-time features rejects theirs."""

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
        }[kind][0]
        for number, kind in enumerate(order)
    )


@case("RPC-BIND-result-order")
@pytest.mark.parametrize("order", _ORDERS)
async def test_result_order(witness: Witness, spec: Spec, order: str) -> None:
    """bind_ack has one result for each proposed presentation context, in the proposed order."""
    rpc = await witness.rpc()

    bound = await outcome_of_bind(rpc.bind(_elements(_ORDERS[order]), **witness.logon()))

    allowed = [_ALLOWED[kind] for kind in _ORDERS[order]]
    spec("RPC-BIND-result-order").holds(
        len(bound.results) == len(allowed)
        and all(each.result in codes for each, codes in zip(bound.results, allowed, strict=True)),
        expected="; ".join(" or ".join(code.name.lower() for code in codes) for codes in allowed),
        observed=bound,
        note=f"proposed: {', '.join(_ORDERS[order])}",
    )


@case("RPC-BIND-second-address")
async def test_secondary_address(witness: Witness, spec: Spec) -> None:
    """The secondary address of bind_ack is the port of the connection, as text with a terminating zero."""
    rpc = await witness.rpc()

    bound = await rpc.bind(contexts(NDR32), **witness.logon())

    spec("RPC-BIND-second-address").equal(bound.bind_ack.secondary_address, b"%d\0" % rpc.remote[1])


_PER_INTERFACE = 4000
_ID_SPACE = 0x10000
_BIND_HEADER = 28
"""Octets of a bind before its first presentation context."""
_ELEMENT = 44
"""Octets of a presentation context with one transfer syntax."""


async def _interfaces_served(rpc: RpcClient) -> int | None:
    """The number of interfaces that the server returns to inq_if_ids; None if it does not answer."""
    try:
        served = await inq_if_ids(*rpc.remote)
    except RpcError:
        return None
    return len({*served, MGMT})


@case("RPC-BIND-context-limit", lasts=10)
async def test_context_limit(witness: Witness, spec: Spec) -> None:
    """Add presentation contexts: the server accepts at most 4000 for each of its interfaces."""
    client = await witness.connect()
    served = await _interfaces_served(client.rpc)
    limit = _PER_INTERFACE * (served or 2)
    per_pdu, at_once = (client.rpc.core.max_xmit - _BIND_HEADER) // _ELEMENT, 1
    accepted, number, refusal = 1, 1, ""
    while not refusal and accepted <= limit and number < _ID_SPACE:
        parts = []
        for _ in range(at_once):
            count = max(min(per_pdu, limit + 1 - accepted, _ID_SPACE - number), 0)
            parts.append(contexts(*[NDR32] * count, first=number))
            number += count
        altering = (outcome_of_bind(client.rpc.alter_context(part)) for part in parts if part)
        for bound in await asyncio.gather(*altering):
            accepted += len(bound.accepted)
            if not bound.accepted:
                refusal = refusal or str(bound.refusal or bound.results[0])
            elif len(bound.accepted) < len(bound.results):
                # A server may accept one new context of each PDU and reject the others (MS-RPCE 3.3.1.5.6).
                # Then the case sends 16 PDUs at once: one by one the round trips would take most of the time.
                per_pdu, at_once = len(bound.accepted), 16

    observed = f"{accepted} contexts accepted, then {refusal or 'no refusal'}"
    if not refusal and (served is None or accepted <= limit):
        spec("RPC-BIND-context-limit").record(
            f"{observed}; {served or 'an unknown number of'} interfaces served"
        )
    else:
        spec("RPC-BIND-context-limit").holds(
            accepted <= limit,
            expected=f"at most {limit} contexts accepted: 4000 for each of {served} interfaces",
            observed=observed,
        )
    await witness.check_still_serving(spec)


@case("RPC-REQ-before-bind")
async def test_request_before_bind(witness: Witness, spec: Spec) -> None:
    """A request before any bind gets a fault, a bind_nak or a closed connection."""
    rpc = await witness.rpc()
    request = Request(call_id=1, opnum=Opnum.GET_INTERFACE_LIST)

    answer = await send_octets(rpc, request.pack(), timeout=witness.expect.reply_deadline)

    spec("RPC-REQ-before-bind").allows(
        answer,
        faults(FaultStatus.NCA_S_PROTO_ERROR),
        refuses_bind(BindNakReason.PROTOCOL_VERSION_NOT_SUPPORTED),
        refuses_bind(BindNakReason.NOT_SPECIFIED),
        CLOSED,
    )
    await witness.check_still_serving(spec)
