"""Which requirement an error of an exchange violates, whatever the case was about.

A PDU that does not parse, verify or reassemble violates a requirement on the transport. Stub data that do not
decode violate a requirement on the layout of the structure. A notification that does not come violates a
requirement on the event. The case that met the error says nothing against its own requirements by it.

Faults, closed connections and missing answers are not in these tables: what they say depends on the call.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swn_torture.dcerpc.errors import (
    AuthenticationError,
    BadSignature,
    ConnectionLost,
    ContextRefused,
    DeadlineExceeded,
    Fault,
    RemoteProtocolError,
)
from swn_torture.dcerpc.pdu.bind import ProviderReason
from swn_torture.dcerpc.pdu.header import PduType, PfcFlags
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.client import MalformedResponse
from swn_torture.witness.codec import DecodeError, decode_response
from swn_torture.witness.constants import Opnum

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from swn_torture.dcerpc.client.events import Answered


@dataclass(frozen=True, slots=True)
class Blame:
    """A requirement that an error violates.

    Attributes:
        requirement: its id.
        expected: what was expected instead of the error, for a report.
    """

    requirement: str
    expected: str

    @property
    def of_transport(self) -> bool:
        """Whether it is about PDUs, so that nobody can tell which octets are the stub data."""
        return self.requirement.startswith("RPC-") and not self.requirement.startswith(
            ("RPC-NDR", "RPC-XFER")
        )


#: The bind of a valid client has no answer, or one that cannot be read.
UNANSWERED_BIND = Blame("RPC-BIND-result-order", "bind_ack with one result for each proposed context")

_LEG_CALL_ID = Blame("RPC-CALLID-bind", "an answer with the call_id of the bind or alter_context")
_LEG_TRAILER = Blame("RPC-AUTH-ack-trailer", "space for the sec_trailer")
_FRAGMENTS = Blame("RPC-FRAG-response", "PDUs that form one complete response")
_PADDING = Blame("RPC-AUTH-padding", "stub data, then as many octets as auth_pad_length says")
_PROTECTION = Blame("RPC-AUTH-bind-levels", "a response protected at the negotiated level")
_EACH_PROTECTED = Blame("RPC-FRAG-response-each-protected", "a sec_trailer in every fragment")
_LOOKUP = Blame("RPC-EPM-lookup", "a readable response of the endpoint mapper")
_NDR64 = Blame("RPC-XFER-ndr64-layout", "stub data in the layout of NDR64")

#: The answers to a bind or alter_context.
_LEGS = (PduType.BIND_ACK, PduType.BIND_NAK, PduType.ALTER_CONTEXT_RESP)

#: By the beginning of the name of the wrong field in such an answer; else `_PDU_FIELDS` decide.
_LEG_FIELDS = (("call_id", _LEG_CALL_ID), ("auth_length", _LEG_TRAILER))

#: By the beginning of the name of the wrong field in a PDU; the first match counts.
_PDU_FIELDS = (
    (r"sec_trailer\.auth_pad_length", _PADDING),
    (r"sec_trailer|auth_length", _PROTECTION),
    (r"p_result_list|bind_ack|sec_addr|pad2|bind_nak|versions", UNANSWERED_BIND),
    (r"call_id", Blame("RPC-CALLID-echo", "an answer with the call_id of the request")),
    (r"rpc_vers", Blame("RPC-PDU-version", "a PDU of RPC version 5.0")),
    (r"ptype", Blame("RPC-PDU-ptype", "a PDU type that a server sends")),
    (r"drep", Blame("RPC-PDU-drep", "a data representation that C706 defines")),
    (r"fault", Blame("RPC-FAULT-or-close", "a fault PDU that can be read, or the end of the connection")),
    (r"tower|num_|entries|status|entry_handle|trailing", _LOOKUP),
)

#: By the beginning of the name of the wrong field in stub data; the first match counts.
_STUB_FIELDS = (
    (r"InterfaceInfo\.referent", Blame("SWN-2.2.2.6-array", "a pointer to the array InterfaceInfo")),
    (r"InterfaceInfo\.max_count", Blame("SWN-2.2.2.6-count", "as many elements as NumberOfInterfaces")),
    (
        r"InterfaceInfo\[\d+\]\.InterfaceGroupName",
        Blame("SWN-2.2.2.5-groupname-terminated", "a name with a null character in its array"),
    ),
    (
        r"InterfaceInfo|InterfaceList|NumberOfInterfaces",
        Blame("SWN-2.2.2-others-ndr", "an interface list in the layout of NDR"),
    ),
    (r"ppContext", Blame("SWN-2.2.1-handle-20-bytes", "a context handle of 20 octets")),
    (
        r"pResp|MessageType|Length|NumberOfMessages|MessageBuffer",
        Blame("SWN-2.2.2.4-layout", "RESP_ASYNC_NOTIFY in the layout of NDR"),
    ),
)

#: The octets of MessageBuffer follow its pointer at once: what is read as their number is the first of them.
NO_MAX_COUNT = Blame("SWN-2.2.2.4-layout", "max_count of MessageBuffer, and its octets after that")
_LENGTH = Blame("SWN-2.2.2.4-length", "the number of octets of MessageBuffer in Length")

#: A UUID without the attributes before it: its octets and the return value are as long as a handle alone.
_HANDLE_OF_16 = Blame(
    "SWN-2.2.1-handle-20-bytes", "a context handle of 20 octets, not 16, before the return value"
)

_RETURN_VALUE = Blame("SWN-1.8-win32-codes", "a return value of 4 octets at the end of the stub data")
_RETURN_ALIGNED = Blame("RPC-NDR-return-align", "a return value at a multiple of 4 octets, then nothing")

#: By method, for octets after the last field.
_TRAILING = {
    Opnum.GET_INTERFACE_LIST: Blame("SWN-2.2.2-others-ndr", "an interface list and nothing after it"),
    Opnum.REGISTER: Blame("SWN-2.2.1-handle-20-bytes", "a context handle of 20 octets"),
    Opnum.REGISTER_EX: Blame("SWN-2.2.1-handle-20-bytes", "a context handle of 20 octets"),
    Opnum.UNREGISTER_EX: Blame("SWN-2.2.1-handle-20-bytes", "a context handle of 20 octets"),
    Opnum.ASYNC_NOTIFY: _RETURN_ALIGNED,
}


def blame_of(error: BaseException) -> Blame | None:
    """The requirement that an error of the client violates; None when the error alone does not say.

    Args:
        error: what the client raised.
    """
    match error:
        case MalformedResponse():
            return _of_response(error)
        case DecodeError():
            return _of_stub(error, None)
        case BadSignature():
            return _PROTECTION
        case RemoteProtocolError():
            return _of_pdu(error)
    return None


def _of_pdu(error: RemoteProtocolError) -> Blame:
    field = error.field or ""
    if field == "auth_length" and len(error.octets) > 3 and not error.octets[3] & PfcFlags.FIRST:
        return _EACH_PROTECTED
    in_leg = len(error.octets) > 2 and error.octets[2] in _LEGS
    found = _first_match(_LEG_FIELDS, field) if in_leg else None
    found = found or _first_match(_PDU_FIELDS, field)
    return found or _FRAGMENTS


def _of_response(error: MalformedResponse) -> Blame:
    answered = error.call.call.response_meta
    assert answered is not None
    opnum, syntax = error.call.request.opnum, error.call.syntax
    if opnum in {Opnum.REGISTER, Opnum.REGISTER_EX} and _has_handle_of_16(answered):
        return _HANDLE_OF_16
    if _wrong_padding(answered, opnum, error):
        return _PADDING
    if syntax == NDR64 and _decodes(opnum, answered.stub, answered, NDR32):
        return _NDR64
    if opnum == Opnum.ASYNC_NOTIFY:
        for blame, octets in _corrected(answered, wide=8 if syntax == NDR64 else 4):
            if _decodes(opnum, octets, answered, syntax):
                return blame
    return _of_stub(error, opnum)


def _has_handle_of_16(answered: Answered) -> bool:
    """Whether 20 octets are a handle of 16 octets and a return value, not a handle without a return value.

    A handle begins with its attributes, which are 0 in known servers, and ends with a UUID. Another beginning
    and 0 at the end are a UUID and ERROR_SUCCESS (0x0). Zeros, then the value of a known error code are a
    null UUID and that code.
    """
    stub = answered.stub
    if len(stub) != 20:
        return False
    code = int.from_bytes(stub[16:], answered.byte_order)
    return any(stub[:4]) if code == 0 else not any(stub[:16]) and code in {*Win32}


def _corrected(answered: Answered, *, wide: int) -> Iterator[tuple[Blame, bytes]]:
    """The stub data of a notification with one field corrected, and what they violate without that.

    Length comes first. With a max_count more, a Length that is one too large can decode as well: the octets
    that are left over count as the gap before the return value.
    """
    stub, at = answered.stub, wide + 4
    head = 5 * wide if wide == 4 else 4 * wide  # pResp, three integers, a gap in NDR64, MessageBuffer
    max_count = stub[head : head + wide]
    low = max_count[:4] if answered.byte_order == "little" else max_count[-4:]
    yield _LENGTH, stub[:at] + low + stub[at + 4 :]
    length = int.from_bytes(stub[at : at + 4], answered.byte_order)
    yield NO_MAX_COUNT, stub[:head] + length.to_bytes(wide, answered.byte_order) + stub[head:]


def _wrong_padding(answered: Answered, opnum: int, error: MalformedResponse) -> bool:
    """Whether the stub data decode when other octets of the last fragment count as padding.

    auth_pad_length decides which octets before the sec_trailer are stub data, and which are padding. If
    alloc_hint gives the same number of stub octets, the server means what it says.
    """
    last, stub, syntax = answered.pdus[-1], answered.stub, error.call.syntax
    if last.trailer is None or answered.pdus[0].alloc_hint == len(stub):
        return False
    longer = (stub + last.padding[:more] for more in range(1, len(last.padding) + 1))
    shorter = (stub[:-fewer] for fewer in range(1, min(16, len(stub))))
    return any(_decodes(opnum, octets, answered, syntax) for octets in (*longer, *shorter))


def _decodes(opnum: int, stub: bytes, answered: Answered, syntax: object) -> bool:
    try:
        decode_response(opnum, stub, NDR64 if syntax == NDR64 else NDR32, byte_order=answered.byte_order)
    except DecodeError:
        return False
    return True


def _of_stub(error: DecodeError, opnum: int | None) -> Blame:
    if error.field == "ReturnValue":
        return _RETURN_ALIGNED if opnum == Opnum.ASYNC_NOTIFY else _RETURN_VALUE
    if error.field == "trailing":
        return _TRAILING.get(Opnum(opnum), _RETURN_VALUE) if opnum is not None else _RETURN_VALUE
    return _first_match(_STUB_FIELDS, error.field) or _RETURN_VALUE


def _first_match(table: Iterable[tuple[str, Blame]], field: str) -> Blame | None:
    for pattern, blame in table:
        if re.match(pattern, field):
            return blame
    return None


def concerns(requirement: str, blamed: str) -> bool:
    """Whether a check of a requirement fails, too, when an answer violates another one by its octets.

    That is so when both are about the same octets. An answer that cannot be read does not decide about
    any other rule of the method.

    Args:
        requirement: the requirement that a case checks.
        blamed: the requirement that the answer violates.
    """
    if Blame(blamed, "").of_transport:
        return requirement.startswith("-".join(blamed.split("-")[:2]))
    return re.match(r"SWN-(2\.2|6-)|RPC-(NDR|XFER)|SWN-1\.8|SWN-(V14-)?[\d.]+-opnum", requirement) is not None


# Binds
# ----------------------------------------------------------------------------------------------------------


def blame_of_bind(error: BaseException) -> Blame | None:
    """The requirement that a server violates which does not serve a valid bind; None when it violates none.

    Args:
        error: what the client raised during the bind.
    """
    if isinstance(error, RemoteProtocolError):
        blame = blame_of(error)
        return UNANSWERED_BIND if blame == _FRAGMENTS else blame
    if isinstance(error, ContextRefused):
        reasons = {reason for _, reason in error.results}
        return next((blame for reason, blame in _REFUSALS if reason in reasons), None)
    # A bind_nak: no rule demands an authentication service, and a server may be at a limit of its own.
    return next((blame for kinds, blame in _BIND_ERRORS if isinstance(error, kinds)), None)


_REFUSALS = (
    (
        ProviderReason.ABSTRACT_SYNTAX_NOT_SUPPORTED,
        Blame("SWN-1.9-uuid", "acceptance of the witness interface"),
    ),
    (ProviderReason.TRANSFER_SYNTAXES_NOT_SUPPORTED, Blame("RPC-XFER-ndr20", "acceptance of NDR 2.0")),
)
_BIND_ERRORS = (
    ((AuthenticationError, Fault), Blame("RPC-AUTH-three-leg", "a leg that completes the authentication")),
    ((ConnectionLost, DeadlineExceeded), UNANSWERED_BIND),
)


# Notifications
# ----------------------------------------------------------------------------------------------------------

#: The rules of events that complete a pending AsyncNotify.
STATE_CHANGE, CLIENT_MOVE, SHARE_MOVE, IP_CHANGE = (
    "SWN-3.1.6.1-queues-change",
    "SWN-3.1.6.2-wake",
    "SWN-3.1.6.3-wake",
    "SWN-3.1.6.4-wake",
)

#: Requirements on what a notification contains, and the event whose rule says that there is one.
_CONTENT = (
    (r"SWN-3\.1\.4\.4-change-", STATE_CHANGE),
    (r"SWN-3\.1\.4\.4-move-(?!both-versions)", CLIENT_MOVE),
    (r"SWN-3\.1\.4\.4-share-(?!needs)", SHARE_MOVE),
    (r"SWN-3\.1\.4\.4-ip-(?!needs)", IP_CHANGE),
    (r"SWN-2\.2\.|RPC-", ""),
)


def missing_notification(requirements: Iterable[str], event: str = "") -> str | None:
    """The rule of the event that a server violates which sends no notification.

    A requirement on the content of a notification is not violated by one that never came. A requirement that
    a client is notified is.

    Args:
        requirements: what the case checks with the notification.
        event: the rule of the event, for requirements that do not say it, and that do not say either that
            the client is notified.

    Returns:
        None if one of the requirements itself says that the client is notified. Empty if nothing says which
        event it is: no rule is known to be violated.
    """
    if event:
        return event
    found = []
    for requirement in requirements:
        rules = [rule for pattern, rule in _CONTENT if re.match(pattern, requirement)]
        if not rules:
            return None
        found += [rule for rule in rules if rule]
    return found[0] if found else ""
