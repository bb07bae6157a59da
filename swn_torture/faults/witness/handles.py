"""Context handles: how the server makes them, finds them, and where they are valid."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from itertools import cycle
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID, uuid4
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

# Making handles


@violates("SWN-3.1.1.3-key-unique")
class HandlePerAddress(WitnessService):
    """All registrations for the same address get the same handle."""

    @override
    def new_registration(self, owner: Owner, request: Any) -> Registration:
        registration = super().new_registration(owner, request)
        number = sum(registration.ip_address.encode())
        registration.key = ContextHandle(0, UUID(int=0x5A5A0000 + number))
        return registration

    @override
    def insert(self, registration: Registration) -> Registration:
        twin = self.registrations.find(registration.key)
        if twin is not None:
            self.registrations.remove(twin)
        return super().insert(registration)


@violates("SWN-3.1.4.2-entry-key-uuid", near=("SWN-3.1.4.5-entry-key-uuid",))
class HandleOctetWraps(WitnessService):
    """The server numbers its handles with one octet, so that the 257th registration gets the first handle."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self._numbers = cycle(range(256))
        self._base = uuid4()

    @override
    def new_registration(self, owner: Owner, request: Any) -> Registration:
        registration = super().new_registration(owner, request)
        number = next(self._numbers)
        registration.key = ContextHandle(0, UUID(bytes=self._base.bytes[:15] + bytes([number])))
        return registration


@violates("SWN-3.1.4.5-entry-key-uuid", "SWN-3.1.4.2-entry-key-uuid")
class HandleUsedAgain(WitnessService):
    """A new registration gets the handle of one that has ended."""

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
    """Register succeeds and returns a null handle."""

    @override
    def register(self, owner: Owner, request: Any) -> RegisterResponse:
        return replace(super().register(owner, request), context=NULL_HANDLE)


@violates("SWN-3.1.4.5-returns-success")
class RegisterExReturnsNullHandle(WitnessService):
    """RegisterEx succeeds and returns a null handle."""

    @override
    def register_ex(self, owner: Owner, request: Any) -> RegisterExResponse:
        return replace(super().register_ex(owner, request), context=NULL_HANDLE)


@violates("SWN-3.1.4.2-key-in-ppcontext", "SWN-3.1.4.5-key-in-ppcontext")
class AnotherHandleReturned(WitnessService):
    """The server returns a handle that is not the key of the registration."""

    @override
    def register(self, owner: Owner, request: Any) -> RegisterResponse:
        response = super().register(owner, request)
        return response if response.result else replace(response, context=self.new_key())

    @override
    def register_ex(self, owner: Owner, request: Any) -> RegisterExResponse:
        response = super().register_ex(owner, request)
        return response if response.result else replace(response, context=self.new_key())


@violates("RPC-CTXH-null-out-on-error")
class HandleReturnedWithError(WitnessService):
    """A rejected registration returns a handle together with its error code."""

    @override
    def register(self, owner: Owner, request: Any) -> RegisterResponse:
        response = super().register(owner, request)
        return replace(response, context=self.new_key()) if response.result else response

    @override
    def register_ex(self, owner: Owner, request: Any) -> RegisterExResponse:
        response = super().register_ex(owner, request)
        return replace(response, context=self.new_key()) if response.result else response


# Finding registrations


@violates("RPC-CTXH-attributes")
class AttributesNotCompared(WitnessService):
    """The server compares only the UUID of a handle, not its attributes."""

    @override
    def find(self, owner: Owner, handle: ContextHandle) -> Registration | None:
        return super().find(owner, ContextHandle(self.options.handle_attributes, handle.uuid))


@violates("RPC-CTXH-mismatch", "SWN-3.1.4.3-never-issued-handle", "SWN-3.1.4.4-never-issued-handle")
class OnlyFirstOctetsCompared(WitnessService):
    """The server compares only the first eight octets of a handle."""

    @override
    def find(self, owner: Owner, handle: ContextHandle) -> Registration | None:
        start = handle.pack()[:8]
        alike = [r for r in self.registrations.of(owner.association) if r.key.pack()[:8] == start]
        return alike[0] if alike else super().find(owner, handle)


@violates("SWN-3.1.4.4-search-by-key", "SWN-3.1.4.3-search-by-key")
class HandlesNotCompared(WitnessService):
    """Every handle finds the caller's first registration."""

    @override
    def find(self, owner: Owner, handle: ContextHandle) -> Registration | None:
        mine = self.registrations.of(owner.association)
        return mine[0] if mine else super().find(owner, handle)


@violates("RPC-CTXH-null-in")
class NullHandleFindsLastRegistration(WitnessService):
    """A null handle finds the caller's last registration."""

    @override
    def find(self, owner: Owner, handle: ContextHandle) -> Registration | None:
        mine = self.registrations.of(owner.association)
        return mine[-1] if mine and handle.is_null else super().find(owner, handle)


@violates("SWN-3.1.4.4-unknown-handle", "SWN-3.1.4.4-never-issued-handle")
class UnknownHandleWaits(WitnessService):
    """AsyncNotify with the handle of no registration stays pending."""

    @override
    def async_notify(self, token: Hashable, owner: Owner, request: Any) -> list[Reply]:
        known = self.find(owner, request.context) is not None
        return super().async_notify(token, owner, request) if known else []


@violates("SWN-V14-3.1.4.3-unknown-handle")
class SecondUnregisterSucceeds(WitnessService):
    """A second UnRegister with the same handle returns ERROR_SUCCESS (0x0)."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self._known: set[ContextHandle] = set()

    @override
    def unregister(self, token: Hashable, owner: Owner, request: Any) -> list[Reply]:
        if self.find(owner, request.context) is None and request.context in self._known:
            return [Reply(token, UnRegisterResponse(Win32.ERROR_SUCCESS))]
        self._known.add(request.context)
        return super().unregister(token, owner, request)


# Where handles are valid


@violates("RPC-CTXH-scope-association")
class HandlesWorkEverywhere(WitnessService):
    """A handle is valid in every association."""

    @override
    def find(self, owner: Owner, handle: ContextHandle) -> Registration | None:
        return self.registrations.find(handle)


@violates("RPC-CTXH-scope-association")
class HandlesWorkOnEveryNode(WitnessService):
    """A handle is valid on every node of the cluster."""

    nodes: ClassVar[WeakSet[WitnessService]] = WeakSet()

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self.nodes.add(self)

    @override
    def find(self, owner: Owner, handle: ContextHandle) -> Registration | None:
        here = self.registrations.find(handle)
        there = [found for node in self.nodes if (found := node.registrations.find(handle))]
        if here is None and there:
            self.insert(replace(there[0], owner=owner, changes=deque(), forced=deque(), waiting=deque()))
        return super().find(owner, handle)


@violates("RPC-CTXH-shared-in-association")
class HandlesBoundToConnection(WitnessService):
    """A handle is valid only on the connection that made it."""

    @override
    def find(self, owner: Owner, handle: ContextHandle) -> Registration | None:
        found = super().find(owner, handle)
        return found if found is not None and found.owner.connection == owner.connection else None
