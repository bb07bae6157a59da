"""A controller that hands each call over as a value, so that one call can be made for several cases."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from swn_torture.control.base import Failure
from swn_torture.control.manual.call import Call
from swn_torture.control.wrapped import WrappedController

if TYPE_CHECKING:
    from collections.abc import Collection

    from swn_torture.control.stimulus import Stimulus


class ForwardedController(WrappedController):
    """The controller of one case; another one makes its calls.

    Args:
        inner: answers its queries.
    """

    @abstractmethod
    async def hand_over(self, call: Call) -> Stimulus | None:
        """Let a call be made, and return when its effect is seen.

        Raises:
            ControllerError: it failed.
        """

    @override
    async def restore(self, timeout: float = 120.0) -> None:
        await self.inner.restore(timeout)

    # Calls that are handed over

    async def _hand_over(self, name: str, *arguments: Any, **named: Any) -> Stimulus | None:
        call = Call.of(name, *arguments, **named)
        if name != "recover":
            self.require(call.capability)
        return await self.hand_over(call)

    async def _move(self, name: str, *arguments: Any, **named: Any) -> Stimulus:
        sent = await self._hand_over(name, *arguments, **named)
        assert sent is not None
        return sent

    @override
    async def disable(self, node: str) -> None:
        await self._hand_over("disable", node)

    @override
    async def enable(self, node: str) -> None:
        await self._hand_over("enable", node)

    @override
    async def fail(self, node: str, how: Failure = Failure.CRASH) -> None:
        await self._hand_over("fail", node, how)

    @override
    async def recover(self, node: str) -> None:
        await self._hand_over("recover", node)

    @override
    async def restart(self, node: str) -> None:
        await self._hand_over("restart", node)

    @override
    async def move_client(
        self,
        client: str,
        destination: str,
        *,
        net_name: str | None = None,
        ip_address: str | None = None,
        not_for: Collection[str] = (),
    ) -> Stimulus:
        return await self._move("move_client", client, destination, net_name=net_name, ip_address=ip_address)

    @override
    async def move_share(
        self,
        share: str,
        destination: str,
        *,
        client: str | None = None,
        net_name: str | None = None,
        ip_address: str | None = None,
        not_for: Collection[str] = (),
    ) -> Stimulus:
        named = {"client": client, "net_name": net_name, "ip_address": ip_address}
        return await self._move("move_share", share, destination, **named)

    @override
    async def force_unregister(self, key: str) -> None:
        await self._hand_over("force_unregister", key)

    @override
    async def add_address(self, node: str, address: str) -> None:
        await self._hand_over("add_address", node, address)

    @override
    async def remove_address(self, node: str, address: str) -> None:
        await self._hand_over("remove_address", node, address)

    @override
    async def move_address(self, address: str, node: str) -> None:
        await self._hand_over("move_address", address, node)

    @override
    async def set_interface(self, node: str, *, up: bool) -> None:
        await self._hand_over("set_interface", node, up=up)
