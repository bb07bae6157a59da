"""Runs inside a tree with Samba's Python bindings: encodes and decodes witness messages with Samba's NDR.

Reads one JSON array per line, and prints one line for each:

* ``["pack", call, side, options, value]`` prints the octets in hexadecimal;
* ``["unpack", call, side, options, octets]`` prints the value;
* ``["calls"]`` prints the names and opnums of the calls in Samba's IDL.

``side`` is ``in`` or ``out``. ``options`` are keyword arguments of Samba's functions: ``ndr64`` and
``bigendian``. A value is an object with the members of the message. If Samba rejects the input, the line is
``{"error": ...}``; a mistake in the request ends the program.
"""

import ipaddress
import json
import sys

from samba import ndr
from samba.dcerpc import misc, witness

INTERFACE = ("group_name", "version", "state", "ipv4", "ipv6", "flags")


def plain_address(text):
    """The address as Python writes it; Samba may write it in another form."""
    return str(ipaddress.ip_address(text))


def handle_of(value):
    handle = misc.policy_handle()
    handle.handle_type = value["attributes"]
    handle.uuid = misc.GUID(value["uuid"])
    return handle


def plain_handle(handle):
    return {"attributes": handle.handle_type, "uuid": str(handle.uuid)}


def interface_list_of(value):
    if value is None:
        return None
    listed = witness.interfaceList()
    if value["interfaces"] is not None:
        interfaces = []
        for plain in value["interfaces"]:
            interface = witness.interfaceInfo()
            for name in INTERFACE:
                setattr(interface, name, plain[name])
            interfaces.append(interface)
        listed.num_interfaces = len(interfaces)
        listed.interfaces = interfaces
    return listed


def plain_interface_list(listed):
    if listed is None:
        return None
    if listed.interfaces is None:
        return {"interfaces": None, **({"number": listed.num_interfaces} if listed.num_interfaces else {})}
    assert listed.num_interfaces == len(listed.interfaces)
    return {"interfaces": [plain_interface(interface) for interface in listed.interfaces]}


def plain_interface(interface):
    plain = {name: getattr(interface, name) for name in INTERFACE}
    return {**plain, "ipv4": plain_address(plain["ipv4"]), "ipv6": plain_address(plain["ipv6"])}


def notification_of(value):
    if "change_type" in value:
        change = witness.ResourceChange()
        change.type = value["change_type"]
        change.name = value["resource_name"]
        return change
    listed = witness.IPaddrInfoList()
    addresses = []
    for entry in value["addresses"]:
        address = witness.IPaddrInfo()
        for name in ("flags", "ipv4", "ipv6"):
            setattr(address, name, entry[name])
        addresses.append(address)
    listed.num = len(addresses)
    listed.addr = addresses
    return listed


def plain_notification(message):
    if isinstance(message, witness.ResourceChange):
        return {"change_type": message.type, "resource_name": message.name}
    assert message.num == len(message.addr)
    addresses = [
        {"flags": a.flags, "ipv4": plain_address(a.ipv4), "ipv6": plain_address(a.ipv6)} for a in message.addr
    ]
    return {"addresses": addresses, "reserved": message.reserved}


def response_of(value):
    if value is None:
        return None
    response = witness.notifyResponse()
    response.type = value["message_type"]
    response.num = len(value["items"])
    response.messages = [notification_of(item) for item in value["items"]]
    return response


def plain_response(response):
    if response is None:
        return None
    assert response.num == len(response.messages)
    return {
        "message_type": response.type,
        "items": [plain_notification(message) for message in response.messages],
    }


# The members of each side of a call, and the functions for those that are not plain values.
TO_SAMBA = {"context": handle_of, "interface_list": interface_list_of, "response": response_of}
FROM_SAMBA = {"context": plain_handle, "interface_list": plain_interface_list, "response": plain_response}
REGISTER = ("version", "net_name", "ip_address", "client_computer_name")
MEMBERS = {
    ("GetInterfaceList", "in"): (),
    ("GetInterfaceList", "out"): ("interface_list", "result"),
    ("Register", "in"): REGISTER,
    ("Register", "out"): ("context", "result"),
    ("UnRegister", "in"): ("context",),
    ("UnRegister", "out"): ("result",),
    ("AsyncNotify", "in"): ("context",),
    ("AsyncNotify", "out"): ("response", "result"),
    ("RegisterEx", "in"): (*REGISTER, "share_name", "flags", "keep_alive_timeout"),
    ("RegisterEx", "out"): ("context", "result"),
}
ATTRIBUTES = {"context": "context_handle", "keep_alive_timeout": "timeout"}


def attribute(side, member):
    return member if member == "result" else f"{side}_{ATTRIBUTES.get(member, member)}"


def pack(name, side, options, value):
    call = getattr(witness, name)()
    assert set(value) == set(MEMBERS[name, side]), value
    for member in MEMBERS[name, side]:
        convert = TO_SAMBA.get(member, lambda plain: plain)
        setattr(call, attribute(side, member), convert(value[member]))
    write = {"in": ndr.ndr_pack_in, "out": ndr.ndr_pack_out}[side]
    try:
        return write(call, **options).hex()
    except RuntimeError as error:
        return {"error": str(error)}


def unpack(name, side, options, octets):
    call = getattr(witness, name)()
    read = {"in": ndr.ndr_unpack_in, "out": ndr.ndr_unpack_out}[side]
    try:
        read(call, bytes.fromhex(octets), **options)
    except RuntimeError as error:
        return {"error": str(error)}
    value = {}
    for member in MEMBERS[name, side]:
        convert = FROM_SAMBA.get(member, lambda plain: plain)
        value[member] = convert(getattr(call, attribute(side, member)))
    if "result" in value:
        value["result"] = value["result"][0] & 0xFFFFFFFF
    return value


def calls():
    found = [getattr(witness, name) for name in dir(witness)]
    return {kind.__name__: kind.opnum() for kind in found if hasattr(kind, "opnum")}


FUNCTIONS = {"pack": pack, "unpack": unpack, "calls": calls}

for line in sys.stdin:
    function, *arguments = json.loads(line)
    sys.stdout.write(json.dumps(FUNCTIONS[function](*arguments)) + "\n")
    sys.stdout.flush()
