"""``swn-torture cluster``: move the cluster of a target that has a controller."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from swn_torture.commands.errors import TARGET_UNUSABLE, USAGE, explain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.control.base import Controller

_TARGET = click.option(
    "--target",
    required=True,
    metavar="PROFILE",
    envvar="SWN_TARGET",
    help="Profile: a shipped name or a .toml file.",
)


@click.group(short_help="Move a target's cluster: disable, fail, recover, move a client or a share.")
def command() -> None:
    """Move the cluster of any target whose profile names a controller.

    \b
    swn-torture cluster status --target samba-lab
    swn-torture cluster disable node2 --target samba-lab
    swn-torture cluster move-client CLIENT01 node3 --target reference.toml
    """


@command.command()
@_TARGET
def status(target: str) -> None:
    """The nodes, their states and the addresses they host."""

    async def order(controller: Controller) -> None:
        for node in await controller.nodes():
            click.echo(f"{node.name:<12} {node.state.value:<10} {' '.join(node.addresses) or '-'}")

    _with_controller(target, order)


@command.command("list")
@_TARGET
def list_registrations(target: str) -> None:
    """The registrations the cluster holds."""

    async def order(controller: Controller) -> None:
        found = await controller.registrations()
        for row in found:
            share = f" share {row.share_name}" if row.share_name else ""
            click.echo(f"{row.key}  {row.client_computer_name}  {row.net_name}  {row.ip_address}{share}")
        if not found:
            click.echo("no registrations")

    _with_controller(target, order)


@command.command()
@click.argument("node")
@_TARGET
def disable(node: str, target: str) -> None:
    """Take a node out of service in an orderly way."""
    _with_controller(target, lambda controller: controller.disable(node))


@command.command()
@click.argument("node")
@_TARGET
def enable(node: str, target: str) -> None:
    """Bring a disabled node back."""
    _with_controller(target, lambda controller: controller.enable(node))


@command.command()
@click.argument("node")
@click.option(
    "--how",
    type=click.Choice(["crash", "power-off", "partition"]),
    default="crash",
    show_default=True,
    help="crash: peers see resets; power-off: silence; partition: cut off from the other nodes.",
)
@_TARGET
def fail(node: str, how: str, target: str) -> None:
    """Make a node fail without warning."""
    from swn_torture.control.base import Failure

    _with_controller(target, lambda controller: controller.fail(node, Failure(how)))


@command.command()
@click.argument("node", required=False)
@_TARGET
def recover(node: str | None, target: str) -> None:
    """Bring a failed node back, or without NODE the whole cluster, and wait until it serves."""
    _with_controller(target, lambda controller: controller.recover(node) if node else controller.restore())


@command.command("move-client")
@click.argument("client")
@click.argument("destination")
@_TARGET
def move_client(client: str, destination: str, target: str) -> None:
    """Ask the registrations of CLIENT to move to DESTINATION, a node or an address (CLIENT_MOVE)."""
    _with_controller(target, lambda controller: controller.move_client(client, destination))


@command.command("move-share")
@click.argument("share")
@click.argument("destination")
@click.option("--client", help="Only registrations of this ClientComputerName.")
@_TARGET
def move_share(share: str, destination: str, client: str | None, target: str) -> None:
    """Ask the registrations on SHARE to move to DESTINATION, a node or an address (SHARE_MOVE)."""
    _with_controller(target, lambda controller: controller.move_share(share, destination, client=client))


def _with_controller(target: str, order: Callable[[Controller], Awaitable[None]]) -> None:
    """Carry out an order on the cluster of a target, and explain what did not work."""
    from swn_torture.control.base import ControllerError, NotSupported
    from swn_torture.target import ProfileError, load_profile, make_controller

    async def carry_out() -> None:
        profile = load_profile(target)
        if profile.embedded is not None:
            raise ProfileError(
                f"The target {profile.name!r} is the cluster that a run starts for itself; there is none to "
                "move now. Start one with: swn-torture serve --write-profile reference.toml"
            )
        async with make_controller(profile) as controller:
            await order(controller)

    try:
        asyncio.run(carry_out())
    except ProfileError as problem:
        raise explain(problem, USAGE) from problem
    except NotSupported as problem:
        raise explain(f"This cannot be done on {target}: {problem}.", USAGE) from problem
    except (ControllerError, OSError) as problem:
        raise explain(problem, TARGET_UNUSABLE) from problem
