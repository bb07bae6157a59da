"""The return values of all methods, looked at together (MS-SWN 1.8; MS-ERREF 2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit import case, outcome_of
from swn_torture.casekit.protocol import (
    AsyncNotifyRequest,
    GetInterfaceListRequest,
    Opnum,
    UnRegisterExRequest,
    UnRegisterRequest,
    Win32,
    describe_code,
    is_assigned,
)
from swn_torture.casekit.steps.registering import NEVER_ISSUED, NO_SUCH_METHOD

if TYPE_CHECKING:
    from typing import Any

    from swn_torture.casekit import Spec
    from swn_torture.casekit.protocol import Request, WitnessClient
    from swn_torture.casekit.witness import Witness

#: The codes that the tables of the methods, or their text and notes, name.
NAMED = {
    Win32.ERROR_SUCCESS,
    Win32.ERROR_ACCESS_DENIED,
    Win32.ERROR_OUTOFMEMORY,
    Win32.ERROR_INVALID_PARAMETER,
    Win32.ERROR_NO_MORE_ITEMS,
    Win32.ERROR_NOT_FOUND,
    Win32.ERROR_NOT_AUTHENTICATED,
    Win32.ERROR_REVISION_MISMATCH,
    Win32.ERROR_NO_SYSTEM_RESOURCES,
    Win32.ERROR_TIMEOUT,
    Win32.ERROR_INVALID_STATE,
}

#: Numbers above these are no Win32 codes: an NTSTATUS or an HRESULT has bits in its upper half.
LARGEST = 0xFFFF

ERROR_CODES = {
    Opnum.GET_INTERFACE_LIST: "SWN-3.1.4.1-error-codes",
    Opnum.REGISTER: "SWN-3.1.4.2-error-codes",
    Opnum.UNREGISTER: "SWN-3.1.4.3-error-codes",
    Opnum.ASYNC_NOTIFY: "SWN-3.1.4.4-error-codes",
    Opnum.REGISTER_EX: "SWN-3.1.4.5-error-codes",
}


async def stimuli(witness: Witness, client: WitnessClient) -> dict[str, Request[Any]]:
    """Calls of every method that end at once: some succeed, the others fail for every reason there is."""
    address = await witness.address_of(0)
    good = await witness.register(client, ip_address=address)
    stranger = NEVER_ISSUED["random"](good)
    wrong: dict[str, dict[str, Any]] = {
        "right": {},
        "wrong Version": {"version": 7},
        "NULL NetName": {"net_name": None},
        "NULL IpAddress": {"ip_address": None},
        "NULL ClientComputerName": {"client_computer_name": None},
        "empty NetName": {"net_name": ""},
        "foreign NetName": {"net_name": "XXXXInvalid.contoso.comXXXX"},
        "foreign IpAddress": {"ip_address": "255.255.255.255"},
        "no IpAddress": {"ip_address": "not an address"},
    }
    found: dict[str, Request[Any]] = {"GetInterfaceList": GetInterfaceListRequest()}
    for what, fields in wrong.items():
        parameters = {"ip_address": address, **fields}
        found[f"Register, {what}"] = witness.registration(**parameters)
        found[f"RegisterEx, {what}"] = witness.registration_ex(**parameters)
    unknown = {"share_name": "any_invalid_share_name", "ip_address": address}
    found["RegisterEx, foreign ShareName"] = witness.registration_ex(**unknown)
    found["AsyncNotify, unknown handle"] = AsyncNotifyRequest(stranger)
    found["UnRegister, unknown handle"] = UnRegisterRequest(stranger)
    found["UnRegisterEx, unknown handle"] = UnRegisterExRequest(stranger)
    found["UnRegister"] = UnRegisterRequest(good)
    found["UnRegister, once more"] = UnRegisterRequest(good)
    found["AsyncNotify, used-up handle"] = AsyncNotifyRequest(good)
    return found


@case("SWN-1.8-win32-codes", "SWN-1.8-codes-meaning", *ERROR_CODES.values(), syntaxes="both")
async def test_return_values_are_win32_codes(witness: Witness, spec: Spec) -> None:
    """Every method, made to succeed and to fail in many ways, returns codes of MS-ERREF 2.2."""
    client = await witness.connect()
    for what, request in (await stimuli(witness, client)).items():
        reply = await outcome_of(client.start(request), witness.expect.reply_deadline)

        if reply.kind not in {"result", "malformed"}:
            # No method returned anything; which faults are right, and that calls end, is for other cases.
            if reply != NO_SUCH_METHOD and request.opnum in ERROR_CODES:
                spec(ERROR_CODES[request.opnum]).record(reply, what)
            continue
        code = reply.code
        spec("SWN-1.8-win32-codes").holds(
            reply.kind == "result" and code is not None and code <= LARGEST,
            expected="out parameters that end with a Win32 code (4 octets)",
            observed=reply,
            note=what,
        )
        if code is None:
            continue
        other_than = "" if code in NAMED else "; a code that the methods' tables do not name"
        spec("SWN-1.8-codes-meaning").holds(
            is_assigned(code),
            expected="a code that MS-ERREF 2.2 defines",
            observed=f"{describe_code(code)}{other_than}",
            note=what,
        )
        if request.opnum in ERROR_CODES and (code or request.opnum == Opnum.GET_INTERFACE_LIST):
            spec(ERROR_CODES[request.opnum]).record(reply, what)
