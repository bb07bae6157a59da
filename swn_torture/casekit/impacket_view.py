"""What impacket's client sees of a target: its endpoints, and the interfaces that they serve.

impacket is an independent client. If its view differs from that of the suite's own client, one of the two
clients is wrong; that is settled before the target is judged. Its calls block, so cases run them in a thread.
"""

from __future__ import annotations

import re
from typing import Any

from swn_torture.witness.constants import WITNESS

#: Seconds for each step.
_STEP_S = 5


class ImpacketFailed(Exception):  # noqa: N818 - named after what it reports
    """impacket got no result; the text says why."""


def endpoint(address: str, mapper_port: int) -> int:
    """The TCP port of a node's witness endpoint, from its endpoint mapper (ept_map).

    Args:
        address: IP address of the node.
        mapper_port: TCP port of its endpoint mapper.

    Raises:
        ImpacketFailed: the endpoint mapper does not answer, or returns no witness endpoint.
    """
    from impacket.dcerpc.v5 import epm
    from impacket.uuid import uuidtup_to_bin

    interface = uuidtup_to_bin((str(WITNESS.uuid), f"{WITNESS.major}.{WITNESS.minor}"))
    dce = _connected(address, mapper_port)  # hept_map binds by itself
    try:
        binding: str = epm.hept_map(address, interface, protocol="ncacn_ip_tcp", dce=dce)
    except Exception as problem:  # impacket raises what its layers raise, socket errors to bare Exceptions
        raise ImpacketFailed(f"ept_map: {problem}") from problem
    finally:
        dce.disconnect()
    port = re.search(r"\[(\d+)\]$", binding)
    if port is None:
        raise ImpacketFailed(f"ept_map returned {binding!r}, which has no TCP port")
    return int(port.group(1))


def served_interfaces(address: str, port: int) -> list[str]:
    """The UUIDs of the interfaces at an endpoint, from its remote management interface (inq_if_ids).

    Args:
        address: IP address of the node.
        port: TCP port of the endpoint.

    Raises:
        ImpacketFailed: the connection or the call fails.
    """
    from impacket.dcerpc.v5 import mgmt
    from impacket.uuid import bin_to_string

    dce = _connected(address, port)
    try:
        dce.bind(mgmt.MSRPC_UUID_MGMT)
        answer = mgmt.hinq_if_ids(dce)
    except Exception as problem:  # as above
        raise ImpacketFailed(f"inq_if_ids: {problem}") from problem
    finally:
        dce.disconnect()
    vector = answer["if_id_vector"]
    return [bin_to_string(each["Data"]["Uuid"]).lower() for each in vector["if_id"][: vector["count"]]]


def _connected(address: str, port: int) -> Any:
    from impacket.dcerpc.v5 import transport

    try:
        rpc = transport.DCERPCTransportFactory(f"ncacn_ip_tcp:{address}[{port}]")
        rpc.set_connect_timeout(_STEP_S)
        dce = rpc.get_dce_rpc()
        dce.connect()
    except Exception as problem:  # as above
        raise ImpacketFailed(f"{address} port {port}: {problem}") from problem
    return dce
