"""The witness client with a scripted server, over the real transport on a loopback address."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from swn_torture.dcerpc.client.binding import BindResult
from swn_torture.dcerpc.epm.endpoint_mapper import EndpointEntry, EndpointMapper, NotRegistered
from swn_torture.dcerpc.errors import (
    ConnectionLost,
    ContextRefused,
    DeadlineExceeded,
    Fault,
    RemoteProtocolError,
)
from swn_torture.dcerpc.pdu.bind import PresentationContext
from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.dcerpc.server.interface import ServerInterface
from swn_torture.dcerpc.server.server import RpcServer, ServerOptions
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.dcerpc.transcript import Transcript
from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.client import WitnessClient, connect
from swn_torture.witness.codec import DecodeError, decode_request, encode
from swn_torture.witness.constants import DEFAULT_KEEP_ALIVE, WITNESS, ProtocolVersion
from swn_torture.witness.messages import (
    NULL_HANDLE,
    AsyncNotifyRequest,
    AsyncNotifyResponse,
    GetInterfaceListRequest,
    GetInterfaceListResponse,
    InterfaceList,
    RegisterExRequest,
    RegisterExResponse,
    RegisterRequest,
    RegisterResponse,
    RespAsyncNotify,
    UnRegisterExRequest,
    UnRegisterExResponse,
    UnRegisterRequest,
    UnRegisterResponse,
)
from swn_torture.witness.notifications import ResourceChange
from tests.witness.witness_samples import HANDLE, SYNTAXES, interfaces

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.witness.messages import AnyRequest, AnyResponse

USER = Credentials("witness", "Passw0rd!", "SWNTEST")

LISTED = GetInterfaceListResponse(InterfaceList(interfaces(3)), 0)

ANSWERS: dict[type, AnyResponse] = {
    GetInterfaceListRequest: LISTED,
    RegisterRequest: RegisterResponse(HANDLE, 0),
    RegisterExRequest: RegisterExResponse(HANDLE, 0),
    UnRegisterRequest: UnRegisterResponse(Win32.ERROR_NOT_FOUND),
    UnRegisterExRequest: UnRegisterExResponse(NULL_HANDLE, 0),
}


@dataclass
class Script(ServerInterface):
    """A witness service that answers from a table and leaves AsyncNotify pending."""

    syntax: SyntaxId = WITNESS
    transfer_syntaxes: tuple[SyntaxId, ...] = (NDR32, NDR64)
    requests: list[AnyRequest] = field(default_factory=list)
    stubs: list[bytes] = field(default_factory=list)
    pending: asyncio.Queue[ServerCall] = field(default_factory=asyncio.Queue)
    ended: asyncio.Queue[tuple[ServerCall, bool]] = field(default_factory=asyncio.Queue)
    octets: bytes | None = None
    byte_order: str = "little"

    def call(self, call: ServerCall) -> None:
        self.stubs.append(call.stub)
        try:
            request = decode_request(call.opnum, call.stub, call.syntax, byte_order=call.byte_order)
        except DecodeError:
            call.fault(FaultStatus.RPC_X_BAD_STUB_DATA)
            return
        self.requests.append(request)
        if isinstance(request, AsyncNotifyRequest):
            self.pending.put_nowait(call)
        elif self.octets is not None:
            call.reply(self.octets)
        else:
            order = call.byte_order if self.byte_order == "caller" else "little"
            call.reply(encode(ANSWERS[type(request)], call.syntax, byte_order=order))

    def cancelled(self, call: ServerCall, *, orphaned: bool) -> None:
        self.ended.put_nowait((call, orphaned))


@asynccontextmanager
async def serving(script: Script, **options: Any) -> AsyncIterator[tuple[RpcServer, int, int]]:
    """Run a server of the script and an endpoint mapper; yield the server, its port, the mapper's port."""
    server = RpcServer(
        [script], acceptor=Acceptor({"witness": "Passw0rd!"}), options=ServerOptions(**options)
    )
    port = await server.start("127.0.0.1", 0)
    mapper = RpcServer([EndpointMapper([EndpointEntry(WITNESS, port)])])
    mapper_port = await mapper.start("127.0.0.1", 0)
    try:
        yield server, port, mapper_port
    finally:
        await server.stop()
        await mapper.stop()


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(10):
            await scenario()

    asyncio.run(limited())


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
@pytest.mark.parametrize("auth_type", [AuthType.NTLM, AuthType.SPNEGO], ids=lambda kind: kind.name)
@pytest.mark.parametrize("level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY], ids=lambda level: level.name)
def test_every_method_at_integrity_and_privacy(
    syntax: SyntaxId, auth_type: AuthType, level: AuthLevel
) -> None:
    async def scenario() -> None:
        script = Script()
        async with serving(script) as (_, _, mapper_port):
            client = await connect(
                "127.0.0.1",
                epm_port=mapper_port,
                syntax=syntax,
                credentials=USER,
                auth_type=auth_type,
                level=level,
                net_name="SWNCLUSTER",
            )
            async with client:
                assert await client.get_interface_list() == LISTED
                registered = await client.register(
                    net_name="SWNCLUSTER", ip_address="198.51.100.10", client_computer_name="C1"
                )
                assert registered == RegisterResponse(HANDLE, 0)
                registered_ex = await client.register_ex(
                    net_name="SWNCLUSTER",
                    ip_address="198.51.100.10",
                    client_computer_name="C1",
                    share_name="SHARE",
                    flags=1,
                )
                assert registered_ex == RegisterExResponse(HANDLE, 0)
                assert await client.unregister(HANDLE) == UnRegisterResponse(0x490)
                assert await client.unregister_ex(HANDLE) == UnRegisterExResponse(NULL_HANDLE, 0)
        assert script.requests == [
            GetInterfaceListRequest(),
            RegisterRequest(ProtocolVersion.V1, "SWNCLUSTER", "198.51.100.10", "C1"),
            RegisterExRequest(
                ProtocolVersion.V2, "SWNCLUSTER", "SHARE", "198.51.100.10", "C1", 1, DEFAULT_KEEP_ALIVE
            ),
            UnRegisterRequest(HANDLE),
            UnRegisterExRequest(HANDLE),
        ]

    run(scenario)


def test_other_calls_work_while_async_notify_is_pending() -> None:
    async def scenario() -> None:
        script = Script()
        async with serving(script) as (_, port, _), await connect("127.0.0.1", port) as client:
            call = client.async_notify(HANDLE)
            other = client.async_notify(HANDLE)
            first, second = await script.pending.get(), await script.pending.get()
            assert await client.get_interface_list() == LISTED
            assert not call.done()
            with pytest.raises(DeadlineExceeded):
                await call.reply(timeout=0.01)
            notification = AsyncNotifyResponse(RespAsyncNotify.of(ResourceChange(0xFF, "NODE1")), 0)
            second.reply(encode(AsyncNotifyResponse(None, Win32.ERROR_TIMEOUT), NDR32))
            first.reply(encode(notification, NDR32))
            assert await call.reply() == notification
            assert call.done()
            assert call.request == AsyncNotifyRequest(HANDLE)
            assert await other.reply() == AsyncNotifyResponse(None, 0x5B4)
            assert await call.stub() == encode(notification, NDR32), "the stub data can be read again"

    run(scenario)


def test_cancel_and_orphan_a_pending_async_notify() -> None:
    async def scenario() -> None:
        script = Script()
        async with serving(script) as (_, port, _), await connect("127.0.0.1", port) as client:
            call = client.async_notify(HANDLE)
            pending = await script.pending.get()
            call.cancel()
            assert await script.ended.get() == (pending, False)
            pending.fault(FaultStatus.NCA_S_FAULT_CANCEL)
            with pytest.raises(Fault) as caught:
                await call.reply()
            assert caught.value.status == FaultStatus.NCA_S_FAULT_CANCEL
            orphan = client.async_notify(HANDLE)
            pending = await script.pending.get()
            orphan.orphan()
            assert await script.ended.get() == (pending, True)
            assert await client.get_interface_list() == LISTED

    run(scenario)


def test_wrong_fields_are_sent_as_given() -> None:
    async def scenario() -> None:
        script = Script()
        transcript = Transcript()
        async with serving(script) as (_, port, _):
            client = await connect("127.0.0.1", port, syntax=NDR64, transcript=transcript)
            async with client:
                message = RegisterRequest(1, "SWNCLUSTER", None, "C")
                with pytest.raises(Fault) as caught:
                    await client.send(message, wrong={"NetName.terminator": "!"})
                assert caught.value.status == FaultStatus.RPC_X_BAD_STUB_DATA
                assert script.stubs == [encode(message, NDR64, wrong={"NetName.terminator": "!"})]
                assert await client.send(message) == RegisterResponse(HANDLE, 0), "the connection is open"
        assert any(script.stubs[0] in entry.data for entry in transcript)

    run(scenario)


@pytest.mark.parametrize("answer_in", ["little", "caller"])
def test_big_endian_requests(answer_in: str) -> None:
    """The server chooses the byte order of an answer; the client reads it from the PDU."""

    async def scenario() -> None:
        script = Script(byte_order=answer_in)
        async with (
            serving(script, reply_byte_order=answer_in) as (_, port, _),
            await connect("127.0.0.1", port, credentials=USER) as client,
        ):
            call = client.start(GetInterfaceListRequest(), byte_order="big")
            assert await call.reply() == LISTED
            assert call.call.response_meta is not None
            assert call.call.response_meta.byte_order == ("big" if answer_in == "caller" else "little")
            registration = RegisterRequest(0x00010001, "A", "B", "C")
            await client.send(registration, byte_order="big")
            assert script.requests[1] == registration

    run(scenario)


def test_time_of_a_call_is_taken_before_it_is_sent() -> None:
    """So that a wait is never measured too short, however late the machine comes to it."""
    sent: list[float] = []
    rpc = SimpleNamespace(call=lambda *_, **__: sent.append(time.monotonic()))

    call = WitnessClient(cast("Any", rpc)).start(GetInterfaceListRequest())

    assert call.began <= sent[0]


def test_a_malformed_response_raises_decode_error() -> None:
    async def scenario() -> None:
        script = Script(octets=bytes(5))
        async with serving(script) as (_, port, _), await connect("127.0.0.1", port) as client:
            with pytest.raises(DecodeError, match="trailing at offset 4"):
                await client.unregister(HANDLE)

    run(scenario)


def test_a_reset_connection_ends_a_pending_async_notify() -> None:
    async def scenario() -> None:
        script = Script()
        async with serving(script) as (server, port, _), await connect("127.0.0.1", port) as client:
            call = client.async_notify(HANDLE)
            await script.pending.get()
            server.reset_all()
            with pytest.raises(ConnectionLost) as caught:
                await call.reply()
            assert caught.value.reset

    run(scenario)


def test_connect_without_the_syntax_or_the_registration() -> None:
    async def scenario() -> None:
        script = Script(transfer_syntaxes=(NDR32,))
        async with serving(script) as (server, port, mapper_port):
            with pytest.raises(ContextRefused):
                await connect("127.0.0.1", port, syntax=NDR64)
            with pytest.raises(NotRegistered):
                await connect("127.0.0.1", epm_port=await empty_mapper(server))
            async with await connect("127.0.0.1", epm_port=mapper_port) as client:
                assert await client.get_interface_list() == LISTED

    async def empty_mapper(server: RpcServer) -> int:
        server.interfaces.append(EndpointMapper([]))
        return server.endpoints[0][1]

    run(scenario)


def test_a_server_that_accepts_another_transfer_syntax(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with serving(Script()) as (server, port, _):
            monkeypatch.setattr(BindResult, "accepted", {0: NDR64})
            with pytest.raises(RemoteProtocolError, match=r"not in .* the only transfer syntax offered"):
                await connect("127.0.0.1", port)
            monkeypatch.undo()
            async with await connect("127.0.0.1", port):
                assert len(server.links) == 1, "the refused connection is closed"

    run(scenario)


def test_two_clients_on_one_connection() -> None:
    """Each presentation context of a connection can have a client."""

    async def scenario() -> None:
        script = Script()
        async with serving(script) as (_, port, _), await connect("127.0.0.1", port) as client:
            await client.rpc.alter_context([PresentationContext(7, WITNESS, (NDR64,))])
            second = WitnessClient(client.rpc, NDR64, 7)
            assert await second.get_interface_list() == LISTED
            assert await client.get_interface_list() == LISTED

    run(scenario)
