"""The endpoint mapper: its answers, the client's calls, and the calls of impacket."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swn_torture.dcerpc.epm.endpoint_mapper import (
    EndpointEntry,
    EndpointMapper,
    EndpointMapperError,
    NotRegistered,
    ept_lookup,
    ept_map,
)
from swn_torture.dcerpc.epm.messages import (
    EPM,
    MAX_ELEMENTS,
    NIL,
    NULL_HANDLE,
    EpmOpnum,
    EptStatus,
    FreeResponse,
    InquiryType,
    LookupRequest,
    LookupResponse,
    MapRequest,
    MapResponse,
    VersionOption,
)
from swn_torture.dcerpc.epm.towers import Floor, Tower
from swn_torture.dcerpc.errors import ContextRefused, DeadlineExceeded
from swn_torture.dcerpc.server.interface import Association, Caller, ConnectionInfo, ServerCall
from swn_torture.dcerpc.server.server import RpcServer
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

SERVICE = SyntaxId(UUID("ccd8c074-d0e5-4a40-92b4-d074faa6ba28"), 1, 1)
OTHER = SyntaxId(UUID("11111111-2222-3333-4444-555555555555"), 2, 3)


def tower(port: int, address: str = "127.0.0.5", interface: SyntaxId = SERVICE) -> bytes:
    return Tower.of_tcp(interface, port, IPv4Address(address)).pack()


class Server:
    """An endpoint mapper without a network: takes requests, returns answers."""

    def __init__(self, *entries: EndpointEntry) -> None:
        self.mapper = EndpointMapper(entries)
        self.association = Association(1, "127.0.0.1")
        self.local = ("127.0.0.9", 135)

    def ask(self, opnum: int, stub: bytes, association: Association | None = None) -> bytes | int:
        answers: list[bytes | int] = []
        self.mapper.call(
            ServerCall(
                opnum=opnum,
                stub=stub,
                abstract_syntax=EPM,
                syntax=NDR32,
                byte_order="little",
                caller=Caller(),
                association=association or self.association,
                connection=ConnectionInfo(1, ("127.0.0.1", 40000), self.local),
                call_id=1,
                answer=lambda _, stub, status, __: answers.append(status if stub is None else stub),
            )
        )
        (answer,) = answers
        return answer

    def map(self, requested: Tower, obj: UUID | None = None, **more: object) -> MapResponse:
        answer = self.ask(EpmOpnum.MAP, MapRequest(requested.pack(), obj, **more).pack())  # type: ignore[arg-type]
        assert isinstance(answer, bytes)
        return MapResponse.unpack(answer)

    def lookup(self, request: LookupRequest) -> LookupResponse:
        answer = self.ask(EpmOpnum.LOOKUP, request.pack())
        assert isinstance(answer, bytes)
        return LookupResponse.unpack(answer)


def ports(response: MapResponse | LookupResponse) -> list[int | None]:
    if isinstance(response, MapResponse):
        return [Tower.unpack(octets).port for octets in response.towers]
    return [Tower.unpack(entry.tower or b"").port for entry in response.entries]


class TestMap:
    def test_map_returns_the_tower_of_a_registered_interface(self) -> None:
        server = Server(EndpointEntry(SERVICE, 49152, IPv4Address("127.0.0.5")), EndpointEntry(OTHER, 49153))
        response = server.map(Tower.of_tcp(SERVICE), NIL)
        assert response.towers == (tower(49152),)
        assert (response.status, response.handle) == (EptStatus.OK, NULL_HANDLE)

    def test_map_returns_the_address_that_the_client_called(self) -> None:
        response = Server(EndpointEntry(SERVICE, 49152)).map(Tower.of_tcp(SERVICE))
        assert Tower.unpack(response.towers[0]).address == IPv4Address("127.0.0.9")

    def test_map_returns_0_0_0_0_for_ipv6(self) -> None:
        server = Server(EndpointEntry(SERVICE, 49152))
        server.local = ("fe80::1%eth0", 135)
        assert Tower.unpack(server.map(Tower.of_tcp(SERVICE)).towers[0]).address == IPv4Address("0.0.0.0")

    @pytest.mark.parametrize(
        ("have", "want", "found"),
        [((1, 1), (1, 0), True), ((1, 1), (1, 2), False), ((1, 1), (2, 0), False), ((2, 0), (1, 0), False)],
    )
    def test_map_compares_interface_versions(
        self, have: tuple[int, int], want: tuple[int, int], *, found: bool
    ) -> None:
        response = Server(EndpointEntry(SyntaxId(SERVICE.uuid, *have), 1)).map(
            Tower.of_tcp(SyntaxId(SERVICE.uuid, *want))
        )
        assert response.status == (EptStatus.OK if found else EptStatus.NOT_REGISTERED)

    def test_map_of_an_unknown_interface_is_not_registered(self) -> None:
        response = Server(EndpointEntry(SERVICE, 1)).map(Tower.of_tcp(OTHER))
        assert response == MapResponse((), 0x16C9A0D6, max_towers=response.max_towers)

    def test_map_of_an_unknown_transfer_syntax(self) -> None:
        requested = Tower.of_tcp(SERVICE, transfer_syntax=NDR64)
        assert Server(EndpointEntry(SERVICE, 1)).map(requested).status == EptStatus.NOT_REGISTERED
        both = EndpointEntry(SERVICE, 1, transfer_syntaxes=(NDR32, NDR64))
        assert Tower.unpack(Server(both).map(requested).towers[0]).transfer_syntax == NDR64

    def test_map_of_an_unknown_protocol_sequence(self) -> None:
        transport = (Floor(b"\x0a", bytes(2)), Floor(b"\x08", bytes(2)), Floor(b"\x09", bytes(4)))
        udp = Tower((*Tower.of_tcp(SERVICE).floors[:2], *transport))
        assert Server(EndpointEntry(SERVICE, 1)).map(udp).status == EptStatus.NOT_REGISTERED

    def test_map_compares_object_uuids(self) -> None:
        one, two = uuid4(), uuid4()
        server = Server(EndpointEntry(SERVICE, 1, object=one), EndpointEntry(SERVICE, 2))
        assert ports(server.map(Tower.of_tcp(SERVICE), one)) == [1, 2]
        assert ports(server.map(Tower.of_tcp(SERVICE), two)) == [2]
        assert ports(server.map(Tower.of_tcp(SERVICE))) == [2]

    def test_map_ignores_the_network_address_of_the_request(self) -> None:
        server = Server(EndpointEntry(SERVICE, 1, IPv4Address("127.0.0.5")))
        assert ports(server.map(Tower.of_tcp(SERVICE, 135, IPv4Address("192.0.2.1")))) == [1]

    def test_map_returns_many_towers_in_several_replies(self) -> None:
        server = Server(*(EndpointEntry(SERVICE, port) for port in range(1, 6)))
        first = server.map(Tower.of_tcp(SERVICE), max_towers=2)
        assert ports(first) == [1, 2]
        assert first.handle != NULL_HANDLE
        second = server.map(Tower.of_tcp(SERVICE), handle=first.handle, max_towers=2)
        assert ports(second) == [3, 4]
        third = server.map(Tower.of_tcp(SERVICE), handle=second.handle, max_towers=2)
        assert ports(third) == [5]
        assert third.handle == NULL_HANDLE
        stale = MapRequest(tower(0), handle=second.handle).pack()
        assert server.ask(EpmOpnum.MAP, stale) == FaultStatus.NCA_S_FAULT_CONTEXT_MISMATCH

    def test_map_with_max_towers_0_returns_cant_perform_op(self) -> None:
        response = Server(EndpointEntry(SERVICE, 1)).map(Tower.of_tcp(SERVICE), max_towers=0)
        assert (response.status, response.towers) == (EptStatus.CANT_PERFORM_OP, ())

    def test_map_rejects_max_towers_beyond_its_range(self) -> None:
        stub = MapRequest(tower(0), max_towers=MAX_ELEMENTS + 1).pack()
        assert Server().ask(EpmOpnum.MAP, stub) == FaultStatus.RPC_X_BAD_STUB_DATA

    @pytest.mark.parametrize("octets", [None, b"", b"\0\0", b"\5\0", tower(1)[:-1]])
    def test_map_of_a_malformed_tower_returns_cant_perform_op(self, octets: bytes | None) -> None:
        answer = Server(EndpointEntry(SERVICE, 1)).ask(EpmOpnum.MAP, MapRequest(octets).pack())
        assert isinstance(answer, bytes)
        assert MapResponse.unpack(answer).status == EptStatus.CANT_PERFORM_OP


class TestLookup:
    ENTRIES = (
        EndpointEntry(SyntaxId(SERVICE.uuid, 1, 0), 10, annotation="old"),
        EndpointEntry(SyntaxId(SERVICE.uuid, 1, 2), 12),
        EndpointEntry(SyntaxId(SERVICE.uuid, 2, 1), 21, object=OTHER.uuid),
        EndpointEntry(OTHER, 99, transfer_syntaxes=(NDR32, NDR64)),
    )

    def test_lookup_returns_all_elements(self) -> None:
        response = Server(*self.ENTRIES).lookup(LookupRequest())
        assert ports(response) == [10, 12, 21, 99, 99]
        assert [entry.annotation for entry in response.entries] == ["old", "", "", "", ""]
        assert response.entries[2].object == OTHER.uuid

    def test_lookup_in_an_empty_map_returns_not_registered(self) -> None:
        assert Server().lookup(LookupRequest()).status == EptStatus.NOT_REGISTERED

    @pytest.mark.parametrize(
        ("option", "found"),
        [
            (VersionOption.ALL, [10, 12, 21]),
            (VersionOption.COMPATIBLE, [12]),
            (VersionOption.EXACT, []),
            (VersionOption.MAJOR_ONLY, [10, 12]),
            (VersionOption.UP_TO, [10]),
            (99, []),
        ],
    )
    def test_lookup_by_interface_and_version_option(self, option: int, found: list[int]) -> None:
        request = LookupRequest(InquiryType.MATCH_BY_INTERFACE, None, SERVICE, option)
        assert ports(Server(*self.ENTRIES).lookup(request)) == found

    def test_lookup_by_object(self) -> None:
        request = LookupRequest(InquiryType.MATCH_BY_OBJECT, OTHER.uuid)
        assert ports(Server(*self.ENTRIES).lookup(request)) == [21]

    def test_lookup_by_interface_and_object(self) -> None:
        server = Server(*self.ENTRIES)
        request = LookupRequest(InquiryType.MATCH_BY_BOTH, OTHER.uuid, SERVICE)
        assert ports(server.lookup(request)) == [21]
        assert ports(server.lookup(LookupRequest(InquiryType.MATCH_BY_BOTH, OTHER.uuid, OTHER))) == []

    def test_lookup_without_interface_or_with_unknown_inquiry(self) -> None:
        server = Server(*self.ENTRIES)
        for request in (LookupRequest(InquiryType.MATCH_BY_INTERFACE), LookupRequest(4)):
            assert server.lookup(request).status == EptStatus.NOT_REGISTERED

    def test_lookup_returns_many_entries_in_several_replies(self) -> None:
        server = Server(*self.ENTRIES)
        seen, handle = [], NULL_HANDLE
        for _ in range(3):
            response = server.lookup(LookupRequest(handle=handle, max_entries=2))
            seen += ports(response)
            handle = response.handle
        assert seen == [10, 12, 21, 99, 99]
        assert handle == NULL_HANDLE

    def test_lookup_truncates_a_long_annotation(self) -> None:
        response = Server(EndpointEntry(SERVICE, 1, annotation="x" * 100)).lookup(LookupRequest())
        assert response.entries[0].annotation == "x" * 63


class TestHandles:
    def search(self, server: Server) -> bytes:
        return server.lookup(LookupRequest(max_entries=1)).handle

    def server(self) -> Server:
        return Server(EndpointEntry(SERVICE, 1), EndpointEntry(SERVICE, 2))

    def test_a_freed_lookup_handle_is_unknown(self) -> None:
        server = self.server()
        handle = self.search(server)
        assert server.ask(EpmOpnum.LOOKUP_HANDLE_FREE, handle) == FreeResponse().pack()
        assert server.ask(EpmOpnum.LOOKUP_HANDLE_FREE, handle) == FaultStatus.NCA_S_FAULT_CONTEXT_MISMATCH

    def test_a_handle_is_valid_for_its_association_and_operation(self) -> None:
        server = self.server()
        handle = self.search(server)
        other = Association(2, "127.0.0.2")
        for opnum, stub, association in [
            (EpmOpnum.LOOKUP, LookupRequest(handle=handle).pack(), other),
            (EpmOpnum.LOOKUP_HANDLE_FREE, handle, other),
            (EpmOpnum.MAP, MapRequest(tower(0), handle=handle).pack(), None),
        ]:
            assert server.ask(opnum, stub, association) == FaultStatus.NCA_S_FAULT_CONTEXT_MISMATCH

    def test_rundown_drops_the_searches_of_an_association(self) -> None:
        server = self.server()
        handle = self.search(server)
        server.mapper.rundown(Association(2, "127.0.0.2"))
        server.mapper.rundown(server.association)
        assert server.ask(EpmOpnum.LOOKUP_HANDLE_FREE, handle) == FaultStatus.NCA_S_FAULT_CONTEXT_MISMATCH


@pytest.mark.parametrize("opnum", [0, 1, 5, 6, 7, 65535])
def test_unknown_opnums_get_op_rng_error(opnum: int) -> None:
    assert Server().ask(opnum, b"") == FaultStatus.NCA_S_OP_RNG_ERROR


@given(opnum=st.sampled_from([2, 3, 4]), stub=st.binary(max_size=80))
def test_garbage_as_stub_data_is_answered(opnum: int, stub: bytes) -> None:
    answer = Server(EndpointEntry(SERVICE, 1)).ask(opnum, stub)
    assert isinstance(answer, bytes) or answer in {
        FaultStatus.RPC_X_BAD_STUB_DATA,
        FaultStatus.NCA_S_FAULT_CONTEXT_MISMATCH,
    }


def with_mapper(client: Callable[[int], Awaitable[T]], *entries: EndpointEntry, silent: bool = False) -> T:
    """Serve an endpoint mapper on loopback, run ``client`` with its port, and return its result."""

    async def main() -> T:
        server = RpcServer([] if silent else [EndpointMapper(entries)])
        port = await server.start("127.0.0.1")
        if silent:
            server.freeze()
        try:
            return await client(port)
        finally:
            await server.stop(reset=True)

    return asyncio.run(main())


class TestOverTheNetwork:
    def test_ept_map_returns_the_endpoint(self) -> None:
        found = with_mapper(
            lambda port: ept_map("127.0.0.1", SERVICE, port=port), EndpointEntry(SERVICE, 49152)
        )
        assert [(each.address, each.port) for each in found] == [("127.0.0.1", 49152)]

    def test_ept_map_returns_an_endpoint_at_another_address(self) -> None:
        entry = EndpointEntry(SERVICE, 49152, IPv4Address("192.0.2.1"))
        (found,) = with_mapper(lambda port: ept_map("127.0.0.1", SERVICE, port=port), entry)
        assert found.address == "192.0.2.1"

    def test_ept_map_collects_several_replies(self) -> None:
        entries = [EndpointEntry(SERVICE, port) for port in range(1, 12)]
        found = with_mapper(lambda port: ept_map("127.0.0.1", SERVICE, port=port), *entries)
        assert [each.port for each in found] == list(range(1, 12))

    def test_ept_map_raises_not_registered(self) -> None:
        with pytest.raises(NotRegistered, match=r"ept_s_not_registered \(0x16C9A0D6\)") as caught:
            with_mapper(lambda port: ept_map("127.0.0.1", OTHER, port=port), EndpointEntry(SERVICE, 1))
        assert isinstance(caught.value, EndpointMapperError)

    def test_ept_map_at_a_server_without_endpoint_mapper(self) -> None:
        async def call_another_server(_: int) -> None:
            server = RpcServer([])
            try:
                await ept_map("127.0.0.1", SERVICE, port=await server.start("127.0.0.1"))
            finally:
                await server.stop(reset=True)

        with pytest.raises(ContextRefused):
            with_mapper(call_another_server)

    def test_ept_map_at_a_silent_server_exceeds_its_deadline(self) -> None:
        with pytest.raises(DeadlineExceeded):
            with_mapper(lambda port: ept_map("127.0.0.1", SERVICE, port=port, timeout=0.2), silent=True)

    def test_ept_lookup_collects_several_replies(self) -> None:
        request = LookupRequest(max_entries=2)
        found = with_mapper(lambda port: ept_lookup("127.0.0.1", request, port=port), *TestLookup.ENTRIES)
        assert [Tower.unpack(entry.tower or b"").port for entry in found] == [10, 12, 21, 99, 99]

    def test_ept_lookup_of_an_empty_map(self) -> None:
        assert with_mapper(lambda port: ept_lookup("127.0.0.1", port=port)) == []


class FailingMapper(EndpointMapper):
    """Answers every call with a failure status, and with one tower that a client must not use."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status

    def call(self, call: ServerCall) -> None:
        answer: MapResponse | LookupResponse = LookupResponse(status=self.status)
        if call.opnum == EpmOpnum.MAP:
            answer = MapResponse((tower(49152),), self.status)
        call.reply(answer.pack())


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (EptStatus.CANT_PERFORM_OP, r"ept_s_cant_perform_op \(0x16C9A0CD\)"),
        (0x16C9A0D9, "0x16C9A0D9"),
    ],
)
@pytest.mark.parametrize("lookup", [False, True], ids=["map", "lookup"])
def test_a_failure_status_is_an_endpoint_mapper_error(status: int, shown: str, *, lookup: bool) -> None:
    async def call() -> None:
        server = RpcServer([FailingMapper(status)])
        port = await server.start("127.0.0.1")
        try:
            if lookup:
                await ept_lookup("127.0.0.1", port=port)
            else:
                await ept_map("127.0.0.1", SERVICE, port=port)
        finally:
            await server.stop(reset=True)

    with pytest.raises(EndpointMapperError, match=f"at 127.0.0.1: {shown}$") as caught:
        asyncio.run(call())
    assert caught.value.status == status
    assert not isinstance(caught.value, NotRegistered)


class TestImpacket:
    """The look-ups of impacket 0.13 at this server."""

    @staticmethod
    def client(port: int) -> Any:
        from impacket.dcerpc.v5.transport import DCERPCTransportFactory

        dce = DCERPCTransportFactory(f"ncacn_ip_tcp:127.0.0.1[{port}]").get_dce_rpc()
        dce.connect()
        return dce

    def test_impacket_maps_an_interface(self) -> None:
        from impacket.dcerpc.v5 import epm

        def ask(port: int) -> object:
            dce = self.client(port)
            try:
                return epm.hept_map("127.0.0.1", SERVICE.pack(), protocol="ncacn_ip_tcp", dce=dce)
            finally:
                dce.disconnect()

        found = with_mapper(lambda port: asyncio.to_thread(ask, port), EndpointEntry(SERVICE, 49152))
        assert found == "ncacn_ip_tcp:127.0.0.1[49152]"

    def test_impacket_maps_an_unknown_interface(self) -> None:
        from impacket.dcerpc.v5 import epm
        from impacket.dcerpc.v5.rpcrt import DCERPCException

        def ask(port: int) -> None:
            dce = self.client(port)
            try:
                epm.hept_map("127.0.0.1", OTHER.pack(), protocol="ncacn_ip_tcp", dce=dce)
            finally:
                dce.disconnect()

        with pytest.raises(DCERPCException) as caught:
            with_mapper(lambda port: asyncio.to_thread(ask, port), EndpointEntry(SERVICE, 49152))
        assert caught.value.get_error_code() == EptStatus.NOT_REGISTERED

    def test_impacket_looks_up_the_map(self) -> None:
        from impacket.dcerpc.v5 import epm

        def ask(port: int) -> list[tuple[str, bytes]]:
            dce = self.client(port)
            try:
                return [
                    (epm.PrintStringBinding(entry["tower"]["Floors"]), entry["annotation"])
                    for entry in epm.hept_lookup(None, dce=dce)
                ]
            finally:
                dce.disconnect()

        entries = (EndpointEntry(SERVICE, 49152, annotation="witness"), EndpointEntry(OTHER, 49153))
        found = with_mapper(lambda port: asyncio.to_thread(ask, port), *entries)
        assert [each[1] for each in found] == [b"witness\0", b"\0"]
        assert [each[0] for each in found] == [
            "ncacn_ip_tcp:127.0.0.1[49152]",
            "ncacn_ip_tcp:127.0.0.1[49153]",
        ]
