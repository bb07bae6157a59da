"""Responses too long for one PDU (C706 12.6.3.1, 12.6.4.10; MS-RPCE 2.2.2.11).

The interface list is one where the target has four interfaces or more. The endpoint map serves as well: the
rules are those of the transport, whatever the interface.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import Outcome, case, outcome_of
from swn_torture.casekit.endpoint_mapper import EPM, EpmOpnum, LookupRequest, LookupResponse
from swn_torture.casekit.protocol import GetInterfaceListRequest
from swn_torture.casekit.steps.octets import ending, received_pdus
from swn_torture.casekit.transport import AuthLevel, PduType, PfcFlags, RpcError, connect_rpc
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.casekit import Spec
    from swn_torture.casekit.transport import Header, RpcClient
    from swn_torture.casekit.witness import Witness

_SMALLEST = 2048
_LARGEST = 5840
"""Octets of a fragment that Windows and Samba propose at least and at most."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came of one call on a connection of its own.

    Attributes:
        witness: whose transcript has it.
        rpc: the connection.
        outcome: how the call ended.
        told: what the response says; None when none could be put together.
    """

    witness: Witness
    rpc: RpcClient
    outcome: Outcome
    notified: object

    @property
    def fragments(self) -> list[Header]:
        """The headers of the response PDUs, as they came."""
        pdus = received_pdus(self.witness.transcript, self.rpc.number)
        return [header for header, _ in pdus if header.ptype == PduType.RESPONSE]

    def __str__(self) -> str:
        pieces = ", ".join(
            f"{each.frag_length} octets of call {each.call_id} with flags 0x{each.flags:02X}"
            f" and {each.auth_length} of verifier"
            for each in self.fragments
        )
        return f"{self.outcome} in {pieces or 'no response PDU'}"


async def _interface_list(witness: Witness, level: AuthLevel, size: int) -> _Answer:
    client = await witness.connect(level=level, max_xmit=size, max_recv=size)
    outcome = await outcome_of(client.start(GetInterfaceListRequest()))
    return _Answer(witness, client.rpc, outcome, getattr(outcome.response, "interface_list", None))


async def _endpoint_map(witness: Witness, level: AuthLevel, size: int) -> _Answer:
    node = witness.nodes[0]
    rpc = await connect_rpc(node.address, node.endpoint_mapper_port, transcript=witness.transcript)
    async with rpc:
        await rpc.bind(EPM, max_xmit=size, max_recv=size, **witness.logon(level=level))
        call = rpc.call(EpmOpnum.LOOKUP, LookupRequest(max_entries=500).pack())
        outcome = await ending(call, witness.expect.reply_deadline)
        if call.response_meta is None:
            return _Answer(witness, rpc, outcome, None)
        entries = LookupResponse.unpack(call.response_meta.stub).entries
        return _Answer(
            witness, rpc, outcome, sorted((each.tower or b"", str(each.object)) for each in entries)
        )


async def _long_answer(
    witness: Witness, variant: Callable[[str], Awaitable[Witness]], level: AuthLevel
) -> tuple[_Answer, object]:
    """A response of several fragments, and what the same call says where fragments are larger."""
    sources: list[tuple[Witness, Callable[[Witness, AuthLevel, int], Awaitable[_Answer]]]] = [
        (witness, _interface_list),
        (witness, _endpoint_map),
    ]
    if "many-nodes" in witness.profile.variants:
        sources.insert(0, (await variant("many-nodes"), _interface_list))
    for where, ask in sources:
        try:
            answer = await ask(where, level, _SMALLEST)
        except RpcError:
            continue  # an endpoint mapper need not let in who logs on
        if answer.notified is None or sum(each.frag_length for each in answer.fragments) > _SMALLEST:
            return answer, (await ask(where, level, _LARGEST)).notified
    raise NotTestable("nothing that the target tells is longer than one fragment of 2048 octets")


@case("RPC-FRAG-response", "RPC-FRAG-response-each-protected")
@pytest.mark.parametrize("level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY], ids=["integrity", "privacy"])
async def test_long_response(
    witness: Witness, spec: Spec, variant: Callable[[str], Awaitable[Witness]], level: AuthLevel
) -> None:
    """A response longer than the agreed size comes in fragments, each of them with a verifier."""
    answer, short = await _long_answer(witness, variant, level)

    headers = answer.fragments
    ends = PfcFlags.FIRST | PfcFlags.LAST
    wanted = [PfcFlags.FIRST, *[PfcFlags.NONE] * (len(headers) - 2), PfcFlags.LAST]
    spec("RPC-FRAG-response").holds(
        all(each.frag_length <= _SMALLEST for each in headers)
        and len({each.call_id for each in headers}) == 1
        and [each.flags & ends for each in headers] == wanted,
        expected=f"PDUs of up to {_SMALLEST} octets with one call id, the first with PFC_FIRST (0x01) alone, "
        "the last with PFC_LAST (0x02) alone",
        observed=answer,
    )
    spec("RPC-FRAG-response").holds(
        answer.notified is not None and answer.notified == short,
        expected="put together they tell what the response tells that comes in larger fragments",
        observed="the same"
        if answer.notified == short
        else f"{answer.notified}; in larger fragments: {short}",
    )
    spec("RPC-FRAG-response-each-protected").holds(
        answer.notified is not None and all(each.auth_length for each in headers),
        expected="a verifier in every fragment, and all of them match",
        observed=answer,
    )
