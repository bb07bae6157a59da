"""The requests and responses of the methods, as plain values (MS-CMRP 3.1.4.2).

Methods with the same parameters have the same messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Final
from uuid import UUID

from swn_torture.stubdata.syntax import SyntaxId

if TYPE_CHECKING:
    from swn_torture.witness.messages import ContextHandle

CLUSAPI: Final = SyntaxId(UUID("b97db8b2-4c63-11cf-bff6-08002be23f2f"), 3, 0)
"""The interface, protocol version 3 (MS-CMRP 1.9)."""


class ClusapiOpnum(IntEnum):
    """The opnums of the served methods."""

    OPEN_CLUSTER = 0
    CLOSE_CLUSTER = 1
    GET_CLUSTER_NAME = 3
    CREATE_ENUM = 7
    OPEN_RESOURCE = 8
    CLOSE_RESOURCE = 11
    GET_RESOURCE_STATE = 12
    GET_RESOURCE_ID = 14
    FAIL_RESOURCE = 16
    ONLINE_RESOURCE = 17
    OFFLINE_RESOURCE = 18
    OPEN_GROUP = 41
    CLOSE_GROUP = 44
    GET_GROUP_STATE = 45
    ONLINE_GROUP = 49
    OFFLINE_GROUP = 50
    MOVE_GROUP = 51
    MOVE_GROUP_TO_NODE = 52
    OPEN_NODE = 66
    CLOSE_NODE = 67
    GET_NODE_STATE = 68
    PAUSE_NODE = 69
    RESUME_NODE = 70
    OPEN_NETWORK = 81
    CLOSE_NETWORK = 82
    GET_NETWORK_STATE = 83
    GET_CLUSTER_VERSION_2 = 102
    PAUSE_NODE_EX = 126


class EnumType(IntFlag):
    """dwType of ApiCreateEnum, and Type of an entry (MS-CMRP 3.1.4.2.8)."""

    NODE = 0x00000001
    RESOURCE_TYPE = 0x00000002
    RESOURCE = 0x00000004
    GROUP = 0x00000008
    NETWORK = 0x00000010
    NETWORK_INTERFACE = 0x00000020
    SHARED_VOLUME_RESOURCE = 0x40000000
    """Only alone."""
    INTERNAL_NETWORK = 0x80000000
    """Only alone."""


class NodeState(IntEnum):
    """State of ApiGetNodeState (MS-CMRP 3.1.4.2.69)."""

    UP = 0x00000000
    DOWN = 0x00000001
    PAUSED = 0x00000002
    JOINING = 0x00000003
    UNKNOWN = 0xFFFFFFFF


class GroupState(IntEnum):
    """State of ApiGetGroupState (MS-CMRP 3.1.4.2.46)."""

    ONLINE = 0x00000000
    OFFLINE = 0x00000001
    FAILED = 0x00000002
    PARTIAL_ONLINE = 0x00000003
    PENDING = 0x00000004
    UNKNOWN = 0xFFFFFFFF


class NetworkState(IntEnum):
    """State of ApiGetNetworkState (MS-CMRP 3.1.4.2.83)."""

    UNAVAILABLE = 0x00000000
    DOWN = 0x00000001
    PARTITIONED = 0x00000002
    UP = 0x00000003
    UNKNOWN = 0xFFFFFFFF


class ResourceState(IntEnum):
    """State of ApiGetResourceState (MS-CMRP 3.1.4.2.13)."""

    INITIALIZING = 0x00000001
    ONLINE = 0x00000002
    OFFLINE = 0x00000003
    FAILED = 0x00000004
    ONLINE_PENDING = 0x00000081
    OFFLINE_PENDING = 0x00000082
    UNKNOWN = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class OpenResourceRequest:
    """ApiOpenResource, ApiOpenGroup, ApiOpenNode, ApiOpenNetwork (opnums 8, 41, 66, 81): its name or id."""

    resource_name: str


@dataclass(frozen=True, slots=True)
class OpenResourceResponse:
    """The methods that open an object: `resource`, the handle, is null unless `status` is 0."""

    status: int
    rpc_status: int
    resource: ContextHandle


@dataclass(frozen=True, slots=True)
class ResourceRequest:
    """The methods on an object (opnums 1, 11 to 18, 44 to 51, 67 to 70, 82, 83): `resource` is its handle."""

    resource: ContextHandle


@dataclass(frozen=True, slots=True)
class CloseResourceResponse:
    """The methods that close an object: `resource` is null on success."""

    resource: ContextHandle
    result: int


@dataclass(frozen=True, slots=True)
class GetResourceStateResponse:
    """ApiGetResourceState (opnum 12): only `result` is valid on failure."""

    state: int
    node_name: str | None
    group_name: str | None
    rpc_status: int
    result: int


@dataclass(frozen=True, slots=True)
class GetResourceIdResponse:
    """ApiGetResourceId (opnum 14): only `result` is valid on failure."""

    resource_id: str | None
    rpc_status: int
    result: int


@dataclass(frozen=True, slots=True)
class SwitchResourceResponse:
    """The methods that change an object (opnums 16 to 18, 49 to 52, 69, 70, 126)."""

    rpc_status: int
    result: int


@dataclass(frozen=True, slots=True)
class NoParameters:
    """The request of ApiOpenCluster, ApiGetClusterName and ApiGetClusterVersion2 (opnums 0, 3, 102)."""


@dataclass(frozen=True, slots=True)
class OpenClusterResponse:
    """ApiOpenCluster (opnum 0): `cluster` is null unless `status` is 0."""

    status: int
    cluster: ContextHandle


@dataclass(frozen=True, slots=True)
class GetClusterNameResponse:
    """ApiGetClusterName (opnum 3)."""

    cluster_name: str | None
    node_name: str | None
    result: int


@dataclass(frozen=True, slots=True)
class GetClusterVersionResponse:
    """ApiGetClusterVersion2 (opnum 102), with CLUSTER_OPERATIONAL_VERSION_INFO (MS-CMRP 2.2.3.3)."""

    major: int
    minor: int
    build: int
    vendor: str | None
    service_pack: str | None
    highest: int
    lowest: int
    rpc_status: int
    result: int


@dataclass(frozen=True, slots=True)
class CreateEnumRequest:
    """ApiCreateEnum (opnum 7): `type` is some of `EnumType`."""

    type: int


@dataclass(frozen=True, slots=True)
class EnumEntry:
    """ENUM_ENTRY (MS-CMRP 2.2.3.4)."""

    type: int
    name: str


@dataclass(frozen=True, slots=True)
class CreateEnumResponse:
    """ApiCreateEnum: `entries` is None for a null list, as with an error."""

    entries: tuple[EnumEntry, ...] | None
    rpc_status: int
    result: int


@dataclass(frozen=True, slots=True)
class GetNodeStateResponse:
    """ApiGetNodeState and ApiGetNetworkState (opnums 68, 83)."""

    state: int
    rpc_status: int
    result: int


@dataclass(frozen=True, slots=True)
class GetGroupStateResponse:
    """ApiGetGroupState (opnum 45)."""

    state: int
    node_name: str | None
    rpc_status: int
    result: int


@dataclass(frozen=True, slots=True)
class MoveGroupRequest:
    """ApiMoveGroupToNode (opnum 52): the handles of the group and of the node."""

    group: ContextHandle
    node: ContextHandle


@dataclass(frozen=True, slots=True)
class PauseNodeExRequest:
    """ApiPauseNodeEx (opnum 126)."""

    node: ContextHandle
    drain: bool
    flags: int = 0
