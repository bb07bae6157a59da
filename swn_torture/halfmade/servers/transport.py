"""Connections, binds, security, the endpoint mapper and transfer syntaxes."""

from __future__ import annotations

import dataclasses
import random
from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.dcerpc.pdu.bind import Bind, BindNakReason
from swn_torture.dcerpc.pdu.pdus import Request
from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.dcerpc.server.server import RpcServer
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.halfmade.registry import HalfMade
from swn_torture.server.nodes.endpoint import WitnessEndpoint

if TYPE_CHECKING:
    import socket

    from swn_torture.dcerpc.pdu.pdus import Pdu
    from swn_torture.dcerpc.security.levels import AuthType
    from swn_torture.dcerpc.security.protection import SecurityEntry
    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.dcerpc.server.request_assembly import AssembledRequest
    from swn_torture.server.config import ClusterConfig


class _Silent(ServerConnection):
    """Accepts connections, and answers nothing."""

    @override
    def process_pdu(self, pdu: Pdu, raw: bytes) -> None:
        return


class _RandomOctets(ServerConnection):
    """Answers every PDU with octets that are not a PDU."""

    @override
    def process_pdu(self, pdu: Pdu, raw: bytes) -> None:
        self.send_raw(random.Random(len(raw)).randbytes(64))


class _BindNak(ServerConnection):
    """Rejects every bind."""

    @override
    def process_pdu(self, pdu: Pdu, raw: bytes) -> None:
        if isinstance(pdu, Bind):
            self.send_bind_nak(pdu.call_id, BindNakReason.NOT_SPECIFIED)


class _ClosesAfterBind(ServerConnection):
    """Closes the connection at the first request."""

    @override
    def process_pdu(self, pdu: Pdu, raw: bytes) -> None:
        if isinstance(pdu, Request):
            self.closing = True
        else:
            super().process_pdu(pdu, raw)


class _AnswersNoCall(WitnessEndpoint):
    """Binds are accepted; no call is answered."""

    @override
    def call(self, call: ServerCall) -> None:
        return


class _EveryCallFaults(WitnessEndpoint):
    """Every call ends in a fault."""

    @override
    def call(self, call: ServerCall) -> None:
        call.fault(FaultStatus.NCA_S_FAULT_UNSPEC)


class _NoSecurity(Acceptor):
    """Rejects a bind with any authentication service."""

    @property
    @override
    def auth_types(self) -> frozenset[AuthType]:
        return frozenset()


def _without_access_check(config: ClusterConfig) -> ClusterConfig:
    return dataclasses.replace(config, options=dataclasses.replace(config.options, enforce_security=False))


class _WrongSignatures(ServerConnection):
    """The verifiers of responses are zero."""

    @override
    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        pdus = super().response(call, stub, entry)
        return pdus if entry is None else [pdu[:-16] + bytes(16) for pdu in pdus]


class _OneFragment(ServerConnection):
    """A request in several fragments ends the connection."""

    @override
    def _dispatch(self, whole: AssembledRequest, entry: SecurityEntry | None) -> None:
        if whole.first.flags & 3 != 3:
            self.closing = True
        else:
            super()._dispatch(whole, entry)


class _OneConnection(RpcServer):
    """Accepts the next connection when the last one has ended."""

    @override
    def _accept(self, listener: socket.socket) -> None:
        if not self.links and not self._accepting:
            super()._accept(listener)


class _NoWholeSegments(ServerConnection):
    """Takes what one read returns for one PDU.

    A PDU that arrives in parts ends the connection; a second one in the same read is lost.
    """

    @override
    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        if not data:
            return  # nothing was read: the owner continues with what was read before
        size = int.from_bytes(data[8:10], "little" if bytes(data[4:5]) == b"\x10" else "big")
        if max(size, 16) > len(data):
            self.closing = True
        else:
            super().receive_data(data[: max(size, 16)])


def _ndr32_only(config: ClusterConfig) -> ClusterConfig:
    return dataclasses.replace(config, ndr64=False)


SERVERS = (
    HalfMade(
        name="silent-after-connect", if_="the server accepts connections and sends nothing", parts=(_Silent,)
    ),
    HalfMade(name="random-octets", if_="the server sends octets that are not a PDU", parts=(_RandomOctets,)),
    HalfMade(name="bind-nak", if_="the server rejects every bind", parts=(_BindNak,)),
    HalfMade(name="silent-after-bind", if_="the server binds and answers no call", parts=(_AnswersNoCall,)),
    HalfMade(
        name="closes-after-bind",
        if_="the server binds and closes the connection at the first request",
        parts=(_ClosesAfterBind,),
    ),
    HalfMade(name="every-call-faults", if_="every call ends in a fault", parts=(_EveryCallFaults,)),
    HalfMade(name="no-endpoint-mapper", if_="there is no endpoint mapper", mapper=False),
    HalfMade(
        name="no-security",
        if_="the server has no authentication service, and serves everyone",
        parts=(_NoSecurity,),
        config_change=_without_access_check,
    ),
    HalfMade(
        name="wrong-signatures", if_="the verifiers of the responses are wrong", parts=(_WrongSignatures,)
    ),
    HalfMade(name="ndr32-only", if_="the server has NDR32 only", defects=0, config_change=_ndr32_only),
    HalfMade(
        name="one-fragment", if_="a request in several fragments ends the connection", parts=(_OneFragment,)
    ),
    HalfMade(
        name="one-read-one-pdu",
        if_="the server takes what one read returns for one PDU",
        parts=(_NoWholeSegments,),
    ),
    HalfMade(
        name="one-connection", if_="the server serves one connection at a time", parts=(_OneConnection,)
    ),
)
