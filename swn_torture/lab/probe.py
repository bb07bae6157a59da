"""The program `swn-probe`: does an address serve SMB and witness?

It runs on a node with Samba's Python and imports nothing of this package.

    swn-probe SECONDS ADDRESS...

It tries each address until it serves or the time is over, and prints one line of JSON for each. A try opens
an SMB session and the share, asks the endpoint mapper, and calls GetInterfaceList over a signed association.
The first call makes the node start its RPC worker processes. Before that, a node does not handle many binds
at the same time reliably. The exit code is 0 if all addresses serve.
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
TRY_SECONDS = 10.0


def main(seconds: str, *addresses: str) -> int:
    """Probe the addresses one after the other; return 0 if all of them serve before the deadline."""
    deadline = time.monotonic() + float(seconds)
    settings = json.loads(SETTINGS.read_text(encoding="utf-8"))
    # With the smb.conf of the cluster this client would be a member of the cluster.
    loaded = param.LoadParm()
    loaded.set("workgroup", settings["domain"])
    context = s3param.get_context()
    context.load("/etc/samba/smb.conf")
    # The log level is the one of the daemons and would fill standard error.
    context.set("log level", "0")
    account = credentials.Credentials()
    account.guess(loaded)
    account.set_username(settings["username"])
    account.set_domain(settings["domain"])
    account.set_password(settings["password"])
    names = settings.get("names", {})
    if names:
        # By Kerberos: the domain may refuse NTLM. A ticket is for a name, not for an address.
        loaded.set("realm", settings["realm"])
        account.set_realm(settings["realm"])
        account.set_kerberos_state(credentials.MUST_USE_KERBEROS)
    failed = 0
    for address in addresses:
        host = names.get(address, address)
        result = _retry(deadline, partial(_probe, host, settings["net_name"], loaded, context, account))
        failed += "error" in result
        print(json.dumps({"address": address, **result}), flush=True)  # noqa: T201 - the output of the program
    return 1 if failed else 0


def _retry(deadline: float, probe: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    tries = 0
    while True:
        tries += 1
        result = _in_child_process(probe)
        if "error" not in result or time.monotonic() > deadline:
            return {"tries": tries, **result}
        time.sleep(RETRY_SECONDS)


def _in_child_process(probe: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Try once, in a process that can be killed: the bindings wait a minute for a lost response."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            result = probe()
        except Exception as error:  # noqa: BLE001 - the bindings raise any exception
            result = {"error": str(error) or repr(error)}
        os.write(writer, json.dumps(result).encode())
        os._exit(0)
    os.close(writer)
    output = os.read(reader, 65536) if select.select([reader], [], [], TRY_SECONDS)[0] else b""
    os.close(reader)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return dict(json.loads(output)) if output else {"error": f"no response within {TRY_SECONDS:g} s"}


def _probe(host: str, net_name: str, loaded: Any, context: Any, account: Any) -> dict[str, Any]:
    began = time.monotonic()
    session = libsmb.Conn(host, "data", context, account)
    session.list("/")
    smb = time.monotonic()
    # Without a port in the binding the client asks the endpoint mapper first.
    binding = f"ncacn_ip_tcp:{host}[spnego,sign,target_hostname={net_name}]"
    interfaces = witness.witness(binding, loaded, account).GetInterfaceList().interfaces
    return {
        "interfaces": [(interface.ipv4, interface.state, interface.flags) for interface in interfaces],
        "smb_s": round(smb - began, 3),
        "witness_s": round(time.monotonic() - smb, 3),
    }


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
