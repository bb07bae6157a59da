"""Requests in fragments, and fragment sizes in bind and bind_ack (C706 12.6.3.1, 12.6.4; MS-RPCE 3.3.3.5)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import CLOSED, case, faults, outcome_of, returns
from swn_torture.casekit.outcome import outcome_of_error
from swn_torture.casekit.protocol import Opnum, Win32, encode
from swn_torture.casekit.steps.octets import bind_ack_on, outcome_of_raw_call
from swn_torture.casekit.transport import BindNakReason, BindRefused, FaultStatus, PfcFlags

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.transport import BindAck
    from swn_torture.casekit.witness import Witness

_SMALLEST = 2048
"""Windows and Samba agree to no smaller maximum fragment size than this, in octets."""

_PROTOCOL_ERROR = faults(FaultStatus.NCA_S_PROTO_ERROR)


@case("RPC-FRAG-negotiate")
@pytest.mark.parametrize(
    ("xmit", "recv"), [(4280, 4280), (2048, 2048), (4280, 2048), (2048, 4280), (5840, 5840), (0xFFFF, 0xFFFF)]
)
async def test_sizes_are_negotiated(witness: Witness, spec: Spec, xmit: int, recv: int) -> None:
    """bind_ack carries fragment sizes that do not exceed the proposed ones."""
    expected = f"bind_ack: the server sends at most {recv} octets and receives at most {xmit}"
    try:
        ack = await _bind(witness, xmit, recv)
    except BindRefused as refused:
        if refused.reason == BindNakReason.LOCAL_LIMIT_EXCEEDED:
            raise
        spec("RPC-FRAG-negotiate").holds(
            condition=False, expected=expected, observed=outcome_of_error(refused)
        )
        raise spec.stop() from refused

    spec("RPC-FRAG-negotiate").holds(
        0 < ack.max_xmit <= recv and 0 < ack.max_recv <= xmit,
        expected=expected,
        observed=f"max_xmit_frag {ack.max_xmit}, max_recv_frag {ack.max_recv}",
    )


async def _bind(witness: Witness, xmit: int, recv: int) -> BindAck:
    """Propose fragment sizes in a bind; returns bind_ack."""
    client = await witness.connect(max_xmit=xmit, max_recv=recv)
    return bind_ack_on(witness.transcript, client.rpc.number)


@case("RPC-FRAG-negotiate")
async def test_tiny_sizes(witness: Witness, spec: Spec) -> None:
    """Propose fragments of 1432 octets, fewer than Windows and Samba use; record the sizes in bind_ack."""
    try:
        ack = await _bind(witness, 1432, 1432)
    except BindRefused as refused:
        sizes = str(outcome_of_error(refused))
    else:
        sizes = f"max_xmit_frag {ack.max_xmit}, max_recv_frag {ack.max_recv}"

    spec("RPC-FRAG-negotiate").record(f"1432 octets proposed: {sizes}")


@case("RPC-FRAG-request", syntaxes="both")
async def test_request_in_three_fragments(witness: Witness, spec: Spec) -> None:
    """A registration request in three fragments succeeds like one in a single fragment."""
    client = await witness.connect()
    address = await witness.address_of(0)
    version = witness.expect.version
    make = witness.registration_ex if version >= 2 else witness.registration
    whole, fragmented = make(ip_address=address), make(ip_address=address)
    third = len(encode(fragmented, client.syntax)) // 3
    third += -third % 16  # then only the last fragment needs padding

    in_one = await outcome_of(client.start(whole))
    in_three = await outcome_of(client.start(fragmented, chunk=third))

    spec("RPC-FRAG-request").holds(
        in_three == in_one == returns(Win32.ERROR_SUCCESS),
        expected=str(returns(Win32.ERROR_SUCCESS)),
        observed=f"in one fragment: {in_one}; in fragments of {third} octets: {in_three}",
    )


_LIMIT = 4 * 1024 * 1024
_MEGABYTES = 4_000_000
"""The two readings of "4 megabytes": stub data above the larger one exceed both."""

_TOO_LARGE = faults(FaultStatus.ERROR_ACCESS_DENIED)


@case("RPC-FRAG-request-too-large", lasts=5)
async def test_request_beyond_4_megabytes(witness: Witness, spec: Spec) -> None:
    """More than 4 MB of stub data get fault ERROR_ACCESS_DENIED (0x5) or a closed connection."""
    client = await witness.connect()

    call = client.rpc.call(Opnum.GET_INTERFACE_LIST, bytes(_LIMIT + 0x2000))
    answer = await outcome_of_raw_call(call, witness.expect.reply_deadline)

    spec("RPC-FRAG-request-too-large").allows(answer, _TOO_LARGE, CLOSED)
    await witness.check_still_serving(spec)


@case("RPC-FRAG-request-too-large", lasts=5)
async def test_request_of_4_megabytes(witness: Witness, spec: Spec) -> None:
    """A request with 4 000 000 octets of stub data is not rejected for its size."""
    client = await witness.connect()

    call = client.rpc.call(Opnum.GET_INTERFACE_LIST, bytes(_MEGABYTES))
    # About 700 fragments, and the server verifies each: a busy machine needs more than the usual deadline.
    answer = await outcome_of_raw_call(call, 6 * witness.expect.reply_deadline)

    spec("RPC-FRAG-request-too-large").holds(
        answer.kind in {"pdu", "fault"} and not _TOO_LARGE.matches(answer),
        expected=f"a response, or a fault other than {_TOO_LARGE}",
        observed=answer,
    )
    await witness.check_still_serving(spec)


@case("RPC-FRAG-oversize")
async def test_oversize_fragment(witness: Witness, spec: Spec) -> None:
    """A PDU of 65 kB, above the agreed size, gets nca_s_proto_error (0x1C01000B) or a closed connection."""
    client = await witness.connect()

    call = client.rpc.call(Opnum.GET_INTERFACE_LIST, bytes(65000), fragment_size=0xFFFF)
    answer = await outcome_of_raw_call(call, witness.expect.reply_deadline)

    spec("RPC-FRAG-oversize").allows(
        answer, _PROTOCOL_ERROR, CLOSED, note=f"agreed: {client.rpc.core.max_xmit} octets"
    )
    await witness.check_still_serving(spec)


@case("RPC-FRAG-oversize")
async def test_fragment_beyond_agreed_size(witness: Witness, spec: Spec) -> None:
    """Send a PDU of 4048 octets on a connection that agreed on 2048; record the result."""
    client = await witness.connect(max_xmit=_SMALLEST, max_recv=_SMALLEST)

    call = client.rpc.call(Opnum.GET_INTERFACE_LIST, bytes(4000), fragment_size=4096)
    answer = await outcome_of_raw_call(call, witness.expect.reply_deadline)

    spec("RPC-FRAG-oversize").record(f"4048 octets where {client.rpc.core.max_xmit} are agreed: {answer}")
    await witness.check_still_serving(spec)


@case("RPC-FRAG-bad-order", "RPC-FAULT-protocol-error")
@pytest.mark.parametrize("flags", [PfcFlags.LAST, PfcFlags.NONE], ids=["last", "middle"])
async def test_fragment_without_first(witness: Witness, spec: Spec, flags: PfcFlags) -> None:
    """A middle or last fragment without a first one gets fault nca_s_proto_error (0x1C01000B)."""
    client = await witness.connect()

    call = client.rpc.call(Opnum.GET_INTERFACE_LIST, bytes(16), flags=flags)
    answer = await outcome_of_raw_call(call, witness.expect.reply_deadline)

    spec("RPC-FRAG-bad-order", "RPC-FAULT-protocol-error").allows(answer, _PROTOCOL_ERROR)
    await witness.check_still_serving(spec)


@case("RPC-FRAG-bad-order", "RPC-FAULT-protocol-error")
async def test_fragment_of_another_request(witness: Witness, spec: Spec) -> None:
    """A last fragment with another call_id than the first gets nca_s_proto_error (0x1C01000B)."""
    client = await witness.connect()
    deadline = witness.expect.reply_deadline

    begun = client.rpc.call(Opnum.GET_INTERFACE_LIST, bytes(16), flags=PfcFlags.FIRST)
    other = client.rpc.call(Opnum.GET_INTERFACE_LIST, bytes(16), flags=PfcFlags.LAST)
    # The fault carries either call_id. The other call ends with the connection, if the server closes it.
    waits = [asyncio.ensure_future(outcome_of_raw_call(call, deadline)) for call in (begun, other)]
    done, rest = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    answer = min((each.result() for each in done), key=lambda outcome: outcome.kind != "fault")
    for each in rest:
        each.cancel()

    spec("RPC-FRAG-bad-order", "RPC-FAULT-protocol-error").allows(answer, _PROTOCOL_ERROR)
    await witness.check_still_serving(spec)
