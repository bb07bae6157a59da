"""Notifications, interfaces and registrations to check with the rules of casekit."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, cast

from swn_torture.casekit.raw.notification import Notification
from swn_torture.casekit.steps.host_nodes import HostNode
from swn_torture.casekit.steps.listeners import Listener
from swn_torture.stubdata.syntax import NDR32, SyntaxId
from swn_torture.witness.codec import encode
from swn_torture.witness.constants import InterfaceFlags, InterfaceState, MessageType
from swn_torture.witness.messages import NULL_HANDLE, AsyncNotifyResponse, InterfaceInfo, RespAsyncNotify
from swn_torture.witness.notifications import (
    NO_IPV4,
    NO_IPV6,
    IpAddrInfo,
    IpAddrInfoList,
    ResourceChange,
    encode_buffer,
)

if TYPE_CHECKING:
    from swn_torture.casekit.checks import Spec

IPV4, OTHER_IPV4 = IPv4Address("192.0.2.5"), IPv4Address("192.0.2.6")
IPV6, OTHER_IPV6 = IPv6Address("2001:db8::5"), IPv6Address("2001:db8::6")

#: IPADDR_V4 or IPADDR_V6, with IPADDR_ONLINE.
V4, V6 = 0x9, 0xA

LIST = IpAddrInfoList((IpAddrInfo(V4, IPV4), IpAddrInfo(V6, ipv6=IPV6)))
CHANGES = (ResourceChange(0xFF, "NODE1"), ResourceChange(1, "NODE1"))


def interface(
    ipv4: IPv4Address = NO_IPV4,
    ipv6: IPv6Address = NO_IPV6,
    *,
    state: int = InterfaceState.AVAILABLE,
    group: str = "NODE1",
) -> InterfaceInfo:
    """An interface; Flags marks each address as valid that is not zero."""
    flags = (InterfaceFlags.IPV4 if int(ipv4) else 0) | (InterfaceFlags.IPV6 if int(ipv6) else 0)
    return InterfaceInfo(group, 0x00020000, state, ipv4, ipv6, flags)


#: A node with one interface for each address family, and one with a dual-stack interface.
HOST = HostNode("NODE1", (interface(IPV4), interface(ipv6=IPV6)))
DUAL_STACK = HostNode("NODE1", (interface(IPV4, IPV6),))


def read(
    response: RespAsyncNotify, syntax: SyntaxId = NDR32, *, result: int = 0, after: bytes = b"", **wrong: int
) -> Notification:
    """A notification as the raw reader reads it, with fields replaced and octets appended."""
    stub = encode(AsyncNotifyResponse(response, result), syntax, wrong=wrong or None) + after
    notification = Notification.read(stub, syntax)
    assert notification is not None
    return notification


def move(
    *entries: IpAddrInfo, message_type: int = MessageType.CLIENT_MOVE, number: int = 1, **wrong: Any
) -> Notification:
    """A notification with one IPADDR_INFO_LIST; ``wrong`` names fields of it, without the ``[0].``."""
    fields = {f"[0].{name}": value for name, value in wrong.items()}
    buffer = encode_buffer([IpAddrInfoList(entries)], wrong=fields or None)
    return read(RespAsyncNotify(message_type, number, buffer))


def listener(**fields: str) -> Listener:
    """A registration that was never sent; only its parameters can be used."""
    known = {"net_name": "CLUSTER", "ip_address": str(IPV4), "client_computer_name": "CLIENT"}
    return Listener(cast("Any", None), cast("Any", None), NULL_HANDLE, known | fields)


def failed(spec: Spec) -> list[str]:
    """The ids of the failed checks, each once, in the order of the checks."""
    return list(dict.fromkeys(check.requirement for check in spec.failed))
