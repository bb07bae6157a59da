"""Run inside a tree that has Samba's Python bindings: use every witness call they know, and say what came.

Arguments: address of a node, TCP port, NetName, an address to register, account, password. One line of JSON
for each way to bind; the caller holds them against what the server was told to be.
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
    """The Win32 code a call ends in; 0 when it returns."""
    try:
        call(*arguments)
    except WERRORError as error:
        return error.args[0]
    return 0


def talk(binding):
    """All six calls but opnum 5, which Samba's IDL lacks."""
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


for wanted in BINDINGS:
    sys.stdout.write(json.dumps(talk(wanted)) + "\n")
