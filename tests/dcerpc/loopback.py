"""A server and its clients over loopback sockets, for tests."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from swn_torture.dcerpc.client.client import RpcClient, connect
from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.dcerpc.server.server import RpcServer, ServerOptions
from tests.dcerpc.rpc_pair import ECHO, Echo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from swn_torture.dcerpc.server.interface import Association, ConnectionInfo, ServerCall
    from swn_torture.dcerpc.transcript import Transcript

HOST = "127.0.0.1"
USER = Credentials("witness", "Passw0rd!", "SWNTEST")
ACCEPTOR = Acceptor({"witness": "Passw0rd!", "other": "other"}, "SWNTEST", "NODE1")


class ObservedEcho(Echo):
    """Notifies waiting tests of every call and of every end of a connection."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = asyncio.Condition()
        self.ended_connections: list[ConnectionInfo] = []

    def _notify(self) -> None:
        async def notify() -> None:
            async with self.changed:
                self.changed.notify_all()

        self.task = asyncio.get_running_loop().create_task(notify())

    def call(self, call: ServerCall) -> None:
        super().call(call)
        self._notify()

    def disconnected(self, connection: ConnectionInfo, association: Association) -> None:
        assert connection not in association.connections
        self.ended_connections.append(connection)
        self._notify()

    def rundown(self, association: Association) -> None:
        super().rundown(association)
        self._notify()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5), self.changed:
            await self.changed.wait_for(condition)


class Loopback:
    """A server on a loopback address, and its clients, in one event loop."""

    def __init__(self, options: ServerOptions | None = None) -> None:
        self.echo = ObservedEcho()
        self.server = RpcServer([self.echo], acceptor=ACCEPTOR, options=options)
        self.port = 0

    async def client(self, *, source: str | None = None, transcript: Transcript | None = None) -> RpcClient:
        return await connect(HOST, self.port, source=source, transcript=transcript)

    async def bound(self, **arguments: object) -> RpcClient:
        client = await self.client()
        await client.bind(ECHO, **arguments)  # type: ignore[arg-type]
        return client


@asynccontextmanager
async def _running(options: ServerOptions | None = None) -> AsyncIterator[Loopback]:
    loopback = Loopback(options)
    loopback.port = await loopback.server.start(HOST)
    try:
        yield loopback
    finally:
        await loopback.server.stop(reset=True)


def run_with_server(
    test: Callable[[Loopback], Awaitable[None]], options: ServerOptions | None = None
) -> None:
    """Run a test with a server of its own, for at most 30 seconds."""

    async def run() -> None:
        async with _running(options) as loopback:
            await asyncio.wait_for(test(loopback), 30)

    asyncio.run(run())
