"""The reason in the log for each error code: the parameter, what is wrong with it, and the section."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from swn_torture.dcerpc.pdu.bind import Bind, ContextResult, PresentationContext, ResultCode
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.dcerpc.server.interface import Caller
from swn_torture.server.activity.reasons import denied, reason
from swn_torture.server.activity.words import (
    level_name,
    method_name,
    negotiated,
    parameters,
    request_of,
    response_of,
    security_name,
)
from swn_torture.server.nodes.admin_token import read_token, token_path, write_token
from swn_torture.stubdata.fields import DecodeError
from swn_torture.stubdata.syntax import NDR32, SyntaxId
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import WITNESS
from swn_torture.witness.messages import (
    AsyncNotifyRequest,
    ContextHandle,
    GetInterfaceListRequest,
    UnRegisterExRequest,
    UnRegisterRequest,
)
from tests.server.conftest import REGISTER, REGISTER_EX, Bench, View

if TYPE_CHECKING:
    from pathlib import Path

UNKNOWN = ContextHandle(0, UUID(int=77))
NULL = ContextHandle(0, UUID(int=0))
CALLER = Caller("SWNTEST\\witness", AuthType.NTLM, AuthLevel.INTEGRITY)


@pytest.mark.parametrize(
    ("request_", "options", "text"),
    [
        (replace(REGISTER, version=0x00020000), {}, "Version is 0x00020000, this method needs 0x00010001; "),
        (replace(REGISTER_EX, version=7), {}, "Version is 0x00000007, this method needs 0x00020000; "),
        (replace(REGISTER, net_name=None), {}, "NetName is NULL; MS-SWN 3.1.4.2"),
        (replace(REGISTER_EX, ip_address=None), {}, "IpAddress is NULL; MS-SWN 3.1.4.5"),
        (replace(REGISTER, client_computer_name=None), {}, "ClientComputerName is NULL; MS-SWN 3.1.4.2"),
        (replace(REGISTER, client_computer_name=""), {"empty_strings": "refuse"}, "Name is empty; MS-SWN"),
        (replace(REGISTER, net_name="OTHER"), {}, '"OTHER" is not ServerGlobalName (SWNCLUSTER, swncluster.'),
        (replace(REGISTER_EX, flags=6), {"undefined_flags": "refuse"}, "Flags has undefined bits 0x6; MS"),
        (replace(REGISTER_EX, share_name="NONE"), {}, '"NONE" is not a share (shares: PROFILES, DATA); '),
        (replace(REGISTER, ip_address="192.0.2.99"), {}, '"192.0.2.99" is not in InterfaceList; MS-SWN 3.1.'),
        (REGISTER, {"max_registrations": 0}, "0 registrations, the maximum of this server; AMB-35"),
        (AsyncNotifyRequest(UNKNOWN), {}, "in WitnessRegistrationList: it was removed, expired or never"),
        (AsyncNotifyRequest(NULL), {}, "the null handle in WitnessRegistrationList"),
        (UnRegisterRequest(UNKNOWN), {}, "or never existed; MS-SWN 3.1.4.3"),
        (UnRegisterExRequest(UNKNOWN), {}, "or never existed; MS-SWN 3.1.4.6"),
    ],
)  # fmt: skip
def test_a_rejected_call_is_explained(request_: Any, options: dict[str, Any], text: str) -> None:
    bench = Bench(**options)
    code = int(bench.ask(request_).result)
    assert code
    assert text in reason(bench.service, request_, code)
    assert reason(bench.service, request_, code + 1) == ""


def test_shares_that_cannot_be_enumerated_are_named(bench: Bench) -> None:
    bench.view.shares.failing = True
    code = int(bench.ask(REGISTER).result)
    assert "the shares of the cluster cannot be enumerated; MS-SWN 3.1.4.2" in reason(
        bench.service, REGISTER, code
    )


def test_an_empty_list_and_a_timeout_are_explained() -> None:
    bench = Bench(View(known=[]))
    request = GetInterfaceListRequest()
    assert "InterfaceList is empty; MS-SWN 3.1.4.1" in reason(
        bench.service, request, Win32.ERROR_NO_MORE_ITEMS
    )
    bench = Bench()
    waiting = AsyncNotifyRequest(bench.register())
    assert "KeepAliveTimeout has passed" in reason(bench.service, waiting, Win32.ERROR_TIMEOUT)


def test_nothing_is_said_of_a_call_that_no_check_rejects(bench: Bench) -> None:
    """A server with a fault may reject it."""
    handle = bench.register()
    for request in (REGISTER, REGISTER_EX, UnRegisterRequest(handle), UnRegisterExRequest(handle)):
        assert reason(bench.service, request, Win32.ERROR_INVALID_PARAMETER) == ""


@pytest.mark.parametrize(
    ("caller", "options", "code", "text"),
    [
        (Caller(), {}, Win32.ERROR_ACCESS_DENIED, "the caller is not authenticated; MS-SWN 3.1.4, note 4"),
        (Caller(), {}, Win32.ERROR_TIMEOUT, ""),
        (Caller(), {"enforce_security": False}, Win32.ERROR_ACCESS_DENIED, ""),
        (replace(CALLER, level=AuthLevel.CONNECT), {}, Win32.ERROR_ACCESS_DENIED, "uses CONNECT, the serv"),
        (CALLER, {}, Win32.ERROR_ACCESS_DENIED, "the account SWNTEST\\witness has no access; MS-SWN 3.1.4"),
        (CALLER, {}, Win32.ERROR_TIMEOUT, ""),
    ],
)  # fmt: skip
def test_a_denied_caller_is_explained(caller: Caller, options: dict[str, Any], code: int, text: str) -> None:
    bench = Bench(**options)
    found = denied(bench.service, caller, code)
    assert text in found
    assert bool(text) == bool(found)


def test_unknown_numbers_are_shown_as_numbers() -> None:
    assert security_name(99, AuthLevel.PRIVACY) == "type 99 PKT_PRIVACY"
    assert level_name(99) == "level 99"
    assert level_name(AuthLevel.CONNECT) == "CONNECT"


def test_a_context_without_a_result_is_named() -> None:
    """A server with a fault may return fewer results than contexts."""
    pdu = Bind(contexts=tuple(PresentationContext(n, SyntaxId(UUID(int=5), 1, 0), (NDR32,)) for n in (0, 1)))
    assert "bind-time features 0x3 confirmed" in negotiated(
        pdu, (ContextResult(ResultCode.NEGOTIATE_ACK, 3),)
    )
    shown = negotiated(pdu, (ContextResult(2, 99),))
    assert shown.count("context ") == 2
    assert "rejected, 99" in shown
    assert shown.endswith("without a result")


def test_token_is_for_this_user_in_a_private_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert read_token("127.0.0.1", 1) is None
    path = write_token("127.0.0.1", 1, "secret")
    assert path == token_path("127.0.0.1", 1)
    assert (path.stat().st_mode & 0o777, read_token("127.0.0.1", 1)) == (0o600, "secret")
    path.parent.chmod(0o755)
    with pytest.raises(PermissionError, match="must be a directory of this user with mode 0700"):
        write_token("127.0.0.1", 1, "secret")
    path.write_bytes(b"\xff")
    assert read_token("127.0.0.1", 1) is None


@pytest.mark.parametrize(
    ("syntax", "opnum", "shown"),
    [(WITNESS, 4, "WitnessrRegisterEx"), (WITNESS, 99, "witness 1.1 opnum 99"), (NDR32, 1, "opnum 1")],
)
def test_a_method_without_a_name_is_shown_by_its_opnum(syntax: SyntaxId, opnum: int, shown: str) -> None:
    assert shown in method_name(call_of(syntax, opnum))


def test_octets_that_are_no_witness_message_are_not_read() -> None:
    assert request_of(call_of(NDR32, 0)) is None
    assert request_of(call_of(WITNESS, 99)) is None
    assert isinstance(request_of(call_of(WITNESS, 4)), DecodeError)
    assert response_of(call_of(NDR32, 0), bytes(8)) is None
    assert response_of(call_of(WITNESS, 0), b"\x01") is None


def test_parameters_have_the_names_of_the_idl() -> None:
    shown = parameters(replace(REGISTER_EX, flags=1, net_name=None))
    assert "NetName NULL" in shown
    assert 'IpAddress "192.0.2.2"' in shown
    assert "Flags " in shown
    assert "Flags 0" in parameters(REGISTER_EX)
    assert "null handle" in parameters(UnRegisterRequest(NULL))


def call_of(syntax: SyntaxId, opnum: int) -> Any:
    """What is read of a call: its interface, opnum and stub data."""
    return SimpleNamespace(
        abstract_syntax=syntax, opnum=opnum, stub=b"\x01", syntax=NDR32, byte_order="little"
    )
