"""``swn-torture cluster list`` and ``drain``: the registered clients, and planned maintenance of a node.

The names are those of ``Get-SmbWitnessClient`` in Windows, so that scripts and eyes find them.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import itertools
import json
import signal
import sys
import time
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

import click

from swn_torture.commands.controllers import with_controller
from swn_torture.commands.errors import TARGET_UNUSABLE, USAGE, CommandError
from swn_torture.commands.options import target_of_cluster
from swn_torture.commands.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from swn_torture.control.base import Controller
    from swn_torture.control.values import NodeStatus, RegistrationView

_POLL_SECONDS: Final = 0.5
_AGAIN_SECONDS: Final = 15.0
"""Seconds after which a registration that is still there gets the move again."""

_COLUMNS: Final = (
    *("ClientName", "WitnessNodeName", "FileServerNodeName", "NetworkName", "ShareName", "IpAddress"),
    *("State", "Flags", "NotificationsSent", "NotificationsCancelled", "QueuedNotifications", "Age"),
)
_SHORT: Final = {
    "NotificationsSent": "Sent",
    "NotificationsCancelled": "Cancelled",
    "QueuedNotifications": "Queued",
}


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the key of each registration.")
@click.option("--watch", "watching", is_flag=True, help="Show them until Ctrl-C, again when they change.")
@click.option("--count", type=click.IntRange(min=1), help="With --watch: stop after this number of changes.")
@target_of_cluster
def list_registrations(target: str, as_json: bool, watching: bool, count: int | None) -> None:
    """List the registered clients, under the names of Get-SmbWitnessClient.

    WitnessNodeName is the node whose witness service has the registration, FileServerNodeName the node that
    hosts IpAddress. A dash stands for what this kind of cluster does not report.

    \b
    swn-torture cluster list --target reference.toml
    swn-torture cluster list --target reference.toml --json
    swn-torture cluster list --target reference.toml --watch

    With --watch it is a live table on a terminal; with --json a line with all registrations at each change.
    """
    if count is not None and not watching:
        raise click.UsageError("--count needs --watch.")
    if watching:
        with_controller(target, lambda controller: _watch(controller, target, count, as_json=as_json))
        return

    async def action(controller: Controller) -> None:
        rows = await _witness_clients(controller)
        if as_json:
            click.echo(json.dumps(rows, indent=1))
        else:
            _print_table(rows)

    with_controller(target, action)


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    for line in _table(rows) if rows else ("There are no registrations.",):
        echo(line)


async def _witness_clients(controller: Controller) -> list[dict[str, Any]]:
    return [as_witness_client(row, nodes) for row, nodes in await _registrations(controller)]


async def _watch(controller: Controller, target: str, count: int | None, *, as_json: bool) -> None:
    """Show the registrations whenever they change, until Ctrl-C or that many times."""
    from swn_torture.commands.watching import live, print_json, registrations_table

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    rows: list[dict[str, Any]] = []
    changed = time.monotonic()
    before: object = None
    seen = 0
    with contextlib.ExitStack() as stack:
        on_terminal = sys.stdout.isatty() and not as_json
        if on_terminal:
            stack.enter_context(live(lambda: registrations_table(rows, target, time.monotonic() - changed)))
        while not stop.is_set() and (count is None or seen < count):
            rows = await _witness_clients(controller)
            now = [{name: value for name, value in row.items() if name != "Age"} for row in rows]
            if now != before:
                before, changed = now, time.monotonic()
                seen += 1
                if as_json:
                    print_json({"registrations": rows})
                elif not on_terminal:
                    echo(f"{dt.datetime.now().astimezone():%H:%M:%S}")
                    _print_table(rows)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await stop.wait()


@click.command()
@click.argument("node")
@click.option(
    "--to",
    "destinations",
    multiple=True,
    metavar="NODE|ADDRESS",
    help="Where the clients move to (repeatable; default: the other nodes in service, in turn).",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=120.0,
    show_default=True,
    help="Seconds to wait until the node is empty.",
)
@click.option("--disable", is_flag=True, help="Disable the node when it is empty.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@target_of_cluster
def drain(
    node: str, destinations: tuple[str, ...], timeout: float, disable: bool, as_json: bool, target: str
) -> None:
    """Move all clients from NODE to other nodes, and watch until no registration for it is left.

    Planned maintenance with the witness protocol: every client that is registered for an address of NODE gets
    CLIENT_MOVE. A client that follows it registers for the new address. Exit code 3: some clients stay.

    \b
    swn-torture cluster drain NODE3 --target reference.toml
    swn-torture cluster drain NODE3 --disable --timeout 60 --target reference.toml
    """

    async def action(controller: Controller) -> None:
        found = await Drain.prepare(controller, node, destinations)
        await found.run(timeout)
        if disable and not found.left:
            await controller.disable(found.node.name)
        if as_json:
            click.echo(json.dumps(found.result(disabled=disable and not found.left), indent=1))
        if found.left:
            names = ", ".join(sorted({row.client_computer_name for row in found.left}))
            raise CommandError(
                f"{len(found.left)} registrations for {found.node.name} are left after {timeout:g} s: "
                f"{names}. A client that does not follow a move loses its connection when the node stops",
                TARGET_UNUSABLE,
            )

    with_controller(target, action)


@dataclass
class Drain:
    """One node that is emptied.

    Attributes:
        controller: of the cluster.
        node: the node.
        destinations: where its clients move to, in turn.
        moved: the registrations that were moved and are gone.
        left: the registrations that are still there.
        seconds: how long it took.
    """

    controller: Controller
    node: NodeStatus
    destinations: Iterator[str]
    moved: list[RegistrationView] = field(default_factory=list)
    left: list[RegistrationView] = field(default_factory=list)
    seconds: float = 0.0

    @classmethod
    async def prepare(cls, controller: Controller, node: str, destinations: Sequence[str]) -> Drain:
        """Find the node and the destinations.

        Raises:
            CommandError: there is no such node or no destination.
        """
        from swn_torture.control.base import Capability, NodeState

        controller.require(Capability.MOVE_CLIENT)
        controller.require(Capability.LIST_REGISTRATIONS)
        nodes = await controller.nodes()
        found = next((each for each in nodes if each.name.casefold() == node.casefold()), None)
        if found is None:
            known = ", ".join(each.name for each in nodes)
            raise CommandError(f"Unknown node {node!r}; known: {known or 'none'}.", USAGE)
        others = [each.name for each in nodes if each.state is NodeState.OK and each is not found]
        if not destinations and not others:
            raise CommandError(
                f"There is no other node in service to move the clients of {found.name} to.", USAGE
            )
        return cls(controller, found, itertools.cycle(destinations or others))

    async def _registered(self) -> list[RegistrationView]:
        own = {ip_address(address) for address in self.node.addresses}
        return [r for r in await self.controller.registrations() if _address(r.ip_address) in own]

    async def run(self, timeout: float) -> None:
        """Move the clients, and return when no registration is left or the time is over."""
        began = time.monotonic()
        seen: dict[str, RegistrationView] = {}
        asked: dict[str, float] = {}
        shown = ""
        while True:
            self.left = await self._registered()
            seen |= {row.key: row for row in self.left}
            keys = {row.key for row in self.left}
            self.moved = [row for key, row in seen.items() if key not in keys]
            self.seconds = time.monotonic() - began
            text = f"{self.node.name}: {len(self.moved)} of {len(seen)} registrations moved"
            if text != shown:
                echo(f"{self.seconds:6.1f} s  {text}", err=True)
                shown = text
            if not self.left or self.seconds >= timeout:
                return
            now = time.monotonic()
            due = [row for row in self.left if now - asked.get(row.key, -_AGAIN_SECONDS) >= _AGAIN_SECONDS]
            clients = {(row.client_computer_name, row.net_name, row.ip_address) for row in due}
            for client, net_name, address in sorted(clients):
                destination = next(self.destinations)
                echo(f"{self.seconds:6.1f} s  {client}: moving from {address} to {destination}", err=True)
                await self.controller.move_client(client, destination, net_name=net_name, ip_address=address)
            asked |= dict.fromkeys((row.key for row in due), now)
            await asyncio.sleep(_POLL_SECONDS)

    def result(self, *, disabled: bool) -> dict[str, Any]:
        """The result as values for JSON."""
        nodes = [self.node]
        return {
            "Node": self.node.name,
            "Moved": [as_witness_client(row, nodes) for row in self.moved],
            "Left": [as_witness_client(row, nodes) for row in self.left],
            "Seconds": round(self.seconds, 1),
            "Disabled": disabled,
        }


def as_witness_client(row: RegistrationView, nodes: Sequence[NodeStatus]) -> dict[str, Any]:
    """A registration under the names of Get-SmbWitnessClient; None where it is not known.

    Args:
        row: the registration.
        nodes: the nodes of the cluster, with the addresses that they host.
    """
    address = _address(row.ip_address)
    host = next((n.name for n in nodes if address in map(ip_address, n.addresses)), None)
    flags = None if row.flags is None else "IpNotifications" if row.flags & 1 else "None"
    return {
        "ClientName": row.client_computer_name,
        "WitnessNodeName": row.node,
        "FileServerNodeName": host,
        "NetworkName": row.net_name,
        "ShareName": row.share_name,
        "IpAddress": row.ip_address,
        "State": row.state,
        "Flags": flags,
        "NotificationsSent": row.notifications_sent,
        "NotificationsCancelled": row.notifications_cancelled,
        "QueuedNotifications": row.queued_notifications,
        "Age": None if row.age is None else round(row.age, 1),
        "Key": row.key,
        "Version": row.version,
        "KeepAliveTimeout": row.timeout,
        "Account": row.account,
    }


async def _registrations(controller: Controller) -> list[tuple[RegistrationView, Sequence[NodeStatus]]]:
    from swn_torture.control.base import Capability

    nodes = await controller.nodes() if controller.can(Capability.LIST_NODES) else ()
    return [(row, nodes) for row in await controller.registrations()]


def _address(text: str) -> Any:
    """The address in a registration; the text itself if it is not one."""
    try:
        return ip_address(text)
    except ValueError:
        return text


def _table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The rows under their titles."""
    widths = {
        name: max(len(_SHORT.get(name, name)), *(len(_cell(row, name)) for row in rows)) for name in _COLUMNS
    }
    yield "  ".join(_SHORT.get(name, name).ljust(width) for name, width in widths.items()).rstrip()
    for row in rows:
        yield "  ".join(_cell(row, name).ljust(width) for name, width in widths.items()).rstrip()


def _cell(row: dict[str, Any], name: str) -> str:
    value = row[name]
    if value is None:
        return "-"
    return f"{value:.0f} s" if name == "Age" else str(value)
