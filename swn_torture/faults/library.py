"""Servers that are wrong on purpose, to show that the suite bites.

Each fault is one small deviation from the conforming server, in a class of its own (`registry` tells how),
with the requirements it breaks. ``swn-torture faults`` lists them, ``swn-torture serve --fault NAME`` runs a
cluster that has one, and ``make mutants`` runs the suite against all of them.

Nothing here is imported until a fault is asked for.
"""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING

from swn_torture.faults.registry import FAULTS, Fault, FaultError, Registry, UnknownFault

if TYPE_CHECKING:
    from swn_torture.server.config import ClusterConfig
    from swn_torture.server.nodes.parts import Parts

__all__ = [
    "AREAS",
    "Fault",
    "FaultError",
    "Registry",
    "UnknownFault",
    "find_fault",
    "load_faults",
    "with_fault",
]

#: The modules that hold the faults, in the order in which they are listed.
AREAS = (
    "codes",
    "checks",
    "lists",
    "buffers",
    "changes",
    "moves",
    "timers",
    "registrations",
    "entries",
    "handles",
    "access",
    "layout",
    "waits",
    "stubs",
    "binding",
    "associations",
    "fragments",
    "calls",
    "cancels",
    "security",
    "mapper",
    "corners",
    "aftermath",
)


@functools.cache
def load_faults() -> Registry:
    """All faults.

    Raises:
        FaultError: one is declared wrongly.
    """
    for area in AREAS:
        importlib.import_module(f"{__name__}.{area}")
    return FAULTS


def find_fault(name: str) -> Fault:
    """The fault of that name.

    Raises:
        UnknownFault: there is none.
    """
    return load_faults().find(name)


def with_fault(config: ClusterConfig, name: str | None) -> tuple[ClusterConfig, Parts]:
    """A cluster's configuration and the classes of its nodes, with the named fault applied to both.

    Args:
        config: the conforming configuration.
        name: of the fault; None for none.

    Raises:
        UnknownFault: there is none of that name.
    """
    from swn_torture.server.nodes.parts import Parts

    return (config, Parts()) if name is None else find_fault(name).apply(config, Parts())
