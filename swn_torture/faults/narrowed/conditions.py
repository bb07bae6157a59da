"""Rules that are kept but in one corner: in a circumstance that only the cases of the rule bring about."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any
from uuid import UUID
from weakref import WeakKeyDictionary

from typing_extensions import override

from swn_torture.dcerpc.pdu.bind import ResultCode
from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.dcerpc.server.request_assembly import Incoming, Rejection, RequestAssembler
from swn_torture.dcerpc.server.server import RpcServer
from swn_torture.faults.registry import violates
from swn_torture.faults.transport.binding import Negotiating
from swn_torture.faults.witness.answers import Answer, Answers
from swn_torture.faults.witness.layout import GROUP_NAME, ListStubs, NotifyStubs
from swn_torture.faults.witness.lists import Listing
from swn_torture.server.state.service import WitnessService
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.witness.constants import WITNESS, InterfaceFlags, Opnum
from swn_torture.witness.messages import GetInterfaceListResponse, InterfaceInfo, InterfaceList

if TYPE_CHECKING:
    from collections.abc import Hashable

    from swn_torture.dcerpc.pdu.bind import Bind
    from swn_torture.dcerpc.pdu.pdus import Request
    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.dcerpc.server.negotiation import NegotiationResult
    from swn_torture.server.state.methods import Reply
    from swn_torture.server.state.registrations import Owner, Registration
    from swn_torture.server.state.shares import ShareTable
    from swn_torture.stubdata.fields import Wrong
    from swn_torture.stubdata.syntax import SyntaxId
    from swn_torture.witness.messages import ContextHandle

LONG = 500
"""Octets of a notification that has a long name in it; no other comes near."""

# Binding, and what is served


@violates("RPC-BTF-negotiate")
class FeatureResultNamesSyntax(Negotiating):
    """The result for a feature element names NDR as transfer syntax, as if one had been agreed on."""

    @override
    def other(self, pdu: Bind, outcome: NegotiationResult) -> NegotiationResult:
        results = tuple(
            replace(r, transfer=NDR32) if r.result == ResultCode.NEGOTIATE_ACK else r for r in outcome.results
        )
        return replace(outcome, results=results)


@violates("SWN-1.9-uuid")
class ManagementSwapsUuid(RpcServer):
    """Remote management names the interface by its UUID with the first fields in network order."""

    @override
    def served_interfaces(self) -> list[SyntaxId]:
        swapped = replace(WITNESS, uuid=UUID(bytes=WITNESS.uuid.bytes_le))
        return [swapped if syntax == WITNESS else syntax for syntax in super().served_interfaces()]


# Requests and answers


@violates("RPC-FRAG-request")
class LastTwoOfThreeFragmentsSwapped(RequestAssembler):
    """Of a request in three fragments the last two change places."""

    @override
    def add(self, pdu: Request) -> Incoming | None:
        parts = [*self._parts, pdu]
        whole = super().add(pdu)
        if whole is None or len(parts) != 3:
            return whole
        first, second, third = (part.stub for part in parts)
        return replace(whole, stub=first + third + second)


@violates("RPC-FAULT-status-forbidden")
class HugeAllocHintIsAccessViolation(RequestAssembler):
    """What cannot be allocated for a request is written to nevertheless, which ends in 0xC0000005."""

    @override
    def add(self, pdu: Request) -> Incoming | None:
        if (pdu.alloc_hint or 0) >= 1 << 31:
            raise Rejection(0xC0000005, "no memory for such a request", close=True)
        return super().add(pdu)


@violates("RPC-MPX-out-of-order", "SWN-3.1.4.4-concurrent-registrations")
class NewsInOrderOfCalls(ServerConnection):
    """News for an AsyncNotify waits until those that its user called before are answered."""

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
        for answer in held:
            self.answer_call(*answer)

    def _has_earlier(self, call: ServerCall) -> bool:
        entry = self._entries.get(call.call_id)
        return call.opnum == Opnum.ASYNC_NOTIFY and any(
            other.opnum == call.opnum and number < call.call_id and self._entries.get(number) is entry
            for number, other in self.calls.items()
        )


# Stubs


@violates("SWN-2.2.2.5-groupname-fixed-260", "RPC-NDR-fixed-array", near=("SWN-3.1.6.1-new-name",))
class GroupNameCounted(ListStubs):
    """The number of WCHARs stands in InterfaceGroupName, in front of the name, as in arrays that vary."""

    @override
    def wrong_list(self, response: GetInterfaceListResponse) -> Wrong:
        count = (260).to_bytes(4, "little")
        return {
            GROUP_NAME.format(n): count + i.group_name.encode("utf-16-le").ljust(516, b"\0")
            for n, i in enumerate(response.interfaces)
        }


@violates("RPC-XFER-ndr64-layout")
class Ndr64LeavesIpv6AsItWas(Answers):
    """In NDR64 the IPV6 of an interface that has none is not written, and has what was in the memory."""

    @override
    def other(self, call: ServerCall, response: Answer) -> Answer:
        if call.syntax != NDR64 or not isinstance(response, GetInterfaceListResponse):
            return response
        stale = IPv6Address(b"\xcc" * 16)
        infos = tuple(
            i if i.flags & InterfaceFlags.IPV6 else replace(i, ipv6=stale) for i in response.interfaces
        )
        return replace(response, interface_list=InterfaceList(infos)) if infos else response


@violates("RPC-NDR-referent-unique")
class LongBufferNullReferent(NotifyStubs):
    """The pointer to a long MessageBuffer is null, and the buffer follows it nevertheless."""

    @override
    def wrong_notification(self, length: int) -> Wrong:
        return {"MessageBuffer.referent": 0} if length > LONG else {}


@violates("RPC-NDR-return-align")
class LongBufferReturnUnaligned(NotifyStubs):
    """The return value follows a long MessageBuffer without a gap."""

    @override
    def wrong_notification(self, length: int) -> Wrong:
        return {"ReturnValue.padding": b""} if length > LONG and length % 4 else {}


# The interface list


class ToldElsewhere(Listing):
    """A server whose nodes but the first have others' dual-stack interfaces pass through `element`.

    Until an interface is added: what has changed is told from another source.
    """

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self._at_start = len(self.interfaces)

    @override
    def other(self, infos: tuple[InterfaceInfo, ...]) -> tuple[InterfaceInfo, ...]:
        """The elements to tell instead."""
        is_first = all(interface.node == self.node for interface in tuple(self.interfaces)[:1])
        if is_first or len(self.interfaces) != self._at_start:
            return infos
        return tuple(self.element(info) if is_remote_dual(info) else info for info in infos)


@violates("SWN-3.1.4.1-ipv4-value")
class Ipv4ReversedElsewhere(ToldElsewhere):
    """All nodes but the first tell IPV4 of others' dual-stack interfaces in the byte order of the host."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, ipv4=IPv4Address(info.ipv4.packed[::-1]))


@violates("SWN-3.1.4.1-ipv4-flag")
class Ipv4FlagMissingElsewhere(ToldElsewhere):
    """All nodes but the first announce others' dual-stack interfaces with IPv6 alone."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, flags=info.flags & ~InterfaceFlags.IPV4)


MEASURED_BY_THE_LIST = ("SWN-3.1.4.4-move-info-copied", "SWN-3.1.6.1-new-ipv6")
"""What says that others' addresses are told as they are listed, so that its cases ask for the list first."""


class ToldToNobody(Listing):
    """A server that has others' dual-stack interfaces pass through `element` while nobody is registered."""

    @override
    def other(self, infos: tuple[InterfaceInfo, ...]) -> tuple[InterfaceInfo, ...]:
        """The elements to tell instead."""
        if len(self.registrations):
            return infos
        return tuple(self.element(info) if is_remote_dual(info) else info for info in infos)


@violates("SWN-3.1.4.1-ipv6-value", near=MEASURED_BY_THE_LIST)
class Ipv6LeftOutBeforeRegistrations(ToldToNobody):
    """While nobody is registered, others' dual-stack interfaces are told without their IPv6 address."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, flags=info.flags & ~InterfaceFlags.IPV6, ipv6=IPv6Address(0))


@violates("SWN-3.1.4.1-ipv6-flag", near=MEASURED_BY_THE_LIST)
class Ipv6FlagMissingBeforeRegistrations(ToldToNobody):
    """While nobody is registered, others' dual-stack interfaces are announced with IPv4 alone."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, flags=info.flags & ~InterfaceFlags.IPV6)


def is_remote_dual(info: InterfaceInfo) -> bool:
    """Whether another node hosts the interface, and it has both families."""
    return bool(info.flags & InterfaceFlags.WITNESS) and info.flags & 3 == 3


# Handles and registrations


@violates("RPC-CTXH-null-in")
class NullHandleHearsMine(WitnessService):
    """AsyncNotify with a null handle stands for the caller's last registration."""

    @override
    def async_notify(self, token: Hashable, owner: Owner, request: Any) -> list[Reply]:
        mine = self.registrations.of(owner.association)
        if mine and request.context.is_null:
            request = replace(request, context=mine[-1].key)
        return super().async_notify(token, owner, request)


@violates("RPC-CTXH-rundown")
class SharedRegistrationsOutliveClients(WitnessService):
    """Registrations stay when their association ends, if several of its connections have made them."""

    @override
    def rundown(self, association: Hashable) -> None:
        makers = {r.owner.connection for r in self.registrations.of(association)}
        if len(makers) > 1:
            self.drop_calls(association, lambda _: True)
        else:
            super().rundown(association)


@violates("SWN-3.1.4.3-removes-entry")
class UnregisterTakesHandleOnly(WitnessService):
    """UnRegister takes the handle away, and keeps the registration on the list."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self._void: set[ContextHandle] = set()

    @override
    def find(self, owner: Owner, handle: ContextHandle) -> Registration | None:
        return None if handle in self._void else super().find(owner, handle)

    @override
    def unregister(self, token: Hashable, owner: Owner, request: Any) -> list[Reply]:
        registration = self.find(owner, request.context)
        replies = super().unregister(token, owner, request)
        if registration is not None:
            self._void.add(registration.key)
            self.registrations.add(registration)
        return replies


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


_MADE: WeakKeyDictionary[ShareTable, dict[str, dict[ContextHandle, Registration]]] = WeakKeyDictionary()
"""What each node has ever registered since it started, by the shares of the cluster, which live as long."""


@violates("SWN-3.1.3-registrations-empty")
class HandlesSurviveRestart(WitnessService):
    """A handle from before a restart of the node finds its registration again."""

    def __init__(self, node: str, *rest: Any) -> None:
        super().__init__(node, *rest)
        nodes = _MADE.setdefault(self.view.shares, {})
        self._before = nodes.get(node, {})
        self._made = nodes[node] = {}

    @override
    def enter(self, registration: Registration) -> Registration:
        self._made[registration.key] = registration
        return super().enter(registration)

    @override
    def find(self, owner: Owner, handle: ContextHandle) -> Registration | None:
        old = self._before.pop(handle, None)
        if old is not None:
            fresh: dict[str, Any] = {"changes": deque(), "forced": deque(), "waiting": deque()}
            self.enter(replace(old, owner=owner, last_use=self.clock(), **fresh))
        return super().find(owner, handle)
