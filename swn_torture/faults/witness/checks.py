"""Checks of Register and RegisterEx: missing, too strict, or in the wrong order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.faults.registry import violates, with_options
from swn_torture.server.state.names import same_name
from swn_torture.server.state.registration_checks import RegistrationChecks
from swn_torture.server.state.service import WitnessService
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import ProtocolVersion
from swn_torture.witness.messages import NULL_HANDLE, RegisterExRequest, RegisterRequest

if TYPE_CHECKING:
    from swn_torture.server.config import ClusterConfig
    from swn_torture.server.state.registrations import Owner
    from swn_torture.witness.messages import RegisterExResponse, RegisterResponse

AnyRegister = RegisterRequest | RegisterExRequest


@violates("SWN-3.1.4.2-returns-success")
class LongClientNamesRefused(RegistrationChecks):
    """Register rejects a ClientComputerName of over 128 characters: ERROR_INVALID_PARAMETER (0x57)."""

    @override
    def register(self, request: RegisterRequest) -> Win32:
        if len(request.client_computer_name or "") > 128:
            return Win32.ERROR_INVALID_PARAMETER
        return super().register(request)


# Version


@violates("SWN-3.1.4.2-version-mismatch")
class RegisterTakesVersion2(RegistrationChecks):
    """Register also accepts Version 0x00020000."""

    @override
    def register(self, request: RegisterRequest) -> Win32:
        if request.version == ProtocolVersion.V2:
            request = replace(request, version=ProtocolVersion.V1)
        return super().register(request)


@violates("SWN-3.1.4.5-version-mismatch")
class RegisterExTakesVersion1(RegistrationChecks):
    """RegisterEx also accepts Version 0x00010001."""

    @override
    def register_ex(self, request: RegisterExRequest) -> Win32:
        if request.version == ProtocolVersion.V1:
            request = replace(request, version=ProtocolVersion.V2)
        return super().register_ex(request)


@violates("SWN-3.1.4.2-version-mismatch", "SWN-3.1.4.5-version-mismatch")
class OnlyMajorVersionChecked(RegistrationChecks):
    """Register and RegisterEx check only the upper 16 bits of Version."""

    @override
    def register(self, request: RegisterRequest) -> Win32:
        return super().register(replace(request, version=request.version & ~0xFFFF | 1))

    @override
    def register_ex(self, request: RegisterExRequest) -> Win32:
        return super().register_ex(replace(request, version=request.version & ~0xFFFF))


@violates("SWN-1.7-version-1", "SWN-1.7-version-2")
class VersionsAreOneAndTwo(RegistrationChecks):
    """Register accepts only Version 1, and RegisterEx only Version 2."""

    @override
    def register(self, request: RegisterRequest) -> Win32:
        return super().register(replace(request, version=0x00010001 if request.version == 1 else 0))

    @override
    def register_ex(self, request: RegisterExRequest) -> Win32:
        return super().register_ex(replace(request, version=0x00020000 if request.version == 2 else 0))


@violates("SWN-3.1.4.2-version-first")
class RegisterChecksVersionLast(RegistrationChecks):
    """Register checks Version after all other parameters."""

    @override
    def register(self, request: RegisterRequest) -> Win32:
        return super().register(replace(request, version=ProtocolVersion.V1)) or super().register(request)


@violates("SWN-3.1.4.5-version-first")
class RegisterExChecksVersionLast(RegistrationChecks):
    """RegisterEx checks Version after all other parameters."""

    @override
    def register_ex(self, request: RegisterExRequest) -> Win32:
        return super().register_ex(replace(request, version=ProtocolVersion.V2)) or super().register_ex(
            request
        )


# Strings


@violates("SWN-3.1.4.2-null-netname")
class RegisterTakesNullNetName(RegistrationChecks):
    """Register accepts a NULL NetName."""

    @override
    def register(self, request: RegisterRequest) -> Win32:
        return super().register(replace(request, net_name=request.net_name or self.net_names.name))


@violates("SWN-3.1.4.5-null-netname")
class RegisterExTakesNullNetName(RegistrationChecks):
    """RegisterEx accepts a NULL NetName."""

    @override
    def register_ex(self, request: RegisterExRequest) -> Win32:
        return super().register_ex(replace(request, net_name=request.net_name or self.net_names.name))


@violates("SWN-3.1.4.2-null-ipaddress", "SWN-3.1.4.5-null-ipaddress")
class NullAddressTaken(RegistrationChecks):
    """Register and RegisterEx accept a NULL IpAddress."""

    @override
    def names(self, request: AnyRegister) -> Win32:
        return super().names(replace(request, ip_address=request.ip_address or "0.0.0.0"))

    @override
    def address(self, ip_address: str | None, *, must_exist: bool) -> Win32:
        return super().address(ip_address, must_exist=must_exist and ip_address is not None)


@violates("SWN-3.1.4.2-null-ipaddress", "SWN-3.1.4.5-null-ipaddress")
class NullAddressInvalidState(RegistrationChecks):
    """Registering with a NULL IpAddress returns ERROR_INVALID_STATE (0x139F), as for an unknown one."""

    @override
    def names(self, request: AnyRegister) -> Win32:
        return super().names(request) if request.ip_address is not None else Win32.ERROR_INVALID_STATE


@violates("SWN-3.1.4.2-null-clientname", "SWN-3.1.4.5-null-clientname")
class NullClientNameTaken(RegistrationChecks):
    """Register and RegisterEx accept a NULL ClientComputerName."""

    @override
    def names(self, request: AnyRegister) -> Win32:
        return super().names(replace(request, client_computer_name=request.client_computer_name or "?"))


@violates("SWN-3.1.4.2-netname-mismatch", "SWN-3.1.4.5-netname-mismatch")
class AnyNetNameTaken(RegistrationChecks):
    """The server accepts any NetName."""

    @override
    def is_our_name(self, name: str) -> bool:
        return True


@violates("SWN-3.1.4.2-netname-mismatch", "SWN-3.1.4.5-netname-mismatch")
class NetNamePrefixTaken(RegistrationChecks):
    """The server accepts any NetName that begins with its own name."""

    @override
    def is_our_name(self, name: str) -> bool:
        return name.casefold().startswith(self.net_names.name.casefold())


# Addresses


@violates("SWN-3.1.4.2-sofs-ip-unknown", "SWN-3.1.4.5-sofs-ip-unknown")
def addresses_never_checked(config: ClusterConfig) -> ClusterConfig:
    """Register and RegisterEx accept an IpAddress that no interface has."""
    return with_options(config, address_check="never")


@violates("SWN-3.1.4.2-sofs-ip-unknown")
class RegisterChecksNoAddress(RegistrationChecks):
    """Register accepts an IpAddress that no interface has, even if the server has scale-out shares."""

    @override
    def register(self, request: RegisterRequest) -> Win32:
        verdict = super().register(request)
        return Win32.ERROR_SUCCESS if verdict == Win32.ERROR_INVALID_STATE else verdict


@violates("SWN-3.1.4.2-ip-of-any-node", "SWN-3.1.4.2-sofs-ip-search", "SWN-3.1.4.5-sofs-ip-search")
class OnlyOwnAddresses(WitnessService):
    """The server treats the addresses of other nodes as unknown."""

    @override
    def register(self, owner: Owner, request: RegisterRequest) -> RegisterResponse:
        if self.is_on_other_node(request.ip_address):
            request = replace(request, ip_address="192.0.2.99")
        return super().register(owner, request)

    @override
    def register_ex(self, owner: Owner, request: RegisterExRequest) -> RegisterExResponse:
        if self.is_on_other_node(request.ip_address):
            request = replace(request, ip_address="192.0.2.99")
        return super().register_ex(owner, request)

    def is_on_other_node(self, address: str | None) -> bool:
        interface = self.interfaces.by_address(address or "")
        return interface is not None and not self.is_local(interface)


@violates("SWN-3.1.4.2-ip-format")
class Ipv6AddressRefused(RegistrationChecks):
    """The server treats every IPv6 address as unknown."""

    @override
    def address(self, ip_address: str | None, *, must_exist: bool) -> Win32:
        if must_exist and ":" in (ip_address or ""):
            return Win32.ERROR_INVALID_STATE
        return super().address(ip_address, must_exist=must_exist)


@violates("SWN-3.1.4.2-sofs-ip-search")
class UnavailableAddressRefused(RegistrationChecks):
    """The server treats an address as unknown while its interface is not AVAILABLE."""

    @override
    def address(self, ip_address: str | None, *, must_exist: bool) -> Win32:
        interface = self.interfaces.by_address(ip_address or "")
        if must_exist and interface is not None and interface.state != 1:
            return Win32.ERROR_INVALID_STATE
        return super().address(ip_address, must_exist=must_exist)


@violates("SWN-3.1.4.2-sofs-ip-search", "SWN-3.1.4.5-sofs-ip-search")
class FirstAddressesSearched(RegistrationChecks):
    """Of an interface with both families the server searches only the IPv4 address."""

    @override
    def address(self, ip_address: str | None, *, must_exist: bool) -> Win32:
        interface = self.interfaces.by_address(ip_address or "")
        if must_exist and interface is not None and interface.ipv4 and ":" in (ip_address or ""):
            return Win32.ERROR_INVALID_STATE
        return super().address(ip_address, must_exist=must_exist)


# Shares


@violates("SWN-3.1.4.5-share-unknown", seen_in="Samba 4.22")
def unknown_share_taken(config: ClusterConfig) -> ClusterConfig:
    """RegisterEx accepts any ShareName."""
    return with_options(config, unknown_share="accept")


@violates("SWN-3.1.4.5-no-sofs-ignore-share")
def share_checked_without_sofs(config: ClusterConfig) -> ClusterConfig:
    """RegisterEx rejects an unknown ShareName even if the server has no scale-out share."""
    return with_options(config, unknown_share="refuse")


@violates("SWN-3.1.4.5-null-sharename-ok")
class NullShareRefused(RegistrationChecks):
    """RegisterEx with a NULL ShareName returns ERROR_INVALID_PARAMETER (0x57)."""

    @override
    def share(self, share_name: str | None, ip_address: str | None) -> Win32:
        if share_name is None:
            return Win32.ERROR_INVALID_PARAMETER
        return super().share(share_name, ip_address)


@violates("SWN-3.1.4.5-share-enum-fails")
class EnumerationFailureIgnored(RegistrationChecks):
    """RegisterEx ignores ShareName when the shares cannot be enumerated."""

    @override
    def share(self, share_name: str | None, ip_address: str | None) -> Win32:
        return super().share(None if self.shares.failing else share_name, ip_address)


@violates("SWN-3.1.4.5-share-enum-empty")
class NoSharesIgnored(RegistrationChecks):
    """RegisterEx ignores ShareName when the server has no shares."""

    @override
    def share(self, share_name: str | None, ip_address: str | None) -> Win32:
        empty = not self.shares.failing and not self.visible_shares()
        return super().share(None if empty else share_name, ip_address)


@violates("SWN-3.1.4.5-sofs-ip-unknown")
class AddressNotCheckedForShare(RegistrationChecks):
    """RegisterEx checks that the named share exists, but does not check IpAddress for it."""

    @override
    def share(self, share_name: str | None, ip_address: str | None) -> Win32:
        interface = next((str(a) for i in self.interfaces for a in i.addresses), None)
        return super().share(share_name, interface)


# What else is rejected or accepted


@violates("SWN-3.1.4.2-failure-creates-nothing", "SWN-3.1.4.5-failure-creates-nothing")
class RefusedButRegistered(WitnessService):
    """The server inserts a registration although it rejects the request."""

    @override
    def register(self, owner: Owner, request: RegisterRequest) -> RegisterResponse:
        response = super().register(owner, request)
        if response.context == NULL_HANDLE:
            self.insert(self.new_registration(owner, request))
        return response

    @override
    def register_ex(self, owner: Owner, request: RegisterExRequest) -> RegisterExResponse:
        response = super().register_ex(owner, request)
        if response.context == NULL_HANDLE:
            self.insert(self.new_registration(owner, request))
        return response


@violates("SWN-3.1.4.2-duplicates-allowed")
class DuplicateRefused(WitnessService):
    """Register rejects a client that is already registered for the same address."""

    @override
    def register(self, owner: Owner, request: RegisterRequest) -> RegisterResponse:
        response = super().register(owner, request)
        twins = self.registrations.where(lambda r: self.is_twin(request, r.client_name, r.ip_address))
        if len(twins) > 1:
            self.remove(twins[-1])
            return replace(response, context=NULL_HANDLE, result=Win32.ERROR_ALREADY_EXISTS)
        return response

    def is_twin(self, request: RegisterRequest, client_name: str, address: str) -> bool:
        same_client = same_name(request.client_computer_name or "", client_name, ignore_case=True)
        return same_client and request.ip_address == address


@violates("SWN-3.1.4.2-duplicates-allowed")
class DuplicateReplaces(WitnessService):
    """Register removes an earlier registration of the same client for the same address."""

    @override
    def register(self, owner: Owner, request: RegisterRequest) -> RegisterResponse:
        twins = self.registrations.where(
            lambda r: (r.client_name, r.ip_address) == (request.client_computer_name, request.ip_address)
        )
        for twin in twins:
            self.remove(twin)
        return super().register(owner, request)


@violates("SWN-3.1.4.5-returns-success", near=("SWN-3.1.4.5-keepalive-zero",))
class KeepAliveZeroRefused(RegistrationChecks):
    """RegisterEx with KeepAliveTimeout 0 returns ERROR_INVALID_PARAMETER (0x57)."""

    @override
    def register_ex(self, request: RegisterExRequest) -> Win32:
        return super().register_ex(request) or (
            Win32.ERROR_SUCCESS if request.keep_alive_timeout else Win32.ERROR_INVALID_PARAMETER
        )
