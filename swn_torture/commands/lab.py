"""``swn-torture lab``: a temporary Samba cluster with CTDB on this machine."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from swn_torture.commands.errors import TARGET_UNUSABLE, CommandError
from swn_torture.commands.samba import domain_options, lab_config, samba_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.commands.samba import SambaChoice
    from swn_torture.lab import LabStatus

_NAME = click.option(
    "--name", default="lab", show_default=True, help="Name of the lab; one machine can have several."
)


@click.group()
def command() -> None:
    """Start and stop a Samba cluster with CTDB and the witness service, in its own namespaces (root only).

    \b
    swn-torture lab up                  # start three nodes with Debian 13 and Samba 4.22
    swn-torture run --target samba-lab  # test them
    swn-torture lab exec node1 -- ctdb status
    swn-torture lab down                # remove everything
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
@domain_options
@samba_options
def up(
    nodes: int,
    release: str,
    name: str,
    write_profile: Path | None,
    in_domain: bool,
    no_ntlm: bool,
    samba: SambaChoice,
) -> None:
    """Start the lab. A lab that runs already is left unchanged.

    \b
    swn-torture lab up                               # Debian 13 and its Samba 4.22
    swn-torture lab up --release forky --name next   # a second lab, with Samba 4.25
    swn-torture lab up --samba /tmp/samba            # what make install DESTDIR=/tmp/samba made
    swn-torture lab up --samba build/packages        # the .deb packages of a build
    swn-torture lab up --domain --no-ntlm            # in an Active Directory domain, which refuses NTLM

    A build of your own lies over a Debian, whose own Samba is hidden. It must be complete, with CTDB and the
    witness service (configure --with-cluster-support), and made for the chosen release. What it lacks is
    named. Its paths, version and build ids are read from the build.

    Each node hosts two IPv4 and two IPv6 addresses. A run that has selected cases for the variants of the
    profile (another NetName, no scale-out share, one in which addresses change and nodes fail ...) starts up
    to four further clusters in this lab: seven nodes in about half a minute, with about 500 MB of memory. It
    removes them at its end; `lab status` shows them.
    """
    from swn_torture import lab

    config = lab_config(
        nodes=nodes, release=release, name=name, samba=samba, in_domain=in_domain, no_ntlm=no_ntlm
    )
    try:
        started = lab.up(config, progress=_progress())
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
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(name: str, as_json: bool) -> None:
    """Print the state of the lab; the exit code is 0 if a run can use it, and 3 if not.

    A run can use it when every node is OK and every public address has a host. If that is not so, the state
    is "unusable", and the next lines say why and how to mend it.

    \b
    swn-torture lab status                      # state, nodes, version and build ids of its Samba
    swn-torture lab status --name next --json   # the same for a program
    """
    from swn_torture import lab

    try:
        found = lab.status(name)
    except lab.LabError as problem:
        raise CommandError(problem, TARGET_UNUSABLE) from problem
    if as_json:
        click.echo(json.dumps(_as_tables(found), indent=2))
        sys.exit(0 if found.state == "up" else TARGET_UNUSABLE)
    click.echo(f"{found.name}: {found.state}")
    if found.problem:
        click.echo(f"  {found.problem}")
        click.echo(f"  Mend it with: swn-torture cluster restore --target {_profile_of(found)}")
        click.echo(f"  Or remove it with `swn-torture lab down --name {name}`, and start it as before.")
    for node in found.nodes:
        running = "running" if node.running else "stopped"
        hosted = " ".join(node.addresses) or "-"
        click.echo(f"  {node.name}  {node.address}  {running}  ctdb: {node.ctdb}  hosts: {hosted}")
    if found.lab is not None:
        click.echo(f"  {lab.title(found.lab)}")
        for program, build in found.lab.builds.items():
            click.echo(f"  {program}: build id {build}")
    for instance in lab.instances_of(name):
        of_instance = lab.status(instance)
        nodes = ", ".join(f"{node.name} {node.address}" for node in of_instance.nodes)
        click.echo(f"  instance {instance}: {of_instance.state}{f', {nodes}' if nodes else ''}")
    sys.exit(0 if found.state == "up" else TARGET_UNUSABLE)


def _as_tables(found: LabStatus) -> dict[str, Any]:
    """The state of a lab as tables and lists, for JSON."""
    from swn_torture import lab

    tables: dict[str, Any] = {"name": found.name, "state": found.state, "problem": found.problem}
    if found.lab is not None:
        tables |= {"release": found.lab.config.release, "samba": found.lab.config.samba}
        tables["product"] = lab.product(found.lab)
    return {**tables, "nodes": [dataclasses.asdict(node) for node in found.nodes]}


def _profile_of(found: LabStatus) -> str:
    """The profile that leads to a lab: the file in its directory, or the one that the user wrote."""
    written = found.lab.directory / "profile.toml" if found.lab is not None else None
    return str(written) if written is not None and written.is_file() else "PROFILE"


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
