"""The keys of many registrations: what they look like, and how those of two nodes relate (MS-SWN 3.1.1.3)."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from swn_torture.casekit import case
from swn_torture.casekit.steps.keys import form_of, relation_of
from swn_torture.casekit.steps.registering import forget, register_many, succeeded
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from uuid import UUID

    from swn_torture.casekit import Spec
    from swn_torture.casekit.witness import Witness

_KEYS: Final = 300
_AT_A_TIME: Final = 50
_OF_A_NODE: Final = 40

#: A slow server makes no more keys after so many seconds.
_SECONDS: Final = 15.0

#: Fewer keys cannot differ.
_FEWEST: Final = 2

#: Fewer keys show no form.
_ENOUGH: Final = 20


@case("SWN-3.1.4.2-entry-key-uuid", needs=("registrations:4",), lasts=5)
async def test_form_of_keys(witness: Witness, spec: Spec) -> None:
    """Register up to 300 times, with UnRegister in between: all keys differ; record what they look like."""
    keys = await make_keys(witness, 0, _KEYS)

    if len(keys) < _FEWEST:
        raise NotTestable(f"the server accepted {len(keys)} registrations")
    rule = spec("SWN-3.1.4.2-entry-key-uuid")
    rule.equal(len({*keys}), len(keys), show=lambda number: f"{number} different UUIDs")
    if len(keys) < _ENOUGH:
        rule.record(f"{len(keys)} keys, too few to see a form")
        return
    spec.choice("AMB-34", f"keys: {form_of(keys)}")


@case("SWN-3.1.1.3-key-unique", needs=("two-nodes", "registrations:4"), lasts=3)
async def test_keys_of_two_nodes(witness: Witness, spec: Spec) -> None:
    """Register at two nodes; record whether the keys of one relate to those of the other."""
    ours, theirs = [await make_keys(witness, node, _OF_A_NODE) for node in (0, 1)]

    relation = relation_of(ours, theirs)
    nodes = " and ".join(node.name for node in witness.nodes[:2])
    spec("SWN-3.1.1.3-key-unique").record(f"{len(ours)} and {len(theirs)} keys: {relation}", nodes)
    if min(len(ours), len(theirs)) >= _ENOUGH:
        spec.choice("AMB-34", f"keys of two nodes: {relation}")


async def make_keys(witness: Witness, node: int, count: int) -> list[UUID]:
    """The keys of so many registrations at a node, in their order; fewer if it is slow or has no resources.

    Some exist at a time, and each is ended before the next ones are made.
    """
    began = time.monotonic()
    client = await witness.connect(node)
    request = witness.registration(ip_address=await witness.address_for(client))
    room = min(_AT_A_TIME, witness.facts.registrations or _AT_A_TIME)
    keys: list[UUID] = []
    while len(keys) < count:
        replies = await register_many(witness, client, request, min(room, count - len(keys)))
        made = [reply for reply in replies if succeeded(reply)]
        keys += [reply.response.context.uuid for reply in made]
        # Concurrently, where the server takes several calls on a connection.
        if client.rpc.core.multiplexed:
            await asyncio.gather(*(forget(witness, client, reply) for reply in made))
        else:
            await forget(witness, client, *made)
        if len(made) < len(replies) or time.monotonic() - began > _SECONDS:
            break
    await client.rpc.close()
    return keys
