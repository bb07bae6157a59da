"""A sample of each message of the companion interfaces, with its encoder and decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from swn_torture.server.companions.clusapi import codec as clusapi
from swn_torture.server.companions.clusapi.messages import (
    CloseResourceResponse,
    CreateEnumRequest,
    CreateEnumResponse,
    EnumEntry,
    GetClusterNameResponse,
    GetClusterVersionResponse,
    GetGroupStateResponse,
    GetNodeStateResponse,
    GetResourceIdResponse,
    GetResourceStateResponse,
    MoveGroupRequest,
    NoParameters,
    OpenClusterResponse,
    OpenResourceRequest,
    OpenResourceResponse,
    PauseNodeExRequest,
    ResourceRequest,
    ResourceState,
    SwitchResourceResponse,
)
from swn_torture.server.companions.srvsvc import codec as srvsvc
from swn_torture.server.companions.srvsvc.messages import (
    ShareCheckRequest,
    ShareCheckResponse,
    ShareEnumRequest,
    ShareEnumResponse,
    ShareGetInfoRequest,
    ShareGetInfoResponse,
    ShareInfo,
)
from swn_torture.stubdata.ndr import Reader, Writer
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.witness.messages import NULL_HANDLE, ContextHandle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from swn_torture.stubdata.syntax import SyntaxId

SYNTAXES = {"ndr32": NDR32, "ndr64": NDR64}

HANDLE = ContextHandle(0, UUID("11223344-5566-7788-99aa-bbccddeeff00"))


@dataclass(frozen=True)
class Sample:
    """One message.

    Attributes:
        call: the method by its name in Samba's IDL, without ``clusapi_`` or ``srvsvc_``.
        side: ``in`` or ``out``.
    """

    message: Any
    write: Callable[[Writer, Any], None]
    read: Callable[[Reader], Any]
    call: str
    side: str

    def encode(self, syntax: SyntaxId) -> bytes:
        writer = Writer(syntax)
        self.write(writer, self.message)
        return writer.finish()

    def decode(self, stub: bytes, syntax: SyntaxId) -> Any:
        """Decode a message. Raises DecodeError, also for octets after the message."""
        reader = Reader(stub, syntax, "little")
        message = self.read(reader)
        reader.finish()
        return message


def _share(level: int, name: str, kind: int, remark: str, path: str, flags: int) -> ShareInfo:
    """Return a share with the members of the level, because only these are decoded."""
    values: dict[str, Any] = {"netname": name, "type": kind, "remark": remark, "path": path, "flags": flags}
    return ShareInfo(**{member: value for member, value in values.items() if member in srvsvc.LEVELS[level]})


def shares(level: int) -> tuple[ShareInfo, ...]:
    """Return two shares. The end of their strings is and is not aligned for the next member."""
    return (
        _share(level, "SHARE", 0, "scale-out", "C:\\ClusterStorage\\SHARE", 0x30),
        _share(level, "IPC$", 0x80000003, "", "", 0),
    )


_NAME_OUT = (clusapi.write_name_response, clusapi.read_name_response, "GetClusterName", "out")
_LIST_OUT = (clusapi.write_enum_response, clusapi.read_enum_response, "CreateEnum", "out")
_OPENED = (clusapi.write_open_response, clusapi.read_open_response)
_NAMED = (clusapi.write_open_request, clusapi.read_open_request)
_CLOSED = (clusapi.write_close_response, clusapi.read_close_response)
_STATE = (clusapi.write_state_response, clusapi.read_state_response, "GetResourceState", "out")
_HANDLE = (clusapi.write_resource_request, clusapi.read_resource_request)
_SWITCHED = (clusapi.write_switch_response, clusapi.read_switch_response)
_ENUM_IN = (srvsvc.write_enum_request, srvsvc.read_enum_request, "NetShareEnumAll", "in")
_ENUM_OUT = (srvsvc.write_enum_response, srvsvc.read_enum_response, "NetShareEnumAll", "out")
_INFO_OUT = (srvsvc.write_info_response, srvsvc.read_info_response, "NetShareGetInfo", "out")

CLUSAPI: Mapping[str, Sample] = {
    "open_in": Sample(
        OpenResourceRequest("SWNCLUSTER"),
        clusapi.write_open_request,
        clusapi.read_open_request,
        "OpenResource",
        "in",
    ),
    "open_out": Sample(
        OpenResourceResponse(0, 0, HANDLE),
        clusapi.write_open_response,
        clusapi.read_open_response,
        "OpenResource",
        "out",
    ),
    "close_in": Sample(ResourceRequest(HANDLE), *_HANDLE, "CloseResource", "in"),
    "close_out": Sample(
        CloseResourceResponse(NULL_HANDLE, 0),
        clusapi.write_close_response,
        clusapi.read_close_response,
        "CloseResource",
        "out",
    ),
    "state_in": Sample(ResourceRequest(HANDLE), *_HANDLE, "GetResourceState", "in"),
    "state_out": Sample(GetResourceStateResponse(ResourceState.ONLINE, "NODE1", "SWNCLUSTER", 0, 0), *_STATE),
    "state_out_failed": Sample(GetResourceStateResponse(ResourceState.UNKNOWN, None, None, 0, 6), *_STATE),
    "id_out": Sample(
        GetResourceIdResponse(str(HANDLE.uuid), 0, 0),
        clusapi.write_id_response,
        clusapi.read_id_response,
        "GetResourceId",
        "out",
    ),
    "online_in": Sample(ResourceRequest(HANDLE), *_HANDLE, "OnlineResource", "in"),
    "online_out": Sample(SwitchResourceResponse(0, 0x138E), *_SWITCHED, "OnlineResource", "out"),
    "offline_in": Sample(ResourceRequest(HANDLE), *_HANDLE, "OfflineResource", "in"),
    "offline_out": Sample(SwitchResourceResponse(0, 0), *_SWITCHED, "OfflineResource", "out"),
    "fail_in": Sample(ResourceRequest(HANDLE), *_HANDLE, "FailResource", "in"),
    "fail_out": Sample(SwitchResourceResponse(0, 0x139F), *_SWITCHED, "FailResource", "out"),
    "open_cluster_in": Sample(
        NoParameters(), clusapi.write_nothing, clusapi.read_nothing, "OpenCluster", "in"
    ),
    "open_cluster_out": Sample(
        OpenClusterResponse(0, HANDLE),
        clusapi.write_open_cluster_response,
        clusapi.read_open_cluster_response,
        "OpenCluster",
        "out",
    ),
    "close_cluster_in": Sample(ResourceRequest(HANDLE), *_HANDLE, "CloseCluster", "in"),
    "close_cluster_out": Sample(CloseResourceResponse(NULL_HANDLE, 0), *_CLOSED, "CloseCluster", "out"),
    "name_out": Sample(GetClusterNameResponse("SWNCLUSTER", "NODE1", 0), *_NAME_OUT),
    "name_out_failed": Sample(GetClusterNameResponse(None, None, 5), *_NAME_OUT),
    "version_out": Sample(
        GetClusterVersionResponse(6, 3, 9600, "vendor", "", 0x82580, 0x723F0, 0, 0),
        clusapi.write_version_response,
        clusapi.read_version_response,
        "GetClusterVersion2",
        "out",
    ),
    "enum_in": Sample(
        CreateEnumRequest(5), clusapi.write_enum_request, clusapi.read_enum_request, "CreateEnum", "in"
    ),
    "enum_out": Sample(
        CreateEnumResponse((EnumEntry(1, "NODE1"), EnumEntry(4, "IP Address 192.0.2.1")), 0, 0), *_LIST_OUT
    ),
    "enum_out_empty": Sample(CreateEnumResponse((), 0, 0), *_LIST_OUT),
    "enum_out_failed": Sample(CreateEnumResponse(None, 0, 0x57), *_LIST_OUT),
    "open_group_in": Sample(OpenResourceRequest("SWNCLUSTER"), *_NAMED, "OpenGroup", "in"),
    "open_group_out": Sample(OpenResourceResponse(0x1395, 0, NULL_HANDLE), *_OPENED, "OpenGroup", "out"),
    "group_state_out": Sample(
        GetGroupStateResponse(3, "NODE1", 0, 0),
        clusapi.write_group_state_response,
        clusapi.read_group_state_response,
        "GetGroupState",
        "out",
    ),
    "online_group_out": Sample(SwitchResourceResponse(0, 0), *_SWITCHED, "OnlineGroup", "out"),
    "offline_group_out": Sample(SwitchResourceResponse(0, 0), *_SWITCHED, "OfflineGroup", "out"),
    "move_group_in": Sample(ResourceRequest(HANDLE), *_HANDLE, "MoveGroup", "in"),
    "move_group_out": Sample(SwitchResourceResponse(0, 0x3E5), *_SWITCHED, "MoveGroup", "out"),
    "move_group_to_node_in": Sample(
        MoveGroupRequest(HANDLE, ContextHandle(0, UUID(int=7))),
        clusapi.write_move_request,
        clusapi.read_move_request,
        "MoveGroupToNode",
        "in",
    ),
    "move_group_to_node_out": Sample(SwitchResourceResponse(0, 0x46), *_SWITCHED, "MoveGroupToNode", "out"),
    "open_network_in": Sample(OpenResourceRequest("Cluster Network 1"), *_NAMED, "OpenNetwork", "in"),
    "open_network_out": Sample(OpenResourceResponse(0, 0, HANDLE), *_OPENED, "OpenNetwork", "out"),
    "close_network_out": Sample(CloseResourceResponse(NULL_HANDLE, 0), *_CLOSED, "CloseNetwork", "out"),
    "network_state_in": Sample(ResourceRequest(HANDLE), *_HANDLE, "GetNetworkState", "in"),
    "network_state_out": Sample(
        GetNodeStateResponse(3, 0, 0),
        clusapi.write_node_state_response,
        clusapi.read_node_state_response,
        "GetNetworkState",
        "out",
    ),
    "open_node_in": Sample(OpenResourceRequest("NODE1"), *_NAMED, "OpenNode", "in"),
    "open_node_out": Sample(OpenResourceResponse(0, 0, HANDLE), *_OPENED, "OpenNode", "out"),
    "close_node_out": Sample(CloseResourceResponse(NULL_HANDLE, 0), *_CLOSED, "CloseNode", "out"),
    "node_state_in": Sample(ResourceRequest(HANDLE), *_HANDLE, "GetNodeState", "in"),
    "node_state_out": Sample(
        GetNodeStateResponse(2, 0, 0),
        clusapi.write_node_state_response,
        clusapi.read_node_state_response,
        "GetNodeState",
        "out",
    ),
    "pause_in": Sample(ResourceRequest(HANDLE), *_HANDLE, "PauseNode", "in"),
    "pause_out": Sample(SwitchResourceResponse(0, 0x13BA), *_SWITCHED, "PauseNode", "out"),
    "resume_in": Sample(ResourceRequest(HANDLE), *_HANDLE, "ResumeNode", "in"),
    "resume_out": Sample(SwitchResourceResponse(0, 0), *_SWITCHED, "ResumeNode", "out"),
    "pause_ex_in": Sample(
        PauseNodeExRequest(HANDLE, drain=True, flags=1),
        clusapi.write_pause_request,
        clusapi.read_pause_request,
        "PauseNodeEx",
        "in",
    ),
    "pause_ex_out": Sample(SwitchResourceResponse(0, 0x3E5), *_SWITCHED, "PauseNodeEx", "out"),
}

ENUMERATIONS: Mapping[str, Sample] = {
    f"enum_in_{level}": Sample(ShareEnumRequest("\\\\NODE1", level, 4096, 3), *_ENUM_IN)
    for level in sorted(srvsvc.ENUMERATED)
} | {
    f"enum_out_{level}": Sample(ShareEnumResponse(level, shares(level), 2, 0, 0), *_ENUM_OUT)
    for level in sorted(srvsvc.ENUMERATED)
}

INFOS: Mapping[str, Sample] = {
    f"info_out_{level}": Sample(ShareGetInfoResponse(level, shares(level)[0], 0), *_INFO_OUT)
    for level in sorted(srvsvc.LEVELS)
}

SRVSVC: Mapping[str, Sample] = {
    **ENUMERATIONS,
    "enum_in_null": Sample(ShareEnumRequest(None, 1), *_ENUM_IN),
    "enum_out_none": Sample(ShareEnumResponse(1, (), 0, None, 0), *_ENUM_OUT),
    "enum_out_no_container": Sample(ShareEnumResponse(1, None, 0, None, 124), *_ENUM_OUT),
    "enum_out_unknown_level": Sample(ShareEnumResponse(1005, None, 0, None, 124), *_ENUM_OUT),
    **INFOS,
    "info_in": Sample(
        ShareGetInfoRequest("\\\\NODE1", "SHARE", 1),
        srvsvc.write_info_request,
        srvsvc.read_info_request,
        "NetShareGetInfo",
        "in",
    ),
    "info_out_none": Sample(ShareGetInfoResponse(1, None, 0x906), *_INFO_OUT),
    "info_out_no_level": Sample(ShareGetInfoResponse(7, None, 0x7C), *_INFO_OUT),
    "check_in": Sample(
        ShareCheckRequest(None, "C:\\ClusterStorage\\SHARE"),
        srvsvc.write_check_request,
        srvsvc.read_check_request,
        "NetShareCheck",
        "in",
    ),
    "check_out": Sample(
        ShareCheckResponse(0, 0x907),
        srvsvc.write_check_response,
        srvsvc.read_check_response,
        "NetShareCheck",
        "out",
    ),
}
