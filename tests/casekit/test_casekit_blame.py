"""An error of an exchange is a finding about the octets, the bind or the event, not about the case."""

from __future__ import annotations

import dataclasses
from ipaddress import IPv4Address
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from swn_torture.casekit import blame
from swn_torture.casekit.blame import (
    Blame,
    blame_of,
    blame_of_bind,
    concerns,
    missing_notification,
)
from swn_torture.dcerpc.client.events import Answered
from swn_torture.dcerpc.errors import (
    AuthenticationError,
    BadSignature,
    BindRefused,
    ConnectionLost,
    ContextRefused,
    DeadlineExceeded,
    Fault,
    RemoteProtocolError,
)
from swn_torture.dcerpc.pdu.header import LITTLE_ENDIAN, PduType, PfcFlags, SecTrailer
from swn_torture.dcerpc.pdu.pdus import Response
from swn_torture.spec import load_catalogue
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.witness.client import MalformedResponse
from swn_torture.witness.codec import DecodeError, decode_response, encode
from swn_torture.witness.constants import Opnum
from swn_torture.witness.messages import (
    NULL_HANDLE,
    AsyncNotifyResponse,
    GetInterfaceListResponse,
    InterfaceList,
    RegisterResponse,
    RespAsyncNotify,
    UnRegisterResponse,
)
from swn_torture.witness.notifications import encode_buffer
from tests.casekit.samples import CHANGES, interface

if TYPE_CHECKING:
    from collections.abc import Iterator

    from swn_torture.stubdata.fields import ByteOrder
    from swn_torture.stubdata.syntax import SyntaxId
    from swn_torture.witness.messages import AnyResponse

LISTED = GetInterfaceListResponse(InterfaceList((interface(IPv4Address("192.0.2.5")),)), 0)
REGISTERED = RegisterResponse(NULL_HANDLE, 0)


def requirement_of(error: Exception) -> str:
    found = blame_of(error)
    return found.requirement if found else ""


def every_blame() -> Iterator[Blame]:
    for value in vars(blame).values():
        for each in [value, *(value.values() if isinstance(value, dict) else ())]:
            if isinstance(each, Blame):
                yield each
        if isinstance(value, tuple):
            yield from (
                part for row in value if isinstance(row, tuple) for part in row if isinstance(part, Blame)
            )


def test_every_blamed_requirement_can_be_violated_by_a_server() -> None:
    rows = load_catalogue().requirements
    found = {each.requirement for each in every_blame()}
    assert len(found) > 15
    assert not [name for name in found if not rows[name].judged or rows[name].role == "client"]
    # A server need not have an endpoint mapper, nor NDR 2.0. Anything else that it gets wrong is a violation.
    assert {name for name in found if not rows[name].binding} == {"RPC-EPM-lookup", "RPC-XFER-ndr20"}


@pytest.mark.parametrize(
    ("field", "requirement"),
    [
        ("sec_trailer.auth_pad_length", "RPC-AUTH-padding"),
        ("sec_trailer", "RPC-AUTH-bind-levels"),
        ("sec_trailer.auth_context_id", "RPC-AUTH-bind-levels"),
        ("auth_length", "RPC-AUTH-bind-levels"),
        ("call_id", "RPC-CALLID-echo"),
        ("pfc_flags", "RPC-FRAG-response"),
        ("frag_length", "RPC-FRAG-response"),
        ("response", "RPC-FRAG-response"),
        (None, "RPC-FRAG-response"),
        ("p_result_list[0].transfer_syntax", "RPC-BIND-result-order"),
        ("sec_addr", "RPC-BIND-result-order"),
        ("rpc_vers", "RPC-PDU-version"),
        ("ptype", "RPC-PDU-ptype"),
        ("drep", "RPC-PDU-drep"),
        ("fault", "RPC-FAULT-or-close"),
        ("tower.floors[3].rhs", "RPC-EPM-lookup"),
        ("num_towers", "RPC-EPM-lookup"),
    ],
)
def test_a_pdu_that_cannot_be_read_violates_its_own_rule(field: str | None, requirement: str) -> None:
    assert requirement_of(RemoteProtocolError("wrong", field=field)) == requirement


@pytest.mark.parametrize("ptype", [PduType.BIND_ACK, PduType.BIND_NAK, PduType.ALTER_CONTEXT_RESP])
@pytest.mark.parametrize(
    ("field", "requirement"),
    [
        ("call_id", "RPC-CALLID-bind"),
        ("auth_length", "RPC-AUTH-ack-trailer"),
        ("sec_addr", "RPC-BIND-result-order"),
    ],
)
def test_an_answer_to_a_bind_violates_the_rule_on_such_answers(
    ptype: PduType, field: str, requirement: str
) -> None:
    octets = bytes((5, 0, ptype, PfcFlags.FIRST | PfcFlags.LAST))

    assert requirement_of(RemoteProtocolError("wrong", field=field, octets=octets)) == requirement


def test_a_fragment_without_a_verifier_is_not_the_whole_response() -> None:
    first, next_one = (bytes((5, 0, 2, flags)) for flags in (PfcFlags.FIRST, PfcFlags.NONE))
    missing = {
        octets: RemoteProtocolError("no verifier", field="auth_length", octets=octets)
        for octets in (first, next_one)
    }
    assert requirement_of(missing[first]) == "RPC-AUTH-bind-levels"
    assert requirement_of(missing[next_one]) == "RPC-FRAG-response-each-protected"


def test_a_wrong_signature_violates_the_protection() -> None:
    assert requirement_of(BadSignature("wrong")) == "RPC-AUTH-bind-levels"


@pytest.mark.parametrize("error", [Fault(5), ConnectionLost(), DeadlineExceeded("late"), BindRefused(0)])
def test_an_error_that_depends_on_the_call_is_not_blamed(error: Exception) -> None:
    assert blame_of(error) is None


def malformed(
    stub: bytes,
    opnum: Opnum,
    syntax: SyntaxId = NDR32,
    *,
    pad_length: int | None = None,
    padding: bytes = b"",
    alloc_hint: int | None = None,
    byte_order: ByteOrder = "little",
) -> MalformedResponse:
    """The error for a response with this stub data; ``pad_length`` for one with a sec_trailer."""
    trailer = None if pad_length is None else SecTrailer(9, 5, pad_length, 0, 1)
    pdu = Response(call_id=1, stub=stub, padding=padding, trailer=trailer, alloc_hint=alloc_hint)
    pdu = dataclasses.replace(pdu, drep=LITTLE_ENDIAN if byte_order == "little" else bytes(4))
    call = SimpleNamespace(
        call=SimpleNamespace(response_meta=Answered(1, stub, (pdu,))),
        request=SimpleNamespace(opnum=opnum),
        syntax=syntax,
    )
    with pytest.raises(DecodeError) as caught:
        decode_response(opnum, stub, syntax, byte_order=byte_order)
    return MalformedResponse(caught.value, cast("Any", call))


STUBS: list[tuple[str, AnyResponse, dict[str, int | bytes | str], Opnum, str]] = [
    ("count", LISTED, {"NumberOfInterfaces": 2}, Opnum.GET_INTERFACE_LIST, "SWN-2.2.2.6-count"),
    ("null", LISTED, {"InterfaceInfo.referent": 0}, Opnum.GET_INTERFACE_LIST, "SWN-2.2.2.6-array"),
    (
        "short-elements",
        LISTED,
        {"InterfaceInfo[0].InterfaceGroupName": b"x" * 512},
        Opnum.GET_INTERFACE_LIST,
        "SWN-2.2.2-others-ndr",
    ),
    (
        "unterminated",
        LISTED,
        {"InterfaceInfo[0].InterfaceGroupName": b"x" * 520},
        Opnum.GET_INTERFACE_LIST,
        "SWN-2.2.2.5-groupname-terminated",
    ),
    ("more", LISTED, {"trailing": b"\0" * 4}, Opnum.GET_INTERFACE_LIST, "SWN-2.2.2-others-ndr"),
    ("no-result", LISTED, {"ReturnValue": b""}, Opnum.GET_INTERFACE_LIST, "SWN-1.8-win32-codes"),
    ("short-handle", REGISTERED, {"ppContext.uuid": b""}, Opnum.REGISTER, "SWN-2.2.1-handle-20-bytes"),
    ("long-handle", REGISTERED, {"trailing": b"\0" * 4}, Opnum.REGISTER, "SWN-2.2.1-handle-20-bytes"),
    ("unregister", UnRegisterResponse(0), {"trailing": b"\0"}, Opnum.UNREGISTER, "SWN-1.8-win32-codes"),
]


@pytest.mark.parametrize(
    ("message", "wrong", "opnum", "requirement"), [row[1:] for row in STUBS], ids=[row[0] for row in STUBS]
)
def test_stub_data_that_do_not_decode_violate_their_layout(
    message: AnyResponse, wrong: dict[str, int | bytes | str], opnum: Opnum, requirement: str
) -> None:
    error = malformed(encode(message, NDR32, wrong=wrong), opnum)
    assert requirement_of(error) == requirement


def test_a_notification_that_does_not_decode_violates_its_layout() -> None:
    notification = AsyncNotifyResponse(RespAsyncNotify.of(*CHANGES), 0)
    wrong = encode(notification, NDR32, wrong={"MessageBuffer.max_count": 1})
    assert requirement_of(malformed(wrong, Opnum.ASYNC_NOTIFY)) == "SWN-2.2.2.4-layout"
    cut = encode(notification, NDR32)[:-2]
    assert requirement_of(malformed(cut, Opnum.ASYNC_NOTIFY)) == "RPC-NDR-return-align"


@pytest.mark.parametrize("byte_order", ["little", "big"])
@pytest.mark.parametrize("syntax", [NDR32, NDR64], ids=["ndr32", "ndr64"])
@pytest.mark.parametrize(
    ("wrong", "requirement", "expected"),
    [
        ({"MessageBuffer.max_count": b""}, "SWN-2.2.2.4-layout", "max_count of MessageBuffer"),
        ({"Length": 0}, "SWN-2.2.2.4-length", "in Length"),
        ({"Length": len(encode_buffer(CHANGES)) + 1}, "SWN-2.2.2.4-length", "in Length"),
    ],
    ids=["no-max-count", "length", "length-one-more"],
)
def test_one_wrong_field_of_a_notification_explains_that_it_does_not_decode(
    wrong: dict[str, int | bytes], requirement: str, expected: str, syntax: SyntaxId, byte_order: ByteOrder
) -> None:
    notification = AsyncNotifyResponse(RespAsyncNotify.of(*CHANGES), 0)
    octets = encode(notification, syntax, byte_order=byte_order, wrong=wrong)
    found = blame_of(malformed(octets, Opnum.ASYNC_NOTIFY, syntax, byte_order=byte_order))
    assert found is not None
    assert (found.requirement, expected in found.expected) == (requirement, True)


@pytest.mark.parametrize(("declared", "more"), [(0, 12), (8, 4), (13, -1), (16, -4)])
def test_a_wrong_auth_pad_length_is_not_a_wrong_layout(declared: int, more: int) -> None:
    """The response has 12 octets of padding, but auth_pad_length says another number."""
    whole = encode(REGISTERED, NDR32)
    octets = whole + bytes(12)
    stub, padding = octets[: len(whole) + more], octets[len(whole) + more :]
    error = malformed(stub, Opnum.REGISTER, pad_length=declared, padding=padding, alloc_hint=len(whole))
    assert requirement_of(error) == "RPC-AUTH-padding"


UUID_OCTETS = bytes(range(1, 17))


@pytest.mark.parametrize("byte_order", ["little", "big"])
@pytest.mark.parametrize("syntax", [NDR32, NDR64], ids=["ndr32", "ndr64"])
@pytest.mark.parametrize("opnum", [Opnum.REGISTER, Opnum.REGISTER_EX])
@pytest.mark.parametrize(
    ("handle", "code", "is_short"),
    [
        (UUID_OCTETS, 0, True),
        (bytes(16), 0x57, True),
        (bytes(4) + UUID_OCTETS, None, False),
        (bytes(16), 0x57000000, False),
        (bytes(20), None, False),
    ],
    ids=["success", "error", "no-result", "no-result-small-number", "null-no-result"],
)
def test_a_handle_of_16_octets_is_not_a_missing_return_value(
    handle: bytes, code: int | None, is_short: bool, opnum: Opnum, syntax: SyntaxId, byte_order: ByteOrder
) -> None:
    stub = handle + (b"" if code is None else code.to_bytes(4, byte_order))
    found = requirement_of(malformed(stub, opnum, syntax, byte_order=byte_order))
    assert found == ("SWN-2.2.1-handle-20-bytes" if is_short else "SWN-1.8-win32-codes")


def test_a_handle_of_16_octets_is_not_wrong_padding() -> None:
    """With 4 octets of the padding, the stub data would decode."""
    error = malformed(UUID_OCTETS + bytes(4), Opnum.REGISTER, pad_length=12, padding=bytes(12), alloc_hint=0)
    assert requirement_of(error) == "SWN-2.2.1-handle-20-bytes"


def test_a_cut_response_of_register_is_not_a_handle_of_16_octets() -> None:
    whole = bytes(4) + UUID_OCTETS + bytes(4)
    error = malformed(whole[:20], Opnum.REGISTER, pad_length=12, padding=whole[20:] + bytes(8), alloc_hint=0)
    assert requirement_of(error) == "RPC-AUTH-padding"


def test_stub_data_of_the_announced_length_are_not_padding() -> None:
    longer = encode(REGISTERED, NDR32) + bytes(4)
    error = malformed(longer, Opnum.REGISTER, pad_length=8, padding=bytes(8), alloc_hint=len(longer))
    assert requirement_of(error) == "SWN-2.2.1-handle-20-bytes"


def test_ndr_in_a_context_of_ndr64_violates_its_layout() -> None:
    error = malformed(encode(LISTED, NDR32), Opnum.GET_INTERFACE_LIST, NDR64)
    assert requirement_of(error) == "RPC-XFER-ndr64-layout"


@pytest.mark.parametrize(
    ("requirement", "blamed", "expected"),
    [
        ("RPC-AUTH-level-of-response-to-pending", "RPC-AUTH-bind-levels", True),
        ("RPC-FRAG-response", "RPC-AUTH-padding", False),
        ("SWN-3.1.4.1-returns-success", "RPC-AUTH-padding", False),
        ("SWN-3.1.4.1-returns-success", "SWN-2.2.2.6-count", False),
        ("SWN-2.2.2.6-array", "SWN-2.2.2.6-count", True),
        ("RPC-XFER-ndr64-layout", "SWN-2.2.2.6-count", True),
        ("RPC-NDR-drep", "SWN-2.2.2-others-ndr", True),
        ("SWN-V14-3.1.4.6-opnum-5", "SWN-2.2.1-handle-20-bytes", True),
        ("SWN-3.1.4.2-null-netname", "SWN-2.2.1-handle-20-bytes", False),
    ],
)
def test_a_rule_about_the_same_octets_is_concerned(requirement: str, blamed: str, expected: bool) -> None:
    assert concerns(requirement, blamed) is expected


NOT_ACCEPTED = "not accepted"


@pytest.mark.parametrize(
    ("error", "requirement"),
    [
        (DeadlineExceeded("late"), "RPC-BIND-result-order"),
        (ConnectionLost(), "RPC-BIND-result-order"),
        (RemoteProtocolError("wrong", field="p_result_list"), "RPC-BIND-result-order"),
        (AuthenticationError("no token"), "RPC-AUTH-three-leg"),
        (Fault(5), "RPC-AUTH-three-leg"),
        (ContextRefused(NOT_ACCEPTED, [(2, 1)]), "SWN-1.9-uuid"),
        (ContextRefused(NOT_ACCEPTED, [(2, 2)]), "RPC-XFER-ndr20"),
        (ContextRefused(NOT_ACCEPTED, [(2, 3)]), None),
        (BindRefused(8), None),
        (OSError("no network"), None),
    ],
    ids=str,
)
def test_a_bind_that_fails_twice_violates_a_rule_on_binds(error: Exception, requirement: str | None) -> None:
    found = blame_of_bind(error)
    assert (found.requirement if found else None) == requirement


@pytest.mark.parametrize(
    ("requirements", "event", "rule"),
    [
        (["SWN-3.1.4.4-move-type"], "", "SWN-3.1.6.2-wake"),
        (["SWN-3.1.4.4-share-type"], "", "SWN-3.1.6.3-wake"),
        (["SWN-3.1.4.4-ip-type"], "", "SWN-3.1.6.4-wake"),
        (["SWN-3.1.4.4-change-otherwise-available"], "", "SWN-3.1.6.1-queues-change"),
        (["SWN-2.2.2.4-layout"], "SWN-3.1.6.2-wake", "SWN-3.1.6.2-wake"),
        (["SWN-2.2.2.4-layout", "SWN-3.1.4.4-move-type"], "", "SWN-3.1.6.2-wake"),
        (["RPC-NDR-return-align"], "", ""),
        (["SWN-3.1.4.4-move-both-versions"], "", None),
        (["SWN-2.2.2.4-layout", "SWN-3.1.6.2-wake"], "", None),
        (["SWN-3.1.4.3-no-more-notifications"], "SWN-3.1.6.2-wake", "SWN-3.1.6.2-wake"),
        (["SWN-4.1-example-sequence"], "", None),
    ],
)
def test_a_missing_notification_violates_the_rule_of_its_event(
    requirements: list[str], event: str, rule: str | None
) -> None:
    assert missing_notification(requirements, event) == rule
