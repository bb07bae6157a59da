"""All half-made servers by name. ``swn-torture serve --half-made NAME`` runs one."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
from typing import TYPE_CHECKING

from swn_torture.halfmade.registry import HalfMade, UnknownHalfMade

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AREAS", "HalfMade", "UnknownHalfMade", "find_half_made", "load_half_made"]

#: The modules of `servers`, in the order in which half-made servers are listed.
AREAS = ("transport", "methods", "encodings")


@functools.cache
def load_half_made() -> Mapping[str, HalfMade]:
    """Load all half-made servers, by name."""
    found: dict[str, HalfMade] = {}
    for area in AREAS:
        module = importlib.import_module(f"swn_torture.halfmade.servers.{area}")
        for server in module.SERVERS:
            found[server.name] = dataclasses.replace(server, area=area)
    return found


def find_half_made(name: str) -> HalfMade:
    """Return the half-made server of that name.

    Raises:
        UnknownHalfMade: no half-made server has that name; the text lists all.
    """
    servers = load_half_made()
    if name not in servers:
        close = difflib.get_close_matches(name, servers, n=3, cutoff=0.4)
        hint = f"Close matches: {', '.join(close)}. " if close else ""
        raise UnknownHalfMade(f"Unknown half-made server {name!r}. {hint}All: {', '.join(servers)}.")
    return servers[name]
