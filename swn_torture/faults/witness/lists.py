"""GetInterfaceList: interfaces that are missing, told wrongly, or at the wrong time."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.faults.registry import violates, with_options
from swn_torture.server.state.methods import Reply
from swn_torture.server.state.service import WitnessService
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import InterfaceFlags, InterfaceState, ProtocolVersion
from swn_torture.witness.messages import GetInterfaceListResponse, InterfaceInfo, InterfaceList

if TYPE_CHECKING:
    from collections.abc import Hashable

    from swn_torture.server.config import ClusterConfig
    from swn_torture.server.state.interfaces import Interface
    from swn_torture.server.state.registrations import Owner


class Listing(WitnessService):
    """A server whose interface lists pass through `other` before they go out."""

    @override
    def interface_list(self) -> GetInterfaceListResponse:
        """The list as it is now."""
        listed = super().interface_list()
        infos = listed.interface_list and listed.interface_list.interfaces
        return replace(listed, interface_list=InterfaceList(self.other(infos or ())))

    def other(self, infos: tuple[InterfaceInfo, ...]) -> tuple[InterfaceInfo, ...]:
        """The elements to tell instead."""
        return tuple(map(self.element, infos))

    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        """The element to tell instead of one."""
        return info


# When


@violates("SWN-3.1.4.1-wait-available")
def list_never_waits(config: ClusterConfig) -> ClusterConfig:
    """The list is told even if no interface is AVAILABLE, as with Samba."""
    return with_options(config, interface_list_waits="never")


@violates("SWN-3.1.4.1-waiting-woken", "SWN-3.1.6.1-wake-interface-list")
class WaitingListForgotten(WitnessService):
    """A GetInterfaceList that has to wait is never answered."""

    @override
    def wake(self) -> list[Reply]:
        self.waiting_lists.clear()
        return super().wake()


@violates("SWN-3.1.4.1-wait-available")
class NoneAvailableIsAnError(WitnessService):
    """Without an AVAILABLE interface the call fails with ERROR_NO_MORE_ITEMS (0x103)."""

    @override
    def get_interface_list(self, token: Hashable, owner: Owner) -> list[Reply]:
        if not self.may_list_interfaces():
            return [Reply(token, GetInterfaceListResponse(None, Win32.ERROR_NO_MORE_ITEMS))]
        return super().get_interface_list(token, owner)


@violates("SWN-3.1.4.1-no-registration-needed")
class ListNeedsRegistration(WitnessService):
    """Only those who have registered are told the list."""

    @override
    def get_interface_list(self, token: Hashable, owner: Owner) -> list[Reply]:
        if not self.registrations.of(owner.association):
            return [Reply(token, GetInterfaceListResponse(None, Win32.ERROR_ACCESS_DENIED))]
        return super().get_interface_list(token, owner)


# Which


@violates("SWN-3.1.4.1-one-info-per-interface")
class OnlyAvailableListed(Listing):
    """Interfaces that are not AVAILABLE are left out."""

    @override
    def other(self, infos: tuple[InterfaceInfo, ...]) -> tuple[InterfaceInfo, ...]:
        return tuple(info for info in infos if info.state == InterfaceState.AVAILABLE)


@violates("SWN-3.1.4.1-one-info-per-interface", "SWN-3.1.4.1-all-copied")
class OnlyWitnessInterfacesListed(Listing):
    """A node leaves its own interfaces out."""

    @override
    def other(self, infos: tuple[InterfaceInfo, ...]) -> tuple[InterfaceInfo, ...]:
        return tuple(info for info in infos if info.flags & InterfaceFlags.WITNESS)


@violates("SWN-3.1.3-interfaces-from-config", "SWN-3.1.4.1-all-copied", near=("SWN-3.1.6.1-new-name",))
class LastInterfaceMissing(Listing):
    """The loop over the interfaces ends one too early."""

    @override
    def other(self, infos: tuple[InterfaceInfo, ...]) -> tuple[InterfaceInfo, ...]:
        return infos[: max(1, len(infos) - 1)]


@violates("SWN-3.1.4.1-all-copied")
class FirstInterfaceTwice(Listing):
    """The first interface is listed twice."""

    @override
    def other(self, infos: tuple[InterfaceInfo, ...]) -> tuple[InterfaceInfo, ...]:
        return (*infos[:1], *infos)


@violates("SWN-3.1.4.1-out-param", near=("RPC-FRAG-response",))
class ListIsNull(Listing):
    """The method succeeds and returns no list."""

    @override
    def interface_list(self) -> GetInterfaceListResponse:
        return GetInterfaceListResponse(None, Win32.ERROR_SUCCESS)


# Names, version and state


@violates("SWN-2.2.2.5-groupname-nonempty")
class GroupNameEmpty(Listing):
    """InterfaceGroupName is left empty."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, group_name="")


@violates("SWN-3.1.1.2-groupname-netbios")
class GroupNameIsLong(Listing):
    """InterfaceGroupName is a qualified name of more than 15 characters."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, group_name=f"{info.group_name}.cluster.example.org")


@violates("SWN-3.1.4.1-groupname", near=("SWN-3.1.6.1-new-name",))
class GroupNamesRotated(Listing):
    """Each interface is told under the group name of the next."""

    @override
    def other(self, infos: tuple[InterfaceInfo, ...]) -> tuple[InterfaceInfo, ...]:
        names = [info.group_name for info in infos]
        return tuple(
            replace(i, group_name=name) for i, name in zip(infos, names[1:] + names[:1], strict=True)
        )


@violates(
    "SWN-3.1.4.1-version",
    "SWN-2.2.2.5-version",
    "SWN-3.1.1.1-service-version-listed",
    near=("SWN-3.1.4.4-unreported-kept",),
)
class VersionIsInterfaceVersion(Listing):
    """Version is that of the RPC interface, 1.1 as a single number (0x00010001 shifted to 0x0101)."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, version=0x0101)


@violates("SWN-3.1.3-version-highest")
class Version2CallsItself1(Listing):
    """A server of version 2 announces version 1."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, version=ProtocolVersion.V1)


@violates("SWN-3.1.3-version-highest")
class Version1CallsItself2(Listing):
    """A server of version 1 announces version 2."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, version=ProtocolVersion.V2)


@violates("SWN-3.1.4.1-version")
class VersionOfOwnInterfacesOnly(Listing):
    """Only the node's own interfaces carry the server's version, the others 0x00010001."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, version=ProtocolVersion.V1) if info.flags & InterfaceFlags.WITNESS else info


@violates("SWN-2.2.2.5-state-values", "SWN-3.1.1.2-state-values", "SWN-3.1.4.1-state")
class UnavailableIsTwo(Listing):
    """States are numbered 0, 1, 2, so that UNAVAILABLE is 2."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, state=2) if info.state == InterfaceState.UNAVAILABLE else info


@violates("SWN-3.1.4.1-state", "SWN-3.1.6.1-sets-state")
class StatesAlwaysAvailable(Listing):
    """Every interface is told to be AVAILABLE."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, state=InterfaceState.AVAILABLE)


@violates("SWN-3.1.4.1-state")
class UnavailableToldUnknown(Listing):
    """An UNAVAILABLE interface is told to be UNKNOWN (0)."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, state=0) if info.state == InterfaceState.UNAVAILABLE else info


# Addresses and flags


@violates("SWN-3.1.4.1-ipv4-value", "SWN-2.2.2.5-ipv4-if-flag")
class ListedIpv4Reversed(Listing):
    """IPV4 is in the byte order of the host (192.168.3.45 as 2d 03 a8 c0)."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, ipv4=IPv4Address(info.ipv4.packed[::-1]))


@violates("SWN-3.1.4.1-ipv6-value", "SWN-2.2.2.5-ipv6-if-flag")
class ListedIpv6UnitsSwapped(Listing):
    """The USHORTs of IPV6 are in the byte order of the host."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, ipv6=units_swapped(info.ipv6))


@violates("SWN-3.1.4.1-ipv4-flag")
class ListedIpv4FlagMissing(Listing):
    """An interface with both families is announced with IPv6 alone."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        dual = info.flags & 3 == 3
        return replace(info, flags=info.flags & ~InterfaceFlags.IPV4) if dual else info


@violates("SWN-3.1.4.1-ipv6-flag")
class ListedIpv6FlagMissing(Listing):
    """An interface with both families is announced with IPv4 alone."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        dual = info.flags & 3 == 3
        return replace(info, flags=info.flags & ~InterfaceFlags.IPV6) if dual else info


class LastListed(Listing):
    """A server that has the last interface with both families pass through `element`, and no other."""

    @override
    def other(self, infos: tuple[InterfaceInfo, ...]) -> tuple[InterfaceInfo, ...]:
        last = max((n for n, info in enumerate(infos) if info.flags & 3 == 3), default=None)
        return tuple(self.element(info) if n == last else info for n, info in enumerate(infos))


@violates("SWN-3.1.4.1-ipv4-flag")
class LastIpv4FlagMissing(LastListed):
    """The last interface is announced with IPv6 alone, though it has both families."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, flags=info.flags & ~InterfaceFlags.IPV4)


@violates("SWN-3.1.4.1-ipv6-flag")
class LastIpv6FlagMissing(LastListed):
    """The last interface is announced with IPv4 alone, though it has both families."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, flags=info.flags & ~InterfaceFlags.IPV6)


@violates("SWN-3.1.4.1-ipv4-value")
class LastIpv4Reversed(LastListed):
    """IPV4 of the last interface is in the byte order of the host."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, ipv4=IPv4Address(info.ipv4.packed[::-1]))


@violates("SWN-3.1.4.1-ipv6-value")
class LastIpv6UnitsSwapped(LastListed):
    """The USHORTs of IPV6 of the last interface are in the byte order of the host."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, ipv6=units_swapped(info.ipv6))


@violates("SWN-3.1.4.1-no-address-no-flag")
class BothFamiliesAnnounced(Listing):
    """Both address flags are set, whichever addresses there are."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, flags=info.flags | InterfaceFlags.IPV4 | InterfaceFlags.IPV6)


@violates("SWN-3.1.4.1-ipv6-value", "SWN-2.2.2.5-ipv6-if-flag")
class ListedIpv6IsMapped(Listing):
    """IPV6 holds the IPv4-mapped form of the IPv4 address."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, ipv6=IPv6Address(f"::ffff:{info.ipv4}"))


@violates("SWN-2.2.2.5-flags-defined")
class UndefinedInterfaceFlag(Listing):
    """Flags carry a bit 0x8 that means something to the server alone."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, flags=info.flags | 8)


@violates("SWN-3.1.4.1-witness-flag-local", "SWN-3.1.4.1-determine-local")
class WitnessFlagEverywhere(WitnessService):
    """INTERFACE_WITNESS is set on a node's own interfaces, too."""

    @override
    def is_local(self, interface: Interface) -> bool:
        return False


@violates("SWN-3.1.4.1-witness-flag-remote", "SWN-3.1.4.1-determine-local")
class WitnessFlagNowhere(Listing):
    """INTERFACE_WITNESS is never set."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, flags=info.flags & ~InterfaceFlags.WITNESS)


@violates("SWN-3.1.4.1-witness-flag-remote", "SWN-3.1.4.1-witness-flag-local", "SWN-3.1.4.1-determine-local")
class WitnessFlagInverted(WitnessService):
    """INTERFACE_WITNESS is set on a node's own interfaces, and on no others."""

    @override
    def is_local(self, interface: Interface) -> bool:
        return not super().is_local(interface)


@violates("SWN-3.1.4.1-witness-flag-remote")
class WitnessFlagOnlyWhileAvailable(Listing):
    """INTERFACE_WITNESS is set only where the interface is AVAILABLE."""

    @override
    def element(self, info: InterfaceInfo) -> InterfaceInfo:
        down = info.state != InterfaceState.AVAILABLE
        return replace(info, flags=info.flags & ~InterfaceFlags.WITNESS) if down else info


def units_swapped(address: IPv6Address) -> IPv6Address:
    """An IPv6 address with the octets of each 16-bit unit swapped."""
    packed = address.packed
    return IPv6Address(b"".join(packed[at : at + 2][::-1] for at in range(0, 16, 2)))
