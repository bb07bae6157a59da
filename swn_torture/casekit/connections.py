"""Connections of one case to the witness service of a target, and the accounts that it authenticates with."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

from swn_torture.casekit.blame import UNANSWERED_BIND
from swn_torture.casekit.facts import CONNECTIONS, PROFILE_SAYS_NONE, TargetFacts
from swn_torture.casekit.known import Blocked, FailedBind, KnownAnswers, NotTestable
from swn_torture.dcerpc.client.client import RpcClient
from swn_torture.dcerpc.client.client import connect as connect_rpc
from swn_torture.dcerpc.epm.endpoint_mapper import ept_map
from swn_torture.dcerpc.epm.ports import listening_port
from swn_torture.dcerpc.errors import ConnectionLost, ContextRefused, DeadlineExceeded, RpcError
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.dcerpc.security.tickets import NoTicket
from swn_torture.dcerpc.transcript import Transcript
from swn_torture.spec.rungs import requirements_of
from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId
from swn_torture.witness.client import WitnessClient
from swn_torture.witness.constants import WITNESS, Opnum

if TYPE_CHECKING:
    from swn_torture.account import Account
    from swn_torture.casekit.checks import Spec
    from swn_torture.control.base import Controller
    from swn_torture.dcerpc.security.context import Credentials
    from swn_torture.dcerpc.security.protection import SecurityEntry
    from swn_torture.target import Expectations, NodeAddress, Profile


class Connections:
    """Connections to the witness service of a target, for one case.

    Attributes:
        profile: the profile of the target.
        spec: the checks of the case.
        syntax: transfer syntax of the case; ``connect`` offers it by default.
        facts: what the target has shown before the first case.
        known: what earlier cases found out about its answers.
        failed_binds: the binds of ``connect`` that failed.
        transcript: every octet sent and received.
        cluster: the controller of a variant, opened. None for the target itself: the ``cluster`` fixture is
            its controller.
    """

    def __init__(
        self,
        profile: Profile,
        spec: Spec,
        syntax: SyntaxId = NDR32,
        facts: TargetFacts | None = None,
        known: KnownAnswers | None = None,
    ) -> None:
        self.profile = profile
        self.spec = spec
        self.syntax = syntax
        self.facts = facts or TargetFacts()
        self.known = known or KnownAnswers()
        self.failed_binds: list[FailedBind] = []
        self.transcript = Transcript()
        self.cluster: Controller | None = None
        self._open: list[RpcClient] = []
        self._ports: dict[str, int] = {}
        self.connections: dict[RpcClient, tuple[int, dict[str, Any]]] = {}

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

    @property
    def auth_type(self) -> AuthType:
        """The authentication service of ``connect`` and ``logon`` by default: one that the target offers."""
        return self.facts.auth_type

    @property
    def level(self) -> AuthLevel:
        """The authentication level by default: PKT_INTEGRITY, or PKT_PRIVACY if the target serves only it."""
        return self.facts.level

    def require(self, service: AuthType) -> None:
        """Check that a case can use an authentication service.

        Args:
            service: the service.

        Raises:
            NotTestable: the target does not offer it. No rule of MS-SWN demands that.
        """
        reason = self.facts.not_offered(service)
        if reason:
            raise NotTestable(reason)

    def require_security(self) -> None:
        """Check that the target serves calls with authentication.

        Raises:
            NotTestable: the suite calls it without authentication, because the target knows no service (then
                it is a `Blocked`), or because the profile says so.
        """
        if not self.facts.no_security:
            return
        if self.facts.no_security == PROFILE_SAYS_NONE:
            raise NotTestable('needs authentication; the profile says auth = "none" in [account]')
        why = "the target serves calls without authentication only"
        raise Blocked(self.facts.no_security, why)

    def security_of(self, client: WitnessClient) -> SecurityEntry:
        """The only security context of a connection.

        Args:
            client: the connection, made by ``connect``.

        Raises:
            NotTestable: the connection is not authenticated.
        """
        self.require_security()
        (entry,) = client.rpc.core.security.values()
        return entry

    async def port(self, node: int = 0) -> int:
        """The TCP port of a node's witness endpoint, from the profile or from its endpoint mapper.

        Args:
            node: index of the node.

        Raises:
            Blocked: no client can call the node, as the preflight found.
            RpcError: the endpoint mapper does not answer, or returns a fault.
        """
        where = self.nodes[node]
        broken = self.facts.defect_of(where.name)
        if broken is not None and broken.violates not in self.spec.requirements:
            raise Blocked(broken.violates, f"{where.name}: {broken.defect}")
        if where.port is not None:
            return where.port
        if where.name not in self._ports:
            towers = await ept_map(where.address, WITNESS, port=where.endpoint_mapper_port)
            self._ports[where.name] = await listening_port(where.address, towers)
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

        Raises:
            Blocked: another connection is open, and the server serves one at a time.
        """
        broken = self.facts.one_connection
        others = any(not each.closed.is_set() for each in self._open)
        if broken is not None and others and broken.requirement not in self.spec.requirements:
            raise Blocked(broken.requirement, broken.observed)
        rpc = await connect_rpc(
            self.nodes[node].address, await self.port(node), source=source, transcript=self.transcript
        )
        self._keep(rpc)
        return rpc

    async def connect(
        self,
        node: int = 0,
        *,
        syntax: SyntaxId | None = None,
        level: AuthLevel | None = None,
        auth_type: AuthType | None = None,
        credentials: Credentials | None = None,
        **bind: Any,
    ) -> WitnessClient:
        """A connection that is authenticated and bound to the witness interface.

        Args:
            node: index of the node.
            syntax: transfer syntax to offer; by default that of the case.
            level: authentication level; ``NONE`` binds without authentication. By default ``self.level``.
            auth_type: authentication service; by default ``self.auth_type``.
            credentials: the account; by default that of the profile.
            bind: any other argument of ``RpcClient.bind``.

        Raises:
            Blocked: the node does not answer a bind, as earlier cases found.
            NotTestable: the server rejects NDR64, or does not offer the authentication service or serve the
                level that the case chooses. It need not support them. Or there is no Kerberos ticket.
            RpcError: the server rejects the bind in another way.
        """
        syntax = syntax or self.syntax
        self.require_answers(UNANSWERED_BIND.requirement, node)
        rpc = await self.rpc(node)
        logon = self.logon(level=level, auth_type=auth_type, credentials=credentials)
        chosen = {"syntax": syntax, "level": level, "auth_type": auth_type, "credentials": credentials}
        how = {**chosen, **bind}
        try:
            await rpc.bind(WITNESS, transfer=(syntax,), **logon, **bind)
        except RpcError as error:
            with contextlib.suppress(RpcError, OSError):
                await rpc.close()
            if isinstance(error, ContextRefused) and syntax == NDR64:
                raise NotTestable(f"the target does not support NDR64 (optional): {error}") from error
            if isinstance(error, NoTicket):
                raise NotTestable(f"there is no ticket to log on with. {error}") from error
            ordinary = not bind and all(each is None for each in (level, auth_type, credentials))
            again = partial(self.connect, node, **how)
            other = credentials not in {None, self.credentials}
            self.failed_binds.append(FailedBind(error, node, again, ordinary, other_account=other))
            raise
        self.known.add_service(UNANSWERED_BIND.requirement, self.nodes[node].name)
        self.connections[rpc] = node, how
        return WitnessClient(rpc, syntax)

    def _keep(self, rpc: RpcClient) -> None:
        """Close it at the end of the case, and allow no call that cannot be served."""
        rpc.core.before_request = self._require_call
        self._open.append(rpc)

    def _require_call(self, opnum: int, fragments: int) -> None:
        """Check that a method serves clients, and that a request of so many fragments can arrive.

        Raises:
            Blocked: an ordinary call of the method failed before the first case, or a request in parts.
        """
        self.require_method(opnum)
        for broken in self.facts.framing if fragments > 1 else ():
            if broken.requirement not in {CONNECTIONS, *self.spec.requirements}:
                raise Blocked(broken.requirement, broken.observed)

    def require_method(self, opnum: int) -> None:
        """Check that a method serves clients; a case about the requirement that it violates may call it.

        Raises:
            Blocked: an ordinary call of it failed before the first case.
        """
        broken = self.facts.broken_method(opnum)
        own = requirements_of(self.spec.case, self.spec.requirements)
        if broken is not None and broken.requirement not in own:
            raise Blocked(broken.requirement, f"an ordinary call of opnum {opnum} ends in: {broken.observed}")

    def require_answered_calls(self) -> None:
        """Check that the server answers calls at all, if only by a fault that says that it has no method.

        Raises:
            Blocked: an ordinary GetInterfaceList got no answer before the first case, or another fault.
        """
        broken = self.facts.broken_method(Opnum.GET_INTERFACE_LIST)
        missing = broken is not None and broken.requirement.startswith("SWN-3.1.4-opnum-")
        if broken is not None and not broken.malformed and not missing:
            raise Blocked(broken.requirement, f"an ordinary call ends in: {broken.observed}")

    async def idle_connection(self, client: WitnessClient) -> WitnessClient:
        """A connection of the same association that can take a call now.

        That is the connection itself, unless a call is outstanding on it and the server does not confirm
        PFC_CONC_MPX: then it is a new one, made in the same way (MS-RPCE 3.3.1.5.8).

        Args:
            client: a connection made by ``connect``.

        Raises:
            NotTestable: the connection was made in another way.
        """
        if client.rpc.core.multiplexed or not client.rpc.outstanding:
            return client
        if client.rpc not in self.connections:
            raise NotTestable("the server does not confirm PFC_CONC_MPX: one call at a time on a connection")
        node, how = self.connections[client.rpc]
        return await self.connect(node, **{**how, "assoc_group": client.rpc.core.assoc_group})

    async def connect_at(self, address: str, node: int) -> WitnessClient:
        """A connection like that of ``connect``, to another address of a node.

        The witness endpoint there has the same port, or one that the endpoint mapper there returns.

        Args:
            address: IP address of an interface of the node.
            node: index of the node.

        Raises:
            NotTestable: this machine cannot reach the address.
            RpcError: the node refuses the connection or the bind.
        """
        where = self.nodes[node]
        try:
            rpc = await connect_rpc(address, await self.port(node), transcript=self.transcript)
        except (ConnectionLost, DeadlineExceeded) as problem:
            if not isinstance(problem, ConnectionLost) or not problem.reset:
                raise NotTestable(f"{address} is not reachable from here: {problem}") from problem
            if where.port is not None:
                raise
            towers = await ept_map(address, WITNESS, port=where.endpoint_mapper_port)
            rpc = await connect_rpc(
                address, await listening_port(address, towers), transcript=self.transcript
            )
        self._keep(rpc)
        await rpc.bind(WITNESS, transfer=(self.syntax,), **self.logon())
        return WitnessClient(rpc, self.syntax)

    def logon(
        self,
        *,
        level: AuthLevel | None = None,
        auth_type: AuthType | None = None,
        credentials: Credentials | None = None,
    ) -> dict[str, Any]:
        """The arguments of ``RpcClient.bind`` and ``alter_context`` for authentication; none for ``NONE``.

        Args:
            level: authentication level; by default ``self.level``.
            auth_type: authentication service; by default ``self.auth_type``.
            credentials: the account; by default that of the profile.

        Raises:
            NotTestable: the target does not offer the service, or serves no call at PKT_INTEGRITY.
        """
        if level is None and auth_type is None:
            level = self.level
        if level == AuthLevel.NONE:
            return {}
        self.require_security()
        if auth_type is not None:
            self.require(auth_type)
        reason = None if level is None else self.facts.not_served(level)
        if reason:
            raise NotTestable(reason)
        return {
            "credentials": credentials or self.credentials,
            "auth_type": self.auth_type if auth_type is None else auth_type,
            "level": level or self.level or AuthLevel.INTEGRITY,
            "host": self.profile.host,
        }

    async def close(self) -> None:
        """Close every connection of the case."""
        for rpc in self._open:
            with contextlib.suppress(RpcError, OSError):
                await rpc.close()

    def require_answers(self, requirement: str, node: int) -> None:
        """Check that earlier cases did not find that a call stays without an answer.

        A case that is about this requirement waits for the answer itself.

        Raises:
            Blocked: they found that.
        """
        cases = self.known.silent(requirement, self.nodes[node].name)
        if cases and requirement not in self.spec.requirements:
            raise Blocked(requirement, f"{self.nodes[node].name} gave no answer to {' and '.join(cases)}")


def credentials_of(account: Account) -> Credentials:
    """An account of the profile as credentials for the transport."""
    return account.credentials()
