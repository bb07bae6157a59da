"""The first registrations at a node: is the NetName accepted, and how many registrations does it hold?"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swn_torture.casekit.witness import credentials_of
from swn_torture.dcerpc.errors import Fault, RpcError
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.stubdata.win32 import Win32, describe
from swn_torture.witness.client import connect
from swn_torture.witness.codec import DecodeError
from swn_torture.witness.constants import ProtocolVersion
from swn_torture.witness.messages import NULL_HANDLE, RegisterExRequest, RegisterRequest

if TYPE_CHECKING:
    from swn_torture.casekit.facts import NodeFacts
    from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
    from swn_torture.harness.preflight.patience import Patience
    from swn_torture.target import NodeAddress, Profile
    from swn_torture.witness.client import WitnessClient
    from swn_torture.witness.messages import ContextHandle

#: As many registrations as the largest case that judges them holds at the same time, and a few for cases that
#: run at that time.
ENOUGH = 104

#: How many calls are outstanding at a time.
_AT_ONCE = 26

#: Codes that say that a server has no room. Any other code is a matter for the cases.
_NO_ROOM = frozenset(
    {
        Win32.ERROR_NOT_ENOUGH_MEMORY,
        Win32.ERROR_NO_SYSTEM_RESOURCES,
        0x0000000E,  # ERROR_OUTOFMEMORY
        0x00000718,  # ERROR_NOT_ENOUGH_QUOTA
        FaultStatus.NCA_S_FAULT_REMOTE_NO_MEMORY,
        FaultStatus.RPC_S_SERVER_TOO_BUSY,
        FaultStatus.NCA_S_SERVER_TOO_BUSY,
    }
)


@dataclass(frozen=True, slots=True)
class Registered:
    """What a node did with registrations.

    Attributes:
        rejected: how it rejected the first one for its NetName; empty when it did not.
        tried: how many registrations were made.
        limit: how many it held when it had no room for more; None when it did not say so.
    """

    rejected: str = ""
    tried: int = 0
    limit: int | None = None


async def register_at(
    profile: Profile,
    node: NodeAddress,
    facts: NodeFacts,
    auth: tuple[AuthType, AuthLevel],
    patience: Patience,
    *,
    enough: int,
) -> Registered:
    """Register at a node, on one connection, which is closed again.

    Args:
        profile: the profile with the account and the NetName.
        node: the node.
        facts: what the node has shown; its interface list has the address to register for.
        auth: authentication service and level.
        patience: how long to wait.
        enough: the number of registrations to make.
    """
    address = usable_address(facts)
    port = node.port or facts.mapped_port
    if address is None or port is None or patience.over:
        return Registered()
    service, level = auth
    try:
        client = await connect(
            node.address,
            port,
            credentials=credentials_of(profile.account),
            auth_type=service,
            level=level,
            net_name=profile.host,
            timeout=patience.timeout,
        )
    except RpcError:
        return Registered()  # binding is for the cases to judge
    try:
        return await _register(client, profile.net_name, address, patience, enough, facts)
    finally:
        await client.close()


async def _register(
    client: WitnessClient, net_name: str, address: str, patience: Patience, enough: int, facts: NodeFacts
) -> Registered:
    handles: list[ContextHandle] = []

    async def register() -> int:
        """Register once more; returns the code, and 0 only with a handle."""
        request = RegisterRequest(ProtocolVersion.V1, net_name, address, f"SWN-TORTURE{len(handles)}")
        try:
            answer = await client.send(request, timeout=patience.timeout)
        except Fault as fault:
            return fault.status
        except (RpcError, DecodeError):
            return -1
        if answer.result == Win32.ERROR_SUCCESS and answer.context != NULL_HANDLE:
            handles.append(answer.context)
            return 0
        return answer.result or -1

    first = await register()
    if first == Win32.ERROR_INVALID_PARAMETER:
        taken = await _takes_name(client, net_name, address, patience)
        return Registered("" if taken else describe(first), tried=1)
    codes = {first}
    while codes == {0} and len(handles) < enough and not patience.over:
        count = min(_AT_ONCE if facts.multiplexing else 1, enough - len(handles))
        codes = {*await asyncio.gather(*(register() for _ in range(count)))}
    if not codes & _NO_ROOM:
        return Registered(tried=len(handles))
    limit = len(handles)
    for handle in handles:
        try:
            await client.unregister(handle, timeout=patience.timeout)
        except (RpcError, DecodeError):
            break
    return Registered(tried=limit, limit=limit)


async def _takes_name(client: WitnessClient, net_name: str, address: str, patience: Patience) -> bool:
    """Whether RegisterEx succeeds with a NetName that Register rejects, so that the name is not wrong."""
    request = RegisterExRequest(ProtocolVersion.V2, net_name, None, address, "SWN-TORTURE", 0, 120)
    try:
        answer = await client.send(request, timeout=patience.timeout)
    except (RpcError, DecodeError):
        return False
    return answer.result == Win32.ERROR_SUCCESS and answer.context != NULL_HANDLE


def usable_address(facts: NodeFacts) -> str | None:
    """An address from the interface list of a node: of an interface that is AVAILABLE, and its own."""
    listed = sorted(
        (each for each in facts.interfaces or () if each.addresses),
        key=lambda each: (each.state != "AVAILABLE", not each.own),
    )
    return listed[0].addresses[0] if listed else None
