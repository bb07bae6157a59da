"""ClusAPI on an RPC server: the methods and their context handles (MS-CMRP 3.1.4.2)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Literal

from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.server.companions.clusapi import codec
from swn_torture.server.companions.clusapi.messages import (
    CLUSAPI,
    CloseResourceResponse,
    ClusapiOpnum,
    GetResourceIdResponse,
    GetResourceStateResponse,
    OpenResourceRequest,
    OpenResourceResponse,
    ResourceRequest,
    ResourceState,
    SwitchResourceResponse,
)
from swn_torture.server.companions.dispatch import Operation, TableInterface
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.messages import NULL_HANDLE, ContextHandle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.dcerpc.server.interface import Association, ServerCall
    from swn_torture.server.companions.clusapi.resource import NetworkName
    from swn_torture.stubdata.syntax import SyntaxId


class ClusapiEndpoint(TableInterface):
    """Serves the resources of a cluster to authenticated callers at PKT_PRIVACY (MS-CMRP 2.1).

    Args:
        resources: the resources.
        transfer_syntaxes: the transfer syntaxes to offer, in order of preference.
        reply_byte_order: the byte order of responses (`ServerOptions.reply_byte_order`).
    """

    def __init__(
        self,
        resources: Sequence[NetworkName],
        transfer_syntaxes: Sequence[SyntaxId] = (NDR64, NDR32),
        reply_byte_order: Literal["little", "caller"] = "little",
    ) -> None:
        self.resources = resources
        self._open: dict[ContextHandle, tuple[Association, NetworkName]] = {}
        handle = codec.read_resource_request
        super().__init__(
            CLUSAPI,
            {
                ClusapiOpnum.OPEN_RESOURCE: Operation(
                    codec.read_open_request, self.open, codec.write_open_response
                ),
                ClusapiOpnum.CLOSE_RESOURCE: Operation(handle, self.close, codec.write_close_response),
                ClusapiOpnum.GET_RESOURCE_STATE: Operation(handle, self.state, codec.write_state_response),
                ClusapiOpnum.GET_RESOURCE_ID: Operation(handle, self.id, codec.write_id_response),
                ClusapiOpnum.ONLINE_RESOURCE: Operation(handle, self.online, codec.write_switch_response),
                ClusapiOpnum.OFFLINE_RESOURCE: Operation(handle, self.offline, codec.write_switch_response),
            },
            transfer_syntaxes,
            reply_byte_order,
            AuthLevel.PRIVACY,
        )

    def rundown(self, association: Association) -> None:
        """Close the handles of an association that ended."""
        self._open = {handle: entry for handle, entry in self._open.items() if entry[0] is not association}

    def open(self, call: ServerCall, request: OpenResourceRequest) -> OpenResourceResponse:
        """ApiOpenResource (3.1.4.2.9)."""
        for resource in self.resources:
            if resource.is_named(request.resource_name):
                handle = ContextHandle(0, uuid.uuid4())
                self._open[handle] = call.association, resource
                return OpenResourceResponse(Win32.ERROR_SUCCESS, 0, handle)
        return OpenResourceResponse(Win32.ERROR_RESOURCE_NOT_FOUND, 0, NULL_HANDLE)

    def close(self, call: ServerCall, request: ResourceRequest) -> CloseResourceResponse:
        """ApiCloseResource (3.1.4.2.12)."""
        if self._find(call, request) is None:
            return CloseResourceResponse(request.resource, Win32.ERROR_INVALID_HANDLE)
        del self._open[request.resource]
        return CloseResourceResponse(NULL_HANDLE, Win32.ERROR_SUCCESS)

    def state(self, call: ServerCall, request: ResourceRequest) -> GetResourceStateResponse:
        """ApiGetResourceState (3.1.4.2.13)."""
        resource = self._find(call, request)
        if resource is None:
            unknown, code = ResourceState.UNKNOWN, Win32.ERROR_INVALID_HANDLE
            return GetResourceStateResponse(unknown, None, None, 0, code)
        return GetResourceStateResponse(resource.state, resource.owner, resource.name, 0, Win32.ERROR_SUCCESS)

    def id(self, call: ServerCall, request: ResourceRequest) -> GetResourceIdResponse:
        """ApiGetResourceId (3.1.4.2.15)."""
        resource = self._find(call, request)
        if resource is None:
            return GetResourceIdResponse(None, 0, Win32.ERROR_INVALID_HANDLE)
        return GetResourceIdResponse(resource.id, 0, Win32.ERROR_SUCCESS)

    async def online(self, call: ServerCall, request: ResourceRequest) -> SwitchResourceResponse:
        """ApiOnlineResource (3.1.4.2.18)."""
        resource = self._find(call, request)
        code = Win32.ERROR_INVALID_HANDLE if resource is None else await resource.bring_online()
        return SwitchResourceResponse(0, code)

    async def offline(self, call: ServerCall, request: ResourceRequest) -> SwitchResourceResponse:
        """ApiOfflineResource (3.1.4.2.19)."""
        resource = self._find(call, request)
        code = Win32.ERROR_INVALID_HANDLE if resource is None else await resource.take_offline()
        return SwitchResourceResponse(0, code)

    def _find(self, call: ServerCall, request: ResourceRequest) -> NetworkName | None:
        association, resource = self._open.get(request.resource, (None, None))
        return resource if association is call.association else None
