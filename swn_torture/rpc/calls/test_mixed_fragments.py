"""Fragments of one request with different data representations (C706 12.6.3.1, 14.1)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import SUCCESS, case, outcome_of
from swn_torture.casekit.steps.registering import forget
from swn_torture.casekit.transport import BIG_ENDIAN, AuthLevel

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.transport import Request
    from swn_torture.casekit.witness import Witness


@case("RPC-FRAG-mixed-drep", syntaxes="both")
@pytest.mark.parametrize("level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY], ids=lambda v: v.name.lower())
async def test_byte_orders_of_fragments(witness: Witness, spec: Spec, level: AuthLevel) -> None:
    """Send a Register in fragments with packed_drep in both byte orders; record the result."""
    client = await witness.connect(level=level)
    request = witness.registration(ip_address=await witness.address_of(0))

    def alternate(index: int, fragment: Request) -> Request:
        return dataclasses.replace(fragment, drep=BIG_ENDIAN) if index % 2 else fragment

    call = client.start(request, chunk=64, prepare=alternate)
    outcome = await outcome_of(call, witness.expect.reply_deadline)

    taken = "served" if outcome == SUCCESS else f"not served: {outcome}"
    spec("RPC-FRAG-mixed-drep").record(outcome, "fragments in little-endian and big-endian by turns")
    spec.choice("AMB-41", f"a request with fragments in both byte orders is {taken}")
    await forget(witness, client, outcome)
    await witness.check_still_serving(spec)
