"""Asks nodes of a lab whether they serve. Runs on a node, with Samba's own Python, knowing nothing of us.

    swn-probe SECONDS ADDRESS...

Tries each address until it serves or the time is over, and prints a line of JSON for each: SMB session and
share, endpoint mapper, GetInterfaceList over a signed association. The first such call makes a node start its
RPC workers, which matters: a cold node answers a burst of binds badly. Ends with 0 if all addresses serve.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samba import credentials, param
from samba.dcerpc import witness
from samba.samba3 import libsmb_samba_internal as libsmb
from samba.samba3 import param as s3param

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS = Path("/etc/swn-probe.json")
RETRY_SECONDS = 0.1
TRY_SECONDS = 5.0


def main(seconds: str, *addresses: str) -> int:
    """Probe the addresses one after the other; 0 when all of them serve before the deadline."""
    deadline = time.monotonic() + float(seconds)
    settings = json.loads(SETTINGS.read_text(encoding="utf-8"))
    # The cluster's own smb.conf would make this client a member of the cluster.
    loaded = param.LoadParm()
    loaded.set("workgroup", settings["domain"])
    context = s3param.get_context()
    context.load("/etc/samba/smb.conf")
    # Its log level is the daemons' and would fill our standard error.
    context.set("log level", "0")
    who = credentials.Credentials()
    who.guess(loaded)
    who.set_username(settings["username"])
    who.set_domain(settings["domain"])
    who.set_password(settings["password"])
    failed = 0
    for address in addresses:
        answer = _until(deadline, partial(_probe, address, settings["net_name"], loaded, context, who))
        failed += "error" in answer
        print(json.dumps({"address": address, **answer}), flush=True)  # noqa: T201 - this is how it answers
    return 1 if failed else 0


def _until(deadline: float, probe: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    tries = 0
    while True:
        tries += 1
        answer = _in_a_child(probe)
        if "error" not in answer or time.monotonic() > deadline:
            return {"tries": tries, **answer}
        time.sleep(RETRY_SECONDS)


def _in_a_child(probe: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """One try, in a process that can be killed: the bindings wait a minute for what a cold node has lost."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = probe()
        except Exception as error:  # noqa: BLE001 - the bindings raise what they like
            answer = {"error": str(error) or repr(error)}
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)
    os.close(writer)
    said = os.read(reader, 65536) if select.select([reader], [], [], TRY_SECONDS)[0] else b""
    os.close(reader)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return dict(json.loads(said)) if said else {"error": f"no answer within {TRY_SECONDS:g} s"}


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
