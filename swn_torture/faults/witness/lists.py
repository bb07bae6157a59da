"""GetInterfaceList: when it completes, which interfaces it lists, and what it says of them."""

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


class AlteredInterfaceList(WitnessService):
    """A server that sends what `alter_list` makes of each interface list."""

    @override
    def interface_list(self) -> GetInterfaceListResponse:
        """Build and alter the present interface list."""
        listed = super().interface_list()
        infos = listed.interface_list and listed.interface_list.interfaces
        return replace(listed, interface_list=InterfaceList(self.alter_list(infos or ())))

    def alter_list(self, infos: tuple[InterfaceInfo, ...]) -> tuple[InterfaceInfo, ...]:
        """Return the elements to list instead."""
        return tuple(map(self.alter_interface, infos))

    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        """Return the element to list instead of one."""
        return info


# When the call completes


@violates("SWN-3.1.4.1-wait-available", seen_in="Samba 4.22")
def list_never_waits(config: ClusterConfig) -> ClusterConfig:
    """GetInterfaceList returns the list even if no interface is AVAILABLE."""
    return with_options(config, interface_list_waits="never")


@violates("SWN-3.1.4.1-waiting-woken", "SWN-3.1.6.1-wake-interface-list")
class WaitingListForgotten(WitnessService):
    """A GetInterfaceList that waits for an AVAILABLE interface never completes."""

    @override
    def wake(self) -> list[Reply]:
        self.waiting_lists.clear()
        return super().wake()


@violates("SWN-3.1.4.1-wait-available")
class NoneAvailableIsAnError(WitnessService):
    """GetInterfaceList returns ERROR_NO_MORE_ITEMS (0x103) while no interface is AVAILABLE."""

    @override
    def get_interface_list(self, token: Hashable, owner: Owner) -> list[Reply]:
        if not self.may_list_interfaces():
            return [Reply(token, GetInterfaceListResponse(None, Win32.ERROR_NO_MORE_ITEMS))]
        return super().get_interface_list(token, owner)


@violates("SWN-3.1.4.1-no-registration-needed")
class ListNeedsRegistration(WitnessService):
    """GetInterfaceList returns ERROR_ACCESS_DENIED (0x5) to a client without a registration."""

    @override
    def get_interface_list(self, token: Hashable, owner: Owner) -> list[Reply]:
        if not self.registrations.of(owner.association):
            return [Reply(token, GetInterfaceListResponse(None, Win32.ERROR_ACCESS_DENIED))]
        return super().get_interface_list(token, owner)


# Which interfaces


@violates("SWN-3.1.4.1-one-info-per-interface")
class OnlyAvailableListed(AlteredInterfaceList):
    """The interface list omits interfaces that are not AVAILABLE."""

    @override
    def alter_list(self, infos: tuple[InterfaceInfo, ...]) -> tuple[InterfaceInfo, ...]:
        return tuple(info for info in infos if info.state == InterfaceState.AVAILABLE)


@violates("SWN-3.1.4.1-all-copied", near=("SWN-3.1.6.1-new-name",))
class LastInterfaceMissing(AlteredInterfaceList):
    """The interface list omits the last interface (a loop that ends one too early)."""

    @override
    def alter_list(self, infos: tuple[InterfaceInfo, ...]) -> tuple[InterfaceInfo, ...]:
        return infos[: max(1, len(infos) - 1)]


@violates("SWN-3.1.3-interfaces-from-config")
class FirstInterfaceMissing(AlteredInterfaceList):
    """The interface list omits the first interface (a loop that begins one too late)."""

    @override
    def alter_list(self, infos: tuple[InterfaceInfo, ...]) -> tuple[InterfaceInfo, ...]:
        return infos[1:] or infos


@violates("SWN-3.1.4.1-all-copied")
class FirstInterfaceTwice(AlteredInterfaceList):
    """The interface list has the first interface twice."""

    @override
    def alter_list(self, infos: tuple[InterfaceInfo, ...]) -> tuple[InterfaceInfo, ...]:
        return (*infos[:1], *infos)


@violates("SWN-3.1.4.1-out-param", near=("RPC-FRAG-response",))
class ListIsNull(AlteredInterfaceList):
    """GetInterfaceList returns ERROR_SUCCESS (0x0) and a NULL list."""

    @override
    def interface_list(self) -> GetInterfaceListResponse:
        return GetInterfaceListResponse(None, Win32.ERROR_SUCCESS)


# Names, version and state


@violates("SWN-2.2.2.5-groupname-nonempty")
class GroupNameEmpty(AlteredInterfaceList):
    """InterfaceGroupName in the interface list is empty."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, group_name="")


@violates("SWN-3.1.1.2-groupname-netbios")
class GroupNameIsLong(AlteredInterfaceList):
    """InterfaceGroupName is a fully qualified name of more than 15 characters."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, group_name=f"{info.group_name}.cluster.example.org")


@violates("SWN-3.1.4.1-groupname", near=("SWN-3.1.6.1-new-name",))
class GroupNamesRotated(AlteredInterfaceList):
    """The interface list gives each interface the group name of the next one."""

    @override
    def alter_list(self, infos: tuple[InterfaceInfo, ...]) -> tuple[InterfaceInfo, ...]:
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
class VersionIsInterfaceVersion(AlteredInterfaceList):
    """Version in the interface list is the RPC interface version 1.1, written as 0x0101."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, version=0x0101)


@violates("SWN-3.1.3-version-highest")
class Version2ListsVersion1(AlteredInterfaceList):
    """A server of version 2 lists Version 0x00010001."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, version=ProtocolVersion.V1)


@violates("SWN-3.1.3-version-highest")
class Version1ListsVersion2(AlteredInterfaceList):
    """A server of version 1 lists Version 0x00020000."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, version=ProtocolVersion.V2)


@violates("SWN-3.1.4.1-version")
class VersionOfOwnInterfacesOnly(AlteredInterfaceList):
    """The interface list gives Version 0x00010001 for the interfaces of other nodes."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, version=ProtocolVersion.V1) if info.flags & InterfaceFlags.WITNESS else info


@violates("SWN-2.2.2.5-state-values", "SWN-3.1.1.2-state-values", "SWN-3.1.4.1-state")
class UnavailableIsTwo(AlteredInterfaceList):
    """State UNAVAILABLE is 2 in the interface list (states numbered 0, 1, 2)."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, state=2) if info.state == InterfaceState.UNAVAILABLE else info


@violates("SWN-3.1.4.1-state", "SWN-3.1.6.1-sets-state")
class StatesAlwaysAvailable(AlteredInterfaceList):
    """The interface list gives every interface the state AVAILABLE."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, state=InterfaceState.AVAILABLE)


@violates("SWN-3.1.4.1-state")
class UnavailableListedUnknown(AlteredInterfaceList):
    """The interface list gives an UNAVAILABLE interface the state UNKNOWN (0)."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, state=0) if info.state == InterfaceState.UNAVAILABLE else info


# Addresses and flags


@violates("SWN-3.1.4.1-ipv4-value", "SWN-2.2.2.5-ipv4-if-flag")
class ListedIpv4Reversed(AlteredInterfaceList):
    """IPV4 in the interface list is in host byte order (192.168.3.45 as 2d 03 a8 c0)."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, ipv4=IPv4Address(info.ipv4.packed[::-1]))


@violates("SWN-3.1.4.1-ipv6-value", "SWN-2.2.2.5-ipv6-if-flag")
class ListedIpv6UnitsSwapped(AlteredInterfaceList):
    """The 16-bit units of IPV6 in the interface list are in host byte order."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, ipv6=units_swapped(info.ipv6))


@violates("SWN-3.1.4.1-ipv4-flag")
class ListedIpv4FlagMissing(AlteredInterfaceList):
    """The interface list omits the IPv4 flag of an interface with both families."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        dual = info.flags & 3 == 3
        return replace(info, flags=info.flags & ~InterfaceFlags.IPV4) if dual else info


@violates("SWN-3.1.4.1-ipv6-flag")
class ListedIpv6FlagMissing(AlteredInterfaceList):
    """The interface list omits the IPv6 flag of an interface with both families."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        dual = info.flags & 3 == 3
        return replace(info, flags=info.flags & ~InterfaceFlags.IPV6) if dual else info


@violates("SWN-3.1.4.1-no-address-no-flag")
class BothFamiliesAnnounced(AlteredInterfaceList):
    """The interface list sets both address flags on every interface."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, flags=info.flags | InterfaceFlags.IPV4 | InterfaceFlags.IPV6)


@violates("SWN-3.1.4.1-ipv6-value", "SWN-2.2.2.5-ipv6-if-flag")
class ListedIpv6IsMapped(AlteredInterfaceList):
    """IPV6 in the interface list is the IPv4-mapped form of the IPv4 address."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, ipv6=IPv6Address(f"::ffff:{info.ipv4}"))


@violates("SWN-2.2.2.5-flags-defined")
class UndefinedInterfaceFlag(AlteredInterfaceList):
    """Flags in the interface list have the undefined bit 0x8 set."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, flags=info.flags | 8)


@violates("SWN-3.1.4.1-witness-flag-local", "SWN-3.1.4.1-determine-local")
class WitnessFlagEverywhere(WitnessService):
    """INTERFACE_WITNESS is set on the node's own interfaces as well."""

    @override
    def is_local(self, interface: Interface) -> bool:
        return False


@violates("SWN-3.1.4.1-witness-flag-remote", "SWN-3.1.4.1-determine-local")
class WitnessFlagNowhere(AlteredInterfaceList):
    """INTERFACE_WITNESS is never set."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        return replace(info, flags=info.flags & ~InterfaceFlags.WITNESS)


@violates("SWN-3.1.4.1-witness-flag-remote", "SWN-3.1.4.1-witness-flag-local", "SWN-3.1.4.1-determine-local")
class WitnessFlagInverted(WitnessService):
    """INTERFACE_WITNESS is set on the node's own interfaces and on no others."""

    @override
    def is_local(self, interface: Interface) -> bool:
        return not super().is_local(interface)


@violates("SWN-3.1.4.1-witness-flag-remote")
class WitnessFlagOnlyWhileAvailable(AlteredInterfaceList):
    """INTERFACE_WITNESS is set only on interfaces that are AVAILABLE."""

    @override
    def alter_interface(self, info: InterfaceInfo) -> InterfaceInfo:
        down = info.state != InterfaceState.AVAILABLE
        return replace(info, flags=info.flags & ~InterfaceFlags.WITNESS) if down else info


def units_swapped(address: IPv6Address) -> IPv6Address:
    """Return an IPv6 address with the octets of each 16-bit unit swapped."""
    packed = address.packed
    return IPv6Address(b"".join(packed[at : at + 2][::-1] for at in range(0, 16, 2)))
