"""Make ``fixtures/samba-ndr-vectors*.json``: Samba's octets for the messages of ``witness_samples.MEANING``.

Run it where Samba's Python bindings are (Debian: python3-samba), with a directory to write to::

    python3 make_samba_vectors.py fixtures

It needs no other file of this project. Samba's bindings support opnums 0 to 4.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from samba import ndr
from samba.dcerpc import misc, witness

HANDLE = "11223344-5566-7788-99aa-bbccddeeff00"


def interface_list(count: int) -> Any:
    listed = witness.interfaceList()
    listed.num_interfaces = count
    interfaces = []
    for k in range(count):
        interface = witness.interfaceInfo()
        interface.group_name = f"NODE{k}"
        interface.version = witness.WITNESS_V1 if k == 1 else witness.WITNESS_V2
        interface.state = [0xFF, 1, 0][k % 3]
        interface.ipv4 = f"198.51.100.{10 + k}"
        interface.ipv6 = f"2001:db8::1:{10 + k}"
        interface.flags = [1, 5, 7][k % 3]
        interfaces.append(interface)
    if interfaces:
        listed.interfaces = interfaces
    return listed


def changes(*changed: tuple[str, int]) -> Any:
    response = witness.notifyResponse()
    response.type = witness.WITNESS_NOTIFY_RESOURCE_CHANGE
    response.num = len(changed)
    messages = []
    for name, kind in changed:
        message = witness.ResourceChange()
        message.type = kind
        message.name = name
        messages.append(message)
    response.messages = messages
    return response


def addresses(kind: int, *listed: tuple[int, str, str]) -> Any:
    response = witness.notifyResponse()
    response.type = kind
    response.num = 1
    message = witness.IPaddrInfoList()
    message.num = len(listed)
    entries = []
    for flags, ipv4, ipv6 in listed:
        entry = witness.IPaddrInfo()
        entry.flags = flags
        entry.ipv4 = ipv4
        entry.ipv6 = ipv6
        entries.append(entry)
    message.addr = entries
    response.messages = [message]
    return response


def vectors(**how: bool) -> dict[str, bytes]:
    """Octets by the name of the message; ``how`` is passed to Samba's packing functions."""
    made: dict[str, bytes] = {}
    handle = misc.policy_handle()
    handle.handle_type = 0
    handle.uuid = misc.GUID(HANDLE)

    call = witness.GetInterfaceList()
    made["gil_in"] = ndr.ndr_pack_in(call, **how)
    for count in (0, 1, 3):
        call.out_interface_list = interface_list(count)
        made[f"gil_out_{count}"] = ndr.ndr_pack_out(call, **how)

    call = witness.Register()
    for tag, names in {
        "a": ("SWNCLUSTER", "198.51.100.10", "CLIENT1"),
        "b": ("ODD", "1.2.3.4", "C"),
        "nul": (None, None, "X"),
    }.items():
        call.in_version = witness.WITNESS_V1
        call.in_net_name, call.in_ip_address, call.in_client_computer_name = names
        made[f"reg_in_{tag}"] = ndr.ndr_pack_in(call, **how)
    call.out_context_handle = handle
    made["reg_out"] = ndr.ndr_pack_out(call, **how)

    call = witness.RegisterEx()
    for tag, ex_names in {
        "a": ("SWNCLUSTER", "SHARE", "198.51.100.10", "CLIENT1"),
        "nul": ("N", None, None, "X"),
    }.items():
        call.in_version = witness.WITNESS_V2
        call.in_net_name, call.in_share_name, call.in_ip_address, call.in_client_computer_name = ex_names
        call.in_flags = 1
        call.in_timeout = 120
        made[f"regex_in_{tag}"] = ndr.ndr_pack_in(call, **how)
    call.out_context_handle = handle
    made["regex_out"] = ndr.ndr_pack_out(call, **how)

    call = witness.UnRegister()
    call.in_context_handle = handle
    made["unreg_in"] = ndr.ndr_pack_in(call, **how)
    made["unreg_out"] = ndr.ndr_pack_out(call, **how)

    call = witness.AsyncNotify()
    call.in_context_handle = handle
    made["an_in"] = ndr.ndr_pack_in(call, **how)
    made["an_out_null"] = ndr.ndr_pack_out(call, **how)
    for tag, response in {
        "rc1": changes(("NODE1", 0xFF)),
        "rc2": changes(("NODE1", 0xFF), ("SWNCLUSTER", 1)),
        "mv": addresses(2, (1, "198.51.100.11", "::")),
        "ipc": addresses(4, (0xB, "198.51.100.11", "2001:db8::b"), (0x11, "198.51.100.12", "::")),
    }.items():
        call.out_response = response
        made[f"an_out_{tag}"] = ndr.ndr_pack_out(call, **how)
    return made


def main(directory: Path) -> None:
    for file, big_endian in (("samba-ndr-vectors", False), ("samba-ndr-vectors-big-endian", True)):
        made = {
            f"{name}_{64 if ndr64 else 32}": octets.hex()
            for ndr64 in (False, True)
            for name, octets in vectors(ndr64=ndr64, bigendian=big_endian).items()
        }
        (directory / f"{file}.json").write_text(json.dumps(made, indent=0) + "\n", "ascii")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
