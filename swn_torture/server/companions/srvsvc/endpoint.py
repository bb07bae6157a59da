"""The server service on an RPC server: the methods for shares (MS-SRVS 3.1.4.8 to 3.1.4.10, 3.1.4.16)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from swn_torture.server.companions.dispatch import Operation, TableInterface
from swn_torture.server.companions.srvsvc import codec
from swn_torture.server.companions.srvsvc.messages import (
    MAX_PREFERRED_LENGTH,
    NERR_DEVICE_NOT_SHARED,
    NERR_NET_NAME_NOT_FOUND,
    SRVSVC,
    ShareCheckRequest,
    ShareCheckResponse,
    ShareEnumRequest,
    ShareEnumResponse,
    ShareGetInfoRequest,
    ShareGetInfoResponse,
    ShareInfo,
    SrvsvcOpnum,
)
from swn_torture.server.state.names import same_name
from swn_torture.server.state.shares import EnumerationError, Share, ShareTable, ShareType
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.stubdata.win32 import Win32

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.stubdata.syntax import SyntaxId

_IPC: Final = Share("IPC$", ShareType.IPC | ShareType.SPECIAL, comment="Remote IPC")
_CLUSTER: Final = ShareType.CLUSTER_FS | ShareType.CLUSTER_SOFS | ShareType.CLUSTER_DFS


class SrvsvcEndpoint(TableInterface):
    """Serves the shares of a table, then IPC$, to every caller (MS-SRVS 2.1).

    Args:
        shares: the shares.
        transfer_syntaxes: the transfer syntaxes to offer, in order of preference.
        reply_byte_order: the byte order of responses (`ServerOptions.reply_byte_order`).
    """

    def __init__(
        self,
        shares: ShareTable,
        transfer_syntaxes: Sequence[SyntaxId] = (NDR64, NDR32),
        reply_byte_order: Literal["little", "caller"] = "little",
    ) -> None:
        self.shares = shares
        super().__init__(
            SRVSVC,
            {
                SrvsvcOpnum.NETR_SHARE_ENUM: Operation(
                    codec.read_enum_request, self.enumerate, codec.write_enum_response
                ),
                SrvsvcOpnum.NETR_SHARE_GET_INFO: Operation(
                    codec.read_info_request, self.get_info, codec.write_info_response
                ),
                SrvsvcOpnum.NETR_SHARE_CHECK: Operation(
                    codec.read_check_request, self.check, codec.write_check_response
                ),
                SrvsvcOpnum.NETR_SHARE_ENUM_STICKY: Operation(
                    codec.read_enum_request, self.enumerate_sticky, codec.write_enum_response
                ),
            },
            transfer_syntaxes,
            reply_byte_order,
        )

    def enumerate(self, _call: ServerCall, request: ShareEnumRequest) -> ShareEnumResponse:
        """NetrShareEnum."""
        resume = request.resume_handle
        if request.level not in codec.ENUMERATED:
            return ShareEnumResponse(request.level, None, 0, resume, Win32.ERROR_INVALID_LEVEL)
        try:
            found = self._all()
        except EnumerationError:
            return ShareEnumResponse(request.level, (), 0, resume, Win32.ERROR_GEN_FAILURE)
        start = resume or 0
        rest = found[start:]
        entries = fitting(rest, request.preferred_maximum_length)
        more = len(entries) < len(rest)
        if resume is not None:
            resume = start + len(entries) if more else 0
        code = Win32.ERROR_MORE_DATA if more else Win32.ERROR_SUCCESS
        return ShareEnumResponse(request.level, tuple(entries), len(rest), resume, code)

    def enumerate_sticky(self, call: ServerCall, request: ShareEnumRequest) -> ShareEnumResponse:
        """NetrShareEnumSticky. All shares of a cluster are sticky. Level 501 is invalid."""
        if request.level == 501:
            return ShareEnumResponse(request.level, None, 0, request.resume_handle, Win32.ERROR_INVALID_LEVEL)
        return self.enumerate(call, request)

    def get_info(self, _call: ServerCall, request: ShareGetInfoRequest) -> ShareGetInfoResponse:
        """NetrShareGetInfo."""
        if not request.net_name:
            return ShareGetInfoResponse(request.level, None, Win32.ERROR_INVALID_PARAMETER)
        if request.level not in codec.LEVELS:
            return ShareGetInfoResponse(request.level, None, Win32.ERROR_INVALID_LEVEL)
        share = self.shares.find(request.net_name)
        if same_name(request.net_name, _IPC.name, ignore_case=True):
            share = _IPC
        if share is None:
            return ShareGetInfoResponse(request.level, None, NERR_NET_NAME_NOT_FOUND)
        return ShareGetInfoResponse(request.level, describe(share), Win32.ERROR_SUCCESS)

    def check(self, _call: ServerCall, request: ShareCheckRequest) -> ShareCheckResponse:
        """NetrShareCheck."""
        try:
            found = self._all()
        except EnumerationError:
            return ShareCheckResponse(0, Win32.ERROR_GEN_FAILURE)
        for share in found:
            if same_name(share.path or "", request.device, ignore_case=True):
                return ShareCheckResponse(share.type & ~ShareType.SPECIAL, Win32.ERROR_SUCCESS)
        return ShareCheckResponse(0, NERR_DEVICE_NOT_SHARED)

    def _all(self) -> list[ShareInfo]:
        return [describe(share) for share in (*self.shares.enumerate(), _IPC)]


def describe(share: Share) -> ShareInfo:
    """Return a share as clients see it: without the cluster bits (last rule of 3.1.4.8 and 3.1.4.10)."""
    kind = share.type & ~_CLUSTER
    path = "" if kind & ShareType.IPC else f"C:\\ClusterStorage\\{share.name}"
    return ShareInfo(share.name, int(kind), share.comment, path=path)


def fitting(shares: Sequence[ShareInfo], preferred_maximum_length: int) -> Sequence[ShareInfo]:
    """Return as many shares as the client prefers, but at least one.

    The length of a share is that of its strings in octets; MS-SRVS does not say how to count.

    Args:
        shares: the shares to return.
        preferred_maximum_length: PreferedMaximumLength, in octets.
    """
    if preferred_maximum_length == MAX_PREFERRED_LENGTH:
        return shares
    used = 0
    for number, share in enumerate(shares):
        used += 2 * len(share.netname + (share.remark or "") + (share.path or ""))
        if used > preferred_maximum_length and number:
            return shares[:number]
    return shares
