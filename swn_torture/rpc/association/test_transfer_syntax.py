"""Negotiation of NDR and NDR64, and calls in NDR64 (MS-RPCE 2.2.5, 3.3.1.5.6)."""

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
from swn_torture.casekit.shown import shown
from swn_torture.casekit.steps.interface_list import in_order
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
    """Bind with one context for each transfer syntax, then the feature element if ``features``."""
    rpc = await witness.rpc()
    offered = contexts(*transfers, *([bind_time_features()] if features else []))
    return rpc, await outcome_of_bind(rpc.bind(offered, **witness.logon()))


async def _ndr64(witness: Witness) -> WitnessClient:
    """A connection bound in NDR64.

    Raises:
        NotTestable: the target does not support NDR64.
    """
    rpc, bound = await _offer(witness, NDR64)
    if not bound.accepted:
        raise NotTestable(f"the target does not support NDR64: {bound}")
    return WitnessClient(rpc, NDR64)


@case("RPC-XFER-ndr20")
async def test_ndr_alone(witness: Witness, spec: Spec) -> None:
    """A bind that offers only NDR is accepted; GetInterfaceList returns ERROR_SUCCESS (0x0)."""
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
    """A bind that offers only unknown transfer syntaxes is rejected in bind_ack with reason 2."""
    rpc = await witness.rpc()
    unknown = tuple(SyntaxId(uuid4(), 1, 0) for _ in range(count))

    bound = await outcome_of_bind(rpc.bind([PresentationContext(0, WITNESS, unknown)], **witness.logon()))

    spec("RPC-XFER-unknown").holds(
        bound.codes == (_NO_COMMON_SYNTAX,), expected=str(ContextResult(*_NO_COMMON_SYNTAX)), observed=bound
    )


@case("RPC-XFER-ndr64")
async def test_ndr64_alone(witness: Witness, spec: Spec) -> None:
    """Bind with only NDR64 offered; record whether the server accepts it."""
    _, bound = await _offer(witness, NDR64)

    spec("RPC-XFER-ndr64").record(bound)
    await witness.check_still_serving(spec)


@case("RPC-XFER-ndr64-negotiation")
@pytest.mark.parametrize("transfers", [(NDR32, NDR64), (NDR64, NDR32)], ids=["ndr32-ndr64", "ndr64-ndr32"])
async def test_both_offered(witness: Witness, spec: Spec, transfers: tuple[SyntaxId, ...]) -> None:
    """Offer NDR and NDR64 in two contexts: the server accepts one, and calls on it succeed."""
    rpc, bound = await _offer(witness, *transfers, features=True)

    rule = spec("RPC-XFER-ndr64-negotiation")
    codes = sorted(each.result for each in bound.results[:2])
    if not rule.holds(
        codes == [ResultCode.ACCEPTANCE, ResultCode.PROVIDER_REJECTION],
        expected="one acceptance (0) and one provider_rejection (2) for the first two contexts",
        observed=bound,
    ):
        raise spec.stop()
    (accepted,) = (number for number in bound.accepted if number < len(transfers))
    client = WitnessClient(rpc, transfers[accepted], accepted)
    answer = await outcome_of(client.start(GetInterfaceListRequest()))
    rule.allows(
        answer,
        returns(Win32.ERROR_SUCCESS),
        note=f"GetInterfaceList in {syntax_name(transfers[accepted])} on context {accepted}",
    )


@case("RPC-XFER-ndr64-layout", "RPC-XFER-ndr64-drep")
async def test_ndr64_stubs(witness: Witness, spec: Spec) -> None:
    """GetInterfaceList over NDR64 returns the same list as over NDR, encoded in NDR64."""
    client = await _ndr64(witness)
    before = await witness.interfaces()
    call = client.start(GetInterfaceListRequest())
    answer = await outcome_of(call)
    after = await witness.interfaces()

    if not spec("RPC-XFER-ndr64-layout").allows(answer, returns(Win32.ERROR_SUCCESS)):
        raise spec.stop()
    received = answer.response.interface_list
    interfaces = tuple(received.interfaces or ()) if received else ()
    spec("RPC-XFER-ndr64-layout").holds(
        in_order(interfaces) in (in_order(before), in_order(after)),
        expected=f"the list as returned over NDR: {shown(before)}",
        observed=interfaces,
    )
    assert call.call.response_meta is not None
    dreps = {pdu.drep for pdu in call.call.response_meta.pdus}
    spec("RPC-XFER-ndr64-drep").equal(dreps, {LITTLE_ENDIAN}, show=_drep_text)


def _drep_text(dreps: object) -> str:
    assert isinstance(dreps, set)
    return f"data representation {' and '.join(sorted(drep.hex(' ') for drep in dreps))}"


@case("RPC-XFER-preferred")
async def test_preferred_syntax(witness: Witness, spec: Spec) -> None:
    """Offer NDR and NDR64 in both orders: the server accepts always the same one, or always the first."""
    orders = {"NDR, NDR64": (NDR32, NDR64), "NDR64, NDR": (NDR64, NDR32)}
    accepted: dict[str, set[SyntaxId]] = {}
    shown: list[str] = []
    for name, transfers in [*orders.items()] * 2:
        _, bound = await _offer(witness, *transfers)
        accepted.setdefault(name, set()).update(transfers[number] for number in bound.accepted)
        shown.append(f"{name}: {bound}")

    same_each_time = [{NDR32}, {NDR64}]
    first = [{transfers[0]} for transfers in orders.values()]
    spec("RPC-XFER-preferred").holds(
        [*accepted.values()] in ([each, each] for each in same_each_time) or [*accepted.values()] == first,
        expected=["always the same transfer syntax", "always the first transfer syntax offered"],
        observed="; ".join(shown),
    )


@case("RPC-XFER-preferred")
async def test_preferred_syntax_in_one_context(witness: Witness, spec: Spec) -> None:
    """Offer NDR and NDR64 in one context: the server accepts always the same one, or always the first."""
    orders = ((NDR32, NDR64), (NDR64, NDR32))
    accepted: list[SyntaxId] = []
    for transfers in orders * 2:
        rpc = await witness.rpc()
        bind = rpc.bind([PresentationContext(0, WITNESS, transfers)], **witness.logon())
        bound = await outcome_of_bind(bind)
        if bound.accepted != (0,):
            spec("RPC-XFER-preferred").holds(False, expected="acceptance (0)", observed=bound)  # noqa: FBT003
            raise spec.stop()
        accepted.append(bound.results[0].transfer)

    first = [transfers[0] for transfers in orders * 2]
    spec("RPC-XFER-preferred").holds(
        len(set(accepted)) == 1 or accepted == first,
        expected=["always the same transfer syntax", "always the first transfer syntax offered"],
        observed=", ".join(map(syntax_name, accepted)),
        note="offered: NDR, NDR64; then NDR64, NDR; then both again",
    )


@case("RPC-XFER-preferred")
async def test_first_supported_syntax(witness: Witness, spec: Spec) -> None:
    """Offer an unknown transfer syntax and NDR in one context: the server accepts NDR."""
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
