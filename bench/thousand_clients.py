# ruff: noqa: INP001 - a script, not a package
"""Benchmark: notify a thousand registered clients of one event.

Starts a reference cluster in a separate process. Each client has its own connection, protected by NTLM, its
own registration, and an outstanding AsyncNotify. Then one interface becomes UNAVAILABLE, and AVAILABLE again.
Every client must receive each change exactly once.

    python bench/thousand_clients.py [--clients 1000] [--level integrity|privacy]

Exit code 0 if every client received each change once, otherwise 1.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from swn_torture.cli import COLLECTED_AFTER
from swn_torture.dcerpc.epm.endpoint_mapper import ept_map
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.target import load_profile, make_controller
from swn_torture.witness.client import WitnessClient, connect
from swn_torture.witness.constants import WITNESS, ChangeType
from swn_torture.witness.notifications import ResourceChange

if TYPE_CHECKING:
    from swn_torture.target import Profile
    from swn_torture.witness.client import PendingCall
    from swn_torture.witness.messages import AsyncNotifyResponse, ContextHandle

CONCURRENT_LOGONS = 32
"""Clients that log on at the same time. With more, their NTLM computations only wait for each other."""

TIMEOUT = 60.0
"""Seconds to wait for a response or a notification."""


class Client:
    """One registered client."""

    def __init__(self, rpc: WitnessClient, handle: ContextHandle) -> None:
        self.rpc = rpc
        self.handle = handle
        self.call: PendingCall[AsyncNotifyResponse] = rpc.async_notify(handle)

    async def receive(self, change: ChangeType) -> float:
        """Wait for exactly one change of NODE2, and call AsyncNotify again.

        Returns:
            The time of the notification by `time.perf_counter`.
        """
        response = await self.call.reply(TIMEOUT)
        received_at = time.perf_counter()
        assert response.result == 0, response
        assert response.response is not None
        changes = response.response.decode().items
        assert changes == (ResourceChange(change, "NODE2"),), changes
        self.call = self.rpc.async_notify(self.handle)
        return received_at


async def log_on(profile: Profile, port: int, number: int, level: AuthLevel) -> Client:
    """Connect to NODE1, register for the address of NODE2, and call AsyncNotify."""
    node1, node2 = profile.nodes[0], profile.nodes[1]
    account = profile.account
    rpc = await connect(
        node1.address,
        port,
        credentials=Credentials(account.username, account.password, account.domain),
        level=level,
        timeout=TIMEOUT,
    )
    response = await rpc.register_ex(
        net_name=profile.net_name,
        ip_address=node2.address,
        client_computer_name=f"CLIENT{number:05}",
        keep_alive_timeout=3600,
        timeout=TIMEOUT,
    )
    assert response.result == 0, response
    return Client(rpc, response.context)


async def run(profile: Profile, count: int, level: AuthLevel) -> None:
    """Register all clients, cause two events, and print the delays."""
    node1 = profile.nodes[0]
    (tower, *_) = await ept_map(node1.address, WITNESS, port=node1.endpoint_mapper_port)
    logons = asyncio.Semaphore(CONCURRENT_LOGONS)

    async def limited_log_on(number: int) -> Client:
        async with logons:
            return await log_on(profile, tower.port, number, level)

    async with make_controller(profile) as controller:
        started = time.perf_counter()
        clients = await asyncio.gather(*(limited_log_on(number) for number in range(count)))
        took = time.perf_counter() - started
        report(f"{count} clients logged on and registered in {took:.2f} s ({count / took:.0f} per second)")
        registered = len(await controller.registrations())
        assert registered == count, f"the server has {registered} registrations"
        for command, change in (
            (controller.disable, ChangeType.UNAVAILABLE),
            (controller.enable, ChangeType.AVAILABLE),
        ):
            waits = asyncio.gather(*(client.receive(change) for client in clients))
            await asyncio.sleep(0)  # start them
            event_at = time.perf_counter()
            await command("NODE2")
            delays = sorted(received_at - event_at for received_at in await waits)
            p99 = delays[int(len(delays) * 0.99)]
            report(
                f"NODE2 {change.name}: all {len(delays)} clients notified; first {delays[0]:.3f} s, "
                f"median {statistics.median(delays):.3f} s, p99 {p99:.3f} s, last {delays[-1]:.3f} s"
            )
        again = [client for client in clients if client.call.done()]
        assert not again, f"{len(again)} clients were notified more than once"
        await asyncio.gather(*(client.rpc.close() for client in clients))


def report(line: str) -> None:
    """Print a line and flush."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(description="Notify a thousand registered clients of one event.")
    parser.add_argument("--clients", type=int, default=1000, help="number of clients")
    parser.add_argument(
        "--level", choices=("integrity", "privacy"), default="integrity", help="authentication level"
    )
    parser.add_argument("--log-level", default="off", help="log level of the cluster, which nobody reads")
    arguments = parser.parse_args()
    # As the command does. Else this process looks for unused objects for up to 0.8 s at 10,000 clients, and
    # that counts as a delay of the notifications: their p99 was 1.6 to 2.1 s now 0.9 to 1.3 s (2026-12-01).
    gc.set_threshold(COLLECTED_AFTER)
    _, maximum = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (maximum, maximum))  # inherited by the server
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "reference.toml"
        command = [sys.executable, "-c", "from swn_torture.cli import main; main()"]
        server = subprocess.Popen(  # noqa: S603 - our own command
            [*command, "serve", "--log-level", arguments.log_level, "--write-profile", str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert server.stdout is not None
            for line in server.stdout:
                if line.startswith("Ctrl-C"):
                    break
            level = AuthLevel[arguments.level.upper()]
            asyncio.run(run(load_profile(str(path)), arguments.clients, level))
        except AssertionError as problem:
            report(f"FAILED: {problem}")
            return 1
        finally:
            server.terminate()
            server.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
