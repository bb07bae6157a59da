"""The return values of all methods (MS-SWN 1.8; MS-ERREF 2.2)."""

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
from swn_torture.casekit.steps.registering import FOREIGN_NAME, NEVER_ISSUED, OP_RNG_ERROR

if TYPE_CHECKING:
    from typing import Any

    from swn_torture.casekit import Spec
    from swn_torture.casekit.protocol import Request, WitnessClient
    from swn_torture.casekit.witness import Witness

#: The codes that MS-SWN names for its methods: in tables, in the text or in notes.
CODES_OF_MS_SWN = {
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

#: The largest Win32 code. An NTSTATUS or an HRESULT has bits in its upper half.
LARGEST = 0xFFFF

ERROR_CODES = {
    Opnum.GET_INTERFACE_LIST: "SWN-3.1.4.1-error-codes",
    Opnum.REGISTER: "SWN-3.1.4.2-error-codes",
    Opnum.UNREGISTER: "SWN-3.1.4.3-error-codes",
    Opnum.ASYNC_NOTIFY: "SWN-3.1.4.4-error-codes",
    Opnum.REGISTER_EX: "SWN-3.1.4.5-error-codes",
}


async def stimuli(witness: Witness, client: WitnessClient) -> dict[str, Request[Any]]:
    """Requests for every method that complete at once: valid ones, and invalid ones of each kind.

    They are keyed by method and kind, and have to be sent in this order.
    """
    address = await witness.address_of(0)
    valid = await witness.register(client, ip_address=address)
    unknown = NEVER_ISSUED["random"](valid)
    parameters: dict[str, dict[str, Any]] = {
        "valid parameters": {},
        "wrong Version": {"version": 7},
        "NULL NetName": {"net_name": None},
        "NULL IpAddress": {"ip_address": None},
        "NULL ClientComputerName": {"client_computer_name": None},
        "empty NetName": {"net_name": ""},
        "foreign NetName": {"net_name": FOREIGN_NAME},
        "foreign IpAddress": {"ip_address": "255.255.255.255"},
        "IpAddress that is not an address": {"ip_address": "not an address"},
    }
    requests: dict[str, Request[Any]] = {"GetInterfaceList": GetInterfaceListRequest()}
    for what, changes in parameters.items():
        fields = {"ip_address": address, **changes}
        requests[f"Register, {what}"] = witness.registration(**fields)
        requests[f"RegisterEx, {what}"] = witness.registration_ex(**fields)
    foreign_share = {"share_name": "any_invalid_share_name", "ip_address": address}
    requests["RegisterEx, foreign ShareName"] = witness.registration_ex(**foreign_share)
    requests["AsyncNotify, unknown handle"] = AsyncNotifyRequest(unknown)
    requests["UnRegister, unknown handle"] = UnRegisterRequest(unknown)
    requests["UnRegisterEx, unknown handle"] = UnRegisterExRequest(unknown)
    requests["UnRegister, valid handle"] = UnRegisterRequest(valid)
    requests["UnRegister, used-up handle"] = UnRegisterRequest(valid)
    requests["AsyncNotify, used-up handle"] = AsyncNotifyRequest(valid)
    return requests


@case("SWN-1.8-win32-codes", "SWN-1.8-codes-meaning", *ERROR_CODES.values(), syntaxes="both")
async def test_return_values_are_win32_codes(witness: Witness, spec: Spec) -> None:
    """Every method, called with valid and with invalid parameters, returns codes of MS-ERREF 2.2."""
    client = await witness.connect()
    for what, request in (await stimuli(witness, client)).items():
        reply = await outcome_of(client.start(request), witness.expect.reply_deadline)

        if reply.kind not in {"result", "malformed"}:
            # There is no return value. Other cases check which faults are allowed, and that each call ends.
            if reply != OP_RNG_ERROR and request.opnum in ERROR_CODES:
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
        unnamed = "" if code in CODES_OF_MS_SWN else "; a code that MS-SWN does not name"
        spec("SWN-1.8-codes-meaning").holds(
            is_assigned(code),
            expected="a code that MS-ERREF 2.2 defines",
            observed=f"{describe_code(code)}{unnamed}",
            note=what,
        )
        if request.opnum in ERROR_CODES and (code or request.opnum == Opnum.GET_INTERFACE_LIST):
            spec(ERROR_CODES[request.opnum]).record(reply, what)
