"""A client of the witness interface, on one connection and one presentation context.

Each of the six methods is a Python method with named parameters. ``start`` sends any message, also a wrong
one, and returns at once. Several calls may be outstanding at a time, as WitnessrAsyncNotify requires.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from swn_torture.dcerpc.client.client import connect as connect_rpc
from swn_torture.dcerpc.epm.endpoint_mapper import ept_map
from swn_torture.dcerpc.epm.ports import listening_port
from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.stubdata.syntax import NDR32, SyntaxId
from swn_torture.witness.codec import DecodeError, decode_response, encode
from swn_torture.witness.constants import DEFAULT_KEEP_ALIVE, WITNESS, ProtocolVersion, RegisterFlags
from swn_torture.witness.messages import (
    AsyncNotifyRequest,
    AsyncNotifyResponse,
    ContextHandle,
    GetInterfaceListRequest,
    GetInterfaceListResponse,
    RegisterExRequest,
    RegisterExResponse,
    RegisterRequest,
    RegisterResponse,
    Request,
    Response,
    UnRegisterExRequest,
    UnRegisterExResponse,
    UnRegisterRequest,
    UnRegisterResponse,
)

if TYPE_CHECKING:
    from types import TracebackType

    from swn_torture.dcerpc.client.binding import BindResult
    from swn_torture.dcerpc.client.call import Call
    from swn_torture.dcerpc.client.client import RpcClient
    from swn_torture.dcerpc.security.context import Credentials
    from swn_torture.dcerpc.transcript import Transcript
    from swn_torture.stubdata.fields import ByteOrder, Wrong
    from swn_torture.witness.messages import AnyRequest

__all__ = ["DEFAULT_TIMEOUT", "MalformedResponse", "PendingCall", "WitnessClient", "connect"]

DEFAULT_TIMEOUT = 10.0
"""Seconds to wait for an answer that the server sends at once."""

R = TypeVar("R", bound=Response)
R_co = TypeVar("R_co", bound=Response, covariant=True)


class MalformedResponse(DecodeError):  # noqa: N818 - about the response of a server
    """The response of a call does not decode.

    Attributes:
        call: the call.
    """

    def __init__(self, error: DecodeError, call: PendingCall[Any]) -> None:
        self.call = call
        super().__init__(error.field, error.offset, error.problem)


class PendingCall(Generic[R_co]):
    """A call that was sent; the answer may arrive later.

    Attributes:
        request: the request.
        call: the call of the transport: call_id, data representation and protection of the answer.
        began: ``time.monotonic()`` before it was sent.
    """

    def __init__(
        self, client: WitnessClient, request: Request[R_co], call: Call, began: float | None = None
    ) -> None:
        self.request = request
        self.call = call
        self.began = time.monotonic() if began is None else began
        self._client = client

    @property
    def syntax(self) -> SyntaxId:
        """The transfer syntax of its presentation context."""
        return self._client.syntax

    async def stub(self, timeout: float | None = DEFAULT_TIMEOUT) -> bytes:
        """Wait for the answer and return its stub data.

        Args:
            timeout: in seconds, ``None`` for no limit.

        Raises:
            Fault: the server answered with a fault.
            ConnectionLost: the connection ended before an answer arrived.
            RemoteProtocolError: the server broke the protocol on this connection.
            DeadlineExceeded: no answer arrived in time. The call stays outstanding; ``stub`` can be called
                again.
        """
        return await self.call.reply(timeout)

    async def reply(self, timeout: float | None = DEFAULT_TIMEOUT) -> R_co:
        """Wait for the answer and decode it.

        Raises:
            MalformedResponse: the answer is not a response of this method.
            RpcError: see ``stub``.
        """
        octets = await self.stub(timeout)
        answered = self.call.response_meta
        assert answered is not None
        try:
            response = decode_response(
                self.request.opnum, octets, self._client.syntax, byte_order=answered.byte_order
            )
        except DecodeError as error:
            raise MalformedResponse(error, self) from error
        return cast("R_co", response)

    def done(self) -> bool:
        """Whether the call has ended, by a response, a fault, or the end of the connection."""
        return self.call.done()

    def cancel(self, **options: Any) -> None:
        """Send a co_cancel for the call, with the options of ``RpcClient.cancel``.

        The call stays outstanding until the server answers it (C706 12.6.4.6).
        """
        self._client.rpc.cancel(self.call, **options)

    def orphan(self, **options: Any) -> None:
        """Send an orphaned PDU for the call, with the options of ``RpcClient.orphan``.

        The client does not accept a response any more; only a fault can still end the call (C706 12.6.4.8).
        """
        self._client.rpc.orphan(self.call, **options)


class WitnessClient:
    """The witness interface on a connection that is bound to it.

    Args:
        rpc: the connection.
        syntax: the transfer syntax of the presentation context, NDR32 or NDR64.
        context_id: the id of the presentation context.
    """

    def __init__(self, rpc: RpcClient, syntax: SyntaxId = NDR32, context_id: int = 0) -> None:
        self.rpc = rpc
        self.syntax = syntax
        self.context_id = context_id

    def start(
        self,
        message: Request[R],
        *,
        wrong: Wrong | None = None,
        byte_order: ByteOrder = "little",
        **options: Any,
    ) -> PendingCall[R]:
        """Send a request and return at once.

        Args:
            message: the request.
            wrong: replacements for fields, by field name; see ``codec.encode``.
            byte_order: data representation of the request.
            options: further arguments of ``RpcClient.call``.

        Raises:
            EncodeError: the message or a replacement cannot be written.
        """
        # Every concrete request is one of AnyRequest; the generic base class only has the type of the
        # response.
        stub = encode(cast("AnyRequest", message), self.syntax, byte_order=byte_order, wrong=wrong)
        began = time.monotonic()
        call = self.rpc.call(
            message.opnum, stub, context_id=self.context_id, byte_order=byte_order, **options
        )
        return PendingCall(self, message, call, began)

    async def send(
        self,
        message: Request[R],
        *,
        timeout: float | None = DEFAULT_TIMEOUT,
        wrong: Wrong | None = None,
        byte_order: ByteOrder = "little",
    ) -> R:
        """Send a request and wait for its answer; see ``start`` and ``PendingCall.reply`` for errors."""
        return await self.start(message, wrong=wrong, byte_order=byte_order).reply(timeout)

    async def get_interface_list(
        self, *, timeout: float | None = DEFAULT_TIMEOUT
    ) -> GetInterfaceListResponse:
        """WitnessrGetInterfaceList. A server may delay its answer until an interface is available."""
        return await self.send(GetInterfaceListRequest(), timeout=timeout)

    async def register(
        self,
        *,
        net_name: str | None,
        ip_address: str | None,
        client_computer_name: str | None,
        version: int = ProtocolVersion.V1,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> RegisterResponse:
        """WitnessrRegister."""
        message = RegisterRequest(version, net_name, ip_address, client_computer_name)
        return await self.send(message, timeout=timeout)

    async def register_ex(
        self,
        *,
        net_name: str | None,
        ip_address: str | None,
        client_computer_name: str | None,
        share_name: str | None = None,
        version: int = ProtocolVersion.V2,
        flags: int = RegisterFlags.NONE,
        keep_alive_timeout: int = DEFAULT_KEEP_ALIVE,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> RegisterExResponse:
        """WitnessrRegisterEx. ``keep_alive_timeout`` goes to the server; ``timeout`` is for this client."""
        message = RegisterExRequest(
            version, net_name, share_name, ip_address, client_computer_name, flags, keep_alive_timeout
        )
        return await self.send(message, timeout=timeout)

    async def unregister(
        self, handle: ContextHandle, *, timeout: float | None = DEFAULT_TIMEOUT
    ) -> UnRegisterResponse:
        """WitnessrUnRegister."""
        return await self.send(UnRegisterRequest(handle), timeout=timeout)

    async def unregister_ex(
        self, handle: ContextHandle, *, timeout: float | None = DEFAULT_TIMEOUT
    ) -> UnRegisterExResponse:
        """WitnessrUnRegisterEx; servers before revision 14.0 return the fault nca_s_op_rng_error."""
        return await self.send(UnRegisterExRequest(handle), timeout=timeout)

    def async_notify(self, handle: ContextHandle) -> PendingCall[AsyncNotifyResponse]:
        """WitnessrAsyncNotify; it ends with a notification, or when KeepAliveTimeout is over."""
        return self.start(AsyncNotifyRequest(handle))

    async def close(self, *, abort: bool = False) -> None:
        """Close the connection by FIN, or (``abort``) by RST."""
        await self.rpc.close(abort=abort)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def connect(
    address: str,
    port: int | None = None,
    *,
    syntax: SyntaxId = NDR32,
    credentials: Credentials | None = None,
    auth_type: AuthType = AuthType.NTLM,
    level: AuthLevel | None = None,
    net_name: str = "",
    epm_port: int = 135,
    source: str | None = None,
    transcript: Transcript | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    **bind: Any,
) -> WitnessClient:
    """Connect to the witness service of a node and bind to it.

    Args:
        address: of the node, IPv4 or IPv6.
        port: of its witness endpoint; ``None`` asks the endpoint mapper.
        syntax: the transfer syntax, NDR32 or NDR64.
        credentials: of the client; ``None`` binds without authentication.
        auth_type: the security provider.
        level: authentication level; by default INTEGRITY with credentials, NONE without.
        net_name: the host in the service principal name.
        epm_port: of the node's endpoint mapper.
        source: local address to connect from.
        transcript: records all octets sent and received.
        timeout: seconds for each step.
        bind: further arguments of ``RpcClient.bind``.

    Raises:
        NotRegistered: the endpoint map of the node has no witness endpoint.
        RpcError: the connection or the bind failed; the subclasses say how.
    """
    if port is None:
        towers = await ept_map(address, WITNESS, port=epm_port, timeout=timeout)
        port = await listening_port(address, towers, timeout=timeout)
    if level is None:
        level = AuthLevel.INTEGRITY if credentials else AuthLevel.NONE
    rpc = await connect_rpc(address, port, timeout=timeout, source=source, transcript=transcript)
    try:
        result = await rpc.bind(
            WITNESS,
            transfer=(syntax,),
            credentials=credentials,
            auth_type=auth_type,
            level=level,
            host=net_name,
            timeout=timeout,
            **bind,
        )
        return WitnessClient(rpc, syntax, _context_in(result, syntax))
    except BaseException:
        await rpc.close(abort=True)
        raise


def _context_in(result: BindResult, syntax: SyntaxId) -> int:
    for context_id, agreed in result.accepted.items():
        if agreed == syntax:
            return context_id
    raise RemoteProtocolError(
        f"the interface was accepted, but not in {syntax}, the only transfer syntax offered"
    )
