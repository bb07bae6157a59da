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

NEVER_ISSUED = ContextHandle(0, UUID(int=0xDEAD))


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
def test_rejected_request_returns_its_code(
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
        register_ex(ip_address="192.0.2.99"),  # without a ShareName the address is not looked up
        register_ex(share_name="profiles"),
        register_ex(share_name="DATA", ip_address="192.0.2.99"),  # this share is not scale-out
        register_ex(flags=0xFFFFFFFE),
    ],
)
def test_valid_request_is_accepted(bench: Bench, request_: RegisterRequest | RegisterExRequest) -> None:
    response = bench.ask(request_)

    assert response.result == 0
    assert bench.service.registrations.find(response.context) is not None


def test_without_scale_out_shares_nothing_must_exist(bench: Bench) -> None:
    bench.view.shares.replace((Share("DATA", ShareType.CLUSTER_FS),))

    bench.register(ip_address="no address")
    handle = bench.register_ex(ip_address="192.0.2.99", share_name="NOSUCH")

    registration = bench.service.registrations.find(handle)
    assert registration is not None
    assert (registration.share_name, registration.share_notifications) == ("NOSUCH", True)


def test_failed_enumeration_is_not_an_empty_list_of_shares(bench: Bench) -> None:
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
def test_option_chooses_another_reading(
    make_bench: Callable[..., Bench], options: dict[str, Any], request_: RegisterRequest, code: int
) -> None:
    assert make_bench(**options).ask(request_).result == code


def test_unknown_share_can_be_rejected_without_scale_out(make_bench: Callable[..., Bench]) -> None:
    """By the text the name is ignored if no share is scale-out."""
    bench = make_bench(unknown_share="refuse")
    bench.view.shares.replace((Share("DATA", ShareType.CLUSTER_FS),))

    assert bench.ask(register_ex(share_name="DATA")).result == 0
    assert bench.ask(register_ex(share_name="NOSUCH")).result == Win32.ERROR_INVALID_STATE
    bench.view.shares.replace(())
    assert bench.ask(register_ex(share_name="DATA")).result == Win32.ERROR_INVALID_STATE


def test_register_can_accept_a_failed_enumeration(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(register_without_shares="accept")
    bench.view.shares.failing = True

    assert bench.ask(register()).result == 0
    assert bench.ask(register(ip_address="192.0.2.99")).result == 0


def test_ignored_share_can_be_dropped(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(ignored_share="dropped")

    def share_after(share_name: str | None) -> tuple[str | None, bool]:
        bench.register_ex(share_name=share_name)
        registration = list(bench.service.registrations)[-1]
        return registration.share_name, registration.share_notifications

    assert share_after(None) == (None, False)
    assert share_after("DATA") == ("DATA", True), "one share is scale-out, so the name is not ignored"
    bench.view.shares.replace((Share("DATA", ShareType.CLUSTER_FS),))
    assert share_after("DATA") == (None, False)
    bench.view.shares.failing = True
    assert share_after(None) == (None, False)


def test_empty_names_are_stored_as_empty(bench: Bench) -> None:
    bench.register_ex(ip_address="", client="")

    (registration,) = bench.service.registrations
    assert (registration.ip_address, registration.client_name) == ("", "")


def test_registration_keeps_the_requested_values(bench: Bench) -> None:
    bench.register_ex(share_name="PROFILES", flags=0x80000001, keep_alive_timeout=77)
    bench.register()

    second, first = list(bench.service.registrations)

    assert (second.version, second.flags, second.timeout, second.keepalive) == (0x20000, 0x80000001, 77, 77)
    assert (first.version, first.flags, first.timeout, first.keepalive) == (0x10001, 0, None, None)


def test_every_registration_has_a_unique_key(bench: Bench) -> None:
    handles = {bench.register() for _ in range(3)} | {bench.register_ex() for _ in range(3)}

    assert len(handles) == 6
    assert {handle.attributes for handle in handles} == {0}


def test_unregister_succeeds_once(bench: Bench) -> None:
    handle = bench.register_ex()

    assert bench.ask(UnRegisterRequest(handle)).result == 0
    assert bench.ask(UnRegisterRequest(handle)).result == Win32.ERROR_INVALID_PARAMETER
    assert bench.ask(AsyncNotifyRequest(handle)).result == Win32.ERROR_NOT_FOUND


def test_unregister_ex_returns_a_null_handle(bench: Bench) -> None:
    handle = bench.register()

    assert bench.ask(UnRegisterExRequest(handle)) == UnRegisterExResponse(NULL_HANDLE, 0)
    assert bench.ask(UnRegisterExRequest(handle)).result == Win32.ERROR_INVALID_PARAMETER


@pytest.mark.parametrize("handle", [NULL_HANDLE, NEVER_ISSUED], ids=["null", "never issued"])
def test_unknown_handle_returns_an_error(bench: Bench, handle: ContextHandle) -> None:
    assert bench.ask(UnRegisterRequest(handle)).result == Win32.ERROR_INVALID_PARAMETER
    unchanged = UnRegisterExResponse(handle, Win32.ERROR_INVALID_PARAMETER)
    assert bench.ask(UnRegisterExRequest(handle)) == unchanged
    assert bench.ask(AsyncNotifyRequest(handle)).result == Win32.ERROR_NOT_FOUND


def test_all_octets_of_a_handle_are_compared(bench: Bench) -> None:
    handle = bench.register()

    other = ContextHandle(1, handle.uuid)
    assert bench.ask(UnRegisterRequest(other)).result == Win32.ERROR_INVALID_PARAMETER
    assert bench.ask(UnRegisterRequest(handle)).result == 0


def test_handle_belongs_to_its_association(bench: Bench) -> None:
    handle = bench.register_ex(association="A", connection="A1")

    assert bench.ask(UnRegisterRequest(handle), association="B").result == Win32.ERROR_INVALID_PARAMETER
    assert bench.ask(UnRegisterRequest(handle), association="A", connection="A2").result == 0


def test_unknown_handle_can_return_an_rpc_fault(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(unknown_handle="fault")
    mismatch = RpcFault(FaultStatus.NCA_S_FAULT_CONTEXT_MISMATCH)

    assert bench.ask(AsyncNotifyRequest(NEVER_ISSUED)) == mismatch
    assert bench.ask(UnRegisterRequest(NULL_HANDLE)) == RpcFault(FaultStatus.RPC_X_SS_IN_NULL_CONTEXT)
    assert bench.ask(UnRegisterExRequest(NULL_HANDLE)).result == Win32.ERROR_INVALID_PARAMETER

    # The runtime keeps a handle that is [in], and closes one that is [in, out].
    handle = bench.register()
    assert bench.ask(UnRegisterRequest(handle), association="B") == mismatch
    assert bench.ask(UnRegisterRequest(handle)).result == 0
    assert bench.ask(UnRegisterRequest(handle)).result == Win32.ERROR_INVALID_PARAMETER
    other = bench.register()
    assert bench.ask(UnRegisterExRequest(other)).result == 0
    assert bench.ask(UnRegisterExRequest(other)) == mismatch


def test_handle_can_be_bound_to_its_user(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(handles_bound_to_user=True, unregister_unknown="ERROR_NOT_FOUND")
    handle = bench.register(principal="one")

    assert bench.ask(UnRegisterRequest(handle), principal="other").result == Win32.ERROR_NOT_FOUND
    assert bench.ask(UnRegisterRequest(handle), principal="one").result == 0


def test_unregister_reply_precedes_the_ended_call(bench: Bench) -> None:
    handle = bench.register_ex()
    waiting = bench.notify(handle)

    unregister = bench.call(UnRegisterRequest(handle))

    assert list(bench.answers)[-2:] == [unregister, waiting]
    assert bench.result(unregister) == 0
    assert bench.answers[waiting].response is None
    assert bench.result(waiting) == Win32.ERROR_NOT_FOUND


def test_options_choose_the_supported_methods(make_bench: Callable[..., Bench]) -> None:
    supports = make_bench(version="V1").service.supports
    assert [supports(opnum) for opnum in range(7)] == [True, True, True, True, False, False, False]

    supports = make_bench(unregister_ex=False).service.supports
    assert [supports(opnum) for opnum in range(7)] == [True, True, True, True, True, False, False]

    supports = make_bench().service.supports
    assert [supports(opnum) for opnum in (-1, 0, 5, 6)] == [False, True, True, False]
