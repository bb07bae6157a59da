"""Presentation contexts added to a connection, and requests that name them (C706 12.6.4.1, 12.6.4.9)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import CLOSED, case, faults, outcome_of, returns
from swn_torture.casekit.protocol import NDR32, NDR64, GetInterfaceListRequest, SyntaxId, Win32, WitnessClient
from swn_torture.casekit.steps.octets import contexts, faults_in, outcome_of_bind, syntax_name
from swn_torture.casekit.transport import ContextResult, FaultStatus, ProviderReason, ResultCode

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.witness import Witness

_UNSUPPORTED = (ResultCode.PROVIDER_REJECTION, ProviderReason.TRANSFER_SYNTAXES_NOT_SUPPORTED)
_UNKNOWN = (ResultCode.PROVIDER_REJECTION, ProviderReason.ABSTRACT_SYNTAX_NOT_SUPPORTED)


@case("RPC-ALTER-new-context")
@pytest.mark.parametrize(
    ("added", "refusable"), [(NDR32, False), (NDR64, True)], ids=["ndr32-again", "ndr64"]
)
async def test_context_is_added(witness: Witness, spec: Spec, added: SyntaxId, *, refusable: bool) -> None:
    """alter_context adds a context to a connection bound in NDR, and every accepted id is usable."""
    client = await witness.connect(syntax=NDR32)

    altered = await outcome_of_bind(client.rpc.alter_context(contexts(added, first=7)))

    rule = spec("RPC-ALTER-new-context")
    accepted = ContextResult(ResultCode.ACCEPTANCE)
    rule.holds(
        altered.accepted == (7,) or (refusable and altered.codes == (_UNSUPPORTED,)),
        expected=[str(accepted), *([str(ContextResult(*_UNSUPPORTED))] if refusable else [])],
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
    """alter_context for an unknown interface is refused inside its answer; the first context stays usable."""
    client = await witness.connect()
    unknown = contexts(NDR32, abstract=SyntaxId(uuid.uuid4(), 1, 0), first=7)

    altered = await outcome_of_bind(client.rpc.alter_context(unknown))
    answer = await outcome_of(client.start(GetInterfaceListRequest()))

    rule = spec("RPC-ALTER-new-context")
    rule.holds(altered.codes == (_UNKNOWN,), expected=str(ContextResult(*_UNKNOWN)), observed=altered)
    rule.allows(answer, returns(Win32.ERROR_SUCCESS), note="GetInterfaceList on context 0")


@case("RPC-CTX-unknown")
@pytest.mark.parametrize("number", [99, 0xFFFF])
async def test_unknown_context(witness: Witness, spec: Spec, number: int) -> None:
    """A request on a context that was never accepted is refused."""
    client = await witness.connect()

    stray = WitnessClient(client.rpc, client.syntax, number)
    answer = await outcome_of(stray.start(GetInterfaceListRequest()), witness.expect.reply_deadline)

    rule = spec("RPC-CTX-unknown")
    rule.allows(
        answer,
        faults(FaultStatus.NCA_S_UNK_IF),
        faults(FaultStatus.NCA_S_INVALID_PRES_CONTEXT_ID),
        faults(FaultStatus.NCA_S_PROTO_ERROR),
        CLOSED,
    )
    if answer != CLOSED:
        notified = [
            f"p_cont_id {each.context_id}, pfc_flags 0x{each.flags:02X}"
            for each in faults_in(witness.transcript)
        ]
        after = await outcome_of(client.start(GetInterfaceListRequest()))
        rule.record(
            f"{answer}: {'; '.join(notified)}; GetInterfaceList on the same connection afterwards: {after}"
        )
    await witness.check_still_serving(spec)


@case("RPC-CTXID-echo")
@pytest.mark.parametrize("numbers", [(0, 5), (5, 0), (200, 17)], ids=["0-and-5", "5-and-0", "200-and-17"])
async def test_context_id_is_echoed(witness: Witness, spec: Spec, numbers: tuple[int, int]) -> None:
    """Responses carry the context id of their requests, with two contexts in use at once."""
    rpc = await witness.rpc()
    bound = await outcome_of_bind(rpc.bind(contexts(NDR32, first=numbers[0]), **witness.logon()))
    altered = await outcome_of_bind(rpc.alter_context(contexts(NDR32, first=numbers[1])))
    usable = bound.accepted + altered.accepted
    if not usable:
        raise spec.precondition_failed(
            "RPC-XFER-ndr20", expected="a context accepted", observed=f"{bound}; {altered}", note="stimulus"
        )
    calls = [(each, WitnessClient(rpc, NDR32, each).start(GetInterfaceListRequest())) for each in usable]

    for number, call in calls:
        answer = await outcome_of(call)
        meta = call.call.response_meta
        spec("RPC-CTXID-echo").holds(
            meta is not None and {pdu.context_id for pdu in meta.pdus} == {number},
            expected=f"p_cont_id {number}",
            observed=f"p_cont_id {meta.context_id}" if meta else answer,
        )


@case("RPC-REQ-object-uuid")
@pytest.mark.parametrize("which", ["nil", "random"])
async def test_object_uuid(witness: Witness, spec: Spec, which: str) -> None:
    """A request with an object UUID is answered like one without."""
    client = await witness.connect()
    target = uuid.UUID(int=0) if which == "nil" else uuid.uuid4()

    answer = await outcome_of(client.start(GetInterfaceListRequest(), object_uuid=target))

    spec("RPC-REQ-object-uuid").allows(answer, returns(Win32.ERROR_SUCCESS))
