"""What the methods that tell of shares carry, as plain values (MS-SRVS 3.1.4.8 to 3.1.4.10, 3.1.4.16)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final
from uuid import UUID

from swn_torture.stubdata.syntax import SyntaxId

SRVSVC: Final = SyntaxId(UUID("4b324fc8-1670-01d3-1278-5a47bf6ee188"), 3, 0)
"""The interface (MS-SRVS 1.9, 2.1)."""

MAX_PREFERRED_LENGTH: Final = 0xFFFFFFFF
"""As much as there is (MS-SRVS 2.2.2.2)."""

NERR_NET_NAME_NOT_FOUND: Final = 0x00000906
"""NERR_NetNameNotFound (MS-SRVS 2.2.2.9): there is no such share."""

NERR_DEVICE_NOT_SHARED: Final = 0x00000907
"""NERR_DeviceNotShared (MS-SRVS 2.2.2.9): no share is of that path."""

UNLIMITED: Final = 0xFFFFFFFF
"""shi*_max_uses without a limit (MS-SRVS 2.2.4.26)."""


class SrvsvcOpnum(IntEnum):
    """The methods served here."""

    NETR_SHARE_ENUM = 15
    NETR_SHARE_GET_INFO = 16
    NETR_SHARE_CHECK = 20
    NETR_SHARE_ENUM_STICKY = 36


@dataclass(frozen=True, slots=True)
class ShareInfo:
    """What the information levels tell of a share; each level has some of it (MS-SRVS 2.2.4.22 to 2.2.4.29).

    Attributes:
        netname: its name.
        type: shi*_type.
        remark: a comment.
        permissions: for share-level security only, which no server has any more.
        max_uses: connections allowed.
        current_uses: connections now.
        path: where it is on the server.
        passwd: for share-level security only.
        servername: the name it is scoped to; ``*`` is every name.
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
    """NetrShareEnum (opnum 15), NetrShareEnumSticky (36). Entries that a client sends along mean nothing."""

    server_name: str | None
    level: int
    preferred_maximum_length: int = MAX_PREFERRED_LENGTH
    resume_handle: int | None = None


@dataclass(frozen=True, slots=True)
class ShareEnumResponse:
    """NetrShareEnum, NetrShareEnumSticky: `shares` is None where the level has no container for them."""

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
    """NetrShareCheck (opnum 20): is this path shared?"""

    server_name: str | None
    device: str


@dataclass(frozen=True, slots=True)
class ShareCheckResponse:
    """NetrShareCheck: `type` is shi*_type of the share."""

    type: int
    result: int
