"""Both edges over loopback sockets: what the core alone cannot show."""

from __future__ import annotations

import asyncio
import resource
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from swn_torture.dcerpc.client.binding import propose
from swn_torture.dcerpc.client.client import RpcClient, connect
from swn_torture.dcerpc.errors import (
    BadSignature,
    BindRefused,
    ConnectionLost,
    ContextRefused,
    DeadlineExceeded,
    Fault,
    RemoteProtocolError,
)
from swn_torture.dcerpc.mgmt import MGMT
from swn_torture.dcerpc.pdu.header import rewrite
from swn_torture.dcerpc.pdu.pdus import FaultPdu, Request, Response, Shutdown
from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.dcerpc.server.server import RpcServer, ServerOptions
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.dcerpc.transcript import Transcript
from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId
from tests.dcerpc.rpc_pair import ECHO, KEEP, Echo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from swn_torture.dcerpc.server.interface import Association, ConnectionInfo, ServerCall

HOST = "127.0.0.1"
WITNESS = Credentials("witness", "Passw0rd!", "SWNTEST")
ACCEPTOR = Acceptor({"witness": "Passw0rd!", "other": "other"}, "SWNTEST", "NODE1")


class Watched(Echo):
    """Tells when something has happened, so that nobody has to wait longer than that."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = asyncio.Condition()
        self.gone: list[ConnectionInfo] = []

    def _tell(self) -> None:
        async def notify() -> None:
            async with self.changed:
                self.changed.notify_all()

        self.task = asyncio.get_running_loop().create_task(notify())

    def call(self, call: ServerCall) -> None:
        super().call(call)
        self._tell()

    def disconnected(self, connection: ConnectionInfo, association: Association) -> None:
        assert connection not in association.connections
        self.gone.append(connection)
        self._tell()

    def rundown(self, association: Association) -> None:
        super().rundown(association)
        self._tell()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5), self.changed:
            await self.changed.wait_for(condition)


class Scene:
    """A server and as many clients as wanted, in one event loop."""

    def __init__(self, options: ServerOptions | None = None) -> None:
        self.echo = Watched()
        self.server = RpcServer([self.echo], acceptor=ACCEPTOR, options=options)
        self.port = 0

    async def client(self, *, source: str | None = None, transcript: Transcript | None = None) -> RpcClient:
        return await connect(HOST, self.port, source=source, transcript=transcript)

    async def bound(self, **arguments: object) -> RpcClient:
        client = await self.client()
        await client.bind(ECHO, **arguments)  # type: ignore[arg-type]
        return client


@asynccontextmanager
async def scene(options: ServerOptions | None = None) -> AsyncIterator[Scene]:
    stage = Scene(options)
    stage.port = await stage.server.start(HOST)
    try:
        yield stage
    finally:
        await stage.server.stop(reset=True)


def play(act: Callable[[Scene], Awaitable[None]], options: ServerOptions | None = None) -> None:
    """Run one test on a scene of its own."""

    async def run() -> None:
        async with scene(options) as stage:
            await asyncio.wait_for(act(stage), 30)

    asyncio.run(run())


@pytest.mark.parametrize("auth_type", [AuthType.NTLM, AuthType.SPNEGO])
@pytest.mark.parametrize("level", [AuthLevel.CONNECT, AuthLevel.PKT, AuthLevel.INTEGRITY, AuthLevel.PRIVACY])
@pytest.mark.parametrize("transfer", [NDR32, NDR64])
def test_real_security(auth_type: int, level: int, transfer: SyntaxId) -> None:
    """Fragments both ways, pending calls answered out of order, a cancel: every signature verifies."""

    async def act(stage: Scene) -> None:
        rpc = await stage.client()
        result = await rpc.bind(
            ECHO, transfer=(transfer,), auth_type=auth_type, level=level, credentials=WITNESS
        )
        assert result.accepted == {0: transfer}
        assert result.features == 3
        assert result.secondary_address == str(stage.port)
        first, second = rpc.call(KEEP, b"1"), rpc.call(KEEP, b"2")
        big = bytes(n & 0xFF for n in range(20_000))
        answered = rpc.call(0, big)
        assert await answered.reply() == big
        assert answered.response_meta is not None
        assert answered.response_meta.fragments == 4
        if level > AuthLevel.CONNECT:
            assert answered.response_meta.level == level
        stage.echo.kept[1].reply(b"second")
        assert await second.reply() == b"second"
        assert not first.done()
        rpc.cancel(first)
        with pytest.raises(Fault) as caught:
            await first.reply()
        assert caught.value.status == FaultStatus.NCA_S_FAULT_CANCEL
        assert await rpc.call(0, b"alive").reply() == b"alive"
        assert {call.caller.principal for call in stage.echo.seen} == {"SWNTEST\\witness"}
        await rpc.close()

    play(act)


class TestSecurity:
    def test_a_wrong_password(self) -> None:
        async def act(stage: Scene) -> None:
            rpc = await stage.bound(level=AuthLevel.INTEGRITY, credentials=Credentials("witness", "wrong"))
            with pytest.raises(Fault, match="ERROR_ACCESS_DENIED"):
                await rpc.call(0, b"").reply()
            rpc = await stage.client()
            with pytest.raises(Fault, match="ERROR_ACCESS_DENIED"):
                await rpc.bind(
                    ECHO,
                    auth_type=AuthType.SPNEGO,
                    level=AuthLevel.INTEGRITY,
                    credentials=Credentials("witness", "wrong"),
                )
            assert stage.echo.seen == []

        play(act)

    def test_two_users_on_one_connection(self) -> None:
        async def act(stage: Scene) -> None:
            rpc = await stage.bound(level=AuthLevel.INTEGRITY, credentials=WITNESS)
            other = await rpc.alter_context(
                level=AuthLevel.PRIVACY, credentials=Credentials("other", "other"), auth_type=AuthType.SPNEGO
            )
            assert other.security is not None
            for security in (1, other.security.id, 1, other.security.id):
                assert await rpc.call(0, b"hello", security=security).reply() == b"hello"
            users = [call.caller.principal for call in stage.echo.seen]
            assert users == ["SWNTEST\\witness", "SWNTEST\\other"] * 2

        play(act)

    def test_replayed_and_reordered_requests_are_not_executed(self) -> None:
        async def act(stage: Scene) -> None:
            for order in ((0, 0), (1, 0)):
                rpc = await stage.bound(level=AuthLevel.INTEGRITY, credentials=WITNESS)
                requests = [rpc.core.request(0, b"x", call_id=50) for _ in range(2)]
                call = rpc.expect(50)
                for index in order:
                    rpc.write(requests[index][1][0])
                if order == (0, 0):
                    assert await call.reply() == b"x"
                    assert await rpc.next_pdu() is not None
                else:
                    with pytest.raises(Fault, match=r"RPC_S_SEC_PKG_ERROR \(0x00000721\)"):
                        await call.reply()
                assert await rpc.wait_closed() == "fin"
            assert len(stage.echo.seen) == 1

        play(act)

    def test_a_forged_response_is_noticed(self) -> None:
        async def act(stage: Scene) -> None:
            rpc = await stage.bound(level=AuthLevel.INTEGRITY, credentials=WITNESS)
            call = rpc.call(KEEP, b"")
            await stage.echo.until(lambda: bool(stage.echo.kept))
            (link,) = stage.server.links
            (entry,) = link.core.security.values()
            (octets,) = link.core.response(stage.echo.kept[0], b"true", entry)
            link.core.send_raw(octets.replace(b"true", b"lies"))
            with pytest.raises(BadSignature):
                await call.reply()
            with pytest.raises(BadSignature):
                await rpc.call(0, b"").reply()

        play(act)


class TestBinding:
    def test_refusals_are_errors_with_reasons(self) -> None:
        async def act(stage: Scene) -> None:
            rpc = await stage.client()
            with pytest.raises(ContextRefused, match="abstract_syntax_not_supported") as context:
                await rpc.bind(NDR32)
            assert context.value.results[0] == (2, 1)
            rpc = await stage.client()
            entry = rpc.core.add_security(99, 5, ACCEPTOR.new(AuthType.NTLM))
            bind = entry.leg(rpc.core.bind(propose(ECHO)), b"token")
            with pytest.raises(BindRefused, match=r"authentication_type_not_recognized \(8\)") as nak:
                await rpc.exchange(bind)
            assert nak.value.versions == ((5, 0),)
            assert await rpc.wait_closed() == "fin"

        play(act)

    def test_explicit_contexts_are_the_callers_to_judge(self) -> None:
        async def act(stage: Scene) -> None:
            rpc = await stage.client()
            result = await rpc.bind(propose(NDR32, features=None))
            assert result.accepted == {}
            assert result.features is None
            more = await rpc.alter_context(ECHO, transfer=(NDR32, NDR64))
            assert more.accepted == {1: NDR64}
            assert await rpc.call(0, b"x", context_id=1).reply() == b"x"

        play(act)

    def test_management_is_always_there(self) -> None:
        async def act(stage: Scene) -> None:
            rpc = await stage.client()
            assert (await rpc.bind(MGMT)).accepted == {0: NDR32}

        play(act)


class TestAssociations:
    def test_rundown_with_the_last_connection(self) -> None:
        async def act(stage: Scene) -> None:
            first = await stage.client()
            group = (await first.bind(ECHO)).assoc_group
            second = await stage.client()
            assert (await second.bind(ECHO, assoc_group=group)).assoc_group == group
            await first.close()
            await stage.echo.until(lambda: len(stage.echo.gone) == 1)
            assert stage.echo.run_down == []
            await second.close(abort=True)
            await stage.echo.until(lambda: len(stage.echo.run_down) == 1)
            assert stage.echo.run_down[0].id == group
            assert len(stage.server.associations) == 0
            third = await stage.client()
            with pytest.raises(BindRefused):
                await third.bind(ECHO, assoc_group=group)

        play(act)

    def test_only_from_the_same_address(self) -> None:
        async def act(stage: Scene) -> None:
            first = await stage.client()
            group = (await first.bind(ECHO)).assoc_group
            other = await stage.client(source="127.0.0.77")
            assert other.local[0] == "127.0.0.77"
            with pytest.raises(BindRefused):
                await other.bind(ECHO, assoc_group=group)

        play(act)

    def test_pending_calls_of_a_lost_connection_are_given_up(self) -> None:
        async def act(stage: Scene) -> None:
            rpc = await stage.bound()
            call = rpc.call(KEEP, b"")
            await stage.echo.until(lambda: bool(stage.echo.kept))
            await rpc.close(abort=True)
            with pytest.raises(ConnectionLost):
                await call.reply()
            await stage.echo.until(lambda: bool(stage.echo.run_down))
            assert stage.echo.ended == [(stage.echo.kept[0], True)]
            stage.echo.kept[0].reply(b"for nobody")

        play(act)


class TestEnds:
    @pytest.mark.parametrize("reset", [False, True])
    def test_how_the_server_went(self, *, reset: bool) -> None:
        async def act(stage: Scene) -> None:
            rpc = await stage.bound()
            call = rpc.call(KEEP, b"")
            await stage.echo.until(lambda: bool(stage.echo.kept))
            await stage.server.stop(reset=reset)
            with pytest.raises(ConnectionLost) as lost:
                await call.reply()
            assert lost.value.reset is reset
            assert await rpc.wait_closed() == ("reset" if reset else "fin")
            assert rpc.closed_at is not None
            with pytest.raises(ConnectionLost):
                await rpc.next_pdu()
            with pytest.raises(ConnectionLost):
                await stage.client()

        play(act)

    def test_a_frozen_server_is_silent_and_a_thawed_one_goes_on(self) -> None:
        async def act(stage: Scene) -> None:
            rpc = await stage.bound()
            kept = rpc.call(KEEP, b"")
            await stage.echo.until(lambda: bool(stage.echo.kept))
            stage.server.freeze()
            stage.echo.kept[0].reply(b"held back")
            call = rpc.call(0, b"late")
            late = await stage.client()  # the kernel answers for the server
            with pytest.raises(DeadlineExceeded):
                await late.bind(ECHO, timeout=0.1)
            assert not call.done()
            assert not kept.done()
            assert not rpc.closed.is_set()
            stage.server.thaw()
            assert await kept.reply() == b"held back"
            assert await call.reply() == b"late"

        play(act)

    def test_an_address_that_moves_away(self) -> None:
        async def act(stage: Scene) -> None:
            port = await stage.server.start("127.0.0.2")
            stays = await stage.bound()
            goes = await connect("127.0.0.2", port)
            await goes.bind(ECHO)
            await stage.server.withdraw("127.0.0.2")
            assert await goes.wait_closed() == "reset"
            assert await stays.call(0, b"x").reply() == b"x"
            assert stage.server.endpoints == ((HOST, stage.port),)
            with pytest.raises(ConnectionLost):
                await connect("127.0.0.2", port)

        play(act)

    def test_the_fault_behind_which_the_server_closes_arrives(self) -> None:
        """Even if the client goes on writing: the server lingers instead of resetting."""

        async def act(stage: Scene) -> None:
            rpc = await stage.bound()
            call = rpc.expect(2)
            rpc.write(Request(call_id=2, frag_length=0xFFFF).pack())
            for _ in range(50):
                rpc.write(bytes(10_000))
            with pytest.raises(Fault, match="nca_s_proto_error"):
                await call.reply()
            assert await rpc.wait_closed() == "fin"
            assert [str(error) for _, error in stage.server.violations] == [
                "frag_length: 65535 octets, at most 5840 are taken (at octet 8)"
            ]

        play(act)

    def test_ipv6(self) -> None:
        async def act(stage: Scene) -> None:
            try:
                port = await stage.server.start("::1")
            except OSError as error:
                pytest.skip(f"no ::1 here: {error}")
            rpc = await connect("::1", port)
            assert (await rpc.bind(ECHO)).secondary_address == str(port)
            assert await rpc.call(0, b"x").reply() == b"x"
            assert stage.echo.seen[0].connection.peer[0] == "::1"

        play(act)

    def test_a_client_that_says_it_will_send_no_more(self) -> None:
        async def act(stage: Scene) -> None:
            rpc = await stage.bound()
            with pytest.raises(DeadlineExceeded, match="still open"):
                await rpc.wait_closed(0.01)
            rpc.half_close()
            assert await rpc.wait_closed() == "fin"
            with pytest.raises(ConnectionLost):
                rpc.write(b"x")

        play(act)

    def test_a_call_on_a_connection_that_is_going_ends_with_it(self) -> None:
        async def act(stage: Scene) -> None:
            rpc = await stage.bound()
            closing = asyncio.ensure_future(rpc.close())
            await asyncio.sleep(0)
            call = rpc.call(0, b"too late")
            with pytest.raises(ConnectionLost):
                await call.reply()
            await closing

        play(act)

    def test_nobody_there(self) -> None:
        async def run() -> None:
            with pytest.raises(ConnectionLost, match=r"127\.0\.0\.1 port 1: "):
                await connect(HOST, 1)

        asyncio.run(run())


class TestTheInstrument:
    def test_octets_in_segments_of_a_chosen_size(self) -> None:
        async def act(stage: Scene) -> None:
            rpc = await stage.client()
            rpc.segment = 1
            await rpc.bind(ECHO, credentials=WITNESS, level=AuthLevel.INTEGRITY)
            assert await rpc.call(0, b"one by one").reply() == b"one by one"

        play(act)

    def test_transcripts(self) -> None:
        async def act(stage: Scene) -> None:
            transcript = Transcript()
            rpc = await stage.client(transcript=transcript)
            await rpc.bind(ECHO)
            await rpc.call(0, b"octets of mine").reply()
            await rpc.close()
            kinds = [entry.kind for entry in transcript]
            assert kinds == ["open", "sent", "received", "sent", "received", "fin"]
            assert b"octets of mine" in transcript.stream(1, "sent")
            assert b"octets of mine" in transcript.stream(1, "received")
            again = await stage.client(transcript=transcript)
            (link,) = stage.server.links
            link.reset()
            await again.wait_closed()
            assert [entry.kind for entry in transcript if entry.connection == 2] == ["open", "reset-by-peer"]

        play(act)

    def test_raw_octets_and_what_comes_of_them(self) -> None:
        async def act(stage: Scene) -> None:
            rpc = await stage.client()
            rpc.write(rpc.core.bind(propose(ECHO)).pack())
            ack = await rpc.next_pdu()
            assert ack.ptype.name == "BIND_ACK"
            for octet in Request(call_id=9, stub=b"slow").pack():
                rpc.write(bytes([octet]))
            answer = await rpc.next_pdu()
            assert isinstance(answer, Response)
            assert answer.stub == b"slow"
            rpc.write(rewrite(Request(call_id=10).pack(), context_id=77))
            fault = await rpc.next_pdu()
            assert isinstance(fault, FaultPdu)
            assert fault.status == FaultStatus.NCA_S_UNK_IF
            with pytest.raises(DeadlineExceeded, match=r"no PDU in 0\.05 s"):
                await rpc.next_pdu(0.05)

        play(act)

    def test_orphans(self) -> None:
        async def act(stage: Scene) -> None:
            rpc = await stage.bound()
            call = rpc.call(KEEP, b"")
            rpc.orphan(call)
            assert await rpc.call(0, b"alive").reply() == b"alive"
            assert [orphaned for _, orphaned in stage.echo.ended] == [True]
            assert not call.done()
            with pytest.raises(DeadlineExceeded, match=r"call 2 \(opnum 1\): nothing in 0\.01 s"):
                await call.reply(0.01)
            assert rpc.outstanding == (call,)

        play(act)

    def test_a_server_that_asks_to_leave_and_one_that_talks_nonsense(self) -> None:
        async def act(stage: Scene) -> None:
            rpc = await stage.bound()
            (link,) = stage.server.links
            link.core.send_shutdown()
            assert isinstance(await rpc.next_pdu(), Shutdown)
            call = rpc.call(KEEP, b"")
            link.core.send_raw(b"nonsense" * 4)
            with pytest.raises(RemoteProtocolError):
                await call.reply()

        play(act)

    def test_a_silent_client(self) -> None:
        async def act(stage: Scene) -> None:
            rpc = await stage.bound()
            rpc.pause()
            call = rpc.call(0, b"x")
            await stage.echo.until(lambda: bool(stage.echo.seen))
            assert not call.done()
            rpc.resume()
            assert await call.reply() == b"x"

        play(act)


def test_a_thousand_connections_with_a_pending_call_each() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2500:
        pytest.skip(f"only {hard} files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2500), hard))

    async def act(stage: Scene) -> None:
        clients = await asyncio.gather(*(stage.bound() for _ in range(1000)))
        calls = [rpc.call(KEEP, b"") for rpc in clients]
        await stage.echo.until(lambda: len(stage.echo.kept) == 1000)
        assert len({kept.association.id for kept in stage.echo.kept}) == 1000
        for kept in stage.echo.kept:
            kept.reply(b"news")
        assert set(await asyncio.gather(*(call.reply() for call in calls))) == {b"news"}
        stage.server.reset_all()
        assert {await rpc.wait_closed() for rpc in clients} == {"reset"}

    play(act)
