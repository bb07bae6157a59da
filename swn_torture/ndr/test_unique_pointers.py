"""The string parameters are unique pointers: null, or any other referent (C706 14.3.10, MS-SWN 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit import SUCCESS, case, returns
from swn_torture.casekit.protocol import NDR64, Win32
from swn_torture.casekit.steps.registering import INVALID_PARAMETER, REGISTER_EX, Method, each_method
from swn_torture.casekit.steps.stubs import StubSender, full_request, strings_of

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.witness import Witness

#: The codes that a method may return for a NULL string.
REFUSALS = (INVALID_PARAMETER, returns(Win32.ERROR_REVISION_MISMATCH))
NAMES = {
    "NetName": "net_name",
    "IpAddress": "ip_address",
    "ClientComputerName": "client_computer_name",
}


@case("SWN-6-idl-unique-strings", "RPC-STUB-null-unique", syntaxes="both")
@each_method
async def test_null_strings(witness: Witness, spec: Spec, method: Method) -> None:
    """Register or RegisterEx with null pointers for strings returns an error code, not a fault."""
    sender, address = StubSender(witness), await witness.address_of(0)
    rules = spec("SWN-6-idl-unique-strings", "RPC-STUB-null-unique")

    for name, field in NAMES.items():
        request = method.request(witness, **{"ip_address": address, field: None})
        rules.allows(await sender.send(request), *REFUSALS, note=f"{name} null")
    all_null = dict.fromkeys(NAMES.values())
    rules.allows(await sender.send(method.request(witness, **all_null)), *REFUSALS, note="all strings null")
    if method is REGISTER_EX:
        request = method.request(witness, ip_address=address, share_name=None)
        rules.allows(await sender.send(request), SUCCESS, note="ShareName null")
    rules.allows(
        await sender.send(method.request(witness, ip_address=address)),
        SUCCESS,
        note="no name null",
    )


#: The first referent and the step to the next one: the referents of unique pointers have to be distinct.
REFERENTS = {
    "smallest": (1, 1),
    "odd": (0x20001, 2),
    "high": (0x80000000, 4),
    "highest": (0xFFFFFFFF, -1),
}
#: More of them where a pointer has 8 octets (MS-RPCE 2.2.5.3.5).
WIDE_REFERENTS = {
    "beyond 32 bits": (0x7FF6_1234_5678, 0x20),
    "no bit among the low 32": (1 << 32, 1 << 32),
    "highest of 64 bits": (2**64 - 1, -1),
}


@case("SWN-6-idl-unique-strings", syntaxes="both")
@each_method
async def test_any_referent(witness: Witness, spec: Spec, method: Method) -> None:
    """Register or RegisterEx with any distinct non-zero referents returns ERROR_SUCCESS."""
    address, sender = await witness.address_of(0), StubSender(witness)
    message = full_request(witness, method, address, witness.client_name())
    fields = list(strings_of(message, witness))
    chosen = REFERENTS | (WIDE_REFERENTS if witness.syntax == NDR64 else {})

    for what, (first, step) in chosen.items():
        wrong = {f"{field}.referent": first + step * n for n, field in enumerate(fields)}
        shown = ", ".join(f"{value:#x}" for value in wrong.values())
        spec("SWN-6-idl-unique-strings").allows(
            await sender.send_and_forget(message, wrong=wrong), SUCCESS, note=f"{what}: {shown}"
        )


@case("SWN-6-idl-unique-strings", syntaxes="both")
@each_method
async def test_equal_referents(witness: Witness, spec: Spec, method: Method) -> None:
    """Register or RegisterEx with equal referents, not allowed for unique pointers; record the result."""
    address, sender = await witness.address_of(0), StubSender(witness)
    message = full_request(witness, method, address, witness.client_name())
    wrong = {f"{field}.referent": 0x20000 for field in strings_of(message, witness)}

    outcome = await sender.send(message, wrong=wrong)

    spec("SWN-6-idl-unique-strings").record(outcome, "the referent 0x20000 for all strings")
    await witness.check_still_serving(spec)
