"""``swn-torture serve``: the reference cluster by itself."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from swn_torture.commands.errors import TARGET_UNUSABLE, USAGE, explain

if TYPE_CHECKING:
    from swn_torture.server.admin import AdminServer
    from swn_torture.server.cluster import ReferenceCluster
    from swn_torture.server.shares import Share


@click.command(short_help="Run the reference cluster, for people who develop clients.")
@click.option(
    "--nodes", default=3, show_default=True, metavar="N", type=click.IntRange(1, 250), help="How many nodes."
)
@click.option("--network", metavar="ADDRESS", help="Loopback /24 of the nodes, such as 127.7.7.0.")
@click.option("--net-name", metavar="NAME", help="The name of the cluster (NetName), SWNCLUSTER by default.")
@click.option("--domain", metavar="NAME", help="NetBIOS domain of the users, SWNTEST by default.")
@click.option("--user", "users", multiple=True, metavar="NAME:PASSWORD", help="A user; may be repeated.")
@click.option("--share", "shares", multiple=True, metavar="NAME[:sofs]", help="A share; may be repeated.")
@click.option("--admin-port", type=int, metavar="PORT", help="TCP port for orders; any free one by default.")
@click.option(
    "--epm-port", type=int, metavar="PORT", help="Of the endpoint mappers; 135 where allowed by default."
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="A choice of the server, such as time_scale=100 or version=V1; may be repeated.",
)
@click.option("--list-options", is_flag=True, help="List the choices with their defaults, and end.")
@click.option(
    "--write-profile",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a target profile for this cluster.",
)
@click.option("-v", "--verbose", is_flag=True, help="Say what the servers do.")
def command(*, options: tuple[str, ...], list_options: bool, verbose: bool, **settings: Any) -> None:
    """Run a reference witness cluster in the foreground, until Ctrl-C.

    Its nodes listen on loopback addresses, each with its own endpoint mapper. It obeys `swn-torture cluster`
    (with the profile that --write-profile writes) and JSON lines on its admin port.

    \b
    swn-torture serve --write-profile reference.toml
    swn-torture serve --option time_scale=100 --option denied_by=fault
    """
    from swn_torture.server.config import ClusterConfig, ConfigError
    from swn_torture.server.serve import introduction, profile_of, serve

    if list_options:
        _list_options()
        return
    if verbose:
        logging.basicConfig(level=logging.DEBUG)
    profile = settings.pop("write_profile")
    values = {name: value for name, value in settings.items() if value not in {None, ()}}
    try:
        users = dict(_pair(user, ":", "--user") for user in values.pop("users", ()))
        shares = tuple(_share(share) for share in values.pop("shares", ()))
        values |= {name: _plain(value) for name, value in (_pair(o, "=", "--option") for o in options)}
        defaults: dict[str, Any] = ({"users": users} if users else {}) | (
            {"shares": shares} if shares else {}
        )
        config = ClusterConfig.from_mapping(values, **defaults)
    except ConfigError as problem:
        raise explain(problem, USAGE) from problem

    def ready(cluster: ReferenceCluster, admin: AdminServer) -> None:
        if profile is not None:
            profile.write_text(profile_of(cluster, admin), encoding="utf-8")
        for line in introduction(cluster, admin, profile):
            click.echo(line)

    try:
        asyncio.run(serve(config, ready))
    except OSError as problem:
        raise explain(f"The cluster cannot run: {problem}.", TARGET_UNUSABLE) from problem


def _list_options() -> None:
    from swn_torture.server.options import Options

    settled = {name: amb for amb, names in Options.settled().items() for name in names}
    for name, value in Options().to_mapping().items():
        shown = ",".join(value) if isinstance(value, list) else value
        click.echo(f"{name:<28} {shown!s:<48} {settled.get(name, '')}")


def _pair(text: str, separator: str, option: str) -> tuple[str, str]:
    from swn_torture.server.config import ConfigError

    name, found, value = text.partition(separator)
    if not found or not name:
        raise ConfigError(f"{option} has to look like NAME{separator}VALUE, and is {text!r}")
    return name, value


def _plain(text: str) -> Any:
    """A value as TOML would have it: a number, true or false, a list by commas, or text."""
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text, 0) if kind is int else kind(text)
        except ValueError:
            continue
    return text.split(",") if "," in text else text


def _share(text: str) -> Share:
    from swn_torture.server.config import ConfigError
    from swn_torture.server.shares import Share, ShareType

    name, _, kind = text.partition(":")
    if kind not in {"", "sofs"} or not name:
        raise ConfigError(f"--share has to look like NAME or NAME:sofs, and is {text!r}")
    return Share(name, ShareType.CLUSTER_SOFS if kind else ShareType.CLUSTER_FS)
