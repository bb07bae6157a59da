"""alter_context, and the presentation context ids of requests and responses (C706 12.6.4.1, 12.6.4.9)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import CLOSED, case, faults, outcome_of, returns
from swn_torture.casekit.protocol import NDR32, NDR64, GetInterfaceListRequest, SyntaxId, Win32, WitnessClient
from swn_torture.casekit.steps.octets import contexts, faults_in, outcome_of_bind, syntax_name
from swn_torture.casekit.transport import ContextResult, FaultStatus, ProviderReason, ResultCode
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.witness import Witness

_TRANSFER_SYNTAX_REJECTED = (ResultCode.PROVIDER_REJECTION, ProviderReason.TRANSFER_SYNTAXES_NOT_SUPPORTED)
_ONE_CONTEXT = "the server accepts only one presentation context on a connection"
_ABSTRACT_SYNTAX_REJECTED = (ResultCode.PROVIDER_REJECTION, ProviderReason.ABSTRACT_SYNTAX_NOT_SUPPORTED)


@case("RPC-ALTER-new-context")
@pytest.mark.parametrize(
    ("added", "may_be_rejected"), [(NDR32, False), (NDR64, True)], ids=["ndr32-again", "ndr64"]
)
async def test_context_is_added(
    witness: Witness, spec: Spec, added: SyntaxId, *, may_be_rejected: bool
) -> None:
    """alter_context adds a presentation context; GetInterfaceList succeeds on every accepted context id."""
    client = await witness.connect(syntax=NDR32)

    altered = await outcome_of_bind(client.rpc.alter_context(contexts(added, first=7)))

    if altered.limit_reached:
        raise NotTestable(_ONE_CONTEXT)
    rule = spec("RPC-ALTER-new-context")
    accepted = ContextResult(ResultCode.ACCEPTANCE)
    rule.holds(
        altered.accepted == (7,) or (may_be_rejected and altered.codes == (_TRANSFER_SYNTAX_REJECTED,)),
        expected=[
            str(accepted),
            *([str(ContextResult(*_TRANSFER_SYNTAX_REJECTED))] if may_be_rejected else []),
        ],
        observed=altered,
    )
    for number, syntax in [(0, NDR32), *((each, added) for each in altered.accepted)]:
        call = WitnessClient(client.rpc, syntax, number).start(GetInterfaceListRequest())
        answer = await outcome_of(call)
        rule.allows(
            answer,
            returns(Win32.ERROR_SUCCESS),
            note=f"GetInterfaceList in {syntax_name(syntax)} on context {number}",
        )


@case("RPC-ALTER-new-context")
async def test_refused_context_leaves_the_others(witness: Witness, spec: Spec) -> None:
    """alter_context for an unknown interface is rejected in alter_context_resp; context 0 stays usable."""
    client = await witness.connect()
    unknown = contexts(NDR32, abstract=SyntaxId(uuid.uuid4(), 1, 0), first=7)

    altered = await outcome_of_bind(client.rpc.alter_context(unknown))
    answer = await outcome_of(client.start(GetInterfaceListRequest()))

    if altered.limit_reached:
        raise NotTestable(_ONE_CONTEXT)
    rule = spec("RPC-ALTER-new-context")
    rule.holds(
        altered.codes == (_ABSTRACT_SYNTAX_REJECTED,),
        expected=str(ContextResult(*_ABSTRACT_SYNTAX_REJECTED)),
        observed=altered,
    )
    rule.allows(answer, returns(Win32.ERROR_SUCCESS), note="GetInterfaceList on context 0")


@case("RPC-CTX-unknown")
@pytest.mark.parametrize("number", [99, 0xFFFF])
async def test_unknown_context(witness: Witness, spec: Spec, number: int) -> None:
    """A request on a presentation context that was never accepted gets a fault or a closed connection."""
    client = await witness.connect()

    unaccepted = WitnessClient(client.rpc, client.syntax, number)
    answer = await outcome_of(unaccepted.start(GetInterfaceListRequest()), witness.expect.reply_deadline)

    rule = spec("RPC-CTX-unknown")
    rule.allows(
        answer,
        faults(FaultStatus.NCA_S_UNK_IF),
        faults(FaultStatus.NCA_S_INVALID_PRES_CONTEXT_ID),
        faults(FaultStatus.NCA_S_PROTO_ERROR),
        CLOSED,
    )
    if answer != CLOSED:
        fields = [
            f"p_cont_id {each.context_id}, pfc_flags 0x{each.flags:02X}"
            for each in faults_in(witness.transcript)
        ]
        after = await outcome_of(client.start(GetInterfaceListRequest()))
        rule.record(
            f"{answer}: {'; '.join(fields)}; GetInterfaceList on the same connection afterwards: {after}"
        )
    await witness.check_still_serving(spec)


@case("RPC-CTXID-echo")
@pytest.mark.parametrize("numbers", [(0, 5), (5, 0), (200, 17)], ids=["0-and-5", "5-and-0", "200-and-17"])
async def test_context_id_is_echoed(witness: Witness, spec: Spec, numbers: tuple[int, int]) -> None:
    """With two presentation contexts in use, each response carries the context id of its request."""
    rpc = await witness.rpc()
    bound = await outcome_of_bind(rpc.bind(contexts(NDR32, first=numbers[0]), **witness.logon()))
    altered = await outcome_of_bind(rpc.alter_context(contexts(NDR32, first=numbers[1])))
    if altered.limit_reached:
        raise NotTestable(_ONE_CONTEXT)
    usable = bound.accepted + altered.accepted
    if not usable:
        raise spec.precondition_failed(
            "RPC-XFER-ndr20",
            expected="an accepted presentation context",
            observed=f"{bound}; {altered}",
            note="bind and alter_context as a stimulus",
        )
    # Both at once, if the connection allows several calls at a time.
    at_once = usable if rpc.core.multiplexed else ()
    started = {each: WitnessClient(rpc, NDR32, each).start(GetInterfaceListRequest()) for each in at_once}

    for number in usable:
        call = started.get(number) or WitnessClient(rpc, NDR32, number).start(GetInterfaceListRequest())
        answer = await outcome_of(call)
        meta = call.call.response_meta
        spec("RPC-CTXID-echo").holds(
            meta is not None and {pdu.context_id for pdu in meta.pdus} == {number},
            expected=f"p_cont_id {number}",
            observed=f"p_cont_id {meta.context_id}" if meta else answer,
        )
