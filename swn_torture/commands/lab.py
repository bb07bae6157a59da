"""``swn-torture lab``: a disposable Samba cluster with CTDB on this machine."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from swn_torture.commands.errors import TARGET_UNUSABLE, explain

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME = click.option(
    "--name", default="lab", show_default=True, help="Tells one lab on this machine from another."
)


@click.group(short_help="A disposable three-node Samba/CTDB cluster on this machine.")
def command() -> None:
    """A disposable Samba cluster with CTDB and the witness service, in namespaces of its own (root only).

    \b
    swn-torture lab up                     three nodes of Debian 13, Samba 4.22
    swn-torture run --target samba-lab     judge it
    swn-torture lab exec node1 -- ctdb status
    swn-torture lab down                   no trace is left
    """


@command.command()
@click.option(
    "--nodes", default=3, show_default=True, metavar="N", type=int, help="How many nodes (1 to 16)."
)
@click.option(
    "--release",
    default="trixie",
    show_default=True,
    help="Debian release: trixie (Samba 4.22), forky (4.25).",
)
@_NAME
@click.option(
    "--write-profile",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the lab's target profile here.",
)
def up(nodes: int, release: str, name: str, write_profile: Path | None) -> None:
    """Bring the lab up; one that is up already stays as it is."""
    from swn_torture import lab

    try:
        made = lab.up(lab.LabConfig(nodes=nodes, release=release, name=name), progress=_progress())
        if write_profile is not None:
            from swn_torture.lab.profile import profile_text

            write_profile.write_text(profile_text(made), encoding="utf-8")
    except lab.LabError as problem:
        raise explain(problem, TARGET_UNUSABLE) from problem
    except OSError as problem:
        raise explain(f"{write_profile} cannot be written: {problem.strerror}.", TARGET_UNUSABLE) from problem
    target = write_profile or ("samba-lab" if name == "lab" else "PROFILE (see --write-profile)")
    click.echo(f"Judge it: swn-torture run --target {target}")


@command.command()
@_NAME
def down(name: str) -> None:
    """Take the lab down, or what is left of one."""
    from swn_torture import lab

    try:
        there = lab.down(name, progress=_progress())
    except lab.LabError as problem:
        raise explain(problem, TARGET_UNUSABLE) from problem
    click.echo("The lab is gone." if there else "There was no lab.")


@command.command()
@_NAME
def status(name: str) -> None:
    """Say what is there of the lab; exit code 3 when it is not up."""
    from swn_torture import lab

    try:
        found = lab.status(name)
    except lab.LabError as problem:
        raise explain(problem, TARGET_UNUSABLE) from problem
    click.echo(f"{found.name}: {found.state}")
    for node in found.nodes:
        running = "running" if node.running else "stopped"
        hosted = " ".join(node.addresses) or "-"
        click.echo(f"  {node.name}  {node.address}  {running}  ctdb: {node.ctdb}  hosts: {hosted}")
    sys.exit(0 if found.state == "up" else TARGET_UNUSABLE)


@command.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@_NAME
@click.argument("node")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED)
def execute(name: str, node: str, argv: tuple[str, ...]) -> None:
    """Run a command as root on a node, or in the client's place (NODE = client), and return its exit code."""
    from swn_torture import lab

    try:
        sys.exit(lab.execute(node, argv, name))
    except lab.LabError as problem:
        raise explain(problem, TARGET_UNUSABLE) from problem


def _progress() -> Callable[[str], None]:
    began = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"{time.monotonic() - began:6.1f} s  {text}", err=True)

    return say
