"""The endpoint mapper: the server's interface and the client's calls (C706 Appendix O, MS-RPCE 2.2.1.2)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING

from swn_torture.dcerpc.client.bound_client import bound_client, call
from swn_torture.dcerpc.epm.messages import (
    EPM,
    EPM_PORT,
    NIL,
    NULL_HANDLE,
    EpmOpnum,
    EptStatus,
    FreeRequest,
    FreeResponse,
    InquiryType,
    LookupEntry,
    LookupRequest,
    LookupResponse,
    MapRequest,
    MapResponse,
    VersionOption,
)
from swn_torture.dcerpc.epm.towers import Tower
from swn_torture.dcerpc.errors import RemoteProtocolError, RpcError
from swn_torture.dcerpc.server.interface import ServerInterface
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.stubdata.syntax import NDR32, SyntaxId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from uuid import UUID

    from swn_torture.dcerpc.server.interface import Association, ServerCall
    from swn_torture.dcerpc.transcript import Transcript

__all__ = [
    "EndpointEntry",
    "EndpointMapper",
    "EndpointMapperError",
    "NotRegistered",
    "TowerEndpoint",
    "ept_lookup",
    "ept_map",
]


class EndpointMapperError(RpcError):
    """The endpoint mapper returned a failure.

    Attributes:
        status: the 32-bit status, see :class:`~swn_torture.dcerpc.epm.messages.EptStatus`.
    """

    def __init__(self, status: int, what: str) -> None:
        self.status = status
        super().__init__(f"{what}: {EptStatus.describe(status)}")


class NotRegistered(EndpointMapperError):  # noqa: N818  the usual name
    """The endpoint map has no matching element: ept_s_not_registered (0x16C9A0D6)."""


@dataclass(frozen=True, slots=True)
class EndpointEntry:
    """A registration of an interface at a TCP port.

    Attributes:
        interface: with its highest minor version.
        port: TCP port.
        address: the server's address; ``None`` for the address at which the client calls the endpoint mapper.
        annotation: a description, up to 63 characters.
        object: object UUID; nil matches every object.
        transfer_syntaxes: the map has one tower for each.
    """

    interface: SyntaxId
    port: int
    address: IPv4Address | None = None
    annotation: str = ""
    object: UUID = NIL
    transfer_syntaxes: tuple[SyntaxId, ...] = (NDR32,)


@dataclass(frozen=True, slots=True)
class TowerEndpoint:
    """The endpoint of a tower.

    Attributes:
        address: the network address of the tower; if it has none, the address of the endpoint mapper.
        port: TCP port.
        tower: the tower.
    """

    address: str
    port: int
    tower: Tower


@dataclass(slots=True)
class _Search:
    """A search with a look-up handle: the results that were not returned yet."""

    association: Association
    opnum: int
    rest: list[LookupEntry] = field(default_factory=list)


def _version_matches(option: int, registered: SyntaxId, requested: SyntaxId) -> bool:
    version, requested_version = (registered.major, registered.minor), (requested.major, requested.minor)
    match option:
        case VersionOption.ALL:
            return True
        case VersionOption.COMPATIBLE:
            return registered.major == requested.major and registered.minor >= requested.minor
        case VersionOption.EXACT:
            return version == requested_version
        case VersionOption.MAJOR_ONLY:
            return registered.major == requested.major
        case VersionOption.UP_TO:
            return version <= requested_version
        case _:
            return False


class EndpointMapper(ServerInterface):
    """Serves ept_map, ept_lookup and ept_lookup_handle_free. Every other opnum is out of range.

    ``elements``, ``map_towers``, ``find_towers`` and ``page_of`` are the steps of ept_map. Faults and unusual
    servers override them.

    Args:
        entries: the registrations.

    Attributes:
        entries: the registrations. They may change at any time; a search in progress keeps its results.
    """

    def __init__(self, entries: Iterable[EndpointEntry] = ()) -> None:
        self.syntax = EPM
        self.transfer_syntaxes: Sequence[SyntaxId] = (NDR32,)
        self.entries = list(entries)
        self._searches: dict[bytes, _Search] = {}

    def call(self, call: ServerCall) -> None:
        """Answer a call at once."""
        handlers: dict[int, Callable[[ServerCall], bytes | int]] = {
            EpmOpnum.MAP: self.map_towers,
            EpmOpnum.LOOKUP: self._lookup,
            EpmOpnum.LOOKUP_HANDLE_FREE: self._free,
        }
        handler = handlers.get(call.opnum)
        if handler is None:
            call.fault(FaultStatus.NCA_S_OP_RNG_ERROR, did_not_execute=True)
            return
        try:
            answer = handler(call)
        except RemoteProtocolError as error:  # malformed stub data (MS-RPCE 3.1.3.5.2)
            call.fault(FaultStatus.RPC_X_BAD_STUB_DATA, problem=str(error))
            return
        if isinstance(answer, int):
            call.fault(answer)
        else:
            call.reply(answer)

    def rundown(self, association: Association) -> None:
        """Drop the searches of an association that has ended."""
        self._searches = {h: s for h, s in self._searches.items() if s.association is not association}

    def elements(self, call: ServerCall) -> list[tuple[EndpointEntry, Tower]]:
        """Return every element of the map, with the address that the caller uses where an entry has none."""
        local = ip_address(call.connection.local[0].partition("%")[0])
        default = local if isinstance(local, IPv4Address) else None
        return [
            (entry, Tower.of_tcp(entry.interface, entry.port, entry.address or default, transfer))
            for entry in self.entries
            for transfer in entry.transfer_syntaxes
        ]

    def map_towers(self, call: ServerCall) -> bytes | int:
        """Process ept_map (MS-RPCE 2.2.1.2.5).

        Returns:
            The stub data of the response, or the status of a fault.

        Raises:
            RemoteProtocolError: the stub data is malformed.
        """
        request = MapRequest.unpack(call.stub, call.byte_order)
        if request.handle == NULL_HANDLE:
            try:
                found = self.find_towers(call, request)
            except RemoteProtocolError:  # the stub data is well formed, but its tower is not
                return MapResponse((), EptStatus.CANT_PERFORM_OP, max_towers=request.max_towers).pack()
        else:
            search = self._resume(call, request.handle)
            if search is None:
                return FaultStatus.NCA_S_FAULT_CONTEXT_MISMATCH
            found = search.rest
        status, page, handle = self.page_of(call, found, request.handle, request.max_towers)
        towers = tuple(entry.tower for entry in page if entry.tower is not None)
        return MapResponse(towers, status, handle, request.max_towers).pack()

    def find_towers(self, call: ServerCall, request: MapRequest) -> list[LookupEntry]:
        """Return the elements whose interface, transfer syntax, protocols and object match a request.

        Raises:
            RemoteProtocolError: the tower in the request is malformed.
        """
        requested = Tower.unpack(request.tower or b"")
        interface, transfer = requested.interface, requested.transfer_syntax
        return [
            LookupEntry(tower.pack(), entry.object, entry.annotation)
            for entry, tower in self.elements(call)
            if entry.interface.serves(interface)
            and tower.transfer_syntax == transfer
            and tower.protocol_sequence == requested.protocol_sequence
            and entry.object in {NIL, request.object or NIL}
        ]

    def _lookup(self, call: ServerCall) -> bytes | int:
        request = LookupRequest.unpack(call.stub, call.byte_order)
        if request.handle == NULL_HANDLE:
            found = self._find_entries(call, request)
        else:
            search = self._resume(call, request.handle)
            if search is None:
                return FaultStatus.NCA_S_FAULT_CONTEXT_MISMATCH
            found = search.rest
        status, page, handle = self.page_of(call, found, request.handle, request.max_entries)
        return LookupResponse(tuple(page), status, handle, request.max_entries).pack()

    def _find_entries(self, call: ServerCall, request: LookupRequest) -> list[LookupEntry]:
        by_interface = request.inquiry in {InquiryType.MATCH_BY_INTERFACE, InquiryType.MATCH_BY_BOTH}
        by_object = request.inquiry in {InquiryType.MATCH_BY_OBJECT, InquiryType.MATCH_BY_BOTH}
        if not by_interface and not by_object and request.inquiry != InquiryType.ALL_ELEMENTS:
            return []
        found = []
        for entry, tower in self.elements(call):
            requested = request.interface
            if by_interface and not (
                requested is not None
                and entry.interface.uuid == requested.uuid
                and _version_matches(request.version_option, entry.interface, requested)
            ):
                continue
            if by_object and entry.object != (request.object or NIL):
                continue
            found.append(LookupEntry(tower.pack(), entry.object, entry.annotation))
        return found

    def _resume(self, call: ServerCall, handle: bytes) -> _Search | None:
        """Return the search of a handle, ``None`` if it belongs to another association or operation."""
        search = self._searches.get(handle)
        if search is None or search.association is not call.association or search.opnum != call.opnum:
            return None
        return search

    def page_of(
        self, call: ServerCall, found: list[LookupEntry], handle: bytes, most: int
    ) -> tuple[int, list[LookupEntry], bytes]:
        """Take the results of one reply from the results of a search.

        Args:
            call: the call to answer.
            found: the results that were not returned yet.
            handle: of the search, :data:`NULL_HANDLE` for a new one.
            most: how many results the reply may contain.

        Returns:
            The status, the results for the reply, and the handle of the search: :data:`NULL_HANDLE` if no
            results are left.
        """
        page, rest = found[:most], found[most:]
        self._searches.pop(handle, None)
        if rest and page:
            if handle == NULL_HANDLE:
                handle = bytes(4) + uuid.uuid4().bytes_le
            self._searches[handle] = _Search(call.association, call.opnum, rest)
        else:
            handle = NULL_HANDLE
        if page:
            return EptStatus.OK, page, handle
        # There are no results, or the reply may contain none.
        return (EptStatus.CANT_PERFORM_OP if found else EptStatus.NOT_REGISTERED), [], handle

    def _free(self, call: ServerCall) -> bytes | int:
        handle = FreeRequest.unpack(call.stub, call.byte_order).handle
        search = self._searches.get(handle)
        if search is None or search.association is not call.association:
            return FaultStatus.NCA_S_FAULT_CONTEXT_MISMATCH
        del self._searches[handle]
        return FreeResponse().pack()


async def ept_map(
    address: str,
    syntax: SyntaxId,
    *,
    port: int = EPM_PORT,
    timeout: float = 5.0,
    transfer_syntax: SyntaxId = NDR32,
    object: UUID | None = None,  # noqa: A002  the protocol's name for it
    transcript: Transcript | None = None,
) -> list[TowerEndpoint]:
    """Return the TCP endpoints of an interface from the endpoint mapper at ``address`` (ept_map).

    Args:
        address: of the endpoint mapper.
        syntax: the interface; the minor version of the server may be higher.
        port: of the endpoint mapper.
        timeout: for connect, bind and calls together, in seconds.
        transfer_syntax: the transfer syntax of the endpoint. Samba's map contains NDR32 only.
        object: object UUID, for interfaces that are registered with one.
        transcript: records all octets sent and received.

    Returns:
        At least one endpoint, in the order of the server.

    Raises:
        NotRegistered: the map does not contain the interface.
        EndpointMapperError: the endpoint mapper returns another failure.
        RpcError: the endpoint mapper cannot be reached or sends a malformed answer.
    """
    requested = Tower.of_tcp(syntax, transfer_syntax=transfer_syntax).pack()
    found: list[bytes] = []
    async with bound_client(address, port, EPM, timeout, transcript) as rpc:
        handle = NULL_HANDLE
        while True:
            # The nil UUID, not a null pointer, as the clients of Windows and Samba send it.
            request = MapRequest(requested, object or NIL, handle)
            response = MapResponse.unpack(*await call(rpc, EpmOpnum.MAP, request.pack(), timeout))
            if response.status == EptStatus.NOT_REGISTERED and not found:
                raise NotRegistered(response.status, f"{syntax} at {address}")
            if response.status not in {EptStatus.OK, EptStatus.NOT_REGISTERED}:
                raise EndpointMapperError(response.status, f"ept_map of {syntax} at {address}")
            found += response.towers
            handle = response.handle
            if handle == NULL_HANDLE or response.status == EptStatus.NOT_REGISTERED:
                break
    towers = [Tower.unpack(octets) for octets in found]
    endpoints = [
        TowerEndpoint(str(tower.address) if tower.address else address, tower.port, tower)
        for tower in towers
        if tower.port
    ]
    if not endpoints:
        raise RemoteProtocolError(f"success with {len(towers)} towers, none with a TCP port", field="towers")
    return endpoints


async def ept_lookup(
    address: str, request: LookupRequest | None = None, *, port: int = EPM_PORT, timeout: float = 5.0
) -> list[LookupEntry]:
    """Return the elements of the endpoint map at ``address`` (ept_lookup).

    Args:
        address: of the endpoint mapper.
        request: selects elements; by default all. Its ``max_entries`` limits each reply, its handle is
            ignored.
        port: of the endpoint mapper.
        timeout: for connect, bind and calls together, in seconds.

    Returns:
        The elements; none if the endpoint mapper returns ept_s_not_registered.

    Raises:
        EndpointMapperError: the endpoint mapper returns another failure.
        RpcError: the endpoint mapper cannot be reached or sends a malformed answer.
    """
    selection = request or LookupRequest()
    found: list[LookupEntry] = []
    async with bound_client(address, port, EPM, timeout) as rpc:
        handle = NULL_HANDLE
        while True:
            page = replace(selection, handle=handle)
            response = LookupResponse.unpack(*await call(rpc, EpmOpnum.LOOKUP, page.pack(), timeout))
            if response.status not in {EptStatus.OK, EptStatus.NOT_REGISTERED}:
                raise EndpointMapperError(response.status, f"ept_lookup at {address}")
            found += response.entries
            handle = response.handle
            # A reply without elements is not the end: Samba limits a reply before it selects the elements.
            if handle == NULL_HANDLE or response.status == EptStatus.NOT_REGISTERED:
                return found
