"""A server of one method on scapy's DCE/RPC server, for the claims of docs/bug-report-scapy.md.

It has nothing of this project and changes nothing of scapy: no authentication, NDR 2.0 only. Opnum 7 takes an
unsigned 32-bit integer. It returns the next integer and, for 4096 to 16384, as many octets.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar
from uuid import UUID

from scapy.layers.dcerpc import (
    DCERPC_Transport,
    DceRpcOp,
    NDRConfStrLenField,
    NDRIntField,
    NDRPacket,
    register_dcerpc_interface,
)
from scapy.layers.msrpce.rpcserver import DCERPC_Server


class NextRequest(NDRPacket):
    """Opnum 7."""

    fields_desc: ClassVar[list[Any]] = [NDRIntField("value", 0)]


class NextResponse(NDRPacket):
    """The next value, and octets."""

    ALIGNMENT = (4, 8)
    fields_desc: ClassVar[list[Any]] = [
        NDRIntField("value", 0),
        NDRIntField("size", None, size_of="octets"),
        NDRConfStrLenField("octets", "", size_is=lambda each: each.size),
    ]


register_dcerpc_interface(
    name="next",
    uuid=UUID("00000001-0002-0003-0405-060708090a0b"),
    version="1.0",
    opnums={7: DceRpcOp(NextRequest, NextResponse)},
)


class Next(DCERPC_Server):
    """The server of scapy with one method."""

    @DCERPC_Server.answer(NextRequest)
    def next_value(self, request: Any) -> Any:
        """Return the next value."""
        value = request[NextRequest].value
        octets = b"x" * value if 4096 <= value <= 16384 else b""
        return NextResponse(value=(value + 1) % 2**32, octets=octets, ndr64=self.ndr64)


if __name__ == "__main__":
    Next.spawn(DCERPC_Transport.NCACN_IP_TCP, iface="lo", port=int(sys.argv[1]), ndr64=False)
