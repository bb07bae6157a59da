"""The configuration files that make a Debian with Samba a node of the cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from swn_torture.lab.config import PREFIX_LENGTH

if TYPE_CHECKING:
    from swn_torture.lab.config import LabConfig, NodeConfig

SHARED: Final = "/clusterfs"
"""The path, on every node, of the file system that all nodes share."""

SHARES: Final = ("data", "moving")
"""The shares. `data` is scale-out, as usual with CTDB. `moving` is asymmetric: clients follow its owner."""

_FIRST_UID: Final = 2001


def node_files(config: LabConfig, node: NodeConfig, base: Path) -> dict[str, tuple[str, int]]:
    """Return the files of a node that differ from the base tree: path below the root -> content and mode."""
    probe = "#!/usr/bin/python3\n" + Path(__file__).with_name("probe.py").read_text(encoding="utf-8")
    user = config.users[0]
    secret = {"username": user.name, "password": user.password, "domain": config.domain}
    open_files = {
        "etc/hostname": f"{node.name}\n",
        "etc/hosts": _hosts(config, node),
        "etc/ctdb/ctdb.conf": _CTDB_CONF,
        "etc/ctdb/ctdb.tunables": _tunables(config),
        "etc/ctdb/nodes": "".join(f"{other.address}\n" for other in config.node_configs),
        "etc/ctdb/public_addresses": "".join(
            f"{other.public_address}/{PREFIX_LENGTH} eth0\n" for other in config.node_configs
        ),
        "etc/samba/smb.conf": smb_conf(config),
        **_accounts(config, base),
    }
    return {
        **{path: (text, 0o644) for path, text in open_files.items()},
        "etc/shadow": (_shadow(config, base), 0o640),
        "etc/swn-probe.json": (json.dumps({**secret, "net_name": config.net_name}), 0o600),
        "usr/local/bin/swn-probe": (probe, 0o755),
    }


def smb_conf(config: LabConfig) -> str:
    """Return the configuration of Samba, which is the same on all nodes."""
    include = "yes" if config.include_node_addresses else "no"
    return f"""\
[global]
  netbios name = {config.net_name}
  workgroup = {config.domain}
  security = user
  server role = standalone
  passdb backend = tdbsam
  clustering = yes
  # The witness service runs all the time. Helpers started on demand would end with their last client.
  rpc start on demand helpers = no
  rpcd witness:include node ips = {include}
  interfaces = lo eth0
  log level = {config.log_level}
  log file = /var/log/samba/log.%m
  load printers = no
  printing = bsd
  disable spoolss = yes
  map to guest = never

[data]
  path = {SHARED}/data
  read only = no

[moving]
  path = {SHARED}/moving
  read only = no
  smb3 share cap:ASYMMETRIC = yes
"""


_CTDB_CONF: Final = f"""\
[logging]
  location = file:/var/log/ctdb.log
  log level = NOTICE
[cluster]
  recovery lock = {SHARED}/.reclock
  leader timeout = 2
[legacy]
  realtime scheduling = false
"""


def _tunables(config: LabConfig) -> str:
    return f"""\
# With CTDB's defaults (5 s, 5 times) the others need half a minute to detect a node that stopped sending.
KeepaliveInterval={config.keepalive_interval}
KeepaliveLimit={config.keepalive_limit}
# Seconds without a recovery before a node serves, and seconds that an election takes. The defaults, 10 and 3,
# are for clusters with nodes that start one after the other.
RerecoveryTimeout=1
ElectionTimeout=1
# Deterministic: each node hosts its own public address while it is healthy.
IPAllocAlgorithm=0
"""


def _hosts(config: LabConfig, node: NodeConfig) -> str:
    lines = ["127.0.0.1 localhost", f"{node.address} {node.name} {config.net_name}"]
    lines += [f"{other.address} {other.name}" for other in config.node_configs if other != node]
    return "\n".join(lines) + "\n"


def _accounts(config: LabConfig, base: Path) -> dict[str, str]:
    """Return passwd and group with the users of the lab added; CTDB has their passwords (passdb.tdb)."""
    passwd, group = ((base / path).read_text(encoding="utf-8") for path in ("etc/passwd", "etc/group"))
    for uid, user in enumerate(config.users, start=_FIRST_UID):
        passwd += f"{user.name}:x:{uid}:{uid}::/nonexistent:/usr/sbin/nologin\n"
        group += f"{user.name}:x:{uid}:\n"
    return {"etc/passwd": passwd, "etc/group": group}


def _shadow(config: LabConfig, base: Path) -> str:
    lines = "".join(f"{user.name}:*:20000:0:99999:7:::\n" for user in config.users)
    return (base / "etc/shadow").read_text(encoding="utf-8") + lines
