"""Access checks: who can call, and what a denied call does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.server.interface import Caller
from swn_torture.faults.registry import violates, with_options
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import Opnum

if TYPE_CHECKING:
    from swn_torture.dcerpc.security.context import SecurityContext
    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.server.config import ClusterConfig


@violates("SWN-3.1.4-enforce-security", "SWN-5.1-enforce-per-method")
def security_not_enforced(config: ClusterConfig) -> ClusterConfig:
    """Every method serves every caller, with or without authentication."""
    return with_options(config, enforce_security=False)


class OpenMethods(WitnessEndpoint):
    """A server with some methods that need no access check.

    Attributes:
        open_opnums: the opnums of these methods.
    """

    open_opnums: frozenset[int] = frozenset()
    _opnum = -1

    @override
    def call(self, call: ServerCall) -> None:
        """Remember the opnum for `denied`, and process the request."""
        self._opnum = call.opnum
        super().call(call)

    @override
    def denied(self, caller: Caller) -> Win32:
        """The code that a denied caller gets; ERROR_SUCCESS for one that is not denied."""
        return Win32.ERROR_SUCCESS if self._opnum in self.open_opnums else super().denied(caller)


@violates("SWN-3.1.4-enforce-security", "SWN-5.1-enforce-per-method")
class ListOpenToAll(OpenMethods):
    """GetInterfaceList serves every caller, with or without authentication."""

    open_opnums = frozenset({Opnum.GET_INTERFACE_LIST})


@violates("SWN-3.1.4-enforce-security", "SWN-5.1-enforce-per-method")
class NotifyOpenToAll(OpenMethods):
    """AsyncNotify serves every caller, with or without authentication."""

    open_opnums = frozenset({Opnum.ASYNC_NOTIFY})


@violates("SWN-2.1-method-access-check")
class AccountsNotChecked(WitnessEndpoint):
    """Every account can call, whatever the access policy says."""

    @override
    def denied(self, caller: Caller) -> Win32:
        return super().denied(Caller("SOMEBODY\\else", caller.auth_type, caller.level))


@violates("SWN-2.1-method-access-check")
class AccountsCheckedForRegisterOnly(OpenMethods):
    """Only Register and RegisterEx check the account against the access policy."""

    @override
    def denied(self, caller: Caller) -> Win32:
        registers = self._opnum in {Opnum.REGISTER, Opnum.REGISTER_EX}
        somebody = Caller("SOMEBODY\\else", caller.auth_type, caller.level)
        return super().denied(caller if registers else somebody)


@violates("SWN-3.1.4-denied-no-effect")
class DeniedAfterExecution(WitnessEndpoint):
    """The server executes a denied Register or RegisterEx before it rejects the call."""

    @override
    def call(self, call: ServerCall) -> None:
        if self.denied(call.caller) and call.opnum in {Opnum.REGISTER, Opnum.REGISTER_EX}:
            self.service.handle(call, self.owner(call), self.decode(call))
        super().call(call)


@violates("SWN-3.1.4-access-denied")
class DeniedAsInvalidParameter(WitnessEndpoint):
    """A denied call returns ERROR_INVALID_PARAMETER (0x57)."""

    @override
    def denied(self, caller: Caller) -> Win32:
        return Win32.ERROR_INVALID_PARAMETER if super().denied(caller) else Win32.ERROR_SUCCESS


@violates("SWN-2.1-any-user-connect")
class OnlyAdministratorsConnect(Acceptor):
    """Only the account Administrator can authenticate."""

    @override
    def new(self, auth_type: int, level: int | None = None) -> SecurityContext:
        self.users = {name: word for name, word in self.users.items() if name == "Administrator"}
        return super().new(auth_type, level)
