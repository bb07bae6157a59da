"""TCP segments are independent of PDU boundaries (C706 12.6.3.1; MS-RPCE 2.1.1.1, 3.3.3)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import CLOSED, case, faults, outcome_of, returns
from swn_torture.casekit.outcome import SUCCESS, refuses_bind
from swn_torture.casekit.protocol import NDR32, WITNESS, GetInterfaceListRequest, Opnum, Win32, WitnessClient
from swn_torture.casekit.steps.octets import contexts, outcome_of_bind, outcome_of_raw_call, send_octets
from swn_torture.casekit.transport import ConnectionLost, rewrite

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.witness import Witness


@case("RPC-FRAG-tcp-segmentation")
async def test_octet_by_octet(witness: Witness, spec: Spec) -> None:
    """Bind and GetInterfaceList succeed when every octet is sent in its own TCP segment."""
    rpc = await witness.rpc()
    rpc.segment = 1

    bound = await outcome_of_bind(rpc.bind(WITNESS, **witness.logon()))
    if bound.refusal is not None:
        spec("RPC-FRAG-tcp-segmentation").holds(False, expected="bind_ack", observed=bound.refusal)  # noqa: FBT003
        raise spec.stop()
    answer = await outcome_of(WitnessClient(rpc).start(GetInterfaceListRequest()))

    spec("RPC-FRAG-tcp-segmentation").allows(answer, returns(Win32.ERROR_SUCCESS))


@case("RPC-FRAG-tcp-segmentation")
@pytest.mark.parametrize("size", [1, 12, 20])
async def test_request_in_two_parts(witness: Witness, spec: Spec, size: int) -> None:
    """A request in two parts gets a response; the server serves another connection in between."""
    client = await witness.connect()
    # The last PDU of the authentication has no answer. After this call the server has read it.
    ordinary = await outcome_of(client.start(GetInterfaceListRequest()), witness.expect.reply_deadline)
    if ordinary != SUCCESS:
        raise spec.precondition_failed(
            "SWN-3.1.4.1-returns-success", expected=str(SUCCESS), observed=ordinary, note="in one part"
        )
    number, (octets,) = client.rpc.core.request(Opnum.GET_INTERFACE_LIST, b"")
    call = client.rpc.expect(number, Opnum.GET_INTERFACE_LIST)

    client.rpc.write(octets[:size])
    await witness.check_still_serving(spec)  # then the server has read the first part alone
    with contextlib.suppress(ConnectionLost):  # the call has the same outcome
        client.rpc.write(octets[size:])
    answer = await outcome_of_raw_call(call, witness.expect.reply_deadline)

    spec("RPC-FRAG-tcp-segmentation").holds(
        answer.kind == "pdu", expected="a response", observed=answer, note=f"split after octet {size}"
    )


@case("RPC-FRAG-tcp-segmentation", needs=("multiplexing",))
async def test_two_requests_in_one_segment(witness: Witness, spec: Spec) -> None:
    """Two requests in one TCP segment both get a response."""
    client = await witness.connect()
    requests = [client.rpc.core.request(Opnum.GET_INTERFACE_LIST, b"") for _ in range(2)]
    calls = [client.rpc.expect(number, Opnum.GET_INTERFACE_LIST) for number, _ in requests]

    client.rpc.write(b"".join(octets for _, fragments in requests for octets in fragments))
    answers = [await outcome_of_raw_call(call, witness.expect.reply_deadline) for call in calls]

    for answer, which in zip(answers, ("first", "second"), strict=True):
        spec("RPC-FRAG-tcp-segmentation").holds(
            answer.kind == "pdu", expected="a response", observed=answer, note=f"the {which} request"
        )


@case("RPC-FRAG-short-header")
@pytest.mark.parametrize("length", [0, 8, 15])
async def test_bind_shorter_than_its_header(witness: Witness, spec: Spec, length: int) -> None:
    """A bind with frag_length below the header size gets a close, bind_nak or fault; others are served."""
    rpc = await witness.rpc()
    bind = rewrite(rpc.core.bind(contexts(NDR32)).pack(), frag_length=length)

    answer = await send_octets(rpc, bind, timeout=witness.expect.reply_deadline)

    spec("RPC-FRAG-short-header").allows(answer, CLOSED, refuses_bind(), faults())
    await witness.check_still_serving(spec, "RPC-FRAG-short-header")


@case("RPC-FRAG-short-header")
@pytest.mark.parametrize("length", [0, 8, 15])
async def test_request_shorter_than_its_header(witness: Witness, spec: Spec, length: int) -> None:
    """A request with frag_length below the header size gets a close or a fault; others are served."""
    client = await witness.connect()

    call = client.start(
        GetInterfaceListRequest(), tamper=lambda _, octets: rewrite(octets, frag_length=length)
    )
    answer = await outcome_of(call, witness.expect.reply_deadline)

    spec("RPC-FRAG-short-header").allows(answer, CLOSED, faults())
    await witness.check_still_serving(spec, "RPC-FRAG-short-header")


@case("RPC-FRAG-idle-partial")
async def test_partial_pdus(witness: Witness, spec: Spec) -> None:
    """While three connections have sent only 1, 12 and 20 octets of a request, others are served."""
    sizes = (1, 12, 20)
    incomplete = []
    clients = [await witness.connect() for _ in sizes]
    for size, client in zip(sizes, clients, strict=True):
        number, (octets,) = client.rpc.core.request(Opnum.GET_INTERFACE_LIST, b"")
        call = client.rpc.expect(number, Opnum.GET_INTERFACE_LIST)
        client.rpc.write(octets[:size])
        incomplete.append((client.rpc, call, octets[size:]))
    quiet = witness.expect.quiet_time

    await witness.check_still_serving(spec, "RPC-FRAG-idle-partial")
    await asyncio.gather(*(outcome_of_raw_call(call, quiet) for _, call, _ in incomplete))
    await witness.check_still_serving(spec, "RPC-FRAG-idle-partial")
    for size, (rpc, call, rest) in zip(sizes, incomplete, strict=True):
        if not call.done():
            rpc.write(rest)
        answer = await outcome_of_raw_call(call, witness.expect.reply_deadline)
        spec("RPC-FRAG-idle-partial").record(f"{size} octets, later the rest of the PDU: {answer}")
