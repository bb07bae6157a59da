"""Asks nodes of a lab whether they serve. Runs on a node, with Samba's own Python, knowing nothing of us.

    swn-probe SECONDS ADDRESS...

Tries each address until it serves or the time is over, and prints a line of JSON for each: SMB session and
share, endpoint mapper, GetInterfaceList over a signed association. The first such call makes a node start its
RPC workers, which matters: a cold node answers a burst of binds badly. Ends with 0 if all addresses serve.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from samba import credentials, param
from samba.dcerpc import witness
from samba.samba3 import libsmb_samba_internal as libsmb
from samba.samba3 import param as s3param

SETTINGS = Path("/etc/swn-probe.json")
RETRY_SECONDS = 0.1


def main(seconds: str, *addresses: str) -> int:
    """Probe the addresses one after the other; 0 when all of them serve before the deadline."""
    deadline = time.monotonic() + float(seconds)
    settings = json.loads(SETTINGS.read_text(encoding="utf-8"))
    # The cluster's own smb.conf would make this client a member of the cluster.
    loaded = param.LoadParm()
    loaded.set("workgroup", settings["domain"])
    context = s3param.get_context()
    context.load("/etc/samba/smb.conf")
    who = credentials.Credentials()
    who.guess(loaded)
    who.set_username(settings["username"])
    who.set_domain(settings["domain"])
    who.set_password(settings["password"])
    failed = 0
    for address in addresses:
        answer = _until(deadline, lambda a=address: _probe(a, settings["net_name"], loaded, context, who))
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
    interfaces = witness.witness(binding, loaded, who).GetInterfaceList().interfaces
    return {
        "interfaces": [(interface.ipv4, interface.state, interface.flags) for interface in interfaces],
        "smb_s": round(smb - began, 3),
        "witness_s": round(time.monotonic() - smb, 3),
    }


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
