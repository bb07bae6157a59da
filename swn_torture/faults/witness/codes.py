"""Return values: a wrong error code, or a wrong form of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.faults.registry import violates, with_options
from swn_torture.faults.witness.altered_responses import AlteredResponses, ResponseOrFault, replace_code
from swn_torture.server.state.methods import RpcFault
from swn_torture.server.state.registration_checks import RegistrationChecks
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.messages import (
    AsyncNotifyResponse,
    GetInterfaceListResponse,
    RegisterExRequest,
    RegisterExResponse,
    RegisterRequest,
    RegisterResponse,
    UnRegisterExResponse,
    UnRegisterResponse,
)

if TYPE_CHECKING:
    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.server.config import ClusterConfig

# All methods


@violates("SWN-1.8-win32-codes")
class CodesAsNtstatus(AlteredResponses):
    """Failures return an NTSTATUS (0xC0000000 and above) instead of a Win32 code."""

    @override
    def alter_response(self, call: ServerCall, response: ResponseOrFault) -> ResponseOrFault:
        if isinstance(response, RpcFault) or not response.result:
            return response
        return replace(response, result=0xC0000000 | response.result)


@violates("SWN-1.8-win32-codes", "SWN-3.1.4.2-version-mismatch")
class CodesAsHresult(AlteredResponses):
    """Failures return HRESULT_FROM_WIN32 of the code (0x80070000 and above)."""

    @override
    def alter_response(self, call: ServerCall, response: ResponseOrFault) -> ResponseOrFault:
        if isinstance(response, RpcFault) or not response.result:
            return response
        return replace(response, result=0x80070000 | response.result)


@violates("SWN-1.8-codes-meaning", "SWN-3.1.4.2-netname-mismatch")
class OwnCodeForInvalidParameter(AlteredResponses):
    """The server returns a code of its own (0x2001D) instead of ERROR_INVALID_PARAMETER (0x57)."""

    @override
    def alter_response(self, call: ServerCall, response: ResponseOrFault) -> ResponseOrFault:
        if isinstance(response, RpcFault) or response.result != Win32.ERROR_INVALID_PARAMETER:
            return response
        return replace(response, result=0x2001D)


@violates(
    "SWN-3.1.4.2-null-netname",
    "SWN-3.1.4.2-null-ipaddress",
    "SWN-3.1.4.2-null-clientname",
    "SWN-3.1.4.5-null-netname",
    "SWN-3.1.4.5-null-ipaddress",
    "SWN-3.1.4.5-null-clientname",
)
class InvalidParameterAsFault(AlteredResponses):
    """The server sends a fault with status 0x57 instead of returning ERROR_INVALID_PARAMETER (0x57)."""

    @override
    def alter_response(self, call: ServerCall, response: ResponseOrFault) -> ResponseOrFault:
        if isinstance(response, RpcFault) or response.result != Win32.ERROR_INVALID_PARAMETER:
            return response
        return RpcFault(Win32.ERROR_INVALID_PARAMETER)


@violates("SWN-3.1.4-access-denied")
class DeniedAsLogonFailure(AlteredResponses):
    """A denied call returns ERROR_LOGON_FAILURE (0x52E) instead of ERROR_ACCESS_DENIED (0x5)."""

    @override
    def alter_response(self, call: ServerCall, response: ResponseOrFault) -> ResponseOrFault:
        if isinstance(response, RpcFault) or response.result != Win32.ERROR_ACCESS_DENIED:
            return response
        return replace(response, result=0x52E)


# GetInterfaceList


@violates("SWN-3.1.4.1-empty-list", seen_in="Samba 4.22")
def empty_list_succeeds(config: ClusterConfig) -> ClusterConfig:
    """GetInterfaceList without interfaces returns ERROR_SUCCESS (0x0) and a list of 0 elements."""
    return with_options(config, empty_interface_list="success")


@violates("SWN-3.1.4.1-empty-list")
class EmptyListNotFound(AlteredResponses):
    """GetInterfaceList without interfaces returns ERROR_NOT_FOUND (0x490)."""

    @override
    def alter_response(self, call: ServerCall, response: ResponseOrFault) -> ResponseOrFault:
        old, new = Win32.ERROR_NO_MORE_ITEMS, Win32.ERROR_NOT_FOUND
        return replace_code(response, GetInterfaceListResponse, old, new)


@violates("SWN-3.1.4.1-returns-success", "SWN-3.1.4.1-success-code", "SWN-2.1-rpc-over-tcp")
class ListWithMoreData(AlteredResponses):
    """GetInterfaceList returns the list with ERROR_MORE_DATA (0xEA)."""

    @override
    def alter_response(self, call: ServerCall, response: ResponseOrFault) -> ResponseOrFault:
        return replace_code(response, GetInterfaceListResponse, Win32.ERROR_SUCCESS, 0xEA)


# Register and RegisterEx


@violates("SWN-3.1.4.2-version-mismatch")
class RegisterVersionInvalidParameter(AlteredResponses):
    """Register with a wrong Version returns ERROR_INVALID_PARAMETER (0x57)."""

    @override
    def alter_response(self, call: ServerCall, response: ResponseOrFault) -> ResponseOrFault:
        old, new = Win32.ERROR_REVISION_MISMATCH, Win32.ERROR_INVALID_PARAMETER
        return replace_code(response, RegisterResponse, old, new)


@violates("SWN-3.1.4.5-version-mismatch")
class RegisterExVersionNotSupported(AlteredResponses):
    """RegisterEx with a wrong Version returns ERROR_NOT_SUPPORTED (0x32)."""

    @override
    def alter_response(self, call: ServerCall, response: ResponseOrFault) -> ResponseOrFault:
        return replace_code(response, RegisterExResponse, Win32.ERROR_REVISION_MISMATCH, 0x32)


@violates("SWN-3.1.4.2-netname-mismatch", "SWN-3.1.4.5-netname-mismatch")
class ForeignNetNameInvalidState(RegistrationChecks):
    """Registering with a NetName that is not the server's returns ERROR_INVALID_STATE (0x139F)."""

    @override
    def names(self, request: RegisterRequest | RegisterExRequest) -> Win32:
        verdict = super().names(request)
        known = request.net_name is None or self.is_our_name(request.net_name)
        return verdict if known else Win32.ERROR_INVALID_STATE


@violates("SWN-3.1.4.2-sofs-ip-unknown", "SWN-3.1.4.5-sofs-ip-unknown")
class UnknownAddressInvalidParameter(RegistrationChecks):
    """Registering with an IpAddress of no interface returns ERROR_INVALID_PARAMETER (0x57)."""

    @override
    def address(self, ip_address: str | None, *, must_exist: bool) -> Win32:
        verdict = super().address(ip_address, must_exist=must_exist)
        return Win32.ERROR_INVALID_PARAMETER if verdict else verdict


@violates("SWN-3.1.4.5-share-unknown")
class UnknownShareBadNetName(RegistrationChecks):
    """RegisterEx with an unknown ShareName returns ERROR_BAD_NET_NAME (0x43), as SMB does."""

    @override
    def share(self, share_name: str | None, ip_address: str | None) -> Win32:
        verdict = super().share(share_name, ip_address)
        unknown = share_name is not None and self.shares.find(share_name) is None
        return Win32.ERROR_BAD_NET_NAME if verdict and unknown else verdict


@violates("SWN-3.1.4.5-share-enum-fails")
class EnumerationFailureNoResources(RegistrationChecks):
    """RegisterEx returns ERROR_NO_SYSTEM_RESOURCES (0x5AA) when the shares cannot be enumerated."""

    @override
    def share(self, share_name: str | None, ip_address: str | None) -> Win32:
        if share_name is not None and self.shares.failing:
            return Win32.ERROR_NO_SYSTEM_RESOURCES
        return super().share(share_name, ip_address)


@violates("SWN-3.1.4.5-share-enum-empty")
class NoSharesNoMoreItems(RegistrationChecks):
    """RegisterEx with a ShareName on a server without shares returns ERROR_NO_MORE_ITEMS (0x103)."""

    @override
    def share(self, share_name: str | None, ip_address: str | None) -> Win32:
        if share_name is not None and not self.shares.failing and not self.visible_shares():
            return Win32.ERROR_NO_MORE_ITEMS
        return super().share(share_name, ip_address)


@violates("SWN-3.1.4.2-returns-success", "SWN-3.1.4.2-success-code")
class RegisterAlreadyExists(AlteredResponses):
    """Register succeeds and returns ERROR_ALREADY_EXISTS (0xB7) with the handle."""

    @override
    def alter_response(self, call: ServerCall, response: ResponseOrFault) -> ResponseOrFault:
        return replace_code(response, RegisterResponse, Win32.ERROR_SUCCESS, 0xB7)


@violates("SWN-3.1.4.5-returns-success", "SWN-3.1.4.5-success-code")
class RegisterExReturnsOne(AlteredResponses):
    """RegisterEx returns 1 (S_FALSE, or a plain true) for success."""

    @override
    def alter_response(self, call: ServerCall, response: ResponseOrFault) -> ResponseOrFault:
        return replace_code(response, RegisterExResponse, Win32.ERROR_SUCCESS, 1)


# UnRegister and UnRegisterEx


@violates("SWN-V14-3.1.4.3-unknown-handle", "SWN-3.1.4.3-never-issued-handle")
def unregister_unknown_succeeds(config: ClusterConfig) -> ClusterConfig:
    """UnRegister with the handle of no registration returns ERROR_SUCCESS (0x0)."""
    return with_options(config, unregister_unknown=Win32.ERROR_SUCCESS)


@violates("SWN-V14-3.1.4.3-unknown-handle")
def unregister_unknown_invalid_handle(config: ClusterConfig) -> ClusterConfig:
    """UnRegister with the handle of no registration returns ERROR_INVALID_HANDLE (0x6)."""
    return with_options(config, unregister_unknown=Win32.ERROR_INVALID_HANDLE)


@violates("SWN-3.1.4.3-returns-success", "SWN-3.1.4.3-success-code")
class UnregisterReturnsOne(AlteredResponses):
    """UnRegister returns 1 for success."""

    @override
    def alter_response(self, call: ServerCall, response: ResponseOrFault) -> ResponseOrFault:
        return replace_code(response, UnRegisterResponse, Win32.ERROR_SUCCESS, 1)


@violates("SWN-V14-3.1.4.6-unknown")
class UnregisterExUnknownSucceeds(AlteredResponses):
    """UnRegisterEx with the handle of no registration returns ERROR_SUCCESS (0x0)."""

    @override
    def alter_response(self, call: ServerCall, response: ResponseOrFault) -> ResponseOrFault:
        old, new = Win32.ERROR_INVALID_PARAMETER, Win32.ERROR_SUCCESS
        return replace_code(response, UnRegisterExResponse, old, new)


@violates("SWN-V14-3.1.4.6-success", near=("RPC-NDR-drep",))
class UnregisterExReturnsOne(AlteredResponses):
    """UnRegisterEx returns 1 for success."""

    @override
    def alter_response(self, call: ServerCall, response: ResponseOrFault) -> ResponseOrFault:
        return replace_code(response, UnRegisterExResponse, Win32.ERROR_SUCCESS, 1)


# AsyncNotify


# Cases of several sections see by this code that a registration was removed.
@violates(
    "SWN-3.1.4.4-unknown-handle",
    near=(
        "RPC-CTXH-mismatch",
        "RPC-NDR-drep",
        "SWN-3.1.2.1-timer-implemented",
        "SWN-3.1.3-registrations-empty",
    ),
)
class NotifyUnknownInvalidParameter(AlteredResponses):
    """AsyncNotify with the handle of no registration returns ERROR_INVALID_PARAMETER (0x57)."""

    @override
    def alter_response(self, call: ServerCall, response: ResponseOrFault) -> ResponseOrFault:
        old, new = Win32.ERROR_NOT_FOUND, Win32.ERROR_INVALID_PARAMETER
        return replace_code(response, AsyncNotifyResponse, old, new)


@violates("SWN-3.1.4.4-returns-success", "SWN-3.1.4.4-success-code")
class NotificationWithMoreData(AlteredResponses):
    """AsyncNotify returns a notification with ERROR_MORE_DATA (0xEA)."""

    @override
    def alter_response(self, call: ServerCall, response: ResponseOrFault) -> ResponseOrFault:
        return replace_code(response, AsyncNotifyResponse, Win32.ERROR_SUCCESS, 0xEA)


@violates("SWN-3.1.5.2-timeout-error")
class TimeoutAsWaitTimeout(AlteredResponses):
    """AsyncNotify returns WAIT_TIMEOUT (0x102) when its keep-alive time expires."""

    @override
    def alter_response(self, call: ServerCall, response: ResponseOrFault) -> ResponseOrFault:
        return replace_code(response, AsyncNotifyResponse, Win32.ERROR_TIMEOUT, 0x102)


@violates(
    "SWN-3.1.5.2-timeout-error",
    near=("SWN-3.1.4.5-keepalive-zero", "RPC-CONN-long-pending", "SWN-3.1.4.4-v2-lastuse-on-entry"),
)
class TimeoutAsNotFound(AlteredResponses):
    """AsyncNotify returns ERROR_NOT_FOUND (0x490) when its keep-alive time expires."""

    @override
    def alter_response(self, call: ServerCall, response: ResponseOrFault) -> ResponseOrFault:
        return replace_code(response, AsyncNotifyResponse, Win32.ERROR_TIMEOUT, Win32.ERROR_NOT_FOUND)


@violates("SWN-3.1.5.2-timeout-error")
class TimeoutAsEmptySuccess(AlteredResponses):
    """AsyncNotify returns ERROR_SUCCESS (0x0) and no notification when its keep-alive time expires."""

    @override
    def alter_response(self, call: ServerCall, response: ResponseOrFault) -> ResponseOrFault:
        return replace_code(response, AsyncNotifyResponse, Win32.ERROR_TIMEOUT, Win32.ERROR_SUCCESS)
