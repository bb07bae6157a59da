"""The fields of every PDU that a server sends (C706 12.6; MS-RPCE 2.2.2).

The harness checks them in every case, when the case has ended. The cases here make the server send each PDU
type, so that every rule has a case.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import case, outcome_of
from swn_torture.casekit.protocol import NDR32, GetInterfaceListRequest, Opnum, SyntaxId
from swn_torture.casekit.steps.octets import contexts, outcome_of_bind, outcome_of_raw_call
from swn_torture.casekit.transport import AuthLevel

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.witness import Witness

_UNKNOWN = SyntaxId(uuid.UUID("a4b1e7c2-0d5f-4f6a-9c3e-7b8d2f1a6c55"), 1, 0)


@case(
    "RPC-PDU-version",
    "RPC-PDU-ptype",
    "RPC-PDU-one-fragment",
    "RPC-PDU-drep",
    "RPC-PDU-reserved",
    "RPC-CALLID-bind",
    "RPC-BIND-result-values",
)
async def test_bind_exchange(witness: Witness, spec: Spec) -> None:
    """bind_ack, alter_context_resp and bind_nak have valid headers, call_ids and results."""
    rpc = await witness.rpc()
    elements = (*contexts(NDR32), *contexts(NDR32, abstract=_UNKNOWN, first=1), *contexts(_UNKNOWN, first=2))
    bound = await outcome_of_bind(rpc.bind(elements))
    altered = await outcome_of_bind(rpc.alter_context(contexts(NDR32, _UNKNOWN, first=5)))
    rejected = await outcome_of_bind((await witness.rpc()).bind(()))

    spec("RPC-PDU-ptype").record(f"{bound}; {altered}; without a presentation context: {rejected}")


@case(
    "RPC-PDU-version",
    "RPC-PDU-ptype",
    "RPC-PDU-one-fragment",
    "RPC-PDU-drep",
    "RPC-PDU-reserved",
    "RPC-PDU-cancel-count",
    "RPC-PDU-alloc-hint",
    "RPC-FAULT-no-stub",
    syntaxes="both",
)
@pytest.mark.parametrize(
    "level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY], ids=lambda value: value.name.lower()
)
async def test_responses_and_faults(witness: Witness, spec: Spec, level: AuthLevel) -> None:
    """Responses, also in fragments of up to 2048 octets, and faults have valid fields."""
    deadline = witness.expect.reply_deadline
    client = await witness.connect(level=level, max_xmit=2048, max_recv=2048)

    listed = await outcome_of(client.start(GetInterfaceListRequest()), deadline)
    unknown = await outcome_of_raw_call(client.rpc.call(0xFFFF, b""), deadline)
    truncated = await outcome_of_raw_call(client.rpc.call(Opnum.REGISTER, bytes(4)), deadline)

    spec("RPC-PDU-ptype").record(
        f"GetInterfaceList: {listed}; opnum 0xFFFF: {unknown}; Register with 4 octets: {truncated}"
    )


@case("RPC-AUTH-ack-trailer", "RPC-AUTH-reserved")
@pytest.mark.parametrize(
    "level", [AuthLevel.CONNECT, AuthLevel.INTEGRITY, AuthLevel.PRIVACY], ids=lambda value: value.name.lower()
)
async def test_trailers(witness: Witness, spec: Spec, level: AuthLevel) -> None:
    """The sec_trailer of bind_ack and responses names the security context, with auth_reserved 0."""
    rpc = await witness.rpc()

    bound = await outcome_of_bind(rpc.bind(contexts(NDR32), **witness.logon(level=level)))
    answer = await outcome_of_raw_call(rpc.call(Opnum.GET_INTERFACE_LIST, b""), witness.expect.reply_deadline)

    spec("RPC-AUTH-reserved").record(f"{bound}; GetInterfaceList: {answer}")


@case("RPC-ALTER-ignored-fields")
async def test_ignored_fields_of_alter_context(witness: Witness, spec: Spec) -> None:
    """Send alter_context with other sizes and another association group; record the answer."""
    client = await witness.connect()
    rpc = client.rpc
    proposed = rpc.core.bind(
        contexts(NDR32, first=7), alter=True, max_xmit=2048, max_recv=2048, assoc_group=0x7FFFFFF1
    )

    altered = await rpc.exchange(proposed)
    usable = await outcome_of(client.start(GetInterfaceListRequest()), witness.expect.reply_deadline)

    fields = f"{altered.max_xmit}, {altered.max_recv}, {altered.assoc_group:#x}"
    spec("RPC-ALTER-ignored-fields").record(
        f"max_xmit_frag, max_recv_frag, assoc_group_id: {fields}; GetInterfaceList: {usable}"
    )
