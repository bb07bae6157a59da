"""The verification trailer after the stub data of a request (MS-RPCE 2.2.2.13)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import uuid4

import pytest

from swn_torture.casekit import SUCCESS, case, faults, outcome_of
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import WITNESS, GetInterfaceListRequest, Opnum, SyntaxId
from swn_torture.casekit.steps.registering import forget, registrations_of, show_registrations
from swn_torture.casekit.transport import AuthLevel, FaultStatus
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

#: Makes a trailer, or octets that are not a trailer, from the correct commands of a request.
Maker: TypeAlias = "Callable[[dict[str, Command]], VerificationTrailer | bytes]"

#: Answers to a request with a trailer that cannot be processed.
INVALID = (faults(FaultStatus.ERROR_ACCESS_DENIED), faults(FaultStatus.RPC_X_BAD_STUB_DATA))

UNKNOWN = 0x3FFD
"""A command that MS-RPCE does not define."""


def _correct_commands(client: WitnessClient, call_id: int, opnum: int) -> dict[str, Command]:
    """The three commands with the correct values for a request."""
    return {
        "bitmask1": bitmask1(),
        "pcontext": pcontext(WITNESS, client.syntax),
        "header2": header2(call_id=call_id, context_id=client.context_id, opnum=opnum),
    }


async def _call(
    witness: Witness,
    client: WitnessClient,
    make: Maker,
    message: AnyRequest | None = None,
    **options: Any,
) -> Outcome:
    """The outcome of a call with the trailer that ``make`` makes of the correct commands."""
    message = message or GetInterfaceListRequest()
    call_id = client.rpc.core.next_call_id()
    verification = make(_correct_commands(client, call_id, message.opnum))
    call = client.start(message, call_id=call_id, verification=verification, **options)
    return await outcome_of(call, witness.expect.reply_deadline)


@case("RPC-VT-accepted", syntaxes="both")
async def test_right_trailers(witness: Witness, spec: Spec) -> None:
    """A call succeeds with a trailer of correct commands, each alone or all in any order."""
    client = await witness.connect()
    names = ("bitmask1", "pcontext", "header2")

    def choose(order: tuple[str, ...]) -> Maker:
        return lambda correct: trailer(*(correct[name] for name in order))

    for order in [*((name,) for name in names), *itertools.permutations(names)]:
        outcome = await _call(witness, client, choose(order))
        spec("RPC-VT-accepted").allows(outcome, SUCCESS, note=", ".join(order))


@case("RPC-VT-accepted", syntaxes="both")
async def test_trailer_behind_parameters(witness: Witness, spec: Spec) -> None:
    """A call succeeds with a trailer after parameters of any length, in one fragment or in several."""
    client = await witness.connect()
    address = await witness.address_of(0)

    for length, options in itertools.product(range(1, 6), ({}, {"chunk": 48})):
        request = witness.registration(ip_address=address, client_computer_name="V" * length)
        outcome = await _call(witness, client, lambda correct: trailer(*correct.values()), request, **options)
        spec("RPC-VT-accepted").allows(
            outcome, SUCCESS, note=f"name of {length} characters{', fragmented' * bool(options)}"
        )
        await forget(witness, client, outcome)


@case("RPC-VT-accepted", syntaxes="both")
@pytest.mark.parametrize("level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY], ids=["integrity", "privacy"])
async def test_first_request_as_windows(witness: Witness, spec: Spec, level: AuthLevel) -> None:
    """As from Windows: a first request with bitmask1 and pcontext, then one without a trailer, succeed."""
    client = await witness.connect(level=level)
    deadline = witness.expect.reply_deadline

    first = await _call(witness, client, lambda correct: trailer(correct["bitmask1"], correct["pcontext"]))
    second = await outcome_of(client.start(GetInterfaceListRequest()), deadline)

    spec("RPC-VT-accepted").allows(first, SUCCESS, note="bitmask1 and pcontext in the first request")
    spec("RPC-VT-accepted").allows(second, SUCCESS, note="the second request, without a trailer")


@case("RPC-VT-accepted")
async def test_ignored_bits_and_fields(witness: Witness, spec: Spec) -> None:
    """A call succeeds with unknown bits, set reserved fields, or must-process flags on known commands."""
    client = await witness.connect()

    def reserved(correct: dict[str, Command]) -> VerificationTrailer:
        data = bytearray(correct["header2"].data)
        data[1:4] = b"\xff\xff\xff"
        return trailer(Command(correct["header2"].command, bytes(data)))

    def must(correct: dict[str, Command]) -> VerificationTrailer:
        return trailer(*(Command(each.command | MUST_PROCESS, each.data) for each in correct.values()))

    for note, make in (
        ("bitmask1 with all bits set", lambda _: trailer(bitmask1(0xFFFFFFFF))),
        ("header2 with its reserved fields set", reserved),
        ("all commands with the must-process flag", must),
    ):
        outcome = await _call(witness, client, make)
        spec("RPC-VT-accepted").allows(outcome, SUCCESS, note=note)


@case("RPC-VT-unknown-optional", syntaxes="both")
@pytest.mark.parametrize("size", [0, 4, 32])
async def test_unknown_command(witness: Witness, spec: Spec, size: int) -> None:
    """An unknown command without the must-process flag is skipped in any position."""
    client = await witness.connect()
    unknown = Command(UNKNOWN, b"\xa5" * size)
    positions: dict[str, Maker] = {
        "alone": lambda _: trailer(unknown),
        "first": lambda correct: trailer(unknown, *correct.values()),
        "last": lambda correct: trailer(*correct.values(), unknown),
    }

    for position, make in positions.items():
        outcome = await _call(witness, client, make)
        spec("RPC-VT-unknown-optional").allows(
            outcome, SUCCESS, note=f"command 0x{UNKNOWN:04X} of {size} octets, {position}"
        )


@case("RPC-VT-must-process", syntaxes="both")
@pytest.mark.parametrize("position", ["alone", "first", "last"])
async def test_unknown_must_process_command(
    witness: Witness, cluster: Controller, spec: Spec, position: str
) -> None:
    """An unknown must-process command gets ERROR_ACCESS_DENIED (0x5) or RPC_X_BAD_STUB_DATA (0x6F7)."""
    other = await witness.connect()
    client = await witness.connect(assoc_group=other.rpc.core.assoc_group)
    request = witness.registration(ip_address=await witness.address_of(0))
    unknown = Command(UNKNOWN | MUST_PROCESS, bytes(4))

    def make(correct: dict[str, Command]) -> VerificationTrailer:
        known = () if position == "alone" else tuple(correct.values())
        return trailer(*known, unknown) if position == "last" else trailer(unknown, *known)

    outcome = await _call(witness, client, make, request)

    rule = spec("RPC-VT-must-process")
    rule.allows(outcome, *INVALID, note=position)
    if cluster.can(Capability.LIST_REGISTRATIONS):
        views = await registrations_of(cluster, str(request.client_computer_name))
        rule.holds(
            not views,
            expected="none listed",
            observed=show_registrations(views),
            note="registrations of the request",
        )
    await witness.check_still_serving(spec)


@case("RPC-VT-search", syntaxes="both")
@pytest.mark.parametrize("octets", [4, 8, 16, 64])
async def test_stub_padding(witness: Witness, spec: Spec, octets: int) -> None:
    """The server finds a trailer after stub padding: a correct one is accepted, a wrong one rejected."""
    client = await witness.connect()

    def padded(*commands: Command) -> bytes:
        return bytes(octets) + trailer(*commands).pack()

    correct = await _call(witness, client, lambda correct: padded(*correct.values()))
    unknown = Command(UNKNOWN | MUST_PROCESS)
    wrong = await _call(witness, client, lambda correct: padded(*correct.values(), unknown))

    rule = spec("RPC-VT-search")
    rule.allows(correct, SUCCESS, note=f"{octets} octets before a correct trailer")
    rule.allows(wrong, *INVALID, note=f"{octets} octets before a trailer that cannot be processed")


#: A trailer that makes a request invalid, but in a name is only text of a few characters.
_TRAILER_AS_TEXT = trailer(Command(UNKNOWN | MUST_PROCESS, b"A\0B\0")).pack().decode("utf-16-le")
TEXTS = {"signature": SIGNATURE.decode("utf-16-le"), "whole-trailer": _TRAILER_AS_TEXT}


@case("RPC-VT-search", syntaxes="both")
@pytest.mark.parametrize("with_trailer", [False, True], ids=["alone", "before-a-trailer"])
@pytest.mark.parametrize("text", TEXTS)
async def test_trailer_in_a_name(
    witness: Witness,
    spec: Spec,
    text: str,
    with_trailer: bool,
) -> None:
    """A trailer or its signature inside a name is part of the name: the registration succeeds."""
    client = await witness.connect()
    address = await witness.address_of(0)

    for letters in ("", "A", "AB", "ABC"):
        name = f"{letters}{TEXTS[text]}{witness.client_name()}"
        request = witness.registration(ip_address=address, client_computer_name=name)
        outcome = await _call(
            witness, client, lambda correct: trailer(*correct.values()) if with_trailer else b"", request
        )
        spec("RPC-VT-search").allows(
            outcome, SUCCESS, note=f"{text} after {len(letters)} characters of ClientComputerName"
        )
        await forget(witness, client, outcome)


def _cut(correct: dict[str, Command]) -> bytes:
    return trailer(*correct.values()).pack()[:-4]


def _without_end(correct: dict[str, Command]) -> VerificationTrailer:
    return VerificationTrailer(tuple(correct.values()))


def _twice(correct: dict[str, Command]) -> VerificationTrailer:
    return trailer(correct["bitmask1"], correct["bitmask1"])


#: Trailers that contradict the request or are malformed.
CONTRADICTIONS: dict[str, Maker] = {
    "other-interface": lambda _: trailer(pcontext(SyntaxId(uuid4(), 1, 1), SyntaxId(uuid4(), 1, 0))),
    "other-opnum": lambda _: trailer(header2(call_id=1, context_id=0, opnum=Opnum.UNREGISTER)),
    "other-call-id": lambda _: trailer(header2(call_id=0x7777, context_id=0, opnum=0)),
    "no-end": _without_end,
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
    """Send a trailer that contradicts the request or is malformed; record the result."""
    client = await witness.connect()

    outcome = await _call(witness, client, CONTRADICTIONS[contradiction])

    spec("RPC-VT-mismatch").record(outcome, contradiction)
    await witness.check_still_serving(spec)


@case("RPC-VT-mismatch")
async def test_claimed_header_signing(witness: Witness, spec: Spec) -> None:
    """Send bitmask1 for header signing, which the bind did not announce; record the result."""
    client = await witness.connect(header_signing=False)

    outcome = await _call(witness, client, lambda correct: trailer(correct["bitmask1"]))

    spec("RPC-VT-mismatch").record(outcome, "bitmask1 with header signing, bind without")
    await witness.check_still_serving(spec)
