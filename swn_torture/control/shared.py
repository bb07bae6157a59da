"""Texts and checks that several controllers share: the nodes in one line, and the keys of a profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from swn_torture.control.base import NodeStatus


def describe(nodes: Sequence[NodeStatus]) -> str:
    """The nodes with their states in one line, for messages."""
    return ", ".join(f"{n.name} {n.state.value} [{' '.join(n.addresses)}]" for n in nodes) or "no nodes"


def check_known_keys(settings: Mapping[str, Any], known: Iterable[str]) -> None:
    """Check that a ``[controller]`` table has no unknown key.

    Args:
        settings: the table, without ``kind``.
        known: the keys of this kind.

    Raises:
        ValueError: a key is unknown; the text names the first one and lists the known keys.
    """
    names = tuple(known)
    unknown = [key for key in settings if key not in names]
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}; known keys: {', '.join(names) or 'none'}")
