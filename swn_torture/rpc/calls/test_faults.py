"""What a server says to requests it cannot serve (MS-RPCE 3.3.3.5; C706 12.6.4.7, Appendix E)."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import CLOSED, case, faults, outcome_of, returns
from swn_torture.casekit.protocol import GetInterfaceListRequest, Opnum, Win32
from swn_torture.casekit.steps.octets import answer_to, ending, faults_in
from swn_torture.casekit.transport import (
    FORBIDDEN_STATUSES,
    FaultStatus,
    PfcFlags,
    Request,
    describe_status,
    rewrite,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.casekit import Outcome, Spec
    from swn_torture.casekit.witness import Witness

_OUT_OF_RANGE = faults(FaultStatus.NCA_S_OP_RNG_ERROR)


@case("RPC-OPNUM-unknown", "RPC-OPNUM-did-not-execute")
@pytest.mark.parametrize("opnum", [6, 0x100, 0xFFFF])
async def test_unknown_opnum(witness: Witness, spec: Spec, opnum: int) -> None:
    """A request for an operation that no revision has ends in the fault for that."""
    client = await witness.connect()

    answer = await ending(client.rpc.call(opnum, b""), witness.expect.reply_deadline)

    spec("RPC-OPNUM-unknown").allows(answer, _OUT_OF_RANGE)
    flags = [f"0x{fault.flags:02X}" for fault in faults_in(witness.transcript)]
    spec("RPC-OPNUM-did-not-execute").record(
        f"{answer}, pfc_flags {', '.join(flags) or 'of no fault'}; PFC_DID_NOT_EXECUTE is 0x20"
    )


@case("RPC-OPNUM-unknown")
async def test_opnum_of_revision_14(witness: Witness, spec: Spec) -> None:
    """A request for opnum 5 ends in the fault for unknown operations, or shows that the server has it."""
    client = await witness.connect()

    call = client.rpc.call(Opnum.UNREGISTER_EX, bytes(20))
    answer = await ending(call, witness.expect.reply_deadline)

    absent = _OUT_OF_RANGE.matches(answer)
    spec.choice("AMB-24", f"opnum 5 {'absent' if absent else 'present'}: {answer}")
    spec("RPC-OPNUM-unknown").record(f"opnum 5 with a null handle: {answer}")


@case("RPC-FAULT-connection-survives", syntaxes="both")
@pytest.mark.parametrize("what", ["unknown-opnum", "bad-stub"])
async def test_connection_survives_fault(witness: Witness, spec: Spec, what: str) -> None:
    """After a call that ended in a fault the connection serves the next one."""
    client = await witness.connect()
    deadline = witness.expect.reply_deadline
    opnum = 0xFFFF if what == "unknown-opnum" else Opnum.REGISTER

    fault = await ending(client.rpc.call(opnum, bytes(4)), deadline)
    after = await outcome_of(client.start(GetInterfaceListRequest()), deadline)

    if fault.kind != "fault":
        spec("RPC-FAULT-connection-survives").record(f"no fault: {fault}; the next call: {after}")
        return
    spec("RPC-FAULT-connection-survives").allows(
        after, returns(Win32.ERROR_SUCCESS), note=f"GetInterfaceList after {fault}"
    )


def _flip_last_octet(octets: bytes) -> bytes:
    """Make the verifier wrong."""
    return octets[:-1] + bytes([octets[-1] ^ 0xFF])


@case("RPC-FAULT-early")
async def test_error_in_first_fragment(witness: Witness, spec: Spec) -> None:
    """A wrong verifier in the first of three fragments is answered before the last one is sent."""
    client = await witness.connect()
    number, fragments = client.rpc.core.request(
        Opnum.REGISTER_EX,
        bytes(96),
        chunk=32,
        tamper=lambda index, octets: octets if index else _flip_last_octet(octets),
    )
    call = client.rpc.expect(number, Opnum.REGISTER_EX)

    for fragment in fragments[:-1]:
        client.rpc.write(fragment)
    answer = await ending(call, witness.expect.reply_deadline)

    spec("RPC-FAULT-early").allows(answer, faults(), CLOSED, note=f"{len(fragments) - 1} fragments sent")
    await witness.check_still_serving(spec)


# -- requests that are wrong in different ways and places, each on a connection of its own
# -----------------------------------------------------------------------------------------------------------


async def _call(witness: Witness, opnum: int, stub: bytes, **options: object) -> Outcome:
    client = await witness.connect()
    call = client.rpc.call(opnum, stub, **options)
    return await ending(call, witness.expect.reply_deadline)


async def _before_bind(witness: Witness) -> Outcome:
    rpc = await witness.rpc()
    request = Request(call_id=1, opnum=Opnum.GET_INTERFACE_LIST)
    return await answer_to(rpc, request.pack(), timeout=witness.expect.reply_deadline)


def _tampered(_: int, octets: bytes) -> bytes:
    return _flip_last_octet(octets)


def _longer_token(_: int, octets: bytes) -> bytes:
    return rewrite(octets, auth_length=0x7FFF)


def _more_padding(_: int, octets: bytes) -> bytes:
    return rewrite(octets, auth_pad_length=0xFF)


def _version_4(_: int, request: Request) -> Request:
    return dataclasses.replace(request, version=(4, 0))


_ERRONEOUS: dict[str, Callable[[Witness], Awaitable[Outcome]]] = {
    "unknown opnum": lambda w: _call(w, 0xFFFF, b""),
    "unknown presentation context": lambda w: _call(w, 0, b"", context_id=99),
    "no stub where there are parameters": lambda w: _call(w, Opnum.REGISTER, b""),
    "stub cut short": lambda w: _call(w, Opnum.REGISTER, bytes.fromhex("0100010000000200ff")),
    "stub of 0xFF": lambda w: _call(w, Opnum.REGISTER_EX, b"\xff" * 256),
    "stub of 0xFF for AsyncNotify": lambda w: _call(w, Opnum.ASYNC_NOTIFY, b"\xff" * 20),
    "AsyncNotify without handle": lambda w: _call(w, Opnum.ASYNC_NOTIFY, b""),
    "UnRegister with a null handle": lambda w: _call(w, Opnum.UNREGISTER, bytes(20)),
    "conformance of 4 billion": lambda w: _call(
        w, Opnum.REGISTER, bytes.fromhex("0100010000000200ffffffff00000000ffffffff")
    ),
    "last fragment alone": lambda w: _call(w, 0, b"", flags=PfcFlags.LAST),
    "middle fragment alone": lambda w: _call(w, 0, b"", flags=PfcFlags.NONE),
    "fragment of 64 kB": lambda w: _call(w, 0, bytes(65000), fragment_size=0xFFFF),
    "wrong verifier": lambda w: _call(w, 0, b"", tamper=_tampered),
    "auth_length beyond the PDU": lambda w: _call(w, 0, b"", tamper=_longer_token),
    "auth_pad_length beyond the stub": lambda w: _call(w, 0, b"", tamper=_more_padding),
    "alloc_hint of 4 GB": lambda w: _call(w, 0, b"", alloc_hint=0xFFFFFFFF),
    "no verifier": lambda w: _call(w, 0, b"", security="none"),
    "protocol version 4": lambda w: _call(w, 0, b"", prepare=_version_4),
    "request before bind": _before_bind,
}


@case("RPC-FAULT-or-close", "RPC-FAULT-status-forbidden")
async def test_erroneous_requests(witness: Witness, spec: Spec) -> None:
    """Requests wrong in many ways end in a PDU or a close each, and in no fault that is forbidden."""
    answers = await asyncio.gather(*(attempt(witness) for attempt in _ERRONEOUS.values()))

    for what, answer in zip(_ERRONEOUS, answers, strict=True):
        spec("RPC-FAULT-or-close").holds(
            answer.kind not in {"silence", "malformed"},
            expected="an answer, or the end of the connection",
            observed=answer,
            note=what,
        )
    statuses = sorted({fault.status for fault in faults_in(witness.transcript)})
    spec("RPC-FAULT-status-forbidden").holds(
        not FORBIDDEN_STATUSES.intersection(statuses),
        expected=f"no fault of status {', '.join(map(describe_status, sorted(FORBIDDEN_STATUSES)))}",
        observed=f"faults of status {', '.join(map(describe_status, statuses)) or 'none'}",
    )
    await witness.check_still_serving(spec)
