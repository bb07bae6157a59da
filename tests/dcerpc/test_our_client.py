"""What our client sends by default: the tests of the rows of ``docs/our-client.md`` about DCE/RPC."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from swn_torture.dcerpc.client.binding import propose, without_features
from swn_torture.dcerpc.client.call_ids import CallIds
from swn_torture.dcerpc.client.client import connect
from swn_torture.dcerpc.client.connection import ClientConnection
from swn_torture.dcerpc.epm.endpoint_mapper import EndpointEntry, EndpointMapper, ept_map
from swn_torture.dcerpc.epm.messages import NIL, MapRequest
from swn_torture.dcerpc.epm.towers import Tower
from swn_torture.dcerpc.pdu.bind import AlterContext, Bind, BindAck, ContextResult
from swn_torture.dcerpc.pdu.header import LITTLE_ENDIAN, WHOLE, PfcFlags
from swn_torture.dcerpc.pdu.pdus import Auth3, CoCancel, Orphaned, Request, unpack
from swn_torture.dcerpc.pdu.verification_trailer import bitmask1, trailer
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.stubdata.syntax import NDR32, NDR64, bind_time_features
from tests.dcerpc.loopback import HOST, Loopback, run_with_server
from tests.dcerpc.rpc_pair import ECHO, ECHO_BACK, KEEP
from tests.dcerpc.sent_pdus import SIGNED, SPNEGO, Recorded, record

if TYPE_CHECKING:
    from swn_torture.dcerpc.client.client import RpcClient

FEATURES = bind_time_features(3)
OBJECT = UUID("12345678-1234-5678-1234-567812345678")


def requests_of(octets: tuple[bytes, ...]) -> list[Request]:
    """Fragments of an unprotected request."""
    parsed = [unpack(each) for each in octets]
    return [each for each in parsed if isinstance(each, Request)]


# call_id
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("logon", [{}, SIGNED, SPNEGO], ids=["none", "ntlm", "spnego"])
def test_call_ids_are_distinct_in_an_association(logon: dict[str, Any]) -> None:
    async def steps(run: Recorded) -> None:
        first = await run.client(**logon)
        pending = first.call(KEEP, b"")
        second = await run.client(assoc_group=first.core.assoc_group, **logon)
        for rpc in (first, second, second, first):
            await rpc.call(ECHO_BACK, b"x").reply()
        await second.alter_context(propose(ECHO, features=None))
        third = await run.client(assoc_group=first.core.assoc_group, **logon)
        await third.call(ECHO_BACK, b"x").reply()
        assert not pending.done()

        ids = {
            rpc: [pdu.call_id for pdu in run.sent(rpc) if not isinstance(pdu, Auth3)]
            for rpc in (first, second, third)
        }
        every = sorted(number for numbers in ids.values() for number in numbers)
        assert every == list(range(1, len(every) + 1))
        assert all(before < after for numbers in ids.values() for before, after in pairwise(numbers))

    record(steps)


def test_a_new_association_has_call_ids_of_its_own() -> None:
    async def steps(run: Recorded) -> None:
        first = await run.client()
        await first.call(ECHO_BACK, b"x").reply()
        other = await run.client()
        assert [pdu.call_id for pdu in run.sent(other)] == [1]
        assert first.core.assoc_group != other.core.assoc_group

    record(steps)


def bound(server: str, requested: int, answered: int) -> ClientConnection:
    """A client without I/O that has bound to an association."""
    client = ClientConnection(server)
    bind = client.bind(propose(ECHO), assoc_group=requested)
    client.send(bind)
    results = (ContextResult(0, 0, NDR32), ContextResult(3, 3))
    client.receive_data(BindAck(call_id=bind.call_id, results=results, assoc_group=answered).pack())
    client.next_event()
    return client


def test_associations_of_two_servers_do_not_share_call_ids() -> None:
    first, other = bound("first", 0, 5), bound("other", 0, 5)
    assert [client.next_call_id() for client in (first, other, first)] == [2, 2, 3]


def test_an_association_that_is_not_joined_has_call_ids_of_its_own() -> None:
    first = bound("server", 0, 5)
    refused = bound("server", 5, 6)
    assert [refused.next_call_id(), first.next_call_id(), refused.next_call_id()] == [3, 3, 4]
    assert bound("server", 6, 6).next_call_id() == 6


def test_a_server_that_creates_an_id_again_starts_new_call_ids() -> None:
    first, again = bound("server", 0, 5), bound("server", 0, 5)
    first.next_call_id()
    assert again.next_call_id() == 2
    assert bound("server", 5, 5).next_call_id() == 4
    # Without an id there is nothing to join.
    assert bound("server", 0, 0).next_call_id() == bound("server", 0, 0).next_call_id() == 2


def test_a_chosen_call_id_moves_the_counter_up_only() -> None:
    ids = CallIds()
    assert [ids.take(), ids.take(9), ids.take(), ids.take(4), ids.take()] == [1, 9, 10, 4, 11]
    assert [ids.take(0x80000000), ids.take()] == [0x80000000, 12]


def test_auth3_has_the_call_id_of_its_bind() -> None:
    async def steps(run: Recorded) -> None:
        rpc = await run.client(**SIGNED)
        await rpc.call(ECHO_BACK, b"x").reply()
        assert [(type(pdu), pdu.call_id) for pdu in run.sent(rpc)] == [(Bind, 1), (Auth3, 1), (Request, 2)]

    record(steps)


# bind and alter_context
# ----------------------------------------------------------------------------------------------------------


def bind_of(run: Recorded, rpc: RpcClient) -> Bind:
    first = run.sent(rpc)[0]
    assert isinstance(first, Bind)
    return first


def test_a_bind_proposes_one_syntax_and_the_features() -> None:
    async def steps(run: Recorded) -> None:
        rpc = await run.client(transfer=(NDR64,))
        bind = bind_of(run, rpc)
        assert [(each.context_id, each.abstract, each.transfers) for each in bind.contexts] == [
            (0, ECHO, (NDR64,)),
            (1, ECHO, (FEATURES,)),
        ]
        assert [each.reserved for each in bind.contexts] == [0, 0]
        assert bind.reserved == bytes(3)
        assert str(FEATURES.uuid) == "6cb71c2c-9812-4540-0300-000000000000"
        assert rpc.core.features == 3

    record(steps)


def test_a_bind_has_sizes_and_association() -> None:
    async def steps(run: Recorded) -> None:
        first = await run.client()
        second = await run.client(assoc_group=first.core.assoc_group)
        group = first.core.assoc_group
        for rpc, expected in ((first, 0), (second, group)):
            bind = bind_of(run, rpc)
            assert (bind.max_xmit, bind.max_recv, bind.assoc_group) == (5840, 5840, expected)

    record(steps)


@pytest.mark.parametrize(
    ("logon", "flags"),
    [
        ({}, [0x13, 0x03]),
        ({**SIGNED, "level": AuthLevel.CONNECT}, [0x13, 0x03, 0x03]),
        (SIGNED, [0x17, 0x07, 0x03]),
        (SPNEGO, [0x17, 0x17, 0x03]),
    ],
    ids=["none", "connect", "ntlm", "spnego"],
)
def test_pfc_flags(logon: dict[str, Any], flags: list[int]) -> None:
    async def steps(run: Recorded) -> None:
        rpc = await run.client(**logon)
        await rpc.call(ECHO_BACK, b"x").reply()
        assert [pdu.flags for pdu in run.sent(rpc)] == flags

    record(steps)


def test_later_legs_repeat_the_contexts_without_the_features() -> None:
    async def steps(run: Recorded) -> None:
        rpc = await run.client(**SPNEGO)
        second = await rpc.alter_context(**SPNEGO)
        assert second.accepted == {0: NDR32}
        alters = [pdu for pdu in run.sent(rpc) if isinstance(pdu, AlterContext)]
        assert len(alters) == 3
        assert [alter.contexts for alter in alters] == [bind_of(run, rpc).contexts[:1]] * 3

    record(steps)


def test_only_the_feature_element_is_left_out() -> None:
    elements = propose(ECHO, (NDR32, NDR64))
    assert without_features(elements) == elements[:2]
    assert without_features(elements[2:]) == elements[2:]


def test_auth_context_ids_are_unique_on_a_connection() -> None:
    async def steps(run: Recorded) -> None:
        rpc = await run.client(**SIGNED)
        await rpc.alter_context(**SIGNED)
        ids = [pdu.trailer.context_id for pdu in run.sent(rpc) if pdu.trailer]
        assert ids == [1, 1, 2, 2]
        assert bind_of(run, await run.client(**SIGNED)).trailer == bind_of(run, rpc).trailer

    record(steps)


# sec_trailer
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("object_uuid", [None, OBJECT], ids=["plain", "object"])
@pytest.mark.parametrize("level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY])
def test_sec_trailer_of_requests(level: AuthLevel, object_uuid: UUID | None) -> None:
    async def steps(run: Recorded) -> None:
        rpc = await run.client(**{**SIGNED, "level": level})
        for length in range(34):
            await rpc.call(ECHO_BACK, bytes([0xA5]) * length, object_uuid=object_uuid).reply()
        for length, octets in enumerate(run.octets(rpc)[2:]):
            header = 24 + (16 if object_uuid else 0)
            body = octets[header:-24]
            sec_trailer = octets[-24:-16]
            assert len(body) % 16 == 0
            assert len(body) - length == sec_trailer[2] < 16
            assert sec_trailer == bytes([10, level, sec_trailer[2], 0, 1, 0, 0, 0])
            if level == AuthLevel.INTEGRITY:
                assert body[length:] == bytes(sec_trailer[2])

    record(steps)


@pytest.mark.parametrize("logon", [SIGNED, SPNEGO], ids=["ntlm", "spnego"])
def test_sec_trailer_of_a_bind_exchange(logon: dict[str, Any]) -> None:
    """No padding: bind and alter_context end at a multiple of 4 octets, auth3 with its four octets."""

    async def steps(run: Recorded) -> None:
        rpc = await run.client(**logon)
        assert len(run.sent(rpc)) == 2
        for octets, pdu in zip(run.octets(rpc), run.sent(rpc), strict=True):
            assert pdu.trailer is not None
            assert (pdu.trailer.pad_length, pdu.trailer.reserved, pdu.padding) == (0, 0, b"")
            start = len(octets) - len(pdu.auth_value) - 8
            assert start == 20 if isinstance(pdu, Auth3) else start % 4 == 0
            if isinstance(pdu, Auth3):
                assert octets[16:20] == bytes(4)

    record(steps)


def test_connect_level_needs_a_verifier_with_two_contexts() -> None:
    async def steps(run: Recorded) -> None:
        logon = {**SIGNED, "level": AuthLevel.CONNECT}
        rpc = await run.client(**logon)
        await rpc.call(ECHO_BACK, b"x").reply()
        assert run.sent(rpc)[-1].trailer is None
        await rpc.alter_context(**logon)
        await rpc.call(ECHO_BACK, b"x").reply()
        request = run.sent(rpc)[-1]
        assert request.trailer is not None
        assert (request.trailer.auth_level, request.trailer.context_id) == (AuthLevel.CONNECT, 1)

    record(steps)


# Requests and fragments
# ----------------------------------------------------------------------------------------------------------


def test_a_request_has_no_object_and_no_trailer() -> None:
    async def steps(run: Recorded) -> None:
        rpc = await run.client(**SIGNED)
        await rpc.call(ECHO_BACK, bytes(8)).reply()
        request = run.sent(rpc)[-1]
        assert isinstance(request, Request)
        assert (request.opnum, request.context_id, request.object_uuid) == (ECHO_BACK, 0, None)
        assert (request.stub, request.alloc_hint) == (bytes(8), 8)

    record(steps)


def test_every_pdu_has_version_and_data_representation() -> None:
    async def steps(run: Recorded) -> None:
        rpc = await run.client(**SPNEGO)
        call = rpc.call(KEEP, b"")
        rpc.cancel(call)
        rpc.orphan(call)
        pdus = run.sent(rpc)
        assert {type(pdu) for pdu in pdus} == {Bind, AlterContext, Request, CoCancel, Orphaned}
        assert {(pdu.version, pdu.drep) for pdu in pdus} == {((5, 0), LITTLE_ENDIAN)}

    record(steps)


def test_cancel_and_orphaned_are_bare_headers() -> None:
    async def steps(run: Recorded) -> None:
        rpc = await run.client(**SIGNED)
        call = rpc.call(KEEP, b"")
        rpc.cancel(call)
        rpc.orphan(call)
        cancel, orphaned = run.octets(rpc)[-2:]
        for octets, ptype in ((cancel, 18), (orphaned, 19)):
            header = bytes([5, 0, ptype, WHOLE]) + LITTLE_ENDIAN + bytes([16, 0, 0, 0])
            assert octets == header + call.call_id.to_bytes(4, "little")

    record(steps)


@pytest.mark.parametrize("size", [2048, 2051, 4280, 5840])
def test_fragments_fill_the_negotiated_size(size: int) -> None:
    client = ClientConnection()
    _, octets = client.request(0, bytes(20_000), fragment_size=size)
    parts = requests_of(octets)
    assert {len(each) for each in octets[:-1]} == {24 + (size - 24) // 8 * 8}
    assert [part.flags for part in parts] == [0x01, *[0x00] * (len(parts) - 2), 0x02]
    assert {(part.call_id, part.context_id, part.opnum) for part in parts} == {(1, 0, 0)}


def test_signed_fragments_fill_the_negotiated_size() -> None:
    async def steps(run: Recorded) -> None:
        rpc = await run.client(**SIGNED)
        assert await rpc.call(ECHO_BACK, bytes(20_000)).reply() == bytes(20_000)
        *whole, last = run.octets(rpc)[2:]
        assert [len(each) for each in whole] == [5840] * 3
        assert len(last) < 5840
        pads = [each[-24 + 2] for each in (*whole, last)]
        assert pads == [0, 0, 0, -20_000 % 16]

    record(steps)


def test_alloc_hint_is_what_remains() -> None:
    client = ClientConnection()
    verification = trailer(bitmask1())
    _, octets = client.request(0, bytes(100), chunk=48, verification=verification)
    size = len(verification.pack())
    assert [part.alloc_hint for part in requests_of(octets)] == [100 + size, 52 + size, 4 + size]
    _, (octets_of_one,) = client.request(0, bytes(13))
    assert requests_of((octets_of_one,))[0].alloc_hint == 13


def test_flags_of_an_object_uuid() -> None:
    _, (octets,) = ClientConnection().request(0, b"", object_uuid=OBJECT)
    assert octets[3] == WHOLE | PfcFlags.OBJECT_UUID
    assert octets[24:] == OBJECT.bytes_le


# The endpoint mapper
# ----------------------------------------------------------------------------------------------------------


def test_ept_map_asks_as_a_windows_client() -> None:
    """Referents 1 and 2, the nil object, NDR32 in the tower, four towers at most."""
    requests = []

    class Recording(EndpointMapper):
        def map_towers(self, call):  # type: ignore[no-untyped-def]
            requests.append(call.stub)
            return super().map_towers(call)

    async def test(loopback: Loopback) -> None:
        loopback.server.interfaces.append(Recording([EndpointEntry(ECHO, 4711)]))
        assert [each.port for each in await ept_map(HOST, ECHO, port=loopback.port)] == [4711]

    run_with_server(test)
    (stub,) = requests
    assert stub[:4] == (1).to_bytes(4, "little")
    assert stub[4:20] == bytes(16)
    assert stub[20:24] == (2).to_bytes(4, "little")
    request = MapRequest.unpack(stub)
    assert (request.object, request.handle, request.max_towers) == (NIL, bytes(20), 4)
    tower = Tower.unpack(request.tower or b"")
    assert (tower.interface, tower.transfer_syntax, tower.protocol_sequence) == (ECHO, NDR32, (11, 7, 9))


# Another server
# ----------------------------------------------------------------------------------------------------------


def test_impacket_serves_our_client() -> None:
    """It gives all associations one id, serves one connection at a time, and rejects the feature element."""
    rpcrt = pytest.importorskip("impacket.dcerpc.v5.rpcrt")

    server = rpcrt.DCERPCServer()
    server.daemon = True
    interface = (str(ECHO.uuid), f"{ECHO.major}.{ECHO.minor}")
    server.addCallbacks(interface, "4711", {7: lambda stub: stub[::-1]})
    server._sock.listen()  # its thread does this later
    server.start()

    async def steps() -> None:
        for _ in range(2):
            rpc = await connect(HOST, server.getListenPort())
            async with rpc:
                bound = await rpc.bind(ECHO)
                assert (bound.accepted, bound.features, rpc.core.features) == ({0: NDR32}, None, 0)
                call = rpc.call(7, b"abcd")
                assert (call.call_id, await call.reply()) == (2, b"dcba")

    asyncio.run(asyncio.wait_for(steps(), 20))
