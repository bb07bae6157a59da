"""Run inside a tree that has Samba's Python bindings: encode and decode witness messages as Samba does.

Reads one JSON array for each line and answers each by one line:

* ``["pack", call, side, how, value]`` with octets in hexadecimal;
* ``["unpack", call, side, how, octets]`` with the value;
* ``["calls"]`` with the calls that Samba's IDL has: their names and numbers.

``side`` is ``in`` or ``out``; ``how`` are keyword arguments of Samba's functions: ``ndr64``, ``bigendian``.
A value is an object with the members that the caller's messages have. What Samba refuses is answered by
``{"error": ...}``; a mistake of ours ends the program.
"""

import ipaddress
import json
import sys

from samba import ndr
from samba.dcerpc import misc, witness

INTERFACE = ("group_name", "version", "state", "ipv4", "ipv6", "flags")


def plain_address(text):
    """Samba's and Python's spelling of an address differ."""
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
        for notified in value["interfaces"]:
            interface = witness.interfaceInfo()
            for name in INTERFACE:
                setattr(interface, name, notified[name])
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
    notified = {name: getattr(interface, name) for name in INTERFACE}
    return {**notified, "ipv4": plain_address(notified["ipv4"]), "ipv6": plain_address(notified["ipv6"])}


def notification_of(notified):
    if "change_type" in notified:
        change = witness.ResourceChange()
        change.type = notified["change_type"]
        change.name = notified["resource_name"]
        return change
    listed = witness.IPaddrInfoList()
    addresses = []
    for entry in notified["addresses"]:
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
    response.messages = [notification_of(notified) for notified in value["items"]]
    return response


def plain_response(response):
    if response is None:
        return None
    assert response.num == len(response.messages)
    return {
        "message_type": response.type,
        "items": [plain_notification(message) for message in response.messages],
    }


# For each side of a call the members it has, and what makes and reads those that are no plain values.
MAKE = {"context": handle_of, "interface_list": interface_list_of, "response": response_of}
READ = {"context": plain_handle, "interface_list": plain_interface_list, "response": plain_response}
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


def pack(name, side, how, value):
    call = getattr(witness, name)()
    assert set(value) == set(MEMBERS[name, side]), value
    for member in MEMBERS[name, side]:
        make = MAKE.get(member, lambda plain: plain)
        setattr(call, attribute(side, member), make(value[member]))
    write = {"in": ndr.ndr_pack_in, "out": ndr.ndr_pack_out}[side]
    try:
        return write(call, **how).hex()
    except RuntimeError as error:
        return {"error": str(error)}


def unpack(name, side, how, octets):
    call = getattr(witness, name)()
    read = {"in": ndr.ndr_unpack_in, "out": ndr.ndr_unpack_out}[side]
    try:
        read(call, bytes.fromhex(octets), **how)
    except RuntimeError as error:
        return {"error": str(error)}
    value = {}
    for member in MEMBERS[name, side]:
        plain = READ.get(member, lambda plain: plain)
        value[member] = plain(getattr(call, attribute(side, member)))
    if "result" in value:
        value["result"] = value["result"][0] & 0xFFFFFFFF
    return value


def calls():
    found = [getattr(witness, name) for name in dir(witness)]
    return {kind.__name__: kind.opnum() for kind in found if hasattr(kind, "opnum")}


DO = {"pack": pack, "unpack": unpack, "calls": calls}

for line in sys.stdin:
    what, *arguments = json.loads(line)
    sys.stdout.write(json.dumps(DO[what](*arguments)) + "\n")
    sys.stdout.flush()
