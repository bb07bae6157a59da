"""The end of connections over loopback sockets: FIN, RST, moved addresses, frozen servers."""

from __future__ import annotations

import asyncio

import pytest

from swn_torture.dcerpc.client.client import connect
from swn_torture.dcerpc.errors import ConnectionLost, DeadlineExceeded, Fault
from swn_torture.dcerpc.pdu.pdus import Request
from tests.dcerpc.loopback import HOST, Loopback, run_with_server
from tests.dcerpc.rpc_pair import ECHO, KEEP


class TestConnectionEnd:
    @pytest.mark.parametrize("reset", [False, True])
    def test_the_client_sees_how_the_server_closes(self, *, reset: bool) -> None:
        async def test(loopback: Loopback) -> None:
            rpc = await loopback.bound()
            call = rpc.call(KEEP, b"")
            await loopback.echo.until(lambda: bool(loopback.echo.kept))
            await loopback.server.stop(reset=reset)
            with pytest.raises(ConnectionLost) as lost:
                await call.reply()
            assert lost.value.reset is reset
            assert await rpc.wait_closed() == ("reset" if reset else "fin")
            assert rpc.closed_at is not None
            with pytest.raises(ConnectionLost):
                await rpc.next_pdu()
            with pytest.raises(ConnectionLost):
                await loopback.client()

        run_with_server(test)

    def test_a_frozen_server_sends_nothing_until_it_is_thawed(self) -> None:
        async def test(loopback: Loopback) -> None:
            rpc = await loopback.bound()
            kept = rpc.call(KEEP, b"")
            await loopback.echo.until(lambda: bool(loopback.echo.kept))
            loopback.server.freeze()
            loopback.echo.kept[0].reply(b"held back")
            call = rpc.call(0, b"late")
            late = await loopback.client()  # the kernel completes the handshake
            with pytest.raises(DeadlineExceeded):
                await late.bind(ECHO, timeout=0.1)
            assert not call.done()
            assert not kept.done()
            assert not rpc.closed.is_set()
            loopback.server.thaw()
            assert await kept.reply() == b"held back"
            assert await call.reply() == b"late"

        run_with_server(test)

    def test_withdraw_ends_the_connections_of_one_address(self) -> None:
        async def test(loopback: Loopback) -> None:
            port = await loopback.server.start("127.0.0.2")
            stays = await loopback.bound()
            goes = await connect("127.0.0.2", port)
            await goes.bind(ECHO)
            await loopback.server.withdraw("127.0.0.2")
            assert await goes.wait_closed() == "reset"
            assert await stays.call(0, b"x").reply() == b"x"
            assert loopback.server.endpoints == ((HOST, loopback.port),)
            with pytest.raises(ConnectionLost):
                await connect("127.0.0.2", port)

        run_with_server(test)

    def test_the_last_fault_arrives_before_the_connection_ends(self) -> None:
        """Also if the client continues to write: the server does not reset the connection at once."""

        async def test(loopback: Loopback) -> None:
            rpc = await loopback.bound()
            call = rpc.expect(2)
            rpc.write(Request(call_id=2, frag_length=0xFFFF).pack())
            for _ in range(50):
                rpc.write(bytes(10_000))
            with pytest.raises(Fault, match="nca_s_proto_error"):
                await call.reply()
            assert await rpc.wait_closed() == "fin"
            assert [str(error) for _, error in loopback.server.violations] == [
                "frag_length: 65535 octets, at most 5840 are accepted (at octet 8)"
            ]

        run_with_server(test)

    def test_a_server_on_an_ipv6_address(self) -> None:
        async def test(loopback: Loopback) -> None:
            try:
                port = await loopback.server.start("::1")
            except OSError as error:
                pytest.skip(f"::1 is not available: {error}")
            rpc = await connect("::1", port)
            assert (await rpc.bind(ECHO)).secondary_address == str(port)
            assert await rpc.call(0, b"x").reply() == b"x"
            assert loopback.echo.seen[0].connection.peer[0] == "::1"

        run_with_server(test)

    def test_the_server_closes_after_a_half_close(self) -> None:
        async def test(loopback: Loopback) -> None:
            rpc = await loopback.bound()
            with pytest.raises(DeadlineExceeded, match="still open"):
                await rpc.wait_closed(0.01)
            rpc.half_close()
            assert await rpc.wait_closed() == "fin"
            with pytest.raises(ConnectionLost):
                rpc.write(b"x")

        run_with_server(test)

    def test_a_call_during_close_ends_with_connection_lost(self) -> None:
        async def test(loopback: Loopback) -> None:
            rpc = await loopback.bound()
            closing = asyncio.ensure_future(rpc.close())
            await asyncio.sleep(0)
            call = rpc.call(0, b"too late")
            with pytest.raises(ConnectionLost):
                await call.reply()
            await closing

        run_with_server(test)

    def test_connect_to_a_closed_port(self) -> None:
        async def run() -> None:
            with pytest.raises(ConnectionLost, match=r"127\.0\.0\.1 port 1: "):
                await connect(HOST, 1)

        asyncio.run(run())


class TestHold:
    """A client on hold notes when something arrives, and processes it later."""

    def test_octets_are_kept_until_release(self) -> None:
        async def test(loopback: Loopback) -> None:
            rpc = await loopback.bound()
            kept, answered = rpc.call(KEEP, b""), rpc.call(0, b"before")
            assert await answered.reply() == b"before"
            rpc.link.hold()
            assert rpc.link.arrived == []
            loopback.echo.kept[0].reply(b"kept")
            async with asyncio.timeout(5):
                await rpc.link.wait_for_arrival()
            assert not kept.done()
            rpc.link.release()
            assert await kept.reply() == b"kept"
            later = rpc.call(0, b"later")
            assert await later.reply() == b"later"
            assert len(rpc.link.arrived) == 1

        run_with_server(test)

    def test_the_end_of_the_connection_comes_after_what_arrived_before(self) -> None:
        async def test(loopback: Loopback) -> None:
            rpc = await loopback.bound()
            kept, lost = rpc.call(KEEP, b""), rpc.call(KEEP, b"")
            await loopback.echo.until(lambda: len(loopback.echo.kept) == 2)
            rpc.link.hold()
            loopback.echo.kept[0].reply(b"kept")
            await loopback.server.stop(reset=False)
            assert await rpc.wait_closed() == "fin"
            assert await kept.reply() == b"kept"
            with pytest.raises(ConnectionLost):
                await lost.reply()
            first, last = rpc.link.arrived[0], rpc.link.arrived[-1]
            assert first <= last

        run_with_server(test)
