"""Requests with an object UUID in their header (C706 12.6.4.9).

PFC_OBJECT_UUID puts 16 octets between the header and the stub data. A server that does not know the flag
reads them as the first parameter. So each method is called that has parameters, and GetInterfaceList.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.casekit import SILENCE, SUCCESS, case, outcome_of
from swn_torture.casekit.protocol import (
    AsyncNotifyRequest,
    GetInterfaceListRequest,
    Opnum,
    UnRegisterExRequest,
    UnRegisterRequest,
)
from swn_torture.casekit.steps.registering import OP_RNG_ERROR, REGISTER, REGISTER_EX
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit import Outcome, Spec
    from swn_torture.casekit.protocol import Request, WitnessClient
    from swn_torture.casekit.witness import Witness


async def _valid_request(witness: Witness, client: WitnessClient, opnum: Opnum) -> Request[Any]:
    """A valid request for a method. Handles are of new registrations."""
    match opnum:
        case Opnum.GET_INTERFACE_LIST:
            return GetInterfaceListRequest()
        case Opnum.REGISTER:
            return REGISTER.request(witness, ip_address=await witness.address_of())
        case Opnum.REGISTER_EX:
            return REGISTER_EX.request(witness, ip_address=await witness.address_of())
    handle = await witness.register(client)
    if opnum == Opnum.UNREGISTER:
        return UnRegisterRequest(handle)
    return UnRegisterExRequest(handle) if opnum == Opnum.UNREGISTER_EX else AsyncNotifyRequest(handle)


async def _outcome(witness: Witness, opnum: Opnum, **options: Any) -> Outcome:
    """Call a method on a new connection, and return how the call ended."""
    client = await witness.connect()
    request = await _valid_request(witness, client, opnum)
    expect = witness.expect
    deadline = expect.quiet_time if opnum == Opnum.ASYNC_NOTIFY else expect.reply_deadline
    return await outcome_of(client.start(request, **options), deadline)


OBJECTS = {"nil": lambda: uuid.UUID(int=0), "random": uuid.uuid4}


@case("RPC-REQ-object-uuid", syntaxes="both")
@pytest.mark.parametrize("which", OBJECTS)
@pytest.mark.parametrize("opnum", Opnum, ids=lambda opnum: opnum.name.lower().replace("_", "-"))
async def test_each_method(witness: Witness, spec: Spec, opnum: Opnum, which: str) -> None:
    """Each method, called with an object UUID in the request header, is served as without one."""
    served = SILENCE if opnum == Opnum.ASYNC_NOTIFY else SUCCESS

    reply = await _outcome(witness, opnum, object_uuid=OBJECTS[which]())

    if reply != served:
        ordinary = await _outcome(witness, opnum)
        if ordinary == OP_RNG_ERROR:
            raise NotTestable(f"the target has no opnum {int(opnum)}")
        if ordinary == reply:
            raise NotTestable(f"{opnum.method} without an object UUID ends in the same way: {ordinary}")
    spec("RPC-REQ-object-uuid").allows(reply, served, note=f"{opnum.method}, {which} object UUID")
