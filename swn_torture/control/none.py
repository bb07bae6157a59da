"""The controller of a target whose cluster the suite cannot change: it has no capability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from typing_extensions import override

from swn_torture.control.base import Capability, Controller
from swn_torture.control.shared import check_known_keys

if TYPE_CHECKING:
    from collections.abc import Mapping


class NoController(Controller):
    """The controller of a profile without ``[controller]``.

    Every call that needs a capability raises `NotSupported`.
    """

    kind = "none"

    @classmethod
    @override
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Make the controller; this kind has no settings.

        Raises:
            ValueError: there is a setting.
        """
        check_known_keys(settings, ())
        return cls()

    @property
    @override
    def capabilities(self) -> frozenset[Capability]:
        """The empty set."""
        return frozenset()

    @override
    async def wait_healthy(self, timeout: float = 60.0) -> None:
        """Return at once: the suite changes nothing in this cluster."""
        return

    @override
    async def restore(self, timeout: float = 120.0) -> None:
        """Return at once: the suite changes nothing in this cluster."""
        return
