"""The kinds of controllers: the word in a profile's ``[controller]`` table, and the class that it chooses.

A new kind is one module and one line here. The module is imported when a profile chooses it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from swn_torture.control.base import Controller

#: Kind -> module in this package and class.
KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "none": ("none", "NoController"),
    "reference": ("reference", "ReferenceController"),
    "ctdb": ("ctdb", "CtdbController"),
}


def controller_class(kind: str) -> type[Controller]:
    """The class of a kind.

    Raises:
        ValueError: the kind is unknown; the text lists the known ones.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}; known kinds: {', '.join(KINDS)}")
    module, name = KINDS[kind]
    found: type[Controller] = getattr(importlib.import_module(f"swn_torture.control.{module}"), name)
    return found


def controller_from(settings: Mapping[str, Any]) -> Controller:
    """A controller from the ``[controller]`` table of a profile, not yet opened.

    Args:
        settings: the table; its key ``kind`` chooses the class, all other keys are that class's settings.

    Raises:
        ValueError: the kind is unknown or missing, or a setting is wrong; the text names it.
    """
    own = dict(settings)
    return controller_class(str(own.pop("kind", ""))).from_settings(own)
