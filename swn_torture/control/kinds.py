"""The registry of the kinds of controllers: the word in a ``[controller]`` table, and the class it selects.

A new kind is one module and one line here. The module is imported when a profile selects the kind.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from swn_torture.control.base import Controller

#: Kind -> module in this package, and class.
KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "none": ("none", "NoController"),
    "reference": ("reference", "ReferenceController"),
    "ctdb": ("ctdb.controller", "CtdbController"),
    "samba-selftest": ("samba_selftest", "SambaSelftestController"),
    "clusapi": ("clusapi.controller", "ClusapiController"),
    "manual": ("manual.controller", "ManualController"),
    "command": ("command.controller", "CommandController"),
}


def controller_class(kind: str) -> type[Controller]:
    """Return the class of a kind.

    Raises:
        ValueError: the kind is unknown; the text lists the known ones.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}; known kinds: {', '.join(KINDS)}")
    module, name = KINDS[kind]
    found: type[Controller] = getattr(importlib.import_module(f"swn_torture.control.{module}"), name)
    return found


def controller_from(settings: Mapping[str, Any]) -> Controller:
    """Return a controller made from the ``[controller]`` table of a profile. It is not open yet.

    Args:
        settings: the table. Its key ``kind`` selects the class; all other keys are settings of that class.

    Raises:
        ValueError: the kind is unknown or missing, or a setting is wrong; the text names it.
    """
    own = dict(settings)
    return controller_class(str(own.pop("kind", ""))).from_settings(own)
