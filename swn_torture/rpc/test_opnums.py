"""Which method each operation number is (MS-SWN 3.1.4, 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.harness import case, outcome_of, returns
from swn_torture.harness.registering import MISMATCH, NO_SUCH_METHOD, unregister
from swn_torture.witness.constants import Opnum
from swn_torture.witness.messages import AsyncNotifyRequest, GetInterfaceListRequest, UnRegisterRequest

if TYPE_CHECKING:
    from swn_torture.harness import Law
    from swn_torture.harness.witness import Witness


@case(*(f"SWN-3.1.4-opnum-{opnum}" for opnum in range(4)), syntaxes="both")
@pytest.mark.parametrize("opnum", range(4))
async def test_opnum(witness: Witness, law: Law, opnum: int) -> None:
    """Each opnum of version 1 takes the parameters of its method, and answers in the shape of its answer."""
    client = await witness.connect()
    handle = await witness.register(client)
    if opnum == Opnum.ASYNC_NOTIFY:
        # With a good handle there would be nothing to see: the call waits for events.
        await unregister(witness, client, handle)
    request = {
        Opnum.GET_INTERFACE_LIST: GetInterfaceListRequest(),
        Opnum.REGISTER: witness.registration(ip_address=await witness.address_of(0)),
        Opnum.UNREGISTER: UnRegisterRequest(handle),
        Opnum.ASYNC_NOTIFY: AsyncNotifyRequest(handle),
    }[Opnum(opnum)]

    reply = await outcome_of(client.start(request))

    allowed = [returns(), *([MISMATCH] if opnum == Opnum.ASYNC_NOTIFY else [])]
    law(f"SWN-3.1.4-opnum-{opnum}").allows(reply, *allowed, note=f"opnum {opnum}, {Opnum(opnum).method}")


@case("SWN-3.1.4-opnum-4", syntaxes="both")
async def test_opnum_4(witness: Witness, law: Law) -> None:
    """Opnum 4 is WitnessrRegisterEx where there is version 2, and may be missing where there is not."""
    client = await witness.connect()

    reply = await outcome_of(client.start(witness.registration_ex(ip_address=await witness.address_of(0))))

    older = witness.place.profile.expect.version == 1
    law("SWN-3.1.4-opnum-4").allows(reply, returns(), *([NO_SUCH_METHOD] if older else []))
