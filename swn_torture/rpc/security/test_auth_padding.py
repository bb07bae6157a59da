"""Padding before the sec_trailer of requests, responses and binds (MS-RPCE 2.2.2.11)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from swn_torture.casekit import SUCCESS, case, outcome_of
from swn_torture.casekit.outcome import Outcome, outcome_of_error
from swn_torture.casekit.protocol import (
    NDR32,
    AsyncNotifyRequest,
    ContextHandle,
    DecodeError,
    GetInterfaceListRequest,
    UnRegisterRequest,
    decode_response,
    encode,
)
from swn_torture.casekit.steps.octets import contexts, outcome_of_pdu
from swn_torture.casekit.steps.registering import each_method, forget
from swn_torture.casekit.transport import (
    AUTH_ALIGNMENT,
    HEADER_SIZE,
    AuthLevel,
    Request,
    Response,
    RpcError,
    SecTrailer,
    effective_level,
    initiator,
)

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.protocol import AnyRequest, PendingCall, WitnessClient
    from swn_torture.casekit.steps.registering import Method
    from swn_torture.casekit.witness import Witness

each_level = pytest.mark.parametrize(
    "level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY], ids=lambda value: value.name.lower()
)
LENGTHS = range(1, 33)


def _check_trailers(spec: Spec, call: PendingCall[Any], note: str) -> None:
    """Check the position of the sec_trailer and auth_pad_length in each fragment of a response."""
    meta = call.call.response_meta
    for pdu in meta.pdus if meta else ():
        offset = len(pdu.stub) + len(pdu.padding)
        spec("RPC-AUTH-padding").holds(
            pdu.trailer is not None and offset % AUTH_ALIGNMENT == 0 and len(pdu.padding) < AUTH_ALIGNMENT,
            expected="sec_trailer at a multiple of 16 octets of the PDU body, auth_pad_length below 16",
            observed=f"sec_trailer at octet {offset} of the PDU body, auth_pad_length {len(pdu.padding)}",
            note=note,
        )


@case("RPC-AUTH-padding", syntaxes="both")
@each_level
@each_method
async def test_every_length(witness: Witness, spec: Spec, method: Method, level: AuthLevel) -> None:
    """Registrations with names of 1 to 32 characters succeed; responses have at most 15 octets of padding."""
    client = await witness.connect(level=level)
    address = await witness.address_of(0)
    for length in LENGTHS:
        call = client.start(method.request(witness, ip_address=address, client_computer_name="N" * length))
        outcome = await outcome_of(call, witness.expect.reply_deadline)
        note = f"ClientComputerName of {length} characters"
        spec("RPC-AUTH-padding").allows(outcome, SUCCESS, note=note)
        _check_trailers(spec, call, note)
        await forget(witness, client, outcome)


@case("RPC-AUTH-padding", syntaxes="both")
@each_level
async def test_responses(witness: Witness, spec: Spec, level: AuthLevel) -> None:
    """Responses of different lengths have an aligned sec_trailer and at most 15 octets of padding."""
    client = await witness.connect(level=level)
    unknown = ContextHandle(0, uuid4())
    requests: dict[str, AnyRequest] = {
        "GetInterfaceList": GetInterfaceListRequest(),
        "UnRegister": UnRegisterRequest(unknown),
        "AsyncNotify": AsyncNotifyRequest(unknown),
        "Register": witness.registration(version=0, ip_address="192.0.2.1"),
    }

    for name, request in requests.items():
        call: PendingCall[Any] = client.start(request)
        outcome = await outcome_of(call, witness.expect.reply_deadline)
        spec("RPC-AUTH-padding").record(outcome, name)
        _check_trailers(spec, call, name)


# Requests with chosen padding
# ----------------------------------------------------------------------------------------------------------


async def _send_padded(
    witness: Witness,
    client: WitnessClient,
    message: AnyRequest,
    padding: bytes,
    *,
    auth_pad_length: int | None = None,
) -> Outcome:
    """Send a correctly signed request with this padding, and with another ``auth_pad_length`` if given."""
    witness.require_method(message.opnum)
    core = client.rpc.core
    (entry,) = core.security.values()
    length = len(padding) if auth_pad_length is None else auth_pad_length
    pdu = Request(
        call_id=core.next_call_id(),
        opnum=message.opnum,
        stub=encode(message, client.syntax),
        padding=padding,
        trailer=SecTrailer(entry.auth_type, entry.level, length, entry.id),
    )
    header, body, trailer = pdu.segments(entry.token_size)
    body, token = entry.context.protect(effective_level(entry.level), header, body, trailer)
    client.rpc.write(header + body + trailer + token)
    try:
        answer = await client.rpc.next_pdu(witness.expect.reply_deadline)
        if not isinstance(answer, Response):
            return outcome_of_pdu(answer)
        response = decode_response(message.opnum, answer.stub, client.syntax, byte_order=answer.byte_order)
    except (RpcError, DecodeError) as error:
        return outcome_of_error(error)
    return Outcome("result", response.result, response, opnum=message.opnum)


def _padding_needed(length: int, alignment: int = AUTH_ALIGNMENT) -> int:
    return -length % alignment


@case("RPC-AUTH-padding")
@each_level
async def test_content_of_padding(witness: Witness, spec: Spec, level: AuthLevel) -> None:
    """A request with padding octets 0xAA succeeds: their value does not matter."""
    client = await witness.connect(level=level)
    address = await witness.address_of(0)
    for length in range(1, 9):
        request = witness.registration(ip_address=address, client_computer_name="P" * length)
        octets = _padding_needed(len(encode(request, client.syntax)))
        outcome = await _send_padded(witness, client, request, b"\xaa" * octets)
        spec("RPC-AUTH-padding").allows(outcome, SUCCESS, note=f"{octets} octets 0xAA as padding")
        await forget(witness, client, outcome)


@case("RPC-AUTH-padding")
@pytest.mark.parametrize("alignment", [8, 4, 2])
async def test_less_alignment(witness: Witness, spec: Spec, alignment: int) -> None:
    """Send requests with the sec_trailer aligned to less than 16 octets; record the results."""
    address = await witness.address_of(0)
    sizes_by_outcome: dict[str, list[str]] = {}
    for length in range(1, 9):
        client = await witness.connect()
        request = witness.registration(ip_address=address, client_computer_name="A" * length)
        size = len(encode(request, client.syntax))
        padding = _padding_needed(size, alignment)
        if (size + padding) % (2 * alignment):  # not aligned to more by chance
            outcome = await _send_padded(witness, client, request, bytes(padding))
            sizes_by_outcome.setdefault(str(outcome), []).append(f"{size}+{padding}")
        await client.rpc.close()

    for outcome_text, sizes in sizes_by_outcome.items():
        spec("RPC-AUTH-padding").record(
            outcome_text, f"aligned to {alignment}, octets of stub data and padding: {', '.join(sizes)}"
        )
    await witness.check_still_serving(spec)


#: Octets of padding beyond the needed ones, and the difference of auth_pad_length from the padding.
WRONG_PADDING = {
    "16-more": (16, 0),
    "240-more": (240, 0),
    "claims-more": (0, 16),
    "claims-255": (0, 255),
    "claims-less": (16, -16),
}


@case("RPC-AUTH-padding")
@pytest.mark.parametrize("wrong", WRONG_PADDING)
async def test_wrong_padding(witness: Witness, spec: Spec, wrong: str) -> None:
    """Send a request with surplus padding or a wrong auth_pad_length; record the result."""
    surplus, difference = WRONG_PADDING[wrong]
    client = await witness.connect()
    request = witness.registration(ip_address=await witness.address_of(0), client_computer_name="PADDED")
    needed = _padding_needed(len(encode(request, client.syntax)))
    padding = bytes(needed + surplus)

    outcome = await _send_padded(
        witness, client, request, padding, auth_pad_length=min(255, max(0, len(padding) + difference))
    )

    spec("RPC-AUTH-padding").record(outcome, f"{wrong}: {len(padding)} octets, {needed} needed")
    await witness.check_still_serving(spec)


@case("RPC-AUTH-padding")
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "not-announced"])
async def test_padded_bind(witness: Witness, spec: Spec, announced: bool) -> None:
    """Send a bind with its sec_trailer padded to a multiple of 16 octets; record the answer.

    A bind has no stub data. By C706 12.6.1 it is all header, its body is empty, and the sec_trailer needs no
    padding. By another reading the body begins after the common header, and the sec_trailer needs padding.
    """
    rpc = await witness.rpc()
    service, level = witness.auth_type, witness.level
    context = initiator(service, witness.credentials, host=witness.net_name, level=level)
    entry = rpc.core.add_security(service, level, context)
    bind = rpc.core.bind(contexts(NDR32), security=entry, token=context.step(b""))
    bare = dataclasses.replace(bind, padding=b"", trailer=None, auth_value=b"")
    padding = bytes(_padding_needed(len(bare.pack()) - HEADER_SIZE))
    assert bind.trailer is not None
    trailer = dataclasses.replace(bind.trailer, pad_length=len(padding) if announced else 0)

    try:
        answer = await rpc.exchange(dataclasses.replace(bind, padding=padding, trailer=trailer))
        outcome = outcome_of_pdu(answer)
    except RpcError as error:
        outcome = outcome_of_error(error)

    spec("RPC-AUTH-padding").record(
        outcome,
        f"{len(padding)} octets before the sec_trailer of a bind, auth_pad_length {trailer.pad_length}",
    )
    await witness.check_still_serving(spec)
