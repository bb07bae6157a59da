"""A reference cluster in the foreground, for `swn-torture serve`."""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import signal
from typing import TYPE_CHECKING

from swn_torture.server.nodes.admin import AdminServer
from swn_torture.server.nodes.cluster import ReferenceCluster

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from swn_torture.server.activity.log import ActivityLog
    from swn_torture.server.config import ClusterConfig
    from swn_torture.server.nodes.parts import Parts


async def serve(
    config: ClusterConfig,
    ready: Callable[[ReferenceCluster, AdminServer], None],
    stop: asyncio.Event | None = None,
    parts: Parts | None = None,
    activity: ActivityLog | None = None,
) -> None:
    """Run a cluster until SIGINT, SIGTERM or `stop`.

    Args:
        config: the configuration of the cluster.
        ready: called when the cluster and its administration have started.
        stop: stops the cluster when set.
        parts: the classes of its nodes.
        activity: observes the cluster; None for no observer.

    Raises:
        OSError: a node or the administration cannot listen.
    """
    _, maximum = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (maximum, maximum))  # each client needs a descriptor
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    async with (
        ReferenceCluster(config, parts, activity) as cluster,
        AdminServer(cluster, config.admin_address, config.admin_port, activity) as admin,
    ):
        leave_out_what_exists()
        # Before it says that Ctrl-C stops the cluster.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        try:
            ready(cluster, admin)
            await stop.wait()
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


def leave_out_what_exists() -> None:
    """Keep what exists already from the garbage collector; at the rest the command has it look seldom.

    With thousands of clients it would look at all their objects again and again: 3000 clients log on a fifth
    faster without that (bench/thousand_clients.py).
    """
    gc.collect()
    gc.freeze()


def introduction(cluster: ReferenceCluster, admin: AdminServer, profile: Path | None) -> list[str]:
    """Return the lines that explain how to reach a running cluster."""
    config = cluster.config
    lines = [f"Witness cluster {config.net_name} ({', '.join(config.aliases)}) is running.", ""]
    for name, aliases, own in config.network_names() if config.other_names else ():
        lines.append(f"  {', '.join((name, *aliases))}: {' '.join(own)}")
    lines += [""] if config.other_names else []
    for node in cluster.nodes.values():
        addresses = " ".join(str(address) for address in cluster.addresses_of(node.name))
        lines.append(f"  {node.name:<8} {addresses:<40} endpoint mapper {node.epm_port}, witness {node.port}")
    users = ", ".join(f"{config.domain}\\{user} / {password}" for user, password in config.users.items())
    shares = ", ".join(
        f"{share.name} (scale-out)" if share.scale_out else share.name for share in config.shares
    )
    lines += ["", f"  users    {users}", f"  shares   {shares}"]
    if config.smb_port is not None:
        lines += _shares_by_smb(cluster)
    if config.clusapi:
        lines.append(f"  ClusAPI  on the witness ports; the resource name is {config.net_name}")
    lines.append(f"  admin    JSON lines to {admin.address} port {admin.port}, for example")
    lines.append(
        f'           echo "{{\\"token\\": \\"$(cat {admin.token_file})\\", \\"do\\": \\"nodes\\"}}" '
        f"| nc -N {admin.address} {admin.port}"
    )
    if profile is not None:
        lines.append(f"  profile  {profile}: swn-torture cluster status --target {profile}")
    return [*lines, "", "Ctrl-C stops the cluster."]


def _shares_by_smb(cluster: ReferenceCluster) -> list[str]:
    config, node = cluster.config, next(iter(cluster.nodes.values()))
    ports = ", ".join(dict.fromkeys(str(node.smb_port) for node in cluster.nodes.values()))
    by = "dialect 2.0.2" if config.smbd is None else f"by {config.smbd}, dialects 2.0.2 to 3.1.1"
    user, password = next(iter(config.users.items()))
    example = (
        f"smbclient //{node.address}/{config.shares[0].name} -p {node.smb_port}" if config.shares else ""
    )
    return [
        f"  SMB      port {ports} of every node, {by}"
        + (f", for example\n           {example} -U '{config.domain}\\{user}%{password}'" if example else "")
    ]


def profile_of(cluster: ReferenceCluster, admin: AdminServer) -> str:
    """Return a target profile (TOML) of a running cluster."""
    config, options = cluster.config, cluster.config.options
    text = json.dumps  # a JSON string is a TOML one
    lines = [
        "# Written by swn-torture serve; valid while the cluster runs.",
        'schema = "swn-torture-target/1"',
        'name = "reference-served"',
        'title = "swn-torture reference cluster, served"',
        f"net_name = {text(config.net_name)}",
    ]
    for table, (user, password) in zip(("account", "second_account"), config.users.items(), strict=False):
        lines += ["", f"[{table}]", f"username = {text(user)}", f"password = {text(password)}"]
        lines.append(f"domain = {text(config.domain)}")
    for node in cluster.nodes.values():
        lines += ["", "[[node]]", f"name = {text(node.name)}", f"address = {text(node.address)}"]
        lines.append(f"endpoint_mapper_port = {node.epm_port}")
        lines += [f"smb_port = {node.smb_port}"] if node.smb_port is not None else []
    for name, aliases, addresses in config.network_names():
        lines += ["", "[[network_name]]", f"name = {text(name)}"]
        lines += [f"aliases = {text(aliases)}", f"addresses = {text(addresses)}"]
    lines += ["", "[controller]", 'kind = "reference"', f"address = {text(admin.address)}"]
    lines.append(f"port = {admin.port}")
    shares = ", ".join(
        f"{{ name = {text(share.name)}, scale_out = {text(share.scale_out)} }}" for share in config.shares
    )
    lines += [
        "",
        "[expect]",
        f"version = {2 if options.version.name == 'V2' else 1}",
        f"unused_timeout = {options.unused_timeout / options.time_scale}",
        f"scan_interval = {options.scan_interval / options.time_scale}",
        f"shares = [{shares}]",
        f"spare_addresses = {text(list(map(str, config.spare_addresses())))}",
        "",
    ]
    return "\n".join(lines)
