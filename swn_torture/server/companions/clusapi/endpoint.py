"""ClusAPI on an RPC server: the methods and their context handles (MS-CMRP 3.1.4.2)."""

# Each method takes the call and the request, also where it needs none of them.
# ruff: noqa: ARG002

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.server.companions.clusapi import codec
from swn_torture.server.companions.clusapi.messages import (
    CLUSAPI,
    CloseResourceResponse,
    ClusapiOpnum,
    CreateEnumRequest,
    CreateEnumResponse,
    EnumEntry,
    EnumType,
    GetClusterNameResponse,
    GetClusterVersionResponse,
    GetGroupStateResponse,
    GetNodeStateResponse,
    GetResourceIdResponse,
    GetResourceStateResponse,
    GroupState,
    MoveGroupRequest,
    NetworkState,
    NodeState,
    NoParameters,
    OpenClusterResponse,
    OpenResourceRequest,
    OpenResourceResponse,
    PauseNodeExRequest,
    ResourceRequest,
    ResourceState,
    SwitchResourceResponse,
)
from swn_torture.server.companions.clusapi.resource import (
    AddressGroup,
    AddressResource,
    ClusterNode,
    Group,
    Network,
    NetworkName,
)
from swn_torture.server.companions.dispatch import Operation, TableInterface
from swn_torture.server.state.names import NetNames, same_name
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.messages import NULL_HANDLE, ContextHandle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.dcerpc.server.interface import Association, ServerCall
    from swn_torture.server.companions.cluster_access import ClusterAccess
    from swn_torture.stubdata.syntax import SyntaxId


_Object: TypeAlias = NetNames | NetworkName | AddressResource | ClusterNode | Group | AddressGroup | Network
_T = TypeVar("_T")
_ENUM_TYPES = 0x3F
"""The types that ApiCreateEnum can combine."""


class ClusapiEndpoint(TableInterface):
    """Serves the objects of a cluster to authenticated callers at PKT_PRIVACY (MS-CMRP 2.1).

    Args:
        cluster: the cluster.
        viewer: the node that serves the callers.
        transfer_syntaxes: the transfer syntaxes to offer, in order of preference.
        reply_byte_order: the byte order of responses (`ServerOptions.reply_byte_order`).
    """

    def __init__(
        self,
        cluster: ClusterAccess,
        viewer: str,
        transfer_syntaxes: Sequence[SyntaxId] = (NDR64, NDR32),
        reply_byte_order: Literal["little", "caller"] = "little",
    ) -> None:
        self._cluster = cluster
        self._viewer = viewer
        self._network_name = NetworkName(cluster, viewer)
        self._open: dict[ContextHandle, tuple[Association, _Object]] = {}
        super().__init__(CLUSAPI, self._operations(), transfer_syntaxes, reply_byte_order, AuthLevel.PRIVACY)

    def _operations(self) -> dict[int, Operation[Any, Any]]:
        opnum, handle, nothing = ClusapiOpnum, codec.read_resource_request, codec.read_nothing
        opened = (codec.read_open_request, codec.write_open_response)
        switched = codec.write_switch_response
        closed = Operation(handle, self.close, codec.write_close_response)
        return {
            opnum.OPEN_CLUSTER: Operation(nothing, self.open_cluster, codec.write_open_cluster_response),
            opnum.CLOSE_CLUSTER: closed,
            opnum.GET_CLUSTER_NAME: Operation(nothing, self.cluster_name, codec.write_name_response),
            opnum.GET_CLUSTER_VERSION_2: Operation(
                nothing, self.cluster_version, codec.write_version_response
            ),
            opnum.CREATE_ENUM: Operation(
                codec.read_enum_request, self.create_enum, codec.write_enum_response
            ),
            opnum.OPEN_RESOURCE: Operation(opened[0], self.open_resource, opened[1]),
            opnum.CLOSE_RESOURCE: closed,
            opnum.GET_RESOURCE_STATE: Operation(handle, self.resource_state, codec.write_state_response),
            opnum.GET_RESOURCE_ID: Operation(handle, self.id, codec.write_id_response),
            opnum.FAIL_RESOURCE: Operation(handle, self.fail, switched),
            opnum.ONLINE_RESOURCE: Operation(handle, self.online, switched),
            opnum.OFFLINE_RESOURCE: Operation(handle, self.offline, switched),
            opnum.OPEN_GROUP: Operation(opened[0], self.open_group, opened[1]),
            opnum.CLOSE_GROUP: closed,
            opnum.GET_GROUP_STATE: Operation(handle, self.group_state, codec.write_group_state_response),
            opnum.ONLINE_GROUP: Operation(handle, self.online_group, switched),
            opnum.OFFLINE_GROUP: Operation(handle, self.offline_group, switched),
            opnum.MOVE_GROUP: Operation(handle, self.move_group, switched),
            opnum.MOVE_GROUP_TO_NODE: Operation(codec.read_move_request, self.move_group_to_node, switched),
            opnum.OPEN_NETWORK: Operation(opened[0], self.open_network, opened[1]),
            opnum.CLOSE_NETWORK: closed,
            opnum.GET_NETWORK_STATE: Operation(handle, self.network_state, codec.write_node_state_response),
            opnum.OPEN_NODE: Operation(opened[0], self.open_node, opened[1]),
            opnum.CLOSE_NODE: closed,
            opnum.GET_NODE_STATE: Operation(handle, self.node_state, codec.write_node_state_response),
            opnum.PAUSE_NODE: Operation(handle, self.pause, switched),
            opnum.RESUME_NODE: Operation(handle, self.resume, switched),
            opnum.PAUSE_NODE_EX: Operation(codec.read_pause_request, self.pause_ex, switched),
        }

    def rundown(self, association: Association) -> None:
        """Close the handles of an association that ended."""
        self._open = {handle: entry for handle, entry in self._open.items() if entry[0] is not association}

    # The objects

    @property
    def _addresses(self) -> list[AddressResource]:
        return [AddressResource(self._cluster, self._viewer, i) for i in self._cluster.interfaces]

    @property
    def _nodes(self) -> list[ClusterNode]:
        names = [node.name for node in self._cluster.config.nodes]
        return [ClusterNode(self._cluster, self._viewer, name) for name in names]

    @property
    def _roles(self) -> list[AddressGroup]:
        return [AddressGroup(self._cluster, address) for address in self._addresses]

    @property
    def _network(self) -> Network:
        return Network(self._cluster, self._viewer)

    def _new_handle(self, call: ServerCall, opened: _Object) -> ContextHandle:
        handle = ContextHandle(0, uuid.uuid4())
        self._open[handle] = call.association, opened
        return handle

    def _opened(self, call: ServerCall, found: _Object | None, missing: Win32) -> OpenResourceResponse:
        if found is None:
            return OpenResourceResponse(missing, 0, NULL_HANDLE)
        return OpenResourceResponse(Win32.ERROR_SUCCESS, 0, self._new_handle(call, found))

    def _find(self, call: ServerCall, handle: ContextHandle, kind: type[_T]) -> _T | None:
        association, found = self._open.get(handle, (None, None))
        return found if association is call.association and isinstance(found, kind) else None

    # The cluster

    def open_cluster(self, call: ServerCall, request: NoParameters) -> OpenClusterResponse:
        """ApiOpenCluster (3.1.4.2.1)."""
        return OpenClusterResponse(Win32.ERROR_SUCCESS, self._new_handle(call, self._cluster.net_names))

    def cluster_name(self, call: ServerCall, request: NoParameters) -> GetClusterNameResponse:
        """ApiGetClusterName (3.1.4.2.4)."""
        return GetClusterNameResponse(self._network_name.name, self._viewer, Win32.ERROR_SUCCESS)

    def cluster_version(self, call: ServerCall, request: NoParameters) -> GetClusterVersionResponse:
        """ApiGetClusterVersion2 (3.1.4.2.102): the version of a cluster of Windows Server 2012 R2."""
        highest, lowest = 0x00082580, 0x000723F0
        return GetClusterVersionResponse(6, 3, 9600, "swn-torture", "", highest, lowest, 0, 0)

    def create_enum(self, call: ServerCall, request: CreateEnumRequest) -> CreateEnumResponse:
        """ApiCreateEnum (3.1.4.2.8)."""
        alone = request.type in {EnumType.SHARED_VOLUME_RESOURCE, EnumType.INTERNAL_NETWORK}
        if not alone and (not request.type or request.type & ~_ENUM_TYPES):
            return CreateEnumResponse(None, 0, Win32.ERROR_INVALID_PARAMETER)
        resources = [self._network_name.name, *(each.name for each in self._addresses)]
        names = {
            EnumType.NODE: [each.name for each in self._nodes],
            EnumType.RESOURCE: resources,
            EnumType.GROUP: [self._network_name.name, *(each.name for each in self._roles)],
            EnumType.NETWORK: [self._network.name],
        }
        entries = (EnumEntry(t, name) for t, listed in names.items() if request.type & t for name in listed)
        return CreateEnumResponse(tuple(entries), 0, Win32.ERROR_SUCCESS)

    def close(self, call: ServerCall, request: ResourceRequest) -> CloseResourceResponse:
        """ApiCloseResource (3.1.4.2.12), and those for a group, a node and the cluster."""
        if self._find(call, request.resource, object) is None:
            return CloseResourceResponse(request.resource, Win32.ERROR_INVALID_HANDLE)
        del self._open[request.resource]
        return CloseResourceResponse(NULL_HANDLE, Win32.ERROR_SUCCESS)

    # Resources

    def open_resource(self, call: ServerCall, request: OpenResourceRequest) -> OpenResourceResponse:
        """ApiOpenResource (3.1.4.2.9)."""
        resources: list[NetworkName | AddressResource] = [self._network_name, *self._addresses]
        found = next((each for each in resources if each.is_named(request.resource_name)), None)
        return self._opened(call, found, Win32.ERROR_RESOURCE_NOT_FOUND)

    def _resource(self, call: ServerCall, request: ResourceRequest) -> NetworkName | AddressResource | None:
        network_name = self._find(call, request.resource, NetworkName)
        return network_name or self._find(call, request.resource, AddressResource)

    def resource_state(self, call: ServerCall, request: ResourceRequest) -> GetResourceStateResponse:
        """ApiGetResourceState (3.1.4.2.13)."""
        resource = self._resource(call, request)
        if resource is None:
            unknown, code = ResourceState.UNKNOWN, Win32.ERROR_INVALID_HANDLE
            return GetResourceStateResponse(unknown, None, None, 0, code)
        group = self._network_name.name
        return GetResourceStateResponse(resource.state, resource.owner, group, 0, Win32.ERROR_SUCCESS)

    def id(self, call: ServerCall, request: ResourceRequest) -> GetResourceIdResponse:
        """ApiGetResourceId (3.1.4.2.15)."""
        resource = self._resource(call, request)
        if resource is None:
            return GetResourceIdResponse(None, 0, Win32.ERROR_INVALID_HANDLE)
        return GetResourceIdResponse(resource.id, 0, Win32.ERROR_SUCCESS)

    async def fail(self, call: ServerCall, request: ResourceRequest) -> SwitchResourceResponse:
        """ApiFailResource (3.1.4.2.17)."""
        resource = self._resource(call, request)
        code = Win32.ERROR_INVALID_HANDLE if resource is None else await resource.fail()
        return SwitchResourceResponse(0, code)

    async def online(self, call: ServerCall, request: ResourceRequest) -> SwitchResourceResponse:
        """ApiOnlineResource (3.1.4.2.18)."""
        resource = self._resource(call, request)
        code = Win32.ERROR_INVALID_HANDLE if resource is None else await resource.bring_online()
        return SwitchResourceResponse(0, code)

    async def offline(self, call: ServerCall, request: ResourceRequest) -> SwitchResourceResponse:
        """ApiOfflineResource (3.1.4.2.19)."""
        resource = self._resource(call, request)
        code = Win32.ERROR_INVALID_HANDLE if resource is None else await resource.take_offline()
        return SwitchResourceResponse(0, code)

    # The group

    def open_group(self, call: ServerCall, request: OpenResourceRequest) -> OpenResourceResponse:
        """ApiOpenGroup (3.1.4.2.42)."""
        wanted = request.resource_name
        if self._network_name.is_named(wanted, group=True):
            return self._opened(call, Group(self._network_name, self._addresses), Win32.ERROR_SUCCESS)
        found = next((r for r in self._roles if same_name(r.name, wanted, ignore_case=True)), None)
        return self._opened(call, found, Win32.ERROR_GROUP_NOT_FOUND)

    def group_state(self, call: ServerCall, request: ResourceRequest) -> GetGroupStateResponse:
        """ApiGetGroupState (3.1.4.2.46)."""
        role = self._find(call, request.resource, AddressGroup)
        if role is not None:
            return GetGroupStateResponse(role.state, role.address.owner, 0, Win32.ERROR_SUCCESS)
        group = self._find(call, request.resource, Group)
        if group is None:
            return GetGroupStateResponse(GroupState.UNKNOWN, None, 0, Win32.ERROR_INVALID_HANDLE)
        return GetGroupStateResponse(group.state, group.network_name.owner, 0, Win32.ERROR_SUCCESS)

    async def online_group(self, call: ServerCall, request: ResourceRequest) -> SwitchResourceResponse:
        """ApiOnlineGroup (3.1.4.2.50)."""
        role = self._find(call, request.resource, AddressGroup)
        if role is not None:
            return SwitchResourceResponse(0, await role.address.bring_online())
        group = self._find(call, request.resource, Group)
        if group is None:
            return SwitchResourceResponse(0, Win32.ERROR_INVALID_HANDLE)
        codes = [await address.bring_online() for address in group.addresses]
        return SwitchResourceResponse(0, min(codes, default=Win32.ERROR_SUCCESS))

    async def offline_group(self, call: ServerCall, request: ResourceRequest) -> SwitchResourceResponse:
        """ApiOfflineGroup (3.1.4.2.51)."""
        role = self._find(call, request.resource, AddressGroup)
        if role is not None:
            return SwitchResourceResponse(0, await role.address.take_offline())
        group = self._find(call, request.resource, Group)
        code = Win32.ERROR_INVALID_HANDLE if group is None else await group.network_name.take_offline()
        return SwitchResourceResponse(0, code)

    async def move_group(self, call: ServerCall, request: ResourceRequest) -> SwitchResourceResponse:
        """ApiMoveGroup (3.1.4.2.52): to the first other node that is up."""
        role = self._find(call, request.resource, AddressGroup)
        if role is None:
            return SwitchResourceResponse(0, self._immovable(call, request.resource))
        up = (node.name for node in self._nodes if node.state is NodeState.UP)
        where = next((name for name in up if name != role.address.owner), None)
        code = Win32.ERROR_HOST_NODE_NOT_AVAILABLE if where is None else await role.move(where)
        return SwitchResourceResponse(0, code)

    async def move_group_to_node(self, call: ServerCall, request: MoveGroupRequest) -> SwitchResourceResponse:
        """ApiMoveGroupToNode (3.1.4.2.53)."""
        role = self._find(call, request.group, AddressGroup)
        node = self._find(call, request.node, ClusterNode)
        if role is None or node is None:
            code = Win32.ERROR_INVALID_HANDLE if node is None else self._immovable(call, request.group)
        elif node.state is NodeState.PAUSED:
            code = Win32.ERROR_SHARING_PAUSED
        elif node.state is not NodeState.UP:
            code = Win32.ERROR_HOST_NODE_NOT_AVAILABLE
        else:
            code = await role.move(node.name)
        return SwitchResourceResponse(0, code)

    def _immovable(self, call: ServerCall, handle: ContextHandle) -> Win32:
        """The code for a handle that is no group that moves: the group of all resources is on all nodes."""
        group = self._find(call, handle, Group)
        return Win32.ERROR_INVALID_HANDLE if group is None else Win32.ERROR_HOST_NODE_NOT_AVAILABLE

    # The network

    def open_network(self, call: ServerCall, request: OpenResourceRequest) -> OpenResourceResponse:
        """ApiOpenNetwork (3.1.4.2.81)."""
        named = same_name(request.resource_name, self._network.name, ignore_case=True)
        found = self._network if named else None
        return self._opened(call, found, Win32.ERROR_CLUSTER_NETWORK_NOT_FOUND)

    def network_state(self, call: ServerCall, request: ResourceRequest) -> GetNodeStateResponse:
        """ApiGetNetworkState (3.1.4.2.83)."""
        network = self._find(call, request.resource, Network)
        if network is None:
            return GetNodeStateResponse(NetworkState.UNKNOWN, 0, Win32.ERROR_INVALID_HANDLE)
        return GetNodeStateResponse(network.state, 0, Win32.ERROR_SUCCESS)

    # Nodes

    def open_node(self, call: ServerCall, request: OpenResourceRequest) -> OpenResourceResponse:
        """ApiOpenNode (3.1.4.2.67)."""
        wanted = request.resource_name
        found = next((n for n in self._nodes if same_name(n.name, wanted, ignore_case=True)), None)
        return self._opened(call, found, Win32.ERROR_CLUSTER_NODE_NOT_FOUND)

    def node_state(self, call: ServerCall, request: ResourceRequest) -> GetNodeStateResponse:
        """ApiGetNodeState (3.1.4.2.69)."""
        node = self._find(call, request.resource, ClusterNode)
        if node is None:
            return GetNodeStateResponse(NodeState.UNKNOWN, 0, Win32.ERROR_INVALID_HANDLE)
        return GetNodeStateResponse(node.state, 0, Win32.ERROR_SUCCESS)

    async def pause(self, call: ServerCall, request: ResourceRequest) -> SwitchResourceResponse:
        """ApiPauseNode (3.1.4.2.70)."""
        node = self._find(call, request.resource, ClusterNode)
        code = Win32.ERROR_INVALID_HANDLE if node is None else await node.pause()
        return SwitchResourceResponse(0, code)

    async def pause_ex(self, call: ServerCall, request: PauseNodeExRequest) -> SwitchResourceResponse:
        """ApiPauseNodeEx (3.1.4.2.125)."""
        return await self.pause(call, ResourceRequest(request.node))

    async def resume(self, call: ServerCall, request: ResourceRequest) -> SwitchResourceResponse:
        """ApiResumeNode (3.1.4.2.71)."""
        node = self._find(call, request.resource, ClusterNode)
        code = Win32.ERROR_INVALID_HANDLE if node is None else await node.resume()
        return SwitchResourceResponse(0, code)
