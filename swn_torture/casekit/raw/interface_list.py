"""The received out parameters of GetInterfaceList, read field by field; their counts are not trusted."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from swn_torture.casekit.raw.notification import Cursor
from swn_torture.casekit.shown import quoted
from swn_torture.stubdata.syntax import NDR64
from swn_torture.witness.constants import GROUP_NAME_UNITS, InterfaceFlags

if TYPE_CHECKING:
    from swn_torture.stubdata.fields import ByteOrder
    from swn_torture.stubdata.syntax import SyntaxId

ELEMENT_SIZE = 552
"""Octets of a WITNESS_INTERFACE_INFO: 520 + 4 + 2, 2 of padding, 4 + 16 + 4; the same in both syntaxes."""
NAME_SIZE = 2 * GROUP_NAME_UNITS
"""Octets of InterfaceGroupName."""
RETURN_VALUE_SIZE = 4


@dataclass(frozen=True, slots=True)
class Element:
    """One WITNESS_INTERFACE_INFO.

    Attributes:
        octets: all its octets.
        name: the UTF-16 code units of InterfaceGroupName.
        version: Version.
        state: State.
        ipv4: the 4 octets of IPV4, in the order that they have in little-endian stub data.
        ipv6: the 16 octets of IPV6, in the order that they have in little-endian stub data.
        flags: Flags.
    """

    octets: bytes
    name: tuple[int, ...]
    version: int
    state: int
    ipv4: bytes
    ipv6: bytes
    flags: int

    @classmethod
    def read(cls, octets: bytes, byte_order: ByteOrder) -> Element:
        """Read a complete one.

        Args:
            octets: ``ELEMENT_SIZE`` octets.
            byte_order: integer representation of the stub data.

        Raises:
            Unreadable: there are fewer octets.
        """
        cursor = Cursor(octets, byte_order)
        name = tuple(cursor.number(2, "InterfaceGroupName") for _ in range(GROUP_NAME_UNITS))
        version, state = cursor.number(4, "Version"), cursor.number(2, "State")
        ipv4 = cursor.number(4, "IPV4").to_bytes(4, "little")
        ipv6 = b"".join(cursor.number(2, "IPV6").to_bytes(2, "little") for _ in range(8))
        return cls(octets, name, version, state, ipv4, ipv6, cursor.number(4, "Flags"))

    @property
    def text(self) -> str:
        """InterfaceGroupName up to its first null character."""
        units = self.name[: self.name.index(0)] if 0 in self.name else self.name
        return b"".join(unit.to_bytes(2, "little") for unit in units).decode("utf-16-le", "replace")

    @property
    def addresses(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """The addresses that Flags marks as valid, IPv4 first."""
        valid: list[IPv4Address | IPv6Address] = []
        if self.flags & InterfaceFlags.IPV4:
            valid.append(IPv4Address(self.ipv4))
        if self.flags & InterfaceFlags.IPV6:
            valid.append(IPv6Address(self.ipv6))
        return tuple(valid)

    def __str__(self) -> str:
        addresses = " and ".join(map(str, self.addresses)) or "no address"
        numbers = f"Version 0x{self.version:08X}, State 0x{self.state:04X}, Flags 0x{self.flags:X}"
        return f"{quoted(self.text)} {addresses}, {numbers}"


@dataclass(frozen=True, slots=True)
class RawInterfaceList:
    """InterfaceList and the return value after it.

    Attributes:
        referent: referent id of InterfaceList. 0 is a null pointer; then only the return value follows.
        number: NumberOfInterfaces.
        array_referent: referent id of InterfaceInfo.
        max_count: the conformance (max_count) of the array; None if the pointer is null.
        area: the octets between the conformance and the return value.
        result: the return value: the last four octets.
        byte_order: integer representation of the stub data.
    """

    referent: int
    number: int
    array_referent: int
    max_count: int | None
    area: bytes
    result: int
    byte_order: ByteOrder

    @classmethod
    def read(cls, stub: bytes, syntax: SyntaxId, byte_order: ByteOrder) -> RawInterfaceList:
        """Read the out parameters of WitnessrGetInterfaceList.

        Args:
            stub: the stub data of the response.
            syntax: its transfer syntax.
            byte_order: its integer representation.

        Raises:
            Unreadable: the octets end too early.
        """
        wide = 8 if syntax == NDR64 else 4
        cursor = Cursor(stub, byte_order)
        number = array_referent = 0
        max_count = None
        if referent := cursor.number(wide, "InterfaceList"):
            number = cursor.number(4, "NumberOfInterfaces")
            if array_referent := cursor.number(wide, "InterfaceInfo"):
                max_count = cursor.number(wide, "InterfaceInfo.max_count")
        rest = cursor.rest()
        result = Cursor(rest[-RETURN_VALUE_SIZE:], byte_order).number(RETURN_VALUE_SIZE, "return value")
        area = rest[:-RETURN_VALUE_SIZE]
        return cls(referent, number, array_referent, max_count, area, result, byte_order)

    @property
    def elements(self) -> tuple[Element, ...]:
        """The complete elements in ``area``."""
        whole = len(self.area) - len(self.area) % ELEMENT_SIZE
        return tuple(
            Element.read(self.area[at : at + ELEMENT_SIZE], self.byte_order)
            for at in range(0, whole, ELEMENT_SIZE)
        )
