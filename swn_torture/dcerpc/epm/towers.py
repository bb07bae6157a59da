"""Protocol towers: bindings in the form of the endpoint mapper (C706 Appendix L, MS-RPCE 2.2.1.2.2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address

from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.stubdata.syntax import NDR32, SyntaxId

__all__ = ["Floor", "FloorProtocol", "Tower"]

MAX_TOWER_OCTETS = 2000
"""Octets of the longest tower (MS-RPCE 2.2.1.2.2)."""

MAX_FLOORS = 6
"""The most floors of a tower (MS-RPCE 3.1.3.5.3)."""


class FloorProtocol(IntEnum):
    """Protocol identifiers (C706 Appendix I). A floor may contain any other octet, too."""

    TCP = 0x07
    UDP = 0x08
    IP = 0x09
    NCADG = 0x0A
    NCACN = 0x0B
    NCALRPC = 0x0C
    UUID = 0x0D
    NAMED_PIPE = 0x0F
    NETBIOS = 0x11
    HTTP = 0x1F


@dataclass(frozen=True, slots=True)
class Floor:
    """One floor of a tower.

    Attributes:
        lhs: the left-hand side: the protocol identifier octet and its data.
        rhs: the right-hand side: address data.
    """

    lhs: bytes
    rhs: bytes

    @property
    def protocol(self) -> int:
        """The protocol identifier; -1 if the left-hand side is empty."""
        return self.lhs[0] if self.lhs else -1

    @classmethod
    def of_syntax(cls, syntax: SyntaxId) -> Floor:
        """Return the floor of an interface or transfer syntax. Its minor version is the right-hand side."""
        octets = syntax.pack()
        return cls(bytes([FloorProtocol.UUID]) + octets[:18], octets[18:])

    def syntax(self) -> SyntaxId:
        """Return the interface or transfer syntax of a UUID floor.

        Raises:
            RemoteProtocolError: it is not a UUID floor, or its size is wrong.
        """
        if self.protocol != FloorProtocol.UUID or len(self.lhs) != 19 or len(self.rhs) != 2:
            raise RemoteProtocolError(
                f"not a UUID floor: {self.lhs.hex()} / {self.rhs.hex()}", field="tower.floors"
            )
        return SyntaxId.unpack(self.lhs[1:] + self.rhs)


@dataclass(frozen=True, slots=True)
class Tower:
    """A tower: floors from the interface to the network address. Ports and addresses are big-endian."""

    floors: tuple[Floor, ...]

    @classmethod
    def of_tcp(
        cls,
        interface: SyntaxId,
        port: int = 0,
        address: IPv4Address | None = None,
        transfer_syntax: SyntaxId = NDR32,
    ) -> Tower:
        """Return the five floors of ``ncacn_ip_tcp``.

        There is no floor for IPv6. Servers write 0.0.0.0, and the client uses the address of the endpoint
        mapper.
        """
        return cls(
            (
                Floor.of_syntax(interface),
                Floor.of_syntax(transfer_syntax),
                Floor(bytes([FloorProtocol.NCACN]), bytes(2)),
                Floor(bytes([FloorProtocol.TCP]), struct.pack(">H", port)),
                Floor(bytes([FloorProtocol.IP]), (address or IPv4Address(0)).packed),
            )
        )

    def pack(self) -> bytes:
        """Return the tower octet string."""
        octets = bytearray(struct.pack("<H", len(self.floors)))
        for floor in self.floors:
            for side in (floor.lhs, floor.rhs):
                octets += struct.pack("<H", len(side)) + side
        return bytes(octets)

    @classmethod
    def unpack(cls, octets: bytes) -> Tower:
        """Read a tower octet string.

        Raises:
            RemoteProtocolError: it is cut short, too long, has too many floors, or octets after the last
                floor.
        """
        if len(octets) > MAX_TOWER_OCTETS:
            raise RemoteProtocolError(
                f"{len(octets)} octets, at most {MAX_TOWER_OCTETS} are allowed", field="tower", octets=octets
            )
        offset = 0

        def take(count: int, field: str) -> bytes:
            nonlocal offset
            if offset + count > len(octets):
                raise RemoteProtocolError(
                    f"needs {count} octets, {len(octets) - offset} are left",
                    field=field,
                    offset=offset,
                    octets=octets,
                )
            offset += count
            return octets[offset - count : offset]

        def counted(field: str) -> bytes:
            return take(int.from_bytes(take(2, field), "little"), field)

        count = int.from_bytes(take(2, "tower.floor_count"), "little")
        if count > MAX_FLOORS:
            raise RemoteProtocolError(
                f"{count} floors, at most {MAX_FLOORS} are allowed", field="tower.floor_count", octets=octets
            )
        floors = tuple(
            Floor(counted(f"tower.floors[{i}].lhs"), counted(f"tower.floors[{i}].rhs")) for i in range(count)
        )
        if offset != len(octets):
            raise RemoteProtocolError(
                f"{len(octets) - offset} octets after the last floor",
                field="tower",
                offset=offset,
                octets=octets,
            )
        return cls(floors)

    def _floor(self, index: int) -> Floor:
        if index >= len(self.floors):
            raise RemoteProtocolError(
                f"has {len(self.floors)} floors, but no floor {index + 1}", field="tower"
            )
        return self.floors[index]

    @property
    def interface(self) -> SyntaxId:
        """The abstract syntax; raises RemoteProtocolError if the first floor has none."""
        return self._floor(0).syntax()

    @property
    def transfer_syntax(self) -> SyntaxId:
        """The transfer syntax; raises RemoteProtocolError if the second floor has none."""
        return self._floor(1).syntax()

    @property
    def protocol_sequence(self) -> tuple[int, ...]:
        """The protocol identifiers after the two syntaxes: (NCACN, TCP, IP) for ncacn_ip_tcp."""
        return tuple(floor.protocol for floor in self.floors[2:])

    @property
    def port(self) -> int | None:
        """The TCP port, ``None`` without a TCP floor."""
        for floor in self.floors[2:]:
            if floor.protocol == FloorProtocol.TCP and len(floor.rhs) == 2:
                return int.from_bytes(floor.rhs, "big")
        return None

    @property
    def address(self) -> IPv4Address | None:
        """The IPv4 address, ``None`` without an IP floor."""
        for floor in self.floors[2:]:
            if floor.protocol == FloorProtocol.IP and len(floor.rhs) == 4:
                return IPv4Address(floor.rhs)
        return None
