"""The checks of Register and RegisterEx, in their order (MS-SWN 3.1.4.2, 3.1.4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.server.state.shares import EnumerationError, Share, ShareTable
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import ProtocolVersion, RegisterFlags

if TYPE_CHECKING:
    from swn_torture.server.state.interfaces import InterfaceTable
    from swn_torture.server.state.names import NetNames
    from swn_torture.server.state.options import Options
    from swn_torture.witness.messages import RegisterExRequest, RegisterRequest


class RegistrationChecks:
    """Checks requests to register. A method that checks returns an error code or ERROR_SUCCESS.

    Args:
        net_names: the names that NetName is compared with.
        shares: the shares of the cluster.
        interfaces: InterfaceList, in which IpAddress is looked up.
        options: the choices of this server.
    """

    def __init__(
        self, net_names: NetNames, shares: ShareTable, interfaces: InterfaceTable, options: Options
    ) -> None:
        self.net_names = net_names
        self.shares = shares
        self.interfaces = interfaces
        self.options = options

    def register(self, request: RegisterRequest) -> Win32:
        """Check a WitnessrRegister request."""
        if request.version != ProtocolVersion.V1:
            return Win32.ERROR_REVISION_MISMATCH
        error = self.names(request)
        if error:
            return error
        try:
            shares = self.shares.enumerate()
        except EnumerationError:
            if self.options.register_without_shares == "invalid-state":
                return Win32.ERROR_INVALID_STATE
            shares = ()
        error = self.address(request.ip_address, must_exist=any(map(self.scale_out, shares)))
        return error or self.network_name(request)

    def register_ex(self, request: RegisterExRequest) -> Win32:
        """Check a WitnessrRegisterEx request."""
        if request.version != ProtocolVersion.V2:
            return Win32.ERROR_REVISION_MISMATCH
        error = self.names(request)
        if error:
            return error
        if self.options.undefined_flags == "refuse" and request.flags & ~int(RegisterFlags.IP_NOTIFICATION):
            return Win32.ERROR_INVALID_PARAMETER
        return self.share(request.share_name, request.ip_address) or self.network_name(request)

    def network_name(self, request: RegisterRequest | RegisterExRequest) -> Win32:
        """Check whether IpAddress belongs to another network name than NetName (AMB-45)."""
        interface = self.interfaces.by_address(request.ip_address or "")
        if interface is None or not interface.net_name or self.options.address_of_other_name == "accept":
            return Win32.ERROR_SUCCESS
        same = self.net_names.are_the_same(interface.net_name, request.net_name or "")
        return Win32.ERROR_SUCCESS if same else Win32.ERROR_INVALID_STATE

    def names(self, request: RegisterRequest | RegisterExRequest) -> Win32:
        """Check what both methods check: no name is NULL, and NetName is a name of the cluster."""
        given = (request.net_name, request.ip_address, request.client_computer_name)
        if None in given:
            return Win32.ERROR_INVALID_PARAMETER
        if "" in given and self.options.empty_strings == "refuse":
            return Win32.ERROR_INVALID_PARAMETER
        if not self.is_our_name(request.net_name or ""):
            return Win32.ERROR_INVALID_PARAMETER
        return Win32.ERROR_SUCCESS

    def is_our_name(self, name: str) -> bool:
        """Whether a NetName equals ServerGlobalName (AMB-6)."""
        return self.net_names.matches(
            name, ignore_case=self.options.net_name_ignores_case, aliases=self.options.net_name_aliases
        )

    def share(self, share_name: str | None, ip_address: str | None) -> Win32:
        """Check ShareName and, if the share is scale-out, IpAddress (RegisterEx only)."""
        if share_name is None:
            return self.address(ip_address, must_exist=False)
        shares = self.visible_shares()
        named = self.shares.find(share_name, ignore_case=self.options.share_name_ignores_case)
        match self.options.unknown_share:
            case "text":
                refused = not shares or (named is None and not self.ignores_shares(shares))
            case "refuse":
                refused = not shares or named is None
            case "accept":
                refused = False
        if refused:
            return Win32.ERROR_INVALID_STATE
        return self.address(ip_address, must_exist=named is not None and self.scale_out(named))

    def address(self, ip_address: str | None, *, must_exist: bool) -> Win32:
        """Check IpAddress against InterfaceList (AMB-5).

        Args:
            ip_address: IpAddress.
            must_exist: whether MS-SWN requires the address to be in the list.
        """
        if self.options.address_check != "text":
            must_exist = self.options.address_check == "always"
        if must_exist and self.interfaces.by_address(ip_address or "") is None:
            return Win32.ERROR_INVALID_STATE
        return Win32.ERROR_SUCCESS

    def visible_shares(self) -> tuple[Share, ...]:
        """Return the shares, or no shares if the enumeration fails."""
        try:
            return self.shares.enumerate()
        except EnumerationError:
            return ()

    def scale_out(self, share: Share) -> bool:
        """Whether a share is STYPE_CLUSTER_SOFS to the server (AMB-37)."""
        return share.scale_out and self.options.shares_keep_cluster_type

    def ignores_shares(self, shares: tuple[Share, ...]) -> bool:
        """Whether ShareName is ignored, because no share is scale-out (3.1.4.5)."""
        return not any(map(self.scale_out, shares))

    def share_to_watch(self, share_name: str | None) -> str | None:
        """Return the ShareName to store in an accepted registration (AMB-4)."""
        if share_name is None or self.options.ignored_share == "stored":
            return share_name
        return None if self.ignores_shares(self.visible_shares()) else share_name
