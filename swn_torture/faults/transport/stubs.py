"""Requests: opnums and stub data that the server reads wrongly."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.dcerpc.status import FaultStatus
from swn_torture.faults.registry import violates
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.server.state.service import WitnessService
from swn_torture.stubdata.fields import DecodeError
from swn_torture.stubdata.syntax import NDR64
from swn_torture.witness.codec import decode_request
from swn_torture.witness.constants import Opnum, ProtocolVersion
from swn_torture.witness.messages import RegisterExRequest, RegisterRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.witness.messages import AnyRequest

# Opnums


# The witness client of jcifs numbers its opnums like this.
@violates("SWN-3.1.4-opnum-0")
class OpnumsStartAtRegister(WitnessEndpoint):
    """The opnums lack GetInterfaceList: Register is 0, UnRegister 1, AsyncNotify 2."""

    @override
    def call(self, call: ServerCall) -> None:
        call.opnum += 1
        super().call(call)


@violates("SWN-3.1.4-opnum-0")
class OpnumsFromOne(WitnessEndpoint):
    """Opnums start at 1."""

    @override
    def call(self, call: ServerCall) -> None:
        call.opnum -= 1
        super().call(call)


@violates("SWN-3.1.4-opnum-2")
class UnregisterAndNotifySwapped(WitnessEndpoint):
    """The opnums of UnRegister and AsyncNotify are swapped."""

    @override
    def call(self, call: ServerCall) -> None:
        call.opnum = {2: 3, 3: 2}.get(call.opnum, call.opnum)
        super().call(call)


@violates("SWN-3.1.4-opnum-1")
class RegistersSwapped(WitnessEndpoint):
    """The opnums of Register and RegisterEx are swapped."""

    @override
    def call(self, call: ServerCall) -> None:
        call.opnum = {1: 4, 4: 1}.get(call.opnum, call.opnum)
        super().call(call)


@violates("SWN-3.1.4-opnum-3")
class NotifyMissing(WitnessService):
    """The server has no AsyncNotify."""

    @override
    def supports(self, opnum: int) -> bool:
        return opnum != Opnum.ASYNC_NOTIFY and super().supports(opnum)


@violates("SWN-3.1.4-opnum-4")
class RegisterExMissing(WitnessService):
    """A server of version 2 has no RegisterEx."""

    @override
    def supports(self, opnum: int) -> bool:
        return opnum != Opnum.REGISTER_EX and super().supports(opnum)


@violates("SWN-3.1.4-registerex-v2-only")
class RegisterExOnVersion1(WitnessService):
    """A server of version 1 has RegisterEx."""

    @override
    def supports(self, opnum: int) -> bool:
        return opnum == Opnum.REGISTER_EX or super().supports(opnum)


@violates("SWN-V14-3.1.4.6-v2-only")
class UnregisterExOnVersion1(WitnessService):
    """A server of version 1 has UnRegisterEx."""

    @override
    def supports(self, opnum: int) -> bool:
        return opnum == Opnum.UNREGISTER_EX or super().supports(opnum)


@violates("SWN-V14-3.1.4.6-opnum-5")
class UnregisterExIsUnregister(WitnessEndpoint):
    """Opnum 5 is answered as UnRegister, without a handle."""

    @override
    def call(self, call: ServerCall) -> None:
        if call.opnum == Opnum.UNREGISTER_EX:
            call.opnum = Opnum.UNREGISTER
        super().call(call)


@violates("RPC-OPNUM-unknown")
class UnknownOpnumIsBadStub(WitnessEndpoint):
    """The server answers an unknown opnum with the fault RPC_X_BAD_STUB_DATA (0x6F7)."""

    @override
    def call(self, call: ServerCall) -> None:
        if self.service.supports(call.opnum):
            super().call(call)
        else:
            call.fault(FaultStatus.RPC_X_BAD_STUB_DATA)


@violates("RPC-OPNUM-unknown")
class UnknownOpnumReturns(WitnessEndpoint):
    """An unknown opnum returns ERROR_CALL_NOT_IMPLEMENTED (0x78) instead of a fault."""

    @override
    def call(self, call: ServerCall) -> None:
        if self.service.supports(call.opnum):
            super().call(call)
        else:
            call.reply((0x78).to_bytes(4, "little"))


@violates("RPC-OPNUM-unknown")
class OpnumsModulo256(WitnessEndpoint):
    """The server reads only the low octet of the opnum."""

    @override
    def call(self, call: ServerCall) -> None:
        call.opnum &= 0xFF
        super().call(call)


# Stub data


@violates("RPC-STUB-truncated", "RPC-STUB-empty-for-params")
class ShortStubsFilledUp(WitnessEndpoint):
    """The server reads missing stub data as zeros."""

    @override
    def decode(self, call: ServerCall) -> AnyRequest:
        call.stub += bytes(256)
        return super().decode(call)


@violates("RPC-STUB-empty-for-params")
class EmptyStubIsNull(WitnessEndpoint):
    """The server reads an empty stub as null parameters."""

    @override
    def decode(self, call: ServerCall) -> AnyRequest:
        call.stub = call.stub or bytes(64)
        return super().decode(call)


@violates("RPC-STUB-truncated")
class ShortStubReturnsInvalidParameter(WitnessEndpoint):
    """The server processes a truncated Register stub with NULL parameters instead of sending a fault."""

    @override
    def decode(self, call: ServerCall) -> AnyRequest:
        try:
            return super().decode(call)
        except DecodeError:
            if call.opnum != Opnum.REGISTER:
                raise
            return RegisterRequest(ProtocolVersion.V1, None, None, None)


@violates("RPC-STUB-extra-bytes")
class SurplusOctetsRefused(WitnessEndpoint):
    """The server rejects a stub with octets after the last parameter."""

    @override
    def decode(self, call: ServerCall) -> AnyRequest:
        return decode_request(call.opnum, call.stub, call.syntax, byte_order=call.byte_order)


@violates("RPC-NDR-drep")
class RequestsReadLittleEndian(WitnessEndpoint):
    """The server reads stubs as little-endian, whatever the data representation says."""

    @override
    def decode(self, call: ServerCall) -> AnyRequest:
        return decode_request(call.opnum, call.stub, call.syntax, allow_trailing=True)


@violates("RPC-STUB-null-unique", "SWN-6-idl-unique-strings")
class NullPointersRefused(WitnessEndpoint):
    """The server rejects a stub with a null pointer to a string, as if the strings were [ref]."""

    @override
    def decode(self, call: ServerCall) -> AnyRequest:
        request = super().decode(call)
        if isinstance(request, RegisterRequest | RegisterExRequest) and None in (
            request.net_name,
            request.ip_address,
            request.client_computer_name,
        ):
            raise DecodeError("NetName.referent", 0, "a null pointer")
        return request


@violates("RPC-STUB-string-bounds")
class StringBoundsNotChecked(WitnessEndpoint):
    """The server reads a string with contradictory counts as an empty string."""

    @override
    def decode(self, call: ServerCall) -> AnyRequest:
        try:
            return super().decode(call)
        except DecodeError as problem:
            if not problem.field.endswith(("actual_count", "offset")):
                raise
            if call.opnum == Opnum.REGISTER:
                return RegisterRequest(ProtocolVersion.V1, "", "", "")
            return RegisterExRequest(ProtocolVersion.V2, "", None, "", "", 0, 120)


def string_counts(call: ServerCall, request: AnyRequest) -> Iterator[tuple[int, int, int, int]]:
    """For each string of a registration, the four words before it: referent, max_count, offset, actual_count.

    Use the referent in NDR64 only.
    """
    if not isinstance(request, RegisterRequest | RegisterExRequest):
        return
    size = 8 if call.syntax == NDR64 else 4
    share = request.share_name if isinstance(request, RegisterExRequest) else None
    end = 0
    # In their order in the stub, since one string can be the end of another.
    for text in filter(None, (request.net_name, share, request.ip_address, request.client_computer_name)):
        units = f"{text}\0".encode(
            "utf-16-le" if call.byte_order == "little" else "utf-16-be", "surrogatepass"
        )
        begin = call.stub.find(units, end)
        end = begin + len(units)
        words = call.stub[:begin][-4 * size :]
        referent, max_count, offset, actual_count = (
            int.from_bytes(words[at : at + size], call.byte_order) for at in range(0, 4 * size, size)
        )
        yield referent, max_count, offset, actual_count


@violates("RPC-STUB-string-bounds")
class LargeMaxCountRefused(WitnessEndpoint):
    """The server rejects a string with a max_count that differs from its actual_count."""

    @override
    def decode(self, call: ServerCall) -> AnyRequest:
        request = super().decode(call)
        if any(max_count != actual_count for _, max_count, _, actual_count in string_counts(call, request)):
            raise DecodeError("NetName.max_count", 0, "more than actual_count")
        return request


@violates("SWN-6-idl-unique-strings", seen_in="Samba 4.22")
class ReferentsOf32Bits(WitnessEndpoint):
    """The server rejects an NDR64 referent that does not fit into 32 bits."""

    @override
    def decode(self, call: ServerCall) -> AnyRequest:
        request = super().decode(call)
        if call.syntax == NDR64 and any(words[0] >> 32 for words in string_counts(call, request)):
            raise DecodeError("NetName.referent", 0, "the upper 32 bits are not 0")
        return request


@violates("SWN-6-idl-keepalive-dword")
class KeepAliveOfSixteenBits(WitnessEndpoint):
    """The server reads only the low 16 bits of KeepAliveTimeout."""

    @override
    def decode(self, call: ServerCall) -> AnyRequest:
        request = super().decode(call)
        if isinstance(request, RegisterExRequest):
            return replace(request, keep_alive_timeout=request.keep_alive_timeout & 0xFFFF)
        return request


@violates("SWN-3.1.4.1-returns-success")
class ListNeedsBindingHandle(WitnessEndpoint):
    """GetInterfaceList rejects a stub without four octets for its binding handle."""

    @override
    def decode(self, call: ServerCall) -> AnyRequest:
        if call.opnum == Opnum.GET_INTERFACE_LIST and len(call.stub) < 4:
            raise DecodeError("Handle", 0, "needs 4 octets")
        return super().decode(call)
