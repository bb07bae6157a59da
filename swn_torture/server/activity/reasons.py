"""Why a method of the witness service returned an error code: the parameter and the section.

The state machine returns codes only. This module repeats the checks of a rejected request, in their order,
after the fact and only for a log. If the first failing check has another code, as with a server that has a
fault, it says nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.dcerpc.security.levels import AuthType
from swn_torture.server.activity.words import level_name
from swn_torture.server.state.shares import EnumerationError
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import ProtocolVersion, RegisterFlags
from swn_torture.witness.messages import (
    AsyncNotifyRequest,
    GetInterfaceListRequest,
    RegisterExRequest,
    RegisterRequest,
    UnRegisterExRequest,
    UnRegisterRequest,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from swn_torture.dcerpc.server.interface import Caller
    from swn_torture.server.state.service import WitnessService
    from swn_torture.witness.messages import AnyRequest, ContextHandle

Reason = tuple[int, str, str]
"""An error code, why, and the section."""


def reason(service: WitnessService, request: AnyRequest, code: int) -> str:
    """Return why a request was rejected with this code, with the section; `""` if that is not known.

    Args:
        service: the state machine of the node.
        request: the request.
        code: the result that the method returned.
    """
    first = next(_reasons(service, request), None)
    if first is None or first[0] != code:
        return ""
    return f"{first[1]}; {first[2]}"


def denied(service: WitnessService, caller: Caller, code: int) -> str:
    """Return why a caller has no access, with the section; `""` if this code has another cause."""
    options = service.options
    if not options.enforce_security:
        return ""
    note = "MS-SWN 3.1.4, note 4"
    if caller.auth_type == AuthType.NONE:
        return f"the caller is not authenticated; {note}" if code == options.unauthenticated else ""
    if code != Win32.ERROR_ACCESS_DENIED:
        return ""
    if caller.level < options.minimum_level:
        given, needed = level_name(caller.level), level_name(options.minimum_level)
        return f"the caller uses {given}, the server needs {needed}; {note}"
    return f"the account {caller.principal} has no access; {note}"


def _reasons(service: WitnessService, request: AnyRequest) -> Iterator[Reason]:
    match request:
        case RegisterRequest() | RegisterExRequest():
            yield from _registering(service, request)
        case AsyncNotifyRequest():
            yield from _handle(service, request.context, Win32.ERROR_NOT_FOUND, "MS-SWN 3.1.4.4")
            yield Win32.ERROR_TIMEOUT, "KeepAliveTimeout has passed without a notification", "MS-SWN 3.1.5.2"
        case UnRegisterRequest():
            code = service.options.unregister_unknown
            yield from _handle(service, request.context, code, "MS-SWN 3.1.4.3")
        case UnRegisterExRequest():
            yield from _handle(service, request.context, Win32.ERROR_INVALID_PARAMETER, "MS-SWN 3.1.4.6")
        case GetInterfaceListRequest():
            yield Win32.ERROR_NO_MORE_ITEMS, "InterfaceList is empty", "MS-SWN 3.1.4.1"


def _handle(service: WitnessService, handle: ContextHandle, code: int, section: str) -> Iterator[Reason]:
    if service.registrations.find(handle) is None:
        what = "the null handle" if handle.is_null else f"no registration {handle}"
        yield code, f"{what} in WitnessRegistrationList: it was removed, expired or never existed", section


def _registering(service: WitnessService, request: RegisterRequest | RegisterExRequest) -> Iterator[Reason]:
    checks, options = service.checks, service.options
    extended = isinstance(request, RegisterExRequest)
    section = "MS-SWN 3.1.4.5" if extended else "MS-SWN 3.1.4.2"
    version = ProtocolVersion.V2 if extended else ProtocolVersion.V1
    invalid, state = Win32.ERROR_INVALID_PARAMETER, Win32.ERROR_INVALID_STATE
    if request.version != version:
        problem = f"Version is {request.version:#010x}, this method needs {int(version):#010x}"
        yield Win32.ERROR_REVISION_MISMATCH, problem, section
    names = {
        "NetName": request.net_name,
        "IpAddress": request.ip_address,
        "ClientComputerName": request.client_computer_name,
    }
    for name, value in names.items():
        if value is None:
            yield invalid, f"{name} is NULL", section
        elif not value and options.empty_strings == "refuse":
            yield invalid, f"{name} is empty", section
    if not checks.is_our_name(request.net_name or ""):
        ours = (checks.net_names, *checks.net_names.others)
        known = ", ".join(name for each in ours for name in (each.name, *each.aliases))
        yield invalid, f'NetName "{request.net_name}" is not ServerGlobalName ({known})', section
    if isinstance(request, RegisterExRequest):
        undefined = request.flags & ~int(RegisterFlags.IP_NOTIFICATION)
        if undefined and options.undefined_flags == "refuse":
            yield invalid, f"Flags has undefined bits {undefined:#x}", section
        if request.share_name is not None and checks.share(request.share_name, None) == state:
            yield from _share(service, request.share_name, section)
    try:
        checks.shares.enumerate()
    except EnumerationError:
        yield state, "the shares of the cluster cannot be enumerated", section
    if checks.interfaces.by_address(request.ip_address or "") is None:
        yield state, f'IpAddress "{request.ip_address}" is not in InterfaceList', section
    limit = options.max_registrations
    if limit is not None and len(service.registrations) >= limit:
        yield options.exhausted, f"{limit} registrations, the maximum of this server", "AMB-35"


def _share(service: WitnessService, name: str, section: str) -> Iterator[Reason]:
    checks = service.checks
    if checks.shares.find(name, ignore_case=service.options.share_name_ignores_case) is None:
        known = ", ".join(share.name for share in checks.visible_shares()) or "none"
        yield Win32.ERROR_INVALID_STATE, f'ShareName "{name}" is not a share (shares: {known})', section
