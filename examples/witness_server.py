"""A small witness server on the DCE/RPC server of scapy, in the steps in which it grew.

docs/a-server-from-scratch.md says what swn-torture finds in each step. Each one extends the one before::

    python examples/witness_server.py bind
    swn-torture run --target examples/witness_server.toml --report out/

Nothing comes from swn-torture. The messages follow the IDL in MS-SWN 6.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import select
import threading
import time
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from scapy.config import conf
from scapy.fields import StrFixedLenField
from scapy.layers.dcerpc import (
    RPC_C_AUTHN_LEVEL,
    DceRpc5,
    DceRpc5Bind,
    DceRpc5BindAck,
    DceRpc5Request,
    DceRpc5Response,
    DCERPC_Transport,
    DceRpcOp,
    DceRpcSession,
    NDRConfPacketListField,
    NDRConfStrLenField,
    NDRConfVarStrNullFieldUtf16,
    NDRContextHandle,
    NDRFullEmbPointerField,
    NDRFullPointerField,
    NDRIntField,
    NDRPacket,
    NDRPacketField,
    NDRShortField,
    find_dcerpc_interface,
    register_dcerpc_interface,
)
from scapy.layers.gssapi import SSP
from scapy.layers.msrpce.rpcserver import DCERPC_Server
from scapy.layers.ntlm import NTLMSSP, MD4le
from scapy.layers.spnego import SPNEGOSSP

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

NET_NAME = "EXAMPLE"
NODE = "NODE1"
ADDRESS = IPv4Address("127.0.0.1")
USERS = {"witness": "Passw0rd!"}

V1, V2 = 0x00010001, 0x00020000
SUCCESS, INVALID_PARAMETER, NOT_FOUND, REVISION_MISMATCH, TIMEOUT = 0, 0x57, 0x490, 0x51A, 0x5B4


# The messages -----------------------------------------------------------------------------------------------
class InterfaceInfo(NDRPacket):
    """WITNESS_INTERFACE_INFO (MS-SWN 2.2.1.3)."""

    ALIGNMENT = (4, 4)
    fields_desc: ClassVar = [
        StrFixedLenField("InterfaceGroupName", b"", length=520),
        NDRIntField("Version", 0),
        NDRShortField("State", 0),
        NDRIntField("IPV4", 0),
        StrFixedLenField("IPV6", b"", length=16),
        NDRIntField("Flags", 0),
    ]


class InterfaceList(NDRPacket):
    """WITNESS_INTERFACE_LIST (MS-SWN 2.2.1.4)."""

    ALIGNMENT = (4, 8)
    fields_desc: ClassVar = [
        NDRIntField("NumberOfInterfaces", None, size_of="InterfaceInfo"),
        NDRFullEmbPointerField(
            NDRConfPacketListField(
                "InterfaceInfo", [], InterfaceInfo, size_is=lambda each: each.NumberOfInterfaces
            )
        ),
    ]


class RespAsyncNotify(NDRPacket):
    """RESP_ASYNC_NOTIFY (MS-SWN 2.2.1.5)."""

    ALIGNMENT = (4, 8)
    fields_desc: ClassVar = [
        NDRIntField("MessageType", 0),
        NDRIntField("Length", None, size_of="MessageBuffer"),
        NDRIntField("NumberOfMessages", 0),
        NDRFullEmbPointerField(NDRConfStrLenField("MessageBuffer", "", size_is=lambda each: each.Length)),
    ]


def text(name: str) -> Any:
    """A parameter of type LPWSTR."""
    return NDRFullPointerField(NDRConfVarStrNullFieldUtf16(name, ""))


class GetInterfaceListRequest(NDRPacket):
    """WitnessrGetInterfaceList, opnum 0: no parameter."""

    fields_desc: ClassVar[list[Any]] = []


class GetInterfaceListResponse(NDRPacket):
    """The list, or NULL, and an error code."""

    fields_desc: ClassVar = [
        NDRFullPointerField(NDRPacketField("InterfaceList", InterfaceList(), InterfaceList)),
        NDRIntField("status", 0),
    ]


class RegisterRequest(NDRPacket):
    """WitnessrRegister, opnum 1."""

    fields_desc: ClassVar = [
        NDRIntField("Version", 0),
        *map(text, ("NetName", "IpAddress", "ClientComputerName")),
    ]


class RegisterExRequest(NDRPacket):
    """WitnessrRegisterEx, opnum 4."""

    fields_desc: ClassVar = [
        NDRIntField("Version", 0),
        *map(text, ("NetName", "ShareName", "IpAddress", "ClientComputerName")),
        NDRIntField("Flags", 0),
        NDRIntField("KeepAliveTimeout", 0),
    ]


class HandleRequest(NDRPacket):
    """What WitnessrUnRegister (opnum 2) and WitnessrAsyncNotify (opnum 3) send."""

    fields_desc: ClassVar = [NDRPacketField("pContext", NDRContextHandle(), NDRContextHandle)]


class UnRegisterRequest(HandleRequest):
    """WitnessrUnRegister, opnum 2."""


class AsyncNotifyRequest(HandleRequest):
    """WitnessrAsyncNotify, opnum 3."""


class HandleResponse(NDRPacket):
    """What WitnessrRegister and WitnessrRegisterEx return."""

    fields_desc: ClassVar = [*HandleRequest.fields_desc, NDRIntField("status", 0)]


class UnRegisterResponse(NDRPacket):
    """An error code."""

    fields_desc: ClassVar = [NDRIntField("status", 0)]


class AsyncNotifyResponse(NDRPacket):
    """The notification, or NULL, and an error code."""

    fields_desc: ClassVar = [
        NDRFullPointerField(NDRPacketField("pResp", RespAsyncNotify(), RespAsyncNotify)),
        NDRIntField("status", 0),
    ]


register_dcerpc_interface(
    name="witness",
    uuid=UUID("ccd8c074-d0e5-4a40-92b4-d074faa6ba28"),
    version="1.1",
    opnums={
        0: DceRpcOp(GetInterfaceListRequest, GetInterfaceListResponse),
        1: DceRpcOp(RegisterRequest, HandleResponse),
        2: DceRpcOp(UnRegisterRequest, UnRegisterResponse),
        3: DceRpcOp(AsyncNotifyRequest, AsyncNotifyResponse),
        4: DceRpcOp(RegisterExRequest, HandleResponse),
    },
)


# Step 1 -----------------------------------------------------------------------------------------------------
class Bind(DCERPC_Server):
    """Step `bind`: the server of scapy. It knows the interface, and no method of it."""

    SETTINGS: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        for each in reversed(type(self).__mro__):  # scapy looks for methods in one class only
            self.dcerpc_commands |= vars(each).get("dcerpc_commands", {})


# Step 2 -----------------------------------------------------------------------------------------------------
def one_interface(version: int, **how: Any) -> Any:
    """A list of one interface, AVAILABLE, with an IPv4 address, of this very node."""
    info = InterfaceInfo(
        InterfaceGroupName=NODE.encode("utf-16le"),
        Version=version,
        State=1,
        IPV4=int.from_bytes(ADDRESS.packed, "little"),
        Flags=0x1,
        **how,
    )
    return GetInterfaceListResponse(InterfaceList=InterfaceList(InterfaceInfo=[info], **how), **how)


class FirstList(Bind):
    """Step `first-list`: GetInterfaceList as a first attempt, with two mistakes."""

    @DCERPC_Server.answer(GetInterfaceListRequest)
    def get_interface_list(self, _request: Any) -> Any:
        """MS-SWN 3.1.4.1."""
        return one_interface(2)


# Step 3 -----------------------------------------------------------------------------------------------------
class InterfaceListed(FirstList):
    """Step `list`: the Version of MS-SWN 1.7, and the transfer syntax that was negotiated."""

    @DCERPC_Server.answer(GetInterfaceListRequest)
    def get_interface_list(self, _request: Any) -> Any:
        """MS-SWN 3.1.4.1."""
        return one_interface(V2, ndr64=self.ndr64)


# Step 4 -----------------------------------------------------------------------------------------------------
NTLM = NTLMSSP(IDENTITIES={user: MD4le(word) for user, word in USERS.items()})
SPNEGO = SPNEGOSSP([NTLM])


class Secured(InterfaceListed):
    """Step `security`: NTLM in SPNEGO, and nothing below integrity."""

    SETTINGS: ClassVar[Mapping[str, Any]] = {
        "ssp": SPNEGO,
        "min_auth_level": RPC_C_AUTHN_LEVEL.PKT_INTEGRITY,
    }


# Step 5 -----------------------------------------------------------------------------------------------------
class Session(DceRpcSession):
    """A session with what scapy leaves out: the client's sizes, its choice of a service, empty stub data.

    The bind_ack accepts no larger fragments than the client proposed (C706 12.6.4.4). NTLM without SPNEGO is
    answered as NTLM. A protected request without stub data is verified, too: it has a sequence number.
    """

    ssp: Any
    proposed = (5840, 5840)

    def in_pkt(self, packet: Any, commit: bool = True) -> Any:
        """Keep what the client proposes, and take the service that it chose."""
        if DceRpc5Bind in packet:
            self.proposed = packet.max_xmit_frag, packet.max_recv_frag
            if packet.auth_verifier:
                self.ssp = {9: SPNEGO, 10: NTLM}.get(packet.auth_verifier.auth_type, self.ssp)
        protected = packet.auth_verifier and packet.auth_verifier.is_protected()
        if protected and DceRpc5Request in packet and conf.raw_layer not in packet.payload:
            self.verify_without_stub(packet)
        return super().in_pkt(packet, commit=commit)

    def verify_without_stub(self, packet: Any) -> None:
        """Verify, and count, a protected request without stub data (MS-RPCE 3.3.1.5.2.2)."""
        header = packet.copy()
        trailer = bytes(header.auth_verifier)[: -len(header.auth_verifier.auth_value)]
        header.auth_padding = header.auth_verifier = header.vt_trailer = None
        signed = self.header_sign
        body = bytes(packet.vt_trailer or b"") + (packet.auth_padding or b"")
        parts = ((bytes(header), signed, False), (body, True, True), (trailer, signed, False))
        value = packet.auth_verifier.auth_value
        if self.auth_level == RPC_C_AUTHN_LEVEL.PKT_PRIVACY:
            sealed = [SSP.WRAP_MSG(conf_req_flag=seal, sign=sign, data=data) for data, sign, seal in parts]
            self.ssp.GSS_UnwrapEx(self.sspcontext, sealed, value)
        elif self.auth_level == RPC_C_AUTHN_LEVEL.PKT_INTEGRITY:
            clear = [SSP.MIC_MSG(sign=sign, data=data) for data, sign, _ in parts]
            self.ssp.GSS_VerifyMICEx(self.sspcontext, clear, value)

    def out_pkt(self, packet: Any) -> Any:
        """Accept no more than that. The association group is not 0: scapy draws it once in 65,536 times."""
        if DceRpc5BindAck in packet:
            packet.assoc_group_id = packet.assoc_group_id or 1
            transmit, receive = self.proposed
            packet.max_xmit_frag, packet.max_recv_frag = min(5840, receive), min(5840, transmit)
            self.MAX_PDU_BODY_SIZE = min(4096, receive) - 128
        return super().out_pkt(packet)


class Framed(Secured):
    """Step `transport`: the session above, PDUs cut by frag_length, and requests in several fragments."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        known = {name: settings[name] for name in ("ssp",) if name in settings}
        self.session = Session(**known)

    def loop(self, connection: socket.socket) -> None:
        """Serve a connection until it ends."""
        received = b""
        while octets := self.next_octets(connection):
            received += octets
            while len(received) >= 16 and len(received) >= (size := frag_length(received)):
                if size < 16:
                    return
                whole, received = received[:size], received[size:]
                self.recv(whole)
                self.flush(connection)

    def recv(self, data: Any) -> None:
        """The session keeps a fragment; a request goes on when its last one is there (C706 12.6.2)."""
        if data[3] & 0x2:
            super().recv(data)
        else:
            self.session.in_pkt(DceRpc5(data), commit=False)

    def next_octets(self, connection: socket.socket) -> bytes:
        """What the client sends next; empty at the end of the connection."""
        return connection.recv(65536)

    def flush(self, connection: socket.socket) -> None:
        """Send what is ready."""
        while response := self.get_response():
            connection.sendall(bytes(response))


def frag_length(header: bytes) -> int:
    """frag_length of a PDU header, in the byte order of its data representation (C706 12.6.3.1)."""
    return int.from_bytes(header[8:10], "little" if header[4] & 0x10 else "big")


# Step 6 -----------------------------------------------------------------------------------------------------
class Registration:
    """A registration: its handle, its connection, the keep-alive time in seconds or None, its last use."""

    def __init__(self, owner: Registering, keep_alive: int | None) -> None:
        self.handle = os.urandom(16)
        self.owner = owner
        self.keep_alive = keep_alive
        self.last_used = time.monotonic()
        self.ended = False


class Registering(Framed):
    """Step `register`: Register, RegisterEx and UnRegister."""

    LOCK: ClassVar = threading.Lock()
    REGISTRATIONS: ClassVar[dict[bytes, Registration]] = {}

    def loop(self, connection: socket.socket) -> None:
        """When a connection ends, its registrations end, too."""
        try:
            super().loop(connection)
        finally:
            self.end(lambda each: each.owner is self)

    def end(self, which: Callable[[Registration], bool]) -> list[Registration]:
        """End the registrations that match, and return them."""
        with self.LOCK:
            found = [
                self.REGISTRATIONS.pop(each.handle) for each in [*self.REGISTRATIONS.values()] if which(each)
            ]
        for each in found:
            each.ended = True
        return found

    @DCERPC_Server.answer(RegisterRequest)
    def register(self, request: Any) -> Any:
        """MS-SWN 3.1.4.2."""
        return self.new(request[RegisterRequest], V1, None)

    @DCERPC_Server.answer(RegisterExRequest)
    def register_ex(self, request: Any) -> Any:
        """MS-SWN 3.1.4.5. There is no scale-out share here, so that ShareName and IpAddress are ignored."""
        asked = request[RegisterExRequest]
        return self.new(asked, V2, asked.KeepAliveTimeout)

    @DCERPC_Server.answer(UnRegisterRequest)
    def unregister(self, request: Any) -> Any:
        """MS-SWN 3.1.4.3."""
        handle = request[UnRegisterRequest].valueof("pContext").uuid
        found = self.end(lambda each: each.handle == handle)
        return UnRegisterResponse(status=SUCCESS if found else INVALID_PARAMETER, ndr64=self.ndr64)

    def new(self, request: Any, version: int, keep_alive: int | None) -> Any:
        """Check the parameters in the order of the text, and register."""
        names = [request.valueof(name) for name in ("NetName", "IpAddress", "ClientComputerName")]
        if request.Version != version:
            return self.handle_response(REVISION_MISMATCH)
        if None in names or bytes(names[0]).decode().upper() != NET_NAME:
            return self.handle_response(INVALID_PARAMETER)
        made = Registration(self, keep_alive)
        with self.LOCK:
            self.REGISTRATIONS[made.handle] = made
        return self.handle_response(SUCCESS, made.handle)

    def handle_response(self, status: int, handle: bytes = bytes(16)) -> Any:
        """A context handle, and an error code."""
        context = NDRContextHandle(attributes=0, uuid=handle, ndr64=self.ndr64)
        return HandleResponse(pContext=context, status=status, ndr64=self.ndr64)


# Step 7 -----------------------------------------------------------------------------------------------------
class Waiting(Exception):  # noqa: N818 - it is no error: the call waits
    """An AsyncNotify gets its response later."""


class Notifying(Registering):
    """Step `notify`: AsyncNotify waits, and other calls of the connection go on meanwhile."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.waiting: list[tuple[float, Registration, Any]] = []

    @DCERPC_Server.answer(AsyncNotifyRequest)
    def async_notify(self, request: Any) -> Any:
        """MS-SWN 3.1.4.4. Nothing changes here: the call ends by its time-out or with its registration."""
        handle = request[AsyncNotifyRequest].valueof("pContext").uuid
        with self.LOCK:
            found = self.REGISTRATIONS.get(handle)
        if found is None:
            return AsyncNotifyResponse(pResp=None, status=NOT_FOUND, ndr64=self.ndr64)
        seconds = math.inf if found.keep_alive is None else found.keep_alive
        found.last_used = math.inf
        self.waiting.append((time.monotonic() + seconds, found, request))
        raise Waiting

    def complete(self) -> None:
        """Queue the responses of calls that need not wait any longer, each on its connection."""
        now = time.monotonic()
        for each in [*self.waiting]:
            deadline, registration, request = each
            if registration.ended or deadline <= now:
                self.waiting.remove(each)
                registration.last_used = now
                self.respond(request, NOT_FOUND if registration.ended else TIMEOUT)

    def respond(self, request: Any, status: int) -> None:
        """Queue the response of a call that waited."""
        response = AsyncNotifyResponse(pResp=None, status=status, ndr64=self.ndr64)
        header = DceRpc5(endian=request.endian, encoding=request.encoding, call_id=request.call_id)
        body = DceRpc5Response(alloc_hint=len(response), cont_id=request[DceRpc5Request].cont_id)
        self.queue.extend(self.session.out_pkt(header / body / response))

    def recv(self, data: Any) -> None:
        """A call that waits has no response yet."""
        with contextlib.suppress(Waiting):
            super().recv(data)

    def next_octets(self, connection: socket.socket) -> bytes:
        """Wait for the client, and see meanwhile which calls end."""
        ready = False
        while not ready:
            ready = bool(select.select([connection], [], [], 0.1)[0])
            self.complete()
            self.flush(connection)
        return super().next_octets(connection)


# Step 8 -----------------------------------------------------------------------------------------------------
class Ageing(Notifying):
    """Step `timers`: a registration that nobody uses ends (MS-SWN 3.1.5.1)."""

    UNUSED_S = 30.0

    def recv(self, data: Any) -> None:
        """Look for such registrations before each PDU: nobody sees them in between."""
        self.end(lambda each: time.monotonic() - each.last_used > self.UNUSED_S)
        super().recv(data)


# The program ------------------------------------------------------------------------------------------------

STEPS: dict[str, type[Bind]] = {
    "bind": Bind,
    "first-list": FirstList,
    "list": InterfaceListed,
    "security": Secured,
    "transport": Framed,
    "register": Registering,
    "notify": Notifying,
    "timers": Ageing,
}


def main() -> None:
    """Serve one step on 127.0.0.1 until interrupted."""
    parser = argparse.ArgumentParser(description="Serve one step of the example.")
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--port", type=int, default=49777, help="port of the witness endpoint")
    parser.add_argument(
        "--mapper-port", type=int, help="serve the endpoint mapper of scapy on this port, too"
    )
    chosen = parser.parse_args()
    server = STEPS[chosen.step]
    if chosen.mapper_port is not None:
        portmap = {find_dcerpc_interface("witness"): chosen.port}
        DCERPC_Server.spawn(
            DCERPC_Transport.NCACN_IP_TCP, iface="lo", port=chosen.mapper_port, bg=True, portmap=portmap
        )
    server.spawn(DCERPC_Transport.NCACN_IP_TCP, iface="lo", port=chosen.port, **server.SETTINGS)


if __name__ == "__main__":
    main()
