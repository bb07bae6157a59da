"""The addresses of a lab: which address each node and the client have.

Each *block* is the plan of one cluster. Block 0 is the lab itself, the others are its instances
(``instances``), which are on the same network. IPv4 has the networks that RFC 5737 reserves for
documentation. IPv6 has one unique local /48 (RFC 4193), so that all blocks are on one link.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

MAX_NODES: Final = 16
"""Nodes of a lab."""
MAX_NODES_OF_INSTANCE: Final = 4
MAX_BLOCK: Final = 14

_NETWORK: Final = IPv4Address("198.51.100.0")
_INSTANCES: Final = IPv4Address("203.0.113.0")
_NETWORK_6: Final = IPv6Address("fd53:574e::")
_PREFIX_LENGTHS: Final = {4: 24, 6: 48}


def with_prefix(address: str) -> str:
    """Return an address of a lab with its prefix length: `198.51.100.10/24`."""
    return f"{address}/{_PREFIX_LENGTHS[ip_address(address).version]}"


def client_addresses(*, ipv6: bool) -> tuple[str, ...]:
    """Return the addresses of the client: two in each network, so that a case can act as two clients."""
    networks = [_NETWORK, _INSTANCES, *([_NETWORK_6] if ipv6 else ())]
    return tuple(str(network + number) for network in networks for number in (1, 2))


def controller_addresses() -> tuple[str, ...]:
    """Return the addresses of the domain controller, one in each IPv4 network; names lead to the first."""
    return tuple(str(network + 5) for network in (_NETWORK, _INSTANCES))


def node_address(block: int, index: int) -> str:
    """Return the fixed IPv4 address of a node: CTDB's own address, which never moves."""
    return str(_NETWORK + 10 + index if block == 0 else _INSTANCES + 16 * block + 1 + index)


def node_address_6(block: int, index: int) -> str:
    """Return the fixed IPv6 address of a node."""
    return str(_block_6(block) + 0x10 + index)


def public_addresses(block: int, index: int, *, ipv6: bool) -> tuple[str, ...]:
    """Return the public addresses that CTDB gives a node while all nodes are healthy, IPv4 first.

    There are two of each family, so that a notification that lists only the first address of a node differs
    from one that lists all. CTDB's deterministic allocation starts with the highest address and goes round
    the nodes. So each node has one address of each row of consecutive addresses.
    """
    if block == 0:
        found = [_NETWORK + 200 - index, _NETWORK + 180 - index]
    else:
        found = [_INSTANCES + 16 * block + 15 - index, _INSTANCES + 16 * block + 10 - index]
    addresses = [str(address) for address in found]
    if ipv6:
        addresses += [str(_block_6(block) + row - index) for row in (0x200, 0x180)]
    return tuple(addresses)


def block_of(address: str) -> int | None:
    """Return the block that has this address of a node, fixed or public; None if no block has it."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address):
        block = (int(parsed) - int(_NETWORK_6)) >> 64
        return block if 0 <= block <= MAX_BLOCK else None
    if 0 <= int(parsed) - int(_NETWORK) < 256:
        return 0
    offset = int(parsed) - int(_INSTANCES)
    return offset // 16 if 16 <= offset < 16 * (MAX_BLOCK + 1) else None


def spare_addresses(block: int) -> tuple[str, ...]:
    """Return one unused address of each family, for cases that add an address to the cluster."""
    unused = _NETWORK + 240 if block == 0 else _INSTANCES + 16 * block + 6
    return str(unused), str(_block_6(block) + 0x240)


def _block_6(block: int) -> IPv6Address:
    return _NETWORK_6 + (block << 64)


def host_has_ipv6() -> bool:
    """Whether the kernel of this machine has IPv6."""
    return Path("/proc/sys/net/ipv6").exists()
