"""Clients that register with witness services, and note when each of them hears of a failure."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import resource
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from swn_torture.control.base import ControllerError
from swn_torture.dcerpc.errors import ConnectionLost, Fault, RpcError
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.dcerpc.status import describe_status
from swn_torture.stubdata.fields import DecodeError
from swn_torture.stubdata.win32 import describe
from swn_torture.time_to_know.model import Hearing
from swn_torture.witness.constants import ChangeType, InterfaceFlags, InterfaceState, MessageType
from swn_torture.witness.constants import describe as name_of
from swn_torture.witness.logon import connect_by
from swn_torture.witness.notifications import ResourceChange

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from swn_torture.target import NodeAddress, Profile
    from swn_torture.witness.client import PendingCall, WitnessClient
    from swn_torture.witness.messages import (
        AsyncNotifyResponse,
        ContextHandle,
        RegisterExResponse,
        RegisterResponse,
    )

_AT_ONCE: Final = 4
"""Clients that log on at the same time: some servers hang when many do."""
_LOG_ON_SECONDS: Final = 20.0
_KEEP_ALIVE_SECONDS: Final = 3600
_QUIET_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.02
_REST_SECONDS: Final = 2.0
"""Seconds that the rest of a response may take after its first octets."""
NOTHING: Final = Hearing("nothing")


class CannotRegister(ControllerError):  # noqa: N818 - it reports a property of the target
    """No client can register; the text says what was tried and what happened."""


@dataclass
class _Registered:
    client: WitnessClient
    handle: ContextHandle
    call: PendingCall[AsyncNotifyResponse]


class WitnessClients:
    """Registered clients, each on a connection of its own, with a pending AsyncNotify.

    Args:
        profile: the target.
        prefix: beginning of their ClientComputerNames.
    """

    def __init__(self, profile: Profile, prefix: str = "KNOW") -> None:
        self._profile = profile
        self._names = (f"{prefix}{number}" for number in itertools.count(1))
        self._registered: list[_Registered] = []

    def __len__(self) -> int:
        return len(self._registered)

    async def register(
        self,
        number: int,
        nodes: Sequence[NodeAddress],
        addresses: Collection[str],
        progress: Callable[[int], None],
    ) -> str:
        """Register so many clients: with the nodes in turn, for the addresses in turn.

        Args:
            number: of clients.
            nodes: whose services they register with.
            addresses: what they register for.
            progress: called with the number of registered clients when it changes.

        Returns:
            Why there are fewer; empty if there are not.

        Raises:
            CannotRegister: no client can register.
        """
        _allow_open_files(number)
        listed = await self._listed(nodes[0])
        known = [address for address in addresses if address in listed]
        if not known:
            raise CannotRegister(
                f"{nodes[0].name} lists no AVAILABLE interface with {' or '.join(addresses) or 'an address'}"
            )
        problems: list[str] = []
        turns = iter(range(number))

        async def one_after_the_other() -> None:
            for turn in turns:
                node = nodes[turn % len(nodes)]
                address = known[turn // len(nodes) % len(known)]
                try:
                    self._registered.append(await self._one(node, address))
                except (RpcError, DecodeError, CannotRegister, OSError) as problem:
                    problems.append(f"{node.name}: {problem}")
                    return
                progress(len(self._registered))

        await asyncio.gather(*(one_after_the_other() for _ in range(_AT_ONCE)))
        if not self._registered:
            raise CannotRegister(problems[0])
        return f"{len(self)} of {number} registered; {problems[0]}" if problems else ""

    async def _listed(self, node: NodeAddress) -> set[str]:
        """The addresses of the AVAILABLE interfaces in the list of a node."""
        try:
            async with await self._connect(node) as client:
                response = await client.get_interface_list(timeout=_LOG_ON_SECONDS)
        except (RpcError, DecodeError, OSError) as problem:
            raise CannotRegister(f"{node.name} does not return its interface list: {problem}") from problem
        found = set()
        for interface in (response.interface_list and response.interface_list.interfaces) or ():
            if interface.state == InterfaceState.AVAILABLE:
                found |= {str(interface.ipv4)} if interface.flags & InterfaceFlags.IPV4 else set()
                found |= {str(interface.ipv6)} if interface.flags & InterfaceFlags.IPV6 else set()
        return found

    async def _connect(self, node: NodeAddress) -> WitnessClient:
        account = self._profile.account
        return await connect_by(
            account.to_try,
            node.address,
            node.port,
            epm_port=node.endpoint_mapper_port,
            credentials=None if account.anonymous else account.credentials(),
            level=AuthLevel.NONE if account.anonymous else AuthLevel.INTEGRITY,
            net_name=self._profile.host,
            timeout=_LOG_ON_SECONDS,
        )

    async def _one(self, node: NodeAddress, address: str) -> _Registered:
        client = await self._connect(node)
        try:
            handle = await self._handle(client, address)
            return _Registered(client, handle, client.async_notify(handle))
        except BaseException:
            await client.close(abort=True)
            raise

    async def _handle(self, client: WitnessClient, address: str) -> ContextHandle:
        """Register.

        Raises:
            CannotRegister: the server refuses it.
        """
        net_name, name = self._profile.net_name, next(self._names)
        reply: RegisterResponse | RegisterExResponse
        if self._profile.expect.version == 1:
            reply = await client.register(
                net_name=net_name, ip_address=address, client_computer_name=name, timeout=_LOG_ON_SECONDS
            )
        else:
            reply = await client.register_ex(
                net_name=net_name,
                ip_address=address,
                client_computer_name=name,
                keep_alive_timeout=_KEEP_ALIVE_SECONDS,
                timeout=_LOG_ON_SECONDS,
            )
        if reply.result:
            raise CannotRegister(f"the registration for {address} returned {describe(reply.result)}")
        return reply.context

    async def settle(self) -> None:
        """Return when nothing was heard for a second: what came before is not about the failure to come."""
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < _QUIET_SECONDS:
            for each in self._registered:
                if each.call.done() and not each.client.rpc.closed.is_set():
                    each.call = each.client.async_notify(each.handle)
                    quiet_since = time.monotonic()
            await asyncio.sleep(_POLL_SECONDS)

    def hold(self) -> None:
        """From now on, note only when something arrives at each client."""
        for each in self._registered:
            each.client.rpc.link.hold()

    async def wait(self, seconds: float) -> None:
        """Wait until every client has heard something, at most so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(each.client.rpc.link.wait_for_arrival() for each in self._registered))

    async def heard(self, event: float) -> list[Hearing]:
        """What each client has heard.

        Args:
            event: when the node failed, in seconds of ``time.monotonic``.
        """
        found = []
        for each in self._registered:
            link = each.client.rpc.link
            link.release()
            found.append(
                Hearing(await _what(each.call), link.arrived[0] - event) if link.arrived else NOTHING
            )
        return found

    async def close(self) -> None:
        """Close all connections, which ends the registrations."""
        registered, self._registered = self._registered, []
        await asyncio.gather(*(each.client.close() for each in registered))


async def _what(call: PendingCall[AsyncNotifyResponse]) -> str:
    """What ended a call."""
    try:
        reply = await call.reply(_REST_SECONDS)
        if reply.result or reply.response is None:
            return f"AsyncNotify returned {describe(reply.result)}"
        items = reply.response.decode().items
    except Fault as fault:
        return f"fault {describe_status(fault.status)}"
    except ConnectionLost as lost:
        return f"connection {'reset' if lost.reset else 'closed'}"
    except (RpcError, DecodeError) as problem:
        return f"not readable: {problem}"
    kind = name_of(MessageType, reply.response.message_type)
    if items and isinstance(items[0], ResourceChange):
        return f"{kind}, {name_of(ChangeType, items[0].change_type)}"
    return kind


def _allow_open_files(clients: int) -> None:
    """Let this process have a connection for each client, if the machine allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = clients + 256
    if soft != resource.RLIM_INFINITY and soft < needed:
        most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
