"""Runs inside a tree with Samba's Python bindings: calls every witness method that they have.

Arguments: address of a node, TCP port, NetName, an address to register, account, password. It prints one
line of JSON for each binding, with the results of the calls. The caller compares them with the configuration
of the server.
"""

import json
import sys

from samba import WERRORError, credentials, param
from samba.dcerpc import witness

ADDRESS, PORT, NET_NAME, REGISTERED, USER, PASSWORD = sys.argv[1:7]
BINDINGS = [
    f"{auth}{level}{syntax}"
    for auth in ("ntlm,", "spnego,")
    for level in ("sign", "seal")
    for syntax in ("", ",ndr64")
]


def code_of(call, *arguments):
    """Return the Win32 code of a call: that of the exception, or 0."""
    try:
        call(*arguments)
    except WERRORError as error:
        return error.args[0]
    return 0


def use_every_method(binding):
    """Call opnums 0 to 4, and return the results. Samba's IDL does not have opnum 5."""
    settings = param.LoadParm()
    settings.set("client min protocol", "SMB2")
    account = credentials.Credentials()
    account.guess(settings)
    account.set_username(USER)
    account.set_password(PASSWORD)
    account.set_kerberos_state(credentials.DONT_USE_KERBEROS)
    client = witness.witness(f"ncacn_ip_tcp:{ADDRESS}[{PORT},{binding}]", settings, account)
    interfaces = client.GetInterfaceList()
    names = [f"{i.group_name} {i.ipv4} {i.state} {i.flags}" for i in interfaces.interfaces]
    first = client.Register(witness.WITNESS_V1, NET_NAME, REGISTERED, "SAMBA-CLIENT")
    second = client.RegisterEx(witness.WITNESS_V2, NET_NAME, None, REGISTERED, "SAMBA-CLIENT", 0, 1)
    return {
        "binding": binding,
        "interfaces": names,
        "unknown_version": code_of(client.Register, 7, NET_NAME, REGISTERED, "SAMBA-CLIENT"),
        "timeout": code_of(client.AsyncNotify, second),
        "unregister": [code_of(client.UnRegister, first), code_of(client.UnRegister, second)],
        "again": code_of(client.UnRegister, first),
    }


for each in BINDINGS:
    sys.stdout.write(json.dumps(use_every_method(each)) + "\n")
