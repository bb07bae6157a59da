"""A controller around another one, which answers its queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from typing_extensions import override

from swn_torture.control.base import Controller

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swn_torture.control.stimulus import Stimulus
    from swn_torture.control.values import Capability, NodeStatus, RegistrationView, ShareView


class WrappedController(Controller):
    """A controller that passes queries on; subclasses say what happens to the calls that change something.

    Args:
        inner: the controller that answers.

    Attributes:
        inner: as the argument.
    """

    def __init__(self, inner: Controller) -> None:
        self.inner = inner
        self.kind = inner.kind
        self.needs_person = inner.needs_person

    @classmethod
    @override
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        raise NotImplementedError("it is made from another controller")

    @property
    @override
    def capabilities(self) -> frozenset[Capability]:
        return self.inner.capabilities

    @override
    def impossible(self, capability: Capability) -> str:
        return self.inner.impossible(capability)

    @override
    def stimulus(self, capability: Capability) -> Stimulus:
        return self.inner.stimulus(capability)

    @override
    async def nodes(self) -> tuple[NodeStatus, ...]:
        return await self.inner.nodes()

    @override
    async def registrations(self) -> tuple[RegistrationView, ...]:
        return await self.inner.registrations()

    @override
    async def shares(self) -> tuple[ShareView, ...]:
        return await self.inner.shares()

    @override
    async def wait_healthy(self, timeout: float = 60.0) -> None:
        await self.inner.wait_healthy(timeout)
