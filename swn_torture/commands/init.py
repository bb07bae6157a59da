"""``swn-torture init``: ask a server for what a profile says, and write one."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from swn_torture.commands.errors import TARGET_UNUSABLE, USAGE, CommandError

if TYPE_CHECKING:
    from swn_torture.account import Account

#: The variable that holds the password of a profile.
_VARIABLE = "SWN_PASSWORD"


@click.command()
@click.argument("address")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="TCP port of the witness endpoint, if there is no endpoint mapper.",
)
@click.option(
    "--endpoint-mapper-port",
    "mapper_port",
    type=click.IntRange(1, 65535),
    default=135,
    show_default=True,
    help="TCP port of the endpoint mapper.",
)
@click.option(
    "--user",
    "-U",
    metavar="[DOMAIN\\]USER%SECRET",
    help=f"An ordinary user. Without %SECRET, the password is in --password-file or {_VARIABLE}. "
    "Without this option the server is called without authentication.",
)
@click.option(
    "--password-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File with the password; the profile names it.",
)
@click.option("--store-password", is_flag=True, help="Write the password into the profile itself.")
@click.option(
    "--net-name",
    default="",
    metavar="NAME",
    help="NetName of the cluster; without it, the names that the server says are tried.",
)
@click.option(
    "-o",
    "output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The profile to write; it must not exist (default: NAME.toml; - is standard output).",
)
def command(
    address: str,
    port: int | None,
    mapper_port: int,
    user: str | None,
    password_file: Path | None,
    *,
    store_password: bool,
    net_name: str,
    output: Path | None,
) -> None:
    """Ask the server at ADDRESS for its nodes, names, version and shares, and write a commented profile.

    The password is not written: the profile names the environment variable SWN_PASSWORD, or your file. For a
    server without an endpoint mapper add --port; for one without security leave out -U.

    \b
    swn-torture init 198.51.100.100 -U 'DOMAIN\\user%secret' --net-name CLUSTER -o new.toml

    Exit codes: 0 written, 2 usage error, 3 the server cannot be asked.
    """
    from swn_torture.doctor.new_profile import NotAsked, ask_server, profile_text
    from swn_torture.report.text import count
    from swn_torture.target import NodeAddress

    account = _account(user, password_file)
    node = NodeAddress("node1", address, endpoint_mapper_port=mapper_port, port=port)
    try:
        asked = asyncio.run(ask_server(node, account, net_name))
    except NotAsked as problem:
        raise CommandError(f"The server at {address} cannot be asked. {problem}", TARGET_UNUSABLE) from None
    line = f'password_env = "{_VARIABLE}"'
    if store_password:
        line = f"password = {_toml(account.password)}"
    elif password_file is not None:
        line = f"password_file = {_toml(str(password_file.resolve()))}"
    text = profile_text(asked, line)
    path = output or Path(f"{asked.profile.name}.toml")
    _write(path, text)
    for note in asked.notes:
        click.echo(f"Note: {note}", err=True)
    if str(path) == "-":
        return
    known = "" if asked.confirmed else " (not confirmed)"
    nodes = count(len(asked.profile.nodes), "node")
    click.echo(f"Wrote {path}: {nodes}, NetName {asked.profile.net_name}{known}.")
    if not asked.profile.account.anonymous and not store_password and password_file is None:
        click.echo(f"The profile takes the password from the environment: export {_VARIABLE}=...")
    click.echo(f"Next: swn-torture doctor --target {path}, then swn-torture run --target {path}")


def _account(user: str | None, password_file: Path | None) -> Account:
    """The account of -U, with its password from there, from a file or from the environment.

    Raises:
        CommandError: there is no password, or the file cannot be read.
    """
    from swn_torture.account import Account
    from swn_torture.target import ProfileError, password_in

    if user is None:
        return Account("", "", "", "none")
    name, given, secret = user.partition("%")
    domain, _, name = name.rpartition("\\")
    if password_file is not None:
        try:
            secret = password_in(password_file)
        except ProfileError as problem:
            raise CommandError(problem, USAGE) from problem
    elif not given:
        secret = os.environ.get(_VARIABLE, "")
    if not secret:
        raise CommandError(
            f"There is no password for {user}. Write -U '{user}%SECRET', set {_VARIABLE}, or name a file "
            "with --password-file.",
            USAGE,
        )
    return Account(name, secret, domain)


def _write(path: Path, text: str) -> None:
    """Write a file that does not exist yet; only its owner can read it.

    Raises:
        CommandError: it exists, or cannot be written.
    """
    if str(path) == "-":
        click.echo(text, nl=False)
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CommandError(
            f"{path} exists, and is not overwritten. Name another file with -o.", USAGE
        ) from None
    except OSError as problem:
        raise CommandError(f"{path} cannot be written: {problem.strerror}.", USAGE) from problem
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _toml(text: str) -> str:
    import json

    return json.dumps(text, ensure_ascii=False)
