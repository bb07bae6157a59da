"""``swn-torture serve``: run the reference cluster, for developers of clients."""

from __future__ import annotations

import asyncio
import errno
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from swn_torture.commands import complete
from swn_torture.commands.errors import TARGET_UNUSABLE, USAGE, CommandError

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator, Mapping

    from swn_torture.server.activity.capture import Capture
    from swn_torture.server.activity.log import ActivityLog
    from swn_torture.server.nodes.admin import AdminServer
    from swn_torture.server.nodes.cluster import ReferenceCluster
    from swn_torture.unusual.registry import Unusual


LEVELS = ("debug", "info", "warning", "error", "off")
"""The choices of --log-level, as in `server.activity.output`, which the help text does not need."""


@click.command()
@click.option("--nodes", type=click.IntRange(1, 200), default=3, show_default=True, help="Number of nodes.")
@click.option(
    "--network",
    metavar="ADDRESS",
    help="Loopback /24 for the nodes, for instance 127.7.7.0 (default: a free one).",
)
@click.option(
    "--epm-port",
    type=click.IntRange(1, 65535),
    help="TCP port of the endpoint mappers (default: 135, or a free one).",
)
@click.option(
    "--admin-port",
    type=click.IntRange(1, 65535),
    help="TCP port of the administration interface (default: a free one).",
)
@click.option(
    "--net-name", default="SWNCLUSTER", show_default=True, help="NetName that clients register with."
)
@click.option(
    "--other-name",
    "other_names",
    metavar="NAME[=ALIAS,...]",
    multiple=True,
    help="Another network name of the cluster, with its aliases; each node has an interface for each name "
    "(repeatable).",
)
@click.option(
    "--user",
    "users",
    metavar="NAME%PASSWORD",
    multiple=True,
    help="Account that clients can use (repeatable).",
)
@click.option(
    "--option",
    "options",
    metavar="NAME=VALUE",
    multiple=True,
    help="Set an option of the server, for instance unused_timeout=5 (repeatable; see --list-options).",
)
@click.option(
    "--fault",
    metavar="NAME",
    shell_complete=complete.faults,
    help="Start the cluster with this fault; swn-torture faults lists them.",
)
@click.option(
    "--unusual",
    metavar="NAME",
    shell_complete=complete.unusual,
    help="Start the cluster as this unusual server; swn-torture unusual lists them.",
)
@click.option(
    "--half-made",
    metavar="NAME",
    help="Start the cluster as this half-made server; docs/half-made-servers.md lists them.",
)
@click.option(
    "--time-scale",
    type=float,
    metavar="FACTOR",
    help="Protocol seconds in one real second: with 100, a KeepAliveTimeout of 120 takes 1.2 s.",
)
@click.option(
    "--smb-port",
    type=click.IntRange(1, 65535),
    help="Serve the shares by SMB, too, on this port of every node.",
)
@click.option(
    "--smbd",
    metavar="PROGRAM",
    help="Serve the shares by Samba's smbd (4.20 or later, as root): SMB 3.1.1, with the capabilities by "
    "which a client asks for witness. Without it the dialect is 2.0.2.",
)
@click.option(
    "--share-root",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Directory with the contents of the shares: one subdirectory for each, named in capitals "
    "(default: empty temporary directories).",
)
@click.option(
    "--clusapi",
    is_flag=True,
    help="Serve some methods of ClusAPI (MS-CMRP) on the witness ports: open the network name, query and "
    "switch it.",
)
@click.option(
    "--log-level",
    type=click.Choice(LEVELS),
    default="info",
    show_default=True,
    help="Lines on standard error: info has connections, binds, logons, calls and events; warning only what "
    "the cluster rejects.",
)
@click.option("--log-json", is_flag=True, help="Write each line as a JSON object (docs/serve-log.md).")
@click.option(
    "--capture",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write all octets to this pcapng file, with the lines of the log as comments of the packets.",
)
@click.option("--list-options", is_flag=True, help="List the options of the server and exit.")
@click.option(
    "--write-profile",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a target profile to this file.",
)
def command(
    nodes: int,
    network: str | None,
    epm_port: int | None,
    admin_port: int | None,
    net_name: str,
    other_names: tuple[str, ...],
    users: tuple[str, ...],
    options: tuple[str, ...],
    fault: str | None,
    unusual: str | None,
    half_made: str | None,
    time_scale: float | None,
    smb_port: int | None,
    smbd: str | None,
    share_root: Path | None,
    clusapi: bool,
    log_level: str,
    log_json: bool,
    capture: Path | None,
    list_options: bool,
    write_profile: Path | None,
) -> None:
    """Run a witness cluster on loopback until Ctrl-C. It conforms to MS-SWN 14.0.

    `swn-torture cluster` changes it: nodes fail and recover, clients and shares move.

    \b
    swn-torture serve --write-profile ref.toml
    swn-torture client watch --target ref.toml --client-name ME
    swn-torture cluster disable NODE2 --target ref.toml

    With --smb-port the cluster serves shares that clients can mount. Samba's own test needs no more than
    this:

    \b
    swn-torture serve --clusapi --smb-port 4455 --time-scale 100 --option unused_timeout=3000
    smbtorture 'ncacn_ip_tcp:ADDRESS[PORT,sign]' -U 'SWNTEST\\witness%Passw0rd!' \\
        --option=torture:net_name=SWNCLUSTER --option='smb ports=4455' rpc.witness

    For the author of a client: each PDU that the cluster rejects has a line with the field, its octets and
    the section that it violates. --capture has them as comments, which tshark and Wireshark show:

    \b
    swn-torture serve --capture client.pcapng
    tshark -r client.pcapng -Y frame.comment -T fields -e frame.number -e frame.comment

    Where the specification leaves a choice, the server has a documented default; --option changes it.
    """
    from swn_torture.faults.library import with_fault
    from swn_torture.server.config import ClusterConfig, ConfigError
    from swn_torture.server.nodes.serve import introduction, profile_of, serve
    from swn_torture.server.state.options import OptionError

    if list_options:
        _list_options()
        return
    _check_combinations({"--share-root": share_root, "--smbd": smbd}, smb_port, fault, unusual or half_made)
    settings: dict[str, Any] = {"nodes": nodes, "net_name": net_name}
    given = {"network": network, "epm_port": epm_port, "admin_port": admin_port, "time_scale": time_scale}
    given |= {"smb_port": smb_port, "smbd": smbd, "clusapi": clusapi or None}
    given["share_root"] = None if share_root is None else str(share_root.resolve())
    settings["other_names"] = [_other_name(each) for each in other_names]
    settings |= {name: value for name, value in given.items() if value is not None}
    settings |= _options(options)
    server = None if unusual is None else _unusual(unusual)
    if server is not None:
        settings = server.embedded(settings)
        del settings["unusual"]
    if users:
        settings["users"] = dict(_user(user) for user in users)

    def ready(cluster: ReferenceCluster, admin: AdminServer) -> None:
        if write_profile is not None:
            _write(write_profile, profile_of(cluster, admin))
        for line in introduction(cluster, admin, write_profile):
            click.echo(line)

    try:
        config, parts = with_fault(ClusterConfig.from_mapping(settings), fault)
        if server is not None:
            config, parts = server.apply(config, parts)
        if half_made is not None:
            from swn_torture.halfmade.library import find_half_made

            config, parts = find_half_made(half_made).apply(config, parts)
        with _activity(log_level, log_json, capture) as activity:
            asyncio.run(serve(config, ready, parts=parts, activity=activity))
    except (ConfigError, OptionError) as problem:
        text = str(problem).removesuffix(".")
        raise CommandError(f"The cluster cannot be configured: {text}.", USAGE) from problem
    except OSError as problem:
        raise CommandError(_cannot_start(problem), TARGET_UNUSABLE) from problem


def _cannot_start(problem: OSError) -> str:
    """Why the cluster cannot start, and how to mend it."""
    text = f"The cluster cannot start: {problem.strerror or problem}."
    if isinstance(problem, PermissionError):
        text += " Ports below 1024 need root or CAP_NET_BIND_SERVICE; choose another port."
    if problem.errno == errno.EADDRNOTAVAIL:
        text += (
            " This machine does not have that address. Choose a network of the loopback range (--network "
            "127.50.1.0), or give this machine the addresses first."
        )
    return text


def _other_name(text: str) -> dict[str, Any]:
    """The table of another network name, from NAME or NAME=ALIAS,ALIAS."""
    name, _, aliases = text.partition("=")
    return {"name": name, "aliases": [alias for alias in aliases.split(",") if alias]}


@contextmanager
def _activity(level: str, as_json: bool, path: Path | None) -> Iterator[ActivityLog | None]:
    """The observer of the cluster, None if nothing is to be observed."""
    from swn_torture.server.activity.output import log_to

    if level == "off" and path is None:
        yield None
        return
    from swn_torture.server.activity.log import ActivityLog

    with log_to(level, as_json=as_json) as logger, ExitStack() as stack:
        capture = None if path is None else stack.enter_context(_capture(path, logger))
        yield ActivityLog(logger, capture)


def _capture(path: Path, logger: logging.Logger) -> Capture:
    from swn_torture.server.activity.capture import Capture

    def failed(problem: OSError) -> None:
        logger.error("the capture %s ends here: %s", path, problem.strerror)

    try:
        return Capture(path, failed)
    except OSError as problem:
        raise CommandError(f"Cannot write the capture {path}: {problem.strerror}.", USAGE) from problem


def _check_combinations(
    of_shares: Mapping[str, object], smb_port: int | None, fault: str | None, unusual: str | None
) -> None:
    for option, value in of_shares.items():
        if value is not None and smb_port is None:
            raise click.UsageError(f"{option} needs --smb-port, which serves the shares.")
    if fault is not None and unusual is not None:
        raise click.UsageError("A cluster has only one of --fault, --unusual and --half-made.")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise CommandError(f"Cannot write the profile {path}: {problem.strerror}.", USAGE) from problem


def _unusual(name: str) -> Unusual:
    from swn_torture.unusual.library import UnknownUnusual, find_unusual

    try:
        return find_unusual(name)
    except UnknownUnusual as problem:
        raise CommandError(problem, USAGE) from problem


def _options(texts: tuple[str, ...]) -> dict[str, Any]:
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"'{text}' must be NAME=VALUE", param_hint="--option")
        found[name.replace("-", "_")] = _plain(value)
    return found


def _user(text: str) -> tuple[str, str]:
    name, percent, password = text.partition("%")
    if not name or not percent:
        raise click.BadParameter(f"'{text}' must be NAME%PASSWORD", param_hint="--user")
    return name, password


def _plain(text: str) -> Any:
    """The value as TOML reads it; the text itself when it is not TOML."""
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _list_options() -> None:
    import dataclasses

    from swn_torture.server.state.options import Options

    ambiguities = {name: amb for amb, names in Options.fields_by_ambiguity().items() for name in names}
    for option in dataclasses.fields(Options):
        click.echo(f"{option.name:<28} {ambiguities.get(option.name, ''):<8} default {option.default}")
