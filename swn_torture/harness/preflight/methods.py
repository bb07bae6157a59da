"""Which methods of a node serve no client at all: an ordinary call of each, before the first case.

A server that lacks a method, or never answers it, would fail every case that calls it. That is one finding;
the cases that depend on the method are not run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from swn_torture.casekit.facts import BrokenMethod
from swn_torture.casekit.ordinary_calls import SERVED
from swn_torture.casekit.outcome import SUCCESS, faults, outcome_of, returns
from swn_torture.casekit.witness import credentials_of
from swn_torture.dcerpc.errors import RpcError
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.dcerpc.transcript import Transcript
from swn_torture.harness.preflight.findings import PreflightFinding
from swn_torture.harness.preflight.logon import DENIALS
from swn_torture.harness.rung_gate import rung_of_method
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.client import WitnessClient, connect
from swn_torture.witness.constants import Opnum, ProtocolVersion
from swn_torture.witness.messages import (
    NULL_HANDLE,
    AsyncNotifyRequest,
    ContextHandle,
    GetInterfaceListRequest,
    RegisterExRequest,
    RegisterRequest,
    UnRegisterRequest,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
    from ipaddress import IPv4Address, IPv6Address

    from swn_torture.casekit.outcome import Outcome
    from swn_torture.dcerpc.security.levels import AuthType
    from swn_torture.harness.preflight.patience import Patience
    from swn_torture.stubdata.syntax import SyntaxId
    from swn_torture.target import NodeAddress, Profile

    Connect = Callable[[SyntaxId, Transcript], Awaitable[WitnessClient]]

#: Seconds after which an AsyncNotify counts as pending, as it must without an event.
_PENDING_S = 0.5

_MISSING = faults(FaultStatus.NCA_S_OP_RNG_ERROR)

#: The methods whose ordinary call needs nothing but an address. A fault, or octets that do not decode, cannot
#: be right there: no client gets an interface list or a handle.
_FIRST = (Opnum.GET_INTERFACE_LIST, Opnum.REGISTER, Opnum.REGISTER_EX)

#: An address from the interface list, of an interface that is AVAILABLE, is not: the list is wrong, or the
#: method. No client can register.
_NOT_AVAILABLE = returns(Win32.ERROR_INVALID_STATE)

#: The end of an AsyncNotify whose time is over.
_OVER = returns(Win32.ERROR_TIMEOUT)

#: What a server violates that does not search by the handle.
_BY_HANDLE = {Opnum.UNREGISTER: "SWN-3.1.4.3-search-by-key", Opnum.ASYNC_NOTIFY: "SWN-3.1.4.4-search-by-key"}

_NAME = "SWN-TORTURE"


@dataclass(frozen=True, slots=True)
class Tried:
    """An ordinary call of one method.

    Attributes:
        opnum: the method.
        outcome: how it ended; an AsyncNotify without an event has no answer.
        octets: all octets of its connection.
        valid: whether its parameters are known to be valid.
        served: whether the same call with the other transfer syntax is served.
        ignores_handle: whether a handle that was never issued took a registration.
        wrong_list: the violated requirement, and how Register shows that the interface list is wrong; else
            empty.
    """

    opnum: Opnum
    outcome: Outcome
    octets: Transcript
    valid: bool = True
    served: bool = False
    ignores_handle: bool = False
    wrong_list: tuple[str, str] = ("", "")

    @property
    def broken(self) -> bool:
        """Whether no client can be served: the method is missing, there is no answer at all, or none of use.

        Any other answer is for the cases to judge: they may find out that it is right.
        """
        if self.outcome == _MISSING:
            return True
        ended = {"closed"} if self.opnum == Opnum.ASYNC_NOTIFY else {"closed", "silence"}
        useless = (
            (self.useless and not self.served) or self.early or self.ignores_handle or self.lists_wrongly
        )
        return self.valid and (self.outcome.kind in ended or useless)

    @property
    def useless(self) -> bool:
        """Whether no client gets an interface list or a handle from the answer, with this transfer syntax."""
        if self.outcome.kind == "malformed":
            return True
        if self.opnum not in _FIRST:
            return False
        if self.outcome.kind == "fault":
            return self.outcome.code not in DENIALS
        if self.outcome == _NOT_AVAILABLE:
            return True
        null = getattr(self.outcome.response, "context", None) == NULL_HANDLE
        return null and self.outcome.code == Win32.ERROR_SUCCESS

    @property
    def lists_wrongly(self) -> bool:
        """Whether the server itself rejects what its interface list says."""
        return bool(self.wrong_list[0])

    @property
    def early(self) -> bool:
        """Whether an AsyncNotify for 120 s is over at once, and not because of an event."""
        return self.opnum == Opnum.ASYNC_NOTIFY and self.outcome == _OVER

    @property
    def observed(self) -> str:
        """How the call ended, in words."""
        if self.lists_wrongly:
            return self.wrong_list[1]
        if self.ignores_handle:
            pending = "the call is pending" if self.outcome.kind == "silence" else str(self.outcome)
            return f"{pending}, with a handle that the server never issued"
        if self.early:
            return f"{self.outcome} at once"
        null = self.useless and self.outcome == SUCCESS
        return f"{self.outcome}, with a null handle" if null else str(self.outcome)

    @property
    def requirement(self) -> str:
        """The requirement that a broken method violates."""
        if self.outcome == _MISSING:
            return f"SWN-3.1.4-opnum-{self.opnum.value}"
        if self.lists_wrongly:
            return self.wrong_list[0]
        if self.ignores_handle:
            return _BY_HANDLE[self.opnum]
        if self.early:
            return "SWN-3.1.4.4-waits"
        return self.outcome.blame.requirement if self.outcome.blame else SERVED[self.opnum]


class _OutOfTimeError(Exception):
    """The preflight has no time left for one more call."""


class MethodProbe:
    """Ordinary calls on a node, as few connections as it takes.

    Args:
        profile: the profile with the NetName.
        node: the node.
        connect: opens a bound connection with a transfer syntax; it records its octets.
        address: an address to register for; None when the interface list is not known.
        patience: how long to wait.
        ndr64: whether the server may accept NDR64, too.
    """

    def __init__(
        self,
        profile: Profile,
        node: NodeAddress,
        connect: Connect,
        address: str | None,
        patience: Patience,
        *,
        ndr64: bool,
    ) -> None:
        self._profile = profile
        self._node = node
        self._connect = connect
        self._address = address
        self._patience = patience
        self._ndr64 = ndr64
        self._client: WitnessClient | None = None
        self._octets = Transcript()

    async def run(self, *, version_2: bool) -> tuple[Tried, ...]:
        """Call the methods in the order in which a client needs them.

        After a GetInterfaceList without an answer of use nothing else is called: it would only take time.

        Args:
            version_2: whether the server implements version 2, and so RegisterEx.
        """
        tried: list[Tried] = []
        try:
            async for each in self._all(version_2=version_2):
                if each.lists_wrongly:
                    tried.clear()  # the call of the list is judged again
                tried.append(each)
        except _OutOfTimeError:
            pass  # what was not called is for the cases to find
        finally:
            await self._close()
        return tuple(tried)

    async def _all(self, *, version_2: bool) -> Any:
        first = await self._try(GetInterfaceListRequest())
        yield first
        if first.broken and first.outcome != _MISSING:
            return
        net_name, address, valid = self._profile.net_name, self._address or "192.0.2.1", bool(self._address)
        request: Any = RegisterRequest(ProtocolVersion.V1, net_name, address, _NAME)
        registered = await self._try(request, valid=valid)
        if registered.broken and registered.outcome == _NOT_AVAILABLE:
            wrong = await self._wrong_list(first, request)
            if wrong is not None:
                yield wrong
                return
        yield registered
        handles = [*_handle(registered)]
        if version_2:
            request = RegisterExRequest(ProtocolVersion.V2, net_name, None, address, _NAME, 0, 120)
            registered = await self._try(request, valid=valid)
            yield registered
            handles += _handle(registered)
        unknown = ContextHandle(0, uuid4())
        several = len(handles) > 1
        yield await self._try(UnRegisterRequest(handles[0] if several else unknown), valid=several)
        notify = AsyncNotifyRequest(handles[-1] if handles else unknown)
        yield await self._try(notify, valid=bool(handles))
        if several and self._patience.passes > 1:  # a fault of an embedded cluster is for the cases to find
            async for ignoring in self._with_unknown_handles(net_name, address):
                yield ignoring

    async def _wrong_list(self, listed: Tried, rejected: RegisterRequest) -> Tried | None:
        """The list is wrong, and not Register, if Register takes the address of the node, which it lacks."""
        try:
            own = ip_address(self._node.address)
        except ValueError:
            return None
        known = listed.outcome.response.interfaces
        if any(own in {each.ipv4, each.ipv6} for each in known):
            return None
        taken = await self._once(replace(rejected, ip_address=str(own)), valid=True)
        if not [*_handle(taken)]:
            return None
        observed = (
            f"{listed.outcome}, a list with {rejected.ip_address}, AVAILABLE, for which Register returns "
            f"{_NOT_AVAILABLE}, and without {own}, for which it returns {SUCCESS}"
        )
        early = _octets_early(own, [each.ipv4 if own.version == 4 else each.ipv6 for each in known])
        if early:
            field = "IPV4" if own.version == 4 else "IPV6"
            observed += (
                f" ({field} begins with octet {early + 1} of that address: {early} octets before it are "
                "missing, such as the padding after State)"
            )
        return replace(listed, wrong_list=(f"SWN-2.2.2.5-ipv{own.version}-if-flag", observed))

    async def _with_unknown_handles(self, net_name: str, address: str) -> AsyncIterator[Tried]:
        """Calls with a handle that was never issued: octets that do not decode, or another's registration.

        What the server returns for an unknown handle is for the cases to judge. Here the handle that was
        issued is not valid any more, which no choice of the text allows.
        """
        await self._close()
        unknown = ContextHandle(0, uuid4())
        rejected = await self._once(AsyncNotifyRequest(unknown), valid=True)
        if rejected.useless:
            yield rejected
        request = RegisterRequest(ProtocolVersion.V1, net_name, address, _NAME)
        issued = [*_handle(await self._once(request, valid=True))]
        stray = await self._once(UnRegisterRequest(unknown), valid=True)
        if stray.outcome != SUCCESS or not issued:
            return
        own = await self._once(UnRegisterRequest(issued[0]), valid=True)
        if own.outcome == SUCCESS or own.outcome.kind != "result":
            return
        yield replace(stray, ignores_handle=True)
        if [*_handle(await self._once(request, valid=True))]:
            notify = await self._once(AsyncNotifyRequest(unknown), valid=True)
            if notify.outcome.kind == "silence":
                yield replace(notify, ignores_handle=True)

    async def _try(self, request: Any, *, valid: bool = True) -> Tried:
        """Call once; a second time on a new connection where there was no answer, or none of use."""
        tried = await self._once(request, valid=valid)
        if (tried.useless or tried.early) and tried.outcome != _MISSING:
            if self._patience.passes == 1:
                return replace(
                    tried, valid=False
                )  # an embedded cluster: a fault of it is for the cases to find
            if tried.opnum not in _FIRST:
                return tried  # a handle is not valid on the connection with the other transfer syntax
            return replace(tried, served=await self._served(request))
        again = tried.broken and tried.outcome != _MISSING and not self._patience.over
        # A handle is not valid on the second connection.
        valid = valid and not isinstance(request, UnRegisterRequest | AsyncNotifyRequest)
        if not again or (tried.valid and not valid):
            return tried
        return await self._once(request, valid=valid)

    async def _once(self, request: Any, *, valid: bool) -> Tried:
        if self._client is None or self._client.rpc.closed.is_set():
            await self._close()
            self._octets = Transcript()
            self._client = await self._connect(NDR32, self._octets)
        wait = self._patience.timeout
        if wait < self._patience.step:
            raise _OutOfTimeError
        if request.opnum == Opnum.ASYNC_NOTIFY:
            wait = min(wait, _PENDING_S, self._patience.step / 10)
        self._patience.begin(f"{self._node.name}: {Opnum(request.opnum).method}")
        outcome = await outcome_of(self._client.start(request), wait)
        # A cluster of this process is called once: when this machine is busy, its silence says nothing.
        valid = valid and (outcome.kind != "silence" or self._patience.passes > 1)
        tried = Tried(Opnum(request.opnum), outcome, self._octets, valid)
        if tried.outcome.kind in {"silence", "closed", "malformed"}:
            await self._close()
        return tried

    async def _served(self, request: Any) -> bool:
        """Whether a call has an answer of use with NDR64."""
        if not self._ndr64:
            return False
        await self._close()
        try:
            client = await self._connect(NDR64, Transcript())
        except RpcError:
            return False  # NDR64 is optional
        try:
            outcome = await outcome_of(client.start(request), self._patience.timeout)
        finally:
            await client.close()
        return not Tried(Opnum(request.opnum), outcome, self._octets).useless

    async def _close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None


def _octets_early(own: IPv4Address | IPv6Address, listed: Iterable[IPv4Address | IPv6Address]) -> int:
    """By how many octets the address is too early in a listed one; 0 if no listed one shows that."""
    size = len(own.packed)
    found = (
        early
        for each in listed
        for early in range(1, size - 1)
        if each.packed[: size - early] == own.packed[early:]
    )
    return next(found, 0)


def _handle(tried: Tried) -> Iterator[ContextHandle]:
    handle = getattr(tried.outcome.response, "context", NULL_HANDLE)
    if tried.outcome.code == Win32.ERROR_SUCCESS and handle != NULL_HANDLE:
        yield handle


def opener(
    profile: Profile, node: NodeAddress, port: int, auth: tuple[AuthType, AuthLevel], patience: Patience
) -> Connect:
    """A function that opens a connection to a node, bound with a transfer syntax; it records its octets.

    Args:
        profile: the profile of the target.
        node: the node.
        port: TCP port of its witness endpoint.
        auth: authentication service and level; no authentication at level NONE.
        patience: how long to wait.
    """
    service, level = auth
    credentials = None if level == AuthLevel.NONE else credentials_of(profile.account)

    async def bound(syntax: SyntaxId, octets: Transcript) -> WitnessClient:
        return await connect(
            node.address,
            port,
            syntax=syntax,
            net_name=profile.host,
            timeout=patience.timeout,
            transcript=octets,
            credentials=credentials,
            auth_type=service,
            level=level,
        )

    return bound


async def probe_methods(
    profile: Profile,
    node: NodeAddress,
    connect: Connect,
    address: str | None,
    patience: Patience,
    *,
    version_2: bool,
    ndr64: bool,
) -> tuple[Tried, ...]:
    """Call every method of a node once in an ordinary way.

    Args:
        profile: the profile of the target.
        node: the node.
        connect: opens a bound connection with a transfer syntax; it records its octets.
        address: an address to register for; None when the interface list is not known.
        patience: how long to wait.
        version_2: whether the server implements version 2.
        ndr64: whether the server may accept NDR64, too.

    Returns:
        The calls in order; none where no connection can be made.
    """
    probe = MethodProbe(profile, node, connect, address, patience, ndr64=ndr64)
    try:
        return await probe.run(version_2=version_2)
    except RpcError:
        return ()  # binding is judged by the other parts of the preflight, and by the cases


def broken_methods(tried: tuple[Tried, ...]) -> tuple[BrokenMethod, ...]:
    """The methods that serve no client."""
    return tuple(
        BrokenMethod(each.opnum, each.requirement, each.observed, each.outcome.kind == "malformed")
        for each in tried
        if each.broken
    )


def findings_of(tried: tuple[Tried, ...], node: NodeAddress) -> tuple[PreflightFinding, ...]:
    """What the broken methods violate."""
    return tuple(
        replace(
            PreflightFinding.of(
                each.requirement,
                _expected(each),
                each.observed,
                f"{_which(each)} (opnum {each.opnum.value}) at node {node.name}{_why_silent(each)}",
                each.octets,
            ),
            rung=rung_of_method(each.opnum).id,
        )
        for each in tried
        if each.broken
    )


def _which(tried: Tried) -> str:
    return f"{'a' if tried.ignores_handle else 'an ordinary'} call of {tried.opnum.method}"


def _expected(tried: Tried) -> str:
    if tried.lists_wrongly:
        return f"a response of {tried.opnum.method} with the addresses for which Register succeeds"
    if tried.ignores_handle:
        stays = ", and that the registration of the issued handle stays"
        return f"an error{stays if tried.opnum == Opnum.UNREGISTER else ''}"
    if tried.outcome == _NOT_AVAILABLE:
        return f"{SUCCESS} for an address that the interface list has"
    if tried.early:
        return "no response before KeepAliveTimeout is over, without an event"
    waits = ", or none yet" if tried.opnum == Opnum.ASYNC_NOTIFY else ""
    return f"a response of {tried.opnum.method}{waits}"


def _why_silent(tried: Tried) -> str:
    """What else makes GetInterfaceList wait: MS-SWN 3.1.4.1."""
    if tried.opnum != Opnum.GET_INTERFACE_LIST or tried.outcome.kind != "silence":
        return ""
    return "; only while no interface is AVAILABLE a server waits before it answers"
