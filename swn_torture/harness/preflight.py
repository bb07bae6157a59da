"""First calls to a target before a run: is it reachable, does it accept the account and the NetName?

A failure is explained in one paragraph that says how to mend it, before every case fails for the same reason.
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

#: Seconds that each step may take before the target counts as unreachable.
_STEP_S = 8.0


def first_trouble(profile: Profile) -> str | None:
    """Why the suite cannot use this target, in one paragraph; None when it can."""
    return asyncio.run(_check(profile))


async def _check(profile: Profile) -> str | None:
    if profile.network_namespace:
        from swn_torture.lab.namespaces import enter_network

        enter_network(profile.network_namespace)
    for node in profile.nodes:
        trouble = await _check_node(profile, node)
        if trouble:
            return trouble
    return None


async def _check_node(profile: Profile, node: NodeAddress) -> str | None:
    where = f"node {node.name} ({node.address})"
    port = node.port
    if port is None:
        try:
            port = (await ept_map(node.address, WITNESS, port=node.endpoint_mapper_port, timeout=_STEP_S))[
                0
            ].port
        except (RpcError, OSError) as problem:
            return (
                f"The endpoint mapper of {where}, TCP port {node.endpoint_mapper_port}, returns no witness "
                f"endpoint: {_text(problem)}. Check that the cluster and its witness service run. "
                "If the witness port is fixed, set port = NUMBER in the [[node]] table of the profile."
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
        return f"{where} rejects the account {who}: {problem}. Check [account] in {profile.source}."
    except (RpcError, OSError) as problem:
        return f"The witness endpoint of {where}, TCP port {port}, cannot be used: {_text(problem)}."
    try:
        return await _first_calls(profile, client, where, who)
    finally:
        await client.rpc.close()


async def _first_calls(profile: Profile, client: WitnessClient, where: str, who: str) -> str | None:
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
            f"{where} completes the first call of the account {who} with fault "
            f"{describe_status(fault.status)}. With NTLM, a wrong user name or password shows only here. "
            f"Check [account] in {profile.source}."
        )
    except (RpcError, DecodeError, OSError):
        return None  # the target answers; whether it answers correctly is for the cases to check
    if reply.result == Win32.ERROR_INVALID_PARAMETER:
        return (
            f"{where} rejects a Register with the NetName {profile.net_name!r}: {describe(reply.result)}. "
            f"Check that clients use this name for the cluster; see net_name in {profile.source}."
        )
    return None


def _text(problem: BaseException) -> str:
    return str(problem) or type(problem).__name__
