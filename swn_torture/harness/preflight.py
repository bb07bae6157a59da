"""The first look at a target: can it be reached, does it know us, does it know the name we register with?

Each failure is explained in a paragraph that says what to mend, before two hundred cases fail for one reason.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from swn_torture.casekit.witness import credentials_of
from swn_torture.dcerpc.epm.endpoint_mapper import ept_map
from swn_torture.dcerpc.errors import AuthenticationError, Fault, RpcError
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.dcerpc.status import describe_status
from swn_torture.stubdata.win32 import Win32, describe
from swn_torture.witness.client import WitnessClient, connect
from swn_torture.witness.codec import DecodeError
from swn_torture.witness.constants import WITNESS, InterfaceFlags, ProtocolVersion

if TYPE_CHECKING:
    from swn_torture.target import NodeAddress, Profile

#: Seconds each step may take before the target counts as out of reach.
_STEP_S = 8.0


def first_trouble(profile: Profile) -> str | None:
    """Why the suite cannot judge this target, or None."""
    return asyncio.run(_look(profile))


async def _look(profile: Profile) -> str | None:
    if profile.network_namespace:
        from swn_torture.lab.namespaces import enter_network

        enter_network(profile.network_namespace)
    for node in profile.nodes:
        trouble = await _look_at(profile, node)
        if trouble:
            return trouble
    return None


async def _look_at(profile: Profile, node: NodeAddress) -> str | None:
    where = f"node {node.name} ({node.address})"
    port = node.port
    if port is None:
        try:
            port = (await ept_map(node.address, WITNESS, port=node.endpoint_mapper_port, timeout=_STEP_S))[
                0
            ].port
        except (RpcError, OSError) as problem:
            return (
                f"The endpoint mapper of {where}, TCP port {node.endpoint_mapper_port}, does not name a "
                f"witness endpoint: {_text(problem)}. Is the cluster up, and its RPC service started? For a "
                "target with a fixed port put port = NUMBER into its [[node]]."
            )
    account = profile.account
    who = f"{account.domain}\\{account.username}" if account.domain else account.username
    try:
        client = await connect(
            node.address,
            port,
            credentials=credentials_of(account),
            auth_type=AuthType.NTLM,
            level=AuthLevel.INTEGRITY,
            net_name=profile.spn_host or profile.net_name,
            timeout=_STEP_S,
        )
    except AuthenticationError as problem:
        return f"{where} does not accept the account {who}: {problem}. See [account] in {profile.source}."
    except (RpcError, OSError) as problem:
        return f"The witness endpoint of {where}, TCP port {port}, cannot be used: {_text(problem)}."
    try:
        return await _first_calls(profile, client, f"{where} answers {who}")
    finally:
        await client.rpc.close()


async def _first_calls(profile: Profile, client: WitnessClient, who: str) -> str | None:
    try:
        listed = await client.get_interface_list(timeout=_STEP_S)
        if not listed.interface_list or not listed.interface_list.interfaces:
            return None
        interface = listed.interface_list.interfaces[0]
        address = str(interface.ipv4 if interface.flags & InterfaceFlags.IPV4 else interface.ipv6)
        reply = await client.register(
            version=ProtocolVersion.V1,
            net_name=profile.net_name,
            ip_address=address,
            client_computer_name="SWN-TORTURE",
            timeout=_STEP_S,
        )
    except Fault as fault:
        return (
            f"{who}, on the first call, with fault {describe_status(fault.status)}. After NTLM that is how a "
            f"wrong user name or password shows; see [account] in {profile.source}."
        )
    except (RpcError, DecodeError, OSError):
        return None  # It talks to us; what is wrong with how it does is for the cases to say.
    if reply.result == Win32.ERROR_INVALID_PARAMETER:
        return (
            f"{who}, who registers for the NetName {profile.net_name!r}, with {describe(reply.result)}. "
            f"Is that the name clients use for the cluster? See net_name in {profile.source}."
        )
    return None


def _text(problem: BaseException) -> str:
    return str(problem) or type(problem).__name__
