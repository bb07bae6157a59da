"""What impacket sees of a target: a second opinion on its endpoints, and a look at its shares by SMB.

impacket is a stranger's client. Where it and ours see different things, one of the two is wrong before the
target is. Its calls block, so cases run them in a thread.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from swn_torture.witness.constants import WITNESS

if TYPE_CHECKING:
    from swn_torture.target import Profile

#: Seconds for each step of a look; SMB is beside the point of a run and must not hold it up.
_STEP_S = 5

_SMB_PORT = 445


class NoOpinion(Exception):  # noqa: N818 - named for what it reports
    """impacket could not look; the text says why."""


def endpoint(address: str, mapper_port: int) -> int:
    """The TCP port of a node's witness endpoint, from its endpoint mapper (ept_map).

    Raises:
        NoOpinion: there is no such endpoint, or no answer.
    """
    from impacket.dcerpc.v5 import epm
    from impacket.uuid import uuidtup_to_bin

    interface = uuidtup_to_bin((str(WITNESS.uuid), f"{WITNESS.major}.{WITNESS.minor}"))
    dce = _connected(address, mapper_port)  # hept_map binds by itself
    try:
        binding: str = epm.hept_map(address, interface, protocol="ncacn_ip_tcp", dce=dce)
    except Exception as problem:  # impacket raises what its layers raise, socket errors to bare Exceptions
        raise NoOpinion(f"ept_map: {problem}") from problem
    finally:
        dce.disconnect()
    port = re.search(r"\[(\d+)\]$", binding)
    if port is None:
        raise NoOpinion(f"ept_map told {binding!r}")
    return int(port.group(1))


def served_interfaces(address: str, port: int) -> list[str]:
    """The interfaces that an endpoint serves, as its remote management tells them (inq_if_ids).

    Raises:
        NoOpinion: it does not tell.
    """
    from impacket.dcerpc.v5 import mgmt
    from impacket.uuid import bin_to_string

    dce = _connected(address, port)
    try:
        dce.bind(mgmt.MSRPC_UUID_MGMT)
        answer = mgmt.hinq_if_ids(dce)
    except Exception as problem:  # as above
        raise NoOpinion(f"inq_if_ids: {problem}") from problem
    finally:
        dce.disconnect()
    vector = answer["if_id_vector"]
    return [bin_to_string(each["Data"]["Uuid"]).lower() for each in vector["if_id"][: vector["count"]]]


def shares(profile: Profile) -> str:
    """The shares of a target by SMB (NetrShareEnum on its first node), in words; or why they are not seen."""
    from impacket.smbconnection import SMBConnection

    address, account = profile.nodes[0].address, profile.account
    try:
        smb = SMBConnection(address, address, sess_port=_SMB_PORT, timeout=_STEP_S)
        try:
            smb.login(account.username, account.password, account.domain)
            listed = smb.listShares()
        finally:
            smb.close()
    except Exception as problem:  # noqa: BLE001 - as above; a target without SMB is no worse a witness server
        return f"not seen by SMB: {str(problem) or type(problem).__name__}"
    names = [f"{each['shi1_netname'][:-1]} (type 0x{each['shi1_type']:08X})" for each in listed]
    return ", ".join(names) or "none"


def _connected(address: str, port: int) -> Any:
    from impacket.dcerpc.v5 import transport

    try:
        rpc = transport.DCERPCTransportFactory(f"ncacn_ip_tcp:{address}[{port}]")
        rpc.set_connect_timeout(_STEP_S)
        dce = rpc.get_dce_rpc()
        dce.connect()
    except Exception as problem:  # as above
        raise NoOpinion(f"{address} port {port}: {problem}") from problem
    return dce
