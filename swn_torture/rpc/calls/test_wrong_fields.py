"""Fields with an unusual or wrong value in the PDUs that a client sends, one at a time (C706 12.6.3, 12.6.4).

No text says for all of them what a server does. The cases record it, and check that others are still served.
The table field by PDU type is docs/fields.md.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.casekit import case, outcome_of
from swn_torture.casekit.outcome import outcome_of_error
from swn_torture.casekit.protocol import NDR32, AsyncNotifyRequest, GetInterfaceListRequest, WitnessClient
from swn_torture.casekit.steps.octets import contexts, send_octets
from swn_torture.casekit.transport import (
    WHOLE,
    CoCancel,
    Orphaned,
    PfcFlags,
    RpcError,
    initiator,
    rewrite,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.casekit import Outcome, Spec
    from swn_torture.casekit.transport import Pdu, Request, RpcClient
    from swn_torture.casekit.witness import Witness

Change = dict[str, Any]

#: Values for the common header of any PDU, as arguments of `rewrite`.
_HEADER: dict[str, Change] = {
    "version-4": {"version": 4},
    "version-minor-1": {"version_minor": 1},
    "flags-none": {"flags": PfcFlags.NONE},
    "flags-first-only": {"flags": PfcFlags.FIRST},
    "flags-last-only": {"flags": PfcFlags.LAST},
    "flags-all": {"flags": 0x7F},
    "drep-undefined-integers": {"drep": b"\x20\0\0\0"},
    "drep-reserved-octets": {"drep": b"\x10\0\xff\xff"},
    "frag-length-too-small": {"frag_length": 15},
    "frag-length-of-the-header": {"frag_length": 16},
    "auth-length-beyond-the-pdu": {"auth_length": 0x7FFF},
    "call-id-0": {"call_id": 0},
    "call-id-0x80000000": {"call_id": 0x80000000},
}
#: Values for the sec_trailer of any PDU.
_TRAILER: dict[str, Change] = {
    "auth-pad-length-255": {"auth_pad_length": 255},
    "auth-reserved": {"auth_reserved": 0xFF},
    "auth-context-id-0": {"auth_context_id": 0},
    "auth-context-id-0xffffffff": {"auth_context_id": 0xFFFFFFFF},
}


def _with(octets: bytes, change: Change) -> bytes:
    return rewrite(octets, **change)


def _choice(spec: Spec, pdu: str, what: str, outcome: Outcome, then: str = "") -> None:
    spec("RPC-PDU-received").record(f"{outcome}{then}", f"{pdu} with {what}")
    spec.choice("AMB-44", f"{pdu} with {what}: {_stable(outcome)}")


def _stable(outcome: Outcome) -> str:
    """An outcome without what differs from run to run: FIN or RST, seconds."""
    return {"closed": "connection closed", "silence": "no answer"}.get(outcome.kind) or str(outcome)


async def _next_call(witness: Witness, rpc: RpcClient) -> Outcome:
    """The outcome of GetInterfaceList on a connection, which may already be closed."""
    try:
        call = WitnessClient(rpc, NDR32).start(GetInterfaceListRequest())
    except RpcError as error:
        return outcome_of_error(error)
    return await outcome_of(call, witness.expect.reply_deadline)


# bind and alter_context
# ----------------------------------------------------------------------------------------------------------

#: Values for the fields of a bind or alter_context, as arguments of `dataclasses.replace`.
_BIND: dict[str, Callable[[Any], Change]] = {
    "max-xmit-frag-0": lambda _: {"max_xmit": 0},
    "max-recv-frag-0": lambda _: {"max_recv": 0},
    "max-recv-frag-100": lambda _: {"max_recv": 100},
    "n-context-elem-too-large": lambda bind: {"n_contexts": len(bind.contexts) + 1},
    "n-context-elem-255": lambda _: {"n_contexts": 255},
    "reserved-after-n-context-elem": lambda _: {"reserved": b"\xff\xff\xff"},
    "p-cont-id-twice": lambda bind: {"contexts": bind.contexts * 2},
    "n-transfer-syn-0": lambda bind: _element(bind, transfers=()),
    "n-transfer-syn-too-large": lambda bind: _element(bind, n_transfers=2),
    "reserved-of-element": lambda bind: _element(bind, reserved=0xFF),
}


def _element(bind: Any, **change: Any) -> Change:
    return {"contexts": (dataclasses.replace(bind.contexts[0], **change), *bind.contexts[1:])}


async def _bind(witness: Witness, *, alter: bool) -> tuple[RpcClient, Any]:
    """A connection and a bind or alter_context for it, with the first token of an authentication."""
    rpc = await witness.rpc()
    if alter:
        await rpc.bind(contexts(NDR32))
    context = initiator(witness.auth_type, witness.credentials, host=witness.net_name, level=witness.level)
    entry = rpc.core.add_security(witness.auth_type, witness.level, context)
    first = 3 if alter else 0
    pdu = rpc.core.bind(contexts(NDR32, first=first), security=entry, token=context.step(b""), alter=alter)
    return rpc, pdu


each_bind = pytest.mark.parametrize("alter", [False, True], ids=["bind", "alter-context"])


@case("RPC-PDU-received")
@pytest.mark.parametrize("what", [*_HEADER, *_TRAILER, *_BIND])
@each_bind
async def test_bind(witness: Witness, spec: Spec, what: str, *, alter: bool) -> None:
    """Send a bind or alter_context with one unusual field; record the answer."""
    rpc, pdu = await _bind(witness, alter=alter)
    if what in _BIND:
        octets = dataclasses.replace(pdu, **_BIND[what](pdu)).pack()
    else:
        octets = _with(pdu.pack(), {**_HEADER, **_TRAILER}[what])

    outcome = await send_octets(rpc, octets, timeout=witness.expect.quiet_time)

    _choice(spec, "alter_context" if alter else "bind", what, outcome)
    await witness.check_still_serving(spec)


# rpc_auth_3
# ----------------------------------------------------------------------------------------------------------


@case("RPC-PDU-received", needs=("ntlm",))
@pytest.mark.parametrize("what", [*_HEADER, "auth-pad-length-255", "auth-reserved", "auth-length-0", "pad"])
async def test_auth3(witness: Witness, spec: Spec, what: str) -> None:
    """Complete NTLM by an auth3 with one unusual field; record the outcome of the first request."""
    service = witness.auth_type.NTLM
    rpc = await witness.rpc()
    context = initiator(service, witness.credentials, host=witness.net_name, level=witness.level)
    entry = rpc.core.add_security(service, witness.level, context)
    bound = await rpc.exchange(rpc.core.bind(contexts(NDR32), security=entry, token=context.step(b"")))
    pdu = rpc.core.auth3(entry, context.step(bound.auth_value))
    if what == "pad":
        octets = dataclasses.replace(pdu, pad=b"\xaa\xbb\xcc\xdd").pack()
    else:
        octets = _with(pdu.pack(), {**_HEADER, **_TRAILER, "auth-length-0": {"auth_length": 0}}[what])

    rpc.write(octets)
    outcome = await _next_call(witness, rpc)

    _choice(spec, "rpc_auth_3", what, outcome, " (the first request)")
    await witness.check_still_serving(spec)


# co_cancel and orphaned
# ----------------------------------------------------------------------------------------------------------

_CANCELS: dict[str, type[CoCancel | Orphaned]] = {"co-cancel": CoCancel, "orphaned": Orphaned}


@case("RPC-PDU-received", needs=("multiplexing",))
@pytest.mark.parametrize(
    "what", [*(name for name in _HEADER if "call-id" not in name), *_TRAILER, "verifier"]
)
@pytest.mark.parametrize("kind", _CANCELS)
async def test_cancel(witness: Witness, spec: Spec, kind: str, what: str) -> None:
    """Send co_cancel or orphaned with one unusual field for a pending call; record how the call ends."""
    client = await witness.connect()
    pending = client.start(AsyncNotifyRequest(await witness.register(client)))
    pdu: Pdu = _CANCELS[kind](call_id=pending.call.call_id, flags=WHOLE)
    entry = witness.security_of(client)
    if what in _HEADER:
        octets = _with(pdu.pack(), _HEADER[what])
    else:
        signed = entry.sign(pdu)
        last = bytes([signed[-1] ^ 0xFF])
        octets = signed[:-1] + last if what == "verifier" else _with(signed, _TRAILER[what])

    client.rpc.write(octets)
    ended = await outcome_of(pending, witness.expect.quiet_time)
    usable = await _next_call(witness, client.rpc)

    _choice(spec, kind.replace("-", "_"), what, ended, f" (the pending call); the next call: {usable}")
    await witness.check_still_serving(spec)


# Requests
# ----------------------------------------------------------------------------------------------------------


#: Fields of a request that are changed before it is signed, with their names in `Request`.
_SIGNED = {"flags": "flags", "alloc_hint": "alloc_hint"}


def _of_request(witness: Witness) -> dict[str, Change]:
    level = int(witness.level)
    return {
        **{name: change for name, change in _HEADER.items() if "call-id" not in name},
        **_TRAILER,
        "auth-type-other": {"auth_type": 99},
        "auth-level-other": {"auth_level": 6 if level == 5 else 5},
        "alloc-hint-1": {"alloc_hint": 1},
        "alloc-hint-0x7fffffff": {"alloc_hint": 0x7FFFFFFF},
    }


@case("RPC-PDU-received")
@pytest.mark.parametrize(
    "what",
    [
        *(name for name in _HEADER if "call-id" not in name),
        *_TRAILER,
        *("auth-type-other", "auth-level-other", "alloc-hint-1", "alloc-hint-0x7fffffff"),
    ],
)
async def test_request(witness: Witness, spec: Spec, what: str) -> None:
    """Send GetInterfaceList, without header signing, with one unusual field; record the answer."""
    client = await witness.connect(header_signing=False)
    change = _of_request(witness)[what]

    def before_signing(_: int, request: Request) -> Request:
        return dataclasses.replace(request, **{_SIGNED[name]: value for name, value in change.items()})

    def after_signing(_: int, octets: bytes) -> bytes:
        return _with(octets, change)

    if change.keys() <= _SIGNED.keys():
        call = client.start(GetInterfaceListRequest(), prepare=before_signing)
    else:
        call = client.start(GetInterfaceListRequest(), tamper=after_signing)
    outcome = await outcome_of(call, witness.expect.quiet_time)

    _choice(spec, "request", what, outcome)
    await witness.check_still_serving(spec)
