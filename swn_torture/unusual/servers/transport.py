"""Unusual choices of the RPC transport, and services other than the witness service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from typing_extensions import override

from swn_torture.dcerpc.epm.endpoint_mapper import EndpointEntry, EndpointMapper
from swn_torture.dcerpc.epm.towers import Tower
from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.pdu.bind import Bind
from swn_torture.dcerpc.pdu.pdus import Request
from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.security.levels import AuthType
from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.dcerpc.server.interface import AssociationTable, ServerInterface
from swn_torture.dcerpc.server.request_assembly import Rejection
from swn_torture.dcerpc.server.server import RpcServer
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.server.companions.srvsvc.messages import SRVSVC
from swn_torture.stubdata.syntax import NDR32
from swn_torture.unusual.registry import Unusual

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.dcerpc.pdu.pdus import Pdu
    from swn_torture.dcerpc.security.protection import SecurityEntry
    from swn_torture.dcerpc.server.interface import ServerCall


class _SpnegoOnly(Acceptor):
    """Authentication by SPNEGO only."""

    @property
    @override
    def auth_types(self) -> frozenset[AuthType]:
        return super().auth_types - {AuthType.NTLM}


class _NtlmOnly(Acceptor):
    """Authentication by NTLM only."""

    @property
    @override
    def auth_types(self) -> frozenset[AuthType]:
        return frozenset({AuthType.NTLM})


class _KeepsConnections(ServerConnection):
    """A rejected request ends in a fault; the connection stays open."""

    @override
    def process_pdu(self, pdu: Pdu, raw: bytes) -> None:
        try:
            super().process_pdu(pdu, raw)
        except Rejection as rejection:
            raise Rejection(
                rejection.status,
                rejection.problem,
                context_id=rejection.context_id,
                did_not_execute=rejection.did_not_execute,
                call_id=rejection.call_id,
            ) from rejection


class _ClosesConnections(ServerConnection):
    """A rejected request ends the connection, after its fault."""

    @override
    def process_pdu(self, pdu: Pdu, raw: bytes) -> None:
        try:
            super().process_pdu(pdu, raw)
        except Rejection as rejection:
            rejection.close = True
            raise


class _SendsSmallFragments(ServerConnection):
    """Responses come in fragments of at most 160 octets, whatever size was negotiated."""

    @override
    def response(self, call: ServerCall, stub: bytes, entry: SecurityEntry | None) -> list[bytes]:
        negotiated, self.max_xmit = self.max_xmit, 160
        try:
            return super().response(call, stub, entry)
        finally:
            self.max_xmit = negotiated


_CALL_IDS: WeakKeyDictionary[AssociationTable, dict[tuple[int, int], int]] = WeakKeyDictionary()
"""By association and call_id the connection that has used them, for each server."""


class _CountsCallIdsPerAssociation(ServerConnection):
    """A call_id that another connection of the association has used is a protocol error."""

    @override
    def process_pdu(self, pdu: Pdu, raw: bytes) -> None:
        group = self.association.id if self.association else pdu.assoc_group if isinstance(pdu, Bind) else 0
        used = _CALL_IDS.setdefault(self._associations, {})
        if isinstance(pdu, Bind | Request) and used.get((group, pdu.call_id), self._info.id) != self._info.id:
            raise RemoteProtocolError(
                f"another connection of association 0x{group:08X} has used {pdu.call_id}",
                field="call_id",
                octets=raw,
            )
        super().process_pdu(pdu, raw)
        if self.association is not None and isinstance(pdu, Bind | Request):
            used[self.association.id, pdu.call_id] = self._info.id


class _DeniesEverybody(ServerInterface):
    """The server service without rights for anybody."""

    def __init__(self) -> None:
        self.syntax = SRVSVC
        self.transfer_syntaxes = (NDR32,)

    @override
    def call(self, call: ServerCall) -> None:
        call.fault(FaultStatus.ERROR_ACCESS_DENIED, did_not_execute=True)


class _ServesDeniedShares(RpcServer):
    """The witness port also serves the server service, which denies every call."""

    def __init__(self, interfaces: Sequence[ServerInterface], **others: Any) -> None:
        super().__init__([*interfaces, _DeniesEverybody()], **others)


class _RegistersShares(EndpointMapper):
    """The endpoint map also has the server service, at the witness port."""

    @override
    def elements(self, call: ServerCall) -> list[tuple[EndpointEntry, Tower]]:
        own = super().elements(call)
        entry = EndpointEntry(SRVSVC, own[0][0].port) if own else None
        return [*own, *([(entry, Tower.of_tcp(SRVSVC, entry.port))] if entry else [])]


_SERVICES = "MS-SWN 2.1 and 3.1.4, note 4, name authentication services, and demand none of a server."

SERVERS = (
    Unusual(
        name="ndr32-only",
        summary="The only transfer syntax is NDR32.",
        conforms="MS-RPCE 2.2.4.12, 3.3.1.5.6: NDR64 is optional.",
        settings={"ndr64": False},
    ),
    Unusual(
        name="small-fragments",
        summary="Fragments have at most 2048 octets.",
        conforms="C706 12.6.3.1: each side chooses the sizes that it accepts, from 1432 octets on.",
        settings={"rpc": {"max_fragment": 2048}},
    ),
    Unusual(
        name="many-fragments",
        summary="The server sends responses in fragments of at most 160 octets.",
        conforms="C706 12.6.3.1: the negotiated size is the largest that a sender may use.",
        parts=(_SendsSmallFragments,),
    ),
    Unusual(
        name="spnego-only",
        summary="The only authentication service is SPNEGO.",
        conforms=_SERVICES,
        parts=(_SpnegoOnly,),
    ),
    Unusual(
        name="ntlm-only",
        summary="The only authentication service is NTLM.",
        conforms=_SERVICES,
        parts=(_NtlmOnly,),
    ),
    Unusual(
        name="no-header-signing",
        summary="The server does not confirm PFC_SUPPORT_HEADER_SIGN.",
        conforms="MS-RPCE 3.3.1.5.2.2: whether header signing is supported is implementation-specific.",
        settings={"rpc": {"header_signing": False}},
    ),
    Unusual(
        name="no-multiplexing",
        summary="The server does not confirm PFC_CONC_MPX.",
        conforms='MS-RPCE 3.3.1.5.8: "if the server also supports this capability".',
        settings={"rpc": {"multiplex": False}},
    ),
    Unusual(
        name="privacy-required",
        summary="Calls below the authentication level PKT_PRIVACY are denied.",
        conforms="MS-SWN 3.1.4 and 2.1 leave the access check to the server; note 4 says what Windows does.",
        settings={"minimum_level": "PRIVACY"},
    ),
    Unusual(
        name="no-management",
        summary="The remote management interface is not served.",
        conforms="MS-SWN and MS-RPCE do not require it.",
        settings={"rpc": {"management": False}},
    ),
    Unusual(
        name="srvsvc-denies",
        summary="The server service is served and registered, and denies every call.",
        conforms="MS-SRVS 3.1.4.8, 3.1.4.10: the server authorizes the caller.",
        parts=(_ServesDeniedShares, _RegistersShares),
    ),
    Unusual(
        name="call-ids-of-associations",
        summary="A call_id that another connection of the association has used is a protocol error.",
        conforms="C706 12.6.3.1: the caller guarantees that call_ids of an association group are distinct.",
        parts=(_CountsCallIdsPerAssociation,),
    ),
    Unusual(
        name="closes-on-errors",
        summary="After the fault for a rejected request the server always closes the connection, at once.",
        conforms="MS-RPCE 3.3.3.5.7 requires the fault, and does not say whether the connection remains.",
        settings={"rpc": {"linger": 0.0}},
        parts=(_ClosesConnections,),
    ),
    Unusual(
        name="keeps-connections",
        summary="After the fault for a rejected request the server keeps the connection open.",
        conforms="MS-RPCE 3.3.3.5.7 requires the fault, and does not say whether the connection remains.",
        parts=(_KeepsConnections,),
    ),
)
