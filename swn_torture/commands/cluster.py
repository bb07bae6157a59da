"""``swn-torture cluster``: change the cluster of a target that has a controller."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from swn_torture.commands.errors import TARGET_UNUSABLE, USAGE, CommandError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.control.base import Controller

_TARGET = click.option(
    "--target",
    required=True,
    metavar="PROFILE",
    envvar="SWN_TARGET",
    help="Profile of the target: the name of a shipped one or a .toml file.",
)


@click.group()
def command() -> None:
    """Change the cluster of a target whose profile has a [controller].

    \b
    swn-torture cluster status --target samba-lab
    swn-torture cluster disable node2 --target samba-lab
    swn-torture cluster move-client CLIENT01 node3 --target reference.toml
    """


@command.command()
@_TARGET
def status(target: str) -> None:
    """List the nodes with their states and the addresses that they host."""

    async def action(controller: Controller) -> None:
        for node in await controller.nodes():
            click.echo(f"{node.name:<12} {node.state.value:<10} {' '.join(node.addresses) or '-'}")

    _with_controller(target, action)


@command.command("list")
@_TARGET
def list_registrations(target: str) -> None:
    """List the registrations of the cluster."""

    async def action(controller: Controller) -> None:
        found = await controller.registrations()
        for row in found:
            share = f" share {row.share_name}" if row.share_name else ""
            click.echo(f"{row.key}  {row.client_computer_name}  {row.net_name}  {row.ip_address}{share}")
        if not found:
            click.echo("There are no registrations.")

    _with_controller(target, action)


@command.command()
@click.argument("node")
@_TARGET
def disable(node: str, target: str) -> None:
    """Disable a node: take it out of service in an orderly way."""
    _with_controller(target, lambda controller: controller.disable(node))


@command.command()
@click.argument("node")
@_TARGET
def enable(node: str, target: str) -> None:
    """Enable a disabled node."""
    _with_controller(target, lambda controller: controller.enable(node))


@command.command()
@click.argument("node")
@click.option(
    "--how",
    type=click.Choice(["crash", "power-off", "partition"]),
    default="crash",
    show_default=True,
    help="crash: its connections are reset; power-off: it stops answering; "
    "partition: it is cut off from the other nodes.",
)
@_TARGET
def fail(node: str, how: str, target: str) -> None:
    """Make a node fail."""
    from swn_torture.control.base import Failure

    _with_controller(target, lambda controller: controller.fail(node, Failure(how)))


@command.command()
@click.argument("node", required=False)
@_TARGET
def recover(node: str | None, target: str) -> None:
    """Recover a failed node, or the whole cluster without NODE, and wait until it serves clients."""
    _with_controller(target, lambda controller: controller.recover(node) if node else controller.restore())


@command.command("move-client")
@click.argument("client")
@click.argument("destination")
@_TARGET
def move_client(client: str, destination: str, target: str) -> None:
    """Notify the registrations of CLIENT to move to DESTINATION, a node or an address (CLIENT_MOVE)."""
    _with_controller(target, lambda controller: controller.move_client(client, destination))


@command.command("move-share")
@click.argument("share")
@click.argument("destination")
@click.option("--client", help="Only registrations of this ClientComputerName.")
@_TARGET
def move_share(share: str, destination: str, client: str | None, target: str) -> None:
    """Notify the registrations on SHARE to move to DESTINATION, a node or an address (SHARE_MOVE)."""
    _with_controller(target, lambda controller: controller.move_share(share, destination, client=client))


def _with_controller(target: str, action: Callable[[Controller], Awaitable[None]]) -> None:
    """Run an action with the controller of a target, and explain a failure.

    Args:
        target: name or path of the profile.
        action: what to do with the open controller.
    """
    from swn_torture.control.base import ControllerError, NotSupported
    from swn_torture.target import ProfileError, load_profile, make_controller

    async def run_action() -> None:
        profile = load_profile(target)
        if profile.embedded is not None:
            raise ProfileError(
                f"The target {profile.name} is an embedded cluster that only exists during a run. "
                "Start a cluster with: swn-torture serve --write-profile reference.toml"
            )
        async with make_controller(profile) as controller:
            await action(controller)

    try:
        asyncio.run(run_action())
    except ProfileError as problem:
        raise CommandError(problem, USAGE) from problem
    except NotSupported as problem:
        raise CommandError(f"The target {target} does not support this: {problem}.", USAGE) from problem
    except (ControllerError, OSError) as problem:
        raise CommandError(problem, TARGET_UNUSABLE) from problem
