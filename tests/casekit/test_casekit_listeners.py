"""A ``Listener`` keeps one AsyncNotify pending, and keeps the notifications that it returns."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from swn_torture.casekit.blame import NO_MAX_COUNT, Blame
from swn_torture.casekit.checks import CaseStopped, Spec
from swn_torture.casekit.known import NotTestable
from swn_torture.casekit.outcome import CLOSED, SILENCE, SUCCESS
from swn_torture.casekit.steps.listeners import (
    Listener,
    answered_when_called_again,
    drain_notifications,
    listen,
    versions,
    wait_or_move_client,
    wait_past,
)
from swn_torture.control.base import Capability
from swn_torture.control.stimulus import Stimulus
from swn_torture.dcerpc.errors import ConnectionLost
from swn_torture.stubdata.syntax import NDR32
from swn_torture.stubdata.win32 import Win32
from swn_torture.target import Expectations
from swn_torture.witness.codec import encode
from swn_torture.witness.constants import MessageType
from swn_torture.witness.messages import NULL_HANDLE, AsyncNotifyResponse, RespAsyncNotify
from tests.casekit.fakes import QUICK, FakeCall, FakeCluster, fake_witness
from tests.casekit.samples import CHANGES, HOST, LIST

if TYPE_CHECKING:
    from collections.abc import Iterable

MOVE = RespAsyncNotify.of(LIST, message_type=MessageType.CLIENT_MOVE)
SHARE_MOVE = RespAsyncNotify.of(LIST, message_type=MessageType.SHARE_MOVE)
CHANGE = RespAsyncNotify.of(*CHANGES)


class FakeNotify(FakeCall):
    """An AsyncNotify that ends with a notification, a null pResp (``...``) or an error, or stays pending."""

    def __init__(self, ending: object) -> None:
        response = ending if isinstance(ending, AsyncNotifyResponse) else None
        if isinstance(ending, RespAsyncNotify):
            response = AsyncNotifyResponse(ending, 0)
        elif ending is ...:
            response = AsyncNotifyResponse(None, 0)
        super().__init__(response or ending)
        stub = encode(response, NDR32) if response else b""
        self.call = SimpleNamespace(response_meta=SimpleNamespace(stub=stub, byte_order="little"))


def listener(
    endings: Iterable[object], *, expect: Expectations = QUICK, requirements: Iterable[str] = ()
) -> Listener:
    """A listener whose calls of AsyncNotify end like this, one after the other; the last one for the rest."""
    left = [*endings]
    calls: list[FakeNotify] = []

    def async_notify(_: object) -> FakeNotify:
        calls.append(FakeNotify(left.pop(0) if len(left) > 1 else left[0]))
        return calls[-1]

    client = SimpleNamespace(async_notify=async_notify, syntax=NDR32, calls=calls)
    fields = {"client_computer_name": "CLIENT", "ip_address": "192.0.2.5"}
    return Listener(
        fake_witness(expect=expect, requirements=requirements), cast("Any", client), NULL_HANDLE, fields
    )


def calls_of(one: Listener) -> int:
    return len(cast("Any", one.client).calls)


def test_a_pending_call_is_not_called_again() -> None:
    one = listener([None, MOVE])

    first = one.async_notify()

    assert one.async_notify() is first
    assert asyncio.run(one.wait_for_notifications(0.1)) == SILENCE
    assert one.async_notify() is first
    assert calls_of(one) == 1


def test_a_completed_call_is_called_again() -> None:
    one = listener([MOVE, CHANGE])

    for _ in range(2):
        assert asyncio.run(one.wait_for_notifications(0.1)) == SUCCESS

    assert calls_of(one) == 2
    assert [each.message_type for each in one.notifications] == [2, 1]
    assert one.states_notified == [0xFF, 1]
    assert [each.message_type for each in one.notifications_of(MessageType.CLIENT_MOVE)] == [2]
    assert str(one.outcome).startswith('ERROR_SUCCESS (0x0) (RESOURCE_CHANGE (0x1): "NODE1" UNAVAILABLE')


def test_the_last_notification_is_returned() -> None:
    one = listener([MOVE])
    asyncio.run(one.wait_for_notifications(0.1))
    spec = Spec("steps.test", ["SWN-3.1.4.4-move-type"])

    assert one.notification(spec, "SWN-3.1.4.4-move-type").addresses == ("192.0.2.5", "2001:db8::5")
    assert not spec.checks


ENDINGS = [
    (None, "no answer (waited 0.1 s)", "SWN-3.1.6.2-wake"),
    (ConnectionLost(), "connection closed", "SWN-3.1.4.4-returns-success"),
    (..., "ERROR_SUCCESS (0x0) (pResp is null)", "SWN-3.1.4.4-returns-success"),
    (AsyncNotifyResponse(None, 0x5B4), "ERROR_TIMEOUT (0x5B4)", "SWN-3.1.4.4-returns-success"),
]


@pytest.mark.parametrize(
    ("ending", "observed", "violated"), ENDINGS, ids=["pending", "closed", "null", "timeout"]
)
def test_no_notification_says_nothing_of_its_content(ending: object, observed: str, violated: str) -> None:
    one = listener([ending])
    asyncio.run(one.wait_for_notifications(0.1))
    spec = Spec("steps.test", ["SWN-3.1.4.4-move-type"])

    with pytest.raises(CaseStopped):
        one.notification(spec, "SWN-3.1.4.4-move-type")

    (check,) = spec.violations
    assert (check.requirement, check.precondition) == (violated, True)
    assert check.observed.startswith(observed)


def test_no_notification_violates_a_rule_that_says_so() -> None:
    one = listener([None])
    asyncio.run(one.wait_for_notifications(0.1))
    spec = Spec("steps.test", ["SWN-3.1.4.4-move-both-versions"])

    with pytest.raises(CaseStopped):
        one.notification(spec, "SWN-3.1.4.4-move-both-versions")

    (check,) = spec.violations
    assert (check.requirement, check.precondition) == ("SWN-3.1.4.4-move-both-versions", False)


def test_a_case_about_the_layout_names_the_event() -> None:
    one = listener([None])
    asyncio.run(one.wait_for_notifications(0.1))
    spec = Spec("steps.test", ["SWN-2.2.2.4-layout"])

    with pytest.raises(CaseStopped):
        one.notification(spec, "SWN-2.2.2.4-layout", event="SWN-3.1.6.1-queues-change")
    with pytest.raises(NotTestable, match="no notification arrived"):
        one.notification(spec, "SWN-2.2.2.4-layout")

    (check,) = spec.failed
    assert (check.requirement, check.precondition) == ("SWN-3.1.6.1-queues-change", True)


def test_a_response_with_wrong_padding_is_no_notification() -> None:
    one = listener([MOVE])
    outcome = asyncio.run(one.wait_for_notifications(0.1))
    padded = Blame("RPC-AUTH-padding", "padding as announced")
    one.outcome = dataclasses.replace(outcome, kind="malformed", code=None, blame=padded)
    spec = Spec("steps.test", ["SWN-2.2.2.4-layout"])

    with pytest.raises(CaseStopped):
        one.notification(spec, "SWN-2.2.2.4-layout", event="SWN-3.1.6.2-wake")

    (check,) = spec.violations
    assert (check.requirement, check.precondition) == ("RPC-AUTH-padding", True)


def test_octets_that_are_no_notification_violate_the_layout() -> None:
    one = listener([MOVE])
    asyncio.run(one.wait_for_notifications(0.1))
    cast("Any", one.call).call.response_meta.stub = bytes(range(1, 9))
    spec = Spec("steps.test", ["SWN-3.1.6.2-wake"])

    with pytest.raises(CaseStopped):
        one.notification(spec, "SWN-3.1.6.2-wake")

    (check,) = spec.violations
    assert (check.requirement, check.precondition) == ("SWN-2.2.2.4-layout", True)


def test_octets_without_max_count_are_not_read_as_something_else() -> None:
    one = listener([MOVE])
    outcome = asyncio.run(one.wait_for_notifications(0.1))
    one.outcome = dataclasses.replace(outcome, kind="malformed", code=None, blame=NO_MAX_COUNT)
    spec = Spec("steps.test", ["SWN-2.2.2-buffer-packed"])

    with pytest.raises(CaseStopped):
        one.notification(spec, "SWN-2.2.2-buffer-packed", event="SWN-3.1.6.2-wake")

    (check,) = spec.violations
    assert (check.requirement, check.precondition) == ("SWN-2.2.2.4-layout", True)


HIDDEN = dataclasses.replace(CHANGE, number_of_messages=0)


def test_hidden_structures_are_recorded_once_and_judged_all_the_same() -> None:
    one = listener([HIDDEN])
    for _ in range(2):
        assert asyncio.run(one.wait_for_notifications(0.1)) == SUCCESS

    (check,) = one.witness.spec.failed
    assert (check.requirement, check.precondition) == ("SWN-2.2.2.4-count", True)
    assert (check.expected, check.observed) == (
        ("NumberOfMessages 2, one for each structure",),
        "NumberOfMessages 0",
    )
    assert one.states_notified == [0xFF, 1] * 2


def test_case_about_the_count_checks_it_itself() -> None:
    one = listener([HIDDEN], requirements=["SWN-2.2.2.4-count"])
    asyncio.run(one.wait_for_notifications(0.1))
    assert not one.witness.spec.checks


def test_an_unused_registration_may_be_gone() -> None:
    one = listener([None], expect=dataclasses.replace(QUICK, unused_timeout=100.0))

    assert not one.may_be_gone
    one.last_use = time.monotonic() - 79
    assert not one.may_be_gone
    one.last_use = time.monotonic() - 81
    assert one.may_be_gone


def test_a_registration_with_a_pending_call_is_not_gone() -> None:
    one = listener([None], expect=dataclasses.replace(QUICK, unused_timeout=100.0))
    one.async_notify()
    one.last_use = time.monotonic() - 200

    assert (one.is_old, one.may_be_gone) == (True, False)


@pytest.mark.parametrize(
    ("age", "code", "expired"), [(81, 0x490, True), (79, 0x490, False), (81, 0x5B4, False)]
)
def test_only_an_old_registration_has_expired(age: float, code: int, expired: bool) -> None:
    expect = dataclasses.replace(QUICK, unused_timeout=100.0)
    one = listener([AsyncNotifyResponse(None, code)], expect=expect)
    one.async_notify()
    one.last_use = time.monotonic() - age

    asyncio.run(one.wait_for_notifications(0.1))

    assert one.expired is expired


@pytest.mark.parametrize(("version", "expected"), [(1, (1,)), (2, (1, 2))])
def test_versions_up_to_that_of_the_target(version: int, expected: tuple[int, ...]) -> None:
    assert versions(fake_witness(expect=Expectations(version=version))) == expected


def test_server_of_version_1_gets_no_register_ex() -> None:
    witness = fake_witness(expect=dataclasses.replace(QUICK, version=1))
    with pytest.raises(NotTestable, match="implements witness protocol version 1 only"):
        asyncio.run(listen(witness, version=2))


def test_draining_ends_with_a_pending_call() -> None:
    one, other = listener([MOVE, CHANGE, None]), listener([ConnectionLost()])

    assert asyncio.run(drain_notifications(one, other)) == (SILENCE, CLOSED)
    assert len(one.notifications) == 2


def test_draining_ends_with_a_server_that_never_stops() -> None:
    endless = listener([MOVE])

    assert asyncio.run(drain_notifications(endless)) == (SUCCESS,)
    assert len(endless.notifications) == 11


def test_other_message_types_are_skipped() -> None:
    one = listener([CHANGE, CHANGE, MOVE, None])

    assert asyncio.run(wait_past(one, MessageType.RESOURCE_CHANGE)) == SUCCESS
    assert [each.message_type for each in one.notifications] == [1, 1, 2]
    assert asyncio.run(wait_past(one, MessageType.RESOURCE_CHANGE)) == SILENCE


@pytest.mark.parametrize(("endings", "expected"), [([None, MOVE], True), ([None], False)])
def test_a_second_call_may_return_the_notification(endings: list[object], expected: bool) -> None:
    one = listener(endings)
    one.async_notify()

    assert asyncio.run(answered_when_called_again(one)) is expected


def test_a_second_pending_call_is_the_next_async_notify() -> None:
    one = listener([None])

    async def same(client: object) -> object:
        await asyncio.sleep(0)
        return client

    cast("Any", one.witness).idle_connection = same
    first = one.async_notify()

    asyncio.run(answered_when_called_again(one))
    one.outcome = SUCCESS

    second = one.async_notify()
    assert second is not first
    assert calls_of(one) == 2, "no third call is sent while the second one is pending"


class Mover(FakeCluster):
    """A controller that records the clients it moves."""

    async def move_client(self, client: str, destination: str, **_: Any) -> Stimulus:
        await asyncio.sleep(0)
        self.orders.append(f"move {client} to {destination}")
        return Stimulus("as an order")


@pytest.mark.parametrize(
    ("endings", "outcome", "choice", "moved"),
    [
        ([CHANGE, SHARE_MOVE], SUCCESS, ["SHARE_MOVE: completes a pending AsyncNotify"], False),
        ([ConnectionLost()], CLOSED, [], False),
        ([None], SILENCE, [], True),
    ],
    ids=["at-once", "closed", "never"],
)
def test_a_share_move_may_need_a_client_move(
    endings: list[object], outcome: object, choice: list[str], moved: bool
) -> None:
    spec, cluster = Spec("steps.test", []), Mover(Capability.MOVE_CLIENT)

    waited = wait_or_move_client(spec, cluster, listener(endings), MessageType.SHARE_MOVE, HOST)

    assert asyncio.run(waited) == outcome
    assert [each.observed for each in spec.choices] == choice
    assert cluster.orders == (["move CLIENT to NODE1"] if moved else [])


def test_registration_that_ends_after_the_move_is_silent() -> None:
    """A server that removes a registration after a move shows nothing about the other notification."""
    spec, cluster = Spec("steps.test", []), Mover(Capability.MOVE_CLIENT)
    one = listener([None, MOVE, AsyncNotifyResponse(None, Win32.ERROR_NOT_FOUND)])
    one.async_notify()

    async def move(client: str, destination: str, **_: Any) -> Stimulus:
        await asyncio.sleep(0)
        one.call = cast("Any", one.client).async_notify(one.handle)
        return Stimulus("as an order")

    cluster.move_client = move  # type: ignore[method-assign]
    assert asyncio.run(wait_or_move_client(spec, cluster, one, MessageType.IP_CHANGE, HOST)) == SILENCE
    assert one.outcome == SILENCE
    assert not spec.choices


def test_a_share_move_may_come_with_the_client_move() -> None:
    spec, cluster = Spec("steps.test", []), Mover(Capability.MOVE_CLIENT)
    one = listener([None, MOVE, SHARE_MOVE])
    one.async_notify()

    async def move(client: str, destination: str, **_: Any) -> Stimulus:
        await asyncio.sleep(0)
        # The pending call now returns the client move.
        one.call = cast("Any", one.client).async_notify(one.handle)
        cluster.orders.append(f"move {client} to {destination}")
        return Stimulus("as an order")

    cluster.move_client = move  # type: ignore[method-assign]
    outcome = asyncio.run(wait_or_move_client(spec, cluster, one, MessageType.SHARE_MOVE, HOST))

    assert outcome == SUCCESS
    assert [each.message_type for each in one.notifications] == [2, 3]
    assert [each.observed for each in spec.choices] == [
        "SHARE_MOVE: sent only along with another notification"
    ]
