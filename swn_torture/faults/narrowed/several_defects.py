"""Registrations with several wrong parameters whose error is decided wrongly under one condition."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.faults.registry import violates
from swn_torture.faults.witness.check_order import OrderedChecks
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.stubdata.syntax import NDR64
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import ProtocolVersion
from swn_torture.witness.messages import RegisterExRequest, RegisterRequest

if TYPE_CHECKING:
    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.faults.witness.checks import AnyRegister
    from swn_torture.witness.messages import AnyRequest


class LastOfThreeDecides(OrderedChecks):
    """A server that can return the error of the last check if three kinds of checks fail."""

    def last_of_three(self, request: AnyRegister) -> Win32:
        """The error of the last check if Version, a name, and ShareName or IpAddress are wrong."""
        right = ProtocolVersion.V1 if isinstance(request, RegisterRequest) else ProtocolVersion.V2
        names = self.null_strings(request) or self.net_name(request)
        return self.where(request) if request.version != right and names else Win32.ERROR_SUCCESS


@violates("SWN-3.1.4.2-version-first")
class RegisterLastOfThreeDecides(LastOfThreeDecides):
    """With a wrong Version, name and IpAddress, Register returns the error of IpAddress."""

    @override
    def register(self, request: RegisterRequest) -> Win32:
        return self.last_of_three(request) or super().register(request)


@violates("SWN-3.1.4.5-version-first")
class RegisterExLastOfThreeDecides(LastOfThreeDecides):
    """With a wrong Version, name and share or address, RegisterEx returns the error of the last."""

    @override
    def register_ex(self, request: RegisterExRequest) -> Win32:
        return self.last_of_three(request) or super().register_ex(request)


@violates("SWN-3.1.4.2-version-first", "SWN-3.1.4.5-version-first")
class Ndr64NullClientNameBeforeVersion(WitnessEndpoint):
    """With NDR64 a NULL ClientComputerName is found before a wrong Version."""

    @override
    def decode(self, call: ServerCall) -> AnyRequest:
        request = super().decode(call)
        if call.syntax != NDR64 or getattr(request, "client_computer_name", "") is not None:
            return request
        if isinstance(request, RegisterRequest):
            return replace(request, version=ProtocolVersion.V1)
        if isinstance(request, RegisterExRequest):
            return replace(request, version=ProtocolVersion.V2)
        return request
