"""Responses in fragments (C706 12.6.3.1, 12.6.4.10; MS-RPCE 2.2.2.11).

The interface list needs several fragments if the target has four interfaces or more. Otherwise the case reads
the endpoint map: these rules of the transport are the same for every interface.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import Outcome, case, outcome_of
from swn_torture.casekit.endpoint_mapper import EPM, EpmOpnum, LookupRequest, LookupResponse
from swn_torture.casekit.protocol import GetInterfaceListRequest
from swn_torture.casekit.shown import shown
from swn_torture.casekit.steps.interface_list import in_order
from swn_torture.casekit.steps.octets import outcome_of_raw_call, received_pdus
from swn_torture.casekit.transport import AuthLevel, PduType, PfcFlags, RpcError, connect_rpc
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.casekit import Spec
    from swn_torture.casekit.transport import Header, RpcClient
    from swn_torture.casekit.witness import Witness

_SMALLEST = 2048
_LARGEST = 5840
"""Octets of the smallest and largest maximum fragment size that Windows and Samba agree to."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """The answer to one call on a connection of its own.

    Attributes:
        witness: its transcript holds the octets of the call.
        rpc: the connection.
        outcome: how the call ended.
        content: the decoded response; None if there is none.
    """

    witness: Witness
    rpc: RpcClient
    outcome: Outcome
    content: object

    @property
    def fragments(self) -> list[Header]:
        """The headers of the response PDUs, in the order received."""
        pdus = received_pdus(self.witness.transcript, self.rpc.number)
        return [header for header, _ in pdus if header.ptype == PduType.RESPONSE]

    def __str__(self) -> str:
        fragments = "; ".join(
            f"{each.frag_length} octets, call_id {each.call_id}, pfc_flags 0x{each.flags:02X},"
            f" auth_length {each.auth_length}"
            for each in self.fragments
        )
        return f"{self.outcome}; response PDUs: {fragments or 'none'}"


async def _interface_list(witness: Witness, level: AuthLevel, size: int) -> _Answer:
    client = await witness.connect(level=level, max_xmit=size, max_recv=size)
    outcome = await outcome_of(client.start(GetInterfaceListRequest()))
    listed = getattr(outcome.response, "interface_list", None)
    return _Answer(witness, client.rpc, outcome, None if listed is None else in_order(listed.interfaces))


async def _endpoint_map(witness: Witness, level: AuthLevel, size: int) -> _Answer:
    node = witness.nodes[0]
    rpc = await connect_rpc(node.address, node.endpoint_mapper_port, transcript=witness.transcript)
    async with rpc:
        await rpc.bind(EPM, max_xmit=size, max_recv=size, **witness.logon(level=level))
        call = rpc.call(EpmOpnum.LOOKUP, LookupRequest(max_entries=500).pack())
        outcome = await outcome_of_raw_call(call, witness.expect.reply_deadline)
        if call.response_meta is None:
            return _Answer(witness, rpc, outcome, None)
        entries = LookupResponse.unpack(call.response_meta.stub).entries
        return _Answer(
            witness, rpc, outcome, sorted((each.tower or b"", str(each.object)) for each in entries)
        )


async def _long_answer(
    witness: Witness, variant: Callable[[str], Awaitable[Witness]], level: AuthLevel
) -> tuple[_Answer, object]:
    """An answer in several fragments, and the content of the same answer in larger fragments.

    A source that does not serve the call in fragments of either size is left out: an endpoint mapper need not
    have ept_lookup, nor serve authenticated callers.

    Raises:
        NotTestable: no response of the target exceeds one fragment of 2048 octets.
    """
    sources: dict[str, tuple[Witness, Callable[[Witness, AuthLevel, int], Awaitable[_Answer]]]] = {
        "GetInterfaceList": (witness, _interface_list),
        "ept_lookup": (witness, _endpoint_map),
    }
    if "many-nodes" in witness.profile.variants:
        with contextlib.suppress(NotTestable):
            many = await variant("many-nodes"), _interface_list
            sources = {"GetInterfaceList of the variant many-nodes": many, **sources}
    reasons: list[str] = []
    for name, (source, ask) in sources.items():
        try:
            answer = await ask(source, level, _SMALLEST)
            if answer.content is None:
                whole = (await ask(source, level, _LARGEST)).content
                if whole is not None or answer.outcome.blame is not None:
                    return answer, whole
                reasons.append(f"{name}: {answer.outcome}")
            elif sum(each.frag_length for each in answer.fragments) > _SMALLEST:
                return answer, (await ask(source, level, _LARGEST)).content
        except RpcError as problem:
            reasons.append(f"{name}: {problem}")
    served = f" ({'; '.join(reasons)})" if reasons else ""
    raise NotTestable(f"no response of the target is longer than one fragment of 2048 octets{served}")


@case("RPC-FRAG-response", "RPC-FRAG-response-each-protected", "RPC-PDU-drep", "RPC-PDU-alloc-hint")
@pytest.mark.parametrize("level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY], ids=["integrity", "privacy"])
async def test_long_response(
    witness: Witness, spec: Spec, variant: Callable[[str], Awaitable[Witness]], level: AuthLevel
) -> None:
    """A response longer than the agreed fragment size comes in fragments, each with a verifier."""
    answer, whole = await _long_answer(witness, variant, level)
    if answer.content is None and whole is None:
        raise spec.precondition_failed(
            "RPC-FRAG-response", expected="a response", observed=answer.outcome, note="a long response"
        )

    headers = answer.fragments
    ends = PfcFlags.FIRST | PfcFlags.LAST
    expected = [PfcFlags.FIRST, *[PfcFlags.NONE] * (len(headers) - 2), PfcFlags.LAST]
    spec("RPC-FRAG-response").holds(
        all(each.frag_length <= _SMALLEST for each in headers)
        and len({each.call_id for each in headers}) == 1
        and [each.flags & ends for each in headers] == expected,
        expected=f"PDUs of up to {_SMALLEST} octets with one call_id, the first with PFC_FIRST (0x01) alone, "
        "the last with PFC_LAST (0x02) alone",
        observed=answer,
    )
    spec("RPC-FRAG-response").holds(
        answer.content is not None and answer.content == whole,
        expected="reassembled, the same response as in larger fragments",
        observed="the same"
        if answer.content == whole
        else f"{shown(answer.content)}; in larger fragments: {shown(whole)}",
    )
    spec("RPC-FRAG-response-each-protected").holds(
        answer.content is not None and all(each.auth_length for each in headers),
        expected="a verifier that matches in every fragment",
        observed=answer,
    )
