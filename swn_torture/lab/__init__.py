"""A temporary Samba cluster with CTDB and the witness service, in namespaces of its own on this machine.

`up` starts it, `down` removes everything, `status` reports its state, `execute` runs a command on a node. The
nodes are reachable only from the client namespace: `enter_client_namespace` moves the calling thread there,
and `Lab.client_prefix` a command. `profile_text` returns the target profile that the suite needs.

A lab as a whole:

- ``config``: ``LabConfig``: number of nodes, Debian release, names, addresses, directories.
- ``addresses``: which address each node and the client have.
- ``lifecycle``: ``Lab``, ``LabStatus``; up, down, status, find, execute.
- ``health``: wait until CTDB, SMB and the witness service work on every node.
- ``profile``: the target profile of a lab, as TOML; its title has the release and the Samba version.
- ``instances``: further clusters of a lab, with other settings, for the variants of its profile.
- ``variants``: these clusters, and which one each variant uses.

What a lab is made of:

- ``samba``: the Samba that it runs: Debian's, or an installed tree or .deb packages of the user.
- ``base``: the base tree: a Debian with Samba, made once per release, in the cache.
- ``node``: one node: its namespaces, its file system, its process 1.
- ``namespaces``: network namespaces by name, and the processes in them.
- ``settings``: the configuration files of a node.
- ``domain``: the names and configuration files of its domain, if it has one.
- ``directory``: the domain controller, its accounts and keytabs; joins the cluster.
- ``scripts``: the two shell scripts in the directory of a running lab, ``exec`` and ``machine``.
- ``capture``: the packets of all nodes and of the client, from the switch.
- ``probe``: the program ``swn-probe``, which runs on a node: does an address serve SMB and witness?

For all of them:

- ``tools``: run commands of this machine, and file locks.
- ``errors``: ``LabError``.
"""

from swn_torture.lab.addresses import MAX_NODES
from swn_torture.lab.config import RELEASES, LabConfig, NodeConfig, User, cache_directory
from swn_torture.lab.errors import LabError
from swn_torture.lab.lifecycle import (
    Lab,
    LabStatus,
    NodeHealth,
    command,
    down,
    execute,
    find,
    find_by_namespace,
    instances_of,
    status,
    up,
)
from swn_torture.lab.namespaces import enter_client_namespace, in_client_namespace, lab_names
from swn_torture.lab.profile import product, profile, profile_text, title, write_profile
from swn_torture.lab.samba import find_build
from swn_torture.lab.tools import unavailable_reason

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
    "find_build",
    "find_by_namespace",
    "in_client_namespace",
    "instances_of",
    "lab_names",
    "product",
    "profile",
    "profile_text",
    "status",
    "title",
    "unavailable_reason",
    "up",
    "write_profile",
]
