"""``swn-torture lab``: a temporary Samba cluster with CTDB on this machine."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from swn_torture.commands.errors import TARGET_UNUSABLE, CommandError

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME = click.option(
    "--name", default="lab", show_default=True, help="Name of the lab; one machine can have several."
)


@click.group()
def command() -> None:
    """Start and stop a Samba cluster with CTDB and the witness service, in its own namespaces (root only).

    \b
    swn-torture lab up                     start three nodes with Debian 13 and Samba 4.22
    swn-torture run --target samba-lab     test them
    swn-torture lab exec node1 -- ctdb status
    swn-torture lab down                   remove everything
    """


@command.command()
@click.option(
    "--nodes", default=3, show_default=True, metavar="N", type=int, help="Number of nodes (1 to 16)."
)
@click.option(
    "--release",
    default="trixie",
    show_default=True,
    help="Debian release: trixie (Samba 4.22) or forky (Samba 4.25).",
)
@_NAME
@click.option(
    "--write-profile",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the target profile of the lab to this file.",
)
def up(nodes: int, release: str, name: str, write_profile: Path | None) -> None:
    """Start the lab. A lab that runs already is left unchanged."""
    from swn_torture import lab

    try:
        started = lab.up(lab.LabConfig(nodes=nodes, release=release, name=name), progress=_progress())
        profile = lab.write_profile(started, write_profile)
    except lab.LabError as problem:
        raise CommandError(problem, TARGET_UNUSABLE) from problem
    except OSError as problem:
        raise CommandError(
            f"Cannot write {problem.filename}: {problem.strerror}.", TARGET_UNUSABLE
        ) from problem
    click.echo(f"Test it with: swn-torture run --target {profile}")


@command.command()
@_NAME
def down(name: str) -> None:
    """Stop the lab and remove everything that is left of it."""
    from swn_torture import lab

    try:
        existed = lab.down(name, progress=_progress())
    except lab.LabError as problem:
        raise CommandError(problem, TARGET_UNUSABLE) from problem
    click.echo("The lab is removed." if existed else "There was no lab.")


@command.command()
@_NAME
def status(name: str) -> None:
    """Print the state of the lab. The exit code is 3 when it is not up."""
    from swn_torture import lab

    try:
        found = lab.status(name)
    except lab.LabError as problem:
        raise CommandError(problem, TARGET_UNUSABLE) from problem
    click.echo(f"{found.name}: {found.state}")
    for node in found.nodes:
        running = "running" if node.running else "stopped"
        hosted = " ".join(node.addresses) or "-"
        click.echo(f"  {node.name}  {node.address}  {running}  ctdb: {node.ctdb}  hosts: {hosted}")
    sys.exit(0 if found.state == "up" else TARGET_UNUSABLE)


def _without_separator(
    context: click.Context, parameter: click.Parameter, words: tuple[str, ...]
) -> tuple[str, ...]:
    """Accept ``--`` between the node and the command; click leaves it in the words."""
    words = words[1:] if words[:1] == ("--",) else words
    if not words:
        raise click.MissingParameter(ctx=context, param=parameter)
    return words


@command.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@_NAME
@click.argument("node")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, callback=_without_separator)
def execute(name: str, node: str, argv: tuple[str, ...]) -> None:
    """Run a command as root on NODE, or in the client's namespace if NODE is client; return its exit code."""
    from swn_torture import lab

    try:
        sys.exit(lab.execute(node, argv, name))
    except lab.LabError as problem:
        raise CommandError(problem, TARGET_UNUSABLE) from problem


def _progress() -> Callable[[str], None]:
    began = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"{time.monotonic() - began:6.1f} s  {text}", err=True)

    return say
