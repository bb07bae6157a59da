"""Faults that show under one condition, which only the cases of the requirement produce."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from typing_extensions import override

from swn_torture.dcerpc.pdu.pdus import Response, unpack
from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.dcerpc.server.request_assembly import AssembledRequest, Rejection, RequestAssembler
from swn_torture.faults.registry import violates
from swn_torture.faults.witness.altered_responses import AlteredResponses, ResponseOrFault, replace_code
from swn_torture.faults.witness.changes import AlteredNewInterfaces
from swn_torture.faults.witness.layout import AlteredNotificationStubs
from swn_torture.faults.witness.lists import AlteredInterfaceList, units_swapped
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.server.state.service import WitnessService
from swn_torture.stubdata.syntax import NDR64
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import InterfaceFlags, MessageType, Opnum, ProtocolVersion
from swn_torture.witness.messages import (
    AsyncNotifyResponse,
    GetInterfaceListResponse,
    InterfaceInfo,
    InterfaceList,
    UnRegisterResponse,
)

if TYPE_CHECKING:
    from collections.abc import Hashable

    from swn_torture.dcerpc.pdu.pdus import Request
    from swn_torture.dcerpc.security.protection import SecurityEntry
    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.server.state.interfaces import Interface
    from swn_torture.server.state.methods import Reply
    from swn_torture.server.state.registrations import Owner, Registration
    from swn_torture.server.state.shares import ShareTable
    from swn_torture.stubdata.fields import Wrong
    from swn_torture.witness.messages import AnyRequest, ContextHandle, UnRegisterRequest

LONG_BUFFER = 500
"""Octets of MessageBuffer that only a notification with a long name exceeds."""

# Requests and responses


@violates("RPC-FRAG-request")
class LastTwoOfThreeFragmentsSwapped(RequestAssembler):
    """The server swaps the last two fragments of a request in three fragments."""

    @override
    def add(self, pdu: Request) -> AssembledRequest | None:
        parts = [*self._parts, pdu]
        whole = super().add(pdu)
        if whole is None or len(parts) != 3:
            return whole
        first, second, third = (part.stub for part in parts)
        return replace(whole, stub=first + third + second)


@violates("RPC-FAULT-status-forbidden")
class HugeAllocHintIsAccessViolation(RequestAssembler):
    """A request with an alloc_hint of 2 GiB or more ends in a fault with status 0xC0000005."""

    @override
    def add(self, pdu: Request) -> AssembledRequest | None:
        if (pdu.alloc_hint or 0) >= 1 << 31:
            raise Rejection(0xC0000005, "no memory for such a request", close=True)
        return super().add(pdu)


@violates("RPC-FAULT-or-close")
class AnnouncedGigabytesAwaited(RequestAssembler):
    """A request with an alloc_hint above 1 GiB stays incomplete after its last fragment."""

    @override
    def add(self, pdu: Request) -> AssembledRequest | None:
        return None if (pdu.alloc_hint or 0) > 1 << 30 else super().add(pdu)


@violates("RPC-MPX-out-of-order", "SWN-3.1.4.4-concurrent-registrations")
class NotificationsInOrderOfCalls(ServerConnection):
    """A notification waits until the earlier AsyncNotify calls of the same user are answered."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self._held: deque[tuple[ServerCall, bytes | None, int, bool]] = deque()

    @override
    def answer_call(self, call: ServerCall, stub: bytes | None, status: int, did_not_execute: bool) -> None:
        if stub is not None and not any(stub[-4:]) and self._has_earlier(call):
            self._held.append((call, stub, status, did_not_execute))
            return
        super().answer_call(call, stub, status, did_not_execute)
        held, self._held = self._held, deque()
        for response in held:
            self.answer_call(*response)

    def _has_earlier(self, call: ServerCall) -> bool:
        entry = self._entries.get(call.call_id)
        return call.opnum == Opnum.ASYNC_NOTIFY and any(
            other.opnum == call.opnum and number < call.call_id and self._entries.get(number) is entry
            for number, other in self.calls.items()
        )


@violates("SWN-3.1.4.3-returns-success")
class UnregisterOfSecondVersionReturnsOne(WitnessService):
    """UnRegister of a registration made by RegisterEx removes it and returns 1."""

    @override
    def unregister(self, token: Hashable, owner: Owner, request: UnRegisterRequest) -> list[Reply]:
        found = self.find(owner, request.context)
        replies = super().unregister(token, owner, request)
        if found is None or found.version != ProtocolVersion.V2:
            return replies
        return [
            reply._replace(response=replace_code(reply.response, UnRegisterResponse, 0, 1))
            if reply.token is token
            else reply
            for reply in replies
        ]


@violates("SWN-3.1.4.4-returns-success")
class IpChangeWithMoreData(AlteredResponses):
    """AsyncNotify returns an IP_CHANGE notification with ERROR_MORE_DATA (0xEA)."""

    @override
    def alter_response(self, call: ServerCall, response: ResponseOrFault) -> ResponseOrFault:
        notification = response.response if isinstance(response, AsyncNotifyResponse) else None
        if notification is None or notification.message_type != MessageType.IP_CHANGE:
            return response
        return replace_code(response, AsyncNotifyResponse, Win32.ERROR_SUCCESS, 0xEA)


# Stubs


@violates("RPC-XFER-ndr64-layout")
class Ndr64Ipv6Uninitialized(AlteredResponses):
    """In NDR64, IPV6 of an interface without an IPv6 address holds old memory contents."""

    @override
    def alter_response(self, call: ServerCall, response: ResponseOrFault) -> ResponseOrFault:
        if call.syntax != NDR64 or not isinstance(response, GetInterfaceListResponse):
            return response
        stale = IPv6Address(b"\xcc" * 16)
        infos = tuple(
            i if i.flags & InterfaceFlags.IPV6 else replace(i, ipv6=stale) for i in response.interfaces
        )
        return replace(response, interface_list=InterfaceList(infos)) if infos else response


@violates("RPC-XFER-ndr64-drep")
class Ndr64DrepEbcdic(ServerConnection):
    """On an NDR64 context responses declare EBCDIC characters (0x11)."""

    @override
    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        parts = [unpack(octets) for octets in super().response(call, stub, None)]
        if call.syntax != NDR64:
            return super().response(call, stub, entry)
        altered = [replace(part, drep=b"\x11\0\0\0") for part in parts if isinstance(part, Response)]
        return [part.pack() if entry is None else entry.protect(part) for part in altered]


@violates("RPC-NDR-referent-unique")
class LongBufferNullReferent(AlteredNotificationStubs):
    """The pointer to a MessageBuffer of over 500 octets is null, although the buffer follows."""

    @override
    def wrong_notification_fields(self, length: int) -> Wrong:
        return {"MessageBuffer.referent": 0} if length > LONG_BUFFER else {}


@violates("RPC-NDR-return-align")
class LongBufferReturnUnaligned(AlteredNotificationStubs):
    """The return value follows a MessageBuffer of over 500 octets without alignment padding."""

    @override
    def wrong_notification_fields(self, length: int) -> Wrong:
        return {"ReturnValue.padding": b""} if length > LONG_BUFFER and length % 4 else {}


@violates("SWN-6-idl-no-handle-on-wire")
class ShortHandlesFilledUp(WitnessEndpoint):
    """The server accepts a context handle without its last octet, and reads that octet as 0."""

    @override
    def decode(self, call: ServerCall) -> AnyRequest:
        if len(call.stub) == 19:
            call.stub += b"\0"
        return super().decode(call)


# The interface list


class AlteredOnOtherNodes(AlteredInterfaceList):
    """A server on which all nodes except the first alter remote dual-stack interfaces.

    They do so until an interface is added.
    """

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self._at_start = len(self.interfaces)

    @override
    def alter_list(self, infos: tuple[InterfaceInfo, ...]) -> tuple[InterfaceInfo, ...]:
        """Return the elements to list instead."""
        is_first = all(interface.node == self.node for interface in tuple(self.interfaces)[:1])
        if is_first or len(self.interfaces) != self._at_start:
            return infos
        return tuple(self.alter_interface(info) if is_remote_dual(info) else info for info in infos)


@violates("SWN-3.1.4.1-ipv4-value")
class Ipv4ReversedElsewhere(AlteredOnOtherNodes):
    """Nodes other than the first list IPV4 of remote dual-stack interfaces in host byte order."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, ipv4=IPv4Address(info.ipv4.packed[::-1]))


@violates("SWN-3.1.4.1-ipv4-flag")
class Ipv4FlagMissingElsewhere(AlteredOnOtherNodes):
    """Nodes other than the first omit the IPv4 flag of remote dual-stack interfaces."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, flags=info.flags & ~InterfaceFlags.IPV4)


class AlteredLastDualStack(AlteredInterfaceList):
    """A server that alters the last interface with both families and no other."""

    @override
    def alter_list(self, infos: tuple[InterfaceInfo, ...]) -> tuple[InterfaceInfo, ...]:
        last = max((n for n, info in enumerate(infos) if info.flags & 3 == 3), default=None)
        return tuple(self.alter_interface(info) if n == last else info for n, info in enumerate(infos))


@violates("SWN-3.1.4.1-ipv4-flag")
class LastIpv4FlagMissing(AlteredLastDualStack):
    """The interface list omits the IPv4 flag of its last interface with both families."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, flags=info.flags & ~InterfaceFlags.IPV4)


@violates("SWN-3.1.4.1-ipv6-flag")
class LastIpv6FlagMissing(AlteredLastDualStack):
    """The interface list omits the IPv6 flag of its last interface with both families."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, flags=info.flags & ~InterfaceFlags.IPV6)


@violates("SWN-3.1.4.1-ipv4-value")
class LastIpv4Reversed(AlteredLastDualStack):
    """IPV4 of the last interface with both families is listed in host byte order."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, ipv4=IPv4Address(info.ipv4.packed[::-1]))


@violates("SWN-3.1.4.1-ipv6-value")
class LastIpv6UnitsSwapped(AlteredLastDualStack):
    """The 16-bit units of IPV6 of the last interface with both families are in host byte order."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, ipv6=units_swapped(info.ipv6))


READS_LIST_FIRST = ("SWN-3.1.4.4-move-info-copied", "SWN-3.1.6.1-new-ipv6")
"""Requirements on addresses that are sent as they are listed: their cases read the interface list first."""


class AlteredBeforeRegistrations(AlteredInterfaceList):
    """A server that alters remote dual-stack interfaces while no client is registered."""

    @override
    def alter_list(self, infos: tuple[InterfaceInfo, ...]) -> tuple[InterfaceInfo, ...]:
        """Return the elements to list instead."""
        if len(self.registrations):
            return infos
        return tuple(self.alter_interface(info) if is_remote_dual(info) else info for info in infos)


@violates("SWN-3.1.4.1-ipv6-value", near=READS_LIST_FIRST)
class Ipv6LeftOutBeforeRegistrations(AlteredBeforeRegistrations):
    """While no client is registered, remote dual-stack interfaces are listed without IPv6 address."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, flags=info.flags & ~InterfaceFlags.IPV6, ipv6=IPv6Address(0))


@violates("SWN-3.1.4.1-ipv6-flag", near=READS_LIST_FIRST)
class Ipv6FlagMissingBeforeRegistrations(AlteredBeforeRegistrations):
    """While no client is registered, remote dual-stack interfaces are listed without IPv6 flag."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, flags=info.flags & ~InterfaceFlags.IPV6)


def is_remote_dual(info: InterfaceInfo) -> bool:
    """Whether another node hosts the interface and it has both families."""
    return bool(info.flags & InterfaceFlags.WITNESS) and info.flags & 3 == 3


# From then on the interface list is wrong.
@violates("SWN-3.1.6.1-new-ipv4", near=("SWN-3.1.4.1-groupname",))
class NewInterfaceGainsIpv4(AlteredNewInterfaces):
    """The server adds an IPv4 address to a new interface that has only an IPv6 address."""

    @override
    def alter_new_interface(self, new: Interface) -> Interface:
        return new if new.ipv4 else replace(new, ipv4=IPv4Address("192.0.2.77"))


@violates("SWN-3.1.6.1-new-ipv6", near=("SWN-3.1.4.1-groupname",))
class NewInterfaceGainsIpv6(AlteredNewInterfaces):
    """The server adds an IPv6 address to a new interface that has only an IPv4 address."""

    @override
    def alter_new_interface(self, new: Interface) -> Interface:
        return new if new.ipv6 else replace(new, ipv6=IPv6Address("2001:db8::77"))


# Handles and registrations


@violates("RPC-CTXH-null-in")
class NotifyFindsLastRegistration(WitnessService):
    """AsyncNotify with a null handle finds the caller's last registration."""

    @override
    def async_notify(self, token: Hashable, owner: Owner, request: Any) -> list[Reply]:
        mine = self.registrations.of(owner.association)
        if mine and request.context.is_null:
            request = replace(request, context=mine[-1].key)
        return super().async_notify(token, owner, request)


@violates("RPC-CTXH-rundown")
class SharedRegistrationsOutliveClients(WitnessService):
    """Registrations of an association stay after it ends if several of its connections made them."""

    @override
    def rundown(self, association: Hashable) -> None:
        makers = {r.owner.connection for r in self.registrations.of(association)}
        if len(makers) > 1:
            self.drop_calls(association, lambda _: True)
        else:
            super().rundown(association)


@violates("RPC-CONNECTION-close-mid-call", slow=True)
class ClosingMidCallLeavesRegistration(WitnessEndpoint):
    """The server keeps a registration that was made right before its connection closed."""

    @override
    def rundown(self, association: Any) -> None:
        recent = self.service.clock() - 0.2
        old = [r for r in self.service.registrations.of(association) if r.last_use < recent]
        for registration in old:
            self.service.remove(registration)


@violates("SWN-3.1.4.3-search-by-key")
class UnregisterRemovesTheOlderTwin(WitnessService):
    """Of two equal registrations of a client UnRegister removes the older one, whatever the handle."""

    @override
    def unregister(self, token: Hashable, owner: Owner, request: Any) -> list[Reply]:
        asked = self.find(owner, request.context)
        twins = [
            r
            for r in self.registrations.of(owner.association)
            if asked and (r.client_name, r.ip_address) == (asked.client_name, asked.ip_address)
        ]
        if len(twins) == 2:
            request = replace(request, context=twins[0].key)
        return super().unregister(token, owner, request)


_MADE_SINCE_START: WeakKeyDictionary[ShareTable, dict[str, dict[ContextHandle, Registration]]] = (
    WeakKeyDictionary()
)
"""The registrations that each node made since its start, for each cluster (its share table is the key)."""


@violates("SWN-3.1.3-registrations-empty", slow=True)
class HandlesSurviveRestart(WitnessService):
    """A handle from before a restart of the node finds its registration again."""

    def __init__(self, node: str, *rest: Any) -> None:
        super().__init__(node, *rest)
        nodes = _MADE_SINCE_START.setdefault(self.view.shares, {})
        self._before = nodes.get(node, {})
        self._made = nodes[node] = {}

    @override
    def insert(self, registration: Registration) -> Registration:
        self._made[registration.key] = registration
        return super().insert(registration)

    @override
    def find(self, owner: Owner, handle: ContextHandle) -> Registration | None:
        old = self._before.pop(handle, None)
        if old is not None:
            fresh: dict[str, Any] = {"changes": deque(), "forced": deque(), "waiting": deque()}
            self.insert(replace(old, owner=owner, last_use=self.clock(), **fresh))
        return super().find(owner, handle)
