"""Methods left out, handles ignored, no events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.halfmade.registry import HalfMade
from swn_torture.server.state.methods import Reply
from swn_torture.server.state.service import WitnessService
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import Opnum
from swn_torture.witness.messages import AsyncNotifyResponse

if TYPE_CHECKING:
    from collections.abc import Hashable

    from swn_torture.server.state.registrations import Owner, Registration
    from swn_torture.witness.messages import AsyncNotifyRequest, ContextHandle


def _with_methods(*opnums: Opnum) -> type[WitnessService]:
    class OnlySomeMethods(WitnessService):
        """Has only some methods."""

        @override
        def supports(self, opnum: int) -> bool:
            return opnum in opnums

    return OnlySomeMethods


class _HandlesIgnored(WitnessService):
    """UnRegister and AsyncNotify take the newest registration, whatever handle they get."""

    @override
    def find(self, owner: Owner, handle: ContextHandle) -> Registration | None:
        return next(reversed([*self.registrations]), None)


class _NoEvents(WitnessService):
    """Events change the interface list, and no AsyncNotify completes because of them."""

    @override
    def wake(self) -> list[Reply]:
        for registration in self.registrations:
            registration.changes.clear()
            registration.client_move = registration.share_move = registration.ip_change = None
        return super().wake()


class _NeverWaits(WitnessService):
    """AsyncNotify completes at once with ERROR_TIMEOUT, because the server cannot keep a call."""

    @override
    def async_notify(self, token: Hashable, owner: Owner, request: AsyncNotifyRequest) -> list[Reply]:
        replies = super().async_notify(token, owner, request)
        if replies:
            return replies
        registration = self.find(owner, request.context)
        assert registration is not None
        registration.waiting.clear()
        return [Reply(token, AsyncNotifyResponse(None, Win32.ERROR_TIMEOUT))]


#: The methods in the order in which authors write them.
METHODS = {
    Opnum.GET_INTERFACE_LIST: "GetInterfaceList",
    Opnum.REGISTER: "Register",
    Opnum.REGISTER_EX: "RegisterEx",
    Opnum.UNREGISTER: "UnRegister",
    Opnum.ASYNC_NOTIFY: "AsyncNotify",
}


def _prefix(number: int) -> HalfMade:
    """The server with the first methods only."""
    opnums = [*METHODS][:number]
    names = [*METHODS.values()][:number]
    return HalfMade(
        name=f"up-to-{names[-1].lower()}" if names else "no-method",
        if_=f"the server has {' and '.join(names) if number < 3 else ', '.join(names)} only"
        if names
        else "the server has no method",
        defects=len(METHODS) - number,
        parts=(_with_methods(*opnums),),
    )


SERVERS = (
    *map(_prefix, range(len(METHODS))),
    HalfMade(
        name="never-waits",
        if_="AsyncNotify never waits (ERROR_TIMEOUT)",
        parts=(_NeverWaits,),
        why="one measurement in one case shows that no rule about the time is followed",
    ),
    HalfMade(
        name="handles-ignored",
        if_="the server ignores context handles",
        parts=(_HandlesIgnored,),
        why="UnRegister and AsyncNotify each have a rule about the handle",
    ),
    HalfMade(name="no-events", if_="no event completes an AsyncNotify", parts=(_NoEvents,), events=True),
)
