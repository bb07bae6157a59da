"""Where TCP segments end has nothing to do with where PDUs end (C706 12.6.3.1; MS-RPCE 2.1.1.1, 3.3.3)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import CLOSED, case, faults, outcome_of, returns
from swn_torture.casekit.outcome import refuses_bind
from swn_torture.casekit.protocol import NDR32, WITNESS, GetInterfaceListRequest, Opnum, Win32, WitnessClient
from swn_torture.casekit.steps.octets import answer_to, contexts, ending
from swn_torture.casekit.transport import WHOLE, PfcFlags, rewrite

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.witness import Witness


@case("RPC-FRAG-tcp-segmentation")
async def test_octet_by_octet(witness: Witness, spec: Spec) -> None:
    """Binding and calling work when every octet comes in a TCP segment of its own."""
    rpc = await witness.rpc()
    rpc.segment = 1

    await rpc.bind(WITNESS, **witness.logon())
    answer = await outcome_of(WitnessClient(rpc).start(GetInterfaceListRequest()))

    spec("RPC-FRAG-tcp-segmentation").allows(answer, returns(Win32.ERROR_SUCCESS))


@case("RPC-FRAG-tcp-segmentation")
@pytest.mark.parametrize("size", [1, 12, 20])
async def test_request_in_two_parts(witness: Witness, spec: Spec, size: int) -> None:
    """A request is answered whose second part comes when the server has served others behind the first."""
    client = await witness.connect()
    number, (octets,) = client.rpc.core.request(Opnum.GET_INTERFACE_LIST, b"")
    call = client.rpc.expect(number, Opnum.GET_INTERFACE_LIST)

    client.rpc.write(octets[:size])
    await witness.check_still_serving(spec)  # by then the first part has been read by itself
    client.rpc.write(octets[size:])
    answer = await ending(call, witness.expect.reply_deadline)

    spec("RPC-FRAG-tcp-segmentation").holds(
        answer.kind == "pdu", expected="a response", observed=answer, note=f"cut behind octet {size}"
    )


@case("RPC-FRAG-tcp-segmentation")
async def test_two_requests_in_one_segment(witness: Witness, spec: Spec) -> None:
    """Two requests in one TCP segment are both answered."""
    client = await witness.connect()
    requests = [client.rpc.core.request(Opnum.GET_INTERFACE_LIST, b"") for _ in range(2)]
    calls = [client.rpc.expect(number, Opnum.GET_INTERFACE_LIST) for number, _ in requests]

    client.rpc.write(b"".join(octets for _, fragments in requests for octets in fragments))
    answers = [await ending(call, witness.expect.reply_deadline) for call in calls]

    spec("RPC-FRAG-tcp-segmentation").holds(
        [answer.kind for answer in answers] == ["pdu", "pdu"],
        expected="two responses",
        observed=" and ".join(map(str, answers)),
    )


@case("RPC-FRAG-short-header")
@pytest.mark.parametrize("length", [0, 8, 15])
async def test_bind_shorter_than_its_header(witness: Witness, spec: Spec, length: int) -> None:
    """A bind whose frag_length is less than a header ends the connection, and others are served."""
    rpc = await witness.rpc()
    bind = rewrite(rpc.core.bind(contexts(NDR32)).pack(), frag_length=length)

    answer = await answer_to(rpc, bind, timeout=witness.expect.reply_deadline)

    spec("RPC-FRAG-short-header").allows(answer, CLOSED, refuses_bind(), faults())
    await witness.check_still_serving(spec, "RPC-FRAG-short-header")


@case("RPC-FRAG-short-header")
@pytest.mark.parametrize("length", [0, 8, 15])
async def test_request_shorter_than_its_header(witness: Witness, spec: Spec, length: int) -> None:
    """A request whose frag_length is less than a header ends the connection, and others are served."""
    client = await witness.connect()

    call = client.start(
        GetInterfaceListRequest(), tamper=lambda _, octets: rewrite(octets, frag_length=length)
    )
    answer = await outcome_of(call, witness.expect.reply_deadline)

    spec("RPC-FRAG-short-header").allows(answer, CLOSED, faults())
    await witness.check_still_serving(spec, "RPC-FRAG-short-header")


@case("RPC-FRAG-idle-partial")
async def test_partial_pdus(witness: Witness, spec: Spec) -> None:
    """While connections are stuck at the first octet, in the header and behind it others are served."""
    sizes = (1, 12, 20)
    stuck = []
    for size in sizes:
        client = await witness.connect()
        number, (octets,) = client.rpc.core.request(Opnum.GET_INTERFACE_LIST, b"")
        call = client.rpc.expect(number, Opnum.GET_INTERFACE_LIST)
        client.rpc.write(octets[:size])
        stuck.append((client.rpc, call, octets[size:]))
    quiet = witness.expect.quiet_time

    await witness.check_still_serving(spec, "RPC-FRAG-idle-partial")
    await asyncio.gather(*(ending(call, quiet) for _, call, _ in stuck))
    await witness.check_still_serving(spec, "RPC-FRAG-idle-partial")
    for size, (rpc, call, rest) in zip(sizes, stuck, strict=True):
        if not call.done():
            rpc.write(rest)
        answer = await ending(call, witness.expect.reply_deadline)
        spec("RPC-FRAG-idle-partial").record(f"stuck behind octet {size}, then the rest of the PDU: {answer}")


@case("RPC-MAYBE")
async def test_maybe(witness: Witness, spec: Spec) -> None:
    """A request with PFC_MAYBE is answered or not, and the connection stays usable."""
    client = await witness.connect()

    maybe = client.start(GetInterfaceListRequest(), flags=WHOLE | PfcFlags.MAYBE)
    answer = await outcome_of(maybe, witness.expect.quiet_time)
    after = await outcome_of(client.start(GetInterfaceListRequest()))

    spec("RPC-MAYBE").record(f"{answer}; the next request: {after}")
    await witness.check_still_serving(spec)
