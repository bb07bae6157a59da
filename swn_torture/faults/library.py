"""All faults, by name: servers that are wrong on purpose, to show that the cases find defects.

Each fault is one small deviation from the conforming server, in a class of its own, with the requirements
that it violates; `registry` says how one is declared. ``swn-torture faults`` lists them, ``swn-torture serve
--fault NAME`` runs a cluster that has one, and ``make fault-matrix`` runs the suite against all of them.

The modules of faults are imported when a fault is asked for, not before.
"""

from __future__ import annotations

import functools
import importlib
import tomllib
from importlib import resources
from typing import TYPE_CHECKING

from swn_torture.faults.registry import FAULTS, KINDS, Fault, FaultError, Kind, Registry, UnknownFault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swn_torture.server.config import ClusterConfig
    from swn_torture.server.nodes.parts import Parts

__all__ = [
    "AREAS",
    "KINDS",
    "Fault",
    "FaultError",
    "Kind",
    "Registry",
    "UnknownFault",
    "find_fault",
    "load_faults",
    "renamed_faults",
    "with_fault",
]

#: The rooms and their modules of faults, in the order in which faults are listed.
ROOMS = {
    "witness": (
        *("codes", "checks", "check_order", "lists", "buffers", "changes", "failures", "moves", "timers"),
        *("registrations", "handles", "access", "layout", "network_names"),
    ),
    "transport": (
        *(
            "stubs",
            "binding",
            "associations",
            "fragments",
            "fields",
            "calls",
            "cancels",
            "security",
            "spnego",
            "mapper",
        ),
        "first_answers",
    ),
    "narrowed": (
        "entries",
        "pending_calls",
        "conditions",
        "after_errors",
        "several_defects",
        "objects",
        "towers",
    ),
}

#: The names of the areas: the modules, with dashes.
AREAS = tuple(module.replace("_", "-") for modules in ROOMS.values() for module in modules)


@functools.cache
def load_faults() -> Registry:
    """Load all faults.

    Raises:
        FaultError: a fault is declared wrongly.
    """
    for room, modules in ROOMS.items():
        for module in modules:
            importlib.import_module(f"swn_torture.faults.{room}.{module}")
    return FAULTS


@functools.cache
def renamed_faults() -> Mapping[str, str]:
    """Return the present names of faults by their old names, from ``renamed.toml``."""
    text = resources.files(__package__).joinpath("renamed.toml").read_text(encoding="utf-8")
    names: dict[str, str] = tomllib.loads(text)["faults"]
    return names


def find_fault(name: str) -> Fault:
    """Return the fault of that name; an old name finds the fault under its present name.

    Raises:
        UnknownFault: no fault has that name.
    """
    return load_faults().find(renamed_faults().get(name, name))


def with_fault(config: ClusterConfig, name: str | None) -> tuple[ClusterConfig, Parts]:
    """Apply a fault to a cluster's configuration and to the classes of its nodes.

    Args:
        config: the conforming configuration.
        name: name of the fault; None for no fault.

    Raises:
        UnknownFault: no fault has that name.
    """
    from swn_torture.server.nodes.parts import Parts

    return (config, Parts()) if name is None else find_fault(name).apply(config, Parts())
