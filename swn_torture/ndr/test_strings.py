"""Malformed and unusual strings: unterminated, invalid UTF-16, empty, or very long (C706 14.3.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import case
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.steps.registering import (
    INVALID_PARAMETER,
    Method,
    each_method,
    forget,
    succeeded,
)
from swn_torture.casekit.steps.stubs import StubSender, full_request, strings_of, with_string

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.protocol import Wrong
    from swn_torture.casekit.witness import Witness


def _counted(field: str, units: int) -> dict[str, int | bytes | str]:
    """What to write for a string of ``units`` UTF-16 units without its terminator."""
    return {f"{field}.max_count": units, f"{field}.actual_count": units, f"{field}.terminator": b""}


#: What to write for a string of so many units, by what is wrong with its end.
UNTERMINATED: dict[str, Callable[[str, int], Wrong]] = {
    "no terminator": _counted,
    "no terminator, max_count includes it": lambda f, n: {**_counted(f, n), f"{f}.max_count": n + 1},
    "X instead of the terminator": lambda f, _: {f"{f}.terminator": ord("X")},
    "no unit at all": lambda f, _: {**_counted(f, 0), f: b""},
}

#: Null characters before the terminator.
NULLS: dict[str, Callable[[str], str]] = {
    "null in the middle": lambda text: f"{text}\0{text}",
    "null at the beginning": lambda text: f"\0{text}",
    "two terminators": lambda text: f"{text}\0",
}

#: Surrogates that do not form a pair: units that are not characters.
LONE_SURROGATES: dict[str, Callable[[str], str]] = {
    "lone high surrogate": lambda text: f"{text[:1]}\ud83d{text[1:]}",
    "lone low surrogate": lambda text: f"{text[:1]}\ude00{text[1:]}",
    "reversed pair": lambda text: f"{text[:1]}\ude00\ud83d{text[1:]}",
    "high surrogate at the end": lambda text: f"{text}\ud83d",
    "only low surrogates": lambda text: "\udc00" * len(text),
}

#: Valid but rare characters.
UNUSUAL: dict[str, Callable[[str], str]] = {
    "character beyond the BMP": lambda text: f"{text[:1]}\U0001f600{text[1:]}",
    "noncharacter": lambda text: f"{text}\uffff",
    "byte order mark": lambda text: f"\ufeff{text}",
    "reversed byte order mark": lambda text: f"\ufffe{text}",
    "control characters": lambda text: f"{text}\x01\n\x7f",
}

ODD = {"lone-surrogates": LONE_SURROGATES, "unusual-characters": UNUSUAL}


class StringRecorder:
    """Sends registrations in which one string is malformed or unusual, and records how each call ends."""

    def __init__(self, witness: Witness, spec: Spec, method: Method, rule: str) -> None:
        self.witness = witness
        self.spec = spec
        self.method = method
        self.rule = rule
        self.sender = StubSender(witness)
        self._names: dict[str, str] = {}

    async def record(
        self, what: str, change: Callable[[str], str], wrong: Callable[[str, int], Wrong] | None = None
    ) -> None:
        """Send one registration for each of its strings, with that string changed.

        Args:
            what: what is changed, for the report.
            change: returns the changed string.
            wrong: returns what to write for the string, from its field name and its number of units; see
                ``codec.encode``.
        """
        witness = self.witness
        address = await witness.address_of(0)
        fields = strings_of(full_request(witness, self.method, address, ""), witness)
        for field in fields:
            # Each registration has another ClientComputerName, to find it in the list of registrations.
            message = full_request(witness, self.method, address, witness.client_name())
            text = strings_of(message, witness)[field]
            sent = change(text)
            outcome = await self.sender.send(
                with_string(message, field, sent), wrong=wrong(field, len(text)) if wrong else None
            )
            self.spec(self.rule).record(outcome, f"{field}, {what}: {sent!a}")
            if field == "ClientComputerName" and succeeded(outcome):
                self._names[what] = text[1:]
            else:
                await forget(witness, await self.sender.client(), outcome)

    async def finish(self, cluster: Controller) -> None:
        """Record the client names that the cluster lists, and check that others are still served."""
        if self._names and cluster.can(Capability.LIST_REGISTRATIONS):
            listed = {view.client_computer_name for view in await cluster.registrations()}
            for what, name in self._names.items():
                seen = ", ".join(ascii(one) for one in sorted(listed) if name in one) or "no similar name"
                self.spec(self.rule).record(f"listed as {seen}", f"ClientComputerName, {what}")
        await self.witness.check_still_serving(self.spec)


@case("RPC-STUB-string-unterminated", syntaxes="both")
@each_method
async def test_unterminated(witness: Witness, spec: Spec, cluster: Controller, method: Method) -> None:
    """Register or RegisterEx with one string unterminated; record the result and the listed name."""
    recorder = StringRecorder(witness, spec, method, "RPC-STUB-string-unterminated")

    for what, wrong in UNTERMINATED.items():
        await recorder.record(what, lambda text: text, wrong)

    await recorder.finish(cluster)


@case("RPC-STUB-string-unterminated", syntaxes="both")
@each_method
async def test_early_nulls(witness: Witness, spec: Spec, cluster: Controller, method: Method) -> None:
    """Register or RegisterEx with a null character before the end of one string; record the result."""
    recorder = StringRecorder(witness, spec, method, "RPC-STUB-string-unterminated")

    for what, change in NULLS.items():
        await recorder.record(what, change)

    await recorder.finish(cluster)


@case("RPC-STUB-string-odd-utf16", syntaxes="both")
@pytest.mark.parametrize("kind", ODD)
@each_method
async def test_odd_characters(
    witness: Witness, spec: Spec, cluster: Controller, method: Method, kind: str
) -> None:
    """Register or RegisterEx with invalid or rare characters in one string; record the result."""
    recorder = StringRecorder(witness, spec, method, "RPC-STUB-string-odd-utf16")

    for what, change in ODD[kind].items():
        await recorder.record(what, change)

    await recorder.finish(cluster)


#: UTF-16 units with the terminator: only the terminator, and around the limits of 16-bit counts of octets
#: and of units.
LENGTHS = (1, 0x8000, 0x10000, 0x10001)


@case(
    "SWN-3.1.4.2-netname-mismatch",
    "SWN-3.1.4.5-netname-mismatch",
    "SWN-6-idl-unique-strings",
    syntaxes="both",
)
@each_method
async def test_empty_and_long_strings(witness: Witness, spec: Spec, method: Method) -> None:
    """An empty or very long NetName returns ERROR_INVALID_PARAMETER; record the other strings."""
    sender, address = StubSender(witness), await witness.address_of(0)
    message = full_request(witness, method, address, witness.client_name())

    for field, text in strings_of(message, witness).items():
        for units in LENGTHS:
            sent = (text * (units // len(text) + 1))[: units - 1]
            outcome = await sender.send(with_string(message, field, sent))
            note = f"{field} of {units - 1} characters"
            if field == "NetName":
                spec(method.rule("netname-mismatch")).allows(outcome, INVALID_PARAMETER, note=note)
            else:
                spec("SWN-6-idl-unique-strings").record(outcome, note)
            if not sent:
                spec.choice("AMB-29", f"{method}, empty {field}: {outcome}")
    await witness.check_still_serving(spec)
