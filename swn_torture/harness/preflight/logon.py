"""One attempt to log on to a node and to call it: with one authentication service, at one level."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from swn_torture.casekit.blame import blame_of
from swn_torture.casekit.witness import credentials_of
from swn_torture.dcerpc.client.client import connect as connect_rpc
from swn_torture.dcerpc.errors import (
    AuthenticationError,
    BindRefused,
    ConnectionLost,
    ContextRefused,
    DeadlineExceeded,
    Fault,
    RemoteProtocolError,
    RpcError,
)
from swn_torture.dcerpc.pdu.bind import BindNakReason, PresentationContext, ProviderReason
from swn_torture.dcerpc.pdu.header import PduType, SecTrailer
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.dcerpc.transcript import Transcript
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.stubdata.win32 import Win32, describe
from swn_torture.witness.client import WitnessClient
from swn_torture.witness.codec import DecodeError
from swn_torture.witness.constants import WITNESS, ProtocolVersion
from swn_torture.witness.messages import RegisterRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.casekit.blame import Blame
    from swn_torture.dcerpc.client.binding import BindResult
    from swn_torture.stubdata.syntax import SyntaxId
    from swn_torture.target import NodeAddress, Profile
    from swn_torture.witness.messages import GetInterfaceListResponse

Verdict = Literal["served", "denied", "failed", "silent"]

#: Statuses of faults with which a server rejects a caller. 0x52E and 0xC000006D are logon failures.
DENIALS = frozenset(
    {
        FaultStatus.ERROR_ACCESS_DENIED,
        FaultStatus.ERROR_NOT_AUTHENTICATED,
        FaultStatus.RPC_S_SEC_PKG_ERROR,
        FaultStatus.RPC_S_UNKNOWN_AUTHN_LEVEL,
        FaultStatus.RPC_S_UNKNOWN_AUTHN_SERVICE,
        FaultStatus.NCA_S_UNSUPPORTED_AUTHN_LEVEL,
        0x0000052E,
        0xC000006D,
    }
)

#: Return values with which a method rejects a caller (MS-SWN 3.1.4).
_RETURNED_DENIALS = frozenset({Win32.ERROR_ACCESS_DENIED, Win32.ERROR_NOT_AUTHENTICATED})

#: Offset of the type in the header of a PDU, and offset and end of auth_length.
_PTYPE, _AUTH_LENGTH = 2, slice(10, 12)


@dataclass(frozen=True, slots=True)
class Attempt:
    """How an attempt ended.

    Attributes:
        verdict: ``served``: there is a response to the call, whatever it returned; ``denied``: the bind or
            every call was rejected; ``failed``: the exchange ended in another way; ``silent``: there was no
            answer to the bind, or none to the call, or no connection.
        answer: what came back, in words.
        offered: whether the server answered the first token of the service with one of its own. None when it
            did not answer it, or rejected it for another reason than the service.
        bound: the result of the bind.
        listed: the response of GetInterfaceList.
        blame: the requirement that what came back violates by itself, whatever the attempt was; else None.
        refused: whether there is no connection because nobody listens at the port.
        closed: whether the server closed the connection at the bind.
        nak: the reason of the bind_nak with which the server answered the first PDU; None for another answer.
        unknown_interface: whether the server does not know the witness interface.
        token_ignored: whether the server answered the first token of the service by a bind_ack without one.
        transcript: all octets of the attempt.
    """

    verdict: Verdict
    answer: str
    offered: bool | None = None
    bound: BindResult | None = None
    listed: GetInterfaceListResponse | None = None
    blame: Blame | None = None
    refused: bool = False
    closed: bool = False
    nak: int | None = None
    unknown_interface: bool = False
    token_ignored: bool = False
    transcript: Transcript | None = field(default=None, repr=False)

    @property
    def unanswered(self) -> bool:
        """Whether nothing shows that a server is there."""
        return self.verdict == "silent" and self.offered is None

    @property
    def rejects_account(self) -> bool:
        """Whether the server rejected the caller, and not only the authentication service."""
        return self.verdict == "denied" and self.offered is not False


async def log_on(
    profile: Profile,
    node: NodeAddress,
    port: int,
    service: AuthType,
    level: AuthLevel,
    timeout: float,
    *,
    call: bool = True,
    transfer: Sequence[SyntaxId] = (NDR32, NDR64),
) -> Attempt:
    """Connect, bind, and call GetInterfaceList.

    Args:
        profile: the profile with the account.
        node: the node.
        port: TCP port of its witness endpoint.
        service: authentication service.
        level: authentication level.
        timeout: seconds to wait for each answer.
        call: call GetInterfaceList. Without it, an attempt that binds is ``silent``.
        transfer: the transfer syntaxes to offer.
    """
    octets = Transcript()
    bound: BindResult | None = None
    try:
        rpc = await connect_rpc(node.address, port, timeout=timeout, transcript=octets)
    except RpcError as problem:
        refused = isinstance(problem, ConnectionLost) and problem.reset
        return Attempt("silent", str(problem), refused=refused, transcript=octets)
    try:
        bound = await rpc.bind(
            WITNESS,
            transfer=transfer,
            credentials=credentials_of(profile.account),
            auth_type=service,
            level=level,
            host=profile.host,
            timeout=timeout,
        )
        if not call:
            return Attempt("silent", "no call after the bind", offered=True, bound=bound)
        ((context_id, syntax), *_) = bound.accepted.items()
        client = WitnessClient(rpc, syntax, context_id)
        listed = await client.get_interface_list(timeout=timeout)
        denied = listed.result in _RETURNED_DENIALS and await _denies(client, profile, node, timeout)
    except (RpcError, DecodeError) as problem:
        received = octets.stream(rpc.number, "received")
        return Attempt(
            _verdict(problem),
            _text(problem),
            _offered(received, problem),
            bound,
            blame=blame_of(problem) if isinstance(problem, RemoteProtocolError) else None,
            closed=isinstance(problem, ConnectionLost) and not received,
            nak=problem.reason if isinstance(problem, BindRefused) and _is_bind_nak(received) else None,
            unknown_interface=_unknown_interface(problem),
            token_ignored=isinstance(problem, AuthenticationError) and _is_bind_ack_without_token(received),
            transcript=octets,
        )
    finally:
        await rpc.close()
    return Attempt(
        "denied" if denied else "served",
        describe(listed.result),
        offered=True,
        bound=bound,
        listed=listed,
        transcript=octets,
    )


def _unknown_interface(problem: RpcError | DecodeError) -> bool:
    return isinstance(problem, ContextRefused) and any(
        reason == ProviderReason.ABSTRACT_SYNTAX_NOT_SUPPORTED for _, reason in problem.results
    )


async def _denies(client: WitnessClient, profile: Profile, node: NodeAddress, timeout: float) -> bool:
    """Whether a node rejects the caller of a Register, too. If not, it is not the caller that it rejects."""
    request = RegisterRequest(ProtocolVersion.V1, profile.net_name, node.address, "SWN-TORTURE")
    try:
        answer = await client.send(request, timeout=timeout)
    except Fault as fault:
        return fault.status in DENIALS
    return answer.result in _RETURNED_DENIALS


async def knows_service(node: NodeAddress, port: int, service: AuthType, timeout: float) -> bool | None:
    """Whether a node knows a service for which the suite has no credentials: by a token that none made.

    Args:
        node: the node.
        port: TCP port of its witness endpoint.
        service: authentication service.
        timeout: seconds to wait for each answer.

    Returns:
        False when the server does not recognize the service, None when it does not answer.
    """
    try:
        rpc = await connect_rpc(node.address, port, timeout=timeout)
    except RpcError:
        return None
    bind = dataclasses.replace(
        rpc.core.bind((PresentationContext(0, WITNESS, (NDR32,)),)),
        trailer=SecTrailer(service, AuthLevel.INTEGRITY, 0, 1),
        auth_value=bytes(16),
    )
    try:
        answer = await rpc.exchange(bind, timeout)
    except BindRefused as refused:
        return refused.reason != BindNakReason.AUTHENTICATION_TYPE_NOT_RECOGNIZED
    except RpcError:
        return None
    finally:
        await rpc.close()
    return answer.trailer is not None  # a server that ignores the token sends none


def _verdict(problem: RpcError | DecodeError) -> Verdict:
    match problem:
        case BindRefused():
            return "denied"
        case Fault():
            return "denied" if problem.status in DENIALS else "failed"
        case DecodeError():
            return "served"
        case ConnectionLost() | DeadlineExceeded():
            return "silent"
    return "failed"


def _offered(received: bytes, problem: RpcError | DecodeError) -> bool | None:
    """Whether the first answer of the server belongs to the service that the client asked for."""
    if received[_PTYPE : _PTYPE + 1] == bytes([PduType.BIND_ACK]):
        return True if any(received[_AUTH_LENGTH]) else None
    if (
        isinstance(problem, BindRefused)
        and problem.reason == BindNakReason.AUTHENTICATION_TYPE_NOT_RECOGNIZED
    ):
        return False
    return None


def _is_bind_nak(received: bytes) -> bool:
    return received[_PTYPE : _PTYPE + 1] == bytes([PduType.BIND_NAK])


def _is_bind_ack_without_token(received: bytes) -> bool:
    return received[_PTYPE : _PTYPE + 1] == bytes([PduType.BIND_ACK]) and not any(received[_AUTH_LENGTH])


def _text(problem: RpcError | DecodeError) -> str:
    if isinstance(problem, AuthenticationError):
        return f"no security context: {problem}"
    return str(problem) or type(problem).__name__
