"""The configuration files that make a Debian with Samba a node of the cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from swn_torture.lab.addresses import with_prefix
from swn_torture.lab.domain.names import REALM, node_host
from swn_torture.lab.domain.settings import member_files, member_hosts, role_lines
from swn_torture.lab.samba.places import DEBIAN

if TYPE_CHECKING:
    from swn_torture.lab.config import LabConfig, NodeConfig
    from swn_torture.lab.samba.places import Places

SHARED: Final = "/clusterfs"
"""The path, on every node, of the file system that all nodes share."""

LOCK: Final = f"{SHARED}/.reclock"
"""The cluster lock of CTDB. Its leader holds it."""

SHARES: Final = {"data": True, "moving": True, "plain": False}
"""The shares, and whether each is scale-out, as usual with CTDB. `moving` is asymmetric: clients follow its
owner. `plain` is an ordinary share that one server serves."""

PROBE_ROOT: Final = "/opt/swn-probe"
"""The path, on every node with a Samba of the user, of a Debian with Debian's Samba, for the probe."""

_FIRST_UID: Final = 2001


def shares_of(config: LabConfig) -> dict[str, bool]:
    """Return the shares of a lab, and whether each is scale-out."""
    return SHARES if config.shares == "usual" else dict.fromkeys(SHARES, False)


def start_services(config: LabConfig, places: Places = DEBIAN) -> tuple[tuple[str, ...], ...]:
    """Return the command lines that start the daemons of Samba on a node."""
    winbind = (("winbindd", "-D"),) if config.in_domain else ()
    programs = ["--libexec-rpcds"]
    if not config.share_service:
        programs = [f"{places.libexec}/rpcd_epmapper", f"{places.libexec}/rpcd_witness"]
    return (*winbind, ("smbd", "-D"), (f"{places.libexec}/samba-dcerpcd", "-D", *programs))


def node_files(
    config: LabConfig, node: NodeConfig, base: Path, places: Places = DEBIAN
) -> dict[str, tuple[str, int]]:
    """Return the files of a node that differ from the base tree: path below the root -> content and mode.

    Args:
        config: the configuration of the lab.
        node: the node.
        base: the base tree.
        places: where the Samba of the lab has its configuration.
    """
    ctdb = places.ctdb_etc.lstrip("/")
    probe = "#!/usr/bin/python3\n" + Path(__file__).with_name("probe.py").read_text(encoding="utf-8")
    user = config.users[0]
    secret: dict[str, object] = {
        "username": user.name,
        "password": user.password,
        "domain": config.domain,
        "net_name": config.net_name,
    }
    if config.in_domain:
        names = {other.address: node_host(config, other) for other in config.node_configs}
        secret |= {"realm": REALM, "names": names}
    open_files = {
        "etc/hostname": f"{node.name}\n",
        "etc/hosts": _hosts(config, node),
        f"{ctdb}/ctdb.conf": _CTDB_CONF,
        f"{ctdb}/ctdb.tunables": _tunables(config),
        f"{ctdb}/nodes": "".join(f"{other.address}\n" for other in config.node_configs),
        f"{ctdb}/public_addresses": "".join(
            f"{with_prefix(address)} eth0\n"
            for other in config.node_configs
            for address in other.public_addresses
        ),
        places.smb_conf.lstrip("/"): smb_conf(config),
        **_accounts(config, base),
        **member_files(config),
    }
    return {
        **{path: (text, 0o644) for path, text in open_files.items()},
        "etc/shadow": (_shadow(config, base), 0o640),
        "etc/swn-probe.json": (json.dumps(secret), 0o600),
        "usr/local/bin/swn-probe": (probe, 0o755),
    }


def probe_files(config: LabConfig, node: NodeConfig, base: Path) -> dict[str, tuple[str, int]]:
    """Return the files of the Debian in which the probe of a node runs that has a Samba of the user."""
    files = node_files(config, node, base)
    # Not the smb.conf of the cluster: there is no CTDB for this Samba.
    client = f"[global]\n  netbios name = PROBE\n  workgroup = {config.domain}\n"
    return {
        "etc/samba/smb.conf": (client, 0o644),
        **{path: files[path] for path in ("etc/hosts", "etc/swn-probe.json", "usr/local/bin/swn-probe")},
    }


def smb_conf(config: LabConfig) -> str:
    """Return the configuration of Samba, which is the same on all nodes."""
    include = "yes" if config.include_node_addresses else "no"
    return f"""\
[global]
  netbios name = {config.net_name}
  workgroup = {config.domain}
{role_lines(config)}\
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

{_share_sections(config)}{config.smb_conf}"""


def _share_sections(config: LabConfig) -> str:
    sections = []
    for name, scale_out in shares_of(config).items():
        lines = [f"[{name}]", f"path = {SHARED}/{name}", "read only = no"]
        if name == "moving":
            lines.append("smb3 share cap:ASYMMETRIC = yes")
        if not scale_out:
            lines += ["smb3 share cap:SCALE OUT = no", "smb3 share cap:CLUSTER = no"]
        sections.append("\n  ".join(lines) + "\n")
    return "\n".join(sections)


_CTDB_CONF: Final = f"""\
[logging]
  location = file:/var/log/ctdb.log
  log level = NOTICE
[cluster]
  recovery lock = {LOCK}
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
    return "\n".join(lines) + "\n" + member_hosts(config, node)


def _accounts(config: LabConfig, base: Path) -> dict[str, str]:
    """Return passwd and group with the users of the lab added; CTDB has their passwords (passdb.tdb).

    In a domain, the domain has them.
    """
    if config.in_domain:
        return {}
    passwd, group = ((base / path).read_text(encoding="utf-8") for path in ("etc/passwd", "etc/group"))
    for uid, user in enumerate(config.users, start=_FIRST_UID):
        passwd += f"{user.name}:x:{uid}:{uid}::/nonexistent:/usr/sbin/nologin\n"
        group += f"{user.name}:x:{uid}:\n"
    return {"etc/passwd": passwd, "etc/group": group}


def _shadow(config: LabConfig, base: Path) -> str:
    users = () if config.in_domain else config.users
    lines = "".join(f"{user.name}:*:20000:0:99999:7:::\n" for user in users)
    return (base / "etc/shadow").read_text(encoding="utf-8") + lines
