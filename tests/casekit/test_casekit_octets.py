"""PDUs, raw calls and truncated stub data as outcomes; how long calls take; who was served."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from swn_torture.casekit.checks import Spec
from swn_torture.casekit.outcome import CLOSED, SILENCE, Outcome, faults, refuses_bind, returns
from swn_torture.casekit.steps.callers import DENIALS, served
from swn_torture.casekit.steps.octets import (
    BindOutcome,
    contexts,
    outcome_of_bind,
    outcome_of_pdu,
    outcome_of_raw_call,
    send_octets,
    syntax_name,
    unsolicited_pdus,
)
from swn_torture.casekit.steps.registering import REGISTER, REGISTER_EX
from swn_torture.casekit.steps.strings import HOSTILE, hostile_string, runtime_refusals
from swn_torture.casekit.steps.stubs import (
    BAD_STUB,
    StubSender,
    check_each,
    check_nothing_registered,
    check_still_serves,
    check_truncated,
    method_name,
    send_truncated,
    strings_of,
    with_string,
)
from swn_torture.casekit.steps.timing import TimedOutcome, timed_outcome_of, timer_deadline
from swn_torture.control.base import Capability, RegistrationView
from swn_torture.dcerpc.client.binding import BindResult
from swn_torture.dcerpc.errors import BindRefused, ConnectionLost, DeadlineExceeded, Fault, RpcError
from swn_torture.dcerpc.pdu.bind import AlterContextResp, BindAck, BindNak, ContextResult, PresentationContext
from swn_torture.dcerpc.pdu.pdus import FaultPdu, Pdu, Response, Shutdown
from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId
from swn_torture.target import Expectations
from swn_torture.witness.codec import encode
from swn_torture.witness.constants import WITNESS
from swn_torture.witness.messages import GetInterfaceListRequest, RegisterExRequest, RegisterRequest
from tests.casekit.fakes import FakeCall, FakeCluster, fake_witness, pending_call, result

if TYPE_CHECKING:
    from swn_torture.dcerpc.client.call import Call
    from swn_torture.dcerpc.client.client import RpcClient

ACCEPTED = ContextResult(0, transfer=NDR32)
REJECTED = ContextResult(2, 1)

# PDUs
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pdu", "kind", "code", "text"),
    [
        (FaultPdu(status=0x6F7), "fault", 0x6F7, "fault RPC_X_BAD_STUB_DATA (0x000006F7)"),
        (BindNak(reason=4), "bind-nak", 4, "bind_nak reason 4"),
        (BindAck(results=(ACCEPTED,)), "pdu", None, f"bind_ack ({ACCEPTED})"),
        (BindAck(), "pdu", None, "bind_ack (no result)"),
        (AlterContextResp(results=(REJECTED,)), "pdu", None, f"alter_context_resp ({REJECTED})"),
        (Response(stub=b"12345"), "pdu", None, "response, 5 octets of stub data"),
        (Shutdown(), "pdu", None, "shutdown (17)"),
    ],
)
def test_a_pdu_is_an_outcome(pdu: Pdu, kind: str, code: int | None, text: str) -> None:
    outcome = outcome_of_pdu(pdu)

    assert (outcome.kind, outcome.code) == (kind, code)
    assert str(outcome) == text


class FakeConnection:
    """A connection that receives these PDUs, and then raises an error."""

    def __init__(self, *pdus: Pdu, then: RpcError) -> None:
        self.pdus = [*pdus]
        self.then = then
        self.written: list[bytes] = []

    def write(self, octets: bytes) -> None:
        self.written.append(octets)

    async def next_pdu(self, _: float) -> Pdu:
        await asyncio.sleep(0)
        if not self.pdus:
            raise self.then
        return self.pdus.pop(0)

    @property
    def rpc(self) -> RpcClient:
        return cast("RpcClient", self)


@pytest.mark.parametrize(
    ("connection", "outcome"),
    [
        (FakeConnection(BindNak(reason=4), Shutdown(), then=ConnectionLost()), refuses_bind(4)),
        (FakeConnection(then=ConnectionLost()), CLOSED),
        (FakeConnection(then=DeadlineExceeded()), SILENCE),
    ],
)
def test_sent_octets_have_the_first_pdu_as_outcome(connection: FakeConnection, outcome: Outcome) -> None:
    assert asyncio.run(send_octets(connection.rpc, b"ab", b"c", timeout=1)) == outcome
    assert connection.written == [b"ab", b"c"]


def test_every_unsolicited_pdu_is_returned() -> None:
    connection = FakeConnection(FaultPdu(status=5), Shutdown(), then=DeadlineExceeded())

    assert [str(each) for each in asyncio.run(unsolicited_pdus(connection.rpc))] == [
        "fault ERROR_ACCESS_DENIED (0x00000005)",
        "shutdown (17)",
    ]


def test_a_raw_call_ends_with_octets_or_an_error() -> None:
    answered, failed = cast("Call", FakeCall(b"1234")), cast("Call", FakeCall(Fault(0x6F7)))

    assert str(asyncio.run(outcome_of_raw_call(answered, 1))) == "response, 4 octets of stub data"
    assert asyncio.run(outcome_of_raw_call(failed, 1)) == BAD_STUB


def test_a_bind_has_a_result_for_each_context() -> None:
    proposed = contexts(NDR32, NDR64, first=3)
    ack = BindAck(results=(ACCEPTED, REJECTED))

    async def bind() -> BindResult:
        await asyncio.sleep(0)
        return BindResult(ack, (ack,), proposed, None)

    bound = asyncio.run(outcome_of_bind(bind()))

    assert bound.codes == ((0, 0), (2, 1))
    assert bound.accepted == (3,)
    assert str(bound) == f"bind_ack: {ACCEPTED}; {REJECTED}"


def test_a_rejected_bind_has_no_results() -> None:
    async def bind() -> BindResult:
        await asyncio.sleep(0)
        raise BindRefused(4)

    bound = asyncio.run(outcome_of_bind(bind()))

    assert bound == BindOutcome(refusal=refuses_bind(4))
    assert (bound.results, bound.codes, bound.accepted) == ((), (), ())
    assert str(bound) == "bind_nak reason 4"


def test_each_transfer_syntax_has_a_context_of_its_own() -> None:
    assert contexts(NDR32, NDR64, first=3) == (
        PresentationContext(3, WITNESS, (NDR32,)),
        PresentationContext(4, WITNESS, (NDR64,)),
    )


@pytest.mark.parametrize(
    ("syntax", "name"), [(NDR32, "NDR"), (NDR64, "NDR64"), (WITNESS, str(WITNESS))], ids=str
)
def test_syntaxes_have_names(syntax: SyntaxId, name: str) -> None:
    assert syntax_name(syntax) == name


# Times and users
# ----------------------------------------------------------------------------------------------------------


def test_a_timer_may_be_late_by_its_scan_and_the_reply() -> None:
    assert timer_deadline(Expectations(scan_interval=10, reply_deadline=5), 30) == 45


def test_a_timed_outcome_measures_the_call() -> None:
    call = pending_call()
    call.began -= 5  # a machine under load comes to the measurement late

    timed = asyncio.run(timed_outcome_of(call, 2.5))

    assert timed.outcome == SILENCE
    assert 5 <= timed.seconds < 6
    assert cast("Any", call).timeouts == [2.5]
    assert str(TimedOutcome(CLOSED, 1.234)) == "connection closed after 1.23 s"


@pytest.mark.parametrize(
    ("outcome", "executed"),
    [
        *((returns(code), False) for code in sorted(DENIALS)),
        (returns(0), True),
        (returns(0x57), True),
        (SILENCE, True),
        (Outcome("malformed"), True),
        (faults(5), False),
        (refuses_bind(8), False),
        (CLOSED, False),
        (Outcome("pdu", detail="no security context"), False),
    ],
)
def test_a_method_was_served_unless_it_was_rejected(outcome: Outcome, executed: bool) -> None:
    assert served(outcome) is executed


# Strings and stub data
# ----------------------------------------------------------------------------------------------------------


def test_hostile_strings_contain_the_valid_value() -> None:
    assert hostile_string("nul-inside", "CLUSTER") == "CLUSTER\0XXXX"
    assert hostile_string("nul-first", "CLUSTER") == "\0CLUSTER"


@pytest.mark.parametrize("kind", HOSTILE)
def test_the_runtime_may_reject_a_hostile_string(kind: str) -> None:
    assert (CLOSED in runtime_refusals(kind)) is (kind == "64k")
    assert faults() in runtime_refusals(kind)


REGISTRATION = RegisterExRequest(0x00020000, "CLUSTER", None, "192.0.2.5", "CLIENT", 0, 120)


def test_strings_of_a_request_by_their_idl_names() -> None:
    named = {"NetName": "CLUSTER", "IpAddress": "192.0.2.5", "ClientComputerName": "CLIENT"}

    assert strings_of(REGISTRATION, fake_witness()) == named
    assert with_string(REGISTRATION, "ShareName", "DATA").share_name == "DATA"  # type: ignore[union-attr]
    assert method_name(REGISTRATION) == "RegisterEx"
    assert method_name(GetInterfaceListRequest()) == "GetInterfaceList"


def test_check_each_is_one_check_for_all_calls() -> None:
    spec = Spec("steps.test", ["RPC-STUB-truncated"])

    assert check_each(spec, "RPC-STUB-truncated", outcomes={"a": BAD_STUB, "b": BAD_STUB}, allowed=BAD_STUB)
    assert not check_each(spec, "RPC-STUB-truncated", outcomes={"a": BAD_STUB, "b": CLOSED}, allowed=BAD_STUB)

    assert [(check.passed, check.observed) for check in spec.checks] == [
        (True, f"{BAD_STUB}, 2 times"),
        (False, "b: connection closed"),
    ]


class FakeSender(StubSender):
    """Records what it would send; the outcomes are given."""

    def __init__(self, outcome: Outcome, *, then: Outcome = CLOSED) -> None:
        super().__init__(fake_witness())
        self.outcome, self.then = outcome, then
        self.sent: list[bytes] = []

    async def send(self, message: Any, stub: bytes | None = None, **_: Any) -> Outcome:
        await asyncio.sleep(0)
        self.sent.append(stub if stub is not None else encode(message, NDR32))
        return self.outcome

    async def still_serves(self) -> Outcome:
        await asyncio.sleep(0)
        return self.then


REQUEST = RegisterRequest(0x00010001, "CLUSTER", "192.0.2.5", "CLIENT")


def test_a_request_is_truncated_in_each_field() -> None:
    sender, stub = FakeSender(BAD_STUB), encode(REQUEST, NDR32)

    ended = asyncio.run(send_truncated(sender, REQUEST))

    assert {"Version", "NetName", "NetName.max_count", "ClientComputerName"} <= ended.keys()
    assert list(ended["NetName.max_count"]) == [f"{size} of {len(stub)} octets" for size in (8, 9, 10, 11)]
    assert all(stub.startswith(each) and 0 < len(each) < len(stub) for each in sender.sent)
    assert len(sender.sent) == sum(map(len, ended.values()))


@pytest.mark.parametrize(
    ("outcome", "then", "passed"),
    [
        (BAD_STUB, result(0), [True, True]),
        (returns(0), result(0), [False, True]),
        (BAD_STUB, CLOSED, [True, False]),
    ],
)
def test_truncated_requests_are_checked(outcome: Outcome, then: Outcome, passed: list[bool]) -> None:
    spec = Spec("steps.test", ["RPC-STUB-truncated"])
    sender = FakeSender(BAD_STUB, then=then)

    asyncio.run(check_truncated(spec, sender, REQUEST, {"NetName": {"9 of 80 octets": outcome}}))

    assert [check.passed for check in spec.checks] == passed
    assert spec.checks[0].note == "Register, truncated in NetName"


@pytest.mark.parametrize(("then", "passed"), [(result(0), True), (result(5), False), (CLOSED, False)])
def test_the_same_connection_must_still_serve(then: Outcome, passed: bool) -> None:
    spec = Spec("steps.test", ["RPC-STUB-truncated"])

    asyncio.run(check_still_serves(spec, "RPC-STUB-truncated", sender=FakeSender(BAD_STUB, then=then)))

    assert [check.passed for check in spec.checks] == [passed]


@pytest.mark.parametrize(
    ("capabilities", "listed", "passed"),
    [
        ((Capability.LIST_REGISTRATIONS,), "OTHER", [True]),
        ((Capability.LIST_REGISTRATIONS,), "CLIENT", [False]),
        ((), "CLIENT", []),
    ],
)
def test_nothing_may_be_registered(
    capabilities: tuple[Capability, ...], listed: str, passed: list[bool]
) -> None:
    spec = Spec("steps.test", ["RPC-STUB-truncated"])
    registered = RegistrationView("k", listed, "CLUSTER", "192.0.2.5")
    cluster = FakeCluster(*capabilities, registrations=[(registered,)])

    asyncio.run(check_nothing_registered(spec, cluster, "RPC-STUB-truncated", names=["CLIENT"]))

    assert [check.passed for check in spec.checks] == passed


def test_a_sender_without_connection_serves_nothing() -> None:
    assert asyncio.run(StubSender(fake_witness()).still_serves()) == CLOSED


def test_both_methods_have_a_section() -> None:
    assert (REGISTER.section, REGISTER_EX.section) == ("3.1.4.2", "3.1.4.5")
