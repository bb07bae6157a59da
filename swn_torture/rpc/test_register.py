"""WitnessrRegister, opnum 1 (MS-SWN 3.1.4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.harness import case, outcome_of, returns
from swn_torture.witness.messages import NULL_HANDLE
from swn_torture.witness.win32 import Win32

if TYPE_CHECKING:
    from swn_torture.harness import Law
    from swn_torture.harness.witness import Witness


@case("SWN-3.1.4.2-returns-success", "SWN-3.1.4.2-success-code", "SWN-1.7-version-1", syntaxes="both")
async def test_valid_registration(witness: Witness, law: Law) -> None:
    """Register with everything right returns success and a handle."""
    client = await witness.connect()
    request = witness.registration(ip_address=await witness.address_of(0))

    reply = await outcome_of(client.start(request))

    law("SWN-3.1.4.2-success-code", "SWN-1.7-version-1").allows(reply, returns(Win32.ERROR_SUCCESS))
    law("SWN-3.1.4.2-returns-success").holds(
        reply == returns(Win32.ERROR_SUCCESS) and reply.response.context != NULL_HANDLE,
        expected="ERROR_SUCCESS (0x0) with a handle that is not null",
        observed=f"{reply}, {getattr(reply.response, 'context', 'no handle')}",
    )


@case("SWN-3.1.4.2-version-mismatch", syntaxes="both")
@pytest.mark.parametrize("version", [0, 1, 0x00010000, 0x00010002, 0x00020000, 123456, 0xFFFFFFFF], ids=hex)
async def test_wrong_version(witness: Witness, law: Law, version: int) -> None:
    """Register with a Version that is not 0x00010001 is refused."""
    client = await witness.connect()
    request = witness.registration(version=version, ip_address=await witness.address_of(0))

    reply = await outcome_of(client.start(request))

    law("SWN-3.1.4.2-version-mismatch").allows(reply, returns(Win32.ERROR_REVISION_MISMATCH))


@case("SWN-3.1.4.2-version-first")
async def test_version_is_checked_before_names(witness: Witness, law: Law) -> None:
    """Register with a wrong Version and no names at all is refused for its version."""
    client = await witness.connect()
    request = witness.registration(
        version=0x00020000, net_name=None, ip_address=None, client_computer_name=None
    )

    reply = await outcome_of(client.start(request))

    law("SWN-3.1.4.2-version-first").allows(reply, returns(Win32.ERROR_REVISION_MISMATCH))


NULLS = {
    "net_name": "SWN-3.1.4.2-null-netname",
    "ip_address": "SWN-3.1.4.2-null-ipaddress",
    "client_computer_name": "SWN-3.1.4.2-null-clientname",
}


@case(*NULLS.values(), syntaxes="both")
@pytest.mark.parametrize("field", NULLS)
async def test_null_name(witness: Witness, law: Law, field: str) -> None:
    """Register with a name that is NULL is refused."""
    client = await witness.connect()
    request = witness.registration(**{"ip_address": await witness.address_of(0), field: None})

    reply = await outcome_of(client.start(request))

    law(NULLS[field]).allows(reply, returns(Win32.ERROR_INVALID_PARAMETER))
