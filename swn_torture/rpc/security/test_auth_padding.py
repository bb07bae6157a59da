"""Padding in front of the security trailer of requests, responses and binds (MS-RPCE 2.2.2.11)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from swn_torture.casekit import case, outcome_of
from swn_torture.casekit.outcome import Outcome, ending_of
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
from swn_torture.casekit.steps.listeners import SUCCESS
from swn_torture.casekit.steps.octets import contexts, outcome_of_pdu
from swn_torture.casekit.steps.registering import each_method
from swn_torture.casekit.transport import (
    AUTH_ALIGNMENT,
    HEADER_SIZE,
    AuthLevel,
    AuthType,
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
    """Hold the trailers of a response to where they begin and what they say of the padding."""
    answered = call.call.response_meta
    for pdu in answered.pdus if answered else ():
        begins = len(pdu.stub) + len(pdu.padding)
        spec("RPC-AUTH-padding").holds(
            pdu.trailer is not None and begins % AUTH_ALIGNMENT == 0 and len(pdu.padding) < AUTH_ALIGNMENT,
            expected="sec_trailer at a multiple of 16 octets of the PDU body, auth_pad_length below 16",
            observed=f"sec_trailer at octet {begins} of the body, auth_pad_length {len(pdu.padding)}",
            note=note,
        )


@case("RPC-AUTH-padding", syntaxes="both")
@each_level
@each_method
async def test_every_length(witness: Witness, spec: Spec, method: Method, level: AuthLevel) -> None:
    """Requests of every length are taken with the padding they need, and responses verify."""
    client = await witness.connect(level=level)
    address = await witness.address_of(0)
    calls = [
        client.start(method.request(witness, ip_address=address, client_computer_name="N" * length))
        for length in LENGTHS
    ]

    for length, call in zip(LENGTHS, calls, strict=True):
        outcome = await outcome_of(call, witness.expect.reply_deadline)
        note = f"ClientComputerName of {length} characters"
        spec("RPC-AUTH-padding").allows(outcome, SUCCESS, note=note)
        _check_trailers(spec, call, note)


@case("RPC-AUTH-padding", syntaxes="both")
@each_level
async def test_responses(witness: Witness, spec: Spec, level: AuthLevel) -> None:
    """Responses of different lengths, among them the shortest, begin their trailers where they ought to."""
    client = await witness.connect(level=level)
    unknown = ContextHandle(0, uuid4())
    calls: dict[str, PendingCall[Any]] = {
        "GetInterfaceList": client.start(GetInterfaceListRequest()),
        "UnRegister": client.start(UnRegisterRequest(unknown)),
        "AsyncNotify": client.start(AsyncNotifyRequest(unknown)),
        "Register": client.start(witness.registration(version=0, ip_address="192.0.2.1")),
    }

    for name, call in calls.items():
        outcome = await outcome_of(call, witness.expect.reply_deadline)
        spec("RPC-AUTH-padding").record(outcome, name)
        _check_trailers(spec, call, name)


# Padding of our own
# ----------------------------------------------------------------------------------------------------------


async def _answer(
    witness: Witness,
    client: WitnessClient,
    message: AnyRequest,
    padding: bytes,
    *,
    claimed: int | None = None,
) -> Outcome:
    """How a request ends that is rightly signed and has this padding, whatever its trailer claims."""
    core = client.rpc.core
    (entry,) = core.security.values()
    length = len(padding) if claimed is None else claimed
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
        return ending_of(error)
    return Outcome("result", response.result, response)


def _needed(length: int, alignment: int = AUTH_ALIGNMENT) -> int:
    return -length % alignment


@case("RPC-AUTH-padding")
@each_level
async def test_content_of_padding(witness: Witness, spec: Spec, level: AuthLevel) -> None:
    """What the padding octets are does not matter."""
    client = await witness.connect(level=level)
    address = await witness.address_of(0)
    for length in range(1, 9):
        request = witness.registration(ip_address=address, client_computer_name="P" * length)
        octets = _needed(len(encode(request, client.syntax)))
        outcome = await _answer(witness, client, request, b"\xaa" * octets)
        spec("RPC-AUTH-padding").allows(outcome, SUCCESS, note=f"{octets} octets 0xAA as padding")


@case("RPC-AUTH-padding")
@pytest.mark.parametrize("alignment", [8, 4, 2])
async def test_less_alignment(witness: Witness, spec: Spec, alignment: int) -> None:
    """Requests whose trailers are aligned to less than 16 octets: whether they are taken."""
    address = await witness.address_of(0)
    notified: dict[str, list[str]] = {}
    for length in range(1, 9):
        client = await witness.connect()
        request = witness.registration(ip_address=address, client_computer_name="A" * length)
        size = len(encode(request, client.syntax))
        padding = _needed(size, alignment)
        if (size + padding) % (2 * alignment):  # no more than that alignment
            outcome = await _answer(witness, client, request, bytes(padding))
            notified.setdefault(str(outcome), []).append(f"{size}+{padding}")

    for outcome_text, sizes in notified.items():
        spec("RPC-AUTH-padding").record(
            outcome_text, f"aligned to {alignment}, octets of stub data and padding: {', '.join(sizes)}"
        )
    await witness.check_still_serving(spec)


#: Octets of padding beyond what is needed, and how much more (or less) the trailer claims.
LIES = {
    "16-more": (16, 0),
    "240-more": (240, 0),
    "claims-more": (0, 16),
    "claims-255": (0, 255),
    "claims-none": (16, -16),
}


@case("RPC-AUTH-padding")
@pytest.mark.parametrize("lie", LIES)
async def test_wrong_padding(witness: Witness, spec: Spec, lie: str) -> None:
    """A request with more padding than it needs, or another length of it in the trailer: what comes of it."""
    more, claims = LIES[lie]
    client = await witness.connect()
    request = witness.registration(ip_address=await witness.address_of(0), client_computer_name="PADDED")
    needed = _needed(len(encode(request, client.syntax)))
    padding = bytes(needed + more)

    outcome = await _answer(
        witness, client, request, padding, claimed=min(255, max(0, len(padding) + claims))
    )

    spec("RPC-AUTH-padding").record(outcome, f"{lie}: {len(padding)} octets, {needed} needed")
    await witness.check_still_serving(spec)


@case("RPC-AUTH-padding")
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "not-announced"])
async def test_padded_bind(witness: Witness, spec: Spec, announced: bool) -> None:
    """A bind whose trailer is moved to a multiple of 16 octets behind the common header: how it is answered.

    A bind has no stub data, so by C706 12.6.1 it is all header and its body is empty, and the trailer is
    aligned where it is. Read otherwise it has to be moved.
    """
    rpc = await witness.rpc()
    context = initiator(AuthType.NTLM, witness.credentials, host=witness.net_name, level=AuthLevel.INTEGRITY)
    entry = rpc.core.add_security(AuthType.NTLM, AuthLevel.INTEGRITY, context)
    bind = rpc.core.bind(contexts(NDR32), security=entry, token=context.step(b""))
    bare = dataclasses.replace(bind, padding=b"", trailer=None, auth_value=b"")
    padding = bytes(_needed(len(bare.pack()) - HEADER_SIZE))
    assert bind.trailer is not None
    trailer = dataclasses.replace(bind.trailer, pad_length=len(padding) if announced else 0)

    try:
        answer = await rpc.exchange(dataclasses.replace(bind, padding=padding, trailer=trailer))
        outcome = outcome_of_pdu(answer)
    except RpcError as error:
        outcome = ending_of(error)

    spec("RPC-AUTH-padding").record(
        outcome,
        f"{len(padding)} octets in front of the trailer of a bind, auth_pad_length {trailer.pad_length}",
    )
    await witness.check_still_serving(spec)
