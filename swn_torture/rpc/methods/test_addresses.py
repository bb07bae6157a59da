"""IpAddress of a registration: both families, other spellings, invalid text (MS-SWN 3.1.4.2, 3.1.4.5)."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import SUCCESS, case
from swn_torture.casekit.shown import quoted
from swn_torture.casekit.steps.registering import (
    INVALID_PARAMETER,
    INVALID_STATE,
    REGISTER,
    Method,
    each_method,
    every_address,
    forget,
    share_fields,
)
from swn_torture.casekit.steps.scale_out import check_rejected
from swn_torture.casekit.steps.strings import HOSTILE, UNUSUAL, hostile_string, runtime_refusals

if TYPE_CHECKING:
    from ipaddress import IPv4Address

    from swn_torture.casekit import Spec
    from swn_torture.casekit.witness import Witness


@case("SWN-3.1.4.2-ip-format", needs=("scale-out-share",))
async def test_either_family_is_found(witness: Witness, spec: Spec) -> None:
    """Register with each IPv4 and IPv6 address of the interface list returns ERROR_SUCCESS."""
    client = await witness.connect()
    for address in await every_address(witness):
        reply = await REGISTER.reply(witness, client, ip_address=address)

        spec("SWN-3.1.4.2-ip-format").allows(reply, SUCCESS, note=f"IpAddress {address}")
        await forget(witness, client, reply)


def spellings(address: IPv4Address | IPv6Address) -> dict[str, str]:
    """Other texts that some parsers read as the same address, by a description of the spelling."""
    if isinstance(address, IPv6Address):
        return {
            "all digits": address.exploded,
            "upper case": address.compressed.upper(),
            "with a zone index": f"{address}%1",
            "in brackets": f"[{address}]",
            "with a prefix length": f"{address}/128",
        }
    padded = ".".join(f"{int(part):03}" for part in str(address).split("."))
    return {
        "with leading zeros": padded,
        "as one decimal number": str(int(address)),
        "as an IPv4-mapped IPv6 address": f"::ffff:{address}",
        "with a trailing space": f"{address} ",
        "with a prefix length": f"{address}/32",
        "with a port": f"{address}:445",
    }


@case("SWN-3.1.4.2-ip-format")
async def test_other_spellings(witness: Witness, spec: Spec) -> None:
    """Register with other spellings of an interface's address; record the results."""
    client = await witness.connect()
    by_family = {address.version: address for address in map(ip_address, await every_address(witness))}
    for address in by_family.values():
        for spelling, text in spellings(address).items():
            reply = await REGISTER.reply(witness, client, ip_address=text)

            spec("SWN-3.1.4.2-ip-format").record(f"{quoted(text)} ({spelling}): {reply}")
            await forget(witness, client, reply)
    await witness.check_still_serving(spec)


#: Text that is not an address of either family.
NOT_AN_ADDRESS = {
    "words": "not an address",
    "too-large": "256.256.256.256",
    "three-parts": "192.0.2",
    "two-gaps": "fe80::1::2",
    **UNUSUAL,
}


@case("SWN-3.1.4.2-sofs-ip-unknown", "SWN-3.1.4.5-sofs-ip-unknown", needs=("scale-out-share",))
@pytest.mark.parametrize("kind", ["empty", *NOT_AN_ADDRESS, *HOSTILE])
@each_method
async def test_not_an_address(witness: Witness, spec: Spec, method: Method, kind: str) -> None:
    """On a scale-out cluster, Register or RegisterEx with text that is not an IP address is rejected."""
    valid = await witness.address_of(0)
    text = hostile_string(kind, valid) if kind in HOSTILE else NOT_AN_ADDRESS.get(kind, "")
    client = await witness.connect()

    reply = await method.reply(witness, client, ip_address=text, **share_fields(witness, method))

    allowed = [INVALID_STATE, INVALID_PARAMETER]
    if kind in HOSTILE:
        allowed += runtime_refusals(kind)
    if kind == "nul-inside":
        # A server may end the string at its first NUL; then it reads a valid address.
        allowed.append(SUCCESS)
    if kind == "empty":
        spec.choice("AMB-29", f"empty IpAddress: {reply}")
    try:
        await check_rejected(witness, spec, method.rule("sofs-ip-unknown"), reply, *allowed)
    finally:
        await witness.check_still_serving(spec)
