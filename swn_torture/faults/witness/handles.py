"""Context handles: made badly, found too easily, or not where they should be."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID
from weakref import WeakSet

from typing_extensions import override

from swn_torture.faults.registry import violates
from swn_torture.server.state.methods import Reply
from swn_torture.server.state.service import WitnessService
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.messages import (
    NULL_HANDLE,
    ContextHandle,
    RegisterExResponse,
    RegisterResponse,
    UnRegisterResponse,
)

if TYPE_CHECKING:
    from collections.abc import Hashable

    from swn_torture.server.state.registrations import Owner, Registration

# Made


@violates("SWN-3.1.1.3-key-unique")
class HandlePerAddress(WitnessService):
    """Whoever registers for the same address gets the same handle."""

    @override
    def new_registration(self, owner: Owner, request: Any) -> Registration:
        registration = super().new_registration(owner, request)
        number = sum(registration.ip_address.encode())
        registration.key = ContextHandle(0, UUID(int=0x5A5A0000 + number))
        return registration

    @override
    def enter(self, registration: Registration) -> Registration:
        twin = self.registrations.find(registration.key)
        if twin is not None:
            self.registrations.remove(twin)
        return super().enter(registration)


@violates("SWN-3.1.4.5-entry-key-uuid", "SWN-3.1.4.2-entry-key-uuid")
class HandleUsedAgain(WitnessService):
    """The handle of a registration that has ended goes to the next one."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self._free: list[ContextHandle] = []

    @override
    def new_key(self) -> ContextHandle:
        return self._free.pop() if self._free else super().new_key()

    @override
    def remove(self, registration: Registration) -> list[Reply]:
        self._free.append(registration.key)
        return super().remove(registration)


@violates("SWN-3.1.4.2-returns-success")
class RegisterReturnsNullHandle(WitnessService):
    """Register succeeds with a null handle."""

    @override
    def register(self, owner: Owner, request: Any) -> RegisterResponse:
        return replace(super().register(owner, request), context=NULL_HANDLE)


@violates("SWN-3.1.4.5-returns-success")
class RegisterExReturnsNullHandle(WitnessService):
    """RegisterEx succeeds with a null handle."""

    @override
    def register_ex(self, owner: Owner, request: Any) -> RegisterExResponse:
        return replace(super().register_ex(owner, request), context=NULL_HANDLE)


@violates("SWN-3.1.4.2-key-in-ppcontext", "SWN-3.1.4.5-key-in-ppcontext")
class AnotherHandleReturned(WitnessService):
    """The handle that is returned is not the one under which the registration is kept."""

    @override
    def register(self, owner: Owner, request: Any) -> RegisterResponse:
        response = super().register(owner, request)
        return response if response.result else replace(response, context=self.new_key())

    @override
    def register_ex(self, owner: Owner, request: Any) -> RegisterExResponse:
        response = super().register_ex(owner, request)
        return response if response.result else replace(response, context=self.new_key())


@violates("RPC-CTXH-null-out-on-error")
class HandleBesideError(WitnessService):
    """A refused registration returns a handle beside the error."""

    @override
    def register(self, owner: Owner, request: Any) -> RegisterResponse:
        response = super().register(owner, request)
        return replace(response, context=self.new_key()) if response.result else response

    @override
    def register_ex(self, owner: Owner, request: Any) -> RegisterExResponse:
        response = super().register_ex(owner, request)
        return replace(response, context=self.new_key()) if response.result else response


# Found


@violates("RPC-CTXH-attributes")
class AttributesNotCompared(WitnessService):
    """Of a handle only the UUID is looked at."""

    @override
    def find(self, owner: Owner, handle: ContextHandle) -> Registration | None:
        return super().find(owner, replace(handle, attributes=self.options.handle_attributes))


@violates("RPC-CTXH-mismatch", "SWN-3.1.4.3-never-issued-handle", "SWN-3.1.4.4-never-issued-handle")
class OnlyFirstOctetsCompared(WitnessService):
    """Of a handle only the first eight octets are looked at."""

    @override
    def find(self, owner: Owner, handle: ContextHandle) -> Registration | None:
        start = handle.pack()[:8]
        alike = [r for r in self.registrations.of(owner.association) if r.key.pack()[:8] == start]
        return alike[0] if alike else super().find(owner, handle)


@violates("SWN-3.1.4.4-search-by-key", "SWN-3.1.4.3-search-by-key")
class HandlesNotLookedAt(WitnessService):
    """A caller's first registration serves every handle that it presents."""

    @override
    def find(self, owner: Owner, handle: ContextHandle) -> Registration | None:
        mine = self.registrations.of(owner.association)
        return mine[0] if mine else super().find(owner, handle)


@violates("RPC-CTXH-null-in")
class NullHandleMeansMine(WitnessService):
    """A null handle stands for the caller's last registration."""

    @override
    def find(self, owner: Owner, handle: ContextHandle) -> Registration | None:
        mine = self.registrations.of(owner.association)
        return mine[-1] if mine and handle.is_null else super().find(owner, handle)


@violates("SWN-3.1.4.4-unknown-handle", "SWN-3.1.4.4-never-issued-handle")
class UnknownHandleWaits(WitnessService):
    """AsyncNotify with a handle that stands for nothing waits as if it did."""

    @override
    def async_notify(self, token: Hashable, owner: Owner, request: Any) -> list[Reply]:
        known = self.find(owner, request.context) is not None
        return super().async_notify(token, owner, request) if known else []


@violates("SWN-V14-3.1.4.3-unknown-handle")
class SecondUnregisterSucceeds(WitnessService):
    """UnRegister of a handle that was unregistered before is a success again."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self._known: set[ContextHandle] = set()

    @override
    def unregister(self, token: Hashable, owner: Owner, request: Any) -> list[Reply]:
        if self.find(owner, request.context) is None and request.context in self._known:
            return [Reply(token, UnRegisterResponse(Win32.ERROR_SUCCESS))]
        self._known.add(request.context)
        return super().unregister(token, owner, request)


# Where


@violates("RPC-CTXH-scope-association")
class HandlesWorkEverywhere(WitnessService):
    """A handle works in every association, for whoever has learned it."""

    @override
    def find(self, owner: Owner, handle: ContextHandle) -> Registration | None:
        return self.registrations.find(handle)


@violates("RPC-CTXH-scope-association")
class HandlesWorkOnEveryNode(WitnessService):
    """A handle works on every node of the cluster."""

    nodes: ClassVar[WeakSet[WitnessService]] = WeakSet()

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self.nodes.add(self)

    @override
    def find(self, owner: Owner, handle: ContextHandle) -> Registration | None:
        here = self.registrations.find(handle)
        there = [found for node in self.nodes if (found := node.registrations.find(handle))]
        if here is None and there:
            self.enter(replace(there[0], owner=owner, changes=deque(), forced=deque(), waiting=deque()))
        return super().find(owner, handle)


@violates("RPC-CTXH-shared-in-association")
class HandlesBoundToConnection(WitnessService):
    """A handle works only on the connection on which it was made."""

    @override
    def find(self, owner: Owner, handle: ContextHandle) -> Registration | None:
        found = super().find(owner, handle)
        return found if found is not None and found.owner.connection == owner.connection else None
