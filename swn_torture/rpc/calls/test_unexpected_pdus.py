"""PDUs that no client sends, or that come when they cannot (MS-RPCE 3.3.3, 3.3.3.5.7; C706 12.6.4)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import CLOSED, case, faults
from swn_torture.casekit.outcome import refuses_bind
from swn_torture.casekit.protocol import NDR32, GetInterfaceListRequest
from swn_torture.casekit.steps.octets import answer_to, contexts, request_octets
from swn_torture.casekit.transport import (
    AlterContextResp,
    Auth3,
    AuthLevel,
    AuthType,
    BindAck,
    BindNak,
    CoCancel,
    ContextResult,
    FaultPdu,
    FaultStatus,
    Header,
    Orphaned,
    Response,
    SecTrailer,
    Shutdown,
)

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.transport import Pdu
    from swn_torture.casekit.witness import Witness

#: How a server may end what its state machine has no place for (MS-RPCE 3.3.3, under figure 20).
ERRORS = (faults(FaultStatus.NCA_S_PROTO_ERROR), refuses_bind(), CLOSED)

#: What servers say, and nobody says to them.
FROM_SERVERS: dict[str, Pdu] = {
    "response": Response(stub=bytes(8)),
    "fault": FaultPdu(status=FaultStatus.NCA_S_FAULT_UNSPEC),
    "bind-ack": BindAck(results=(ContextResult(0, 0, NDR32),)),
    "bind-nak": BindNak(reason=1, padding=bytes(3)),
    "alter-context-resp": AlterContextResp(results=(ContextResult(0, 0, NDR32),)),
    "shutdown": Shutdown(),
}

#: Types of the connectionless protocol, and numbers that are no type at all.
NO_TYPES = (1, 4, 5, 6, 7, 8, 9, 10, 20, 21, 77, 128, 255)


def _bare(ptype: int, call_id: int) -> bytes:
    return Header(ptype, 0x03, 24, 0, call_id).pack() + bytes(8)


@case("RPC-PTYPE-unexpected")
@pytest.mark.parametrize("pdu", FROM_SERVERS)
@pytest.mark.parametrize("level", [AuthLevel.NONE, AuthLevel.INTEGRITY], ids=["plain", "protected"])
async def test_pdu_of_a_server(witness: Witness, spec: Spec, pdu: str, level: AuthLevel) -> None:
    """A bound client sends a PDU that only servers send: a protocol error."""
    client = await witness.connect(level=level)
    octets = dataclasses.replace(FROM_SERVERS[pdu], call_id=client.rpc.core.next_call_id()).pack()

    answer = await answer_to(client.rpc, octets, timeout=witness.expect.reply_deadline)

    spec("RPC-PTYPE-unexpected").allows(answer, *ERRORS)
    await witness.check_still_serving(spec)


@case("RPC-PTYPE-unexpected")
@pytest.mark.parametrize("ptype", NO_TYPES)
async def test_type_of_no_connection(witness: Witness, spec: Spec, ptype: int) -> None:
    """A bound client sends a PDU of a type that does not exist on a connection: a protocol error."""
    client = await witness.connect()
    octets = _bare(ptype, client.rpc.core.next_call_id())

    answer = await answer_to(client.rpc, octets, timeout=witness.expect.reply_deadline)

    spec("RPC-PTYPE-unexpected").allows(answer, *ERRORS)
    await witness.check_still_serving(spec)


#: What a connection may not begin with; a request has a case of its own.
NOT_FIRST = ("response", "shutdown", "bind-ack")
#: Those that clients do send and servers do not answer, so that their silence is nothing to judge.
NEVER_ANSWERED: dict[str, Pdu] = {
    "co-cancel": CoCancel(),
    "orphaned": Orphaned(),
    "auth3": Auth3(trailer=SecTrailer(AuthType.NTLM, AuthLevel.INTEGRITY, 0, 1), auth_value=bytes(16)),
}


@case("RPC-PTYPE-unexpected")
@pytest.mark.parametrize("pdu", [*NOT_FIRST, *NEVER_ANSWERED])
async def test_first_pdu(witness: Witness, spec: Spec, pdu: str) -> None:
    """A connection begins with a PDU that can only follow a bind: a protocol error."""
    expect = witness.expect
    rpc = await witness.rpc()
    judged = pdu in NOT_FIRST
    octets = (FROM_SERVERS if judged else NEVER_ANSWERED)[pdu].pack()

    answer = await answer_to(rpc, octets, timeout=expect.reply_deadline if judged else expect.quiet_time)

    if judged:
        spec("RPC-PTYPE-unexpected").allows(answer, *ERRORS)
    else:
        spec("RPC-PTYPE-unexpected").record(answer, f"{pdu} before any bind")
    await witness.check_still_serving(spec)


@case("RPC-PTYPE-unexpected")
@pytest.mark.parametrize("alter", [False, True], ids=["second-bind", "alter-context-first"])
async def test_bind_out_of_place(witness: Witness, spec: Spec, alter: bool) -> None:
    """A bind on a connection that is bound, or alter_context on one that is not: a protocol error."""
    rpc = await witness.rpc() if alter else (await witness.connect()).rpc
    octets = rpc.core.bind(contexts(NDR32), alter=alter).pack()

    answer = await answer_to(rpc, octets, timeout=witness.expect.reply_deadline)

    spec("RPC-PTYPE-unexpected").allows(answer, *ERRORS)
    await witness.check_still_serving(spec)


@case("RPC-PTYPE-unexpected")
async def test_auth3_out_of_place(witness: Witness, spec: Spec) -> None:
    """auth3 for a security context that is complete already: what becomes of the request behind it."""
    client = await witness.connect()
    (entry,) = client.rpc.core.security.values()
    client.rpc.write(client.rpc.core.auth3(entry, b"NTLMSSP\0" + bytes(56)).pack())

    answer = await answer_to(
        client.rpc,
        *request_octets(client, GetInterfaceListRequest()),
        timeout=witness.expect.reply_deadline,
    )

    spec("RPC-PTYPE-unexpected").record(answer, "GetInterfaceList after an auth3 that was not due")
    await witness.check_still_serving(spec)
