"""Names, addresses and ports of the nodes."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING

from swn_torture.harness.preflight.mapping import mapped_port

if TYPE_CHECKING:
    from swn_torture.doctor.links import Links
    from swn_torture.harness.preflight.mapping import Mapped
    from swn_torture.harness.preflight.patience import Patience
    from swn_torture.target import NodeAddress

#: Seconds to wait for a TCP connection.
CONNECT_S = 3.0


async def check_name(node: NodeAddress, links: Links) -> bool:
    """Resolve the address of a node; returns whether it has one."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(node.address, None, type=socket.SOCK_STREAM)
    except OSError as problem:
        links.broken(
            "name resolution",
            f"{node.address} has no address: {problem.strerror or problem}",
            f"write an IP address as address of [[node]] {node.name}, or add the name to DNS or /etc/hosts",
            node.name,
        )
        return False
    addresses = sorted({str(each[4][0]) for each in found})
    links.ok("name resolution", f"{node.address} is {', '.join(addresses)}", node.name)
    return True


async def knock(address: str, port: int) -> str:
    """Connect to a TCP port and close again; returns "" or why there is no connection."""
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(address, port)
    except TimeoutError:
        return f"no answer within {CONNECT_S:g} s"
    except OSError as problem:
        known = {errno.ECONNREFUSED: "connection refused"}
        return known.get(problem.errno or 0, problem.strerror or str(problem))
    writer.close()
    return ""


async def check_reachable(node: NodeAddress, links: Links) -> bool:
    """Whether the host of a node answers at all: a refused connection is an answer, too."""
    ports = [node.endpoint_mapper_port, *([node.port] if node.port else [])]
    said = {port: await knock(node.address, port) for port in ports}
    answers = [port for port, problem in said.items() if problem in {"", "connection refused"}]
    text = ", ".join(f"TCP port {port}: {problem or 'open'}" for port, problem in said.items())
    if answers:
        links.ok("reachable", text, node.name)
        return True
    links.broken(
        "reachable",
        f"{node.address} does not answer ({text})",
        f"check the address of [[node]] {node.name}, the route to it (`ip route get {node.address}`), and "
        "the firewalls on the way; a lab in a network namespace needs network_namespace in the profile",
        node.name,
    )
    return False


async def check_mapper(node: NodeAddress, patience: Patience, links: Links) -> int | None:
    """Ask the endpoint mapper; returns the TCP port of the witness endpoint, from the profile or from it."""
    mapped = await mapped_port(node, patience)
    if mapped.port is not None:
        text = (
            f"TCP port {node.endpoint_mapper_port} says that the witness endpoint is TCP port {mapped.port}"
        )
        if node.port in {None, mapped.port}:
            links.ok("endpoint mapper", text, node.name)
        else:
            mend = f"write port = {mapped.port} in [[node]] {node.name}, or leave it out"
            links.note("endpoint mapper", f"{text}; the profile says {node.port}", mend, node.name)
        return node.port or mapped.port
    if node.port is not None:
        text = f"it gives no witness endpoint ({mapped.problem}); the profile says port = {node.port}"
        links.note("endpoint mapper", text, where=node.name)
        return node.port
    links.broken("endpoint mapper", _no_port(node, mapped), _mend_mapper(node, mapped), node.name)
    return None


def _no_port(node: NodeAddress, mapped: Mapped) -> str:
    return f"TCP port {node.endpoint_mapper_port} gives no witness endpoint: {mapped.problem}"


def _mend_mapper(node: NodeAddress, mapped: Mapped) -> str:
    fixed = f"if the port of the witness endpoint is fixed, write port = NUMBER in [[node]] {node.name}"
    if mapped.answers:
        return f"start the witness service, so that it registers its endpoint; {fixed}"
    other = f"set endpoint_mapper_port in [[node]] {node.name} if it is not {node.endpoint_mapper_port}"
    return f"start the endpoint mapper; {other}; {fixed}"


async def check_port(node: NodeAddress, port: int, links: Links) -> bool:
    """Connect to the witness endpoint; returns whether there is a connection."""
    problem = await knock(node.address, port)
    if not problem:
        links.ok("witness endpoint", f"TCP port {port} is open", node.name)
        return True
    from_profile = node.port is not None
    mend = (
        f"correct or leave out port = {port} in [[node]] {node.name}"
        if from_profile
        else "restart the witness service: its endpoint mapper names a port at which nobody listens"
    )
    firewall = "; open the port in the firewall" if "no answer" in problem else ""
    links.broken("witness endpoint", f"TCP port {port}: {problem}", mend + firewall, node.name)
    return False
