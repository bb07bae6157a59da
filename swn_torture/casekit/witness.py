"""The ``witness`` fixture: connections of one case to the witness service of a target, and its requests.

Every octet of every connection is recorded. All connections are closed when the case ends, so that the
server removes their registrations.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import secrets
from typing import TYPE_CHECKING, Any

from swn_torture.casekit.connections import Connections, credentials_of
from swn_torture.casekit.known import LIST_SERVED, KnownAnswers, NotTestable
from swn_torture.casekit.outcome import SILENCE, Outcome, outcome_of, outcome_of_error, returns
from swn_torture.dcerpc.errors import RpcError
from swn_torture.stubdata.syntax import NDR32, SyntaxId
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import InterfaceFlags, InterfaceState, ProtocolVersion
from swn_torture.witness.messages import (
    NULL_HANDLE,
    ContextHandle,
    GetInterfaceListRequest,
    InterfaceInfo,
    RegisterExRequest,
    RegisterRequest,
)

if TYPE_CHECKING:
    from swn_torture.casekit.checks import Spec
    from swn_torture.casekit.facts import TargetFacts
    from swn_torture.target import Profile
    from swn_torture.witness.client import WitnessClient

__all__ = ["NO_RESOURCES", "NotTestable", "Witness", "address_text", "credentials_of"]

_numbers = itertools.count(1)

#: How a server rejects a registration when it can hold no more of them: how many it holds is its own choice.
NO_RESOURCES = tuple(
    returns(code)
    for code in (
        Win32.ERROR_NO_SYSTEM_RESOURCES,
        Win32.ERROR_OUTOFMEMORY,
        Win32.ERROR_NOT_ENOUGH_MEMORY,
    )
)

_LIST = GetInterfaceListRequest()


@functools.cache
def _prefix(process: int) -> str:
    """The first part of the ClientComputerNames of a process: it differs from that of every other process.

    It is not made when this module is imported: processes that run cases are forked after that.
    """
    return f"SWN{process & 0xFFFF:04X}{secrets.token_hex(1).upper()}"


class Witness(Connections):
    """The witness service of a target, for one case: its connections, and ready-made requests."""

    def __init__(
        self,
        profile: Profile,
        spec: Spec,
        syntax: SyntaxId = NDR32,
        facts: TargetFacts | None = None,
        known: KnownAnswers | None = None,
    ) -> None:
        super().__init__(profile, spec, syntax, facts, known)
        self._addresses: dict[int, str] = {}

    def client_name(self) -> str:
        """A new ClientComputerName that no other client uses, of 14 characters.

        Its length is the same in each run: stub data have the same size, so observations can be compared.
        """
        return f"{_prefix(os.getpid())}{next(_numbers):05d}"

    def require_version(self, version: int) -> None:
        """End the case if the target does not implement a version of the witness protocol.

        Raises:
            NotTestable: it implements version 1 only.
        """
        if version > self.expect.version:
            raise NotTestable("the target implements witness protocol version 1 only")

    async def check_still_serving(self, spec: Spec, *ids: str) -> None:
        """Check that the server still serves other connections: GetInterfaceList on a new one.

        Cases call this after they have sent something malformed or hostile.

        Args:
            spec: the checks of the case.
            ids: the requirements to check. Without any, only a failure is recorded, as a violation of
                RPC-CONN-independent.

        Raises:
            CaseStopped: the server does not return ERROR_SUCCESS. If it never did, this is a finding about
                GetInterfaceList.
            NotTestable: the server did not answer the first bind, but the second.
        """
        spec.survival_checked = True
        self.require_answers(LIST_SERVED, 0)
        expected = str(returns(Win32.ERROR_SUCCESS))
        note = "GetInterfaceList on a new connection afterwards"
        client, unanswered = await self._connection_or_outcome()
        if client is None:
            client, again = await self._connection_or_outcome()
            if client is not None:
                raise NotTestable(f"the server did not answer a bind ({unanswered}), but the next one")
            unanswered = again
        deadline = self.profile.expect.reply_deadline
        outcome = unanswered if client is None else await outcome_of(client.start(_LIST), deadline)
        served = outcome == returns(Win32.ERROR_SUCCESS)
        if served:
            self.known.add_service(LIST_SERVED, self.nodes[0].name)
        elif client is not None and not self.known.was_served(LIST_SERVED, self.nodes[0].name):
            raise self._unusable(LIST_SERVED, "GetInterfaceList", outcome, 0)
        elif outcome.blame is not None or not ids:
            raise spec.precondition_failed(
                "RPC-CONN-independent", expected=expected, observed=outcome, note=note
            )
        if ids:
            spec(*ids).holds(served, expected=expected, observed=outcome, note=note)
        if not served:
            raise spec.stop()

    async def _connection_or_outcome(self) -> tuple[WitnessClient | None, Outcome]:
        """A new connection with NDR32, within the reply deadline; else None and how the attempt ended."""
        deadline = self.profile.expect.reply_deadline
        try:
            async with asyncio.timeout(deadline):
                return await self.connect(syntax=NDR32), SILENCE
        except RpcError as problem:
            return None, outcome_of_error(problem)
        except TimeoutError:
            return None, Outcome("silence", detail=f"waited {deadline:g} s")

    # -- interface list and registrations
    # ------------------------------------------------------------------------

    async def interfaces(self, node: int = 0) -> tuple[InterfaceInfo, ...]:
        """The interface list that a node returns.

        Raises:
            CaseStopped: GetInterfaceList fails, which is recorded as a violation.
        """
        self.require_answers(LIST_SERVED, node)
        client = await self.connect(node)
        outcome = await outcome_of(client.start(_LIST))
        if outcome != returns(Win32.ERROR_SUCCESS):
            raise self._unusable(LIST_SERVED, "GetInterfaceList", outcome, node)
        self.known.add_service(LIST_SERVED, self.nodes[node].name)
        await client.rpc.close()
        interfaces = outcome.response.interface_list
        return tuple(interfaces.interfaces or ()) if interfaces else ()

    async def address_of(self, node: int = 0) -> str:
        """An address to register for at a node: of an AVAILABLE interface in the list that the node returns.

        It is one that the node hosts itself, if the list has such an address: a server fills its list in its
        own manner, and may list the interfaces of its partners only. Any address of the list will do
        (MS-SWN 3.1.4.2), so it stays the same during a case.

        Args:
            node: index of the node.

        Raises:
            NotTestable: no interface in the list is AVAILABLE.
            CaseStopped: GetInterfaceList fails, which is recorded as a violation.
        """
        if node not in self._addresses:
            available = [i for i in await self.interfaces(node) if i.state == InterfaceState.AVAILABLE]
            if not available:
                raise NotTestable(f"no interface in the list of {self.nodes[node].name} is AVAILABLE")
            chosen = min(available, key=lambda i: bool(i.flags & InterfaceFlags.WITNESS))
            self._addresses[node] = address_text(chosen)
        return self._addresses[node]

    async def address_for(self, client: WitnessClient) -> str:
        """``address_of`` the node that a connection leads to."""
        node, _ = self.connections.get(client.rpc, (0, {}))
        return await self.address_of(node)

    def registration(self, **fields: Any) -> RegisterRequest:
        """A valid Register request, except for the fields given. IpAddress must be one of them."""
        return RegisterRequest(
            **{
                "version": ProtocolVersion.V1,
                "net_name": self.net_name,
                "client_computer_name": self.client_name(),
                **fields,
            }
        )

    def registration_ex(self, **fields: Any) -> RegisterExRequest:
        """A valid RegisterEx request, except for the fields given. IpAddress must be one of them."""
        return RegisterExRequest(
            **{
                "version": ProtocolVersion.V2,
                "net_name": self.net_name,
                "share_name": None,
                "client_computer_name": self.client_name(),
                "flags": 0,
                "keep_alive_timeout": 120,
                **fields,
            }
        )

    async def register(self, client: WitnessClient, **fields: Any) -> ContextHandle:
        """Call Register (version 1) and return the context handle.

        Args:
            client: the connection.
            fields: parameters; by default IpAddress is ``address_for`` the connection.

        Raises:
            CaseStopped: the call fails, which is recorded as a violation.
        """
        if "ip_address" not in fields:
            fields["ip_address"] = await self.address_for(client)
        return await self._registered(client, self.registration(**fields), "SWN-3.1.4.2-returns-success")

    async def register_ex(self, client: WitnessClient, **fields: Any) -> ContextHandle:
        """Call RegisterEx (version 2) and return the context handle.

        Args:
            client: the connection.
            fields: parameters; by default IpAddress is ``address_for`` the connection.

        Raises:
            CaseStopped: the call fails, which is recorded as a violation.
        """
        if "ip_address" not in fields:
            fields["ip_address"] = await self.address_for(client)
        return await self._registered(client, self.registration_ex(**fields), "SWN-3.1.4.5-returns-success")

    async def _registered(self, client: WitnessClient, request: Any, requirement: str) -> ContextHandle:
        node, _ = self.connections.get(client.rpc, (0, {}))
        self.require_answers(requirement, node)
        outcome = await outcome_of(client.start(request))
        if outcome in NO_RESOURCES:
            raise NotTestable(f"the server has no resources for another registration: {outcome}")
        if outcome != returns(Win32.ERROR_SUCCESS) or outcome.response.context == NULL_HANDLE:
            raise self._unusable(requirement, type(request).__name__.removesuffix("Request"), outcome, node)
        context: ContextHandle = outcome.response.context
        return context

    def _unusable(self, requirement: str, what: str, outcome: Outcome, node: int) -> Exception:
        """Record that a valid call failed, as a violation of its own requirement; returns CaseStopped."""
        if outcome.kind == "silence":
            self.known.add_silence(requirement, self.nodes[node].name, self.spec.case)
        return self.spec.precondition_failed(
            requirement,
            expected=str(returns(Win32.ERROR_SUCCESS)),
            observed=outcome,
            note=f"{what}, which the case relies on",
        )


def address_text(interface: InterfaceInfo) -> str:
    """The address of an interface as IpAddress of a registration; its IPv4 address if it has both."""
    return str(interface.ipv4 if interface.flags & InterfaceFlags.IPV4 else interface.ipv6)
