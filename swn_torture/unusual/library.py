"""All unusual servers by name: the declared ones, and one for each value of each option of the reference.

``swn-torture unusual`` lists them, ``swn-torture serve --unusual NAME`` runs one, ``swn-torture run --unusual
NAME`` tests it, and ``make innocence-matrix`` runs the suite against all of them.

The modules of unusual servers are imported when one is asked for, not before.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
from typing import TYPE_CHECKING

from swn_torture.unusual.options import option_server, option_servers
from swn_torture.unusual.registry import UnknownUnusual, Unusual

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swn_torture.server.config import ClusterConfig
    from swn_torture.server.nodes.parts import Parts

__all__ = ["AREAS", "UnknownUnusual", "Unusual", "apply_unusual", "find_unusual", "load_unusual"]

#: The modules of `servers`, in the order in which unusual servers are listed; then the options.
AREAS = ("nodes", "mapper", "transport", "fields", "timing", "limits", "options")


@functools.cache
def load_unusual() -> Mapping[str, Unusual]:
    """Load all unusual servers, by name.

    The value of an option that a declared server sets, and nothing else, is not listed again.
    """
    found: dict[str, Unusual] = {}
    for area in AREAS[:-1]:
        module = importlib.import_module(f"swn_torture.unusual.servers.{area}")
        for server in module.SERVERS:
            found[server.name] = dataclasses.replace(server, area=area)
    plain = [s.settings for s in found.values() if not s.parts and s.config_change is None]
    found |= {server.name: server for server in option_servers() if server.settings not in plain}
    return found


def find_unusual(name: str) -> Unusual:
    """Return the unusual server of that name; ``NAME=VALUE`` is one for any option and value.

    Raises:
        UnknownUnusual: no unusual server has that name.
    """
    servers = load_unusual()
    found = servers.get(name) or option_server(name)
    if found is None:
        close = difflib.get_close_matches(name, servers, n=3, cutoff=0.4)
        hint = f"Close matches: {', '.join(close)}. " if close else ""
        raise UnknownUnusual(f"Unknown unusual server {name!r}. {hint}`swn-torture unusual` lists all.")
    return found


def apply_unusual(config: ClusterConfig, parts: Parts, name: str | None) -> tuple[ClusterConfig, Parts]:
    """Apply what the settings of an unusual server do not say to a cluster's configuration and classes.

    Args:
        config: the configuration, with the settings of the unusual server.
        parts: the classes of the nodes.
        name: name of the unusual server; None for none.

    Raises:
        UnknownUnusual: no unusual server has that name.
    """
    return (config, parts) if name is None else find_unusual(name).apply(config, parts)
