"""The ``witness`` fixture: connections of one case to the witness service of a target, and its requests.

Every octet of every connection is recorded. All connections are closed when the case ends, so that the
server removes their registrations.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
from typing import TYPE_CHECKING, Any

from swn_torture.casekit.outcome import Outcome, outcome_of, outcome_of_error, returns
from swn_torture.dcerpc.client.client import RpcClient
from swn_torture.dcerpc.client.client import connect as connect_rpc
from swn_torture.dcerpc.epm.endpoint_mapper import ept_map
from swn_torture.dcerpc.errors import ContextRefused, RpcError
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.dcerpc.transcript import Transcript
from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.client import WitnessClient
from swn_torture.witness.constants import WITNESS, InterfaceFlags, InterfaceState, ProtocolVersion
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
    from swn_torture.control.base import Controller
    from swn_torture.target import Account, Expectations, NodeAddress, Profile

_numbers = itertools.count(1)
#: First part of the ClientComputerNames of this process; it differs from that of every other process.
_PREFIX = f"SWN{os.getpid():X}{secrets.token_hex(2).upper()}"


class Witness:
    """The witness service of a target, for one case.

    Attributes:
        profile: the profile of the target.
        spec: the checks of the case.
        syntax: transfer syntax of the case; ``connect`` offers it by default.
        transcript: every octet sent and received.
        cluster: the controller of a variant, opened. None for the target itself: the ``cluster`` fixture is
            its controller.
    """

    def __init__(self, profile: Profile, spec: Spec, syntax: SyntaxId = NDR32) -> None:
        self.profile = profile
        self.spec = spec
        self.syntax = syntax
        self.transcript = Transcript()
        self.cluster: Controller | None = None
        self._open: list[RpcClient] = []
        self._ports: dict[str, int] = {}

    # -- the target and its accounts
    # ------------------------------------------------------------------------------------------

    @property
    def expect(self) -> Expectations:
        """Times, shares and versions to expect, from the profile."""
        return self.profile.expect

    @property
    def nodes(self) -> tuple[NodeAddress, ...]:
        """The nodes of the target, in the order of the profile."""
        return self.profile.nodes

    @property
    def net_name(self) -> str:
        """The NetName that clients register with (ServerGlobalName)."""
        return self.profile.net_name

    @property
    def credentials(self) -> Credentials:
        """The account that the suite authenticates with."""
        return credentials_of(self.profile.account)

    @property
    def second_credentials(self) -> Credentials:
        """Another account without special rights.

        Raises:
            LookupError: the profile has none; the case must list ``second-account`` in its needs.
        """
        account = self.profile.second_account
        if account is None:
            raise LookupError(
                "the profile has no [second_account]; a case that uses it lists needs=('second-account',)"
            )
        return credentials_of(account)

    def client_name(self) -> str:
        """A new ClientComputerName that no other client uses."""
        return f"{_PREFIX}{next(_numbers)}"

    async def port(self, node: int = 0) -> int:
        """The TCP port of a node's witness endpoint, from the profile or from its endpoint mapper.

        Args:
            node: index of the node.

        Raises:
            RpcError: the endpoint mapper does not answer, or returns a fault.
        """
        where = self.nodes[node]
        if where.port is not None:
            return where.port
        if where.name not in self._ports:
            towers = await ept_map(where.address, WITNESS, port=where.endpoint_mapper_port)
            self._ports[where.name] = towers[0].port
        return self._ports[where.name]

    def forget_ports(self) -> None:
        """Call the endpoint mappers again next time: a restarted service may listen on another port."""
        self._ports.clear()

    # -- connections
    # --------------------------------------------------------------------------------------------

    async def rpc(self, node: int = 0, *, source: str | None = None) -> RpcClient:
        """A TCP connection to a node's witness endpoint, without a bind.

        Args:
            node: index of the node.
            source: local IP address to connect from; the system chooses one by default.
        """
        rpc = await connect_rpc(
            self.nodes[node].address, await self.port(node), source=source, transcript=self.transcript
        )
        self._open.append(rpc)
        return rpc

    async def connect(
        self,
        node: int = 0,
        *,
        syntax: SyntaxId | None = None,
        level: AuthLevel = AuthLevel.INTEGRITY,
        auth_type: AuthType = AuthType.NTLM,
        credentials: Credentials | None = None,
        **bind: Any,
    ) -> WitnessClient:
        """A connection that is authenticated and bound to the witness interface.

        Args:
            node: index of the node.
            syntax: transfer syntax to offer; by default that of the case.
            level: authentication level; ``NONE`` binds without authentication.
            auth_type: authentication service.
            credentials: the account; by default that of the profile.
            bind: any other argument of ``RpcClient.bind``.

        Raises:
            NotTestable: the server rejects NDR64, which it need not support.
            RpcError: the server rejects the bind in another way.
        """
        syntax = syntax or self.syntax
        rpc = await self.rpc(node)
        logon = self.logon(level=level, auth_type=auth_type, credentials=credentials)
        try:
            await rpc.bind(WITNESS, transfer=(syntax,), **logon, **bind)
        except ContextRefused as refused:
            if syntax == NDR64:
                raise NotTestable(f"the target does not support NDR64 (optional): {refused}") from refused
            raise
        return WitnessClient(rpc, syntax)

    async def connect_at(self, address: str, endpoint_mapper_port: int) -> WitnessClient:
        """A connection like that of ``connect``, to an address that is not in the profile.

        Args:
            address: IP address of an interface.
            endpoint_mapper_port: TCP port of the endpoint mapper there.
        """
        towers = await ept_map(address, WITNESS, port=endpoint_mapper_port)
        rpc = await connect_rpc(address, towers[0].port, transcript=self.transcript)
        self._open.append(rpc)
        await rpc.bind(WITNESS, transfer=(self.syntax,), **self.logon())
        return WitnessClient(rpc, self.syntax)

    def logon(
        self,
        *,
        level: AuthLevel = AuthLevel.INTEGRITY,
        auth_type: AuthType = AuthType.NTLM,
        credentials: Credentials | None = None,
    ) -> dict[str, Any]:
        """The arguments of ``RpcClient.bind`` and ``alter_context`` for authentication; none for ``NONE``.

        Args:
            level: authentication level.
            auth_type: authentication service.
            credentials: the account; by default that of the profile.
        """
        if level == AuthLevel.NONE:
            return {}
        return {
            "credentials": credentials or self.credentials,
            "auth_type": auth_type,
            "level": level,
            "host": self.profile.spn_host or self.net_name,
        }

    async def check_still_serving(self, spec: Spec, *ids: str) -> None:
        """Check that the server still serves other connections: GetInterfaceList on a new one.

        Cases call this after they have sent something malformed or hostile.

        Args:
            spec: the checks of the case.
            ids: the requirements to check. Without any, only a failure is recorded, as a violation of
                RPC-CONN-independent.

        Raises:
            CaseStopped: the server does not return ERROR_SUCCESS.
        """
        deadline = self.profile.expect.reply_deadline
        spec.survival_checked = True
        try:
            async with asyncio.timeout(deadline):
                client = await self.connect(syntax=NDR32)
                outcome = await outcome_of(client.start(GetInterfaceListRequest()), deadline)
                await client.rpc.close()
        except RpcError as problem:
            outcome = outcome_of_error(problem)
        except TimeoutError:
            outcome = Outcome("silence", detail=f"waited {deadline:g} s")
        expected = str(returns(Win32.ERROR_SUCCESS))
        served = outcome == returns(Win32.ERROR_SUCCESS)
        note = "GetInterfaceList on a new connection afterwards"
        if ids:
            spec(*ids).holds(served, expected=expected, observed=outcome, note=note)
        if not served:
            if ids:
                raise spec.stop()
            raise spec.precondition_failed(
                "RPC-CONN-independent", expected=expected, observed=outcome, note=note
            )

    async def close(self) -> None:
        """Close every connection of the case."""
        for rpc in self._open:
            with contextlib.suppress(RpcError, OSError):
                await rpc.close()

    # -- interface list and registrations
    # ------------------------------------------------------------------------

    async def interfaces(self, node: int = 0) -> tuple[InterfaceInfo, ...]:
        """The interface list that a node returns.

        Raises:
            CaseStopped: GetInterfaceList fails, which is recorded as a violation.
        """
        client = await self.connect(node)
        outcome = await outcome_of(client.start(GetInterfaceListRequest()))
        if outcome != returns(Win32.ERROR_SUCCESS):
            raise self._unusable("SWN-3.1.4.1-returns-success", "GetInterfaceList", outcome)
        await client.rpc.close()
        interfaces = outcome.response.interface_list
        return tuple(interfaces.interfaces or ()) if interfaces else ()

    async def address_of(self, node: int = 0) -> str:
        """The address of an AVAILABLE interface that a node hosts itself, as IpAddress of a registration.

        Raises:
            NotTestable: the node hosts none.
            CaseStopped: GetInterfaceList fails, which is recorded as a violation.
        """
        own = [
            i
            for i in await self.interfaces(node)
            if i.state == InterfaceState.AVAILABLE and not i.flags & InterfaceFlags.WITNESS
        ]
        if not own:
            raise NotTestable(f"node {self.nodes[node].name} itself hosts no AVAILABLE interface")
        return address_text(own[0])

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
            fields: parameters; by default IpAddress is an address of the first node.

        Raises:
            CaseStopped: the call fails, which is recorded as a violation.
        """
        fields.setdefault("ip_address", await self.address_of(0))
        return await self._registered(client, self.registration(**fields), "SWN-3.1.4.2-returns-success")

    async def register_ex(self, client: WitnessClient, **fields: Any) -> ContextHandle:
        """Call RegisterEx (version 2) and return the context handle.

        Args:
            client: the connection.
            fields: parameters; by default IpAddress is an address of the first node.

        Raises:
            CaseStopped: the call fails, which is recorded as a violation.
        """
        fields.setdefault("ip_address", await self.address_of(0))
        return await self._registered(client, self.registration_ex(**fields), "SWN-3.1.4.5-returns-success")

    async def _registered(self, client: WitnessClient, request: Any, requirement: str) -> ContextHandle:
        outcome = await outcome_of(client.start(request))
        if outcome != returns(Win32.ERROR_SUCCESS) or outcome.response.context == NULL_HANDLE:
            raise self._unusable(requirement, type(request).__name__.removesuffix("Request"), outcome)
        context: ContextHandle = outcome.response.context
        return context

    def _unusable(self, requirement: str, what: str, outcome: Any) -> Exception:
        """Record that a valid call failed, as a violation of its own requirement; returns CaseStopped."""
        return self.spec.precondition_failed(
            requirement,
            expected=str(returns(Win32.ERROR_SUCCESS)),
            observed=outcome,
            note=f"{what}, which the case relies on",
        )


class NotTestable(Exception):  # noqa: N818 - not an error: the target does not violate anything
    """The case cannot be run on the target as it is; the text is the reason in the report."""


def credentials_of(account: Account) -> Credentials:
    """An account of the profile as credentials for the transport."""
    return Credentials(account.username, account.password, account.domain)


def address_text(interface: InterfaceInfo) -> str:
    """The address of an interface as IpAddress of a registration; its IPv4 address if it has both."""
    return str(interface.ipv4 if interface.flags & InterfaceFlags.IPV4 else interface.ipv6)
