# ruff: noqa: INP001 - a script, not a package
"""Benchmark: how fast a server answers, and another one beside it in the same run.

Starts a reference cluster in a separate process. One client program measures it, and the target of `--beside`
(for example a Samba lab), in turns, with connections protected at integrity:

* GetInterfaceList, one call after the other on one connection;
* RegisterEx, 32 calls at a time on one connection;
* connect, logon and RegisterEx, 32 connections at a time.

    python bench/calls.py [--beside PROFILE] [--rounds 3]

Prints the best round of each, and the ratio. The first two are measured twice: as a client sees them, with
the time that it takes itself, and with requests that are encoded and signed before the clock starts, and
responses that are verified and decoded after it has stopped. The second is the server alone. A logon needs
the server's challenge, so its figure always includes the client, which takes about as much processor time as
the reference. Nothing is judged: the exit code is 0 unless a call fails.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from swn_torture.dcerpc.client.events import Answered
from swn_torture.dcerpc.epm.endpoint_mapper import ept_map
from swn_torture.dcerpc.pdu.header import LAST
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.lab.namespaces import enter_network
from swn_torture.target import load_profile
from swn_torture.witness.client import connect
from swn_torture.witness.codec import decode_response, encode
from swn_torture.witness.constants import WITNESS, InterfaceFlags, ProtocolVersion, RegisterFlags
from swn_torture.witness.messages import GetInterfaceListRequest, RegisterExRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.target import Profile
    from swn_torture.witness.client import WitnessClient

ABREAST: Final = 32
"""Calls on one connection, or connections, at a time."""

TIMEOUT: Final = 60.0
"""Seconds to wait for an answer."""

KEEP_ALIVE: Final = 3600
"""KeepAliveTimeout of the registrations, in seconds."""

LIST: Final = "GetInterfaceList, one by one"
REGISTER: Final = "RegisterEx, pipelined"
ALONE: Final = ", the server alone"
CONNECT: Final = "connect + register"
COUNTS: Final = {LIST: 500, LIST + ALONE: 1500, REGISTER: 1500, REGISTER + ALONE: 1500, CONNECT: 300}
"""Calls of each figure in a round."""


AnyCall: TypeAlias = GetInterfaceListRequest | RegisterExRequest


class MeasurementError(Exception):
    """A server cannot be measured."""


class Side:
    """A server to measure.

    Args:
        name: what to print.
        path: its target profile.
    """

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.profile: Profile = load_profile(path)
        self.port = 0
        self.address = ""

    async def find(self) -> None:
        """Ask the endpoint mapper for the port, and the server for an address to register for."""
        node = self.profile.nodes[0]
        (tower, *_) = await ept_map(node.address, WITNESS, port=node.endpoint_mapper_port)
        self.port = tower.port
        rpc = await self.connect()
        listed = (await rpc.get_interface_list()).interface_list
        await rpc.close()
        interfaces = (listed and listed.interfaces) or ()
        others = [one for one in interfaces if one.flags & InterfaceFlags.WITNESS and int(one.ipv4)]
        if not others:
            raise MeasurementError(f"{self.name}: no IPv4 address of another node in its interface list")
        self.address = str(others[0].ipv4)

    async def connect(self) -> WitnessClient:
        """Return a new connection that is logged on."""
        return await connect(
            self.profile.nodes[0].address,
            self.port,
            credentials=self.profile.account.credentials(),
            level=AuthLevel.INTEGRITY,
            timeout=TIMEOUT,
        )

    def registration(self, number: int) -> RegisterExRequest:
        """Return the request for the address of another node."""
        return RegisterExRequest(
            ProtocolVersion.V2,
            self.profile.net_name,
            None,
            self.address,
            f"CLIENT{number:05}",
            RegisterFlags.NONE,
            KEEP_ALIVE,
        )

    async def measure(self, figure: str, count: int) -> float:
        """Return one figure, per second."""
        if figure != CONNECT:
            lists = figure.startswith(LIST)
            requests = [GetInterfaceListRequest() if lists else self.registration(n) for n in range(count)]
            measured = self.prepared_calls if figure.endswith(ALONE) else self.calls
            return await measured(requests, abreast=1 if lists else ABREAST)
        clients: list[WitnessClient] = []
        numbers = iter(range(count))

        async def newcomer() -> None:
            for number in numbers:
                clients.append(await self.connect())
                response = await clients[-1].send(self.registration(number), timeout=TIMEOUT)
                self.check(response.result)

        started = time.perf_counter()
        await asyncio.gather(*(newcomer() for _ in range(ABREAST)))
        took = time.perf_counter() - started
        await asyncio.gather(*(client.close() for client in clients))
        return count / took

    async def calls(self, requests: Sequence[AnyCall], *, abreast: int) -> float:
        """Return how many of these calls on one connection end per second, as a client sees it.

        Args:
            requests: the calls.
            abreast: how many of them have no answer yet at any time.
        """
        client = await self.connect()
        await client.get_interface_list()
        left = iter(requests)

        async def caller() -> None:
            for request in left:
                response = await client.send(request, timeout=TIMEOUT)
                self.check(response.result)

        started = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(abreast)))
        took = time.perf_counter() - started
        await client.close()
        return len(requests) / took

    async def prepared_calls(self, requests: Sequence[AnyCall], *, abreast: int) -> float:
        """Return how many of these calls on one connection the server answers per second.

        Args:
            requests: the calls.
            abreast: how many of them have no answer yet at any time.
        """
        client = await self.connect()
        await client.get_interface_list()
        core = client.rpc.core
        sent = [
            b"".join(core.request(each.opnum, encode(each, client.syntax), context_id=client.context_id)[1])
            for each in requests
        ]
        with socket_of(client) as connection:
            took, received = answered(connection, sent, abreast)
        core.receive_data(received)
        for request in requests:
            event = core.next_event()
            if not isinstance(event, Answered):
                raise MeasurementError(f"{self.name}: {type(event).__name__} instead of a response")
            self.check(decode_response(request.opnum, event.stub, client.syntax).result)
        return len(requests) / took

    def check(self, result: int) -> None:
        """Raise MeasurementError unless a call succeeded."""
        if result:
            raise MeasurementError(f"{self.name}: a call returned 0x{result:08X}")


def socket_of(client: WitnessClient) -> socket.socket:
    """Return the socket of a client, which cannot be used any more."""
    transport = client.rpc._transport  # noqa: SLF001 - a benchmark, for which the class needs no method
    connection = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
    transport.abort()
    connection.settimeout(TIMEOUT)
    return connection


def answered(connection: socket.socket, sent: Sequence[bytes], abreast: int) -> tuple[float, bytes]:
    """Send PDUs, the next ones as responses arrive; return the seconds and what was received."""
    received = bytearray()
    following, left, at, free = abreast, len(sent), 0, 0
    started = time.perf_counter()
    connection.sendall(b"".join(sent[:abreast]))
    while left:
        portion = connection.recv(1 << 18)
        if not portion:
            raise MeasurementError("the server closed the connection")
        received += portion
        complete = 0
        while len(received) >= at + 16 and len(received) >= at + received[at + 8] + 256 * received[at + 9]:
            complete += bool(received[at + 3] & LAST)
            at += received[at + 8] + 256 * received[at + 9]  # frag_length, little-endian
        left -= complete
        free += complete
        if free > abreast // 2 and following < len(sent):
            connection.sendall(b"".join(sent[following : following + free]))
            following, free = following + free, 0
    return time.perf_counter() - started, bytes(received)


async def compare(sides: list[Side], rounds: int) -> None:
    """Measure every side in turns, and print the best rounds."""
    for side in sides:
        await side.find()
    for figure, count in COUNTS.items():
        rates = dict.fromkeys((side.name for side in sides), 0.0)
        for _ in range(rounds):
            for side in sides:
                rates[side.name] = max(rates[side.name], await side.measure(figure, count))
        line = ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items())
        first, *others = rates.values()
        ratio = f", ratio {first / others[0]:.2f}" if others else ""
        report(f"{figure}: {line} per second{ratio}")


def report(line: str) -> None:
    """Print a line and flush."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(description="Measure calls, and another server beside.")
    parser.add_argument("--beside", metavar="PROFILE", help="target profile of another server, for the ratio")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each figure; the best counts")
    arguments = parser.parse_args()
    namespace = load_profile(arguments.beside).network_namespace if arguments.beside else None
    if namespace:
        enter_network(namespace)  # also for the reference
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "reference.toml"
        command = [sys.executable, "-c", "from swn_torture.cli import main; main()"]
        server = subprocess.Popen(  # noqa: S603 - our own command
            [*command, "serve", "--log-level", "off", "--write-profile", str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert server.stdout is not None
            for line in server.stdout:
                if line.startswith("Ctrl-C"):
                    break
            sides = [Side("reference", str(path))]
            if arguments.beside:
                sides.append(Side("beside", arguments.beside))
            asyncio.run(compare(sides, arguments.rounds))
        except MeasurementError as problem:
            report(f"FAILED: {problem}")
            return 1
        finally:
            server.terminate()
            server.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
