"""The settings of a swarm in a file, for the processes of Locust on this machine and on others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from swn_torture.dcerpc.epm.endpoint_mapper import ept_map
from swn_torture.swarm.connection import Logon
from swn_torture.swarm.member import ServingNode, Settings
from swn_torture.target import load_profile
from swn_torture.witness.constants import WITNESS

if TYPE_CHECKING:
    from swn_torture.target import Profile

SETTINGS: Final = "SWN_SWARM"
"""The environment variable with the path of the settings."""

RECORDS: Final = "SWN_SWARM_RECORDS"
"""The environment variable with the file descriptor that takes the records."""


async def find_nodes(profile: Profile, timeout: float) -> tuple[ServingNode, ...]:
    """Return the nodes of a target with their witness ports.

    Raises:
        RpcError: an endpoint mapper does not answer, or knows no witness service.
        OSError: a node is not reachable.
    """
    found = []
    for node in profile.nodes:
        port = node.port
        if port is None:
            towers = await ept_map(node.address, WITNESS, port=node.endpoint_mapper_port, timeout=timeout)
            port = towers[0].port
        found.append(ServingNode(node.name, node.address, port))
    return tuple(found)


def write_settings(path: Path, profile: Profile, nodes: tuple[ServingNode, ...], *, keep_alive: int) -> None:
    """Write the settings; the account stays in the profile, which every machine needs.

    Args:
        path: of the file.
        profile: the target.
        nodes: what :func:`find_nodes` returned.
        keep_alive: KeepAliveTimeout of the clients, in seconds.
    """
    values = {
        "target": profile.source,
        "nodes": [[node.name, node.address, node.port] for node in nodes],
        "keep_alive": keep_alive,
    }
    path.write_text(json.dumps(values), encoding="utf-8")


def read_settings(path: str) -> Settings:
    """Return the settings in a file.

    Raises:
        OSError: the file cannot be read.
        ProfileError: the profile that it names cannot be used.
    """
    values = json.loads(Path(path).read_text(encoding="utf-8"))
    profile = load_profile(values["target"])
    services = profile.account.services
    logon = Logon(services[0], profile.account.credentials(), profile.host) if services else None
    return Settings(
        nodes=tuple(ServingNode(*each) for each in values["nodes"]),
        net_name=profile.net_name,
        logon=logon,
        keep_alive=values["keep_alive"],
    )
