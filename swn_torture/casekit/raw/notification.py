"""A received notification, read field by field; its lengths and counts are not trusted.

The codec rejects a buffer with contradicting lengths. A case wants to say which field is wrong. So this
module reads each number at its position, reads on as far as there are octets, and leaves the judgement to
the case.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from swn_torture.casekit.shown import quoted
from swn_torture.stubdata.syntax import NDR64
from swn_torture.witness.constants import AddressFlags, ChangeType, MessageType, describe

if TYPE_CHECKING:
    from swn_torture.stubdata.fields import ByteOrder
    from swn_torture.stubdata.syntax import SyntaxId

CHANGE_HEADER = 8
"""Octets of a RESOURCE_CHANGE before ResourceName: Length, ChangeType (MS-SWN 2.2.2.3)."""
LIST_HEADER = 12
"""Octets of an IPADDR_INFO_LIST before its entries: Length, Reserved, IPAddrInstances (MS-SWN 2.2.2.2)."""
ENTRY_SIZE = 24
"""Octets of an IPADDR_INFO: Flags, IPV4, IPV6 (MS-SWN 2.2.2.1)."""


class Unreadable(Exception):  # noqa: N818 - about the response of a server, not an error of the suite
    """The octets end before the structure does; the text says where."""


@dataclass(frozen=True, slots=True)
class Change:
    """One RESOURCE_CHANGE.

    Attributes:
        length: Length.
        change_type: ChangeType.
        name: all octets from ResourceName to the end of the structure.
    """

    length: int
    change_type: int
    name: bytes

    @property
    def text(self) -> str:
        """The name up to its first null character, decoded as UTF-16LE."""
        return self.name.decode("utf-16-le", "replace").partition("\0")[0]

    def __str__(self) -> str:
        return f"{quoted(self.text)} {describe(ChangeType, self.change_type)}"


_FAMILIES = int(AddressFlags.V4 | AddressFlags.V6)


@dataclass(frozen=True, slots=True)
class Entry:
    """One IPADDR_INFO.

    Attributes:
        flags: Flags.
        ipv4: the 4 octets of IPV4.
        ipv6: the 16 octets of IPV6.
    """

    flags: int
    ipv4: bytes
    ipv6: bytes

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses that Flags marks as valid, read in network order (AMB-25)."""
        valid = []
        if self.flags & AddressFlags.V4:
            valid.append(str(IPv4Address(self.ipv4)))
        if self.flags & AddressFlags.V6:
            valid.append(str(IPv6Address(self.ipv6)))
        return tuple(valid)

    def __str__(self) -> str:
        return f"{' and '.join(self.addresses) or 'no address'} {describe(AddressFlags, self.flags)}"


@dataclass(frozen=True, slots=True)
class AddressList:
    """One IPADDR_INFO_LIST.

    Attributes:
        length: Length.
        reserved: Reserved.
        instances: IPAddrInstances.
        entries: every complete entry that there are octets for.
        rest: the octets after the last complete entry.
    """

    length: int
    reserved: int
    instances: int
    entries: tuple[Entry, ...]
    rest: bytes

    def __str__(self) -> str:
        # By address: the order of the entries means nothing, and a server may change it at any event.
        entries = sorted(self.entries, key=lambda entry: (entry.flags & _FAMILIES, entry.ipv4, entry.ipv6))
        return "; ".join(map(str, entries)) or "no entry"


@dataclass(frozen=True, slots=True)
class Notification:
    """RESP_ASYNC_NOTIFY and the return value after it.

    Attributes:
        message_type: MessageType.
        length: Length.
        number: NumberOfMessages.
        max_count: the conformance (max_count) of MessageBuffer; None if the pointer is null.
        buffer: MessageBuffer.
        result: the return value.
        after_return_value: octets of the stub data after the return value.
        structures: MessageBuffer, divided by the Length fields in it; at most NumberOfMessages pieces, or all
            where NumberOfMessages is 0, so that a case can judge them all the same.
        after_structures: octets of MessageBuffer after the last of these pieces.
    """

    message_type: int
    length: int
    number: int
    max_count: int | None
    buffer: bytes
    result: int
    after_return_value: bytes
    structures: tuple[bytes, ...]
    after_structures: bytes

    @classmethod
    def read(cls, stub: bytes, syntax: SyntaxId, byte_order: ByteOrder = "little") -> Notification | None:
        """Read the out parameters of WitnessrAsyncNotify; None if pResp is null.

        Args:
            stub: the stub data of the response.
            syntax: its transfer syntax.
            byte_order: its integer representation.

        Raises:
            Unreadable: the octets end too early.
        """
        wide = 8 if syntax == NDR64 else 4
        cursor = Cursor(stub, byte_order)
        if not cursor.number(wide, "pResp"):
            return None
        message_type = cursor.number(4, "MessageType")
        length = cursor.number(4, "Length")
        number = cursor.number(4, "NumberOfMessages")
        max_count, buffer = None, b""
        if cursor.number(wide, "MessageBuffer"):
            max_count = cursor.number(wide, "MessageBuffer.max_count")
            buffer = cursor.octets(max_count, "MessageBuffer")
        result = cursor.number(4, "return value")
        structures, after_structures = _cut(buffer, number or len(buffer))
        return cls(
            message_type,
            length,
            number,
            max_count,
            buffer,
            result,
            cursor.rest(),
            structures,
            after_structures,
        )

    @property
    def hides_structures(self) -> bool:
        """Whether there are structures, and NumberOfMessages tells a client that there is none."""
        return not self.number and bool(self.structures)

    @property
    def changes(self) -> tuple[Change, ...]:
        """The structures, read as RESOURCE_CHANGE; those too short for its fixed fields are left out."""
        return tuple(
            Change(_number(octets, 0), _number(octets, 4), octets[CHANGE_HEADER:])
            for octets in self.structures
            if len(octets) >= CHANGE_HEADER
        )

    @property
    def lists(self) -> tuple[AddressList, ...]:
        """The structures, read as IPADDR_INFO_LIST; those too short for its fixed fields are left out."""
        return tuple(_list_of(octets) for octets in self.structures if len(octets) >= LIST_HEADER)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries of the first list; a notification with addresses has exactly one list."""
        return self.lists[0].entries if self.lists else ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses of those entries."""
        return tuple(address for entry in self.entries for address in entry.addresses)

    def __str__(self) -> str:
        """For a report: the message type and the content."""
        changes = self.message_type == MessageType.RESOURCE_CHANGE
        parts = self.changes if changes else self.lists
        return f"{describe(MessageType, self.message_type)}: {'; '.join(map(str, parts)) or 'nothing'}"


class Cursor:
    """A position in stub data. Each read advances it, or raises ``Unreadable`` if too few octets are left."""

    def __init__(self, octets: bytes, byte_order: ByteOrder) -> None:
        self._octets = octets
        self._byte_order = byte_order
        self._at = 0

    def octets(self, size: int, what: str) -> bytes:
        """The next ``size`` octets; ``what`` names them in the error."""
        found = self._octets[self._at : self._at + size]
        if len(found) < size:
            raise Unreadable(f"{what} needs {size} octets at offset {self._at}, but {len(found)} are left")
        self._at += size
        return found

    def number(self, size: int, what: str) -> int:
        """The next unsigned integer of ``size`` octets, aligned to its size; ``what`` names it."""
        self._at += -self._at % size
        return int.from_bytes(self.octets(size, what), self._byte_order)

    def rest(self) -> bytes:
        """All octets from here on."""
        return self._octets[self._at :]


def _number(octets: bytes, at: int) -> int:
    # The structures in MessageBuffer are little-endian, whatever the byte order of the call (MS-SWN 2.2.2).
    return int.from_bytes(octets[at : at + 4], "little")


def _cut(buffer: bytes, number: int) -> tuple[tuple[bytes, ...], bytes]:
    """Divide a buffer by its Length fields. A structure with an impossible Length gets all the rest."""
    structures: list[bytes] = []
    at = 0
    while len(structures) < number and at + 4 <= len(buffer):
        length = _number(buffer, at)
        end = at + length if 4 <= length <= len(buffer) - at else len(buffer)
        structures.append(buffer[at:end])
        at = end
    return tuple(structures), buffer[at:]


def _list_of(octets: bytes) -> AddressList:
    body = octets[LIST_HEADER:]
    whole = len(body) - len(body) % ENTRY_SIZE
    entries = tuple(
        Entry(_number(body, at), body[at + 4 : at + 8], body[at + 8 : at + ENTRY_SIZE])
        for at in range(0, whole, ENTRY_SIZE)
    )
    return AddressList(_number(octets, 0), _number(octets, 4), _number(octets, 8), entries, body[whole:])
