"""The object UUID of a request is read as the beginning of its stub data, for one method."""

from __future__ import annotations

from swn_torture.faults.registry import violates
from swn_torture.faults.transport.calls import ObjectFlagIgnored
from swn_torture.witness.constants import Opnum


@violates("RPC-REQ-object-uuid")
class RegisterReadsObject(ObjectFlagIgnored):
    """Register reads the object UUID of the request as Version."""

    misread = frozenset({Opnum.REGISTER})


@violates("RPC-REQ-object-uuid")
class UnregisterReadsObject(ObjectFlagIgnored):
    """UnRegister reads the object UUID of the request as the context handle."""

    misread = frozenset({Opnum.UNREGISTER})


@violates("RPC-REQ-object-uuid")
class AsyncNotifyReadsObject(ObjectFlagIgnored):
    """AsyncNotify reads the object UUID of the request as the context handle."""

    misread = frozenset({Opnum.ASYNC_NOTIFY})


@violates("RPC-REQ-object-uuid")
class RegisterExReadsObject(ObjectFlagIgnored):
    """RegisterEx reads the object UUID of the request as Version."""

    misread = frozenset({Opnum.REGISTER_EX})


@violates("RPC-REQ-object-uuid")
class UnregisterExReadsObject(ObjectFlagIgnored):
    """UnRegisterEx reads the object UUID of the request as the context handle."""

    misread = frozenset({Opnum.UNREGISTER_EX})
