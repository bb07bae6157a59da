"""The ``witness`` fixture: the witness service of a target as one case sees it.

Every connection a case makes is recorded, octet by octet, and closed when the case ends, so that its
registrations go with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
from typing import TYPE_CHECKING, Any

from swn_torture.casekit.outcome import Outcome, ending_of, outcome_of, returns
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
#: Names of this process's clients start alike and differ from every other process's.
_PREFIX = f"SWN{os.getpid():X}{secrets.token_hex(2).upper()}"


class Witness:
    """The witness service of a target, for one case.

    Attributes:
        profile: what is known of the target.
        spec: the checks of the case.
        syntax: transfer syntax of the case, which ``connect`` offers unless told otherwise.
        transcript: every octet exchanged.
        cluster: the controller of a variant, opened; None for the target itself, whose controller is the
            ``cluster`` fixture.
    """

    def __init__(self, profile: Profile, spec: Spec, syntax: SyntaxId = NDR32) -> None:
        self.profile = profile
        self.spec = spec
        self.syntax = syntax
        self.transcript = Transcript()
        self.cluster: Controller | None = None
        self._open: list[RpcClient] = []
        self._ports: dict[str, int] = {}

    # -- where and who
    # ------------------------------------------------------------------------------------------

    @property
    def expect(self) -> Expectations:
        """What the profile says about timing, shares and versions."""
        return self.profile.expect

    @property
    def nodes(self) -> tuple[NodeAddress, ...]:
        """The nodes of the target."""
        return self.profile.nodes

    @property
    def net_name(self) -> str:
        """The NetName clients register with."""
        return self.profile.net_name

    @property
    def credentials(self) -> Credentials:
        """The user the suite logs on as."""
        return credentials_of(self.profile.account)

    @property
    def second_credentials(self) -> Credentials:
        """Another ordinary user; the case has to need ``second-account``."""
        account = self.profile.second_account
        if account is None:
            raise LookupError("the case uses a second account without needing one")
        return credentials_of(account)

    def client_name(self) -> str:
        """A ClientComputerName that nobody else uses."""
        return f"{_PREFIX}{next(_numbers)}"

    async def port(self, node: int = 0) -> int:
        """The TCP port of a node's witness endpoint, from the profile or from its endpoint mapper."""
        where = self.nodes[node]
        if where.port is not None:
            return where.port
        if where.name not in self._ports:
            towers = await ept_map(where.address, WITNESS, port=where.endpoint_mapper_port)
            self._ports[where.name] = towers[0].port
        return self._ports[where.name]

    def forget_ports(self) -> None:
        """Ask the endpoint mappers again: a service that was restarted may have another port."""
        self._ports.clear()

    # -- connections
    # --------------------------------------------------------------------------------------------

    async def rpc(self, node: int = 0, *, source: str | None = None) -> RpcClient:
        """A TCP connection to a node's witness endpoint, not bound to anything."""
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
        """A bound, authenticated connection that speaks witness.

        Args:
            node: index of the node.
            syntax: transfer syntax to offer; the case's own without.
            level: authentication level; ``NONE`` binds without any.
            auth_type: authentication service.
            credentials: the user; the profile's account without.
            bind: anything else that ``RpcClient.bind`` takes.
        """
        syntax = syntax or self.syntax
        rpc = await self.rpc(node)
        logon = self.logon(level=level, auth_type=auth_type, credentials=credentials)
        try:
            await rpc.bind(WITNESS, transfer=(syntax,), **logon, **bind)
        except ContextRefused as refused:
            if syntax == NDR64:
                raise NotTestable(f"the target does not support NDR64, as it may: {refused}") from refused
            raise
        return WitnessClient(rpc, syntax)

    async def connect_at(self, address: str, endpoint_mapper_port: int) -> WitnessClient:
        """Such a connection to an address that the profile does not name: that of an interface."""
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
        """What ``RpcClient.bind`` and ``alter_context`` take to log on; nothing at level ``NONE``."""
        if level == AuthLevel.NONE:
            return {}
        return {
            "credentials": credentials or self.credentials,
            "auth_type": auth_type,
            "level": level,
            "host": self.profile.spn_host or self.net_name,
        }

    async def check_still_serving(self, spec: Spec, *ids: str) -> None:
        """Show after a hostile stimulus that others are still served: GetInterfaceList on a fresh connection.

        Args:
            law: the law of the case.
            ids: the rules that this decides; without any, only a failure is recorded, as one of
                RPC-CONN-independent.

        Raises:
            Stop: they are not.
        """
        deadline = self.profile.expect.reply_deadline
        spec.survival_checked = True
        try:
            async with asyncio.timeout(deadline):
                client = await self.connect(syntax=NDR32)
                outcome = await outcome_of(client.start(GetInterfaceListRequest()), deadline)
                await client.rpc.close()
        except RpcError as problem:
            outcome = ending_of(problem)
        except TimeoutError:
            outcome = Outcome("silence", detail=f"waited {deadline:g} s")
        expected = str(returns(Win32.ERROR_SUCCESS))
        served = outcome == returns(Win32.ERROR_SUCCESS)
        note = "GetInterfaceList on a fresh connection afterwards"
        if ids:
            spec(*ids).holds(served, expected=expected, observed=outcome, note=note)
        if not served:
            if ids:
                raise spec.stop()
            raise spec.precondition_failed(
                "RPC-CONN-independent", expected=expected, observed=outcome, note=note
            )

    async def close(self) -> None:
        """End every connection of the case."""
        for rpc in self._open:
            with contextlib.suppress(RpcError, OSError):
                await rpc.close()

    # -- what cases need again and again
    # ------------------------------------------------------------------------

    async def interfaces(self, node: int = 0) -> tuple[InterfaceInfo, ...]:
        """The interface list as a node tells it; not being told one stops the case as a violation."""
        client = await self.connect(node)
        outcome = await outcome_of(client.start(GetInterfaceListRequest()))
        if outcome != returns(Win32.ERROR_SUCCESS):
            raise self._unusable("SWN-3.1.4.1-returns-success", "GetInterfaceList", outcome)
        await client.rpc.close()
        interfaces = outcome.response.interface_list
        return tuple(interfaces.interfaces or ()) if interfaces else ()

    async def address_of(self, node: int = 0) -> str:
        """An address of an AVAILABLE interface that the node itself hosts, as registrations name it."""
        own = [
            i
            for i in await self.interfaces(node)
            if i.state == InterfaceState.AVAILABLE and not i.flags & InterfaceFlags.WITNESS
        ]
        if not own:
            raise NotTestable(f"node {self.nodes[node].name} hosts no AVAILABLE interface of its own")
        return address_text(own[0])

    def registration(self, **fields: Any) -> RegisterRequest:
        """A Register request that is right but for the fields given here; IpAddress has to be."""
        return RegisterRequest(
            **{
                "version": ProtocolVersion.V1,
                "net_name": self.net_name,
                "client_computer_name": self.client_name(),
                **fields,
            }
        )

    def registration_ex(self, **fields: Any) -> RegisterExRequest:
        """A RegisterEx request that is right in every field not given here, but for IpAddress."""
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
        """Register (version 1) and return the handle; a refusal stops the case as a violation."""
        fields.setdefault("ip_address", await self.address_of(0))
        return await self._registered(client, self.registration(**fields), "SWN-3.1.4.2-returns-success")

    async def register_ex(self, client: WitnessClient, **fields: Any) -> ContextHandle:
        """RegisterEx (version 2) and return the handle; a refusal stops the case as a violation."""
        fields.setdefault("ip_address", await self.address_of(0))
        return await self._registered(client, self.registration_ex(**fields), "SWN-3.1.4.5-returns-success")

    async def _registered(self, client: WitnessClient, request: Any, requirement: str) -> ContextHandle:
        outcome = await outcome_of(client.start(request))
        if outcome != returns(Win32.ERROR_SUCCESS) or outcome.response.context == NULL_HANDLE:
            raise self._unusable(requirement, type(request).__name__.removesuffix("Request"), outcome)
        context: ContextHandle = outcome.response.context
        return context

    def _unusable(self, requirement: str, what: str, outcome: Any) -> Exception:
        """A conforming call was not served: that is a finding about the call, whatever the case is about."""
        return self.spec.precondition_failed(
            requirement,
            expected=str(returns(Win32.ERROR_SUCCESS)),
            observed=outcome,
            note=f"{what} as a stimulus",
        )


class NotTestable(Exception):  # noqa: N818 - the target is no worse for it
    """The target is not in a state in which the case can be run; not a finding."""


def credentials_of(account: Account) -> Credentials:
    """A profile's account in the form the transport takes."""
    return Credentials(account.username, account.password, account.domain)


def address_text(interface: InterfaceInfo) -> str:
    """The address of an interface in the form a registration names it; IPv4 where it has both."""
    return str(interface.ipv4 if interface.flags & InterfaceFlags.IPV4 else interface.ipv6)
