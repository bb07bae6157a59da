"""The fields that Wireshark's dissector of the witness interface must show for a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from swn_torture.witness.constants import Opnum
from swn_torture.witness.messages import (
    AnyRequest,
    AnyResponse,
    AsyncNotifyRequest,
    AsyncNotifyResponse,
    GetInterfaceListResponse,
    RegisterExRequest,
    RegisterExResponse,
    RegisterRequest,
    RegisterResponse,
    RespAsyncNotify,
    Response,
    UnRegisterRequest,
)
from swn_torture.witness.notifications import IpAddrInfoList, ResourceChange

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.instruments.tshark import Row

_NAMES: Final = {
    "interfaceList": ("num_interfaces",),
    "interfaceInfo": ("group_name", "version", "state", "ipv4", "ipv6", "flags"),
    "Register": ("version", "net_name", "ip_address", "client_computer_name", "context_handle"),
    "UnRegister": ("context_handle",),
    "AsyncNotify": ("context_handle",),
    "notifyResponse": ("type", "length", "num"),
    "ResourceChange": ("length", "type", "name"),
    "IPaddrInfoList": ("length", "reserved", "num"),
    "IPaddrInfo": ("flags", "ipv4", "ipv6"),
    "RegisterEx": (
        *("version", "net_name", "share_name", "ip_address", "client_computer_name"),
        *("flags", "timeout", "context_handle"),
    ),
}
VALUES = ("witness.werror", *(f"witness.witness_{kind}.{name}" for kind in _NAMES for name in _NAMES[kind]))
"""All fields of the dissector, except the single bits of flags."""

_MEMBERS: Final = {"timeout": "keep_alive_timeout"}
"""Field of the dissector -> member of the message, where the names differ."""


def expected_fields(message: AnyRequest | AnyResponse) -> dict[str, list[int | str]]:
    """Return the fields that the dissector must show for a message, with their values."""
    found: dict[str, list[int | str]] = {}

    def add(name: str, *values: int | str) -> None:
        found.setdefault(f"witness.{name}", []).extend(values)

    if isinstance(message, Response) and message.opnum != Opnum.UNREGISTER_EX:
        add("werror", message.result)
    match message:
        case GetInterfaceListResponse():
            add("witness_interfaceList.num_interfaces", len(message.interfaces))
            for interface in message.interfaces:
                for name in _NAMES["interfaceInfo"]:
                    value = getattr(interface, name)
                    add(
                        f"witness_interfaceInfo.{name}", value if isinstance(value, int | str) else str(value)
                    )
        case RegisterRequest() | RegisterExRequest():
            kind = type(message).__name__.removesuffix("Request")
            for name in _NAMES[kind][:-1]:
                add(f"witness_{kind}.{name}", getattr(message, _MEMBERS.get(name, name)))
        case RegisterResponse() | RegisterExResponse() | AsyncNotifyRequest() | UnRegisterRequest():
            kind = type(message).__name__.removesuffix("Request").removesuffix("Response")
            add(f"witness_{kind}.context_handle", message.context.pack().hex())
        case AsyncNotifyResponse(response=RespAsyncNotify() as response):
            add("witness_notifyResponse.type", response.message_type)
            add("witness_notifyResponse.length", len(response.message_buffer or b""))
            add("witness_notifyResponse.num", response.number_of_messages)
            for item in response.decode().items:
                _add_notification(add, item)
    return found


def _add_notification(add: Callable[..., None], item: ResourceChange | IpAddrInfoList) -> None:
    if isinstance(item, ResourceChange):
        add("witness_ResourceChange.length", 8 + 2 * len(item.resource_name) + 2)
        add("witness_ResourceChange.type", item.change_type)
        add("witness_ResourceChange.name", item.resource_name)
        return
    add("witness_IPaddrInfoList.length", 12 + 24 * len(item.addresses))
    add("witness_IPaddrInfoList.reserved", item.reserved)
    add("witness_IPaddrInfoList.num", len(item.addresses))
    for address in item.addresses:
        add("witness_IPaddrInfo.flags", address.flags)
        add("witness_IPaddrInfo.ipv4", str(address.ipv4))
        add("witness_IPaddrInfo.ipv6", str(address.ipv6))


def values(row: Row) -> dict[str, list[int | str]]:
    """Return the fields of the witness interface in a row, numbers as integers."""
    return {name: [_number(text) for text in row[name]] for name in VALUES if name in row}


def _number(text: str) -> int | str:
    if text.startswith("0x"):
        return int(text, 16)
    # A context handle can be all digits, too, but is longer.
    return int(text) if text.isdecimal() and len(text) <= 10 else text
