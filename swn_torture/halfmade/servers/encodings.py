"""Responses whose stub data are wrong in one field: a pointer, a count, a terminator, or padding."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from typing_extensions import override

from swn_torture.halfmade.registry import HalfMade
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.stubdata.fields import EncodeError
from swn_torture.witness.codec import encode
from swn_torture.witness.messages import (
    AsyncNotifyResponse,
    GetInterfaceListResponse,
    RegisterExRequest,
    RegisterExResponse,
    RegisterRequest,
    RegisterResponse,
    UnRegisterResponse,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.witness.messages import AnyRequest, AnyResponse


def _writes(kind: type | tuple[type, ...], wrong: Mapping[str, int | bytes]) -> type[WitnessEndpoint]:
    """The endpoint that writes these fields of a response wrongly; responses without them are correct."""

    class WritesWrongly(WitnessEndpoint):
        """Writes a field wrongly."""

        @override
        def encode(self, call: ServerCall, response: AnyResponse) -> bytes:
            if isinstance(response, kind):
                try:
                    return encode(response, call.syntax, byte_order="little", wrong=wrong)
                except EncodeError:
                    pass  # an error response has no such field
            return super().encode(call, response)

    return WritesWrongly


class _ReadsNoStrings(WitnessEndpoint):
    """Reads every string as empty."""

    @override
    def decode(self, call: ServerCall) -> AnyRequest:
        request = super().decode(call)
        if isinstance(request, RegisterRequest | RegisterExRequest):
            return dataclasses.replace(request, net_name="", ip_address="", client_computer_name="")
        return request


_LIST = GetInterfaceListResponse
_HANDLES = (RegisterResponse, RegisterExResponse)

#: Why there are more findings than defects.
_WHY = {
    "list-null-pointer": "the pointer is null in a success, and octets follow that belong to nothing",
    "handle-null": "Register and RegisterEx both return it",
}

_WRONG_RESPONSES = tuple(
    HalfMade(
        name=name,
        if_=if_,
        parts=(_writes(kind, wrong),),
        events=kind is AsyncNotifyResponse,
        why=_WHY.get(name, ""),
    )
    for name, if_, kind, wrong in (
        ("list-null-pointer", "the pointer InterfaceList is null", _LIST, {"InterfaceList.referent": 0}),
        ("list-no-pointer", "the pointer InterfaceList is left out", _LIST, {"InterfaceList.referent": b""}),
        ("list-count", "NumberOfInterfaces is 1 too large", _LIST, {"NumberOfInterfaces": 4}),
        (
            "list-no-max-count",
            "max_count of InterfaceInfo is left out",
            _LIST,
            {"InterfaceInfo.max_count": b""},
        ),
        (
            "list-no-padding",
            "the two octets after State are left out",
            _LIST,
            {f"InterfaceInfo[{number}].IPV4.padding": b"" for number in range(3)},
        ),
        (
            "list-no-terminator",
            "InterfaceGroupName has no terminator",
            _LIST,
            {
                f"InterfaceInfo[{number}].InterfaceGroupName": "N".encode("utf-16-le") * 260
                for number in range(3)
            },
        ),
        (
            "handle-too-short",
            "the handle of a registration has 16 octets",
            _HANDLES,
            {"ppContext.attributes": b""},
        ),
        ("handle-null", "the handle of a registration is null", _HANDLES, {"ppContext.uuid": bytes(16)}),
        (
            "unregister-no-return-value",
            "the response of UnRegister has no return value",
            UnRegisterResponse,
            {"ReturnValue": b""},
        ),
        (
            "notify-no-pointer",
            "the pointer pResp of a notification is left out",
            AsyncNotifyResponse,
            {"pResp.referent": b""},
        ),
        ("notify-length", "Length of a notification is 0", AsyncNotifyResponse, {"Length": 0}),
        (
            "notify-count",
            "NumberOfMessages of a notification is 0",
            AsyncNotifyResponse,
            {"NumberOfMessages": 0},
        ),
        (
            "notify-no-max-count",
            "max_count of MessageBuffer is left out",
            AsyncNotifyResponse,
            {"MessageBuffer.max_count": b""},
        ),
    )
)

SERVERS = (
    *_WRONG_RESPONSES,
    HalfMade(
        name="reads-no-strings",
        if_="the server reads every string of a request as empty",
        parts=(_ReadsNoStrings,),
    ),
)
