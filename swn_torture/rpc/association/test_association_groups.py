"""Associations: sets of connections (MS-RPCE 3.3.1.1.1, 3.3.1.5.7; C706 12.6.4.3, 12.6.4.4).

*Association* is the term of MS-RPCE; C706 calls it an association group. assoc_group_id identifies it.
"""

from __future__ import annotations

import asyncio
import secrets
from ipaddress import ip_address
from typing import TYPE_CHECKING

from swn_torture.casekit import case
from swn_torture.casekit.protocol import NDR32
from swn_torture.casekit.steps.local_addresses import local_addresses
from swn_torture.casekit.steps.octets import BindOutcome, contexts, outcome_of_bind
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.transport import RpcClient
    from swn_torture.casekit.witness import Witness

_BIND_ACK = "bind_ack with assoc_group_id 0x{:08X}"


async def _bind(
    witness: Witness, group: int = 0, *, source: str | None = None
) -> tuple[RpcClient, BindOutcome]:
    rpc = await witness.rpc(source=source)
    return rpc, await outcome_of_bind(rpc.bind(contexts(NDR32), assoc_group=group, **witness.logon()))


async def _new_group(witness: Witness, spec: Spec, rule: str) -> tuple[RpcClient, int]:
    """Bind a connection with assoc_group_id 0; returns it and the id of its new association."""
    rpc, bound = await _bind(witness)
    if bound.result is None:
        raise spec.precondition_failed(rule, expected="bind_ack", observed=bound, note="the first connection")
    return rpc, bound.result.assoc_group


def _describe(bound: BindOutcome) -> str:
    return _BIND_ACK.format(bound.result.assoc_group) if bound.result else str(bound)


@case("RPC-ASSOC-new")
async def test_new_association(witness: Witness, spec: Spec) -> None:
    """Two connections that bind with assoc_group_id 0 get two different associations."""
    (_, first), (_, second) = await asyncio.gather(
        _new_group(witness, spec, "RPC-ASSOC-new"), _new_group(witness, spec, "RPC-ASSOC-new")
    )

    spec("RPC-ASSOC-new").holds(
        0 not in {first, second} and first != second,
        expected="two different assoc_group_ids other than 0",
        observed=f"0x{first:08X} and 0x{second:08X}",
    )


@case("RPC-ASSOC-join")
async def test_join(witness: Witness, spec: Spec) -> None:
    """A bind from the same client address joins an open association by its id."""
    _, group = await _new_group(witness, spec, "RPC-ASSOC-join")

    _, bound = await _bind(witness, group)

    spec("RPC-ASSOC-join").holds(
        bound.result is not None and bound.result.assoc_group == group,
        expected=_BIND_ACK.format(group),
        observed=_describe(bound),
    )


@case("RPC-ASSOC-join")
async def test_join_after_first_connection_closed(witness: Witness, spec: Spec) -> None:
    """A third connection joins an association after its first connection closed; the second is open."""
    first, group = await _new_group(witness, spec, "RPC-ASSOC-join")
    _, second = await _bind(witness, group)
    await first.close()

    _, third = await _bind(witness, group)

    spec("RPC-ASSOC-join").holds(
        third.result is not None and third.result.assoc_group == group,
        expected=_BIND_ACK.format(group),
        observed=f"{_describe(third)}; the second connection: {_describe(second)}",
    )


@case("RPC-ASSOC-unknown")
async def test_join_unknown_association(witness: Witness, spec: Spec) -> None:
    """A bind with an association id that the server never issued does not join that association."""
    _, group = await _new_group(witness, spec, "RPC-ASSOC-unknown")
    unknown = group ^ (secrets.randbits(31) | 0x10001)

    _, bound = await _bind(witness, unknown)

    _check_not_joined(spec, bound, unknown)
    await witness.check_still_serving(spec)


@case("RPC-ASSOC-unknown")
async def test_join_ended_association(witness: Witness, spec: Spec) -> None:
    """A bind cannot join an association after its last connection closed."""
    first, group = await _new_group(witness, spec, "RPC-ASSOC-unknown")
    await first.close()

    # The close and the bind arrive on different connections, so the server may see the bind first.
    loop = asyncio.get_running_loop()
    deadline = loop.time() + witness.expect.reply_deadline
    rpc, bound = await _bind(witness, group)
    while bound.result and bound.result.assoc_group == group and loop.time() < deadline:
        await rpc.close()
        rpc, bound = await _bind(witness, group)

    _check_not_joined(spec, bound, group)
    await witness.check_still_serving(spec)


def _check_not_joined(spec: Spec, bound: BindOutcome, group: int) -> None:
    spec("RPC-ASSOC-unknown").holds(
        (bound.result is None and bound.refusal is not None and bound.refusal.kind in {"bind-nak", "closed"})
        or (bound.result is not None and bound.result.assoc_group != group),
        expected=[
            "bind_nak",
            "connection closed",
            f"bind_ack with an assoc_group_id other than 0x{group:08X}",
        ],
        observed=_describe(bound),
        note=f"bind with assoc_group_id 0x{group:08X}",
    )


@case("RPC-ASSOC-other-address")
async def test_join_from_other_address(witness: Witness, spec: Spec) -> None:
    """A connection from another client address cannot join the association."""
    first, group = await _new_group(witness, spec, "RPC-ASSOC-other-address")
    source = _other_address(first.local[0])

    _, bound = await _bind(witness, group, source=source)

    spec("RPC-ASSOC-other-address").holds(
        bound.result is None or bound.result.assoc_group != group,
        expected=[
            "bind_nak",
            "connection closed",
            f"bind_ack with an assoc_group_id other than 0x{group:08X}",
        ],
        observed=_describe(bound),
        note=f"association of {first.local[0]}, bind from {source}",
    )
    await witness.check_still_serving(spec)


def _other_address(used: str) -> str:
    """Another address of this machine that can reach the target.

    Raises:
        NotTestable: there is none.
    """
    current = ip_address(used)
    if current.is_loopback and current.version == 4:
        return str(current + 1 if current.packed[-1] < 0xFE else current - 1)
    for each in local_addresses():
        if each.version == current.version and each != current and not each.is_loopback:
            return str(each)
    raise NotTestable(f"this machine has no second address that reaches the target, only {used}")
