"""The requests and responses of the methods for shares (MS-SRVS 3.1.4.8 to 3.1.4.10, 3.1.4.16)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final
from uuid import UUID

from swn_torture.stubdata.syntax import SyntaxId

SRVSVC: Final = SyntaxId(UUID("4b324fc8-1670-01d3-1278-5a47bf6ee188"), 3, 0)
"""The interface (MS-SRVS 1.9, 2.1)."""

MAX_PREFERRED_LENGTH: Final = 0xFFFFFFFF
"""MAX_PREFERRED_LENGTH (MS-SRVS 2.2.2.2): no limit."""

NERR_NET_NAME_NOT_FOUND: Final = 0x00000906
"""NERR_NetNameNotFound (MS-SRVS 2.2.2.9): the share does not exist."""

NERR_DEVICE_NOT_SHARED: Final = 0x00000907
"""NERR_DeviceNotShared (MS-SRVS 2.2.2.9): no share has this path."""

UNLIMITED: Final = 0xFFFFFFFF
"""shi*_max_uses: no limit (MS-SRVS 2.2.4.26)."""


class SrvsvcOpnum(IntEnum):
    """The opnums of the served methods."""

    NETR_SHARE_ENUM = 15
    NETR_SHARE_GET_INFO = 16
    NETR_SHARE_CHECK = 20
    NETR_SHARE_ENUM_STICKY = 36


@dataclass(frozen=True, slots=True)
class ShareInfo:
    """A share. Each information level has some of these members (MS-SRVS 2.2.4.22 to 2.2.4.29).

    Attributes:
        netname: its name.
        type: shi*_type.
        remark: a comment.
        permissions: for share-level security only, which is obsolete.
        max_uses: the maximum number of connections.
        current_uses: the number of connections.
        path: its path on the server.
        passwd: for share-level security only.
        servername: the server name to which it is scoped; ``*`` is every name.
        flags: shi1005_flags.
    """

    netname: str = ""
    type: int = 0
    remark: str | None = ""
    permissions: int = 0
    max_uses: int = UNLIMITED
    current_uses: int = 0
    path: str | None = ""
    passwd: str | None = None
    servername: str | None = "*"
    flags: int = 0


@dataclass(frozen=True, slots=True)
class ShareEnumRequest:
    """NetrShareEnum (opnum 15), NetrShareEnumSticky (36). Entries in the request are ignored."""

    server_name: str | None
    level: int
    preferred_maximum_length: int = MAX_PREFERRED_LENGTH
    resume_handle: int | None = None


@dataclass(frozen=True, slots=True)
class ShareEnumResponse:
    """NetrShareEnum, NetrShareEnumSticky: `shares` is None if the level has no container."""

    level: int
    shares: tuple[ShareInfo, ...] | None
    total_entries: int
    resume_handle: int | None
    result: int


@dataclass(frozen=True, slots=True)
class ShareGetInfoRequest:
    """NetrShareGetInfo (opnum 16)."""

    server_name: str | None
    net_name: str
    level: int


@dataclass(frozen=True, slots=True)
class ShareGetInfoResponse:
    """NetrShareGetInfo: `share` is None on failure."""

    level: int
    share: ShareInfo | None
    result: int


@dataclass(frozen=True, slots=True)
class ShareCheckRequest:
    """NetrShareCheck (opnum 20): asks whether a path is shared."""

    server_name: str | None
    device: str


@dataclass(frozen=True, slots=True)
class ShareCheckResponse:
    """NetrShareCheck: `type` is shi*_type of the share."""

    type: int
    result: int
