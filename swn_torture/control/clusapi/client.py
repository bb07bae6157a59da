"""A client of ClusAPI (MS-CMRP, protocol version 3) over ncacn_ip_tcp, authenticated at PKT_PRIVACY.

Every call is written into a log, with its stub data in hexadecimal. Users who try this with a product
for the first time can send the log. It has no passwords: the logon is not part of it.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, TypeVar

from swn_torture.control.base import ControllerError
from swn_torture.dcerpc.client.client import connect
from swn_torture.dcerpc.epm.endpoint_mapper import ept_map
from swn_torture.dcerpc.epm.ports import listening_port
from swn_torture.dcerpc.errors import RpcError
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.server.companions.clusapi import codec
from swn_torture.server.companions.clusapi.messages import (
    CLUSAPI,
    ClusapiOpnum,
    CreateEnumRequest,
    EnumType,
    GroupState,
    MoveGroupRequest,
    NetworkState,
    NodeState,
    NoParameters,
    OpenResourceRequest,
    PauseNodeExRequest,
    ResourceRequest,
    ResourceState,
)
from swn_torture.stubdata.fields import DecodeError
from swn_torture.stubdata.ndr import Reader, Writer
from swn_torture.stubdata.syntax import NDR32
from swn_torture.stubdata.win32 import Win32, describe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from swn_torture.dcerpc.client.client import RpcClient
    from swn_torture.dcerpc.security.context import Credentials
    from swn_torture.witness.messages import ContextHandle

_T = TypeVar("_T")
_OPENED = (codec.write_open_request, codec.read_open_response)
_CLOSED = (codec.write_resource_request, codec.read_close_response)
_SWITCHED = (codec.write_resource_request, codec.read_switch_response)

#: What a product returns while it still carries out a method.
_PENDING = 0x3E5


class CallFailed(ControllerError):  # noqa: N818 - it reports a result of a call
    """A method of ClusAPI returned an error code.

    Attributes:
        code: the Win32 code.
    """

    def __init__(self, method: str, code: int) -> None:
        super().__init__(f"ClusAPI {method} returned {describe(code)}")
        self.code = code


class ClusapiClient:
    """The calls of ClusAPI on one node of a cluster. `open` connects.

    Args:
        address: of the node.
        port: TCP port of ClusAPI; None to ask the endpoint mapper.
        endpoint_mapper_port: of the node.
        credentials: of an administrator of the cluster.
        host: the host in the service principal name.
        auth_type: the security provider.
        timeout: seconds that each call may take.
        log: the file to which each call is appended.
    """

    def __init__(
        self,
        address: str,
        credentials: Credentials,
        log: Path,
        *,
        port: int | None = None,
        endpoint_mapper_port: int = 135,
        host: str = "",
        auth_type: AuthType = AuthType.SPNEGO,
        timeout: float = 30.0,
    ) -> None:
        self.address = address
        self._credentials = credentials
        self._log_path = log
        self._port = port
        self._endpoint_mapper_port = endpoint_mapper_port
        self._host = host
        self._auth_type = auth_type
        self._timeout = timeout
        self._rpc: RpcClient | None = None

    async def open(self) -> None:
        """Connect and bind.

        Raises:
            ControllerError: the node is not reachable, or rejects the bind.
        """
        self._log(f"connect to {self.address}")
        try:
            port = self._port
            if port is None:
                towers = await ept_map(
                    self.address, CLUSAPI, port=self._endpoint_mapper_port, timeout=self._timeout
                )
                port = await listening_port(self.address, towers, timeout=self._timeout)
            self._rpc = await connect(self.address, port, timeout=self._timeout)
            await self._rpc.bind(
                CLUSAPI,
                transfer=(NDR32,),
                credentials=self._credentials,
                auth_type=self._auth_type,
                level=AuthLevel.PRIVACY,
                host=self._host,
                timeout=self._timeout,
            )
        except (RpcError, OSError) as problem:
            self._log(f"  failed: {type(problem).__name__}: {problem}")
            await self.close()
            raise ControllerError(
                f"ClusAPI of {self.address} is not available: {problem}. The account must be an "
                f"administrator of the cluster; the log is {self._log_path}"
            ) from problem
        self._log(f"  bound on port {port} at PKT_PRIVACY")

    async def close(self) -> None:
        """Close the connection; the server closes its handles."""
        rpc, self._rpc = self._rpc, None
        if rpc is not None:
            await rpc.close()

    def _log(self, text: str) -> None:
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        with self._log_path.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")

    async def _call(
        self,
        opnum: ClusapiOpnum,
        write: Callable[[Writer, Any], None],
        request: Any,
        read: Callable[[Reader], _T],
    ) -> _T:
        """Make a call.

        Raises:
            ControllerError: the server did not answer, or sent a fault or a response that does not decode.
        """
        if self._rpc is None:
            await self.open()
        assert self._rpc is not None
        writer = Writer(NDR32)
        write(writer, request)
        stub = writer.finish()
        self._log(f"{opnum.name} (opnum {opnum.value}) {request}\n    sent     {stub.hex(' ')}")
        try:
            pending = self._rpc.call(opnum, stub)
            octets = await pending.reply(self._timeout)
            answered = pending.response_meta
            self._log(f"    received {octets.hex(' ')}")
            reader = Reader(octets, NDR32, "little" if answered is None else answered.byte_order)
            response = read(reader)
            reader.finish()
        except (RpcError, OSError, DecodeError) as problem:
            self._log(f"    failed: {type(problem).__name__}: {problem}")
            if not isinstance(problem, DecodeError):
                await self.close()
            raise ControllerError(
                f"ClusAPI {opnum.name} of {self.address}: {problem}; the log is {self._log_path}"
            ) from problem
        self._log(f"    {response}")
        return response

    @contextlib.asynccontextmanager
    async def _opened(
        self, opnum: ClusapiOpnum, closing: ClusapiOpnum, name: str
    ) -> AsyncIterator[ContextHandle]:
        """Open an object by its name, and close it at the end.

        Raises:
            CallFailed: there is no such object, or the caller may not open it.
        """
        response = await self._call(opnum, _OPENED[0], OpenResourceRequest(name), _OPENED[1])
        if response.status:
            raise CallFailed(f"{opnum.name} {name}", response.status)
        try:
            yield response.resource
        finally:
            if self._rpc is not None:
                await self._call(closing, _CLOSED[0], ResourceRequest(response.resource), _CLOSED[1])

    async def _switch(self, opnum: ClusapiOpnum, handle: ContextHandle, name: str) -> None:
        response = await self._call(opnum, _SWITCHED[0], ResourceRequest(handle), _SWITCHED[1])
        _check(f"{opnum.name} {name}", response.result)

    # Calls

    async def cluster_name(self) -> str:
        """Return the name of the cluster.

        Raises:
            CallFailed: the method returned an error.
        """
        response = await self._call(
            ClusapiOpnum.GET_CLUSTER_NAME, codec.write_nothing, NoParameters(), codec.read_name_response
        )
        _check("GET_CLUSTER_NAME", response.result)
        return response.cluster_name or ""

    async def names(self, kind: EnumType) -> tuple[str, ...]:
        """Return the names of all objects of a kind.

        Raises:
            CallFailed: the method returned an error.
        """
        response = await self._call(
            ClusapiOpnum.CREATE_ENUM,
            codec.write_enum_request,
            CreateEnumRequest(kind),
            codec.read_enum_response,
        )
        _check("CREATE_ENUM", response.result)
        return tuple(entry.name for entry in response.entries or ())

    async def node_state(self, name: str) -> NodeState:
        """Return the state of a node.

        Raises:
            CallFailed: there is no such node, or the method returned an error.
        """
        async with self._opened(ClusapiOpnum.OPEN_NODE, ClusapiOpnum.CLOSE_NODE, name) as handle:
            response = await self._call(
                ClusapiOpnum.GET_NODE_STATE,
                codec.write_resource_request,
                ResourceRequest(handle),
                codec.read_node_state_response,
            )
        _check(f"GET_NODE_STATE {name}", response.result)
        return NodeState(response.state) if response.state in set(NodeState) else NodeState.UNKNOWN

    async def pause_node(self, name: str, *, drain: bool) -> None:
        """Pause a node; with `drain`, the server also moves its groups to other nodes, and goes on with that.

        Raises:
            CallFailed: as `node_state`.
        """
        async with self._opened(ClusapiOpnum.OPEN_NODE, ClusapiOpnum.CLOSE_NODE, name) as handle:
            if not drain:
                await self._switch(ClusapiOpnum.PAUSE_NODE, handle, name)
                return
            response = await self._call(
                ClusapiOpnum.PAUSE_NODE_EX,
                codec.write_pause_request,
                PauseNodeExRequest(handle, drain=True),
                codec.read_switch_response,
            )
            _check(f"PAUSE_NODE_EX {name}", response.result)

    async def resume_node(self, name: str) -> None:
        """Resume a node, if it is paused.

        Raises:
            CallFailed: as `node_state`.
        """
        async with self._opened(ClusapiOpnum.OPEN_NODE, ClusapiOpnum.CLOSE_NODE, name) as handle:
            try:
                await self._switch(ClusapiOpnum.RESUME_NODE, handle, name)
            except CallFailed as problem:
                if problem.code != Win32.ERROR_CLUSTER_NODE_NOT_PAUSED:
                    raise

    async def group(self, name: str) -> tuple[GroupState, str]:
        """Return the state of a group, and the name of its owner node.

        Raises:
            CallFailed: there is no such group, or the method returned an error.
        """
        async with self._opened(ClusapiOpnum.OPEN_GROUP, ClusapiOpnum.CLOSE_GROUP, name) as handle:
            response = await self._call(
                ClusapiOpnum.GET_GROUP_STATE,
                codec.write_resource_request,
                ResourceRequest(handle),
                codec.read_group_state_response,
            )
        _check(f"GET_GROUP_STATE {name}", response.result)
        known = response.state in set(GroupState)
        return GroupState(response.state) if known else GroupState.UNKNOWN, response.node_name or ""

    async def move_group(self, name: str, node: str) -> None:
        """Move a group to a node; the server may go on with that after its answer.

        Raises:
            CallFailed: there is no such group or node, or the node cannot own it.
        """
        async with (
            self._opened(ClusapiOpnum.OPEN_GROUP, ClusapiOpnum.CLOSE_GROUP, name) as group,
            self._opened(ClusapiOpnum.OPEN_NODE, ClusapiOpnum.CLOSE_NODE, node) as where,
        ):
            response = await self._call(
                ClusapiOpnum.MOVE_GROUP_TO_NODE,
                codec.write_move_request,
                MoveGroupRequest(group, where),
                codec.read_switch_response,
            )
        _check(f"MOVE_GROUP_TO_NODE {name} {node}", response.result)

    async def network_state(self, name: str) -> NetworkState:
        """Return the state of a cluster network.

        Raises:
            CallFailed: there is no such network, or the method returned an error.
        """
        async with self._opened(ClusapiOpnum.OPEN_NETWORK, ClusapiOpnum.CLOSE_NETWORK, name) as handle:
            response = await self._call(
                ClusapiOpnum.GET_NETWORK_STATE,
                codec.write_resource_request,
                ResourceRequest(handle),
                codec.read_node_state_response,
            )
        _check(f"GET_NETWORK_STATE {name}", response.result)
        return NetworkState(response.state) if response.state in set(NetworkState) else NetworkState.UNKNOWN

    async def resource(self, name: str) -> tuple[ResourceState, str]:
        """Return the state of a resource, and the name of its owner node.

        Raises:
            CallFailed: there is no such resource, or the method returned an error.
        """
        async with self._opened(ClusapiOpnum.OPEN_RESOURCE, ClusapiOpnum.CLOSE_RESOURCE, name) as handle:
            response = await self._call(
                ClusapiOpnum.GET_RESOURCE_STATE,
                codec.write_resource_request,
                ResourceRequest(handle),
                codec.read_state_response,
            )
        _check(f"GET_RESOURCE_STATE {name}", response.result)
        known = response.state in set(ResourceState)
        return ResourceState(response.state) if known else ResourceState.UNKNOWN, response.node_name or ""

    async def switch_resource(self, name: str, how: ClusapiOpnum) -> None:
        """Take a resource offline, bring it online, or let it fail.

        Args:
            name: of the resource.
            how: OFFLINE_RESOURCE, ONLINE_RESOURCE or FAIL_RESOURCE.

        Raises:
            CallFailed: as `resource`.
        """
        async with self._opened(ClusapiOpnum.OPEN_RESOURCE, ClusapiOpnum.CLOSE_RESOURCE, name) as handle:
            await self._switch(how, handle, name)


def _check(method: str, code: int) -> None:
    if code not in {Win32.ERROR_SUCCESS, _PENDING}:
        raise CallFailed(method, code)
