"""Register and RegisterEx as one ``Method``, because most requirements are the same for both.

The requirements of the two methods are in two sections, under ids that differ only in the section. A case
about both methods lists the whole ids in its mark, takes ``method`` from ``each_method``, and names the
requirement by the part that the two ids share::

    @case("SWN-3.1.4.2-null-netname", "SWN-3.1.4.5-null-netname")
    @each_method
    async def test_null_net_name(witness: Witness, spec: Spec, method: Method) -> None:
        ...
        outcome = await method.reply(witness, client, net_name=None)
        spec(method.rule("null-netname")).allows(outcome, INVALID_PARAMETER)
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from swn_torture.casekit.outcome import faults, outcome_of, returns
from swn_torture.casekit.steps.host_nodes import addresses_of
from swn_torture.casekit.witness import NO_RESOURCES, NotTestable
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import ProtocolVersion
from swn_torture.witness.messages import NULL_HANDLE, ContextHandle, RegisterRequest, UnRegisterRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from swn_torture.casekit.checks import Spec
    from swn_torture.casekit.outcome import Outcome
    from swn_torture.casekit.witness import Witness
    from swn_torture.control.base import Controller, RegistrationView
    from swn_torture.witness.client import WitnessClient
    from swn_torture.witness.messages import RegisterExRequest


#: Seconds between two queries for the list of registrations while waiting for it to change.
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Method:
    """Register or RegisterEx.

    Attributes:
        slug: its name in the ids of parametrized cases.
        section: the section of MS-SWN that describes it.
        version: the protocol version it belongs to: 1 or 2.
    """

    slug: str
    section: str
    version: int

    def __str__(self) -> str:
        return self.slug

    def rule(self, slug: str) -> str:
        """The id of a requirement on this method: ``null-netname`` becomes ``SWN-3.1.4.2-null-netname``.

        A search for a whole id does not find the call of ``rule``. It finds the mark of the case, which
        lists the whole ids of both methods.
        """
        return f"SWN-{self.section}-{slug}"

    def request(self, witness: Witness, **fields: Any) -> RegisterRequest | RegisterExRequest:
        """A valid request, except for the fields given. IpAddress must be one of them.

        Raises:
            NotTestable: this is RegisterEx, and the target implements version 1 only.
        """
        witness.require_version(self.version)
        return witness.registration(**fields) if self.version == 1 else witness.registration_ex(**fields)

    async def reply(self, witness: Witness, client: WitnessClient, **fields: Any) -> Outcome:
        """Send a request and return its outcome.

        Args:
            witness: the target.
            client: the connection.
            fields: parameters; by default IpAddress is ``address_for`` the connection.

        Raises:
            NotTestable: this is RegisterEx, and the target implements version 1 only.
        """
        if "ip_address" not in fields:
            fields["ip_address"] = await witness.address_for(client)
        request = self.request(witness, **fields)
        return await outcome_of(client.start(request), witness.expect.reply_deadline)

    async def register(self, witness: Witness, client: WitnessClient, **fields: Any) -> ContextHandle:
        """Register and return the context handle.

        Args:
            witness: the target.
            client: the connection.
            fields: parameters; by default IpAddress is ``address_for`` the connection.

        Raises:
            CaseStopped: the call fails, which is recorded as a violation.
            NotTestable: this is RegisterEx, and the target implements version 1 only; or the server can hold
                no more registrations.
        """
        witness.require_version(self.version)
        register = witness.register if self.version == 1 else witness.register_ex
        return await register(client, **fields)


REGISTER = Method("register", "3.1.4.2", 1)
REGISTER_EX = Method("register-ex", "3.1.4.5", 2)

METHODS = (REGISTER, REGISTER_EX)

#: For each method the Version of the other one.
OTHER_VERSION = {REGISTER: ProtocolVersion.V2, REGISTER_EX: ProtocolVersion.V1}

#: A NetName that no cluster has.
FOREIGN_NAME = "XXXXInvalid.contoso.comXXXX"


def methods_of(witness: Witness) -> tuple[Method, ...]:
    """The methods that the target implements."""
    return tuple(m for m in METHODS if m.version <= witness.expect.version)


each_method = pytest.mark.parametrize("method", METHODS, ids=str)
"""Runs a case once with each method, as the argument ``method``."""

INVALID_PARAMETER = returns(Win32.ERROR_INVALID_PARAMETER)
INVALID_STATE = returns(Win32.ERROR_INVALID_STATE)
NOT_FOUND = returns(Win32.ERROR_NOT_FOUND)

#: The server has no method with this opnum.
OP_RNG_ERROR = faults(FaultStatus.NCA_S_OP_RNG_ERROR)

#: An RPC runtime that keeps the context handles itself rejects, with one of these, a handle that is not valid
#: on the association (AMB-2). Otherwise the method returns a code of its own.
CONTEXT_MISMATCH = faults(FaultStatus.NCA_S_FAULT_CONTEXT_MISMATCH)
NULL_CONTEXT = faults(FaultStatus.RPC_X_SS_IN_NULL_CONTEXT)


def _altered(handle: ContextHandle) -> ContextHandle:
    """A handle that differs from a valid one in the last bit of its UUID."""
    return ContextHandle(handle.attributes, UUID(int=handle.uuid.int ^ 1))


#: Handles that no server has issued, by kind, each made from a valid one.
NEVER_ISSUED: dict[str, Callable[[ContextHandle], ContextHandle]] = {
    "random": lambda valid: ContextHandle(valid.attributes, uuid4()),
    "altered": _altered,
    "null": lambda _: NULL_HANDLE,
}


async def unregister(witness: Witness, client: WitnessClient, handle: ContextHandle) -> None:
    """Call UnRegister.

    Raises:
        CaseStopped: the call fails, which is recorded as a violation.
    """
    call = client.start(UnRegisterRequest(handle))
    outcome = await outcome_of(call, witness.expect.reply_deadline)
    if outcome != returns(Win32.ERROR_SUCCESS):
        raise witness.spec.precondition_failed(
            "SWN-3.1.4.3-returns-success",
            expected=str(returns(Win32.ERROR_SUCCESS)),
            observed=outcome,
            note="UnRegister, which the case relies on",
        )


async def forget(witness: Witness, client: WitnessClient, *registered: Outcome) -> None:
    """Call UnRegister for the registrations that succeeded; how these calls end is not checked.

    A server chooses how many registrations it holds: a case that makes many removes what it no longer needs.

    Args:
        witness: the target.
        client: the connection that they were made on.
        registered: the outcomes of registrations.
    """
    # Whether a late response is awaited matters only where the next call has to wait for it.
    timeout = witness.expect.quiet_time if client.rpc.core.multiplexed else witness.expect.reply_deadline
    for outcome in registered:
        if succeeded(outcome) and not client.rpc.closed.is_set():
            await outcome_of(client.start(UnRegisterRequest(outcome.response.context)), timeout)


#: Registrations that are sent at a time.
_AT_A_TIME = 16


async def register_many(
    witness: Witness, client: WitnessClient, request: RegisterRequest | RegisterExRequest, count: int
) -> list[Outcome]:
    """Send a registration many times, some of them at a time, and return the outcomes.

    It ends early when the server has no resources for more. Without PFC_CONC_MPX one call follows the other.

    Args:
        witness: the target.
        client: the connection.
        request: the registration.
        count: how many times to send it.

    Raises:
        CaseStopped: a call ends in another way than ERROR_SUCCESS, which is recorded as a violation.
    """
    at_a_time = _AT_A_TIME if client.rpc.core.multiplexed else 1
    outcomes: list[Outcome] = []
    while len(outcomes) < count and not any(outcome in NO_RESOURCES for outcome in outcomes):
        calls = [client.start(request) for _ in range(min(at_a_time, count - len(outcomes)))]
        # Each call has the deadline for itself: a slow server may work on one after the other.
        outcomes += [await outcome_of(call, witness.expect.reply_deadline) for call in calls]
        unexplained = [each for each in outcomes if not succeeded(each) and each not in NO_RESOURCES]
        if unexplained:
            method = REGISTER if isinstance(request, RegisterRequest) else REGISTER_EX
            raise witness.spec.precondition_failed(
                method.rule("returns-success"),
                expected=f"ERROR_SUCCESS (0x0) with a handle, {len(outcomes)} times",
                observed=f"{len(unexplained)} times otherwise, first {with_handle(unexplained[0])}",
                note=f"{len(outcomes)} of up to {count} registrations, as a stimulus",
            )
    return outcomes


async def every_address(witness: Witness, node: int = 0) -> tuple[str, ...]:
    """Every address in the interface list that a node returns.

    Raises:
        NotTestable: the list has no address.
    """
    found = [
        str(address) for interface in await witness.interfaces(node) for address in addresses_of(interface)
    ]
    if not found:
        raise NotTestable(f"the interface list of {witness.nodes[node].name} has no address")
    return tuple(found)


def scale_out_share(witness: Witness) -> str:
    """The name of a scale-out share of the profile.

    Raises:
        NotTestable: the profile lists none.
    """
    return _first_share(witness, scale_out=True)


def plain_share(witness: Witness) -> str:
    """The name of a share of the profile that is not scale-out.

    Raises:
        NotTestable: the profile lists none.
    """
    return _first_share(witness, scale_out=False)


def _first_share(witness: Witness, *, scale_out: bool) -> str:
    for share in witness.expect.shares:
        if share.scale_out is scale_out:
            return share.name
    kind = "scale-out share" if scale_out else "share that is not scale-out"
    raise NotTestable(f"the profile lists no {kind} (expect.shares)")


def share_fields(witness: Witness, method: Method) -> dict[str, Any]:
    """The fields of a registration for a scale-out share; none for Register, which is for all shares."""
    return {"share_name": scale_out_share(witness)} if method is REGISTER_EX else {}


def succeeded(outcome: Outcome) -> bool:
    """Whether the call registered: it returned ERROR_SUCCESS and a context handle that is not null."""
    return outcome == returns(Win32.ERROR_SUCCESS) and outcome.response.context != NULL_HANDLE


def with_handle(outcome: Outcome) -> Outcome:
    """The outcome of a registration, with its context handle as detail for a report."""
    handle = getattr(outcome.response, "context", None)
    details = (outcome.detail, "no handle" if handle is None else f"handle {handle}")
    return replace(outcome, detail=", ".join(filter(None, details)))


async def registrations_of(cluster: Controller, *clients: str) -> tuple[RegistrationView, ...]:
    """The registrations with these ClientComputerNames in the list of the cluster."""
    return tuple(view for view in await cluster.registrations() if view.client_computer_name in clients)


async def registration_of(cluster: Controller, client: str) -> RegistrationView:
    """The only registration with this ClientComputerName in the list of the cluster.

    Raises:
        NotTestable: the cluster lists none, or several.
    """
    views = await registrations_of(cluster, client)
    if len(views) != 1:
        raise NotTestable(f"the cluster lists {len(views)} registrations of {client}; the case needs one")
    return views[0]


async def wait_until_gone(
    cluster: Controller, names: Iterable[str], timeout: float
) -> tuple[RegistrationView, ...]:
    """Wait until the cluster lists no registration of these clients.

    Args:
        cluster: its controller.
        names: the ClientComputerNames.
        timeout: seconds to wait.

    Returns:
        The registrations that are still listed after that time.
    """
    began = time.monotonic()
    while left := await registrations_of(cluster, *names):
        waited = time.monotonic() - began
        if waited > timeout:
            break
        # The longer it takes, the longer the pause: on a live cluster each query runs a program.
        await asyncio.sleep(max(_POLL_S, waited / 20))
    return left


def show_registrations(views: tuple[RegistrationView, ...]) -> str:
    """Registrations as text for a report."""
    return "; ".join(f"{v.client_computer_name} at {v.ip_address} ({v.key})" for v in views) or "none listed"


async def version_1_server(witness: Witness, variant: Callable[[str], Awaitable[Witness]]) -> Witness:
    """A server that implements version 1 only: the target itself, or its variant ``version-1``."""
    if witness.expect.version == 1:
        return witness
    return await variant("version-1")


def record_refusal(spec: Spec, method: Method, outcome: Outcome) -> None:
    """Record the return value of a rejected registration (the specification lists only common ones)."""
    if outcome.kind == "result" and outcome.code:
        spec(method.rule("error-codes")).record(outcome)
