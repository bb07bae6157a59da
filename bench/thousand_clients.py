# ruff: noqa: INP001 - a script, not a package
"""A thousand registered clients hear of one event, and none is forgotten.

Starts a reference cluster in a process of its own. Each client has its own connection, signed by NTLM, its
own registration, and an AsyncNotify outstanding. Then one interface goes down, and comes back. Every client
has to be told exactly that, once each.

    python bench/thousand_clients.py [--clients 1000] [--level integrity|privacy]

Exit code 0 if nobody was forgotten or told twice, else 1.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

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

AT_ONCE = 32
"""Clients that log on at the same time; more would only wait for each other's NTLM."""

PATIENCE = 60.0
"""Seconds after which a client counts as forgotten."""


class Client:
    """One registered client."""

    def __init__(self, rpc: WitnessClient, handle: ContextHandle) -> None:
        self.rpc = rpc
        self.handle = handle
        self.call: PendingCall[AsyncNotifyResponse] = rpc.async_notify(handle)

    async def hears(self, change: ChangeType) -> float:
        """Wait to be told of exactly one change of NODE2; when that was. Asks again at once."""
        answer = await self.call.reply(PATIENCE)
        told_at = time.perf_counter()
        assert answer.result == 0, answer
        assert answer.response is not None
        notified = answer.response.decode().items
        assert notified == (ResourceChange(change, "NODE2"),), notified
        self.call = self.rpc.async_notify(self.handle)
        return told_at


async def log_on(profile: Profile, port: int, number: int, level: AuthLevel) -> Client:
    """Connect, register for NODE2 at NODE1, and ask for news."""
    here, there = profile.nodes[0], profile.nodes[1]
    account = profile.account
    rpc = await connect(
        here.address,
        port,
        credentials=Credentials(account.username, account.password, account.domain),
        level=level,
        timeout=PATIENCE,
    )
    response = await rpc.register_ex(
        net_name=profile.net_name,
        ip_address=there.address,
        client_computer_name=f"CLIENT{number:05}",
        keep_alive_timeout=3600,
        timeout=PATIENCE,
    )
    assert response.result == 0, response
    return Client(rpc, response.context)


async def run(profile: Profile, count: int, level: AuthLevel) -> None:
    """Log everybody on, let two events happen, and report."""
    here = profile.nodes[0]
    (tower, *_) = await ept_map(here.address, WITNESS, port=here.endpoint_mapper_port)
    gate = asyncio.Semaphore(AT_ONCE)

    async def enter(number: int) -> Client:
        async with gate:
            return await log_on(profile, tower.port, number, level)

    async with make_controller(profile) as controller:
        started = time.perf_counter()
        clients = await asyncio.gather(*(enter(number) for number in range(count)))
        took = time.perf_counter() - started
        report(f"{count} clients logged on and registered in {took:.2f} s ({count / took:.0f} a second)")
        held = len(await controller.registrations())
        assert held == count, f"the server holds {held} registrations"
        for order, change in (
            (controller.disable, ChangeType.UNAVAILABLE),
            (controller.enable, ChangeType.AVAILABLE),
        ):
            happened = time.perf_counter()
            waits = asyncio.gather(*(client.hears(change) for client in clients))
            await order("NODE2")
            delays = sorted(told_at - happened for told_at in await waits)
            p99 = delays[int(len(delays) * 0.99)]
            report(
                f"NODE2 {change.name}: all {len(delays)} told; first {delays[0]:.3f} s, "
                f"median {statistics.median(delays):.3f} s, p99 {p99:.3f} s, last {delays[-1]:.3f} s"
            )
        again = [client for client in clients if client.call.done()]
        assert not again, f"{len(again)} clients were told more than once"
        await asyncio.gather(*(client.rpc.close() for client in clients))


def report(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run the benchmark; the exit code."""
    parser = argparse.ArgumentParser(description="A thousand registered clients hear of one event.")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--level", choices=("integrity", "privacy"), default="integrity")
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # inherited by the server
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "reference.toml"
        command = [sys.executable, "-c", "from swn_torture.cli import main; main()"]
        server = subprocess.Popen(  # noqa: S603 - our own command
            [*command, "serve", "--write-profile", str(path)], stdout=subprocess.PIPE, text=True
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
