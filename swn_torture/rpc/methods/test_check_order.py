"""Several wrong parameters in one Register or RegisterEx: the first check decides (MS-SWN 3.1.4.2, 3.1.4.5).

``DEFECTS`` has the checks of both sections in the order of the text. All cases are made from it. A sentence
of the text requires one error code. If a request has two defects, two sentences contradict each other, unless
the first that applies ends the request.

A pair shows an order only if each of its parameters, wrong alone, is rejected as the text requires. Otherwise
the finding is about that parameter, and another case reports it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.casekit import case, returns
from swn_torture.casekit.protocol import Win32
from swn_torture.casekit.steps.registering import (
    FOREIGN_NAME,
    METHODS,
    OTHER_VERSION,
    REGISTER,
    REGISTER_EX,
    Method,
    each_method,
    forget,
)
from swn_torture.casekit.steps.scale_out import NO_INTERFACE, UNKNOWN_SHARE
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from swn_torture.casekit import Outcome, Spec
    from swn_torture.casekit.witness import Witness


@dataclass(frozen=True, slots=True)
class Defect:
    """One wrong parameter of a registration.

    Attributes:
        slug: its name in the ids of cases.
        field: the parameter, as a field of the request.
        value: makes the wrong value for a method.
        code: what the method returns for it.
        methods: the methods that have the parameter.
    """

    slug: str
    field: str
    value: Callable[[Method], Any]
    code: Win32
    methods: tuple[Method, ...] = METHODS

    def __str__(self) -> str:
        return self.slug.replace("-", " ")


WRONG_VERSION = Defect("wrong-Version", "version", OTHER_VERSION.__getitem__, Win32.ERROR_REVISION_MISMATCH)

#: The wrong parameters, in the order of the checks in the text. The three strings that must not be NULL are
#: in one sentence; the order among them does not show, because they have one error code.
DEFECTS = (
    WRONG_VERSION,
    Defect("NULL-NetName", "net_name", lambda _: None, Win32.ERROR_INVALID_PARAMETER),
    Defect("NULL-IpAddress", "ip_address", lambda _: None, Win32.ERROR_INVALID_PARAMETER),
    Defect("NULL-ClientComputerName", "client_computer_name", lambda _: None, Win32.ERROR_INVALID_PARAMETER),
    Defect("foreign-NetName", "net_name", lambda _: FOREIGN_NAME, Win32.ERROR_INVALID_PARAMETER),
    Defect(
        "unknown-ShareName", "share_name", lambda _: UNKNOWN_SHARE, Win32.ERROR_INVALID_STATE, (REGISTER_EX,)
    ),
    Defect("unknown-IpAddress", "ip_address", lambda _: NO_INTERFACE["ipv4"], Win32.ERROR_INVALID_STATE),
)

Defects = tuple[Defect, ...]


def together(method: Method, count: int) -> list[Defects]:
    """Every choice of so many wrong parameters of a method, each in the order of the checks."""
    possible = combinations((defect for defect in DEFECTS if method in defect.methods), count)
    return [chosen for chosen in possible if len({defect.field for defect in chosen}) == count]


def every_defect(method: Method) -> Defects:
    """As many wrong parameters as a request can have: in each parameter that which is checked first."""
    first = {defect.field: defect for defect in reversed(DEFECTS) if method in defect.methods}
    return tuple(defect for defect in DEFECTS if defect in first.values())


def _params(chosen: Sequence[tuple[Method, Defects]]) -> pytest.MarkDecorator:
    ids = [f"{method}-{'-'.join(defect.slug for defect in defects)}" for method, defects in chosen]
    return pytest.mark.parametrize(("method", "defects"), chosen, ids=[each.lower() for each in ids])


PAIRS = [(method, pair) for method in METHODS for pair in together(method, 2)]

#: Those triples in which each wrong parameter has another error code. The pairs decide about the others.
TRIPLES = [
    (method, triple)
    for method in METHODS
    for triple in together(method, 3)
    if len({defect.code for defect in triple}) == len(triple)
]


async def _reply(witness: Witness, method: Method, *defects: Defect, **fields: Any) -> Outcome:
    """Send a registration with wrong parameters on a new connection, and remove what it registered.

    RegisterEx names a scale-out share, if the profile has one: without it the text requires no check of
    IpAddress.
    """
    if method is REGISTER_EX:
        shares = (share.name for share in witness.expect.shares if share.scale_out)
        fields.setdefault("share_name", next(shares, None))
    fields |= {defect.field: defect.value(method) for defect in defects}
    client = await witness.connect()
    reply = await method.reply(witness, client, **fields)
    await forget(witness, client, reply)
    await client.rpc.close()
    return reply


async def _check_first_decides(witness: Witness, spec: Spec, method: Method, defects: Defects) -> None:
    """Send a registration with several wrong parameters, and check that the first of them decides.

    Raises:
        NotTestable: one of them, wrong alone, ends the call in another way than the text requires, and this
            is how the call ended. It says nothing about an order.
    """
    first, *others = defects
    allowed = returns(first.code)

    reply = await _reply(witness, method, *defects)

    if reply != allowed:
        alone = await _reply(witness, method, first)
        if alone != allowed:
            raise NotTestable(f"{method} with {first} alone: {alone}, instead of {allowed}")
        for defect in others:
            alone, required = await _reply(witness, method, defect), returns(defect.code)
            if alone == reply != required:
                raise NotTestable(
                    f"{method} with {defect} alone ends in the same way: {alone}, instead of {required}"
                )
    rule = "version-first" if first is WRONG_VERSION else "check-order"
    spec(method.rule(rule)).allows(reply, allowed, note=", ".join(map(str, defects)))


@case(
    "SWN-3.1.4.2-version-first",
    "SWN-3.1.4.2-check-order",
    "SWN-3.1.4.5-version-first",
    "SWN-3.1.4.5-check-order",
    syntaxes="both",
)
@_params(PAIRS)
async def test_two_defects(witness: Witness, spec: Spec, method: Method, defects: Defects) -> None:
    """Register or RegisterEx with two wrong parameters returns the error of the one checked first."""
    await _check_first_decides(witness, spec, method, defects)


@case("SWN-3.1.4.2-version-first", "SWN-3.1.4.5-version-first", syntaxes="both")
@_params(TRIPLES)
async def test_three_defects(witness: Witness, spec: Spec, method: Method, defects: Defects) -> None:
    """With a wrong Version and two other errors, Register or RegisterEx returns ERROR_REVISION_MISMATCH."""
    await _check_first_decides(witness, spec, method, defects)


@case("SWN-3.1.4.2-version-first", "SWN-3.1.4.5-version-first")
@each_method
async def test_every_defect(witness: Witness, spec: Spec, method: Method) -> None:
    """Register or RegisterEx with every parameter wrong returns ERROR_REVISION_MISMATCH (0x51A)."""
    await _check_first_decides(witness, spec, method, every_defect(method))


# Where the text leaves the order open
# ----------------------------------------------------------------------------------------------------------

#: Parameters that a server may reject, and the ambiguity that says so. The text has no check of them, and so
#: no place for one in the order.
MAY_BE_REJECTED: dict[str, tuple[str, dict[str, Any]]] = {
    "undefined Flags": ("AMB-26", {"flags": 0x2}),
    "an empty IpAddress": ("AMB-29", {"ip_address": ""}),
    "an empty ClientComputerName": ("AMB-29", {"client_computer_name": ""}),
}


@case(
    "SWN-3.1.4.2-version-first",
    "SWN-3.1.4.5-version-first",
    "SWN-3.1.4.2-check-order",
    "SWN-3.1.4.5-check-order",
)
@each_method
async def test_parameters_without_a_place(witness: Witness, spec: Spec, method: Method) -> None:
    """Record which error decides for parameters that the text does not check; Version is checked first."""
    for what, (ambiguity, fields) in MAY_BE_REJECTED.items():
        if method is REGISTER and "flags" in fields:
            continue
        alone = await _reply(witness, method, **fields)
        await witness.check_still_serving(spec)
        for defect in DEFECTS:
            if method not in defect.methods or defect.field in fields:
                continue
            reply = await _reply(witness, method, defect, **fields)

            note = f"{what}, {defect}"
            if defect is WRONG_VERSION:
                if reply == returns(defect.code) or await _reply(witness, method, defect) == returns(
                    defect.code
                ):
                    spec(method.rule("version-first")).allows(reply, returns(defect.code), note=note)
                continue
            spec(method.rule("check-order")).record(reply, note=f"{note}; {what} alone: {alone}")
            if alone.kind == "result" and alone.code not in {0, defect.code}:
                spec.choice(ambiguity, f"{method} with {note}: {reply}")
