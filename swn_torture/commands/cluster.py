"""``swn-torture cluster``: change the cluster of a target that has a controller."""

from __future__ import annotations

import dataclasses
import functools
import json
import time
from typing import TYPE_CHECKING

import click

from swn_torture.commands.controllers import restore_cluster, say_what_is_left, with_controller
from swn_torture.commands.errors import USAGE, CommandError
from swn_torture.commands.options import target_of_cluster
from swn_torture.commands.terminal import echo
from swn_torture.commands.witness_clients import drain, list_registrations

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from swn_torture.control.base import Controller


@click.group()
def command() -> None:
    """Change the cluster of a target whose profile has a [controller].

    \b
    swn-torture cluster status --target samba-lab
    swn-torture cluster disable node2 --target samba-lab
    swn-torture cluster move-client CLIENT01 node3 --target reference.toml
    swn-torture cluster list --target reference.toml
    swn-torture cluster restore --target reference.toml
    """


command.add_command(list_registrations)
command.add_command(drain)


def changes_cluster(function: Callable[..., None]) -> Callable[..., None]:
    """Add ``--target``, and ``--json``: what the command did, how long it took, and the nodes afterwards."""

    @functools.wraps(function)
    def change(*, target: str, as_json: bool, **values: str | None) -> None:
        began = time.monotonic()
        function(target=target, **values)
        if as_json:
            done = {"command": click.get_current_context().info_name, **values}
            _print_nodes(target, {**done, "seconds": round(time.monotonic() - began, 3)})

    shown = click.option(
        "--json", "as_json", is_flag=True, help="Print what was done, and the nodes afterwards, as JSON."
    )
    return target_of_cluster(shown(change))


def _print_nodes(target: str, done: dict[str, Any]) -> None:
    from swn_torture.control.base import Capability

    async def action(controller: Controller) -> None:
        listed = await controller.nodes() if controller.can(Capability.LIST_NODES) else ()
        click.echo(json.dumps({**done, "nodes": [dataclasses.asdict(node) for node in listed]}, indent=1))

    with_controller(target, action)


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@target_of_cluster
def status(target: str, as_json: bool) -> None:
    """List the nodes with their states and the addresses that they host."""

    async def action(controller: Controller) -> None:
        nodes = await controller.nodes()
        if as_json:
            click.echo(json.dumps([dataclasses.asdict(node) for node in nodes], indent=1))
            return
        for node in nodes:
            echo(f"{node.name:<12} {node.state.value:<10} {' '.join(node.addresses) or '-'}")

    say_what_is_left(target)
    with_controller(target, action)


@command.command()
@click.argument("node")
@changes_cluster
def disable(node: str, target: str) -> None:
    """Disable a node: take it out of service in an orderly way."""
    _with_node(target, node, lambda controller, name: controller.disable(name))


@command.command()
@click.argument("node")
@changes_cluster
def enable(node: str, target: str) -> None:
    """Enable a disabled node."""
    _with_node(target, node, lambda controller, name: controller.enable(name))


@command.command()
@click.argument("node")
@click.option(
    "--how",
    type=click.Choice(
        [
            *("crash", "power-off", "partition", "link-down", "hang"),
            *("hang-service", "kill-worker", "ban", "stop"),
        ]
    ),
    default="crash",
    show_default=True,
    help="crash: its connections are reset; power-off: it stops answering; "
    "partition: it is cut off from the other nodes; link-down: it is cut off from all, and runs; "
    "hang: its processes stop without ending; hang-service: only those of its witness service; "
    "kill-worker: one process of its witness service ends; ban: the cluster excludes it; "
    "stop: it leaves the cluster.",
)
@changes_cluster
def fail(node: str, how: str, target: str) -> None:
    """Make a node fail."""
    from swn_torture.control.base import Failure

    _with_node(target, node, lambda controller, name: controller.fail(name, Failure(how)))


@command.command()
@click.argument("node", required=False)
@changes_cluster
def recover(node: str | None, target: str) -> None:
    """Recover a failed node, and wait until it serves clients. Without NODE: the same as restore."""
    if node is None:
        restore_cluster(target)
    else:
        _with_node(target, node, lambda controller, name: controller.recover(name))


@command.command()
@changes_cluster
def restore(target: str) -> None:
    """Undo all changes of the cluster, and wait until it serves clients.

    Before a run or a command changes the cluster, it writes into a journal how the change is undone. So this
    also undoes what is left of a run that was killed:

    \b
    swn-torture cluster restore --target reference.toml
    """
    restore_cluster(target)


@command.command("move-client")
@click.argument("client")
@click.argument("destination")
@changes_cluster
def move_client(client: str, destination: str, target: str) -> None:
    """Notify the registrations of CLIENT to move to DESTINATION, a node or an address (CLIENT_MOVE)."""

    async def action(controller: Controller) -> None:
        where = await _destination(controller, destination)
        await _check_registrations(controller, client=client)
        await controller.move_client(client, where)

    with_controller(target, action)


@command.command("move-share")
@click.argument("share")
@click.argument("destination")
@click.option("--client", help="Only registrations of this ClientComputerName.")
@changes_cluster
def move_share(share: str, destination: str, client: str | None, target: str) -> None:
    """Notify the registrations on SHARE to move to DESTINATION, a node or an address (SHARE_MOVE)."""

    async def action(controller: Controller) -> None:
        where = await _destination(controller, destination)
        await _check_registrations(controller, share=share, client=client)
        await controller.move_share(share, where, client=client)

    with_controller(target, action)


@command.command()
@click.argument("node")
@changes_cluster
def restart(node: str, target: str) -> None:
    """Restart the witness service of a node."""
    _with_node(target, node, lambda controller, name: controller.restart(name))


@command.command()
@click.argument("node")
@click.argument("state", type=click.Choice(["up", "down", "unknown"]))
@changes_cluster
def interface(node: str, state: str, target: str) -> None:
    """Report the interfaces of a node AVAILABLE (up), UNAVAILABLE (down) or in state UNKNOWN."""

    async def action(controller: Controller, name: str) -> None:
        if state == "unknown":
            await controller.set_interface_unknown(name)
        else:
            await controller.set_interface(name, up=state == "up")

    _with_node(target, node, action)


@command.command("add-address")
@click.argument("node")
@click.argument("address")
@changes_cluster
def add_address(node: str, address: str, target: str) -> None:
    """Add a witness address to a node."""

    async def action(controller: Controller, name: str) -> None:
        hosts = await _hosts(controller, ip)
        if hosts:
            raise CommandError(f"{', '.join(hosts)} has the address {ip} already.", USAGE)
        await controller.add_address(name, ip)

    ip = _ip(address)
    _with_node(target, node, action)


@command.command("remove-address")
@click.argument("node")
@click.argument("address")
@changes_cluster
def remove_address(node: str, address: str, target: str) -> None:
    """Remove a witness address from a node."""

    async def action(controller: Controller, name: str) -> None:
        hosting = all(node.addresses for node in await controller.nodes())  # one out of service lists none
        if hosting and not await _hosts(controller, ip):
            raise CommandError(f"No node has the address {ip}. `cluster status` lists them.", USAGE)
        await controller.remove_address(name, ip)

    ip = _ip(address)
    _with_node(target, node, action)


@command.command("move-address")
@click.argument("address")
@click.argument("node")
@changes_cluster
def move_address(address: str, node: str, target: str) -> None:
    """Move a witness address to another node."""
    _with_node(target, node, lambda controller, name: controller.move_address(_ip(address), name))


@command.command("force-unregister")
@click.argument("key")
@changes_cluster
def force_unregister(key: str, target: str) -> None:
    """Make the server remove the registration with KEY, as `cluster list --json` prints it."""

    async def action(controller: Controller) -> None:
        if Capability.LIST_REGISTRATIONS in controller.capabilities:
            keys = [row.key for row in await controller.registrations()]
            if _same_name(key, keys) is None:
                raise CommandError(
                    f"There is no registration with the key {key!r}; known: {', '.join(keys) or 'none'}.",
                    USAGE,
                )
        await controller.force_unregister(key)

    from swn_torture.control.base import Capability

    with_controller(target, action)


def _ip(text: str) -> str:
    from ipaddress import ip_address

    try:
        return str(ip_address(text))
    except ValueError as problem:
        raise CommandError(f"{text!r} is not an IP address.", USAGE) from problem


def _with_node(target: str, node: str, action: Callable[[Controller, str], Awaitable[None]]) -> None:
    """Run an action with the controller of a target and the name of a node, as the cluster writes it."""

    async def action_with_node(controller: Controller) -> None:
        names = await _node_names(controller)
        name = _same_name(node, names)
        if name is None:
            raise CommandError(f"Unknown node {node!r}; known: {', '.join(names) or 'none'}.", USAGE)
        await action(controller, name)

    with_controller(target, action_with_node)


async def _hosts(controller: Controller, address: str) -> list[str]:
    """The nodes that have a witness address."""
    return [node.name for node in await controller.nodes() if address in node.addresses]


async def _node_names(controller: Controller) -> list[str]:
    return [node.name for node in await controller.nodes()]


def _same_name(name: str, known: list[str]) -> str | None:
    return next((each for each in known if each.casefold() == name.casefold()), None)


async def _destination(controller: Controller, text: str) -> str:
    """The destination of a move: the name of a node as the cluster writes it, or an IP address.

    Raises:
        CommandError: it is neither.
    """
    from ipaddress import ip_address

    try:
        return str(ip_address(text))
    except ValueError:
        names = await _node_names(controller)
    name = _same_name(text, names)
    if name is None:
        nodes = ", ".join(names) or "none"
        raise CommandError(
            f"Unknown destination {text!r}. It must be an IP address or the name of a node: {nodes}.", USAGE
        )
    return name


async def _check_registrations(
    controller: Controller, *, share: str | None = None, client: str | None = None
) -> None:
    """Check that a move has a registration to go to. A cluster ignores a move that matches none.

    Raises:
        CommandError: no registration has this share and this client.
    """
    from swn_torture.control.base import Capability

    if Capability.LIST_REGISTRATIONS not in controller.capabilities:
        return
    rows = await controller.registrations()
    for row in rows:
        of_client = client is None or _same_name(client, [row.client_computer_name])
        on_share = share is None or _same_name(share, [row.share_name or ""])
        if of_client and on_share:
            return
    selected = [] if client is None else [f"of client {client!r}"]
    selected += [] if share is None else [f"on share {share!r}"]
    known = {row.client_computer_name + (f" on {row.share_name}" if row.share_name else "") for row in rows}
    raise CommandError(
        f"There is no registration {' '.join(selected)}; known: {', '.join(sorted(known)) or 'none'}.", USAGE
    )
