"""Faults: answers to requests that cannot be executed (MS-RPCE 3.3.3.5; C706 12.6.4.7, Appendix E)."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import CLOSED, case, faults, outcome_of, returns
from swn_torture.casekit.protocol import GetInterfaceListRequest, Opnum, Win32
from swn_torture.casekit.steps.octets import faults_in, outcome_of_raw_call, send_octets
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

_OP_RNG_ERROR = faults(FaultStatus.NCA_S_OP_RNG_ERROR)


@case("RPC-OPNUM-unknown", "RPC-OPNUM-did-not-execute")
@pytest.mark.parametrize("opnum", [6, 0x100, 0xFFFF])
async def test_unknown_opnum(witness: Witness, spec: Spec, opnum: int) -> None:
    """A request with an undefined opnum gets fault nca_s_op_rng_error (0x1C010002)."""
    witness.require_answered_calls()
    client = await witness.connect()

    answer = await outcome_of_raw_call(client.rpc.call(opnum, b""), witness.expect.reply_deadline)

    spec("RPC-OPNUM-unknown").allows(answer, _OP_RNG_ERROR)
    flags = [f"0x{fault.flags:02X}" for fault in faults_in(witness.transcript)]
    spec("RPC-OPNUM-did-not-execute").record(
        f"{answer}, pfc_flags {', '.join(flags) or 'none (no fault)'}; PFC_DID_NOT_EXECUTE is 0x20"
    )


@case("RPC-OPNUM-unknown")
async def test_opnum_of_revision_14(witness: Witness, spec: Spec) -> None:
    """Call opnum 5 (UnRegisterEx) with a null handle; record whether the server implements it."""
    client = await witness.connect()

    call = client.rpc.call(Opnum.UNREGISTER_EX, bytes(20))
    answer = await outcome_of_raw_call(call, witness.expect.reply_deadline)

    absent = _OP_RNG_ERROR.matches(answer)
    spec.choice("AMB-24", f"opnum 5 {'absent' if absent else 'present'}: {answer}")
    spec("RPC-OPNUM-unknown").record(f"opnum 5 with a null handle: {answer}")


@case("RPC-FAULT-connection-survives", syntaxes="both")
@pytest.mark.parametrize("what", ["unknown-opnum", "bad-stub"])
async def test_connection_survives_fault(witness: Witness, spec: Spec, what: str) -> None:
    """After a call that ends in a fault, GetInterfaceList on the same connection succeeds."""
    client = await witness.connect()
    deadline = witness.expect.reply_deadline
    opnum = 0xFFFF if what == "unknown-opnum" else Opnum.REGISTER

    fault = await outcome_of_raw_call(client.rpc.call(opnum, bytes(4)), deadline)
    after = await outcome_of(client.start(GetInterfaceListRequest()), deadline)

    if fault.kind != "fault":
        spec("RPC-FAULT-connection-survives").record(f"no fault: {fault}; the next call: {after}")
        return
    spec("RPC-FAULT-connection-survives").allows(
        after, returns(Win32.ERROR_SUCCESS), note=f"GetInterfaceList after {fault}"
    )


def _with_wrong_verifier(octets: bytes) -> bytes:
    """The octets of a PDU with a wrong verifier."""
    return octets[:-1] + bytes([octets[-1] ^ 0xFF])


@case("RPC-FAULT-early")
async def test_error_in_first_fragment(witness: Witness, spec: Spec) -> None:
    """A wrong verifier in the first of three fragments is answered before the last one is sent."""
    client = await witness.connect()
    number, fragments = client.rpc.core.request(
        Opnum.REGISTER_EX,
        bytes(96),
        chunk=32,
        tamper=lambda index, octets: octets if index else _with_wrong_verifier(octets),
    )
    call = client.rpc.expect(number, Opnum.REGISTER_EX)

    for fragment in fragments[:-1]:
        client.rpc.write(fragment)
    answer = await outcome_of_raw_call(call, witness.expect.reply_deadline)

    spec("RPC-FAULT-early").allows(answer, faults(), CLOSED, note=f"{len(fragments) - 1} fragments sent")
    await witness.check_still_serving(spec)


# -- erroneous requests, each on its own connection
# -----------------------------------------------------------------------------------------------------------


async def _call(witness: Witness, opnum: int, stub: bytes, **options: object) -> Outcome:
    client = await witness.connect()
    call = client.rpc.call(opnum, stub, **options)
    outcome = await outcome_of_raw_call(call, witness.expect.reply_deadline)
    await client.rpc.close()
    return outcome


async def _request_before_bind(witness: Witness) -> Outcome:
    rpc = await witness.rpc()
    request = Request(call_id=1, opnum=Opnum.GET_INTERFACE_LIST)
    outcome = await send_octets(rpc, request.pack(), timeout=witness.expect.reply_deadline)
    await rpc.close()
    return outcome


def _wrong_verifier(_: int, octets: bytes) -> bytes:
    return _with_wrong_verifier(octets)


def _longer_auth_length(_: int, octets: bytes) -> bytes:
    return rewrite(octets, auth_length=0x7FFF)


def _longer_auth_pad_length(_: int, octets: bytes) -> bytes:
    return rewrite(octets, auth_pad_length=0xFF)


def _version_4(_: int, request: Request) -> Request:
    return dataclasses.replace(request, version=(4, 0))


_ERRONEOUS: dict[str, Callable[[Witness], Awaitable[Outcome]]] = {
    "unknown opnum": lambda w: _call(w, 0xFFFF, b""),
    "unknown presentation context": lambda w: _call(w, 0, b"", context_id=99),
    "Register without stub data": lambda w: _call(w, Opnum.REGISTER, b""),
    "truncated stub data of Register": lambda w: _call(
        w, Opnum.REGISTER, bytes.fromhex("0100010000000200ff")
    ),
    "stub data 0xFF for RegisterEx": lambda w: _call(w, Opnum.REGISTER_EX, b"\xff" * 256),
    "stub data 0xFF for AsyncNotify": lambda w: _call(w, Opnum.ASYNC_NOTIFY, b"\xff" * 20),
    "AsyncNotify without stub data": lambda w: _call(w, Opnum.ASYNC_NOTIFY, b""),
    "UnRegister with a null handle": lambda w: _call(w, Opnum.UNREGISTER, bytes(20)),
    "conformance (max_count) of 4 billion": lambda w: _call(
        w, Opnum.REGISTER, bytes.fromhex("0100010000000200ffffffff00000000ffffffff")
    ),
    "last fragment alone": lambda w: _call(w, 0, b"", flags=PfcFlags.LAST),
    "middle fragment alone": lambda w: _call(w, 0, b"", flags=PfcFlags.NONE),
    "fragment of 65 kB": lambda w: _call(w, 0, bytes(65000), fragment_size=0xFFFF),
    "wrong verifier": lambda w: _call(w, 0, b"", tamper=_wrong_verifier),
    "auth_length beyond the PDU": lambda w: _call(w, 0, b"", tamper=_longer_auth_length),
    "auth_pad_length beyond the stub data": lambda w: _call(w, 0, b"", tamper=_longer_auth_pad_length),
    "alloc_hint of 4 GB": lambda w: _call(w, 0, b"", alloc_hint=0xFFFFFFFF),
    "no verifier": lambda w: _call(w, 0, b"", security="none"),
    "protocol version 4": lambda w: _call(w, 0, b"", prepare=_version_4),
    "request before bind": _request_before_bind,
}


#: Connections that are open at the same time: a server chooses how many it accepts.
_AT_A_TIME = 5


@case("RPC-FAULT-or-close", "RPC-FAULT-status-forbidden")
async def test_erroneous_requests(witness: Witness, spec: Spec) -> None:
    """Erroneous requests get a PDU or a closed connection each, and no fault with a forbidden status."""
    gate = asyncio.Semaphore(_AT_A_TIME)

    async def send_one(send: Callable[[Witness], Awaitable[Outcome]]) -> Outcome:
        async with gate:
            return await send(witness)

    answers = await asyncio.gather(*map(send_one, _ERRONEOUS.values()))

    for error, answer in zip(_ERRONEOUS, answers, strict=True):
        spec("RPC-FAULT-or-close").holds(
            answer.kind not in {"silence", "malformed"},
            expected=["a PDU", "connection closed"],
            observed=answer,
            note=error,
        )
    statuses = sorted({fault.status for fault in faults_in(witness.transcript)})
    spec("RPC-FAULT-status-forbidden").holds(
        not FORBIDDEN_STATUSES.intersection(statuses),
        expected=f"no fault with status {', '.join(map(describe_status, sorted(FORBIDDEN_STATUSES)))}",
        observed=f"faults with status {', '.join(map(describe_status, statuses)) or 'none'}",
    )
    await witness.check_still_serving(spec)
