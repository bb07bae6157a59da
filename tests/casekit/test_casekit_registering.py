"""Register and RegisterEx as one ``Method``, and the registrations that a cluster lists."""

from __future__ import annotations

import asyncio
import dataclasses
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import pytest

from swn_torture.casekit.checks import CaseStopped, Spec
from swn_torture.casekit.outcome import CLOSED, Outcome, faults, returns
from swn_torture.casekit.steps.registering import (
    NEVER_ISSUED,
    REGISTER,
    REGISTER_EX,
    Method,
    every_address,
    methods_of,
    record_refusal,
    registrations_of,
    share_fields,
    show_registrations,
    succeeded,
    unregister,
    version_1_server,
    wait_until_gone,
    with_handle,
)
from swn_torture.casekit.witness import NotTestable
from swn_torture.control.base import RegistrationView
from swn_torture.spec import load_catalogue
from swn_torture.target import Expectations, ExpectedShare
from swn_torture.witness.messages import NULL_HANDLE, ContextHandle, UnRegisterRequest
from tests.casekit.fakes import FakeCluster, fake_witness, result
from tests.casekit.samples import IPV4, IPV6, interface

if TYPE_CHECKING:
    from swn_torture.casekit.witness import Witness

HANDLE = ContextHandle(0, UUID(int=5))
VERSION_1 = fake_witness(expect=Expectations(version=1))
VERSION_2 = fake_witness(expect=Expectations(version=2))


@pytest.mark.parametrize(
    ("method", "slug", "requirement"),
    [
        (REGISTER, "null-netname", "SWN-3.1.4.2-null-netname"),
        (REGISTER_EX, "null-netname", "SWN-3.1.4.5-null-netname"),
    ],
)
def test_a_rule_of_a_method_is_a_whole_id(method: Method, slug: str, requirement: str) -> None:
    assert method.rule(slug) == requirement
    assert requirement in load_catalogue().requirements


def test_a_version_1_target_has_only_register() -> None:
    assert methods_of(VERSION_1) == (REGISTER,)
    assert methods_of(VERSION_2) == (REGISTER, REGISTER_EX)
    with pytest.raises(NotTestable, match="version 1 only"):
        REGISTER_EX.request(VERSION_1)


@pytest.mark.parametrize(
    ("outcome", "registered"),
    [
        (result(0, context=HANDLE), True),
        (result(0, context=NULL_HANDLE), False),
        (result(0x57, context=HANDLE), False),
        (faults(0), False),
        (CLOSED, False),
    ],
)
def test_registering_succeeds_with_a_code_and_a_handle(outcome: Outcome, registered: bool) -> None:
    assert succeeded(outcome) is registered


def test_an_outcome_shows_its_handle() -> None:
    assert str(with_handle(result(0, context=HANDLE))) == f"ERROR_SUCCESS (0x0) (handle {HANDLE})"
    assert str(with_handle(CLOSED)) == "connection closed (no handle)"


@pytest.mark.parametrize("kind", NEVER_ISSUED)
def test_a_handle_that_was_never_issued_differs(kind: str) -> None:
    handle = NEVER_ISSUED[kind](HANDLE)

    assert handle != HANDLE
    assert (handle == NULL_HANDLE) is (kind == "null")


def test_the_altered_handle_differs_in_one_bit() -> None:
    assert NEVER_ISSUED["altered"](HANDLE) == ContextHandle(0, UUID(int=4))


def view(client: str, key: str = "k") -> RegistrationView:
    return RegistrationView(key, client, "CLUSTER", "192.0.2.5")


def test_registrations_are_selected_by_client_name() -> None:
    cluster = FakeCluster(registrations=[(view("A"), view("B"), view("A", "l"))])

    assert asyncio.run(registrations_of(cluster, "A", "C")) == (view("A"), view("A", "l"))
    assert show_registrations((view("A"),)) == "A at 192.0.2.5 (k)"
    assert show_registrations(()) == "none listed"


def test_waiting_ends_when_no_registration_is_left() -> None:
    cluster = FakeCluster(registrations=[(view("A"), view("B")), (view("B"),)])

    assert asyncio.run(wait_until_gone(cluster, ["A"], 5)) == ()


def test_waiting_returns_the_registrations_left() -> None:
    cluster = FakeCluster(registrations=[(view("A"), view("B"))])

    assert asyncio.run(wait_until_gone(cluster, ["A"], 0)) == (view("A"),)


def test_a_scale_out_share_is_a_field_of_register_ex() -> None:
    shares = (ExpectedShare("DATA"), ExpectedShare("PROFILES", scale_out=True))
    witness = fake_witness(expect=Expectations(shares=shares))

    assert share_fields(witness, REGISTER_EX) == {"share_name": "PROFILES"}
    assert share_fields(witness, REGISTER) == {}


def test_the_version_1_server_is_the_target_or_its_variant() -> None:
    asked: list[str] = []

    async def variant(name: str) -> Witness:
        await asyncio.sleep(0)
        asked.append(name)
        return VERSION_1

    assert asyncio.run(version_1_server(VERSION_1, variant)) is VERSION_1
    assert not asked
    assert asyncio.run(version_1_server(VERSION_2, variant)) is VERSION_1
    assert asked == ["version-1"]


@pytest.mark.parametrize(
    ("outcome", "recorded"),
    [(returns(0x5), ["ERROR_ACCESS_DENIED (0x5)"]), (returns(0), []), (faults(5), [])],
)
def test_only_error_codes_of_a_method_are_recorded(outcome: Outcome, recorded: list[str]) -> None:
    spec = Spec("steps.test", ["SWN-3.1.4.2-error-codes"])

    record_refusal(spec, REGISTER, outcome)

    assert [check.observed for check in spec.checks] == recorded


def test_every_address_of_the_list_is_named() -> None:
    witness = fake_witness(interface(IPV4, IPV6), nodes=["NODE1"])

    assert asyncio.run(every_address(witness)) == ("192.0.2.5", "2001:db8::5")


def test_an_empty_list_cannot_be_tested() -> None:
    with pytest.raises(NotTestable, match="NODE1 has no address"):
        asyncio.run(every_address(fake_witness(nodes=["NODE1"])))


def test_unregister_calls_unregister() -> None:
    witness = fake_witness(outcomes=[SimpleNamespace(result=0)])
    client = cast("Any", witness).client

    asyncio.run(unregister(witness, client, HANDLE))

    assert client.called == [UnRegisterRequest(HANDLE)]
    assert not witness.spec.checks


def test_a_failed_unregister_stops_the_case() -> None:
    witness = fake_witness(outcomes=[SimpleNamespace(result=0x490)])

    with pytest.raises(CaseStopped):
        asyncio.run(unregister(witness, cast("Any", witness).client, HANDLE))

    (check,) = witness.spec.violations
    assert check.requirement == "SWN-3.1.4.3-returns-success"
    assert check.observed == "ERROR_NOT_FOUND (0x490)"


def test_a_method_is_a_value() -> None:
    assert dataclasses.replace(REGISTER) == REGISTER
    assert [str(REGISTER), str(REGISTER_EX)] == ["register", "register-ex"]
