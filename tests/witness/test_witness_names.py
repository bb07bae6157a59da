"""Names of codes and values, and basic properties of messages."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, fields, replace
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from swn_torture.stubdata import win32
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import (
    WITNESS,
    AddressFlags,
    ChangeType,
    InterfaceFlags,
    InterfaceState,
    MessageType,
    Opnum,
    describe,
)
from swn_torture.witness.messages import NULL_HANDLE, ContextHandle, InterfaceInfo
from tests.witness.witness_samples import EVERY_KIND, HANDLE

if TYPE_CHECKING:
    from enum import IntEnum, IntFlag

    from swn_torture.witness.messages import AnyRequest, AnyResponse


def test_win32_codes_agree_with_impacket() -> None:
    from impacket.system_errors import ERROR_MESSAGES

    theirs = {name: code for code, (name, _text) in ERROR_MESSAGES.items()}
    assert {code.name: theirs.get(code.name) for code in Win32} == {code.name: code.value for code in Win32}


def test_assigned_win32_numbers_agree_with_impacket() -> None:
    from impacket.system_errors import ERROR_MESSAGES

    assert {code for code in range(0x20000) if win32.is_assigned(code)} == set(ERROR_MESSAGES)
    assert not win32.is_assigned(0xC0000022)
    assert not win32.is_assigned(0x80070005)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "ERROR_SUCCESS (0x0)"),
        (0x139F, "ERROR_INVALID_STATE (0x139F)"),
        (1460, "ERROR_TIMEOUT (0x5B4)"),
        (1747, "RPC_S_UNKNOWN_AUTHN_SERVICE (0x6D3)"),
        (0xDEAD, "unknown code (0xDEAD)"),
    ],
)
def test_descriptions_of_win32_codes(code: int, text: str) -> None:
    assert win32.describe(code) == text


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (InterfaceState, 0xFF, "UNAVAILABLE (0xFF)"),
        (ChangeType, 0, "UNKNOWN (0x0)"),
        (MessageType, 7, "unknown (0x7)"),
        (AddressFlags, 9, "V4|ONLINE (0x9)"),
        (AddressFlags, 0, "none (0x0)"),
        (AddressFlags, 0x80000001, "V4|0x80000000 (0x80000001)"),
        (InterfaceFlags, 5, "IPV4|WITNESS (0x5)"),
    ],
)
def test_descriptions_of_enumeration_values(kind: type[IntEnum | IntFlag], value: int, text: str) -> None:
    assert describe(kind, value) == text


def test_opnums_have_method_names() -> None:
    assert [opnum.method for opnum in Opnum] == [
        "WitnessrGetInterfaceList",
        "WitnessrRegister",
        "WitnessrUnRegister",
        "WitnessrAsyncNotify",
        "WitnessrRegisterEx",
        "WitnessrUnRegisterEx",
    ]
    assert list(Opnum) == list(range(6))


def test_the_identifier_of_the_interface() -> None:
    assert str(WITNESS.uuid) == "ccd8c074-d0e5-4a40-92b4-d074faa6ba28"
    assert (WITNESS.major, WITNESS.minor) == (1, 1)


def test_context_handles_and_their_text() -> None:
    assert NULL_HANDLE.is_null
    assert NULL_HANDLE.pack() == bytes(20)
    assert not ContextHandle(1, UUID(int=0)).is_null, "the attributes are part of the handle (AMB-34)"
    assert str(HANDLE) == "11223344-5566-7788-99aa-bbccddeeff00"
    assert str(ContextHandle(1, HANDLE.uuid)) == "11223344-5566-7788-99aa-bbccddeeff00/0x1"
    assert str(HANDLE) != HANDLE


def test_text_of_an_interface() -> None:
    info = InterfaceInfo("NODE2", 0x00020000, 1, IPv4Address("192.0.2.2"), IPv6Address("2001:db8::2"), 5)
    assert str(info) == ("NODE2 AVAILABLE (0x1) 192.0.2.2 2001:db8::2 IPV4|WITNESS (0x5) version 0x20000")


@pytest.mark.parametrize("message", EVERY_KIND, ids=lambda message: type(message).__name__)
def test_messages_are_values(message: AnyRequest | AnyResponse) -> None:
    copy = replace(message)
    assert copy is not message
    assert (copy, hash(copy)) == (message, hash(message))
    assert not hasattr(message, "__dict__")
    for field in fields(message):
        with pytest.raises(FrozenInstanceError):
            setattr(message, field.name, None)


def test_the_codec_imports_no_heavy_packages() -> None:
    heavy = "impacket scapy spnego cryptography jinja2 rich xdist pytest"
    script = (
        "import sys, swn_torture.witness.codec, swn_torture.stubdata.win32;"
        f"print(*sorted(set('{heavy}'.split()) & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == ""
