"""A stand-in for a source directory of Samba with a running clusteredmember: shell scripts.

`ctdb/tests/local_daemons.sh` answers the commands of `ctdb` for each node, and `bin/net` those of `net
witness`. They keep flags in files, and write down what they were called with.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_NODES = 3

_LOCAL_DAEMONS = r"""#!/bin/sh
# DIRECTORY onnode N COMMAND
state=$(dirname "$0")/../../state
if [ -n "${CTDB_SOCKET-}${CTDB_BASE-}" ]; then
  echo "CTDB_SOCKET or CTDB_BASE is set" >&2
  exit 1
fi
[ "$2" = onnode ] || exit 1
echo "$3 $4" >>"$state/log"
flag() { if [ -e "$state/disabled.$1" ]; then echo 1; else echo 0; fi; }
case $4 in
"ctdb -X status")
  echo "|Node|IP|Disconnected|Unknown|Banned|Disabled|Unhealthy|Stopped|Inactive|PartiallyOnline|ThisNode|"
  for n in 0 1 2; do echo "|$n|10.53.57.4$n|0|0|0|$(flag $n)|0|0|0|0|N|"; done ;;
"ctdb --json status") echo "Invalid option --json: unknown option" >&2; exit 1 ;;
"ctdb status") echo "Recovery mode:NORMAL (0)" ;;
"ctdb listvars") echo "NoIPFailback = 0" ;;
"ctdb disable") touch "$state/disabled.$3" ;;
"ctdb enable") rm -f "$state/disabled.$3" ;;
"ctdb -n "*" enable") n=${4#ctdb -n }; rm -f "$state/disabled.${n% enable}" ;;
"ctdb setvar "* | "ctdb ipreallocate" | "ctdb reloadips all") ;;
*) echo "unexpected: $4" >&2; exit 1 ;;
esac
"""

_NET = r"""#!/bin/sh
state=$(dirname "$0")/../state
echo "net $* UID_WRAPPER_ROOT=$UID_WRAPPER_ROOT $CTDB_SOCKET $SMB_CONF_PATH" >>"$state/log"
cat "$state/registrations.json"
"""


def make_source(directory: Path) -> dict[str, str]:
    """Make the stand-in, and return the variables that selftest.pl exports for a clusteredmember.

    Args:
        directory: becomes the source directory.
    """
    for name, text in (("ctdb/tests/local_daemons.sh", _LOCAL_DAEMONS), ("bin/net", _NET)):
        script = directory / name
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(text, encoding="utf-8")
        script.chmod(0o755)
    (directory / "state").mkdir()
    set_registrations(directory)
    prefix = directory / "st" / "clusteredmember"
    variables = {
        "SRCDIR_ABS": str(directory),
        "CTDB_PREFIX": str(prefix),
        "CTDB_SOCKET": str(prefix / "node.0" / "ctdbd.socket"),
        "CTDB_BASE": str(prefix / "node.0"),
        "NUM_NODES": str(_NODES),
        "NETBIOSNAME": "CLUSTEREDMEMBER",
        "DOMAIN": "SAMBADOMAIN",
        "DC_USERNAME": "Administrator",
        "DC_PASSWORD": "locDCpass1",
        "USERNAME": "root",
        "PASSWORD": "clustermember8pass",
    }
    for number in range(_NODES):
        node = prefix / f"node.{number}"
        variables |= {
            f"CTDB_BASE_NODE{number}": str(node),
            f"CTDB_SOCKET_NODE{number}": str(node / "ctdbd.socket"),
            f"CTDB_SERVER_NAME_NODE{number}": f"ctdb{number}",
            f"CTDB_IFACE_IP_NODE{number}": f"10.53.57.4{number}",
        }
    return variables


def set_registrations(directory: Path, *clients: str) -> None:
    """Set what `net witness` prints: a registration of each of these clients."""
    entry = {"version": "0x00020000", "net_name": "CLUSTEREDMEMBER", "ip_address": "10.53.57.41"}
    entries = {f"key-{client}": {**entry, "client_computer_name": client} for client in clients}
    text = json.dumps({"filters": {}, "registrations": entries})
    (directory / "state" / "registrations.json").write_text(text, encoding="utf-8")


def log(directory: Path) -> list[str]:
    """What the tools were called with, without the queries of the state."""
    lines = (directory / "state" / "log").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.endswith(("ctdb -X status", "ctdb listvars", "status"))]
