"""Response stubs: NDR fields that are wrong, missing, or superfluous."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.faults.registry import violates
from swn_torture.faults.witness.altered_responses import AlteredStubs
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


class AlteredListStubs(AlteredStubs):
    """A server that writes the stub of GetInterfaceList wrongly."""

    @override
    def wrong_fields(self, response: AnyResponse) -> Wrong | None:
        """Return what to write instead, by field name; None for no change."""
        if isinstance(response, GetInterfaceListResponse) and response.interfaces:
            return self.wrong_list_fields(response)
        return None

    def wrong_list_fields(self, response: GetInterfaceListResponse) -> Wrong:
        """Return what to write instead in a list that has interfaces."""
        raise NotImplementedError


class AlteredNotificationStubs(AlteredStubs):
    """A server that writes the stub of a notification wrongly."""

    @override
    def wrong_fields(self, response: AnyResponse) -> Wrong | None:
        """Return what to write instead, by field name; None for no change."""
        notification = response.response if isinstance(response, AsyncNotifyResponse) else None
        return (
            self.wrong_notification_fields(len(notification.message_buffer or b"")) if notification else None
        )

    def wrong_notification_fields(self, length: int) -> Wrong:
        """Return what to write instead where MessageBuffer has `length` octets."""
        raise NotImplementedError


class AlteredHandleStubs(AlteredStubs):
    """A server that writes the handles of Register and RegisterEx wrongly."""

    @override
    def wrong_fields(self, response: AnyResponse) -> Wrong | None:
        """Return what to write instead, by field name; None for no change."""
        made = isinstance(response, RegisterResponse | RegisterExResponse) and not response.result
        return self.wrong_handle_fields(response.context.pack()) if made else None  # type: ignore[union-attr]

    def wrong_handle_fields(self, handle: bytes) -> Wrong:
        """Return what to write instead of the octets of a handle."""
        raise NotImplementedError


# GetInterfaceList


@violates("SWN-2.2.2.6-count", "SWN-3.1.4.1-count")
class InterfaceCountOneMore(AlteredListStubs):
    """NumberOfInterfaces is one more than the array has."""

    @override
    def wrong_list_fields(self, response: GetInterfaceListResponse) -> Wrong:
        return {"NumberOfInterfaces": len(response.interfaces) + 1}


@violates("SWN-2.2.2.6-count", "SWN-3.1.4.1-count")
class InterfaceCountZero(AlteredListStubs):
    """NumberOfInterfaces is 0."""

    @override
    def wrong_list_fields(self, response: GetInterfaceListResponse) -> Wrong:
        return {"NumberOfInterfaces": 0}


@violates("SWN-2.2.2.6-array")
class InterfaceArrayNull(WitnessEndpoint):
    """The pointer to the InterfaceInfo array is null, although the array follows."""

    @override
    def encode(self, call: ServerCall, response: AnyResponse) -> bytes:
        stub = super().encode(call, response)
        wide = 8 if call.syntax == NDR64 else 4
        if not isinstance(response, GetInterfaceListResponse) or not response.interfaces:
            return stub
        return stub[: 2 * wide] + bytes(wide) + stub[3 * wide :]


@violates("SWN-2.2.2.5-groupname-terminated")
class GroupNameUnterminated(AlteredListStubs):
    """InterfaceGroupName fills its whole array, without a terminator."""

    @override
    def wrong_list_fields(self, response: GetInterfaceListResponse) -> Wrong:
        names = enumerate(response.interfaces)
        return {GROUP_NAME.format(n): i.group_name.ljust(260, "_") for n, i in names}


@violates("SWN-2.2.2.5-groupname-fixed-260", "RPC-NDR-fixed-array")
class GroupNameOf256(AlteredListStubs):
    """InterfaceGroupName is an array of 256 WCHARs."""

    @override
    def wrong_list_fields(self, response: GetInterfaceListResponse) -> Wrong:
        names = enumerate(response.interfaces)
        return {GROUP_NAME.format(n): i.group_name.encode("utf-16-le").ljust(512, b"\0") for n, i in names}


@violates("SWN-2.2.2-others-ndr")
class GroupNameConformant(AlteredListStubs):
    """InterfaceGroupName is written as a conformant varying string."""

    @override
    def wrong_list_fields(self, response: GetInterfaceListResponse) -> Wrong:
        wrong: dict[str, bytes] = {}
        for n, interface in enumerate(response.interfaces):
            name = interface.group_name + "\0"
            counts = b"".join(count.to_bytes(4, "little") for count in (len(name), 0, len(name)))
            wrong[GROUP_NAME.format(n)] = counts + name.encode("utf-16-le")
        return wrong


@violates("SWN-2.2.2.5-groupname-fixed-260", "RPC-NDR-fixed-array", near=("SWN-3.1.6.1-new-name",))
class GroupNameWithCount(AlteredListStubs):
    """The number of WCHARs precedes the name in InterfaceGroupName, as in a varying array."""

    @override
    def wrong_list_fields(self, response: GetInterfaceListResponse) -> Wrong:
        count = (260).to_bytes(4, "little")
        return {
            GROUP_NAME.format(n): count + i.group_name.encode("utf-16-le").ljust(516, b"\0")
            for n, i in enumerate(response.interfaces)
        }


@violates("SWN-2.2.2.5-ipv4-if-flag")
class StateNotPadded(AlteredListStubs):
    """No padding follows the USHORT State."""

    @override
    def wrong_list_fields(self, response: GetInterfaceListResponse) -> Wrong:
        return {f"InterfaceInfo[{n}].IPV4.padding": b"" for n in range(len(response.interfaces))}


@violates("SWN-2.2-dtyp-types")
class StateOfFourOctets(AlteredListStubs):
    """State is written as a ULONG, followed by the padding of a USHORT."""

    @override
    def wrong_list_fields(self, response: GetInterfaceListResponse) -> Wrong:
        infos = enumerate(response.interfaces)
        return {f"InterfaceInfo[{n}].State": i.state.to_bytes(4, "little") + bytes(2) for n, i in infos}


# All responses


@violates("RPC-XFER-ndr64-layout")
class Ndr64WrittenAsNdr32(WitnessEndpoint):
    """On an NDR64 context the server writes its responses in NDR."""

    @override
    def encode(self, call: ServerCall, response: AnyResponse) -> bytes:
        return encode(response, NDR32)


@violates("RPC-NDR-referent-unique")
class ReferentsZero(AlteredNotificationStubs):
    """The pointer to MessageBuffer is null, although the buffer follows."""

    @override
    def wrong_notification_fields(self, length: int) -> Wrong:
        return {"MessageBuffer.referent": 0}


@violates("SWN-1.8-win32-codes")
class ReturnValueMissing(WitnessEndpoint):
    """The stub of a response ends before the return value."""

    @override
    def encode(self, call: ServerCall, response: AnyResponse) -> bytes:
        return super().encode(call, response)[:-4]


# Register and RegisterEx


@violates("SWN-2.2.1.2-ref-pointer", "SWN-2.2.1-handle-20-bytes")
class HandleBehindReferent(AlteredHandleStubs):
    """A referent precedes the context handle."""

    @override
    def wrong_handle_fields(self, handle: bytes) -> Wrong:
        return {"ppContext.attributes": (0x00020000).to_bytes(4, "little") + handle[:4]}


@violates("SWN-2.2.1-handle-20-bytes")
class HandleWithoutAttributes(AlteredHandleStubs):
    """A context handle is written as the 16 octets of its UUID, without attributes."""

    @override
    def wrong_handle_fields(self, handle: bytes) -> Wrong:
        return {"ppContext.attributes": b""}


@violates("SWN-2.2.1-handle-20-bytes")
class RefusalsWithoutHandle(WitnessEndpoint):
    """The response to a rejected registration holds only the return value."""

    @override
    def encode(self, call: ServerCall, response: AnyResponse) -> bytes:
        refused = isinstance(response, RegisterResponse | RegisterExResponse) and response.result
        return super().encode(call, response)[-4:] if refused else super().encode(call, response)


# AsyncNotify


@violates("SWN-2.2.2.4-count", "SWN-2.2.2.4-length")
class NotificationFieldsSwapped(AlteredNotificationStubs):
    """Length and NumberOfMessages of a notification are swapped."""

    @override
    def wrong_notification_fields(self, length: int) -> Wrong:
        return {"Length": 1, "NumberOfMessages": length}


@violates(
    "SWN-2.2.2.4-length",
    "SWN-3.1.4.4-change-total-length",
    "SWN-3.1.4.4-move-total-length",
    "SWN-3.1.4.4-share-total-length",
    "SWN-3.1.4.4-ip-total-length",
)
class NotificationLengthOneMore(AlteredNotificationStubs):
    """Length of a notification is one more than its buffer has."""

    @override
    def wrong_notification_fields(self, length: int) -> Wrong:
        return {"Length": length + 1}


@violates("SWN-2.2.2.4-layout")
class BufferNotConformant(AlteredNotificationStubs):
    """No maximum count precedes MessageBuffer."""

    @override
    def wrong_notification_fields(self, length: int) -> Wrong:
        return {"MessageBuffer.max_count": b""}


@violates("RPC-NDR-return-align")
class ReturnValueUnaligned(AlteredNotificationStubs):
    """The return value follows MessageBuffer without alignment padding."""

    @override
    def wrong_notification_fields(self, length: int) -> Wrong:
        return {"ReturnValue.padding": b""} if length % 4 else {}
