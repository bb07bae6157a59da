"""IpAddress of a registration: its families, its spellings, and text that is no address (MS-SWN 3.1.4.2)."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import case, returns
from swn_torture.casekit.protocol import Win32
from swn_torture.casekit.steps.registering import (
    INVALID_STATE,
    REGISTER,
    WRONG_PARAMETER,
    Method,
    each_method,
    every_address,
    on_share,
)
from swn_torture.casekit.steps.strings import HOSTILE, UNUSUAL, endings, hostile

if TYPE_CHECKING:
    from ipaddress import IPv4Address

    from swn_torture.casekit import Spec
    from swn_torture.casekit.witness import Witness

SUCCESS = returns(Win32.ERROR_SUCCESS)


@case("SWN-3.1.4.2-ip-format", needs=("scale-out-share",))
async def test_either_family_is_found(witness: Witness, spec: Spec) -> None:
    """Register finds the address of an interface by its IPv4 text, and by its IPv6 text where it has one."""
    client = await witness.connect()
    for address in await every_address(witness):
        reply = await REGISTER.reply(witness, client, ip_address=address)

        spec("SWN-3.1.4.2-ip-format").allows(reply, SUCCESS, note=f"IpAddress {address}")


def spellings(address: IPv4Address | IPv6Address) -> dict[str, str]:
    """Other texts that some readers take for the same address."""
    if isinstance(address, IPv6Address):
        return {
            "all digits": address.exploded,
            "upper case": address.compressed.upper(),
            "a zone": f"{address}%1",
            "brackets": f"[{address}]",
            "a prefix length": f"{address}/128",
        }
    padded = ".".join(f"{int(part):03}" for part in str(address).split("."))
    return {
        "leading zeros": padded,
        "one number": str(int(address)),
        "mapped into IPv6": f"::ffff:{address}",
        "a blank behind it": f"{address} ",
        "a prefix length": f"{address}/32",
        "a port": f"{address}:445",
    }


@case("SWN-3.1.4.2-ip-format")
async def test_other_spellings(witness: Witness, spec: Spec) -> None:
    """Register with an address of an interface in another spelling takes it or refuses it."""
    client = await witness.connect()
    known = {address.version: address for address in map(ip_address, await every_address(witness))}
    for address in known.values():
        for how, text in spellings(address).items():
            reply = await REGISTER.reply(witness, client, ip_address=text)

            spec("SWN-3.1.4.2-ip-format").record(f"{text!r} ({how}): {reply}")
    await witness.check_still_serving(spec)


#: Text that is no address of either family.
NO_ADDRESS = {
    "words": "not an address",
    "too-large": "256.256.256.256",
    "three-parts": "192.0.2",
    "two-gaps": "fe80::1::2",
    **UNUSUAL,
}


@case("SWN-3.1.4.2-sofs-ip-unknown", "SWN-3.1.4.5-sofs-ip-unknown", needs=("scale-out-share",))
@pytest.mark.parametrize("kind", ["empty", *NO_ADDRESS, *HOSTILE])
@each_method
async def test_no_address(witness: Witness, spec: Spec, method: Method, kind: str) -> None:
    """Registering on a scale-out cluster with an IpAddress that is none is refused."""
    right = await witness.address_of(0)
    text = hostile(kind, right) if kind in HOSTILE else NO_ADDRESS.get(kind, "")
    client = await witness.connect()

    reply = await method.reply(witness, client, ip_address=text, **on_share(witness, method))

    refusals = [INVALID_STATE, WRONG_PARAMETER]
    if kind in HOSTILE:
        refusals += endings(kind)
    if kind == "nul-inside":
        # What follows the first NUL of a null-terminated string may be held to be no part of it.
        refusals.append(SUCCESS)
    spec(method.rule("sofs-ip-unknown")).allows(reply, *refusals)
    if kind == "empty":
        spec.choice("AMB-29", f"empty IpAddress: {reply}")
    await witness.check_still_serving(spec)
