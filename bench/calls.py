# ruff: noqa: INP001 - a script, not a package
"""Benchmark: how fast a server answers, and another one beside it in the same run.

Starts a reference cluster in a separate process. One client program measures it, and the target of `--beside`
(for example a Samba lab), in turns, with connections protected at integrity:

* GetInterfaceList, one call after the other on one connection;
* RegisterEx, 32 calls at a time on one connection;
* connect, logon and RegisterEx, 32 connections at a time.

    python bench/calls.py [--beside PROFILE] [--rounds 3]

Prints the best round of each, and the ratio. The client program takes about as much processor time as the
reference: on one core the figures are half as high. Nothing is judged: the exit code is 0 unless a call
fails.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from swn_torture.dcerpc.epm.endpoint_mapper import ept_map
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.lab.namespaces import enter_network
from swn_torture.target import load_profile
from swn_torture.witness.client import connect
from swn_torture.witness.constants import WITNESS, InterfaceFlags

if TYPE_CHECKING:
    from swn_torture.target import Profile
    from swn_torture.witness.client import WitnessClient

ABREAST: Final = 32
"""Calls on one connection, or connections, at a time."""

TIMEOUT: Final = 60.0
"""Seconds to wait for an answer."""

COUNTS: Final = {
    "GetInterfaceList, one by one": 500,
    "RegisterEx, pipelined": 1500,
    "connect + register": 300,
}


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

    async def register(self, rpc: WitnessClient, number: int) -> None:
        """Register for the address of another node."""
        response = await rpc.register_ex(
            net_name=self.profile.net_name,
            ip_address=self.address,
            client_computer_name=f"CLIENT{number:05}",
            keep_alive_timeout=3600,
            timeout=TIMEOUT,
        )
        if response.result:
            raise MeasurementError(f"{self.name}: RegisterEx returned 0x{response.result:08X}")

    async def measure(self, figure: str, count: int) -> float:
        """Return one figure, per second."""
        clients: list[WitnessClient] = []
        if figure != "connect + register":
            clients.append(await self.connect())
            await clients[0].get_interface_list()
        started = time.perf_counter()
        match figure:
            case "GetInterfaceList, one by one":
                for _ in range(count):
                    await clients[0].get_interface_list()
            case "RegisterEx, pipelined":
                numbers = iter(range(count))

                async def caller() -> None:
                    for number in numbers:
                        await self.register(clients[0], number)

                await asyncio.gather(*(caller() for _ in range(ABREAST)))
            case _:
                numbers = iter(range(count))

                async def newcomer() -> None:
                    for number in numbers:
                        clients.append(await self.connect())
                        await self.register(clients[-1], number)

                await asyncio.gather(*(newcomer() for _ in range(ABREAST)))
        took = time.perf_counter() - started
        await asyncio.gather(*(client.close() for client in clients))
        return count / took


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
