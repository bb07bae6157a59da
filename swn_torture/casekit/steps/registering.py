"""The two methods that register, side by side: most of what binds one binds the other, in another section.

A case about both takes ``method`` from ``each_method`` and names its rule by the slug the two rules share::

    @case("SWN-3.1.4.2-null-netname", "SWN-3.1.4.5-null-netname")
    @each_method
    async def test_null_netname(witness: Witness, law: Law, method: Method) -> None:
        ...
        law(method.rule("null-netname")).allows(reply, returns(Win32.ERROR_INVALID_PARAMETER))
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from swn_torture.casekit.outcome import faults, outcome_of, returns
from swn_torture.casekit.steps.host_nodes import addresses_of
from swn_torture.casekit.witness import NotTestable
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.messages import NULL_HANDLE, ContextHandle, UnRegisterRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from swn_torture.casekit.checks import Spec
    from swn_torture.casekit.outcome import Outcome
    from swn_torture.casekit.witness import Witness
    from swn_torture.control.base import Controller, RegistrationView
    from swn_torture.witness.client import WitnessClient
    from swn_torture.witness.messages import RegisterExRequest, RegisterRequest


#: Seconds between two looks at the list of registrations, while waiting for it to change.
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Method:
    """One of the two methods.

    Attributes:
        slug: its name in ids.
        section: where MS-SWN describes it.
        version: the protocol version it belongs to: 1 or 2.
    """

    slug: str
    section: str
    version: int

    def __str__(self) -> str:
        return self.slug

    def rule(self, slug: str) -> str:
        """The catalogue id of this method's rule of that name."""
        return f"SWN-{self.section}-{slug}"

    def request(self, witness: Witness, **fields: Any) -> RegisterRequest | RegisterExRequest:
        """A request that is right but for the fields given; IpAddress has to be.

        Raises:
            Unsuitable: the target implements version 1 only, and this is version 2's method.
        """
        self._check(witness)
        return witness.registration(**fields) if self.version == 1 else witness.registration_ex(**fields)

    async def reply(self, witness: Witness, client: WitnessClient, **fields: Any) -> Outcome:
        """Send such a request and tell how it ended; IpAddress is one of the first node's without."""
        if "ip_address" not in fields:
            fields["ip_address"] = await witness.address_of(0)
        request = self.request(witness, **fields)
        return await outcome_of(client.start(request), witness.expect.reply_deadline)

    async def register(self, witness: Witness, client: WitnessClient, **fields: Any) -> ContextHandle:
        """Register and return the handle; a refusal stops the case as a violation."""
        self._check(witness)
        made = witness.register if self.version == 1 else witness.register_ex
        return await made(client, **fields)

    def _check(self, witness: Witness) -> None:
        if self.version > witness.expect.version:
            raise NotTestable("the target implements witness protocol version 1 only")


REGISTER = Method("register", "3.1.4.2", 1)
REGISTER_EX = Method("register-ex", "3.1.4.5", 2)

METHODS = (REGISTER, REGISTER_EX)


def methods_of(witness: Witness) -> tuple[Method, ...]:
    """Those of them that the target has."""
    return tuple(m for m in METHODS if m.version <= witness.expect.version)


each_method = pytest.mark.parametrize("method", METHODS, ids=str)
"""Runs a case with either method as ``method``."""

WRONG_PARAMETER = returns(Win32.ERROR_INVALID_PARAMETER)
INVALID_STATE = returns(Win32.ERROR_INVALID_STATE)
NOT_FOUND = returns(Win32.ERROR_NOT_FOUND)

#: There is no method of that number.
NO_SUCH_METHOD = faults(FaultStatus.NCA_S_OP_RNG_ERROR)

#: How a handle is refused that stands for no registration of the caller (AMB-2): by the method's own code, or
#: by an RPC runtime that keeps the handles itself.
MISMATCH = faults(FaultStatus.NCA_S_FAULT_CONTEXT_MISMATCH)
NULL_CONTEXT = faults(FaultStatus.RPC_X_SS_IN_NULL_CONTEXT)


def _altered(handle: ContextHandle) -> ContextHandle:
    """A handle that differs from a good one in the last bit of its UUID."""
    return ContextHandle(handle.attributes, UUID(int=handle.uuid.int ^ 1))


#: Handles that no server has issued, made from one that it has.
NEVER_ISSUED: dict[str, Callable[[ContextHandle], ContextHandle]] = {
    "random": lambda good: ContextHandle(good.attributes, uuid4()),
    "altered": _altered,
    "null": lambda _: NULL_HANDLE,
}

each_never_issued = pytest.mark.parametrize("kind", NEVER_ISSUED)
"""Runs a case with each kind of such a handle as ``kind``."""


async def unregister(witness: Witness, client: WitnessClient, handle: ContextHandle) -> None:
    """UnRegister as a stimulus; a refusal stops the case as a violation."""
    call = client.start(UnRegisterRequest(handle))
    outcome = await outcome_of(call, witness.expect.reply_deadline)
    if outcome != returns(Win32.ERROR_SUCCESS):
        raise witness.spec.precondition_failed(
            "SWN-3.1.4.3-returns-success",
            expected=str(returns(Win32.ERROR_SUCCESS)),
            observed=outcome,
            note="UnRegister as a stimulus",
        )


async def every_address(witness: Witness, node: int = 0) -> tuple[str, ...]:
    """Every address of the interface list, as the node of this index tells it.

    Raises:
        Unsuitable: the list is empty.
    """
    found = [
        str(address) for interface in await witness.interfaces(node) for address in addresses_of(interface)
    ]
    if not found:
        raise NotTestable(f"the interface list of {witness.nodes[node].name} has no address")
    return tuple(found)


def scale_out_share(witness: Witness) -> str:
    """The name of a share that the profile calls scale-out; the case has to need ``scale-out-share``."""
    return next(share.name for share in witness.expect.shares if share.scale_out)


def on_share(witness: Witness, method: Method) -> dict[str, Any]:
    """What makes a registration concern a scale-out share; Register concerns all shares anyway."""
    return {"share_name": scale_out_share(witness)} if method is REGISTER_EX else {}


def succeeded(outcome: Outcome) -> bool:
    """Whether a registration was made: success and a handle."""
    return outcome == returns(Win32.ERROR_SUCCESS) and outcome.response.context != NULL_HANDLE


def with_handle(outcome: Outcome) -> str:
    """How registering ended, and with which handle, for a report."""
    handle = getattr(outcome.response, "context", None)
    return f"{outcome}, " + ("no handle" if handle is None else f"handle {handle}")


async def listed(cluster: Controller, *clients: str) -> tuple[RegistrationView, ...]:
    """The registrations of these clients, as the cluster tells them."""
    return tuple(view for view in await cluster.registrations() if view.client_computer_name in clients)


async def until_gone(
    cluster: Controller, names: Iterable[str], timeout: float
) -> tuple[RegistrationView, ...]:
    """Wait until no registration of these clients is listed; those left after ``timeout`` seconds."""
    began = time.monotonic()
    while left := await listed(cluster, *names):
        waited = time.monotonic() - began
        if waited > timeout:
            break
        # The longer it takes the less often it is asked for: on a live cluster each question is a program.
        await asyncio.sleep(max(_POLL_S, waited / 20))
    return left


def show_listed(views: tuple[RegistrationView, ...]) -> str:
    """Registrations for a report."""
    return "; ".join(f"{v.client_computer_name} at {v.ip_address} ({v.key})" for v in views) or "none listed"


async def version_1_server(witness: Witness, variant: Callable[[str], Awaitable[Witness]]) -> Witness:
    """A server that implements version 1 only: the target if it is one, else its variant ``version-1``."""
    if witness.expect.version == 1:
        return witness
    return await variant("version-1")


def record_refusal(spec: Spec, method: Method, outcome: Outcome) -> None:
    """Record a code by which registering was refused (the tables list only the most common ones)."""
    if outcome.kind == "result" and outcome.code:
        spec(method.rule("error-codes")).record(outcome)
