"""PDUs and flags that a server does not expect (MS-RPCE 2.2.2.2, 3.3.3, 3.3.3.5.7; C706 12.6.3.1, 12.6.4)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import CLOSED, case, faults, outcome_of
from swn_torture.casekit.outcome import refuses_bind
from swn_torture.casekit.protocol import NDR32, GetInterfaceListRequest
from swn_torture.casekit.steps.octets import contexts, request_octets, send_octets
from swn_torture.casekit.transport import (
    WHOLE,
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
    PfcFlags,
    Response,
    SecTrailer,
    Shutdown,
)

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.transport import Pdu
    from swn_torture.casekit.witness import Witness

#: The answers to a PDU that the state machine of the server does not allow (MS-RPCE 3.3.3, below figure 20).
ERRORS = (faults(FaultStatus.NCA_S_PROTO_ERROR), refuses_bind(), CLOSED)

#: PDUs that only servers send.
FROM_SERVERS: dict[str, Pdu] = {
    "response": Response(stub=bytes(8)),
    "fault": FaultPdu(status=FaultStatus.NCA_S_FAULT_UNSPEC),
    "bind-ack": BindAck(results=(ContextResult(0, 0, NDR32),)),
    "bind-nak": BindNak(reason=1, padding=bytes(3)),
    "alter-context-resp": AlterContextResp(results=(ContextResult(0, 0, NDR32),)),
    "shutdown": Shutdown(),
}

#: PDU types of the connectionless protocol, and undefined ones.
UNKNOWN_PDU_TYPES = (1, 4, 5, 6, 7, 8, 9, 10, 20, 21, 77, 128, 255)


def _pdu_of_type(ptype: int, call_id: int) -> bytes:
    return Header(ptype, 0x03, 24, 0, call_id).pack() + bytes(8)


@case("RPC-PTYPE-unexpected")
@pytest.mark.parametrize("pdu", FROM_SERVERS)
@pytest.mark.parametrize("level", [AuthLevel.NONE, None], ids=["plain", "protected"])
async def test_pdu_of_a_server(witness: Witness, spec: Spec, pdu: str, level: AuthLevel | None) -> None:
    """Send a PDU that only servers send: the answer is a fault, a bind_nak or a closed connection."""
    client = await witness.connect(level=level)
    octets = dataclasses.replace(FROM_SERVERS[pdu], call_id=client.rpc.core.next_call_id()).pack()

    answer = await send_octets(client.rpc, octets, timeout=witness.expect.reply_deadline)

    spec("RPC-PTYPE-unexpected").allows(answer, *ERRORS)
    await witness.check_still_serving(spec)


@case("RPC-PTYPE-unexpected")
@pytest.mark.parametrize("ptype", UNKNOWN_PDU_TYPES)
async def test_unknown_pdu_type(witness: Witness, spec: Spec, ptype: int) -> None:
    """Send a PDU of an unknown type: the answer is a fault, a bind_nak or a closed connection."""
    client = await witness.connect()
    octets = _pdu_of_type(ptype, client.rpc.core.next_call_id())

    answer = await send_octets(client.rpc, octets, timeout=witness.expect.reply_deadline)

    spec("RPC-PTYPE-unexpected").allows(answer, *ERRORS)
    await witness.check_still_serving(spec)


#: PDUs that must not be the first on a connection. For the request see rpc.bind.request-before-bind.
NOT_FIRST = ("response", "shutdown", "bind-ack")
#: PDUs that clients send and servers do not answer: no answer is correct, so the case only records.
NEVER_ANSWERED: dict[str, Pdu] = {
    "co-cancel": CoCancel(),
    "orphaned": Orphaned(),
    "auth3": Auth3(trailer=SecTrailer(AuthType.NTLM, AuthLevel.INTEGRITY, 0, 1), auth_value=bytes(16)),
}


@case("RPC-PTYPE-unexpected")
@pytest.mark.parametrize("pdu", [*NOT_FIRST, *NEVER_ANSWERED])
async def test_first_pdu(witness: Witness, spec: Spec, pdu: str) -> None:
    """Send a PDU other than bind first: an error; record the result of co_cancel, orphaned and auth3."""
    expect = witness.expect
    rpc = await witness.rpc()
    judged = pdu in NOT_FIRST
    octets = (FROM_SERVERS if judged else NEVER_ANSWERED)[pdu].pack()

    answer = await send_octets(rpc, octets, timeout=expect.reply_deadline if judged else expect.quiet_time)

    if judged:
        spec("RPC-PTYPE-unexpected").allows(answer, *ERRORS)
    else:
        spec("RPC-PTYPE-unexpected").record(answer, f"{pdu} before bind")
    await witness.check_still_serving(spec)


@case("RPC-PTYPE-unexpected")
@pytest.mark.parametrize("alter", [False, True], ids=["second-bind", "alter-context-first"])
async def test_bind_in_wrong_state(witness: Witness, spec: Spec, alter: bool) -> None:
    """A second bind, or alter_context before bind, gets a fault, a bind_nak or a closed connection."""
    rpc = await witness.rpc() if alter else (await witness.connect()).rpc
    octets = rpc.core.bind(contexts(NDR32), alter=alter).pack()

    answer = await send_octets(rpc, octets, timeout=witness.expect.reply_deadline)

    spec("RPC-PTYPE-unexpected").allows(answer, *ERRORS)
    await witness.check_still_serving(spec)


@case("RPC-PTYPE-unexpected")
async def test_auth3_for_complete_context(witness: Witness, spec: Spec) -> None:
    """Send auth3 for a complete security context, then a request; record its answer."""
    client = await witness.connect()
    entry = witness.security_of(client)
    client.rpc.write(client.rpc.core.auth3(entry, b"NTLMSSP\0" + bytes(56)).pack())

    answer = await send_octets(
        client.rpc,
        *request_octets(client, GetInterfaceListRequest()),
        timeout=witness.expect.reply_deadline,
    )

    spec("RPC-PTYPE-unexpected").record(answer, "GetInterfaceList after an unexpected auth3")
    await witness.check_still_serving(spec)


@case("RPC-MAYBE")
async def test_request_with_pfc_maybe(witness: Witness, spec: Spec) -> None:
    """Send GetInterfaceList with PFC_MAYBE; record its answer and that of the next request."""
    client = await witness.connect()

    maybe = client.start(GetInterfaceListRequest(), flags=WHOLE | PfcFlags.MAYBE)
    answer = await outcome_of(maybe, witness.expect.quiet_time)
    after = await outcome_of(client.start(GetInterfaceListRequest()))

    spec("RPC-MAYBE").record(f"{answer}; the next request: {after}")
    await witness.check_still_serving(spec)
