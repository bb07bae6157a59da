"""Runs inside a tree with Samba's Python bindings: logs on by Kerberos, with each binding.

Arguments: host name of the node, TCP port, NetName, an address to register, account, password, realm. It
prints one line of JSON for each binding. The environment has the way to the KDC.
"""

import json
import sys

from samba import credentials, param
from samba.dcerpc import witness

HOST, PORT, NET_NAME, REGISTERED, USER, PASSWORD, REALM = sys.argv[1:8]
BINDINGS = [
    f"{auth},{level}{syntax}"
    for auth in ("krb5", "spnego")
    for level in ("sign", "seal")
    for syntax in ("", ",ndr64")
]


def register(binding):
    """Register and unregister, and return the results."""
    settings = param.LoadParm()
    settings.set("realm", REALM)
    account = credentials.Credentials()
    account.guess(settings)
    account.set_username(USER)
    account.set_password(PASSWORD)
    account.set_domain("")
    account.set_realm(REALM)
    account.set_kerberos_state(credentials.MUST_USE_KERBEROS)
    client = witness.witness(f"ncacn_ip_tcp:{HOST}[{PORT},{binding}]", settings, account)
    interfaces = client.GetInterfaceList()
    handle = client.Register(witness.WITNESS_V1, NET_NAME, REGISTERED, "SAMBA-CLIENT")
    client.UnRegister(handle)
    return {"binding": binding, "interfaces": len(interfaces.interfaces)}


for each in BINDINGS:
    sys.stdout.write(json.dumps(register(each)) + "\n")
