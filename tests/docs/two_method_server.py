"""A small server on scapy's DCE/RPC server, for the claims of docs/bug-report-scapy.md.

It has nothing of this project and changes nothing of scapy. It knows NDR 2.0 only. The first port has no
authentication, the second one NTLM at level connect or above. Opnum 7 takes an unsigned 32-bit integer. It
returns the next integer and, for 4096 to 16384, as many octets. Opnum 8 takes a text and returns its length.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar
from uuid import UUID

from scapy.layers.dcerpc import (
    RPC_C_AUTHN_LEVEL,
    DCERPC_Transport,
    DceRpcOp,
    NDRConfStrLenField,
    NDRConfVarStrNullFieldUtf16,
    NDRIntField,
    NDRPacket,
    register_dcerpc_interface,
)
from scapy.layers.msrpce.rpcserver import DCERPC_Server
from scapy.layers.ntlm import NTLMSSP, MD4le


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


class LengthRequest(NDRPacket):
    """Opnum 8."""

    fields_desc: ClassVar[list[Any]] = [NDRConfVarStrNullFieldUtf16("text", "")]


class LengthResponse(NDRPacket):
    """The number of characters, without the null character."""

    fields_desc: ClassVar[list[Any]] = [NDRIntField("value", 0)]


class NothingRequest(NDRPacket):
    """Opnum 10: no parameters, and so no stub data."""

    fields_desc: ClassVar[list[Any]] = []


class NothingResponse(NDRPacket):
    """A value."""

    fields_desc: ClassVar[list[Any]] = [NDRIntField("value", 0)]


register_dcerpc_interface(
    name="next",
    uuid=UUID("00000001-0002-0003-0405-060708090a0b"),
    version="1.0",
    opnums={
        7: DceRpcOp(NextRequest, NextResponse),
        8: DceRpcOp(LengthRequest, LengthResponse),
        10: DceRpcOp(NothingRequest, NothingResponse),
    },
)


class Next(DCERPC_Server):
    """The server of scapy with these methods."""

    @DCERPC_Server.answer(NextRequest)
    def next_value(self, request: Any) -> Any:
        """Return the next value."""
        value = request[NextRequest].value
        octets = b"x" * value if 4096 <= value <= 16384 else b""
        return NextResponse(value=(value + 1) % 2**32, octets=octets, ndr64=self.ndr64)

    @DCERPC_Server.answer(LengthRequest)
    def length(self, request: Any) -> Any:
        """Return the length of the text."""
        return LengthResponse(value=len(request[LengthRequest].valueof("text")), ndr64=self.ndr64)

    @DCERPC_Server.answer(NothingRequest)
    def nothing(self, _: Any) -> Any:
        """Return a constant."""
        return NothingResponse(value=11, ndr64=self.ndr64)


if __name__ == "__main__":
    transport = DCERPC_Transport.NCACN_IP_TCP
    secured = {
        "ssp": NTLMSSP(IDENTITIES={"witness": MD4le("Passw0rd!")}),
        "min_auth_level": RPC_C_AUTHN_LEVEL.CONNECT,
    }
    Next.spawn(transport, iface="lo", port=int(sys.argv[2]), ndr64=False, bg=True, **secured)
    Next.spawn(transport, iface="lo", port=int(sys.argv[1]), ndr64=False)
