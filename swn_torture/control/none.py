"""The controller of a target that nobody moves: it can do nothing, and is always in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from typing_extensions import override

from swn_torture.control.base import Capability, Controller, no_unknown

if TYPE_CHECKING:
    from collections.abc import Mapping


class NoController(Controller):
    """Stands in where the profile names no controller; every order raises `NotSupported`."""

    kind = "none"

    @classmethod
    @override
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Make one; this kind has no settings."""
        no_unknown(settings, ())
        return cls()

    @property
    @override
    def capabilities(self) -> frozenset[Capability]:
        """The empty set."""
        return frozenset()

    @override
    async def wait_healthy(self, timeout: float = 60.0) -> None:
        """Return at once: what cannot be disturbed needs no repair."""
        return

    @override
    async def restore(self, timeout: float = 120.0) -> None:
        """Return at once: what cannot be disturbed needs no repair."""
        return
