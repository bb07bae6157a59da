"""The client over loopback sockets: raw octets, transcripts, unexpected PDUs, many connections."""

from __future__ import annotations

import asyncio
import resource

import pytest

from swn_torture.dcerpc.client.binding import propose
from swn_torture.dcerpc.errors import DeadlineExceeded, RemoteProtocolError
from swn_torture.dcerpc.pdu.header import rewrite
from swn_torture.dcerpc.pdu.pdus import FaultPdu, Request, Response, Shutdown
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.dcerpc.transcript import Transcript
from tests.dcerpc.loopback import USER, Loopback, run_with_server
from tests.dcerpc.rpc_pair import ECHO, KEEP


class TestClient:
    def test_octets_are_sent_in_segments_of_a_chosen_size(self) -> None:
        async def test(loopback: Loopback) -> None:
            rpc = await loopback.client()
            rpc.segment = 1
            await rpc.bind(ECHO, credentials=USER, level=AuthLevel.INTEGRITY)
            assert await rpc.call(0, b"one by one").reply() == b"one by one"

        run_with_server(test)

    def test_a_transcript_records_both_connections(self) -> None:
        async def test(loopback: Loopback) -> None:
            transcript = Transcript()
            rpc = await loopback.client(transcript=transcript)
            await rpc.bind(ECHO)
            await rpc.call(0, b"stub of this test").reply()
            await rpc.close()
            kinds = [entry.kind for entry in transcript]
            assert kinds == ["open", "sent", "received", "sent", "received", "fin"]
            assert b"stub of this test" in transcript.stream(1, "sent")
            assert b"stub of this test" in transcript.stream(1, "received")
            again = await loopback.client(transcript=transcript)
            (link,) = loopback.server.links
            link.reset()
            await again.wait_closed()
            assert [entry.kind for entry in transcript if entry.connection == 2] == ["open", "reset-by-peer"]

        run_with_server(test)

    def test_answers_to_raw_octets_are_unexpected_pdus(self) -> None:
        async def test(loopback: Loopback) -> None:
            rpc = await loopback.client()
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

        run_with_server(test)

    def test_an_orphaned_call_stays_outstanding(self) -> None:
        async def test(loopback: Loopback) -> None:
            rpc = await loopback.bound()
            call = rpc.call(KEEP, b"")
            rpc.orphan(call)
            assert await rpc.call(0, b"alive").reply() == b"alive"
            assert [orphaned for _, orphaned in loopback.echo.ended] == [True]
            assert not call.done()
            with pytest.raises(DeadlineExceeded, match=r"call 2 \(opnum 1\): no answer in 0\.01 s"):
                await call.reply(0.01)
            assert rpc.outstanding == (call,)

        run_with_server(test)

    def test_shutdown_is_unexpected_and_garbage_ends_the_calls(self) -> None:
        async def test(loopback: Loopback) -> None:
            rpc = await loopback.bound()
            (link,) = loopback.server.links
            link.core.send_shutdown()
            assert isinstance(await rpc.next_pdu(), Shutdown)
            call = rpc.call(KEEP, b"")
            link.core.send_raw(b"nonsense" * 4)
            with pytest.raises(RemoteProtocolError):
                await call.reply()

        run_with_server(test)

    def test_a_paused_client_gets_its_answer_after_resume(self) -> None:
        async def test(loopback: Loopback) -> None:
            rpc = await loopback.bound()
            rpc.pause()
            call = rpc.call(0, b"x")
            await loopback.echo.until(lambda: bool(loopback.echo.seen))
            assert not call.done()
            rpc.resume()
            assert await call.reply() == b"x"

        run_with_server(test)


def test_a_thousand_connections_with_a_pending_call_each() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2500:
        pytest.skip(f"only {hard} files can be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2500), hard))

    async def test(loopback: Loopback) -> None:
        clients = await asyncio.gather(*(loopback.bound() for _ in range(1000)))
        calls = [rpc.call(KEEP, b"") for rpc in clients]
        await loopback.echo.until(lambda: len(loopback.echo.kept) == 1000)
        assert len({kept.association.id for kept in loopback.echo.kept}) == 1000
        for kept in loopback.echo.kept:
            kept.reply(b"done")
        assert set(await asyncio.gather(*(call.reply() for call in calls))) == {b"done"}
        loopback.server.reset_all()
        assert {await rpc.wait_closed() for rpc in clients} == {"reset"}

    run_with_server(test)
