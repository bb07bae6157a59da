"""Servers with limits: one call at a time, few registrations, a list without own interfaces."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.casekit.checks import CaseStopped, Spec
from swn_torture.casekit.known import NotTestable
from swn_torture.casekit.outcome import SILENCE, SUCCESS, Outcome
from swn_torture.casekit.steps.listeners import end, listen, wait_quiet_time
from swn_torture.casekit.steps.octets import BindOutcome
from swn_torture.casekit.steps.registering import forget, register_many
from swn_torture.casekit.witness import NO_RESOURCES, Witness
from swn_torture.dcerpc.client.binding import BindResult
from swn_torture.dcerpc.pdu.bind import BindAck, ContextResult
from swn_torture.harness.live_target import LiveTarget
from swn_torture.target import load_profile
from swn_torture.witness.client import WitnessClient
from swn_torture.witness.constants import WITNESS, InterfaceFlags

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def on(case: Callable[[Witness], Awaitable[None]], **embedded: Any) -> Spec:
    """Run a part of a case on a reference cluster with these settings; returns its checks."""
    profile = load_profile("reference")
    profile = dataclasses.replace(profile, embedded={**(profile.embedded or {}), **embedded}, variants={})
    spec = Spec("steps.test", ())

    async def run(target: LiveTarget) -> None:
        witness = Witness(target.profile, spec, facts=target.facts)
        try:
            await case(witness)
        finally:
            await witness.close()

    with LiveTarget(profile) as target:
        asyncio.run(run(target))
    return spec


EXCLUSIVE = {"rpc": {"multiplex": False}}


def test_a_call_beside_a_pending_one_takes_another_connection() -> None:
    async def case(witness: Witness) -> None:
        client = await witness.connect()
        assert await witness.idle_connection(client) is client
        first, second = [await listen(witness, client) for _ in range(2)]

        assert await wait_quiet_time(first, second) == (SILENCE, SILENCE)

        assert first.client is client
        assert second.client.rpc is not client.rpc
        assert second.client.rpc.core.assoc_group == client.rpc.core.assoc_group

    on(case, **EXCLUSIVE)


def test_a_connection_that_multiplexes_takes_every_call() -> None:
    async def case(witness: Witness) -> None:
        client = await witness.connect()
        listeners = [await listen(witness, client) for _ in range(2)]

        assert {listener.client for listener in listeners} == {client}

    on(case)


def test_a_connection_of_another_kind_takes_one_call() -> None:
    async def case(witness: Witness) -> None:
        rpc = await witness.rpc()
        await rpc.bind(WITNESS, transfer=(witness.syntax,), **witness.logon())
        client = WitnessClient(rpc, witness.syntax)
        await listen(witness, client, version=1)

        with pytest.raises(NotTestable, match="does not confirm PFC_CONC_MPX"):
            await witness.idle_connection(client)

    on(case, **EXCLUSIVE)


def test_a_registration_beyond_the_limit_cannot_be_tested() -> None:
    async def case(witness: Witness) -> None:
        client = await witness.connect()
        kept = [await listen(witness, client, async_notify=False) for _ in range(3)]
        with pytest.raises(NotTestable, match="no resources for another registration: ERROR_NO_SYSTEM"):
            await listen(witness, client)
        await end(kept[0])
        await listen(witness, client)

    assert not on(case, max_registrations=3).checks


def test_many_registrations_end_at_the_limit() -> None:
    async def case(witness: Witness) -> None:
        client = await witness.connect()
        request = witness.registration(ip_address=await witness.address_of())
        for _ in range(2):
            outcomes = await register_many(witness, client, request, 40)
            assert outcomes.count(SUCCESS) == 20
            assert {*outcomes} == {SUCCESS, NO_RESOURCES[0]}
            await forget(witness, client, *outcomes)

    assert not on(case, max_registrations=20, **EXCLUSIVE).checks


def test_a_rejection_of_another_kind_is_a_finding() -> None:
    async def case(witness: Witness) -> None:
        request = witness.registration(ip_address=await witness.address_of(), net_name="OTHER")
        with pytest.raises(CaseStopped):
            await register_many(witness, await witness.connect(), request, 3)

    (check,) = on(case).violations
    assert check.requirement == "SWN-3.1.4.2-returns-success"
    assert check.observed.startswith("3 times otherwise, first ERROR_INVALID_PARAMETER (0x57)")


@pytest.mark.parametrize("unusual", ["", "partners-only"])
def test_a_client_registers_for_an_address_of_the_list(unusual: str) -> None:
    async def case(witness: Witness) -> None:
        for node in range(2):
            address = await witness.address_of(node)
            listed = {str(i.ipv4): i for i in await witness.interfaces(node)}
            own = not listed[address].flags & InterfaceFlags.WITNESS

            assert own is (not unusual)
            await witness.register(await witness.connect(node))

    assert not on(case, **({"unusual": unusual} if unusual else {})).checks


def test_a_limit_of_contexts_is_told_from_other_rejections() -> None:
    def bound(*codes: tuple[int, int]) -> BindOutcome:
        results = tuple(ContextResult(*code) for code in codes)
        ack = BindAck(results=results)
        return BindOutcome(BindResult(ack, (ack,), (), None))

    assert bound((0, 0), (2, 3)).limit_reached
    assert not bound((0, 0), (2, 1)).limit_reached
    assert BindOutcome(refusal=Outcome("bind-nak", 2)).limit_reached
    assert not BindOutcome(refusal=Outcome("bind-nak", 4)).limit_reached
