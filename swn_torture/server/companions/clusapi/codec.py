"""The stub data of `messages`, NDR32 and NDR64, both directions (MS-CMRP 6).

Every parameter is a top-level [ref] pointer or a handle. Therefore a pointer is on the wire only for LPWSTR*:
a unique pointer, followed directly by its string.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.server.companions.clusapi.messages import (
    CloseResourceResponse,
    GetResourceIdResponse,
    GetResourceStateResponse,
    OpenResourceRequest,
    OpenResourceResponse,
    ResourceRequest,
    SwitchResourceResponse,
)
from swn_torture.witness.codec import read_handle, write_handle

if TYPE_CHECKING:
    from swn_torture.stubdata.ndr import Reader, Writer


def write_open_request(writer: Writer, message: OpenResourceRequest) -> None:
    """Write the in parameters of ApiOpenResource."""
    writer.pointee("lpszResourceName", message.resource_name)


def read_open_request(reader: Reader) -> OpenResourceRequest:
    """Read the in parameters of ApiOpenResource."""
    return OpenResourceRequest(reader.pointee("lpszResourceName"))


def write_open_response(writer: Writer, message: OpenResourceResponse) -> None:
    """Write the out parameters of ApiOpenResource."""
    writer.u32("Status", message.status)
    writer.u32("rpc_status", message.rpc_status)
    write_handle(writer, "hResource", message.resource)


def read_open_response(reader: Reader) -> OpenResourceResponse:
    """Read the out parameters of ApiOpenResource."""
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
    """Write the out parameters of ApiCloseResource."""
    write_handle(writer, "Resource", message.resource)
    writer.u32("ErrorCode", message.result)


def read_close_response(reader: Reader) -> CloseResourceResponse:
    """Read the out parameters of ApiCloseResource."""
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
    """Write the out parameters of ApiOnlineResource and ApiOfflineResource."""
    writer.u32("rpc_status", message.rpc_status)
    writer.u32("ErrorCode", message.result)


def read_switch_response(reader: Reader) -> SwitchResourceResponse:
    """Read the out parameters of ApiOnlineResource and ApiOfflineResource."""
    return SwitchResourceResponse(reader.u32("rpc_status"), reader.u32("ErrorCode"))
