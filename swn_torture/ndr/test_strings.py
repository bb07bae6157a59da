"""Strings that no client of good faith sends: without their end, ill-formed, or very long (C706 14.3.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.control.base import Capability
from swn_torture.harness import case
from swn_torture.harness.registering import WRONG_PARAMETER, Method, each_method, succeeded
from swn_torture.harness.stubs import Sender, full_request, strings_of, with_string

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.control.base import Controller
    from swn_torture.harness import Law
    from swn_torture.harness.witness import Witness
    from swn_torture.witness.fields import Wrong


def _counted(field: str, units: int) -> dict[str, int | bytes | str]:
    """So many units, and none after them to end the string."""
    return {f"{field}.max_count": units, f"{field}.actual_count": units, f"{field}.terminator": b""}


#: What is written of a string of so many units, by what is wrong with its end.
UNTERMINATED: dict[str, Callable[[str, int], Wrong]] = {
    "no terminator": _counted,
    "no terminator, but room for it": lambda field, n: {**_counted(field, n), f"{field}.max_count": n + 1},
    "another character in its place": lambda field, _: {f"{field}.terminator": ord("X")},
    "not even a unit": lambda field, _: {**_counted(field, 0), field: b""},
}

#: Content that UTF-16 does not know, or that few expect.
ODD: dict[str, Callable[[str], str]] = {
    "lone-high-surrogate": lambda text: f"{text[:1]}\ud83d{text[1:]}",
    "lone-low-surrogate": lambda text: f"{text[:1]}\ude00{text[1:]}",
    "reversed-pair": lambda text: f"{text[:1]}\ude00\ud83d{text[1:]}",
    "high-surrogate-at-the-end": lambda text: f"{text}\ud83d",
    "only-surrogates": lambda text: "\udc00" * len(text),
    "beyond-the-bmp": lambda text: f"{text[:1]}\U0001f600{text[1:]}",
    "noncharacter": lambda text: f"{text}\uffff",
    "byte-order-mark": lambda text: f"\ufeff{text}",
    "reversed-byte-order-mark": lambda text: f"\ufffe{text}",
    "null-in-the-middle": lambda text: f"{text}\0{text}",
    "null-at-the-beginning": lambda text: f"\0{text}",
    "control-characters": lambda text: f"{text}\x01\n\x7f",
}


async def _names_like(cluster: Controller, name: str) -> str:
    """The names under which the cluster lists a client whose name began like this, for a report."""
    if not cluster.can(Capability.LIST_REGISTRATIONS):
        return ""
    names = sorted({repr(view.client_computer_name) for view in await cluster.registrations()})
    return f"; listed as {', '.join(one for one in names if name in one) or 'something else'}"


@case("RPC-STUB-string-unterminated", syntaxes="both")
@each_method
async def test_unterminated(witness: Witness, law: Law, cluster: Controller, method: Method) -> None:
    """A registration in which one string lacks its terminator: how it ends, and what is read."""
    sender, address = Sender(witness), await witness.address_of(0)

    for what, wrong in UNTERMINATED.items():
        message = full_request(witness, method, address, witness.client_name())
        for field, text in strings_of(message, witness).items():
            outcome = await sender.send(message, wrong=wrong(field, len(text)))
            seen = ""
            if succeeded(outcome) and field == "ClientComputerName":
                seen = await _names_like(cluster, text)
            law("RPC-STUB-string-unterminated").record(f"{outcome}{seen}", f"{field}: {what}")
    await witness.alive(law)


@case("RPC-STUB-string-odd-utf16", syntaxes="both")
@pytest.mark.parametrize("kind", ODD)
@each_method
async def test_odd_characters(
    witness: Witness, law: Law, cluster: Controller, method: Method, kind: str
) -> None:
    """A registration in which one string has odd characters: how it ends."""
    sender, address = Sender(witness), await witness.address_of(0)
    message = full_request(witness, method, address, witness.client_name())

    for field, text in strings_of(message, witness).items():
        outcome = await sender.send(with_string(message, field, ODD[kind](text)))
        seen = ""
        if succeeded(outcome) and field == "ClientComputerName":
            seen = await _names_like(cluster, text[1:])
        law("RPC-STUB-string-odd-utf16").record(f"{outcome}{seen}", f"{field}: {ODD[kind](text)!a}")
    await witness.alive(law)


LENGTHS = (0x7FFF, 0x8000, 0xFFFF, 0x10000, 200_000)


@case(
    "SWN-3.1.4.2-netname-mismatch",
    "SWN-3.1.4.5-netname-mismatch",
    "SWN-6-idl-unique-strings",
    syntaxes="both",
)
@each_method
async def test_long_strings(witness: Witness, law: Law, method: Method) -> None:
    """A NetName of 64k characters is refused like any other that is wrong; others are recorded."""
    sender, address = Sender(witness), await witness.address_of(0)
    message = full_request(witness, method, address, witness.client_name())

    for field, text in strings_of(message, witness).items():
        for units in LENGTHS:
            longer = (text * (units // len(text) + 1))[: units - 1]
            outcome = await sender.send(with_string(message, field, longer))
            note = f"{field} of {units} units, terminator included"
            if field == "NetName":
                law(method.rule("netname-mismatch")).allows(outcome, WRONG_PARAMETER, note=note)
            else:
                law("SWN-6-idl-unique-strings").record(outcome, note)
    await witness.alive(law)
