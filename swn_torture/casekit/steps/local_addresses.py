"""The IP addresses of this machine: to a server, each address is another client."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

_ROUTES = Path("/proc/net/fib_trie")
_INTERFACES = Path("/proc/net/if_inet6")
_LOCAL = re.compile(r"\|-- (\S+)\n\s+/32 host LOCAL")


def local_addresses() -> list[IPv4Address | IPv6Address]:
    """Every address of this network namespace, IPv4 first; none on systems without these files in /proc."""
    found: list[IPv4Address | IPv6Address] = []
    if _ROUTES.is_file():
        found += sorted({IPv4Address(each) for each in _LOCAL.findall(_ROUTES.read_text("ascii"))})
    if _INTERFACES.is_file():
        lines = _INTERFACES.read_text("ascii").splitlines()
        found += sorted({IPv6Address(bytes.fromhex(line.split()[0])) for line in lines})
    return found
