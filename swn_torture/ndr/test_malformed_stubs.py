"""Stub data truncated, with false counts, missing, or too long (MS-RPCE 3.1.1.5.3, 3.1.3.5.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import SILENCE, SUCCESS, case, outcome_of
from swn_torture.casekit.protocol import (
    AsyncNotifyRequest,
    GetInterfaceListRequest,
    UnRegisterExRequest,
    UnRegisterRequest,
    encode,
    wide_size,
)
from swn_torture.casekit.steps.registering import Method, each_method
from swn_torture.casekit.steps.stubs import (
    BAD_STUB,
    INVALID_BOUND,
    StubSender,
    check_each,
    check_nothing_registered,
    check_still_serves,
    check_truncated,
    full_request,
    method_name,
    send_truncated,
    strings_of,
)
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.protocol import AnyRequest
    from swn_torture.casekit.witness import Witness


@case("RPC-STUB-truncated", syntaxes="both")
@each_method
async def test_cut_registration(witness: Witness, spec: Spec, cluster: Controller, method: Method) -> None:
    """Register or RegisterEx with truncated stub data ends in a fault and registers nothing."""
    name = witness.client_name()
    message = full_request(witness, method, await witness.address_of(0), name)
    sender = StubSender(witness)

    outcomes = await send_truncated(sender, message)

    await check_truncated(spec, sender, message, outcomes)
    await check_nothing_registered(spec, cluster, "RPC-STUB-truncated", names=[name])
    await witness.check_still_serving(spec)


HANDLE_METHODS: dict[str, type[UnRegisterRequest | AsyncNotifyRequest | UnRegisterExRequest]] = {
    "unregister": UnRegisterRequest,
    "async-notify": AsyncNotifyRequest,
    "unregister-ex": UnRegisterExRequest,
}


@case("RPC-STUB-truncated", syntaxes="both")
@pytest.mark.parametrize("kind", HANDLE_METHODS)
async def test_cut_handle(witness: Witness, spec: Spec, kind: str) -> None:
    """A call with a truncated handle ends in a fault; UnRegister with the full handle still succeeds."""
    sender = StubSender(witness)
    if kind == "unregister-ex" and not await sender.supports_unregister_ex():
        raise NotTestable("the target has no opnum 5, WitnessrUnRegisterEx")
    handle = await witness.register(await sender.client())
    message = HANDLE_METHODS[kind](handle)

    outcomes = await send_truncated(sender, message)

    await check_truncated(spec, sender, message, outcomes)
    spec("RPC-STUB-truncated").allows(
        await sender.send(UnRegisterRequest(handle)), SUCCESS, note="UnRegister with the full handle"
    )
    await witness.check_still_serving(spec)


@case("RPC-STUB-empty-for-params", syntaxes="both")
async def test_empty_stub(witness: Witness, spec: Spec) -> None:
    """A call without stub data to a method that has parameters ends in a fault."""
    address = await witness.address_of(0)
    sender = StubSender(witness)
    handle = await witness.register(await sender.client(), ip_address=address)
    messages: list[AnyRequest] = [
        witness.registration(ip_address=address),
        *(kind(handle) for kind in HANDLE_METHODS.values()),
    ]
    if witness.expect.version > 1:
        messages.append(witness.registration_ex(ip_address=address))
    if not await sender.supports_unregister_ex():
        messages = [message for message in messages if not isinstance(message, UnRegisterExRequest)]

    for message in messages:
        outcome = await sender.send(message, b"")

        spec("RPC-STUB-empty-for-params").allows(outcome, BAD_STUB, note=method_name(message))
    spec("RPC-STUB-empty-for-params").allows(
        await sender.send(UnRegisterRequest(handle)), SUCCESS, note="UnRegister with its handle afterwards"
    )
    await witness.check_still_serving(spec)


@dataclass(frozen=True, slots=True)
class Counts:
    """The three counts before a string, in UTF-16 units with the terminator."""

    max_count: int
    offset: int
    actual_count: int

    def wrong(self, field: str) -> dict[str, int]:
        """These counts as the ``wrong`` values of a field, see ``codec.encode``."""
        return {
            f"{field}.max_count": self.max_count,
            f"{field}.offset": self.offset,
            f"{field}.actual_count": self.actual_count,
        }

    def __str__(self) -> str:
        return f"max_count {self.max_count:#x}, offset {self.offset:#x}, actual_count {self.actual_count:#x}"


def _contradictory(n: int, wide: int) -> list[Counts]:
    """Counts with max_count less than offset plus actual_count, for a string of ``n`` units in the stub."""
    top = 256**wide - 1
    counts = [
        Counts(n - 1, 0, n),
        Counts(1, 0, n),
        Counts(0, 0, n),
        Counts(n, 0, n + 1),
        *(Counts(n, 0, big) for big in (0x7FFFFFFF, 0x80000000, 0x80000000 + n, 0xFFFFFFFF, top)),
        Counts(n, 1, n),
        Counts(n, n, n),
        Counts(n, 0x7FFFFFFF, n),
        # An addition that overflows makes these sums less than max_count.
        Counts(n, top, n),
        Counts(n, top + 1 - n, n),
        Counts(n, 0xFFFFFFFF, n),
    ]
    if wide == 8:
        counts += [Counts(n, 0, 2**32 + n), Counts(n, 2**32, n), Counts(n - 1, 2**32, n)]
    return list(dict.fromkeys(counts))


def _beyond_the_stub(n: int, wide: int) -> list[Counts]:
    """Counts that agree with each other but are far larger than the stub data."""
    sizes = [n + 10_000, 0x7FFFFFFF, 0x80000000, 0x80000000 + n, 0xFFFFFFFF]
    if wide == 8:
        sizes += [2**32 + n, 2**63 + n, 2**64 - 1]
    return [Counts(size, 0, size) for size in sizes]


def _unusual(n: int, wide: int) -> list[Counts]:
    """Counts that a server may accept or reject: an offset other than 0, or a huge array."""
    counts = [Counts(n + 1, 1, n), Counts(0x80000000, 0, n), Counts(0xFFFFFFFF, 0, n)]
    counts += [Counts(0x7FFFFFFF, 0, n)]
    if wide == 8:
        counts += [Counts(2**32 + n, 0, n), Counts(2**64 - 1, 0, n)]
    return counts


@case("RPC-STUB-string-bounds", "RPC-STUB-truncated", syntaxes="both")
@each_method
async def test_false_counts(witness: Witness, spec: Spec, cluster: Controller, method: Method) -> None:
    """Register or RegisterEx with false counts for one string ends in a fault and registers nothing."""
    name = witness.client_name()
    message = full_request(witness, method, await witness.address_of(0), name)
    sender, wide = StubSender(witness), wide_size(witness.syntax)

    for field, text in strings_of(message, witness).items():
        n = len(text) + 1
        for counts in _contradictory(n, wide):
            outcome = await sender.send(message, wrong=counts.wrong(field))
            spec("RPC-STUB-string-bounds").allows(
                outcome, BAD_STUB, INVALID_BOUND, note=f"{field} of {n} units: {counts}"
            )
        for counts in _beyond_the_stub(n, wide):
            outcome = await sender.send(message, wrong=counts.wrong(field))
            spec("RPC-STUB-truncated").allows(outcome, BAD_STUB, note=f"{field} of {n} units: {counts}")

    await check_still_serves(spec, "RPC-STUB-truncated", sender=sender)
    await check_nothing_registered(spec, cluster, "RPC-STUB-string-bounds", names=[name])
    await witness.check_still_serving(spec)


@case("RPC-STUB-string-bounds", syntaxes="both")
@each_method
async def test_large_max_count(witness: Witness, spec: Spec, method: Method) -> None:
    """A string shorter than its max_count is accepted; record huge max_counts and offsets."""
    message = full_request(witness, method, await witness.address_of(0), witness.client_name())
    sender, wide = StubSender(witness), wide_size(witness.syntax)

    for field, text in strings_of(message, witness).items():
        n = len(text) + 1
        for counts in (Counts(n + 1, 0, n), Counts(2 * n, 0, n), Counts(0xFFFF, 0, n)):
            outcome = await sender.send_and_forget(message, wrong=counts.wrong(field))
            spec("RPC-STUB-string-bounds").allows(outcome, SUCCESS, note=f"{field} of {n} units: {counts}")
        unusual = {
            str(c): await sender.send_and_forget(message, wrong=c.wrong(field)) for c in _unusual(n, wide)
        }
        spec("RPC-STUB-string-bounds").record(
            "; ".join(f"{counts}: {outcome}" for counts, outcome in unusual.items()), f"{field} of {n} units"
        )
    await witness.check_still_serving(spec)


SURPLUS = {
    "1 zero octet": bytes(1),
    "3 zero octets": bytes(3),
    "8 zero octets": bytes(8),
    "16 zero octets": bytes(16),
    "8 octets ff": b"\xff" * 8,
}


@case("RPC-STUB-extra-bytes", syntaxes="both")
async def test_surplus_octets(witness: Witness, spec: Spec) -> None:
    """Each method with octets after its parameters returns the same as without them."""
    address = await witness.address_of(0)
    sender = StubSender(witness)
    client = await sender.client()
    removed = await witness.register(client, ip_address=address)
    await client.unregister(removed)
    messages: list[AnyRequest] = [
        GetInterfaceListRequest(),
        witness.registration(ip_address=address),
        *(kind(removed) for kind in HANDLE_METHODS.values()),
    ]
    if witness.expect.version > 1:
        messages.append(witness.registration_ex(ip_address=address))

    for message in messages:
        stub = encode(message, witness.syntax)
        usual = await sender.send(message, stub)
        outcomes = {what: await sender.send(message, stub + octets) for what, octets in SURPLUS.items()}
        check_each(spec, "RPC-STUB-extra-bytes", outcomes=outcomes, allowed=usual, note=method_name(message))
        many = await sender.send(message, stub + bytes(8192))
        spec("RPC-STUB-extra-bytes").record(many, f"{method_name(message)}, 8192 zero octets")
    await witness.check_still_serving(spec)


@case("RPC-STUB-extra-bytes", syntaxes="both")
async def test_surplus_octets_after_a_handle(witness: Witness, spec: Spec) -> None:
    """With octets after a valid handle, AsyncNotify stays pending and UnRegister returns ERROR_SUCCESS."""
    sender = StubSender(witness)
    client = await sender.client()
    address = await witness.address_of(0)
    kept, removed = [await witness.register(client, ip_address=address) for _ in range(2)]

    call = client.start(AsyncNotifyRequest(kept), wrong={"trailing": bytes(8)})
    unregister = await sender.send(UnRegisterRequest(removed), wrong={"trailing": bytes(8)})
    notify = await outcome_of(call, witness.expect.quiet_time)

    spec("RPC-STUB-extra-bytes").allows(notify, SILENCE, note="AsyncNotify, 8 zero octets")
    spec("RPC-STUB-extra-bytes").allows(unregister, SUCCESS, note="UnRegister, 8 zero octets")
    await witness.check_still_serving(spec)
