"""Agreeing on NDR or NDR64, and speaking it (MS-RPCE 2.2.5, 3.3.1.5.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from swn_torture.casekit import case, outcome_of, returns
from swn_torture.casekit.protocol import (
    NDR32,
    NDR64,
    WITNESS,
    GetInterfaceListRequest,
    SyntaxId,
    Win32,
    WitnessClient,
    bind_time_features,
)
from swn_torture.casekit.steps.octets import BindOutcome, contexts, outcome_of_bind, syntax_name
from swn_torture.casekit.transport import (
    LITTLE_ENDIAN,
    ContextResult,
    PresentationContext,
    ProviderReason,
    ResultCode,
)
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.transport import RpcClient
    from swn_torture.casekit.witness import Witness

_NO_COMMON_SYNTAX = (ResultCode.PROVIDER_REJECTION, ProviderReason.TRANSFER_SYNTAXES_NOT_SUPPORTED)


async def _offer(
    witness: Witness, *transfers: SyntaxId, features: bool = False
) -> tuple[RpcClient, BindOutcome]:
    """Bind with one context for each transfer syntax, and the bind-time features behind them if wanted."""
    rpc = await witness.rpc()
    offered = contexts(*transfers, *([bind_time_features()] if features else []))
    return rpc, await outcome_of_bind(rpc.bind(offered, **witness.logon()))


async def _ndr64(witness: Witness) -> WitnessClient:
    """A connection that speaks NDR64, if the target does."""
    rpc, bound = await _offer(witness, NDR64)
    if not bound.accepted:
        raise NotTestable(f"the target does not support NDR64: {bound}")
    return WitnessClient(rpc, NDR64)


@case("RPC-XFER-ndr20")
async def test_ndr_alone(witness: Witness, spec: Spec) -> None:
    """A bind that offers NDR alone is accepted, and calls on it are answered."""
    rpc, bound = await _offer(witness, NDR32)

    rule = spec("RPC-XFER-ndr20")
    if not rule.holds(
        bound.accepted == (0,), expected=str(ContextResult(ResultCode.ACCEPTANCE)), observed=bound
    ):
        raise spec.stop()
    answer = await outcome_of(WitnessClient(rpc, NDR32).start(GetInterfaceListRequest()))
    rule.allows(answer, returns(Win32.ERROR_SUCCESS))


@case("RPC-XFER-unknown")
@pytest.mark.parametrize("count", [1, 3], ids=["one", "three"])
async def test_unknown_transfer_syntax(witness: Witness, spec: Spec, count: int) -> None:
    """A bind whose only context offers transfer syntaxes that nobody knows is refused inside bind_ack."""
    rpc = await witness.rpc()
    unknown = tuple(SyntaxId(uuid4(), 1, 0) for _ in range(count))

    bound = await outcome_of_bind(rpc.bind([PresentationContext(0, WITNESS, unknown)], **witness.logon()))

    spec("RPC-XFER-unknown").holds(
        bound.codes == (_NO_COMMON_SYNTAX,), expected=str(ContextResult(*_NO_COMMON_SYNTAX)), observed=bound
    )


@case("RPC-XFER-ndr64")
async def test_ndr64_alone(witness: Witness, spec: Spec) -> None:
    """A bind that offers NDR64 alone is accepted or refused inside bind_ack."""
    _, bound = await _offer(witness, NDR64)

    spec("RPC-XFER-ndr64").record(bound)
    await witness.check_still_serving(spec)


@case("RPC-XFER-ndr64-negotiation")
@pytest.mark.parametrize("transfers", [(NDR32, NDR64), (NDR64, NDR32)], ids=["ndr32-ndr64", "ndr64-ndr32"])
async def test_both_offered(witness: Witness, spec: Spec, transfers: tuple[SyntaxId, ...]) -> None:
    """Of NDR and NDR64 in contexts of their own one is accepted, and calls on it are answered."""
    rpc, bound = await _offer(witness, *transfers, features=True)

    rule = spec("RPC-XFER-ndr64-negotiation")
    codes = sorted(each.result for each in bound.results[:2])
    if not rule.holds(
        codes == [ResultCode.ACCEPTANCE, ResultCode.PROVIDER_REJECTION],
        expected="one acceptance (0) and one provider_rejection (2) for the first two contexts",
        observed=bound,
    ):
        raise spec.stop()
    (agreed,) = (number for number in bound.accepted if number < len(transfers))
    client = WitnessClient(rpc, transfers[agreed], agreed)
    answer = await outcome_of(client.start(GetInterfaceListRequest()))
    rule.allows(
        answer,
        returns(Win32.ERROR_SUCCESS),
        note=f"GetInterfaceList in {syntax_name(transfers[agreed])} on context {agreed}",
    )


@case("RPC-XFER-ndr64-layout", "RPC-XFER-ndr64-drep")
async def test_ndr64_stubs(witness: Witness, spec: Spec) -> None:
    """GetInterfaceList over NDR64 tells in NDR64 what it tells over NDR."""
    client = await _ndr64(witness)
    before = await witness.interfaces()
    call = client.start(GetInterfaceListRequest())
    answer = await outcome_of(call)
    after = await witness.interfaces()

    if not spec("RPC-XFER-ndr64-layout").allows(answer, returns(Win32.ERROR_SUCCESS)):
        raise spec.stop()
    notified = answer.response.interface_list
    notified = tuple(notified.interfaces or ()) if notified else ()
    spec("RPC-XFER-ndr64-layout").holds(
        notified in (before, after),
        expected=f"the list that NDR tells: {before}",
        observed=notified,
    )
    assert call.call.response_meta is not None
    dreps = {pdu.drep for pdu in call.call.response_meta.pdus}
    spec("RPC-XFER-ndr64-drep").equal(dreps, {LITTLE_ENDIAN}, show=_drep_text)


def _drep_text(dreps: object) -> str:
    assert isinstance(dreps, set)
    return f"data representation {' and '.join(sorted(drep.hex(' ') for drep in dreps))}"


@case("RPC-XFER-preferred")
async def test_preferred_syntax(witness: Witness, spec: Spec) -> None:
    """The server takes the syntax it prefers whatever the order, or else the first that it supports."""
    orders = {"NDR, NDR64": (NDR32, NDR64), "NDR64, NDR": (NDR64, NDR32)}
    taken: dict[str, set[SyntaxId]] = {}
    shown: list[str] = []
    for name, transfers in [*orders.items()] * 2:
        _, bound = await _offer(witness, *transfers)
        taken.setdefault(name, set()).update(transfers[number] for number in bound.accepted)
        shown.append(f"{name}: {bound}")

    always = [{NDR32}, {NDR64}]
    first = [{transfers[0]} for transfers in orders.values()]
    spec("RPC-XFER-preferred").holds(
        [*taken.values()] in ([each, each] for each in always) or [*taken.values()] == first,
        expected=["always the same transfer syntax", "always the first one offered"],
        observed="; ".join(shown),
    )


@case("RPC-XFER-preferred")
async def test_preferred_syntax_in_one_context(witness: Witness, spec: Spec) -> None:
    """Of NDR and NDR64 in one context the server takes the one it prefers, or else the first, each time."""
    orders = ((NDR32, NDR64), (NDR64, NDR32))
    taken: list[SyntaxId] = []
    for transfers in orders * 2:
        rpc = await witness.rpc()
        bind = rpc.bind([PresentationContext(0, WITNESS, transfers)], **witness.logon())
        bound = await outcome_of_bind(bind)
        if bound.accepted != (0,):
            spec("RPC-XFER-preferred").holds(False, expected="acceptance (0)", observed=bound)  # noqa: FBT003
            raise spec.stop()
        taken.append(bound.results[0].transfer)

    first = [transfers[0] for transfers in orders * 2]
    spec("RPC-XFER-preferred").holds(
        len(set(taken)) == 1 or taken == first,
        expected=["always the same transfer syntax", "always the first one offered"],
        observed=", ".join(map(syntax_name, taken)),
        note="offered: NDR, NDR64; then NDR64, NDR; then both once more",
    )


@case("RPC-XFER-preferred")
async def test_first_supported_syntax(witness: Witness, spec: Spec) -> None:
    """Of an unknown transfer syntax and NDR in one context the server takes NDR."""
    rpc = await witness.rpc()
    unknown = SyntaxId(uuid4(), 1, 0)

    bound = await outcome_of_bind(
        rpc.bind([PresentationContext(0, WITNESS, (unknown, NDR32))], **witness.logon())
    )

    spec("RPC-XFER-preferred").holds(
        bound.accepted == (0,) and bound.results[0].transfer == NDR32,
        expected="acceptance (0) of NDR",
        observed=bound,
    )
