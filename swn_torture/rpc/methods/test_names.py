"""NetName and ClientComputerName of a registration: valid, wrong and hostile (MS-SWN 3.1.4.2, 3.1.4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import SUCCESS, case
from swn_torture.casekit.shown import quoted
from swn_torture.casekit.steps.registering import (
    FOREIGN_NAME,
    INVALID_PARAMETER,
    REGISTER,
    Method,
    each_method,
    forget,
    succeeded,
    with_handle,
)
from swn_torture.casekit.steps.strings import HOSTILE, UNUSUAL, hostile_string, runtime_refusals

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.casekit import Spec
    from swn_torture.casekit.witness import Witness

#: Names other than the cluster's, each made from the cluster's name.
FOREIGN: dict[str, Callable[[str], str]] = {
    "invalid": lambda _: FOREIGN_NAME,
    "empty": lambda _: "",
    "longer": lambda right: right + "X",
    "shorter": lambda right: right[:-1],
    "prefixed": lambda right: "X" + right,
}


@case("SWN-3.1.4.2-netname-mismatch", "SWN-3.1.4.5-netname-mismatch", syntaxes="both")
@pytest.mark.parametrize("kind", [*FOREIGN, *UNUSUAL])
@each_method
async def test_foreign_net_name(witness: Witness, spec: Spec, method: Method, kind: str) -> None:
    """Register or RegisterEx with a NetName other than the cluster's returns ERROR_INVALID_PARAMETER."""
    name = UNUSUAL[kind] if kind in UNUSUAL else FOREIGN[kind](witness.net_name)
    client = await witness.connect()

    reply = await method.reply(witness, client, net_name=name)

    spec(method.rule("netname-mismatch")).allows(reply, INVALID_PARAMETER)
    if kind == "empty":
        spec.choice("AMB-29", f"empty NetName: {reply}")


@case("SWN-3.1.4.2-netname-mismatch", "SWN-3.1.4.5-netname-mismatch")
@pytest.mark.parametrize("kind", HOSTILE)
@each_method
async def test_hostile_net_name(witness: Witness, spec: Spec, method: Method, kind: str) -> None:
    """Register or RegisterEx with a huge or malformed NetName is rejected; others are still served."""
    client = await witness.connect()

    reply = await method.reply(witness, client, net_name=hostile_string(kind, witness.net_name))

    # A server may end the string at its first NUL; then it reads the cluster's name.
    shortened = [SUCCESS] if kind == "nul-inside" else []
    allowed = [INVALID_PARAMETER, *runtime_refusals(kind), *shortened]
    spec(method.rule("netname-mismatch")).allows(reply, *allowed)
    await witness.check_still_serving(spec)


@case("SWN-3.1.4.2-netname-mismatch", "SWN-3.1.4.2-netname-case", "SWN-3.1.4.5-netname-mismatch")
@each_method
async def test_other_spellings_of_net_name(witness: Witness, spec: Spec, method: Method) -> None:
    """Register or RegisterEx with other spellings of the cluster's NetName; record the results."""
    # MS-SWN does not say when two names are equal.
    name = witness.net_name
    spellings = {
        "in upper case": name.upper(),
        "in lower case": name.lower(),
        "in mixed case": name.lower().capitalize(),
        "with a dot at the end": f"{name}.",
        "with a foreign domain": f"{name.partition('.')[0]}.contoso.com",
        "with a space at the end": f"{name} ",
        "as UNC": rf"\\{name}",
    }
    if witness.profile.spn_host:
        spellings["as in the service principal name"] = witness.profile.spn_host
    client = await witness.connect()

    replies = {how: await method.reply(witness, client, net_name=text) for how, text in spellings.items()}
    await forget(witness, client, *replies.values())

    for how, reply in replies.items():
        spec(method.rule("netname-mismatch")).record(f"{quoted(spellings[how])}, {how}: {reply}")
        if method is REGISTER and "case" in how:
            spec("SWN-3.1.4.2-netname-case").record(f"{quoted(spellings[how])}, {how}: {reply}")
    accepted = ", ".join(how for how, reply in replies.items() if succeeded(reply))
    spec.choice("AMB-6", f"{method} accepts the cluster's name {accepted or 'in no other spelling'}")


#: The longest DNS host name: 255 octets on the wire of DNS. Windows sends its FQDN (note 13).
LONGEST = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])


@case("SWN-3.1.4.2-returns-success", "SWN-3.1.4.5-returns-success", syntaxes="both")
@pytest.mark.parametrize("name", ["A", LONGEST, "client.example.com"], ids=["short", "longest", "qualified"])
@each_method
async def test_client_name(witness: Witness, spec: Spec, method: Method, name: str) -> None:
    """Register or RegisterEx with any host name as ClientComputerName returns ERROR_SUCCESS."""
    client = await witness.connect()

    reply = await method.reply(witness, client, client_computer_name=name)

    spec(method.rule("returns-success")).holds(
        succeeded(reply), expected="ERROR_SUCCESS (0x0) with a handle", observed=with_handle(reply)
    )


@case("SWN-3.1.4.2-returns-success", "SWN-3.1.4.5-returns-success")
@pytest.mark.parametrize("kind", ["empty", *UNUSUAL, *HOSTILE])
@each_method
async def test_strange_client_name(witness: Witness, spec: Spec, method: Method, kind: str) -> None:
    """Register or RegisterEx with a ClientComputerName that is not a host name; record the result."""
    name = hostile_string(kind, "CLIENT") if kind in HOSTILE else UNUSUAL.get(kind, "")
    client = await witness.connect()

    reply = await method.reply(witness, client, client_computer_name=name)

    spec(method.rule("returns-success")).record(f"ClientComputerName {kind}: {with_handle(reply)}")
    if kind == "empty":
        spec.choice("AMB-29", f"empty ClientComputerName: {reply}")
    await witness.check_still_serving(spec)
