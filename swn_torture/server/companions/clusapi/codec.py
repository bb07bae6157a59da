"""The stub data of `messages`, NDR32 and NDR64, both directions (MS-CMRP 6).

Every parameter is a top-level [ref] pointer or a handle. Therefore a pointer is on the wire only for LPWSTR*:
a unique pointer, followed directly by its string; and for ENUM_LIST, whose entries have a pointer each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    SwitchResourceResponse,
)
from swn_torture.stubdata.fields import DecodeError
from swn_torture.witness.codec import read_handle, write_handle

if TYPE_CHECKING:
    from swn_torture.stubdata.ndr import Reader, Writer


def write_open_request(writer: Writer, message: OpenResourceRequest) -> None:
    """Write the in parameters of ApiOpenResource, ApiOpenGroup or ApiOpenNode."""
    writer.pointee("lpszResourceName", message.resource_name)


def read_open_request(reader: Reader) -> OpenResourceRequest:
    """Read the in parameters of ApiOpenResource, ApiOpenGroup or ApiOpenNode."""
    return OpenResourceRequest(reader.pointee("lpszResourceName"))


def write_open_response(writer: Writer, message: OpenResourceResponse) -> None:
    """Write the out parameters of ApiOpenResource, ApiOpenGroup or ApiOpenNode."""
    writer.u32("Status", message.status)
    writer.u32("rpc_status", message.rpc_status)
    write_handle(writer, "hResource", message.resource)


def read_open_response(reader: Reader) -> OpenResourceResponse:
    """Read the out parameters of ApiOpenResource, ApiOpenGroup or ApiOpenNode."""
    return OpenResourceResponse(
        reader.u32("Status"), reader.u32("rpc_status"), read_handle(reader, "hResource")
    )


def write_resource_request(writer: Writer, message: ResourceRequest) -> None:
    """Write the in parameters of a method that takes a handle."""
    write_handle(writer, "hResource", message.resource)


def read_resource_request(reader: Reader) -> ResourceRequest:
    """Read the in parameters of a method that takes a handle."""
    return ResourceRequest(read_handle(reader, "hResource"))


def write_close_response(writer: Writer, message: CloseResourceResponse) -> None:
    """Write the out parameters of a method that closes a handle."""
    write_handle(writer, "Resource", message.resource)
    writer.u32("ErrorCode", message.result)


def read_close_response(reader: Reader) -> CloseResourceResponse:
    """Read the out parameters of a method that closes a handle."""
    return CloseResourceResponse(read_handle(reader, "Resource"), reader.u32("ErrorCode"))


def write_state_response(writer: Writer, message: GetResourceStateResponse) -> None:
    """Write the out parameters of ApiGetResourceState."""
    writer.u32("State", message.state)
    writer.string("NodeName", message.node_name)
    writer.string("GroupName", message.group_name)
    writer.u32("rpc_status", message.rpc_status)
    writer.u32("ErrorCode", message.result)


def read_state_response(reader: Reader) -> GetResourceStateResponse:
    """Read the out parameters of ApiGetResourceState."""
    return GetResourceStateResponse(
        reader.u32("State"),
        reader.string("NodeName"),
        reader.string("GroupName"),
        reader.u32("rpc_status"),
        reader.u32("ErrorCode"),
    )


def write_id_response(writer: Writer, message: GetResourceIdResponse) -> None:
    """Write the out parameters of ApiGetResourceId."""
    writer.string("pGuid", message.resource_id)
    writer.u32("rpc_status", message.rpc_status)
    writer.u32("ErrorCode", message.result)


def read_id_response(reader: Reader) -> GetResourceIdResponse:
    """Read the out parameters of ApiGetResourceId."""
    return GetResourceIdResponse(reader.string("pGuid"), reader.u32("rpc_status"), reader.u32("ErrorCode"))


def write_switch_response(writer: Writer, message: SwitchResourceResponse) -> None:
    """Write the out parameters of a method that changes an object."""
    writer.u32("rpc_status", message.rpc_status)
    writer.u32("ErrorCode", message.result)


def read_switch_response(reader: Reader) -> SwitchResourceResponse:
    """Read the out parameters of a method that changes an object."""
    return SwitchResourceResponse(reader.u32("rpc_status"), reader.u32("ErrorCode"))


def write_nothing(writer: Writer, message: NoParameters) -> None:
    """Write the in parameters of ApiOpenCluster or ApiGetClusterName: there are none."""


def read_nothing(reader: Reader) -> NoParameters:  # noqa: ARG001 - as all functions here
    """Read the in parameters of ApiOpenCluster or ApiGetClusterName."""
    return NoParameters()


def write_open_cluster_response(writer: Writer, message: OpenClusterResponse) -> None:
    """Write the out parameters of ApiOpenCluster."""
    writer.u32("Status", message.status)
    write_handle(writer, "Cluster", message.cluster)


def read_open_cluster_response(reader: Reader) -> OpenClusterResponse:
    """Read the out parameters of ApiOpenCluster."""
    return OpenClusterResponse(reader.u32("Status"), read_handle(reader, "Cluster"))


def write_name_response(writer: Writer, message: GetClusterNameResponse) -> None:
    """Write the out parameters of ApiGetClusterName."""
    writer.string("ClusterName", message.cluster_name)
    writer.string("NodeName", message.node_name)
    writer.u32("ErrorCode", message.result)


def read_name_response(reader: Reader) -> GetClusterNameResponse:
    """Read the out parameters of ApiGetClusterName."""
    return GetClusterNameResponse(
        reader.string("ClusterName"), reader.string("NodeName"), reader.u32("ErrorCode")
    )


_VERSION_INFO_SIZE = 20
"""dwSize of CLUSTER_OPERATIONAL_VERSION_INFO (MS-CMRP 2.2.3.3)."""


def write_version_response(writer: Writer, message: GetClusterVersionResponse) -> None:
    """Write the out parameters of ApiGetClusterVersion2."""
    writer.u16("lpwMajorVersion", message.major)
    writer.u16("lpwMinorVersion", message.minor)
    writer.u16("lpwBuildNumber", message.build)
    writer.string("lpszVendorId", message.vendor)
    writer.string("lpszCSDVersion", message.service_pack)
    writer.pointer("ppClusterOpVerInfo", present=True)
    writer.u32("dwSize", _VERSION_INFO_SIZE)
    writer.u32("dwClusterHighestVersion", message.highest)
    writer.u32("dwClusterLowestVersion", message.lowest)
    writer.u32("dwFlags", 0)
    writer.u32("dwReserved", 0)
    writer.u32("rpc_status", message.rpc_status)
    writer.u32("ErrorCode", message.result)


def read_version_response(reader: Reader) -> GetClusterVersionResponse:
    """Read the out parameters of ApiGetClusterVersion2; a null structure gives versions of 0."""
    numbers = (
        reader.u16("lpwMajorVersion"),
        reader.u16("lpwMinorVersion"),
        reader.u16("lpwBuildNumber"),
    )
    texts = reader.string("lpszVendorId"), reader.string("lpszCSDVersion")
    highest = lowest = 0
    if reader.pointer("ppClusterOpVerInfo"):
        reader.u32("dwSize")
        highest, lowest = reader.u32("dwClusterHighestVersion"), reader.u32("dwClusterLowestVersion")
        reader.u32("dwFlags")
        reader.u32("dwReserved")
    status, result = reader.u32("rpc_status"), reader.u32("ErrorCode")
    return GetClusterVersionResponse(*numbers, *texts, highest, lowest, status, result)


def write_enum_request(writer: Writer, message: CreateEnumRequest) -> None:
    """Write the in parameters of ApiCreateEnum."""
    writer.u32("dwType", message.type)


def read_enum_request(reader: Reader) -> CreateEnumRequest:
    """Read the in parameters of ApiCreateEnum."""
    return CreateEnumRequest(reader.u32("dwType"))


def write_enum_response(writer: Writer, message: CreateEnumResponse) -> None:
    """Write the out parameters of ApiCreateEnum: the array of ENUM_LIST, then the names of its entries."""
    writer.pointer("ReturnEnum", present=message.entries is not None)
    if message.entries is not None:
        writer.count("Entry.max_count", len(message.entries))
        writer.u32("EntryCount", len(message.entries))
        writer.align("Entry", writer.wide)  # also before an array without elements
        for number, entry in enumerate(message.entries):
            writer.align(f"Entry[{number}]", writer.wide)
            writer.u32(f"Entry[{number}].Type", entry.type)
            writer.pointer(f"Entry[{number}].Name", present=True)
        for number, entry in enumerate(message.entries):
            writer.pointee(f"Entry[{number}].Name", entry.name)
    writer.u32("rpc_status", message.rpc_status)
    writer.u32("ErrorCode", message.result)


def read_enum_response(reader: Reader) -> CreateEnumResponse:
    """Read the out parameters of ApiCreateEnum.

    Raises:
        DecodeError: it is cut short, or its counts contradict each other.
    """
    entries = _read_enum_list(reader) if reader.pointer("ReturnEnum") else None
    return CreateEnumResponse(entries, reader.u32("rpc_status"), reader.u32("ErrorCode"))


def _read_enum_list(reader: Reader) -> tuple[EnumEntry, ...]:
    max_count = reader.count("Entry.max_count")
    count = reader.u32("EntryCount")
    if count != max_count:
        raise DecodeError("EntryCount", reader.offset - 4, f"{count}, but max_count is {max_count}")
    reader.align(reader.wide)
    types: list[tuple[int, bool]] = []
    for number in range(count):
        reader.align(reader.wide)
        kind = reader.u32(f"Entry[{number}].Type")
        types.append((kind, reader.pointer(f"Entry[{number}].Name")))
    return tuple(
        EnumEntry(kind, reader.pointee(f"Entry[{number}].Name") if named else "")
        for number, (kind, named) in enumerate(types)
    )


def write_node_state_response(writer: Writer, message: GetNodeStateResponse) -> None:
    """Write the out parameters of ApiGetNodeState."""
    writer.u32("State", message.state)
    writer.u32("rpc_status", message.rpc_status)
    writer.u32("ErrorCode", message.result)


def read_node_state_response(reader: Reader) -> GetNodeStateResponse:
    """Read the out parameters of ApiGetNodeState."""
    return GetNodeStateResponse(reader.u32("State"), reader.u32("rpc_status"), reader.u32("ErrorCode"))


def write_group_state_response(writer: Writer, message: GetGroupStateResponse) -> None:
    """Write the out parameters of ApiGetGroupState."""
    writer.u32("State", message.state)
    writer.string("NodeName", message.node_name)
    writer.u32("rpc_status", message.rpc_status)
    writer.u32("ErrorCode", message.result)


def read_group_state_response(reader: Reader) -> GetGroupStateResponse:
    """Read the out parameters of ApiGetGroupState."""
    return GetGroupStateResponse(
        reader.u32("State"), reader.string("NodeName"), reader.u32("rpc_status"), reader.u32("ErrorCode")
    )


def write_pause_request(writer: Writer, message: PauseNodeExRequest) -> None:
    """Write the in parameters of ApiPauseNodeEx."""
    write_handle(writer, "hNode", message.node)
    writer.u32("bDrainNode", int(message.drain))
    writer.u32("dwPauseFlags", message.flags)


def read_pause_request(reader: Reader) -> PauseNodeExRequest:
    """Read the in parameters of ApiPauseNodeEx."""
    return PauseNodeExRequest(
        read_handle(reader, "hNode"), reader.u32("bDrainNode") != 0, reader.u32("dwPauseFlags")
    )


def write_move_request(writer: Writer, message: MoveGroupRequest) -> None:
    """Write the in parameters of ApiMoveGroupToNode."""
    write_handle(writer, "hGroup", message.group)
    write_handle(writer, "hNode", message.node)


def read_move_request(reader: Reader) -> MoveGroupRequest:
    """Read the in parameters of ApiMoveGroupToNode."""
    return MoveGroupRequest(read_handle(reader, "hGroup"), read_handle(reader, "hNode"))
