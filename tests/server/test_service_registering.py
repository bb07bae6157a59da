"""Register, RegisterEx, UnRegister, UnRegisterEx (MS-SWN 3.1.4.2, 3.1.4.3, 3.1.4.5, 3.1.4.6)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from swn_torture.dcerpc.status import FaultStatus
from swn_torture.server.state.methods import RpcFault
from swn_torture.server.state.shares import Share, ShareType
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.messages import (
    NULL_HANDLE,
    AsyncNotifyRequest,
    ContextHandle,
    RegisterExRequest,
    RegisterRequest,
    UnRegisterExRequest,
    UnRegisterExResponse,
    UnRegisterRequest,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server.conftest import Bench

STRANGER = ContextHandle(0, UUID(int=0xDEAD))


def register(**fields: Any) -> RegisterRequest:
    return replace(RegisterRequest(0x00010001, "SWNCLUSTER", "192.0.2.2", "CLIENT01"), **fields)


def register_ex(**fields: Any) -> RegisterExRequest:
    request = RegisterExRequest(0x00020000, "SWNCLUSTER", None, "192.0.2.2", "CLIENT01", 0, 120)
    return replace(request, **fields)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (register(version=0x00020000), Win32.ERROR_REVISION_MISMATCH),
        (register(version=0, net_name=None), Win32.ERROR_REVISION_MISMATCH),
        (register(net_name=None), Win32.ERROR_INVALID_PARAMETER),
        (register(ip_address=None), Win32.ERROR_INVALID_PARAMETER),
        (register(client_computer_name=None), Win32.ERROR_INVALID_PARAMETER),
        (register(net_name="OTHER"), Win32.ERROR_INVALID_PARAMETER),
        (register(net_name=""), Win32.ERROR_INVALID_PARAMETER),
        (register(ip_address="192.0.2.99"), Win32.ERROR_INVALID_STATE),
        (register(ip_address="no address"), Win32.ERROR_INVALID_STATE),
        (register_ex(version=0x00010001, net_name=None), Win32.ERROR_REVISION_MISMATCH),
        (register_ex(version=0xFFFFFFFF), Win32.ERROR_REVISION_MISMATCH),
        (register_ex(net_name=None), Win32.ERROR_INVALID_PARAMETER),
        (register_ex(ip_address=None), Win32.ERROR_INVALID_PARAMETER),
        (register_ex(client_computer_name=None), Win32.ERROR_INVALID_PARAMETER),
        (register_ex(net_name="OTHER"), Win32.ERROR_INVALID_PARAMETER),
        (register_ex(share_name="NOSUCH"), Win32.ERROR_INVALID_STATE),
        (register_ex(share_name=""), Win32.ERROR_INVALID_STATE),
        (register_ex(share_name="PROFILES", ip_address="192.0.2.99"), Win32.ERROR_INVALID_STATE),
    ],
)
def test_a_refused_request_gives_its_code_and_leaves_nothing(
    bench: Bench, request_: RegisterRequest | RegisterExRequest, code: Win32
) -> None:
    response = bench.ask(request_)

    assert (response.context, response.result) == (NULL_HANDLE, code)
    assert len(bench.service.registrations) == 0


@pytest.mark.parametrize(
    "request_",
    [
        register(),
        register(net_name="swncluster"),
        register(net_name="SWNCLUSTER.swn.test"),
        register(ip_address="2001:0db8:0:0:0:0:0:2"),
        register(client_computer_name=""),
        register_ex(),
        register_ex(ip_address="192.0.2.99"),  # without a ShareName no address is looked for
        register_ex(share_name="profiles"),
        register_ex(share_name="DATA", ip_address="192.0.2.99"),  # not scale-out itself
        register_ex(flags=0xFFFFFFFE),
    ],
)
def test_what_the_text_lets_in(bench: Bench, request_: RegisterRequest | RegisterExRequest) -> None:
    response = bench.ask(request_)

    assert response.result == 0
    assert bench.service.registrations.find(response.context) is not None


def test_without_scale_out_shares_neither_address_nor_share_matter(bench: Bench) -> None:
    bench.view.shares.replace((Share("DATA", ShareType.CLUSTER_FS),))

    bench.register(ip_address="no address")
    handle = bench.register_ex(ip_address="192.0.2.99", share_name="NOSUCH")

    registration = bench.service.registrations.find(handle)
    assert registration is not None
    assert (registration.share_name, registration.share_notifications) == ("NOSUCH", True)


def test_no_shares_and_no_enumeration(bench: Bench) -> None:
    bench.view.shares.replace(())
    assert bench.ask(register()).result == 0
    assert bench.ask(register_ex(share_name="PROFILES")).result == Win32.ERROR_INVALID_STATE
    assert bench.ask(register_ex()).result == 0

    bench.view.shares.restore()
    bench.view.shares.failing = True
    assert bench.ask(register()).result == Win32.ERROR_INVALID_STATE
    assert bench.ask(register_ex(share_name="PROFILES")).result == Win32.ERROR_INVALID_STATE
    assert bench.ask(register_ex()).result == 0


@pytest.mark.parametrize(
    ("options", "request_", "code"),
    [
        ({"unknown_share": "accept"}, register_ex(share_name="NOSUCH"), 0),
        ({"unknown_share": "refuse"}, register_ex(share_name="NOSUCH"), Win32.ERROR_INVALID_STATE),
        ({"unknown_share": "refuse"}, register_ex(share_name="DATA"), 0),
        ({"share_name_ignores_case": False}, register_ex(share_name="PROFILES"), 0),
        (
            {"share_name_ignores_case": False},
            register_ex(share_name="profiles"),
            Win32.ERROR_INVALID_STATE,
        ),
        ({"address_check": "always"}, register_ex(), 0),
        ({"undefined_flags": "refuse"}, register_ex(flags=0), 0),
        ({"undefined_flags": "refuse"}, register_ex(flags=1), 0),
        ({"address_check": "always"}, register_ex(ip_address="192.0.2.99"), Win32.ERROR_INVALID_STATE),
        ({"address_check": "never"}, register(ip_address="192.0.2.99"), 0),
        ({"net_name_ignores_case": False}, register(net_name="swncluster"), Win32.ERROR_INVALID_PARAMETER),
        (
            {"net_name_aliases": False},
            register(net_name="swncluster.swn.test"),
            Win32.ERROR_INVALID_PARAMETER,
        ),
        ({"empty_strings": "refuse"}, register(client_computer_name=""), Win32.ERROR_INVALID_PARAMETER),
        ({"undefined_flags": "refuse"}, register_ex(flags=2), Win32.ERROR_INVALID_PARAMETER),
        ({"shares_keep_cluster_type": False}, register(ip_address="192.0.2.99"), 0),
        ({"max_registrations": 0}, register(), Win32.ERROR_NO_SYSTEM_RESOURCES),
        ({"max_registrations": 0, "exhausted": "ERROR_NOT_ENOUGH_MEMORY"}, register_ex(), 0x8),
    ],
)
def test_other_readings_by_option(
    make_bench: Callable[..., Bench], options: dict[str, Any], request_: RegisterRequest, code: int
) -> None:
    assert make_bench(**options).ask(request_).result == code


def test_a_server_that_wants_every_share_to_exist(make_bench: Callable[..., Bench]) -> None:
    """Even where no share is scale-out, so that by the text the name would not matter."""
    bench = make_bench(unknown_share="refuse")
    bench.view.shares.replace((Share("DATA", ShareType.CLUSTER_FS),))

    assert bench.ask(register_ex(share_name="DATA")).result == 0
    assert bench.ask(register_ex(share_name="NOSUCH")).result == Win32.ERROR_INVALID_STATE
    bench.view.shares.replace(())
    assert bench.ask(register_ex(share_name="DATA")).result == Win32.ERROR_INVALID_STATE


def test_register_can_do_without_the_shares(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(register_without_shares="accept")
    bench.view.shares.failing = True

    assert bench.ask(register()).result == 0
    assert bench.ask(register(ip_address="192.0.2.99")).result == 0


def test_a_share_that_does_not_matter_can_be_forgotten(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(ignored_share="dropped")

    def share_after(share_name: str | None) -> tuple[str | None, bool]:
        bench.register_ex(share_name=share_name)
        registration = list(bench.service.registrations)[-1]
        return registration.share_name, registration.share_notifications

    assert share_after(None) == (None, False)
    assert share_after("DATA") == ("DATA", True), "one share is scale-out, so that names matter"
    bench.view.shares.replace((Share("DATA", ShareType.CLUSTER_FS),))
    assert share_after("DATA") == (None, False)
    bench.view.shares.failing = True
    assert share_after(None) == (None, False)


def test_empty_names_stay_empty(bench: Bench) -> None:
    bench.register_ex(ip_address="", client="")

    (registration,) = bench.service.registrations
    assert (registration.ip_address, registration.client_name) == ("", "")


def test_administrators_see_what_the_client_asked_for(bench: Bench) -> None:
    bench.register_ex(share_name="PROFILES", flags=0x80000001, keep_alive_timeout=77)
    bench.register()

    second, first = list(bench.service.registrations)

    assert (second.version, second.flags, second.timeout, second.keepalive) == (0x20000, 0x80000001, 77, 77)
    assert (first.version, first.flags, first.timeout, first.keepalive) == (0x10001, 0, None, None)


def test_every_registration_has_a_key_of_its_own(bench: Bench) -> None:
    handles = {bench.register() for _ in range(3)} | {bench.register_ex() for _ in range(3)}

    assert len(handles) == 6
    assert {handle.attributes for handle in handles} == {0}


def test_unregister_works_once(bench: Bench) -> None:
    handle = bench.register_ex()

    assert bench.ask(UnRegisterRequest(handle)).result == 0
    assert bench.ask(UnRegisterRequest(handle)).result == Win32.ERROR_INVALID_PARAMETER
    assert bench.ask(AsyncNotifyRequest(handle)).result == Win32.ERROR_NOT_FOUND


def test_unregister_ex_nulls_the_handle(bench: Bench) -> None:
    handle = bench.register()

    assert bench.ask(UnRegisterExRequest(handle)) == UnRegisterExResponse(NULL_HANDLE, 0)
    assert bench.ask(UnRegisterExRequest(handle)).result == Win32.ERROR_INVALID_PARAMETER


@pytest.mark.parametrize("handle", [NULL_HANDLE, STRANGER], ids=["null", "never issued"])
def test_handles_that_were_never_issued(bench: Bench, handle: ContextHandle) -> None:
    assert bench.ask(UnRegisterRequest(handle)).result == Win32.ERROR_INVALID_PARAMETER
    back = UnRegisterExResponse(handle, Win32.ERROR_INVALID_PARAMETER)
    assert bench.ask(UnRegisterExRequest(handle)) == back, "it goes back as it came"
    assert bench.ask(AsyncNotifyRequest(handle)).result == Win32.ERROR_NOT_FOUND


def test_a_handle_is_all_of_its_octets(bench: Bench) -> None:
    handle = bench.register()

    other = ContextHandle(1, handle.uuid)
    assert bench.ask(UnRegisterRequest(other)).result == Win32.ERROR_INVALID_PARAMETER
    assert bench.ask(UnRegisterRequest(handle)).result == 0


def test_a_handle_belongs_to_its_association(bench: Bench) -> None:
    handle = bench.register_ex(association="A", connection="A1")

    assert bench.ask(UnRegisterRequest(handle), association="B").result == Win32.ERROR_INVALID_PARAMETER
    assert bench.ask(UnRegisterRequest(handle), association="A", connection="A2").result == 0


def test_an_rpc_runtime_objects_to_handles_it_does_not_know(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(unknown_handle="fault")
    mismatch = RpcFault(FaultStatus.NCA_S_FAULT_CONTEXT_MISMATCH)

    assert bench.ask(AsyncNotifyRequest(STRANGER)) == mismatch
    assert bench.ask(UnRegisterRequest(NULL_HANDLE)) == RpcFault(FaultStatus.RPC_X_SS_IN_NULL_CONTEXT)
    assert bench.ask(UnRegisterExRequest(NULL_HANDLE)).result == Win32.ERROR_INVALID_PARAMETER

    # [in] leaves the handle with the runtime, [in, out] takes it away.
    handle = bench.register()
    assert bench.ask(UnRegisterRequest(handle), association="B") == mismatch
    assert bench.ask(UnRegisterRequest(handle)).result == 0
    assert bench.ask(UnRegisterRequest(handle)).result == Win32.ERROR_INVALID_PARAMETER
    other = bench.register()
    assert bench.ask(UnRegisterExRequest(other)).result == 0
    assert bench.ask(UnRegisterExRequest(other)) == mismatch


def test_a_handle_can_be_bound_to_its_user(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(handles_bound_to_user=True, unregister_unknown="ERROR_NOT_FOUND")
    handle = bench.register(principal="one")

    assert bench.ask(UnRegisterRequest(handle), principal="other").result == Win32.ERROR_NOT_FOUND
    assert bench.ask(UnRegisterRequest(handle), principal="one").result == 0


def test_unregistering_ends_a_pending_call_after_its_own_answer(bench: Bench) -> None:
    handle = bench.register_ex()
    waiting = bench.notify(handle)

    unregister = bench.call(UnRegisterRequest(handle))

    assert list(bench.answers)[-2:] == [unregister, waiting]
    assert bench.result(unregister) == 0
    assert bench.answers[waiting].response is None
    assert bench.result(waiting) == Win32.ERROR_NOT_FOUND


def test_a_version_1_server_has_four_methods(make_bench: Callable[..., Bench]) -> None:
    supports = make_bench(version="V1").service.supports
    assert [supports(opnum) for opnum in range(7)] == [True, True, True, True, False, False, False]

    supports = make_bench(unregister_ex=False).service.supports
    assert [supports(opnum) for opnum in range(7)] == [True, True, True, True, True, False, False]

    supports = make_bench().service.supports
    assert [supports(opnum) for opnum in (-1, 0, 5, 6)] == [False, True, True, False]
