"""The configuration files of the domain controller and of the members of the domain of a lab."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.lab.domain.names import CONTROLLER, REALM, dns_name, kdc, node_host

if TYPE_CHECKING:
    from swn_torture.lab.config import LabConfig, NodeConfig


def controller_files() -> dict[str, tuple[str, int]]:
    """Return the files of the domain controller that differ from the base tree: path -> content and mode."""
    files = {
        "etc/hostname": f"{CONTROLLER}\n",
        "etc/hosts": f"127.0.0.1 localhost\n{_host_line()}",
        "etc/resolv.conf": f"search {REALM.lower()}\nnameserver 127.0.0.1\n",
        "etc/krb5.conf": krb5_conf(),
    }
    return {path: (text, 0o644) for path, text in files.items()}


def member_files(config: LabConfig) -> dict[str, str]:
    """Return the further files of a node that is a member of the domain: path -> content."""
    if not config.in_domain:
        return {}
    return {
        "etc/krb5.conf": krb5_conf(config),
        "etc/resolv.conf": f"search {REALM.lower()}\nnameserver {kdc(config)}\n",
    }


def member_hosts(config: LabConfig, node: NodeConfig) -> str:
    """Return the further lines of `/etc/hosts` of a node."""
    if not config.in_domain:
        return ""
    own = [f"{node.address} {node_host(config, node)} {dns_name(config.net_name.lower())}\n"]
    others = [
        f"{other.address} {node_host(config, other)}\n" for other in config.node_configs if other != node
    ]
    return "".join((*own, *others, _host_line(config)))


def role_lines(config: LabConfig) -> str:
    """Return the lines of smb.conf that make a node a member of the domain, or a server of its own."""
    if not config.in_domain:
        return "  security = user\n  server role = standalone\n  passdb backend = tdbsam\n"
    names = " ".join(node_host(config, node) for node in config.node_configs)
    return (
        f"  security = ads\n  server role = member server\n  realm = {REALM}\n"
        f"  additional dns hostnames = {names}\n"
        f"  idmap config * : backend = autorid\n  idmap config * : range = 1000000-19999999\n"
        f"{ntlm_line(config)}"
    )


def ntlm_line(config: LabConfig) -> str:
    """Return the line of smb.conf that refuses NTLM, or nothing."""
    return "" if config.ntlm else "  ntlm auth = disabled\n"


def krb5_conf(config: LabConfig | None = None) -> str:
    """Return the configuration of Kerberos.

    Args:
        config: the cluster whose members use it; None for the domain controller and the client. Members look
            KDCs up by DNS, too: Samba joins with its realm in lower case, which is another realm.
    """
    lookup = "false" if config is None else "true"
    return f"""\
[libdefaults]
  default_realm = {REALM}
  dns_lookup_realm = false
  dns_lookup_kdc = {lookup}
  dns_canonicalize_hostname = false
  rdns = false
[realms]
  {REALM} = {{
    kdc = {kdc(config)}
  }}
[domain_realm]
  .{REALM.lower()} = {REALM}
"""


def _host_line(config: LabConfig | None = None) -> str:
    return f"{kdc(config)} {dns_name(CONTROLLER)} {CONTROLLER}\n"
