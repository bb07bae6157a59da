"""Connections that belong together (MS-RPCE 3.3.1.1.1, 3.3.1.5.7; C706 12.6.4.3, 12.6.4.4)."""

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

_JOINED = "bind_ack with association group 0x{:08X}"


async def _bind(
    witness: Witness, group: int = 0, *, source: str | None = None
) -> tuple[RpcClient, BindOutcome]:
    rpc = await witness.rpc(source=source)
    return rpc, await outcome_of_bind(rpc.bind(contexts(NDR32), assoc_group=group, **witness.logon()))


async def _new_group(witness: Witness, spec: Spec, rule: str) -> tuple[RpcClient, int]:
    """A connection with an association of its own, and that one's id."""
    rpc, bound = await _bind(witness)
    if bound.result is None:
        raise spec.precondition_failed(rule, expected="bind_ack", observed=bound, note="the first connection")
    return rpc, bound.result.assoc_group


def _used_names(bound: BindOutcome) -> str:
    return _JOINED.format(bound.result.assoc_group) if bound.result else str(bound)


@case("RPC-ASSOC-new")
async def test_new_association(witness: Witness, spec: Spec) -> None:
    """Each of two connections that bind with assoc_group_id 0 gets an association of its own."""
    (_, first), (_, second) = await asyncio.gather(
        _new_group(witness, spec, "RPC-ASSOC-new"), _new_group(witness, spec, "RPC-ASSOC-new")
    )

    spec("RPC-ASSOC-new").holds(
        0 not in {first, second} and first != second,
        expected="two different ids that are not 0",
        observed=f"0x{first:08X} and 0x{second:08X}",
    )


@case("RPC-ASSOC-join")
async def test_join(witness: Witness, spec: Spec) -> None:
    """A second connection from the same address joins the association of the first by its id."""
    _, group = await _new_group(witness, spec, "RPC-ASSOC-join")

    _, bound = await _bind(witness, group)

    spec("RPC-ASSOC-join").holds(
        bound.result is not None and bound.result.assoc_group == group,
        expected=_JOINED.format(group),
        observed=_used_names(bound),
    )


@case("RPC-ASSOC-join")
async def test_join_when_the_first_has_gone(witness: Witness, spec: Spec) -> None:
    """A third connection joins an association whose first connection is closed and whose second is open."""
    first, group = await _new_group(witness, spec, "RPC-ASSOC-join")
    _, second = await _bind(witness, group)
    await first.close()

    _, third = await _bind(witness, group)

    spec("RPC-ASSOC-join").holds(
        third.result is not None and third.result.assoc_group == group,
        expected=_JOINED.format(group),
        observed=f"{_used_names(third)}; the second connection: {_used_names(second)}",
    )


@case("RPC-ASSOC-unknown")
async def test_join_made_up_association(witness: Witness, spec: Spec) -> None:
    """A connection cannot join an association that never was."""
    _, group = await _new_group(witness, spec, "RPC-ASSOC-unknown")
    made_up = group ^ (secrets.randbits(31) | 0x10001)

    _, bound = await _bind(witness, made_up)

    _judge_stranger(spec, bound, made_up)
    await witness.check_still_serving(spec)


@case("RPC-ASSOC-unknown")
async def test_join_ended_association(witness: Witness, spec: Spec) -> None:
    """A connection cannot join an association whose last connection is closed."""
    first, group = await _new_group(witness, spec, "RPC-ASSOC-unknown")
    await first.close()

    # The server hears of the close on another connection than of the bind, in whatever order.
    loop = asyncio.get_running_loop()
    deadline = loop.time() + witness.expect.reply_deadline
    rpc, bound = await _bind(witness, group)
    while bound.result and bound.result.assoc_group == group and loop.time() < deadline:
        await rpc.close()
        rpc, bound = await _bind(witness, group)

    _judge_stranger(spec, bound, group)
    await witness.check_still_serving(spec)


def _judge_stranger(spec: Spec, bound: BindOutcome, group: int) -> None:
    spec("RPC-ASSOC-unknown").holds(
        (bound.result is None and bound.refusal is not None and bound.refusal.kind in {"bind-nak", "closed"})
        or (bound.result is not None and bound.result.assoc_group != group),
        expected=["bind_nak", "connection closed", f"bind_ack with another id than 0x{group:08X}"],
        observed=_used_names(bound),
        note=f"asked to join 0x{group:08X}",
    )


@case("RPC-ASSOC-other-address")
async def test_join_from_other_address(witness: Witness, spec: Spec) -> None:
    """A connection from another client address does not get into the association."""
    first, group = await _new_group(witness, spec, "RPC-ASSOC-other-address")
    source = _other_address(first.local[0])

    _, bound = await _bind(witness, group, source=source)

    spec("RPC-ASSOC-other-address").holds(
        bound.result is None or bound.result.assoc_group != group,
        expected=["bind_nak", "connection closed", f"bind_ack with another id than 0x{group:08X}"],
        observed=_used_names(bound),
        note=f"association of {first.local[0]}, joined from {source}",
    )
    await witness.check_still_serving(spec)


def _other_address(used: str) -> str:
    """Another address of this machine from which the target can be reached."""
    mine = ip_address(used)
    if mine.is_loopback and mine.version == 4:
        return str(mine + 1 if mine.packed[-1] < 0xFE else mine - 1)
    for each in local_addresses():
        if each.version == mine.version and each != mine and not each.is_loopback:
            return str(each)
    raise NotTestable(f"this machine reaches the target from one address only, {used}")
