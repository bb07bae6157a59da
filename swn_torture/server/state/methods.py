"""The six methods of the interface on one node, without I/O (MS-SWN 3.1.4.1 to 3.1.4.6).

The caller passes a *token* with each call, an arbitrary value. Each response is a `Reply` with the token of
its call. A call that has to wait returns no reply; a later call, event or timer returns it.

Each step of a method is a public method, so that a subclass can change one step.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol
from uuid import UUID, uuid4

from swn_torture.dcerpc.status import FaultStatus
from swn_torture.server.state.interfaces import Interface, InterfaceTable
from swn_torture.server.state.registration_checks import RegistrationChecks
from swn_torture.server.state.registrations import Owner, Registration, RegistrationList, WaitingCall
from swn_torture.server.state.responses import QueuedNotification, Responder
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import (
    InterfaceFlags,
    Opnum,
    ProtocolVersion,
    RegisterFlags,
)
from swn_torture.witness.messages import (
    NULL_HANDLE,
    AnyRequest,
    AnyResponse,
    AsyncNotifyRequest,
    AsyncNotifyResponse,
    ContextHandle,
    GetInterfaceListRequest,
    GetInterfaceListResponse,
    InterfaceInfo,
    InterfaceList,
    RegisterExRequest,
    RegisterExResponse,
    RegisterRequest,
    RegisterResponse,
    UnRegisterExRequest,
    UnRegisterExResponse,
    UnRegisterRequest,
    UnRegisterResponse,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from swn_torture.server.state.clock import Clock
    from swn_torture.server.state.names import NetNames
    from swn_torture.server.state.options import Options
    from swn_torture.server.state.shares import ShareTable


@dataclass(frozen=True, slots=True)
class RpcFault:
    """A fault PDU instead of a response; `status` is as in `dcerpc.status.FaultStatus`."""

    status: int


class Reply(NamedTuple):
    """The response or fault that completes the call with this token."""

    token: Hashable
    response: AnyResponse | RpcFault


class ClusterView(Protocol):
    """The information about the cluster that a witness server does not get by events.

    Attributes:
        net_names: ServerGlobalName and its other forms.
        shares: the shares of the cluster.
    """

    net_names: NetNames
    shares: ShareTable

    def interfaces(self) -> Iterable[Interface]:
        """Return the interfaces of the configuration store, with their current states (MS-SWN 3.1.3)."""
        ...


FIRST_REPLIES: Final = 16
"""Replies of one event that are sent before the others are made."""

MANY_REGISTRATIONS: Final = 512
"""With so many registrations the first replies are sent before an event has looked at the others.

With fewer, `wake` sends them soon enough, and a subclass that changes `wake` changes every reply.
"""


_NO_IPV4: Final = IPv4Address(0)
_NO_IPV6: Final = IPv6Address(0)

# By whether the interface has an IPv4 and an IPv6 address, and whether another node hosts it. To combine
# flags takes 2 µs each time, for each interface of the list.
_FLAGS: Final = {
    (ipv4, ipv6, remote): InterfaceFlags(
        InterfaceFlags.IPV4 * ipv4 | InterfaceFlags.IPV6 * ipv6 | InterfaceFlags.WITNESS * remote
    )
    for ipv4 in (False, True)
    for ipv6 in (False, True)
    for remote in (False, True)
}


class WitnessMethods:
    """The methods, with the registrations and waiting calls they use (MS-SWN 3.1.1, 3.1.3).

    Args:
        node: the name of the node that this server runs on.
        view: the cluster as this node sees it.
        options: the choices of this server.
        clock: seconds of the protocol's clock.
        new_uuid: makes the UUIDs of registration keys.

    Attributes:
        responder: the class that makes AsyncNotify responses.
        registration_checks: the class that checks Register and RegisterEx.
        first_replies: sends the first replies of an event before the others are made; `None` to return them
            with the others. With thousands of clients to notify, the first ones wait less.
        checks: the checks of this server, an instance of `registration_checks`.
    """

    responder: type[Responder] = Responder
    registration_checks: type[RegistrationChecks] = RegistrationChecks
    _listed: tuple[tuple[Interface, ...], GetInterfaceListResponse] | None = None
    """The interfaces at the last GetInterfaceList, and its response: to make it takes a tenth of a call."""

    def __init__(
        self,
        node: str,
        view: ClusterView,
        options: Options,
        clock: Clock,
        new_uuid: Callable[[], UUID] = uuid4,
    ) -> None:
        self.node = node
        self.view = view
        self.options = options
        self.clock = clock
        self.new_uuid = new_uuid
        self.first_replies: Callable[[list[Reply]], None] | None = None
        self.interfaces = InterfaceTable(view.interfaces())
        self.registrations = RegistrationList()
        self.waiting_lists: deque[WaitingCall] = deque()
        """Waiting GetInterfaceList calls, oldest first."""
        self._responder = self.responder(self.interfaces, options)
        self.checks = self.registration_checks(view.net_names, view.shares, self.interfaces, options)
        self._issued: dict[ContextHandle, Hashable] = {}
        """Handles that an RPC runtime would know, with their associations; for `unknown_handle` (AMB-2)."""

    @property
    def is_v2(self) -> bool:
        """Whether WitnessServiceVersion is 0x00020000."""
        return self.options.version == ProtocolVersion.V2

    def supports(self, opnum: int) -> bool:
        """Whether a method has this opnum. If not, the RPC runtime returns nca_s_op_rng_error."""
        if opnum == Opnum.REGISTER_EX:
            return self.is_v2
        if opnum == Opnum.UNREGISTER_EX:
            return self.is_v2 and self.options.unregister_ex
        return 0 <= opnum < Opnum.REGISTER_EX

    def handle(self, token: Hashable, owner: Owner, request: AnyRequest) -> list[Reply]:
        """Process a call and return the replies to send, in order.

        The list is empty if the call waits. It can contain replies of other calls that this call ends.
        """
        match request:
            case GetInterfaceListRequest():
                return self.get_interface_list(token, owner)
            case RegisterRequest():
                return [Reply(token, self.register(owner, request))]
            case UnRegisterRequest():
                return self.unregister(token, owner, request)
            case AsyncNotifyRequest():
                return self.async_notify(token, owner, request)
            case RegisterExRequest():
                return [Reply(token, self.register_ex(owner, request))]
            case UnRegisterExRequest():
                return self.unregister_ex(token, owner, request)

    # WitnessrGetInterfaceList (3.1.4.1)

    def get_interface_list(self, token: Hashable, owner: Owner) -> list[Reply]:
        """Return all interfaces, or wait until one of them is AVAILABLE."""
        if not len(self.interfaces) and self.options.empty_interface_list == "no-more-items":
            return [Reply(token, GetInterfaceListResponse(None, Win32.ERROR_NO_MORE_ITEMS))]
        if not self.may_list_interfaces() or not self.may_list_those_of(owner.called):
            self.waiting_lists.append(WaitingCall(token, owner, self.clock()))
            return []
        return [Reply(token, self.interface_list_at(owner.called))]

    def may_list_interfaces(self) -> bool:
        """Whether GetInterfaceList can return now (AMB-7)."""
        if not len(self.interfaces):
            return self.options.empty_interface_list == "success"
        match self.options.interface_list_waits:
            case "any":
                return self.interfaces.any_available()
            case "witness":
                return self.interfaces.any_available(lambda interface: not self.is_local(interface))
            case "never":
                return True

    def may_list_those_of(self, called: str) -> bool:
        """Whether GetInterfaceList can return to a caller of this address of the server (AMB-45)."""
        if self.options.interface_list_names == "all" or self.options.interface_list_waits == "never":
            return True
        name = self.name_called(called)
        return self.interfaces.any_available(lambda interface: self.net_name_of(interface) == name)

    def name_called(self, called: str) -> str:
        """Return the network name that an address of the server belongs to; the first one if it has none."""
        interface = self.interfaces.by_address(called)
        return self.view.net_names.name if interface is None else self.net_name_of(interface)

    def net_name_of(self, interface: Interface) -> str:
        """Return the network name that an interface belongs to."""
        return interface.net_name or self.view.net_names.name

    def interface_list_at(self, called: str) -> GetInterfaceListResponse:
        """Return the current list for a caller of this address of the server (AMB-45)."""
        response = self.interface_list()
        if self.options.interface_list_names == "all" or response.interface_list is None:
            return response
        name = self.name_called(called)
        own = {address for i in self.interfaces if self.net_name_of(i) == name for address in i.addresses}
        infos = response.interface_list.interfaces or ()
        kept = tuple(info for info in infos if own & {info.ipv4, info.ipv6})
        return replace(response, interface_list=InterfaceList(kept))

    def interface_list(self) -> GetInterfaceListResponse:
        """Return the current list of all interfaces."""
        interfaces = tuple(self.interfaces)
        if self._listed is None or interfaces != self._listed[0]:
            infos = tuple(self.interface_info(interface) for interface in interfaces)
            self._listed = interfaces, GetInterfaceListResponse(InterfaceList(infos), Win32.ERROR_SUCCESS)
        return self._listed[1]

    def interface_info(self, interface: Interface) -> InterfaceInfo:
        """Return the WITNESS_INTERFACE_INFO of one interface."""
        families = (interface.ipv4 is not None, interface.ipv6 is not None)
        flags = _FLAGS[(*families, not self.is_local(interface))]
        version = self.options.announced_version
        return InterfaceInfo(
            group_name=interface.group_name,
            version=self.options.version if version is None else version,
            state=interface.state,
            ipv4=interface.ipv4 or _NO_IPV4,
            ipv6=interface.ipv6 or _NO_IPV6,
            flags=flags,
        )

    def is_local(self, interface: Interface) -> bool:
        """Whether this node hosts the interface."""
        return interface.node == self.node

    # WitnessrRegister (3.1.4.2) and WitnessrRegisterEx (3.1.4.5)

    def register(self, owner: Owner, request: RegisterRequest) -> RegisterResponse:
        """Register for the changes of an address (version 1)."""
        error = self.checks.register(request) or self.check_limit()
        if error:
            return RegisterResponse(NULL_HANDLE, error)
        registration = self.new_registration(owner, request)
        return RegisterResponse(self.insert(registration).key, Win32.ERROR_SUCCESS)

    def register_ex(self, owner: Owner, request: RegisterExRequest) -> RegisterExResponse:
        """Register with a share, IP notifications and a keep-alive time (version 2)."""
        error = self.checks.register_ex(request) or self.check_limit()
        if error:
            return RegisterExResponse(NULL_HANDLE, error)
        registration = self.new_registration(owner, request)
        registration.share_name = self.checks.share_to_watch(request.share_name)
        registration.share_notifications = registration.share_name is not None
        registration.ip_notifications = bool(request.flags & RegisterFlags.IP_NOTIFICATION)
        registration.flags = request.flags
        registration.timeout = request.keep_alive_timeout
        registration.keepalive = self.keepalive(request.keep_alive_timeout)
        if self.options.initial_share_move:
            registration.share_move = self.initial_destination(registration)
        return RegisterExResponse(self.insert(registration).key, Win32.ERROR_SUCCESS)

    def check_limit(self) -> Win32:
        """Return an error code if the maximum number of registrations is reached."""
        limit = self.options.max_registrations
        full = limit is not None and len(self.registrations) >= limit
        return self.options.exhausted if full else Win32.ERROR_SUCCESS

    def new_registration(self, owner: Owner, request: RegisterRequest | RegisterExRequest) -> Registration:
        """Return a registration with the values that both methods set, and no pending items."""
        return Registration(
            key=self.new_key(),
            owner=owner,
            version=request.version,
            client_name=request.client_computer_name or "",
            net_name=request.net_name or "",
            ip_address=request.ip_address or "",
            last_use=self.clock(),
            since=self.clock(),
        )

    def new_key(self) -> ContextHandle:
        """Return a new, unique handle."""
        return ContextHandle(self.options.handle_attributes, self.new_uuid())

    def keepalive(self, timeout: int) -> float | None:
        """Return KeepAliveTime in seconds, or None for no time-out (AMB-3)."""
        if timeout == 0 and self.options.keepalive_zero == "never-expires":
            return None
        return timeout * self.options.keepalive_unit

    def initial_destination(self, registration: Registration) -> str | None:
        """Return the node that owns the registered share, or None if it also hosts IpAddress (AMB-33)."""
        share = self.view.shares.find(registration.share_name or "")
        interface = self.interfaces.by_address(registration.ip_address)
        if share is None or share.owner is None or interface is None or interface.node == share.owner:
            return None
        return share.owner

    def insert(self, registration: Registration) -> Registration:
        """Insert a registration into WitnessRegistrationList."""
        self.registrations.add(registration)
        if self.options.unknown_handle == "fault":
            self._issued[registration.key] = registration.owner.association
        return registration

    # WitnessrUnRegister (3.1.4.3) and WitnessrUnRegisterEx (3.1.4.6)

    def unregister(self, token: Hashable, owner: Owner, request: UnRegisterRequest) -> list[Reply]:
        """Remove a registration. The handle is [in] only, so the client keeps it."""
        registration = self.find(owner, request.context)
        if registration is None:
            error = UnRegisterResponse(self.options.unregister_unknown)
            return [Reply(token, self.unknown_handle_fault(owner, request.context) or error)]
        ended = self.remove(registration)
        return [Reply(token, UnRegisterResponse(Win32.ERROR_SUCCESS)), *ended]

    def unregister_ex(self, token: Hashable, owner: Owner, request: UnRegisterExRequest) -> list[Reply]:
        """Remove a registration and close its handle. An unknown handle is returned unchanged."""
        registration = self.find(owner, request.context)
        if registration is None:
            error = UnRegisterExResponse(request.context, Win32.ERROR_INVALID_PARAMETER)
            # An RPC runtime accepts a null [in, out] handle, so the method sees it.
            fault = None if request.context.is_null else self.unknown_handle_fault(owner, request.context)
            return [Reply(token, fault or error)]
        ended = self.remove(registration)
        self._issued.pop(request.context, None)
        return [Reply(token, UnRegisterExResponse(NULL_HANDLE, Win32.ERROR_SUCCESS)), *ended]

    def find(self, owner: Owner, handle: ContextHandle) -> Registration | None:
        """Return the registration of a handle, or None if the caller must not use it.

        A caller can use the handles of its own association.
        """
        registration = self.registrations.find(handle)
        if registration is None or registration.owner.association != owner.association:
            return None
        if self.options.handles_bound_to_user and registration.owner.principal != owner.principal:
            return None
        return registration

    def unknown_handle_fault(self, owner: Owner, handle: ContextHandle) -> RpcFault | None:
        """Return the fault of an RPC runtime for a handle that it does not know, or None (AMB-2)."""
        if self.options.unknown_handle == "result" or self._issued.get(handle) == owner.association:
            return None
        null = handle.is_null
        return RpcFault(
            FaultStatus.RPC_X_SS_IN_NULL_CONTEXT if null else FaultStatus.NCA_S_FAULT_CONTEXT_MISMATCH
        )

    def remove(self, registration: Registration) -> list[Reply]:
        """Remove a registration from WitnessRegistrationList and complete its waiting calls (AMB-20)."""
        self.registrations.remove(registration)
        code = self.options.unregister_ends_calls
        ended = [Reply(call.token, AsyncNotifyResponse(None, code)) for call in registration.waiting]
        registration.waiting.clear()
        return ended

    # WitnessrAsyncNotify (3.1.4.4)

    def async_notify(self, token: Hashable, owner: Owner, request: AsyncNotifyRequest) -> list[Reply]:
        """Return a pending notification, or wait for one."""
        registration = self.find(owner, request.context)
        if registration is None:
            error = AsyncNotifyResponse(None, Win32.ERROR_NOT_FOUND)
            return [Reply(token, self.unknown_handle_fault(owner, request.context) or error)]
        self.update_last_use(registration)
        registration.waiting.append(WaitingCall(token, owner, self.clock()))
        return self.deliver(registration)

    def deliver(self, registration: Registration) -> list[Reply]:
        """Complete waiting calls of a registration as long as it has items to send."""
        replies: list[Reply] = []
        while registration.waiting and (queued := self._responder.take_next(registration)):
            replies += self.answer(registration, queued)
        return replies

    def answer(self, registration: Registration, queued: QueuedNotification) -> list[Reply]:
        """Complete the oldest waiting call, or all of them (AMB-20), with one response."""
        calls = [registration.waiting.popleft()]
        if self.options.several_calls == "all":
            calls += registration.waiting
            registration.waiting.clear()
        registration.sent += len(calls)
        self.update_last_use(registration)
        if queued.makes_client_leave and self.options.forced_unregister_after is not None:
            registration.drop_at = self.clock() + self.options.forced_unregister_after
        return [Reply(call.token, queued.response) for call in calls]

    def update_last_use(self, registration: Registration) -> None:
        """Set LastUseTime to the current time. A server of version 1 has no LastUseTime."""
        if self.is_v2:
            registration.last_use = self.clock()

    # Waking

    def first_woken(self, registrations: Iterable[Registration]) -> Iterator[Registration]:
        """Yield registrations, for each of which the caller queues an item; complete calls of the first ones.

        To look at 10,000 registrations takes milliseconds, and the first clients need not wait for it. The
        caller completes the calls of the others by `wake`.
        """
        first: list[Registration] = []
        early = self.first_replies if len(self.registrations) >= MANY_REGISTRATIONS else None
        for registration in registrations:
            yield registration
            if early is not None and registration.waiting:
                first.append(registration)
                if len(first) == FIRST_REPLIES:
                    early([reply for each in first for reply in self.deliver(each)])
                    early = None

    def wake(self) -> list[Reply]:
        """Complete the waiting calls that can return after an event (last sentence of 3.1.6.1 to 3.1.6.4)."""
        replies: list[Reply] = []
        if self.waiting_lists and self.may_list_interfaces():
            waiting, self.waiting_lists = self.waiting_lists, deque()
            for call in waiting:
                if self.may_list_those_of(call.owner.called):
                    replies.append(Reply(call.token, self.interface_list_at(call.owner.called)))
                else:
                    self.waiting_lists.append(call)
        early = self.first_replies
        for registration in self.registrations:
            if registration.waiting:
                replies += self.deliver(registration)
                if early is not None and len(replies) >= FIRST_REPLIES:
                    early(replies)
                    replies, early = [], None
        return replies
