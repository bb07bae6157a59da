"""The verification trailer behind the stub data of a request (MS-RPCE 2.2.2.13)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import uuid4

import pytest

from swn_torture.casekit import case, faults, outcome_of
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import WITNESS, GetInterfaceListRequest, Opnum, SyntaxId
from swn_torture.casekit.steps.listeners import SUCCESS
from swn_torture.casekit.steps.registering import listed, show_listed
from swn_torture.casekit.transport import FaultStatus
from swn_torture.casekit.verification_trailer import (
    END,
    MUST_PROCESS,
    SIGNATURE,
    Command,
    VerificationTrailer,
    bitmask1,
    header2,
    pcontext,
    trailer,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.casekit import Outcome, Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.protocol import AnyRequest, WitnessClient
    from swn_torture.casekit.witness import Witness

#: Makes a trailer, or octets that are none, from the commands that would be right.
Maker: TypeAlias = "Callable[[dict[str, Command]], VerificationTrailer | bytes]"

#: How a request is refused whose trailer cannot be processed.
INVALID = (faults(FaultStatus.ERROR_ACCESS_DENIED), faults(FaultStatus.RPC_X_BAD_STUB_DATA))

UNKNOWN = 0x3FFD
"""A command that MS-RPCE does not define."""


def _right(client: WitnessClient, call_id: int, opnum: int) -> dict[str, Command]:
    """The three commands for a request, all true."""
    return {
        "bitmask1": bitmask1(),
        "pcontext": pcontext(WITNESS, client.syntax),
        "header2": header2(call_id=call_id, context_id=client.context_id, opnum=opnum),
    }


async def _outcome(
    witness: Witness,
    client: WitnessClient,
    make: Maker,
    message: AnyRequest | None = None,
    **options: Any,
) -> Outcome:
    """How a call ends whose request carries a trailer made of commands that would be right."""
    message = message or GetInterfaceListRequest()
    call_id = client.rpc.core.next_call_id()
    made = make(_right(client, call_id, message.opnum))
    call = client.start(message, call_id=call_id, verification=made, **options)
    return await outcome_of(call, witness.expect.reply_deadline)


@case("RPC-VT-accepted", syntaxes="both")
async def test_right_trailers(witness: Witness, spec: Spec) -> None:
    """A trailer of true commands, each alone or all in any order, does not disturb the call."""
    client = await witness.connect()
    names = ("bitmask1", "pcontext", "header2")

    def choose(order: tuple[str, ...]) -> Maker:
        return lambda right: trailer(*(right[name] for name in order))

    for order in [*((name,) for name in names), *itertools.permutations(names)]:
        outcome = await _outcome(witness, client, choose(order))
        spec("RPC-VT-accepted").allows(outcome, SUCCESS, note=", ".join(order))


@case("RPC-VT-accepted", syntaxes="both")
async def test_trailer_behind_parameters(witness: Witness, spec: Spec) -> None:
    """A trailer behind parameters of every length, in one PDU or in the last of several, is no obstacle."""
    client = await witness.connect()
    address = await witness.address_of(0)

    for length, options in itertools.product(range(1, 6), ({}, {"chunk": 48})):
        request = witness.registration(ip_address=address, client_computer_name="V" * length)
        outcome = await _outcome(witness, client, lambda right: trailer(*right.values()), request, **options)
        spec("RPC-VT-accepted").allows(
            outcome, SUCCESS, note=f"name of {length} characters{', fragmented' * bool(options)}"
        )


@case("RPC-VT-accepted")
async def test_what_is_to_be_ignored(witness: Witness, spec: Spec) -> None:
    """Unknown bits, reserved fields and the must-process flag of known commands do not disturb the call."""
    client = await witness.connect()

    def reserved(right: dict[str, Command]) -> VerificationTrailer:
        data = bytearray(right["header2"].data)
        data[1:4] = b"\xff\xff\xff"
        return trailer(Command(right["header2"].command, bytes(data)))

    def must(right: dict[str, Command]) -> VerificationTrailer:
        return trailer(*(Command(each.command | MUST_PROCESS, each.data) for each in right.values()))

    for note, make in (
        ("bitmask1 with all bits set", lambda _: trailer(bitmask1(0xFFFFFFFF))),
        ("header2 with its reserved fields set", reserved),
        ("all commands with the must-process flag", must),
    ):
        outcome = await _outcome(witness, client, make)
        spec("RPC-VT-accepted").allows(outcome, SUCCESS, note=note)


@case("RPC-VT-unknown-optional", syntaxes="both")
@pytest.mark.parametrize("size", [0, 4, 32])
async def test_unknown_command(witness: Witness, spec: Spec, size: int) -> None:
    """An unknown command without the must-process flag is skipped, wherever it stands."""
    client = await witness.connect()
    unknown = Command(UNKNOWN, b"\xa5" * size)
    hosts: dict[str, Maker] = {
        "alone": lambda _: trailer(unknown),
        "first": lambda right: trailer(unknown, *right.values()),
        "last": lambda right: trailer(*right.values(), unknown),
    }

    for place, make in hosts.items():
        outcome = await _outcome(witness, client, make)
        spec("RPC-VT-unknown-optional").allows(
            outcome, SUCCESS, note=f"command 0x{UNKNOWN:04X} of {size} octets, {place}"
        )


@case("RPC-VT-must-process", syntaxes="both")
@pytest.mark.parametrize("place", ["alone", "first", "last"])
async def test_unknown_command_to_be_processed(
    witness: Witness, cluster: Controller, spec: Spec, place: str
) -> None:
    """A request with an unknown command that must be processed is invalid: it is refused, with status 5."""
    host = await witness.connect()
    client = await witness.connect(assoc_group=host.rpc.core.assoc_group)
    request = witness.registration(ip_address=await witness.address_of(0))
    unknown = Command(UNKNOWN | MUST_PROCESS, bytes(4))

    def make(right: dict[str, Command]) -> VerificationTrailer:
        known = () if place == "alone" else tuple(right.values())
        return trailer(*known, unknown) if place == "last" else trailer(unknown, *known)

    outcome = await _outcome(witness, client, make, request)

    rule = spec("RPC-VT-must-process")
    rule.allows(outcome, *INVALID, note=place)
    if cluster.can(Capability.LIST_REGISTRATIONS):
        views = await listed(cluster, str(request.client_computer_name))
        rule.holds(not views, expected="none listed", observed=show_listed(views), note="registrations")
    await witness.check_still_serving(spec)


@case("RPC-VT-search", syntaxes="both")
@pytest.mark.parametrize("octets", [4, 8, 16, 64])
async def test_stub_padding(witness: Witness, spec: Spec, octets: int) -> None:
    """Octets between the stub data and the trailer do not hide it: it is heeded, and a right one served."""
    client = await witness.connect()

    def behind(*commands: Command) -> bytes:
        return bytes(octets) + trailer(*commands).pack()

    right = await _outcome(witness, client, lambda right: behind(*right.values()))
    unknown = Command(UNKNOWN | MUST_PROCESS)
    wrong = await _outcome(witness, client, lambda right: behind(*right.values(), unknown))

    rule = spec("RPC-VT-search")
    rule.allows(right, SUCCESS, note=f"{octets} octets in front of a right trailer")
    rule.allows(wrong, *INVALID, note=f"{octets} octets in front of one that cannot be processed")


#: A trailer that would have a request refused, if it were one: in a name it is seven harmless characters.
_TRAILER_AS_TEXT = trailer(Command(UNKNOWN | MUST_PROCESS, b"A\0B\0")).pack().decode("utf-16-le")
NAMES = {"signature": SIGNATURE.decode("utf-16-le"), "whole-trailer": _TRAILER_AS_TEXT}


@case("RPC-VT-search", syntaxes="both")
@pytest.mark.parametrize("with_trailer", [False, True], ids=["alone", "before-a-trailer"])
@pytest.mark.parametrize("text", NAMES)
async def test_trailer_in_a_name(
    witness: Witness,
    spec: Spec,
    text: str,
    with_trailer: bool,
) -> None:
    """A trailer inside a name, or its signature alone, is part of the name: the call is served."""
    client = await witness.connect()
    address = await witness.address_of(0)

    for letters in ("", "A", "AB", "ABC"):
        name = f"{letters}{NAMES[text]}{witness.client_name()}"
        request = witness.registration(ip_address=address, client_computer_name=name)
        outcome = await _outcome(
            witness, client, lambda right: trailer(*right.values()) if with_trailer else b"", request
        )
        spec("RPC-VT-search").allows(
            outcome, SUCCESS, note=f"{text} behind {len(letters)} characters of ClientComputerName"
        )


def _cut(right: dict[str, Command]) -> bytes:
    return trailer(*right.values()).pack()[:-4]


def _endless(right: dict[str, Command]) -> VerificationTrailer:
    return VerificationTrailer(tuple(right.values()))


def _twice(right: dict[str, Command]) -> VerificationTrailer:
    return trailer(right["bitmask1"], right["bitmask1"])


#: What a trailer may contradict, and how it may be broken.
CONTRADICTIONS: dict[str, Maker] = {
    "other-interface": lambda _: trailer(pcontext(SyntaxId(uuid4(), 1, 1), SyntaxId(uuid4(), 1, 0))),
    "other-opnum": lambda _: trailer(header2(call_id=1, context_id=0, opnum=Opnum.UNREGISTER)),
    "other-call-id": lambda _: trailer(header2(call_id=0x7777, context_id=0, opnum=0)),
    "no-end": _endless,
    "cut-short": _cut,
    "command-twice": _twice,
    "wrong-size": lambda _: trailer(Command(2, bytes(8))),
    "length-beyond-the-end": lambda _: trailer(Command(UNKNOWN, bytes(4), length=0xFFFC)),
    "odd-length": lambda _: trailer(Command(UNKNOWN, bytes(4), length=3)),
    "signature-alone": lambda _: SIGNATURE,
    "end-alone": lambda _: SIGNATURE + END.to_bytes(2, "little") + bytes(2),
}


@case("RPC-VT-mismatch")
@pytest.mark.parametrize("contradiction", CONTRADICTIONS)
async def test_contradiction(witness: Witness, spec: Spec, contradiction: str) -> None:
    """A trailer that contradicts the request, or is broken: whether the call is served."""
    client = await witness.connect()

    outcome = await _outcome(witness, client, CONTRADICTIONS[contradiction])

    spec("RPC-VT-mismatch").record(outcome, contradiction)
    await witness.check_still_serving(spec)


@case("RPC-VT-mismatch")
async def test_claimed_header_signing(witness: Witness, spec: Spec) -> None:
    """bitmask1 claims header signing, which the bind did not announce: whether the call is served."""
    client = await witness.connect(header_signing=False)

    outcome = await _outcome(witness, client, lambda right: trailer(right["bitmask1"]))

    spec("RPC-VT-mismatch").record(outcome, "bitmask1 claims header signing")
    await witness.check_still_serving(spec)
