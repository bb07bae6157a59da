"""Which method each opnum is (MS-SWN 3.1.4, 6). Opnum 5 is in ``test_unregister_ex.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.casekit import case, outcome_of, returns
from swn_torture.casekit.protocol import AsyncNotifyRequest, GetInterfaceListRequest, Opnum, UnRegisterRequest
from swn_torture.casekit.steps.registering import CONTEXT_MISMATCH, OP_RNG_ERROR, unregister

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.protocol import Request, WitnessClient
    from swn_torture.casekit.witness import Witness


async def valid_request(witness: Witness, client: WitnessClient, opnum: Opnum) -> Request[Any]:
    """A valid request for a method of version 1 that completes at once."""
    if opnum == Opnum.GET_INTERFACE_LIST:
        return GetInterfaceListRequest()
    if opnum == Opnum.REGISTER:
        return witness.registration(ip_address=await witness.address_of(0))
    handle = await witness.register(client)
    if opnum == Opnum.UNREGISTER:
        return UnRegisterRequest(handle)
    # AsyncNotify with a valid handle would stay pending and show nothing.
    await unregister(witness, client, handle)
    return AsyncNotifyRequest(handle)


#: The rule about each opnum of version 1, in the order of the opnums.
OPNUM_RULES = ("SWN-3.1.4-opnum-0", "SWN-3.1.4-opnum-1", "SWN-3.1.4-opnum-2", "SWN-3.1.4-opnum-3")


@case(*OPNUM_RULES, syntaxes="both")
@pytest.mark.parametrize("opnum", range(4))
async def test_opnum(witness: Witness, spec: Spec, opnum: int) -> None:
    """Each opnum from 0 to 3 accepts the in parameters of its method and returns the out parameters."""
    client = await witness.connect()
    request = await valid_request(witness, client, Opnum(opnum))

    reply = await outcome_of(client.start(request))

    allowed = [returns(), *([CONTEXT_MISMATCH] if opnum == Opnum.ASYNC_NOTIFY else [])]
    spec(OPNUM_RULES[opnum]).allows(reply, *allowed, note=f"opnum {opnum}, {Opnum(opnum).method}")


@case("SWN-3.1.4-opnum-4", syntaxes="both")
async def test_opnum_4(witness: Witness, spec: Spec) -> None:
    """Opnum 4 is RegisterEx; a version 1 server may return fault nca_s_op_rng_error instead."""
    client = await witness.connect()

    reply = await outcome_of(client.start(witness.registration_ex(ip_address=await witness.address_of(0))))

    version_1 = witness.expect.version == 1
    spec("SWN-3.1.4-opnum-4").allows(reply, returns(), *([OP_RNG_ERROR] if version_1 else []))
