"""Callers of either byte order: the receiver makes it right (C706 14.1, 14.2.5)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.casekit import SILENCE, case, faults, outcome_of, returns
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import (
    AsyncNotifyRequest,
    GetInterfaceListRequest,
    UnRegisterExRequest,
    UnRegisterRequest,
    Win32,
)
from swn_torture.casekit.steps.listeners import SUCCESS
from swn_torture.casekit.steps.registering import (
    NOT_FOUND,
    WRONG_PARAMETER,
    Method,
    each_method,
    listed,
    show_listed,
    succeeded,
    with_handle,
)
from swn_torture.casekit.steps.stubs import (
    Sender,
    check_cuts,
    check_nothing_registered,
    full_request,
    method_name,
    send_cuts,
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
    """A big-endian caller is told the interfaces that a little-endian one is told."""
    client = await witness.connect(byte_order="big")
    before = await witness.interfaces()

    call = client.start(GetInterfaceListRequest(), byte_order="big")
    reply = await outcome_of(call, witness.expect.reply_deadline)

    rule = spec("RPC-NDR-drep")
    if not rule.allows(reply, SUCCESS, note="GetInterfaceList"):
        raise spec.stop()
    notified = reply.response.interface_list.interfaces
    rule.holds(
        notified in (before, await witness.interfaces()),
        expected=f"the interfaces {before}",
        observed=notified,
    )
    answer = call.call.response_meta
    assert answer is not None
    rule.record(f"the reply to a big-endian request is {answer.byte_order}-endian")


@case("RPC-NDR-drep")
@each_method
async def test_registration(witness: Witness, spec: Spec, cluster: Controller, method: Method) -> None:
    """A big-endian registration is made as asked for, and refused for what is wrong with it."""
    sender, name = Sender(witness, byte_order="big"), witness.client_name()
    address = await witness.address_of(0)
    right: dict[str, Any] = {"ip_address": address, "client_computer_name": name}
    swapped = int.from_bytes(method.request(witness, **right).version.to_bytes(4, "little"), "big")

    made = await sender.send(method.request(witness, **right))
    rule = spec("RPC-NDR-drep")
    rule.holds(
        succeeded(made),
        expected="ERROR_SUCCESS (0x0) with a handle",
        observed=with_handle(made),
        note=f"{method} with everything right",
    )
    if cluster.can(Capability.LIST_REGISTRATIONS):
        entries = await listed(cluster, name)
        rule.holds(
            [entry.ip_address for entry in entries] == [address],
            expected=f"one registration of {name} at {address}",
            observed=show_listed(entries),
        )
    wrong = await sender.send(method.request(witness, **right, version=swapped))
    rule.allows(wrong, returns(Win32.ERROR_REVISION_MISMATCH), note=f"Version 0x{swapped:08X}")
    foreign = await sender.send(method.request(witness, **right, net_name="XXXXInvalid.contoso.comXXXX"))
    rule.allows(foreign, WRONG_PARAMETER, note="a foreign NetName")


@case("RPC-NDR-drep")
@pytest.mark.parametrize("order", ORDERS)
async def test_handles(witness: Witness, spec: Spec, order: ByteOrder) -> None:
    """A handle got in one byte order is good in the other, for all methods that take one."""
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
    asked, left, left_ex = (reply.response.context for reply in made)

    unsupported = faults(FaultStatus.NCA_S_OP_RNG_ERROR)
    for message, allowed in (
        (UnRegisterRequest(left), (SUCCESS,)),
        (AsyncNotifyRequest(left), (NOT_FOUND,)),
        (UnRegisterExRequest(left_ex), (SUCCESS, unsupported)),
        (AsyncNotifyRequest(asked), (SILENCE,)),
    ):
        wait = expect.quiet_time if SILENCE in allowed else expect.reply_deadline
        outcome = await outcome_of(client.start(message, byte_order=other), wait)
        rule.allows(outcome, *allowed, note=f"{method_name(message)}, {other}-endian")


@case("RPC-STUB-truncated")
@each_method
async def test_cut_registration(witness: Witness, spec: Spec, cluster: Controller, method: Method) -> None:
    """A big-endian registration whose stub is cut anywhere ends in a fault, and nobody is registered."""
    sender, name = Sender(witness, byte_order="big"), witness.client_name()
    message = full_request(witness, method, await witness.address_of(0), name)

    ended = await send_cuts(sender, message)

    await check_cuts(spec, sender, message, ended)
    await check_nothing_registered(spec, cluster, "RPC-STUB-truncated", names=[name])
    await witness.check_still_serving(spec)


#: Labels of C706 14.1 that leave integers little-endian: other characters and floats.
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
    """A request with a data representation that concerns none of its parameters: what becomes of it."""
    client = await witness.connect()

    def relabel(_: int, fragment: Request) -> Request:
        return dataclasses.replace(fragment, drep=LABELS[label])

    call = client.start(GetInterfaceListRequest(), prepare=relabel)
    reply = await outcome_of(call, witness.expect.reply_deadline)

    spec("RPC-NDR-drep").record(reply, f"GetInterfaceList, data representation {LABELS[label].hex(' ')}")
    await witness.check_still_serving(spec)
