"""Return values: the wrong code for the right verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.faults.registry import violates, with_options
from swn_torture.faults.witness.answers import Answer, Answers, recode
from swn_torture.server.state.methods import Reply, RpcFault
from swn_torture.server.state.registration_checks import RegistrationChecks
from swn_torture.server.state.service import WitnessService
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import MessageType, ProtocolVersion
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
    from collections.abc import Hashable

    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.server.config import ClusterConfig
    from swn_torture.server.state.registrations import Owner
    from swn_torture.witness.messages import UnRegisterRequest

# All methods


@violates("SWN-1.8-win32-codes")
class CodesAsNtstatus(Answers):
    """Failures are told as NTSTATUS (0xC0000000 and above) instead of Win32 codes."""

    @override
    def other(self, call: ServerCall, response: Answer) -> Answer:
        if isinstance(response, RpcFault) or not response.result:
            return response
        return replace(response, result=0xC0000000 | response.result)


@violates("SWN-1.8-win32-codes", "SWN-3.1.4.2-version-mismatch")
class CodesAsHresult(Answers):
    """Failures are told as HRESULT_FROM_WIN32 (0x80070000 and above)."""

    @override
    def other(self, call: ServerCall, response: Answer) -> Answer:
        if isinstance(response, RpcFault) or not response.result:
            return response
        return replace(response, result=0x80070000 | response.result)


@violates("SWN-1.8-codes-meaning", "SWN-3.1.4.2-netname-mismatch")
class CoinedCode(Answers):
    """What Win32 calls an invalid parameter has a code of the server's own (0x2001D)."""

    @override
    def other(self, call: ServerCall, response: Answer) -> Answer:
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
class InvalidParameterAsFault(Answers):
    """Invalid parameters end in an RPC fault with the code for status, not in a return value."""

    @override
    def other(self, call: ServerCall, response: Answer) -> Answer:
        if isinstance(response, RpcFault) or response.result != Win32.ERROR_INVALID_PARAMETER:
            return response
        return RpcFault(Win32.ERROR_INVALID_PARAMETER)


@violates("SWN-3.1.4-access-denied")
class DeniedAsLogonFailure(Answers):
    """A caller without the credentials hears ERROR_LOGON_FAILURE (0x52E)."""

    @override
    def other(self, call: ServerCall, response: Answer) -> Answer:
        if isinstance(response, RpcFault) or response.result != Win32.ERROR_ACCESS_DENIED:
            return response
        return replace(response, result=0x52E)


# GetInterfaceList


@violates("SWN-3.1.4.1-empty-list")
def empty_list_succeeds(config: ClusterConfig) -> ClusterConfig:
    """An empty interface list is a success without elements, as with Samba."""
    return with_options(config, empty_interface_list="success")


@violates("SWN-3.1.4.1-empty-list")
class EmptyListNotFound(Answers):
    """An empty interface list is ERROR_NOT_FOUND (0x490)."""

    @override
    def other(self, call: ServerCall, response: Answer) -> Answer:
        old, new = Win32.ERROR_NO_MORE_ITEMS, Win32.ERROR_NOT_FOUND
        return recode(response, GetInterfaceListResponse, old, new)


@violates("SWN-3.1.4.1-returns-success", "SWN-3.1.4.1-success-code", "SWN-2.1-rpc-over-tcp")
class ListWithMoreData(Answers):
    """The interface list comes with ERROR_MORE_DATA (0xEA)."""

    @override
    def other(self, call: ServerCall, response: Answer) -> Answer:
        return recode(response, GetInterfaceListResponse, Win32.ERROR_SUCCESS, 0xEA)


# Register and RegisterEx


@violates("SWN-3.1.4.2-version-mismatch")
class RegisterVersionInvalidParameter(Answers):
    """Register refuses a wrong Version by ERROR_INVALID_PARAMETER (0x57)."""

    @override
    def other(self, call: ServerCall, response: Answer) -> Answer:
        old, new = Win32.ERROR_REVISION_MISMATCH, Win32.ERROR_INVALID_PARAMETER
        return recode(response, RegisterResponse, old, new)


@violates("SWN-3.1.4.5-version-mismatch")
class RegisterExVersionNotSupported(Answers):
    """RegisterEx refuses a wrong Version by ERROR_NOT_SUPPORTED (0x32)."""

    @override
    def other(self, call: ServerCall, response: Answer) -> Answer:
        return recode(response, RegisterExResponse, Win32.ERROR_REVISION_MISMATCH, 0x32)


@violates("SWN-3.1.4.2-netname-mismatch", "SWN-3.1.4.5-netname-mismatch")
class ForeignNetNameInvalidState(RegistrationChecks):
    """A NetName that is not the server's is refused by ERROR_INVALID_STATE (0x139F)."""

    @override
    def names(self, request: RegisterRequest | RegisterExRequest) -> Win32:
        verdict = super().names(request)
        known = request.net_name is None or self.is_our_name(request.net_name)
        return verdict if known else Win32.ERROR_INVALID_STATE


@violates("SWN-3.1.4.2-sofs-ip-unknown", "SWN-3.1.4.5-sofs-ip-unknown")
class UnknownAddressInvalidParameter(RegistrationChecks):
    """An address without an interface is refused by ERROR_INVALID_PARAMETER (0x57)."""

    @override
    def address(self, ip_address: str | None, *, must_exist: bool) -> Win32:
        verdict = super().address(ip_address, must_exist=must_exist)
        return Win32.ERROR_INVALID_PARAMETER if verdict else verdict


@violates("SWN-3.1.4.5-share-unknown")
class UnknownShareNotFound(RegistrationChecks):
    """A ShareName that is no share is refused by ERROR_BAD_NET_NAME (0x43), as SMB would."""

    @override
    def share(self, share_name: str | None, ip_address: str | None) -> Win32:
        verdict = super().share(share_name, ip_address)
        unknown = share_name is not None and self.shares.find(share_name) is None
        return Win32.ERROR_BAD_NET_NAME if verdict and unknown else verdict


@violates("SWN-3.1.4.5-share-enum-fails")
class EnumerationFailureNoResources(RegistrationChecks):
    """Shares that cannot be enumerated are ERROR_NO_SYSTEM_RESOURCES (0x5AA)."""

    @override
    def share(self, share_name: str | None, ip_address: str | None) -> Win32:
        if share_name is not None and self.shares.failing:
            return Win32.ERROR_NO_SYSTEM_RESOURCES
        return super().share(share_name, ip_address)


@violates("SWN-3.1.4.5-share-enum-empty")
class NoSharesNoMoreItems(RegistrationChecks):
    """RegisterEx for a share of a server without any is ERROR_NO_MORE_ITEMS (0x103)."""

    @override
    def share(self, share_name: str | None, ip_address: str | None) -> Win32:
        if share_name is not None and not self.shares.failing and not self.visible_shares():
            return Win32.ERROR_NO_MORE_ITEMS
        return super().share(share_name, ip_address)


@violates("SWN-3.1.4.2-returns-success", "SWN-3.1.4.2-success-code")
class RegisterAlreadyExists(Answers):
    """Register succeeds with ERROR_ALREADY_EXISTS (0xB7) and a handle."""

    @override
    def other(self, call: ServerCall, response: Answer) -> Answer:
        return recode(response, RegisterResponse, Win32.ERROR_SUCCESS, 0xB7)


@violates("SWN-3.1.4.5-returns-success", "SWN-3.1.4.5-success-code")
class RegisterExReturnsOne(Answers):
    """RegisterEx returns 1, S_FALSE or plain true, for success."""

    @override
    def other(self, call: ServerCall, response: Answer) -> Answer:
        return recode(response, RegisterExResponse, Win32.ERROR_SUCCESS, 1)


# UnRegister and UnRegisterEx


@violates("SWN-V14-3.1.4.3-unknown-handle", "SWN-3.1.4.3-never-issued-handle")
def unregister_unknown_succeeds(config: ClusterConfig) -> ClusterConfig:
    """UnRegister of a handle without registration is a success."""
    return with_options(config, unregister_unknown=Win32.ERROR_SUCCESS)


@violates("SWN-V14-3.1.4.3-unknown-handle")
def unregister_unknown_invalid_handle(config: ClusterConfig) -> ClusterConfig:
    """UnRegister of a handle without registration is ERROR_INVALID_HANDLE (0x6)."""
    return with_options(config, unregister_unknown=Win32.ERROR_INVALID_HANDLE)


@violates("SWN-3.1.4.3-returns-success", "SWN-3.1.4.3-success-code")
class UnregisterReturnsOne(Answers):
    """UnRegister returns 1 for success."""

    @override
    def other(self, call: ServerCall, response: Answer) -> Answer:
        return recode(response, UnRegisterResponse, Win32.ERROR_SUCCESS, 1)


@violates("SWN-V14-3.1.4.6-unknown")
class UnregisterExUnknownSucceeds(Answers):
    """UnRegisterEx of a handle without registration is a success."""

    @override
    def other(self, call: ServerCall, response: Answer) -> Answer:
        old, new = Win32.ERROR_INVALID_PARAMETER, Win32.ERROR_SUCCESS
        return recode(response, UnRegisterExResponse, old, new)


@violates("SWN-3.1.4.3-returns-success")
class UnregisterOfSecondVersionReturnsOne(WitnessService):
    """UnRegister of what RegisterEx has made does its work and returns 1."""

    @override
    def unregister(self, token: Hashable, owner: Owner, request: UnRegisterRequest) -> list[Reply]:
        found = self.find(owner, request.context)
        replies = super().unregister(token, owner, request)
        if found is None or found.version != ProtocolVersion.V2:
            return replies
        return [
            reply._replace(response=recode(reply.response, UnRegisterResponse, 0, 1))
            if reply.token is token
            else reply
            for reply in replies
        ]


@violates("SWN-V14-3.1.4.6-success", near=("RPC-NDR-drep",))
class UnregisterExReturnsOne(Answers):
    """UnRegisterEx returns 1 for success."""

    @override
    def other(self, call: ServerCall, response: Answer) -> Answer:
        return recode(response, UnRegisterExResponse, Win32.ERROR_SUCCESS, 1)


# AsyncNotify


# By this answer it is seen that a registration has gone, whatever took it away.
@violates(
    "SWN-3.1.4.4-unknown-handle",
    near=(
        "RPC-CTXH-mismatch",
        "RPC-NDR-drep",
        "SWN-3.1.2.1-timer-implemented",
        "SWN-3.1.3-registrations-empty",
    ),
)
class NotifyUnknownInvalidParameter(Answers):
    """AsyncNotify of a handle without registration is ERROR_INVALID_PARAMETER (0x57)."""

    @override
    def other(self, call: ServerCall, response: Answer) -> Answer:
        old, new = Win32.ERROR_NOT_FOUND, Win32.ERROR_INVALID_PARAMETER
        return recode(response, AsyncNotifyResponse, old, new)


@violates("SWN-3.1.4.4-returns-success", "SWN-3.1.4.4-success-code")
class NotificationWithMoreData(Answers):
    """A notification comes with ERROR_MORE_DATA (0xEA)."""

    @override
    def other(self, call: ServerCall, response: Answer) -> Answer:
        return recode(response, AsyncNotifyResponse, Win32.ERROR_SUCCESS, 0xEA)


@violates("SWN-3.1.4.4-returns-success")
class ChangedAddressesWithMoreData(Answers):
    """The notification of changed addresses comes with ERROR_MORE_DATA (0xEA)."""

    @override
    def other(self, call: ServerCall, response: Answer) -> Answer:
        notified = response.response if isinstance(response, AsyncNotifyResponse) else None
        if notified is None or notified.message_type != MessageType.IP_CHANGE:
            return response
        return recode(response, AsyncNotifyResponse, Win32.ERROR_SUCCESS, 0xEA)


@violates("SWN-3.1.5.2-timeout-error")
class TimeoutAsWaitTimeout(Answers):
    """A call that has waited too long ends in WAIT_TIMEOUT (0x102)."""

    @override
    def other(self, call: ServerCall, response: Answer) -> Answer:
        return recode(response, AsyncNotifyResponse, Win32.ERROR_TIMEOUT, 0x102)


@violates(
    "SWN-3.1.5.2-timeout-error",
    near=("SWN-3.1.4.5-keepalive-zero", "RPC-CONN-long-pending", "SWN-3.1.4.4-v2-lastuse-on-entry"),
)
class TimeoutAsNotFound(Answers):
    """A call that has waited too long ends in ERROR_NOT_FOUND (0x490)."""

    @override
    def other(self, call: ServerCall, response: Answer) -> Answer:
        return recode(response, AsyncNotifyResponse, Win32.ERROR_TIMEOUT, Win32.ERROR_NOT_FOUND)


@violates("SWN-3.1.5.2-timeout-error")
class TimeoutAsEmptySuccess(Answers):
    """A call that has waited too long is a success that tells nothing."""

    @override
    def other(self, call: ServerCall, response: Answer) -> Answer:
        return recode(response, AsyncNotifyResponse, Win32.ERROR_TIMEOUT, Win32.ERROR_SUCCESS)
