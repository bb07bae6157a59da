"""Which method each operation number is (MS-SWN 3.1.4, 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.casekit import case, outcome_of, returns
from swn_torture.casekit.protocol import AsyncNotifyRequest, GetInterfaceListRequest, Opnum, UnRegisterRequest
from swn_torture.casekit.steps.registering import MISMATCH, NO_SUCH_METHOD, unregister

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.protocol import Request, WitnessClient
    from swn_torture.casekit.witness import Witness


async def right_request(witness: Witness, client: WitnessClient, opnum: Opnum) -> Request[Any]:
    """A request of one of the methods of version 1 that it answers at once."""
    if opnum == Opnum.GET_INTERFACE_LIST:
        return GetInterfaceListRequest()
    if opnum == Opnum.REGISTER:
        return witness.registration(ip_address=await witness.address_of(0))
    handle = await witness.register(client)
    if opnum == Opnum.UNREGISTER:
        return UnRegisterRequest(handle)
    # With a good handle there would be nothing to see: the call waits for events.
    await unregister(witness, client, handle)
    return AsyncNotifyRequest(handle)


@case(*(f"SWN-3.1.4-opnum-{opnum}" for opnum in range(4)), syntaxes="both")
@pytest.mark.parametrize("opnum", range(4))
async def test_opnum(witness: Witness, spec: Spec, opnum: int) -> None:
    """Each opnum of version 1 takes the parameters of its method, and answers in the shape of its answer."""
    client = await witness.connect()
    request = await right_request(witness, client, Opnum(opnum))

    reply = await outcome_of(client.start(request))

    allowed = [returns(), *([MISMATCH] if opnum == Opnum.ASYNC_NOTIFY else [])]
    spec(f"SWN-3.1.4-opnum-{opnum}").allows(reply, *allowed, note=f"opnum {opnum}, {Opnum(opnum).method}")


@case("SWN-3.1.4-opnum-4", syntaxes="both")
async def test_opnum_4(witness: Witness, spec: Spec) -> None:
    """Opnum 4 is WitnessrRegisterEx where there is version 2, and may be missing where there is not."""
    client = await witness.connect()

    reply = await outcome_of(client.start(witness.registration_ex(ip_address=await witness.address_of(0))))

    older = witness.expect.version == 1
    spec("SWN-3.1.4-opnum-4").allows(reply, returns(), *([NO_SUCH_METHOD] if older else []))
