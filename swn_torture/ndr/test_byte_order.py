"""Requests in either byte order and with unusual labels: the receiver converts them (C706 14.1, 14.2.5)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.casekit import SILENCE, SUCCESS, case, faults, outcome_of, returns
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import (
    AsyncNotifyRequest,
    GetInterfaceListRequest,
    UnRegisterExRequest,
    UnRegisterRequest,
    Win32,
)
from swn_torture.casekit.shown import shown
from swn_torture.casekit.steps.interface_list import in_order
from swn_torture.casekit.steps.registering import (
    FOREIGN_NAME,
    INVALID_PARAMETER,
    NOT_FOUND,
    Method,
    each_method,
    registrations_of,
    show_registrations,
    succeeded,
    with_handle,
)
from swn_torture.casekit.steps.stubs import (
    StubSender,
    check_nothing_registered,
    check_truncated,
    full_request,
    method_name,
    send_truncated,
)
from swn_torture.casekit.transport import FaultStatus

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.protocol import ByteOrder
    from swn_torture.casekit.transport import Request
    from swn_torture.casekit.witness import Witness

ORDERS: tuple[ByteOrder, ...] = ("big", "little")


@case("RPC-NDR-drep")
async def test_interface_list(witness: Witness, spec: Spec) -> None:
    """A big-endian GetInterfaceList returns the same interfaces as a little-endian one."""
    client = await witness.connect(byte_order="big")
    before = await witness.interfaces()

    call = client.start(GetInterfaceListRequest(), byte_order="big")
    reply = await outcome_of(call, witness.expect.reply_deadline)

    rule = spec("RPC-NDR-drep")
    if not rule.allows(reply, SUCCESS, note="GetInterfaceList"):
        raise spec.stop()
    interfaces = reply.response.interface_list.interfaces
    rule.holds(
        in_order(interfaces) in (in_order(before), in_order(await witness.interfaces())),
        expected=f"the interfaces {shown(before)}",
        observed=interfaces,
    )
    response = call.call.response_meta
    assert response is not None
    rule.record(f"the response to a big-endian request is {response.byte_order}-endian")


@case("RPC-NDR-drep")
@each_method
async def test_registration(witness: Witness, spec: Spec, cluster: Controller, method: Method) -> None:
    """A big-endian Register or RegisterEx succeeds; a wrong Version or NetName is rejected."""
    sender, name = StubSender(witness, byte_order="big"), witness.client_name()
    address = await witness.address_of(0)
    valid: dict[str, Any] = {"ip_address": address, "client_computer_name": name}
    swapped = int.from_bytes(method.request(witness, **valid).version.to_bytes(4, "little"), "big")

    made = await sender.send(method.request(witness, **valid))
    rule = spec("RPC-NDR-drep")
    rule.holds(
        succeeded(made),
        expected="ERROR_SUCCESS (0x0) with a handle",
        observed=with_handle(made),
        note=f"{method} with valid parameters",
    )
    if cluster.can(Capability.LIST_REGISTRATIONS):
        entries = await registrations_of(cluster, name)
        rule.holds(
            [entry.ip_address for entry in entries] == [address],
            expected=f"one registration of {name} at {address}",
            observed=show_registrations(entries),
        )
    wrong = await sender.send(method.request(witness, **valid, version=swapped))
    rule.allows(wrong, returns(Win32.ERROR_REVISION_MISMATCH), note=f"Version 0x{swapped:08X}")
    foreign = await sender.send(method.request(witness, **valid, net_name=FOREIGN_NAME))
    rule.allows(foreign, INVALID_PARAMETER, note="a foreign NetName")


@case("RPC-NDR-drep")
@pytest.mark.parametrize("order", ORDERS)
async def test_handles(witness: Witness, spec: Spec, order: ByteOrder) -> None:
    """A handle returned in one byte order is valid in the other, for each method that has one."""
    expect = witness.expect
    other: ByteOrder = "little" if order == "big" else "big"
    client, address = await witness.connect(byte_order=order), await witness.address_of(0)
    request = witness.registration(ip_address=address)
    made = [await outcome_of(client.start(request, byte_order=order), expect.reply_deadline) for _ in "123"]

    rule = spec("RPC-NDR-drep")
    for reply in made:
        if not rule.holds(
            succeeded(reply),
            expected="ERROR_SUCCESS (0x0) with a handle",
            observed=with_handle(reply),
            note=f"Register, {order}-endian",
        ):
            raise spec.stop()
    kept, removed, removed_ex = (reply.response.context for reply in made)

    unsupported = faults(FaultStatus.NCA_S_OP_RNG_ERROR)
    for message, allowed in (
        (UnRegisterRequest(removed), (SUCCESS,)),
        (AsyncNotifyRequest(removed), (NOT_FOUND,)),
        (UnRegisterExRequest(removed_ex), (SUCCESS, unsupported)),
        (AsyncNotifyRequest(kept), (SILENCE,)),
    ):
        wait = expect.quiet_time if SILENCE in allowed else expect.reply_deadline
        outcome = await outcome_of(client.start(message, byte_order=other), wait)
        rule.allows(outcome, *allowed, note=f"{method_name(message)}, {other}-endian")


@case("RPC-STUB-truncated")
@each_method
async def test_cut_registration(witness: Witness, spec: Spec, cluster: Controller, method: Method) -> None:
    """A big-endian registration with truncated stub data ends in a fault and registers nothing."""
    sender, name = StubSender(witness, byte_order="big"), witness.client_name()
    message = full_request(witness, method, await witness.address_of(0), name)

    outcomes = await send_truncated(sender, message)

    await check_truncated(spec, sender, message, outcomes)
    await check_nothing_registered(spec, cluster, "RPC-STUB-truncated", names=[name])
    await witness.check_still_serving(spec)


#: Format labels of C706 14.1 with little-endian integers, but with other characters or floats.
LABELS = {
    "ebcdic": b"\x11\0\0\0",
    "vax-float": b"\x10\x01\0\0",
    "cray-float": b"\x10\x02\0\0",
    "ibm-float": b"\x10\x03\0\0",
    "undefined": b"\x1f\x0f\xff\xff",
}


@case("RPC-NDR-drep")
@pytest.mark.parametrize("label", LABELS)
async def test_unusual_data_representation(witness: Witness, spec: Spec, label: str) -> None:
    """GetInterfaceList with another character or float format in its drep; record the result."""
    client = await witness.connect()

    def relabel(_: int, fragment: Request) -> Request:
        return dataclasses.replace(fragment, drep=LABELS[label])

    call = client.start(GetInterfaceListRequest(), prepare=relabel)
    reply = await outcome_of(call, witness.expect.reply_deadline)

    spec("RPC-NDR-drep").record(reply, f"GetInterfaceList, data representation {LABELS[label].hex(' ')}")
    await witness.check_still_serving(spec)
