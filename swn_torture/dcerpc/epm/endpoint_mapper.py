"""The endpoint mapper, both ends: which port serves an interface (C706 Appendix O, MS-RPCE 2.2.1.2)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING

from swn_torture.dcerpc.client.bound_client import ask, bound_client
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
    """The endpoint mapper answered, but not with what was asked for.

    Attributes:
        status: its 32-bit status, see :class:`~swn_torture.dcerpc.epm.messages.EptStatus`.
    """

    def __init__(self, status: int, what: str) -> None:
        self.status = status
        super().__init__(f"{what}: {EptStatus.describe(status)}")


class NotRegistered(EndpointMapperError):  # noqa: N818  the field's name
    """Nothing in the endpoint map leads there: ept_s_not_registered (0x16C9A0D6)."""


@dataclass(frozen=True, slots=True)
class EndpointEntry:
    """One interface at one TCP port, as a server registers it.

    Attributes:
        interface: with its highest minor version.
        port: TCP port.
        address: where it listens; None for the address at which the endpoint mapper is asked.
        annotation: up to 63 characters for people.
        object: object UUID; nil matches whatever object a client asks for.
        transfer_syntaxes: one tower is offered for each.
    """

    interface: SyntaxId
    port: int
    address: IPv4Address | None = None
    annotation: str = ""
    object: UUID = NIL
    transfer_syntaxes: tuple[SyntaxId, ...] = (NDR32,)


@dataclass(frozen=True, slots=True)
class TowerEndpoint:
    """Where a tower leads.

    Attributes:
        address: the tower's network address, or the one that was asked at where the tower has none.
        port: TCP port.
        tower: all of it.
    """

    address: str
    port: int
    tower: Tower


@dataclass(slots=True)
class _Search:
    """What a look-up handle stands for: the rest of a result."""

    association: Association
    opnum: int
    rest: list[LookupEntry] = field(default_factory=list)


def _version_fits(option: int, have: SyntaxId, want: SyntaxId) -> bool:
    have_version, want_version = (have.major, have.minor), (want.major, want.minor)
    match option:
        case VersionOption.ALL:
            return True
        case VersionOption.COMPATIBLE:
            return have.major == want.major and have.minor >= want.minor
        case VersionOption.EXACT:
            return have_version == want_version
        case VersionOption.MAJOR_ONLY:
            return have.major == want.major
        case VersionOption.UP_TO:
            return have_version <= want_version
        case _:
            return False


class EndpointMapper(ServerInterface):
    """Serves ept_map, ept_lookup and ept_lookup_handle_free; every other operation is out of range.

    ``entries`` may be changed at any time; searches that are under way go on with what they found.
    """

    def __init__(self, entries: Iterable[EndpointEntry] = ()) -> None:
        self.syntax = EPM
        self.transfer_syntaxes: Sequence[SyntaxId] = (NDR32,)
        self.entries = list(entries)
        self._searches: dict[bytes, _Search] = {}

    def call(self, call: ServerCall) -> None:
        """Answer one call at once."""
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
        except RemoteProtocolError:  # MS-RPCE 3.1.3.5.2 has one answer to any stub that cannot be read
            answer = FaultStatus.RPC_X_BAD_STUB_DATA
        if isinstance(answer, int):
            call.fault(answer)
        else:
            call.reply(answer)

    def rundown(self, association: Association) -> None:
        """Forget the searches of a client that is gone."""
        self._searches = {h: s for h, s in self._searches.items() if s.association is not association}

    def _elements(self, call: ServerCall) -> list[tuple[EndpointEntry, Tower]]:
        """Return every element of the map, addresses filled in as this caller sees them."""
        asked_at = ip_address(call.connection.local[0].partition("%")[0])
        here = asked_at if isinstance(asked_at, IPv4Address) else None
        return [
            (entry, Tower.of_tcp(entry.interface, entry.port, entry.address or here, transfer))
            for entry in self.entries
            for transfer in entry.transfer_syntaxes
        ]

    def map_towers(self, call: ServerCall) -> bytes | int:
        request = MapRequest.unpack(call.stub, call.byte_order)
        if request.handle == NULL_HANDLE:
            try:
                found = self.find_towers(call, request)
            except RemoteProtocolError:  # the stub is well formed, the tower in it says nothing
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
        wanted = Tower.unpack(request.tower or b"")
        interface, transfer = wanted.interface, wanted.transfer_syntax
        return [
            LookupEntry(tower.pack(), entry.object, entry.annotation)
            for entry, tower in self._elements(call)
            if entry.interface.serves(interface)
            and tower.transfer_syntax == transfer
            and tower.protocol_sequence == wanted.protocol_sequence
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
        for entry, tower in self._elements(call):
            want = request.interface
            if by_interface and not (
                want is not None
                and entry.interface.uuid == want.uuid
                and _version_fits(request.version_option, entry.interface, want)
            ):
                continue
            if by_object and entry.object != (request.object or NIL):
                continue
            found.append(LookupEntry(tower.pack(), entry.object, entry.annotation))
        return found

    def _resume(self, call: ServerCall, handle: bytes) -> _Search | None:
        """Return the search of a handle if it is this association's and this operation's."""
        search = self._searches.get(handle)
        if search is None or search.association is not call.association or search.opnum != call.opnum:
            return None
        return search

    def page_of(
        self, call: ServerCall, found: list[LookupEntry], handle: bytes, most: int
    ) -> tuple[int, list[LookupEntry], bytes]:
        """Cut one reply's worth off a result; return status, page, and the handle of what is left."""
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
        # Nothing to be had, or no room for anything that is.
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
) -> list[TowerEndpoint]:
    """Ask the endpoint mapper at ``address`` for the TCP endpoints of an interface.

    Args:
        address: where to ask.
        syntax: the interface; a server's minor version may be higher.
        port: of the endpoint mapper.
        timeout: for all of it, in seconds.
        transfer_syntax: which the endpoint shall speak. Samba's map knows NDR32 alone.
        object: object UUID, for interfaces that are registered with one.

    Returns:
        At least one endpoint, in the server's order.

    Raises:
        NotRegistered: no such interface there.
        EndpointMapperError: any other status.
        RpcError: the endpoint mapper cannot be reached or does not answer as one.
    """
    wanted = Tower.of_tcp(syntax, transfer_syntax=transfer_syntax).pack()
    found: list[bytes] = []
    async with bound_client(address, port, EPM, timeout) as rpc:
        handle = NULL_HANDLE
        while True:
            # The nil UUID rather than a null pointer: what Windows and Samba clients send.
            request = MapRequest(wanted, object or NIL, handle)
            response = MapResponse.unpack(*await ask(rpc, EpmOpnum.MAP, request.pack(), timeout))
            if response.status == EptStatus.NOT_REGISTERED and not found:
                raise NotRegistered(response.status, f"{syntax} at {address}")
            if response.status not in {EptStatus.OK, EptStatus.NOT_REGISTERED}:
                raise EndpointMapperError(response.status, f"ept_map of {syntax} at {address}")
            found += response.towers
            handle = response.handle
            if handle == NULL_HANDLE or response.status == EptStatus.NOT_REGISTERED:
                break
    towers = [Tower.unpack(octets) for octets in found]
    return [
        TowerEndpoint(str(tower.address) if tower.address else address, tower.port, tower)
        for tower in towers
        if tower.port is not None
    ]


async def ept_lookup(
    address: str, request: LookupRequest | None = None, *, port: int = EPM_PORT, timeout: float = 5.0
) -> list[LookupEntry]:
    """Return the elements of the endpoint map at ``address``, all of them unless ``request`` says which.

    Args:
        address: where to ask.
        request: its ``max_entries`` sets the size of a page, its handle is ignored.
        port: of the endpoint mapper.
        timeout: for all of it, in seconds.

    Raises:
        EndpointMapperError: a status other than ok or not registered, which gives an empty list.
        RpcError: the endpoint mapper cannot be reached or does not answer as one.
    """
    asked = request or LookupRequest()
    found: list[LookupEntry] = []
    async with bound_client(address, port, EPM, timeout) as rpc:
        handle = NULL_HANDLE
        while True:
            page = replace(asked, handle=handle)
            response = LookupResponse.unpack(*await ask(rpc, EpmOpnum.LOOKUP, page.pack(), timeout))
            if response.status not in {EptStatus.OK, EptStatus.NOT_REGISTERED}:
                raise EndpointMapperError(response.status, f"ept_lookup at {address}")
            found += response.entries
            handle = response.handle
            # An empty page is not the end: Samba cuts pages first and picks out what matches afterwards.
            if handle == NULL_HANDLE or response.status == EptStatus.NOT_REGISTERED:
                return found
