"""Stub data: fields of NDR that are wrong, missing, or too many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.faults.registry import violates
from swn_torture.faults.witness.answers import Stubs
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.witness.codec import encode
from swn_torture.witness.messages import (
    AsyncNotifyResponse,
    GetInterfaceListResponse,
    RegisterExResponse,
    RegisterResponse,
)

if TYPE_CHECKING:
    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.stubdata.fields import Wrong
    from swn_torture.witness.messages import AnyResponse

GROUP_NAME = "InterfaceInfo[{}].InterfaceGroupName"


class ListStubs(Stubs):
    """A server that writes the stub of GetInterfaceList wrongly."""

    @override
    def wrong(self, response: AnyResponse) -> Wrong | None:
        """What to write instead."""
        if isinstance(response, GetInterfaceListResponse) and response.interfaces:
            return self.wrong_list(response)
        return None

    def wrong_list(self, response: GetInterfaceListResponse) -> Wrong:
        """What to write instead in a list that has interfaces."""
        raise NotImplementedError


class NotifyStubs(Stubs):
    """A server that writes the stub of a notification wrongly."""

    @override
    def wrong(self, response: AnyResponse) -> Wrong | None:
        """What to write instead."""
        notified = response.response if isinstance(response, AsyncNotifyResponse) else None
        return self.wrong_notification(len(notified.message_buffer or b"")) if notified else None

    def wrong_notification(self, length: int) -> Wrong:
        """What to write instead where the buffer has `length` octets."""
        raise NotImplementedError


class HandleStubs(Stubs):
    """A server that writes the handles of Register and RegisterEx wrongly."""

    @override
    def wrong(self, response: AnyResponse) -> Wrong | None:
        """What to write instead."""
        made = isinstance(response, RegisterResponse | RegisterExResponse) and not response.result
        return self.wrong_handle(response.context.pack()) if made else None  # type: ignore[union-attr]

    def wrong_handle(self, handle: bytes) -> Wrong:
        """What to write instead of these octets."""
        raise NotImplementedError


# GetInterfaceList


@violates("SWN-2.2.2.6-count", "SWN-3.1.4.1-count")
class InterfaceCountOneMore(ListStubs):
    """NumberOfInterfaces counts one more than the array has."""

    @override
    def wrong_list(self, response: GetInterfaceListResponse) -> Wrong:
        return {"NumberOfInterfaces": len(response.interfaces) + 1}


@violates("SWN-2.2.2.6-count", "SWN-3.1.4.1-count")
class InterfaceCountZero(ListStubs):
    """NumberOfInterfaces is 0."""

    @override
    def wrong_list(self, response: GetInterfaceListResponse) -> Wrong:
        return {"NumberOfInterfaces": 0}


@violates("SWN-2.2.2.6-array")
class InterfaceArrayNull(WitnessEndpoint):
    """The pointer to the interfaces is null, and the array follows it nevertheless."""

    @override
    def encode(self, call: ServerCall, response: AnyResponse) -> bytes:
        stub = super().encode(call, response)
        wide = 8 if call.syntax == NDR64 else 4
        if not isinstance(response, GetInterfaceListResponse) or not response.interfaces:
            return stub
        return stub[: 2 * wide] + bytes(wide) + stub[3 * wide :]


@violates("SWN-2.2.2.5-groupname-terminated")
class GroupNameUnterminated(ListStubs):
    """InterfaceGroupName fills its whole array, without a terminator."""

    @override
    def wrong_list(self, response: GetInterfaceListResponse) -> Wrong:
        names = enumerate(response.interfaces)
        return {GROUP_NAME.format(n): i.group_name.ljust(260, "_") for n, i in names}


@violates("SWN-2.2.2.5-groupname-fixed-260", "RPC-NDR-fixed-array")
class GroupNameOf256(ListStubs):
    """InterfaceGroupName is an array of 256 WCHARs."""

    @override
    def wrong_list(self, response: GetInterfaceListResponse) -> Wrong:
        names = enumerate(response.interfaces)
        return {GROUP_NAME.format(n): i.group_name.encode("utf-16-le").ljust(512, b"\0") for n, i in names}


@violates("SWN-2.2.2-others-ndr")
class GroupNameConformant(ListStubs):
    """InterfaceGroupName is written as a conformant varying string."""

    @override
    def wrong_list(self, response: GetInterfaceListResponse) -> Wrong:
        wrong: dict[str, bytes] = {}
        for n, interface in enumerate(response.interfaces):
            name = interface.group_name + "\0"
            counts = b"".join(count.to_bytes(4, "little") for count in (len(name), 0, len(name)))
            wrong[GROUP_NAME.format(n)] = counts + name.encode("utf-16-le")
        return wrong


@violates("SWN-2.2.2.5-ipv4-if-flag")
class StateNotPadded(ListStubs):
    """The USHORT State is not followed by padding."""

    @override
    def wrong_list(self, response: GetInterfaceListResponse) -> Wrong:
        return {f"InterfaceInfo[{n}].IPV4.padding": b"" for n in range(len(response.interfaces))}


@violates("SWN-2.2-dtyp-types")
class StateOfFourOctets(ListStubs):
    """State is written as a ULONG, with padding behind it as before."""

    @override
    def wrong_list(self, response: GetInterfaceListResponse) -> Wrong:
        infos = enumerate(response.interfaces)
        return {f"InterfaceInfo[{n}].State": i.state.to_bytes(4, "little") + bytes(2) for n, i in infos}


# All responses


@violates("RPC-XFER-ndr64-layout")
class Ndr64WrittenAsNdr32(WitnessEndpoint):
    """NDR64 is agreed on, and NDR written."""

    @override
    def encode(self, call: ServerCall, response: AnyResponse) -> bytes:
        return encode(response, NDR32)


@violates("RPC-NDR-referent-unique")
class ReferentsZero(NotifyStubs):
    """The pointer to MessageBuffer is null, and the buffer follows it nevertheless."""

    @override
    def wrong_notification(self, length: int) -> Wrong:
        return {"MessageBuffer.referent": 0}


@violates("SWN-3.1.4.1-returns-success")
class ReturnValueMissing(WitnessEndpoint):
    """The stub of a response ends before the return value."""

    @override
    def encode(self, call: ServerCall, response: AnyResponse) -> bytes:
        return super().encode(call, response)[:-4]


# Register and RegisterEx


@violates("SWN-2.2.1.2-ref-pointer", "SWN-2.2.1-handle-20-bytes")
class HandleBehindReferent(HandleStubs):
    """A referent stands in front of the handle."""

    @override
    def wrong_handle(self, handle: bytes) -> Wrong:
        return {"ppContext.attributes": (0x00020000).to_bytes(4, "little") + handle[:4]}


@violates("SWN-2.2.1-handle-20-bytes")
class HandleWithoutAttributes(HandleStubs):
    """A handle is the 16 octets of its UUID."""

    @override
    def wrong_handle(self, handle: bytes) -> Wrong:
        return {"ppContext.attributes": b""}


@violates("SWN-2.2.1-handle-20-bytes")
class RefusalsWithoutHandle(WitnessEndpoint):
    """The reply to a registration that is refused is the code alone."""

    @override
    def encode(self, call: ServerCall, response: AnyResponse) -> bytes:
        refused = isinstance(response, RegisterResponse | RegisterExResponse) and response.result
        return super().encode(call, response)[-4:] if refused else super().encode(call, response)


# AsyncNotify


@violates("SWN-2.2.2.4-count", "SWN-2.2.2.4-length")
class NotificationFieldsSwapped(NotifyStubs):
    """Length and NumberOfMessages have changed places."""

    @override
    def wrong_notification(self, length: int) -> Wrong:
        return {"Length": 1, "NumberOfMessages": length}


@violates(
    "SWN-2.2.2.4-length",
    "SWN-3.1.4.4-change-total-length",
    "SWN-3.1.4.4-move-total-length",
    "SWN-3.1.4.4-share-total-length",
    "SWN-3.1.4.4-ip-total-length",
)
class NotificationLengthOneMore(NotifyStubs):
    """Length of a notification is one more than its buffer has."""

    @override
    def wrong_notification(self, length: int) -> Wrong:
        return {"Length": length + 1}


@violates("SWN-2.2.2.4-layout")
class BufferNotConformant(NotifyStubs):
    """The buffer has no maximum count in front of it."""

    @override
    def wrong_notification(self, length: int) -> Wrong:
        return {"MessageBuffer.max_count": b""}


@violates("RPC-NDR-return-align")
class ReturnValueUnaligned(NotifyStubs):
    """The return value follows the buffer without a gap."""

    @override
    def wrong_notification(self, length: int) -> Wrong:
        return {"ReturnValue.padding": b""} if length % 4 else {}
