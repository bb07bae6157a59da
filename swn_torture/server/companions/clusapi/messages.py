"""The requests and responses of the methods on resources, as plain values (MS-CMRP 3.1.4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final
from uuid import UUID

from swn_torture.stubdata.syntax import SyntaxId

if TYPE_CHECKING:
    from swn_torture.witness.messages import ContextHandle

CLUSAPI: Final = SyntaxId(UUID("b97db8b2-4c63-11cf-bff6-08002be23f2f"), 3, 0)
"""The interface, protocol version 3 (MS-CMRP 1.9)."""


class ClusapiOpnum(IntEnum):
    """The opnums of the served methods."""

    OPEN_RESOURCE = 8
    CLOSE_RESOURCE = 11
    GET_RESOURCE_STATE = 12
    GET_RESOURCE_ID = 14
    ONLINE_RESOURCE = 17
    OFFLINE_RESOURCE = 18


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
    """ApiOpenResource (opnum 8): opens a resource by its name or its id."""

    resource_name: str


@dataclass(frozen=True, slots=True)
class OpenResourceResponse:
    """ApiOpenResource: `resource` is null unless `status` is 0."""

    status: int
    rpc_status: int
    resource: ContextHandle


@dataclass(frozen=True, slots=True)
class ResourceRequest:
    """The other served methods (opnums 11, 12, 14, 17, 18): the handle of a resource."""

    resource: ContextHandle


@dataclass(frozen=True, slots=True)
class CloseResourceResponse:
    """ApiCloseResource (opnum 11): `resource` is null on success."""

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
    """ApiOnlineResource and ApiOfflineResource (opnums 17, 18)."""

    rpc_status: int
    result: int
