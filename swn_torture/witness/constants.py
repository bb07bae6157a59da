"""The numbers of MS-SWN with their names.

Every enumeration is an ``IntEnum`` or ``IntFlag``, but messages carry plain integers: a server may send, and
a torture test must be able to send, values that the specification does not define. ``describe`` prints either
kind.
"""

from enum import IntEnum, IntFlag
from typing import Final
from uuid import UUID

from swn_torture.stubdata.syntax import SyntaxId

__all__ = [
    "DEFAULT_KEEP_ALIVE",
    "GROUP_NAME_UNITS",
    "INTERFACE_UUID",
    "UNUSED_REGISTRATION_TIMEOUT",
    "WITNESS",
    "AddressFlags",
    "ChangeType",
    "InterfaceFlags",
    "InterfaceState",
    "MessageType",
    "Opnum",
    "ProtocolVersion",
    "RegisterFlags",
    "describe",
]

INTERFACE_UUID: Final = UUID("ccd8c074-d0e5-4a40-92b4-d074faa6ba28")
"""The interface of the witness service (MS-SWN 1.9)."""

WITNESS: Final = SyntaxId(INTERFACE_UUID, 1, 1)
"""The abstract syntax to bind to.

MS-SWN 2.1 speaks of version 1.0 while its IDL says 1.1; all servers known offer 1.1 (AMB-23).
"""

GROUP_NAME_UNITS: Final = 260
"""UTF-16 units of InterfaceGroupName, terminator included; always sent whole (MS-SWN 2.2.2.5)."""

DEFAULT_KEEP_ALIVE: Final = 120
"""Seconds that Windows clients ask for as KeepAliveTimeout (MS-SWN 3.2.4.1, product note)."""

UNUSED_REGISTRATION_TIMEOUT: Final = 30
"""Seconds after which Windows servers drop a registration that nobody uses (MS-SWN 3.1.5.1, product note)."""


class Opnum(IntEnum):
    """The methods of the interface, by their place in it (MS-SWN 3.1.4)."""

    GET_INTERFACE_LIST = 0
    REGISTER = 1
    UNREGISTER = 2
    ASYNC_NOTIFY = 3
    REGISTER_EX = 4
    UNREGISTER_EX = 5
    """New with revision 14.0; Windows Server 2022 and Samba answer nca_s_op_rng_error."""

    @property
    def method(self) -> str:
        """The name of the method in the IDL, such as ``WitnessrRegisterEx``."""
        return _METHODS[self]


_METHODS = {
    Opnum.GET_INTERFACE_LIST: "WitnessrGetInterfaceList",
    Opnum.REGISTER: "WitnessrRegister",
    Opnum.UNREGISTER: "WitnessrUnRegister",
    Opnum.ASYNC_NOTIFY: "WitnessrAsyncNotify",
    Opnum.REGISTER_EX: "WitnessrRegisterEx",
    Opnum.UNREGISTER_EX: "WitnessrUnRegisterEx",
}


class ProtocolVersion(IntEnum):
    """Versions of the protocol as they travel (MS-SWN 1.7)."""

    V1 = 0x00010001
    V2 = 0x00020000


class InterfaceState(IntEnum):
    """WITNESS_INTERFACE_INFO.State (MS-SWN 2.2.2.5)."""

    UNKNOWN = 0x0000
    AVAILABLE = 0x0001
    UNAVAILABLE = 0x00FF


class InterfaceFlags(IntFlag):
    """WITNESS_INTERFACE_INFO.Flags (MS-SWN 2.2.2.5)."""

    IPV4 = 0x00000001
    IPV6 = 0x00000002
    WITNESS = 0x00000004
    """INTERFACE_WITNESS: clients may register here, since the interface is not on the node that was asked."""


class ChangeType(IntEnum):
    """RESOURCE_CHANGE.ChangeType (MS-SWN 2.2.2.3)."""

    UNKNOWN = 0x00000000
    AVAILABLE = 0x00000001
    UNAVAILABLE = 0x000000FF


class MessageType(IntEnum):
    """RESP_ASYNC_NOTIFY.MessageType (MS-SWN 2.2.2.4). The last two belong to version 2."""

    RESOURCE_CHANGE = 1
    CLIENT_MOVE = 2
    SHARE_MOVE = 3
    IP_CHANGE = 4


class AddressFlags(IntFlag):
    """IPADDR_INFO.Flags (MS-SWN 2.2.2.1). Windows sets the undefined bits as it likes."""

    V4 = 0x00000001
    V6 = 0x00000002
    ONLINE = 0x00000008
    OFFLINE = 0x00000010


class RegisterFlags(IntFlag):
    """WitnessrRegisterEx.Flags (MS-SWN 3.1.4.5)."""

    NONE = 0x00000000
    IP_NOTIFICATION = 0x00000001


def describe(kind: type[IntEnum] | type[IntFlag], value: int) -> str:
    """Name a value for people: ``"UNAVAILABLE (0xFF)"``, ``"V4|ONLINE (0x9)"``, ``"unknown (0x7)"``."""
    if issubclass(kind, IntFlag):
        names = [member.name for member in kind if member.value and member.name and value & member]
        rest = value & ~sum(member.value for member in kind)
        if rest or not names:
            names.append(f"{rest:#x}" if rest else "none")
        return f"{'|'.join(names)} (0x{value:X})"
    known = {member.value: member.name for member in kind}
    return f"{known.get(value, 'unknown')} (0x{value:X})"
