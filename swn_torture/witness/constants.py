"""The numbers of MS-SWN and their names.

Every enumeration is an ``IntEnum`` or ``IntFlag``. Messages contain plain integers, because a server may
send, and a test must be able to send, values that the specification does not define. ``describe`` names both.
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
"""The abstract syntax of the witness interface.

MS-SWN 2.1 says version 1.0, its IDL says 1.1; all known servers offer 1.1 (AMB-23).
"""

GROUP_NAME_UNITS: Final = 260
"""UTF-16 units of InterfaceGroupName with its terminator; all of them are always sent (MS-SWN 2.2.2.5)."""

DEFAULT_KEEP_ALIVE: Final = 120
"""The KeepAliveTimeout of Windows clients in seconds (MS-SWN 3.2.4.1, product note)."""

UNUSED_REGISTRATION_TIMEOUT: Final = 30
"""Seconds of the unused-registration timer of Windows servers (MS-SWN 3.1.5.1, product note)."""


class Opnum(IntEnum):
    """The opnums of the methods (MS-SWN 3.1.4)."""

    GET_INTERFACE_LIST = 0
    REGISTER = 1
    UNREGISTER = 2
    ASYNC_NOTIFY = 3
    REGISTER_EX = 4
    UNREGISTER_EX = 5
    """New in revision 14.0; Windows Server 2022 and Samba return the fault nca_s_op_rng_error."""

    @property
    def method(self) -> str:
        """The name of the method in the IDL, for example ``WitnessrRegisterEx``."""
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
    """Versions of the protocol, as numbers in messages (MS-SWN 1.7)."""

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
    """INTERFACE_WITNESS: clients may register here; the interface is on another node than the one called."""


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
    """IPADDR_INFO.Flags (MS-SWN 2.2.2.1). Windows also sets undefined bits."""

    V4 = 0x00000001
    V6 = 0x00000002
    ONLINE = 0x00000008
    OFFLINE = 0x00000010


class RegisterFlags(IntFlag):
    """WitnessrRegisterEx.Flags (MS-SWN 3.1.4.5)."""

    NONE = 0x00000000
    IP_NOTIFICATION = 0x00000001


def describe(kind: type[IntEnum] | type[IntFlag], value: int) -> str:
    """A value with its name: ``"UNAVAILABLE (0xFF)"``, ``"V4|ONLINE (0x9)"``, ``"unknown (0x7)"``."""
    if issubclass(kind, IntFlag):
        names = [member.name for member in kind if member.value and member.name and value & member]
        rest = value & ~sum(member.value for member in kind)
        if rest or not names:
            names.append(f"{rest:#x}" if rest else "none")
        return f"{'|'.join(names)} (0x{value:X})"
    known = {member.value: member.name for member in kind}
    return f"{known.get(value, 'unknown')} (0x{value:X})"
