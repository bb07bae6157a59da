"""No server can fill the memory of a client, or make a call last longer than its deadline."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from swn_torture.dcerpc.client import bounds
from swn_torture.dcerpc.client.client import connect as connect_rpc
from swn_torture.dcerpc.errors import AuthenticationError, DeadlineExceeded, RemoteProtocolError
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.dcerpc.transcript import Transcript
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.witness.client import connect
from tests.dcerpc.rpc_pair import ECHO, FakeSecurity
from tests.dcerpc.test_client_edge import ACK, connected
from tests.hostile.servers import (
    DribblingLink,
    EmptyFragments,
    GarbageLink,
    ResponsesToNoCall,
    StreamingLink,
    hostile,
)

if TYPE_CHECKING:
    from swn_torture.dcerpc.server.server import ServerLink

_LONGEST = 60.0
"""Seconds until a test fails. A call ends at its own deadline at the latest."""


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        (StreamingLink, f"a response (of more than {bounds.MAX_RESPONSE} octets|in more than)"),
        (EmptyFragments, f"a response in more than {bounds.MAX_FRAGMENTS} fragments"),
        (ResponsesToNoCall, f"more than {bounds.MAX_UNEXPECTED} PDUs that answer nothing|with call_id"),
        (GarbageLink, "."),
    ],
    ids=["endless", "empty", "no-call", "garbage"],
)
def test_a_flood_ends_the_call_with_an_error(link: type[ServerLink], problem: str) -> None:
    transcript = Transcript()

    async def scenario(address: str, port: int, name: str) -> None:
        async with asyncio.timeout(_LONGEST):
            client = await connect(
                address,
                port,
                credentials=Credentials("witness", "Passw0rd!", "SWNTEST"),
                level=AuthLevel.INTEGRITY,
                transcript=transcript,
            )
            with pytest.raises(RemoteProtocolError, match=problem):
                await client.register_ex(
                    net_name=name, ip_address=address, client_computer_name="X", timeout=_LONGEST
                )
            await client.close()

    with EmbeddedCluster(ClusterConfig.from_mapping({"nodes": 1}), hostile(link)) as cluster:
        asyncio.run(scenario(cluster.nodes[0].address, cluster.nodes[0].port, cluster.config.net_name))
    assert sum(len(entry.data) for entry in transcript) <= bounds.MAX_RECORDED


def test_the_deadline_of_a_call_does_not_start_again_with_each_octet() -> None:
    async def scenario(address: str, port: int, name: str) -> None:
        async with asyncio.timeout(_LONGEST):
            client = await connect(
                address,
                port,
                credentials=Credentials("witness", "Passw0rd!", "SWNTEST"),
                level=AuthLevel.INTEGRITY,
            )
            with pytest.raises(DeadlineExceeded, match=r"no answer in 0\.5 s"):
                await client.register_ex(
                    net_name=name, ip_address=address, client_computer_name="X", timeout=0.5
                )
            await client.close()

    with EmbeddedCluster(ClusterConfig.from_mapping({"nodes": 1}), hostile(DribblingLink)) as cluster:
        asyncio.run(scenario(cluster.nodes[0].address, cluster.nodes[0].port, cluster.config.net_name))


class OneMoreLeg(FakeSecurity):
    """A security context that is never complete."""

    def step(self, token: bytes) -> bytes:
        del token
        return b"more"


def test_an_authentication_without_end_is_an_error() -> None:
    from dataclasses import replace

    from swn_torture.dcerpc.pdu.bind import AlterContextResp
    from swn_torture.dcerpc.pdu.framing import Framer
    from swn_torture.dcerpc.pdu.header import SecTrailer

    async def scenario() -> None:
        async with connected() as (rpc, peer):

            async def answer() -> None:
                framer, legs = Framer(lambda _: 0xFFFF), 0
                while octets := await peer.reader.read(65536):
                    framer.receive_data(octets)
                    while received := framer.next_pdu():
                        header, _ = received
                        kind = ACK if not legs else AlterContextResp(call_id=0, results=ACK.results[:1])
                        legs += 1
                        trailer = SecTrailer(10, 5, 0, 1)
                        pdu = replace(kind, call_id=header.call_id, trailer=trailer, auth_value=b"more")
                        peer.writer.write(replace(pdu, padding=bytes(-len(pdu.pack()) % 4)).pack())

            answering = asyncio.get_running_loop().create_task(answer())
            with pytest.raises(AuthenticationError, match=f"not complete after {bounds.MAX_LEGS} legs"):
                await rpc.bind(ECHO, level=AuthLevel.INTEGRITY, context=OneMoreLeg(accepting=False))
            answering.cancel()

    asyncio.run(scenario())


def test_octets_after_an_error_are_not_kept_without_end() -> None:
    transcript = Transcript()

    async def scenario() -> None:
        ended = asyncio.Event()

        async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            del reader
            for _ in range(200):
                writer.write(bytes(100_000))
                await writer.drain()
            writer.close()
            ended.set()

        async with (
            asyncio.timeout(_LONGEST),
            await asyncio.start_server(flood, "127.0.0.1", 0) as server,
        ):
            rpc = await connect_rpc(*server.sockets[0].getsockname()[:2], transcript=transcript)
            await ended.wait()
            await rpc.wait_closed()

    asyncio.run(scenario())
    # One read of asyncio has up to 256 KiB. The first one has the error.
    assert sum(len(entry.data) for entry in transcript) <= bounds.RECORDED_AFTER_ERROR + (1 << 18)
