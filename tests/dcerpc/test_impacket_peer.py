"""impacket's client at this server: another implementation of the same specifications."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.server.server import RpcServer
from tests.dcerpc.rpc_pair import ECHO, Echo

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("impacket")


@pytest.fixture
def port() -> Iterator[int]:
    """A server in a thread of its own, because impacket's client blocks."""
    ready, stop = threading.Event(), asyncio.Event()
    started: list[Any] = []

    async def serve() -> None:
        server = RpcServer([Echo()], acceptor=Acceptor({"witness": "Passw0rd!"}, "SWNTEST", "NODE1"))
        started.extend((await server.start("127.0.0.1"), asyncio.get_running_loop()))
        ready.set()
        await stop.wait()
        await server.stop(reset=True)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(5)
    yield started[0]
    started[1].call_soon_threadsafe(stop.set)
    thread.join(5)
    assert not thread.is_alive()


def client(port: int, level: int, password: str = "Passw0rd!") -> Any:
    from impacket.dcerpc.v5.transport import DCERPCTransportFactory

    transport = DCERPCTransportFactory(f"ncacn_ip_tcp:127.0.0.1[{port}]")
    transport.set_credentials("witness", password, "SWNTEST", "", "")
    rpc = transport.get_dce_rpc()
    if level > 1:
        rpc.set_auth_type(10)
        rpc.set_auth_level(level)
    rpc.connect()
    return rpc


# Without level packet: impacket sends no verifier there. Windows and Samba sign as at level integrity.
@pytest.mark.parametrize("level", [1, 2, 5, 6])
@pytest.mark.parametrize("ndr64", [False, True])
def test_impacket_calls_at_every_level_and_syntax(port: int, level: int, *, ndr64: bool) -> None:
    rpc = client(port, level)
    syntax = ("71710533-beba-4937-8319-b5dbef9ccc36", "1.0")
    arguments = {"transfer_syntax": syntax} if ndr64 else {}
    rpc.bind(ECHO.pack(), **arguments)
    for stub in (b"", b"hello", bytes(n & 0xFF for n in range(30_000))):
        rpc.call(0, stub)
        assert rpc.recv() == stub
    rpc.disconnect()


def test_impacket_sends_small_fragments(port: int) -> None:
    rpc = client(port, 5)
    rpc.set_max_fragment_size(100)
    rpc.bind(ECHO.pack())
    rpc.call(0, bytes(5000))
    assert rpc.recv() == bytes(5000)
    rpc.disconnect()


def test_impacket_gets_a_fault_for_an_unknown_opnum(port: int) -> None:
    from impacket.dcerpc.v5.rpcrt import DCERPCException

    rpc = client(port, 5)
    rpc.bind(ECHO.pack())
    rpc.call(9, b"")
    with pytest.raises(DCERPCException, match="nca_s_op_rng_error"):
        rpc.recv()
    rpc.disconnect()


def test_impacket_with_a_wrong_password_gets_access_denied(port: int) -> None:
    from impacket.dcerpc.v5.rpcrt import DCERPCException

    rpc = client(port, 5, "wrong")
    rpc.bind(ECHO.pack())
    rpc.call(0, b"x")
    with pytest.raises(DCERPCException, match="rpc_s_access_denied"):
        rpc.recv()
    rpc.disconnect()
