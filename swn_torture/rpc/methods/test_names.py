"""NetName and ClientComputerName of a registration, right, wrong and hostile (MS-SWN 3.1.4.2, 3.1.4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import case, returns
from swn_torture.casekit.protocol import Win32
from swn_torture.casekit.steps.registering import (
    REGISTER,
    WRONG_PARAMETER,
    Method,
    each_method,
    succeeded,
    with_handle,
)
from swn_torture.casekit.steps.strings import HOSTILE, UNUSUAL, endings, hostile

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.casekit import Spec
    from swn_torture.casekit.witness import Witness

SUCCESS = returns(Win32.ERROR_SUCCESS)

#: Names that are not the cluster's, made from its own.
FOREIGN: dict[str, Callable[[str], str]] = {
    "invalid": lambda _: "XXXXInvalid.contoso.comXXXX",
    "empty": lambda _: "",
    "longer": lambda right: right + "X",
    "shorter": lambda right: right[:-1],
    "prefixed": lambda right: "X" + right,
}


@case("SWN-3.1.4.2-netname-mismatch", "SWN-3.1.4.5-netname-mismatch", syntaxes="both")
@pytest.mark.parametrize("kind", [*FOREIGN, *UNUSUAL])
@each_method
async def test_foreign_net_name(witness: Witness, spec: Spec, method: Method, kind: str) -> None:
    """Registering with a NetName that is not the cluster's is refused."""
    name = UNUSUAL[kind] if kind in UNUSUAL else FOREIGN[kind](witness.net_name)
    client = await witness.connect()

    reply = await method.reply(witness, client, net_name=name)

    spec(method.rule("netname-mismatch")).allows(reply, WRONG_PARAMETER)
    if kind == "empty":
        spec.choice("AMB-29", f"empty NetName: {reply}")


@case("SWN-3.1.4.2-netname-mismatch", "SWN-3.1.4.5-netname-mismatch")
@pytest.mark.parametrize("kind", HOSTILE)
@each_method
async def test_hostile_net_name(witness: Witness, spec: Spec, method: Method, kind: str) -> None:
    """Registering with a NetName at the edge of what a string is is refused, and others are still served."""
    client = await witness.connect()

    reply = await method.reply(witness, client, net_name=hostile(kind, witness.net_name))

    # What follows the first NUL of a null-terminated string may be held to be no part of it.
    right = [SUCCESS] if kind == "nul-inside" else []
    spec(method.rule("netname-mismatch")).allows(reply, WRONG_PARAMETER, *endings(kind), *right)
    await witness.check_still_serving(spec)


@case("SWN-3.1.4.2-netname-mismatch", "SWN-3.1.4.2-netname-case", "SWN-3.1.4.5-netname-mismatch")
@each_method
async def test_near_net_names(witness: Witness, spec: Spec, method: Method) -> None:
    """Other ways to write the cluster's name are taken or refused; the text does not say what equal means."""
    name = witness.net_name
    spellings = {
        "in upper case": name.upper(),
        "in lower case": name.lower(),
        "in mixed case": name.lower().capitalize(),
        "with a dot at the end": f"{name}.",
        "with a foreign domain": f"{name.partition('.')[0]}.contoso.com",
        "with a blank at the end": f"{name} ",
        "as UNC": rf"\\{name}",
    }
    if witness.profile.spn_host:
        spellings["as in the service principal"] = witness.profile.spn_host
    client = await witness.connect()

    replies = {how: await method.reply(witness, client, net_name=text) for how, text in spellings.items()}

    for how, reply in replies.items():
        spec(method.rule("netname-mismatch")).record(f"{spellings[how]!r}, {how}: {reply}")
        if method is REGISTER and "case" in how:
            spec("SWN-3.1.4.2-netname-case").record(f"{spellings[how]!r}, {how}: {reply}")
    taken = ", ".join(how for how, reply in replies.items() if succeeded(reply))
    spec.choice("AMB-6", f"{method} takes the cluster's name {taken or 'in no other form'}")


#: The longest host name there is, as Windows sends its own (product note 13): 255 octets on the wire of DNS.
LONGEST = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])


@case("SWN-3.1.4.2-returns-success", "SWN-3.1.4.5-returns-success", syntaxes="both")
@pytest.mark.parametrize("name", ["A", LONGEST, "client.example.com"], ids=["short", "longest", "qualified"])
@each_method
async def test_client_name(witness: Witness, spec: Spec, method: Method, name: str) -> None:
    """Registering with any host name as ClientComputerName succeeds."""
    client = await witness.connect()

    reply = await method.reply(witness, client, client_computer_name=name)

    spec(method.rule("returns-success")).holds(
        succeeded(reply), expected="ERROR_SUCCESS (0x0) with a handle", observed=with_handle(reply)
    )


@case("SWN-3.1.4.2-returns-success", "SWN-3.1.4.5-returns-success")
@pytest.mark.parametrize("kind", ["empty", *UNUSUAL, *HOSTILE])
@each_method
async def test_strange_client_name(witness: Witness, spec: Spec, method: Method, kind: str) -> None:
    """Registering with a ClientComputerName that is no host name comes to a clean end."""
    name = hostile(kind, "CLIENT") if kind in HOSTILE else UNUSUAL.get(kind, "")
    client = await witness.connect()

    reply = await method.reply(witness, client, client_computer_name=name)

    spec(method.rule("returns-success")).record(f"ClientComputerName {kind}: {with_handle(reply)}")
    if kind == "empty":
        spec.choice("AMB-29", f"empty ClientComputerName: {reply}")
    await witness.check_still_serving(spec)
