"""The settings of a swarm in a file, for the processes of Locust on this machine and on others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from swn_torture.swarm.connection import Logon
from swn_torture.swarm.member import ServingNode, Settings
from swn_torture.target import load_profile

if TYPE_CHECKING:
    from swn_torture.target import Profile

SETTINGS: Final = "SWN_SWARM"
"""The environment variable with the path of the settings."""

RECORDS: Final = "SWN_SWARM_RECORDS"
"""The environment variable with the file descriptor that takes the records."""


def write_settings(path: Path, profile: Profile, *, keep_alive: int) -> None:
    """Write the settings; the account stays in the profile, which every machine needs.

    Args:
        path: of the file.
        profile: the target.
        keep_alive: KeepAliveTimeout of the clients, in seconds.
    """
    values = {
        "target": profile.source,
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
        nodes=tuple(
            ServingNode(node.name, node.address, node.endpoint_mapper_port, node.port)
            for node in profile.nodes
        ),
        net_name=profile.net_name,
        logon=logon,
        keep_alive=values["keep_alive"],
    )
