"""A disposable Samba cluster with CTDB and the witness service, in namespaces of its own on this machine.

`up` makes it, `down` removes it without a trace, `status` looks at it, `execute` runs a command on a node.
The nodes can be reached only from the client namespace: `enter_client_namespace` moves the calling thread
there, `Lab.client_prefix` a command. `profile` writes the target profile that the suite needs.
"""

from swn_torture.lab.config import MAX_NODES, RELEASES, LabConfig, NodeConfig, User, cache_directory
from swn_torture.lab.errors import LabError
from swn_torture.lab.lifecycle import (
    Lab,
    LabStatus,
    NodeHealth,
    command,
    down,
    execute,
    find,
    status,
    up,
)
from swn_torture.lab.namespaces import enter_client_namespace, in_client_namespace, labs
from swn_torture.lab.profile import profile, profile_text
from swn_torture.lab.tools import unavailable

__all__ = [
    "MAX_NODES",
    "RELEASES",
    "Lab",
    "LabConfig",
    "LabError",
    "LabStatus",
    "NodeConfig",
    "NodeHealth",
    "User",
    "cache_directory",
    "command",
    "down",
    "enter_client_namespace",
    "execute",
    "find",
    "in_client_namespace",
    "labs",
    "profile",
    "profile_text",
    "status",
    "unavailable",
    "up",
]
