"""One client of the swarm: it registers, waits, obeys CLIENT_MOVE, loses its node and comes back."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from swn_torture.dcerpc.errors import ConnectionLost, RpcError
from swn_torture.stubdata.fields import DecodeError
from swn_torture.stubdata.win32 import Win32, describe
from swn_torture.swarm.endpoint import connect
from swn_torture.swarm.records import Kind, Record
from swn_torture.witness.constants import AddressFlags, InterfaceFlags, InterfaceState, MessageType
from swn_torture.witness.messages import (
    AsyncNotifyRequest,
    AsyncNotifyResponse,
    GetInterfaceListRequest,
    GetInterfaceListResponse,
    RegisterExRequest,
    RegisterExResponse,
)
from swn_torture.witness.notifications import IpAddrInfoList, ResourceChange

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from swn_torture.swarm.connection import BlockingConnection, Logon
    from swn_torture.witness.messages import AnyRequest, AnyResponse, ContextHandle, InterfaceInfo
    from swn_torture.witness.notifications import Notification

T = TypeVar("T")

CLIENT_NAME: Final = "SWARMCLIENT"
"""The ClientComputerName of every client, so that one client move concerns them all."""

_VERSION: Final = 0x00020000
_IP_NOTIFICATION: Final = 1


@dataclass(frozen=True, slots=True)
class ServingNode:
    """A node with a witness service.

    Attributes:
        name: of the node.
        address: of its RPC services.
        epm_port: of its endpoint mapper.
        port: of its witness endpoint where it is fixed, otherwise ``None``.
    """

    name: str
    address: str
    epm_port: int = 135
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What all clients have in common.

    Attributes:
        nodes: the nodes, at least one.
        net_name: the NetName to register with.
        logon: how to log on; ``None`` without security.
        keep_alive: KeepAliveTimeout, in seconds.
        timeout: seconds for a connection and for each call but AsyncNotify.
        backoff: longest pause before a client comes back, in seconds.
    """

    nodes: tuple[ServingNode, ...]
    net_name: str
    logon: Logon | None
    keep_alive: int = 120
    timeout: float = 30.0
    backoff: float = 3.0


class Unusable(Exception):  # noqa: N818 - not an error of the program
    """The node answers, but the client cannot register there; the text says why."""


class Member:
    """One client.

    Args:
        number: unique in the swarm.
        settings: of all clients.
        report: takes the records.
        timed: takes the name of a finished step, its seconds, and why it failed (``None``: it did not).
    """

    def __init__(
        self,
        number: int,
        settings: Settings,
        report: Callable[[Record], None],
        timed: Callable[[str, float, Exception | None], None],
    ) -> None:
        self._number = number
        self._settings = settings
        self._report = report
        self._timed = timed
        self._turn = number
        self._address = ""
        """Where a CLIENT_MOVE has sent this client; any address before that."""

    def run(self) -> None:
        """Live once: connect, register and wait until the connection or the registration ends.

        Never raises for what the cluster does. The caller calls it again.
        """
        node = self._settings.nodes[self._turn % len(self._settings.nodes)]
        try:
            connection = self._step("connect + bind", lambda: self._connect(node))
        except (RpcError, OSError) as error:
            self._fail(node, "connect + bind", error)
            self._come_back()
            return
        with connection:
            try:
                self._stay(connection, node)
            except (RpcError, DecodeError, Unusable) as error:
                self._fail(node, "call", error)
                self._come_back()

    def _connect(self, node: ServingNode) -> BlockingConnection:
        settings = self._settings
        return connect(node.address, node.port, node.epm_port, timeout=settings.timeout, logon=settings.logon)

    def _stay(self, connection: BlockingConnection, node: ServingNode) -> None:
        address = self._choose(connection)
        if not address:
            self._turn += 1
            return
        handle = self._register(connection, address)
        self._record(Kind.REGISTERED, node, address)
        try:
            moved = False
            while not moved:
                moved = self._wait(connection, node, address, handle)
        finally:
            self._record(Kind.ENDED, node, address)
        self._turn += 1  # the address to register for next must be on another node than the witness service

    def _choose(self, connection: BlockingConnection) -> str:
        """Return an address to register for: that of the last move, or one of another node.

        It is empty if this node hosts the address of the last move: another node is the witness for it.
        """
        listed = self._call(connection, GetInterfaceListRequest())
        assert isinstance(listed, GetInterfaceListResponse)
        infos = (listed.interface_list and listed.interface_list.interfaces) or ()
        there = [info for info in infos if info.state == InterfaceState.AVAILABLE]
        found = [_address_of(info) for info in there if info.flags & InterfaceFlags.WITNESS]
        own = [_address_of(info) for info in there if not info.flags & InterfaceFlags.WITNESS]
        if self._address in found:
            return self._address
        if self._address in own:
            return ""
        if not found:
            raise Unusable("the interface list has no AVAILABLE interface of another node")
        return found[self._number % len(found)]

    def _register(self, connection: BlockingConnection, address: str) -> ContextHandle:
        request = RegisterExRequest(
            version=_VERSION,
            net_name=self._settings.net_name,
            share_name=None,
            ip_address=address,
            client_computer_name=CLIENT_NAME,
            flags=_IP_NOTIFICATION,
            keep_alive_timeout=self._settings.keep_alive,
        )
        response = self._step("RegisterEx", lambda: self._call(connection, request))
        assert isinstance(response, RegisterExResponse)
        if response.result != Win32.ERROR_SUCCESS:
            raise Unusable(f"RegisterEx for {address} returned {describe(response.result)}")
        return response.context

    def _wait(
        self, connection: BlockingConnection, node: ServingNode, address: str, handle: ContextHandle
    ) -> bool:
        """Wait for one answer of AsyncNotify. Return whether the client has to move."""
        request = AsyncNotifyRequest(handle)
        limit = self._settings.keep_alive + self._settings.timeout
        response = connection.wait(connection.start(request), request, limit)
        now = time.time()
        assert isinstance(response, AsyncNotifyResponse)
        if response.result == Win32.ERROR_TIMEOUT:
            return False
        if response.result != Win32.ERROR_SUCCESS or response.response is None:
            raise Unusable(f"AsyncNotify returned {describe(response.result)}")
        moved = False
        for item in response.response.decode().items:
            kind = response.response.message_type
            change = item.change_type if isinstance(item, ResourceChange) else 0
            text = describe_item(item)
            self._report(Record(self._number, Kind.TOLD, now, node.name, address, kind, change, text))
            if kind == MessageType.CLIENT_MOVE and isinstance(item, IpAddrInfoList):
                self._address = next(iter(addresses_of(item)), "")
                moved = True
        return moved

    def _call(self, connection: BlockingConnection, request: AnyRequest) -> AnyResponse:
        return connection.call(request, self._settings.timeout)

    def _step(self, name: str, action: Callable[[], T]) -> T:
        began = time.monotonic()
        try:
            result = action()
        except Exception as error:
            self._timed(name, time.monotonic() - began, error)
            raise
        self._timed(name, time.monotonic() - began, None)
        return result

    def _record(self, kind: Kind, node: ServingNode, address: str) -> None:
        self._report(Record(self._number, kind, time.time(), node.name, address))

    def _fail(self, node: ServingNode, what: str, error: Exception) -> None:
        text = f"{what}: {error}"
        if isinstance(error, ConnectionLost):
            text = f"{what}: connection lost"
        self._report(Record(self._number, Kind.FAILED, time.time(), node.name, text=text))

    def _come_back(self) -> None:
        """Wait a while that differs between clients, then use the next node."""
        self._turn += 1
        time.sleep(random.uniform(0.1, 1.0) * self._settings.backoff)


def _address_of(info: InterfaceInfo) -> str:
    return str(info.ipv4 if info.flags & InterfaceFlags.IPV4 else info.ipv6)


def addresses_of(moved: IpAddrInfoList) -> Sequence[str]:
    """Return the valid addresses of a list, IPv4 first."""
    return [
        *(str(each.ipv4) for each in moved.addresses if each.flags & AddressFlags.V4),
        *(str(each.ipv6) for each in moved.addresses if each.flags & AddressFlags.V6),
    ]


def describe_item(item: Notification) -> str:
    """Return the resource or the addresses of a notification."""
    return item.resource_name if isinstance(item, ResourceChange) else " ".join(addresses_of(item))
