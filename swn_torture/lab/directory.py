"""Start the domain controller of a lab, with its accounts and keytabs for the suite, and join the cluster."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Final

from swn_torture.lab import node as nodes
from swn_torture.lab.addresses import controller_addresses
from swn_torture.lab.config import run_directory
from swn_torture.lab.domain.names import ADMIN_PASSWORD, ADMINISTRATOR, CONTROLLER, GROUP, REALM, kdc
from swn_torture.lab.domain.settings import controller_files, krb5_conf
from swn_torture.lab.errors import LabError
from swn_torture.lab.samba.places import DEBIAN
from swn_torture.lab.settings import SHARED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from swn_torture.lab.config import LabConfig

_PROVISION_TIMEOUT: Final = 120.0
_JOIN_TIMEOUT: Final = 60.0
_PORTS: Final = {"53": "DNS", "88": "Kerberos", "389": "LDAP", "445": "SMB", "464": "password changes"}
_POLL_SECONDS: Final = 0.1

# The users and keys are in the files of the domain before its services start.
_PROVISION: Final = """
set -eu
rm -f /etc/samba/smb.conf
samba-tool domain provision --realm="$1" --domain="$2" --host-name="$3" --host-ip="$4" --adminpass="$5" \\
  --server-role=dc --dns-backend=SAMBA_INTERNAL --option='interfaces=lo eth0' --option='dns forwarder=' \\
  >/var/log/provision.log 2>&1 || { tail -n 3 /var/log/provision.log; exit 1; } >&2
printf '[global]\\n  ntlm auth = %s\\n' "$6" >>/etc/samba/smb.conf
"""

_GROUPS: Final = 600
"""Groups of the second user. Its ticket has eight octets for each; the AP-REQ is longer than any fragment."""

# One transaction in one process: with samba-tool it would take minutes.
_ADD_GROUPS: Final = """
import sys
from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB

user, groups = sys.argv[1], int(sys.argv[2])
settings = LoadParm()
settings.load_default()
directory = SamDB(session_info=system_session(), lp=settings)
users = f"CN=Users,{directory.domain_dn()}"
directory.transaction_start()
for number in range(1, groups + 1):
    name = f"{user}-group{number}"
    directory.add(
        {
            "dn": f"CN={name},{users}",
            "objectClass": "group",
            "sAMAccountName": name,
            "member": f"CN={user},{users}",
        }
    )
directory.transaction_commit()
"""


def start_controller(config: LabConfig, base: Path) -> None:
    """Make the domain controller, its domain and its accounts, and return when it serves.

    Args:
        config: the configuration of the lab.
        base: the base tree.

    Raises:
        LabError: a step fails.
    """
    nodes.boot_machine(
        config, CONTROLLER, controller_files(), controller_addresses(), (base,), DEBIAN.directories
    )
    ntlm = "ntlmv2-only" if config.ntlm else "disabled"
    words = [REALM, config.domain, CONTROLLER, kdc(), ADMIN_PASSWORD, ntlm]
    _run(config, ["sh", "-c", _PROVISION, "provision", *words])
    _run(config, ["samba-tool", "group", "add", GROUP])
    for user in config.users:
        # The password is on the command line of a machine that only root of this host sees.
        _run(config, ["samba-tool", "user", "add", user.name, user.password])
    _run(config, ["samba-tool", "group", "addmembers", GROUP, ",".join(user.name for user in config.users)])
    for user in config.users[1:2]:
        _run(config, ["python3", "-c", _ADD_GROUPS, user.name, str(_GROUPS)])
    _run(config, ["samba", "-D"])
    _export(config)
    _wait_for_ports(config)


def join(config: LabConfig) -> None:
    """Join the domain on the first node. CTDB gives the secrets of the machine account to all nodes.

    Args:
        config: the configuration of the lab, whose CTDB is healthy and whose domain controller serves.

    Raises:
        LabError: the join fails.
    """
    first = config.node_configs[0].name
    argv = ["net", "ads", "join", "--no-dns-updates", f"--user={ADMINISTRATOR}"]
    done = nodes.run_on(
        config.name, first, argv, stdin=f"{ADMIN_PASSWORD}\n", timeout=_JOIN_TIMEOUT, check=False
    )
    if done.returncode != 0:
        reason = (done.stderr or done.stdout).strip()[-400:]
        raise LabError(f"The cluster cannot join the domain {config.domain}: {reason}")
    if not config.network:
        _export_keytab(config, f"{config.net_name}$", service_keytab(config.name))


def keytab(lab: str, user: str) -> Path:
    """Return the path of the keytab of a user of a lab."""
    return run_directory(lab) / f"{user}.keytab"


def service_keytab(lab: str) -> Path:
    """Return the path of the keytab of the cluster: the keys of its machine account."""
    return run_directory(lab) / "service.keytab"


def krb5_conf_path(lab: str) -> Path:
    """Return the path of the configuration of Kerberos for clients of a lab: the value of `KRB5_CONFIG`."""
    return run_directory(lab) / "krb5.conf"


def _export(config: LabConfig) -> None:
    """Put the keytab of each user, and a configuration of Kerberos, into the directory of the lab."""
    for user in config.users:
        _export_keytab(config, user.name, keytab(config.name, user.name))
    krb5_conf_path(config.name).write_text(krb5_conf(), encoding="utf-8")


def _export_keytab(config: LabConfig, principal: str, path: Path) -> None:
    _run(config, ["samba-tool", "domain", "exportkeytab", f"{SHARED}/.exported", f"--principal={principal}"])
    exported = run_directory(config.name) / "shared" / ".exported"
    exported.chmod(0o600)
    shutil.move(exported, path)


def _wait_for_ports(config: LabConfig) -> None:
    deadline = time.monotonic() + config.timeout
    while missing := _missing_ports(config):
        if time.monotonic() > deadline:
            services = ", ".join(f"{_PORTS[port]} (port {port})" for port in missing)
            raise LabError(f"The domain controller does not serve {services}: see {_log(config)}.")
        time.sleep(_POLL_SECONDS)


def _missing_ports(config: LabConfig) -> list[str]:
    listed = nodes.run_on(config.name, CONTROLLER, ["ss", "-Htln4"]).stdout
    opened = {line.split()[3].rpartition(":")[2] for line in listed.splitlines()}
    return [port for port in _PORTS if port not in opened]


def _log(config: LabConfig) -> Path:
    return run_directory(config.name) / CONTROLLER / "log"


def _run(config: LabConfig, argv: Sequence[str]) -> None:
    nodes.run_on(config.name, CONTROLLER, argv, timeout=_PROVISION_TIMEOUT)
