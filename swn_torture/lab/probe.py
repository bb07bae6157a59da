"""Asks every node of a lab whether it serves; runs on a node, with Samba's own Python, knowing nothing of us.

Arguments: net name, domain, user, seconds, then addresses; the password comes on standard input. Tries each
address until it serves, and prints one line of JSON for each: SMB session and share, endpoint mapper,
GetInterfaceList over a signed association. The first such call also makes the node start its RPC workers,
which matters: a cold node answers a burst of binds badly.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from samba import credentials, param
from samba.dcerpc import witness
from samba.samba3 import libsmb_samba_internal as libsmb
from samba.samba3 import param as s3param

RETRY_SECONDS = 0.2


def main(net_name: str, domain: str, user: str, seconds: str, *addresses: str) -> int:
    """Probe the addresses one after the other; 0 when all of them serve before the deadline."""
    password = sys.stdin.readline().rstrip("\n")
    deadline = time.monotonic() + float(seconds)
    loaded = param.LoadParm()
    loaded.load("/etc/samba/smb.conf")
    # The cluster's own configuration would make this client a member of the cluster.
    loaded.set("clustering", "no")
    context = s3param.get_context()
    context.load("/etc/samba/smb.conf")
    who = credentials.Credentials()
    who.guess(loaded)
    who.set_username(user)
    who.set_domain(domain)
    who.set_password(password)
    failed = 0
    for address in addresses:
        answer = _until(deadline, lambda a=address: _probe(a, net_name, loaded, context, who))
        failed += "error" in answer
        print(json.dumps({"address": address, **answer}), flush=True)  # noqa: T201 - this is how it answers
    return 1 if failed else 0


def _until(deadline: float, probe: Any) -> dict[str, Any]:
    tries = 0
    while True:
        tries += 1
        try:
            return {"tries": tries, **probe()}
        except Exception as error:  # noqa: BLE001 - the bindings raise what they like; the caller sees the last
            if time.monotonic() > deadline:
                return {"tries": tries, "error": str(error)}
            time.sleep(RETRY_SECONDS)


def _probe(address: str, net_name: str, loaded: Any, context: Any, who: Any) -> dict[str, Any]:
    began = time.monotonic()
    session = libsmb.Conn(address, "data", context, who)
    session.list("/")
    smb = time.monotonic()
    # Without a port in the binding the client asks the endpoint mapper first.
    binding = f"ncacn_ip_tcp:{address}[spnego,sign,target_hostname={net_name}]"
    interfaces = witness.witness(binding, loaded, who).GetInterfaceList()
    return {
        "interfaces": [
            (interface.ipv4, interface.state, interface.flags) for interface in interfaces.interfaces
        ],
        "smb_s": round(smb - began, 3),
        "witness_s": round(time.monotonic() - smb, 3),
    }


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
