"""Checks of Register and RegisterEx in another order than that of the text."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.faults.registry import violates
from swn_torture.server.state.registration_checks import RegistrationChecks
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import ProtocolVersion
from swn_torture.witness.messages import RegisterExRequest, RegisterRequest

if TYPE_CHECKING:
    from swn_torture.faults.witness.checks import AnyRegister


class OrderedChecks(RegistrationChecks):
    """Steps of the checks that the faults of this module take out of their order."""

    def null_strings(self, request: AnyRegister) -> Win32:
        """Whether a string is NULL that must not be."""
        given = (request.net_name, request.ip_address, request.client_computer_name)
        return Win32.ERROR_INVALID_PARAMETER if None in given else Win32.ERROR_SUCCESS

    def net_name(self, request: AnyRegister) -> Win32:
        """Whether NetName is another name than that of the cluster."""
        foreign = request.net_name is not None and not self.is_our_name(request.net_name)
        return Win32.ERROR_INVALID_PARAMETER if foreign else Win32.ERROR_SUCCESS

    def where(self, request: AnyRegister) -> Win32:
        """Whether ShareName or IpAddress is unknown; a NULL IpAddress is not."""
        if isinstance(request, RegisterExRequest):
            address = request.ip_address or next(str(a) for i in self.interfaces for a in i.addresses)
            return self.share(request.share_name, address)
        any_scale_out = any(map(self.scale_out, self.visible_shares()))
        return self.address(request.ip_address, must_exist=any_scale_out and request.ip_address is not None)


# Before Version


@violates("SWN-3.1.4.2-version-first")
class RegisterChecksNullBeforeVersion(OrderedChecks):
    """Register checks for NULL strings before it checks Version."""

    @override
    def register(self, request: RegisterRequest) -> Win32:
        return self.null_strings(request) or super().register(request)


@violates("SWN-3.1.4.5-version-first")
class RegisterExChecksNullBeforeVersion(OrderedChecks):
    """RegisterEx checks for NULL strings before it checks Version."""

    @override
    def register_ex(self, request: RegisterExRequest) -> Win32:
        return self.null_strings(request) or super().register_ex(request)


@violates("SWN-3.1.4.2-version-first", "SWN-3.1.4.5-version-first")
class NetNameBeforeVersion(OrderedChecks):
    """Register and RegisterEx compare NetName before they check Version."""

    @override
    def register(self, request: RegisterRequest) -> Win32:
        return self.net_name(request) or super().register(request)

    @override
    def register_ex(self, request: RegisterExRequest) -> Win32:
        return self.net_name(request) or super().register_ex(request)


@violates("SWN-3.1.4.2-version-first", "SWN-3.1.4.2-check-order")
class RegisterChecksAddressFirst(OrderedChecks):
    """Register searches for IpAddress before all other checks."""

    @override
    def register(self, request: RegisterRequest) -> Win32:
        return self.where(request) or super().register(request)


@violates("SWN-3.1.4.5-version-first", "SWN-3.1.4.5-check-order")
class RegisterExChecksShareFirst(OrderedChecks):
    """RegisterEx searches for ShareName and IpAddress before all other checks."""

    @override
    def register_ex(self, request: RegisterExRequest) -> Win32:
        return self.where(request) or super().register_ex(request)


# After Version


@violates("SWN-3.1.4.2-check-order")
class RegisterChecksAddressBeforeNetName(OrderedChecks):
    """Register searches for IpAddress before it compares NetName."""

    @override
    def register(self, request: RegisterRequest) -> Win32:
        if request.version != ProtocolVersion.V1:
            return Win32.ERROR_REVISION_MISMATCH
        return self.null_strings(request) or self.where(request) or super().register(request)


@violates("SWN-3.1.4.5-check-order")
class RegisterExChecksShareBeforeNetName(OrderedChecks):
    """RegisterEx searches for ShareName and IpAddress before it compares NetName."""

    @override
    def register_ex(self, request: RegisterExRequest) -> Win32:
        if request.version != ProtocolVersion.V2:
            return Win32.ERROR_REVISION_MISMATCH
        return self.null_strings(request) or self.where(request) or super().register_ex(request)


@violates("SWN-3.1.4.2-check-order")
class RegisterChecksClientNameLast(OrderedChecks):
    """Register checks for a NULL ClientComputerName after all other checks."""

    @override
    def register(self, request: RegisterRequest) -> Win32:
        named = replace(request, client_computer_name=request.client_computer_name or "?")
        return super().register(named) or self.null_strings(request)


@violates("SWN-3.1.4.5-check-order")
class RegisterExChecksClientNameLast(OrderedChecks):
    """RegisterEx checks for a NULL ClientComputerName after all other checks."""

    @override
    def register_ex(self, request: RegisterExRequest) -> Win32:
        named = replace(request, client_computer_name=request.client_computer_name or "?")
        return super().register_ex(named) or self.null_strings(request)


@violates("SWN-3.1.4.2-check-order", "SWN-3.1.4.5-check-order")
class AddressBeforeNullNetName(OrderedChecks):
    """Register and RegisterEx search for IpAddress before they check for a NULL NetName."""

    @override
    def names(self, request: AnyRegister) -> Win32:
        if request.net_name is None and None not in (request.ip_address, request.client_computer_name):
            return self.where(request) or super().names(request)
        return super().names(request)


@violates("SWN-3.1.4.5-check-order")
class ShareBeforeNullAddress(OrderedChecks):
    """RegisterEx searches for ShareName before it checks for a NULL IpAddress."""

    @override
    def register_ex(self, request: RegisterExRequest) -> Win32:
        if request.version == ProtocolVersion.V2 and request.ip_address is None:
            return self.where(request) or super().register_ex(request)
        return super().register_ex(request)
