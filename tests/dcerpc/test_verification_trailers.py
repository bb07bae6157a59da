"""Verification trailers: found wherever they begin, and compared with their request."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.pdu import verification_trailer as vt
from swn_torture.stubdata.syntax import NDR32, NDR64

EXPECTED = vt.ExpectedTrailer(
    header_signing=True, abstract=NDR64, transfer=NDR32, drep=b"\x10\0\0\0", call_id=7, context_id=1, opnum=3
)
GOOD = [vt.bitmask1(), vt.pcontext(NDR64, NDR32), vt.header2(call_id=7, context_id=1, opnum=3)]


def test_a_verification_trailer_has_the_expected_octets() -> None:
    assert vt.trailer(vt.bitmask1()).pack().hex() == "8ae3137102f43671" + "0140" + "0400" + "01000000"


@given(st.binary(max_size=30), st.integers(0, 8), st.permutations(GOOD))
def test_a_trailer_is_found_after_any_stub_and_padding(
    stub: bytes, padding: int, commands: list[vt.Command]
) -> None:
    octets = stub + bytes(padding) + vt.trailer(*commands).pack()
    found = vt.find(octets)
    assert found is not None
    start, trailer = found
    assert start == len(stub) + padding
    assert [command.type for command in trailer.commands] == [command.type for command in commands]
    assert vt.contradiction(trailer, EXPECTED) is None


def test_no_trailer_is_found_without_the_signature() -> None:
    assert vt.find(b"no such thing here") is None


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (vt.pcontext(NDR32, NDR32), "another presentation context"),
        (vt.header2(call_id=8, context_id=1, opnum=3), "another request"),
        (vt.header2(call_id=7, context_id=1, opnum=4), "another request"),
        (vt.Command(0x3FFD | vt.MUST_PROCESS), "0x3FFD is unknown and must be processed"),
        (vt.Command(0x3FFD, b"abcd"), None),
        (vt.bitmask1(0xFFFFFFFF), None),
    ],
)
def test_wrong_and_unknown_commands_are_reported(command: vt.Command, problem: str | None) -> None:
    found = vt.contradiction(vt.trailer(command), EXPECTED)
    assert found is None if problem is None else found is not None and problem in found


def test_bitmask1_without_header_signing_in_the_bind() -> None:
    unsigned = replace(EXPECTED, header_signing=False)
    assert "header signing" in (vt.contradiction(vt.trailer(vt.bitmask1()), unsigned) or "")
    assert vt.contradiction(vt.trailer(vt.bitmask1(0)), unsigned) is None


def test_a_signature_in_the_parameters_is_not_a_trailer() -> None:
    parameters = b"name" + vt.SIGNATURE + b"and more"
    assert vt.find(parameters, len(parameters)) is None
    found = vt.find(parameters + vt.trailer(vt.bitmask1()).pack(), len(parameters))
    assert found is not None
    assert found[0] == len(parameters)


@pytest.mark.parametrize(
    "octets",
    [
        vt.SIGNATURE,
        vt.VerificationTrailer((vt.bitmask1(),)).pack(),
        vt.trailer(vt.Command(1, b"abc")).pack(),
        vt.trailer(vt.Command(1, b"abcd", length=400)).pack(),
        vt.trailer(vt.bitmask1(), vt.bitmask1()).pack(),
    ],
    ids=["no command", "no end", "odd length", "beyond the stub", "twice"],
)
def test_a_malformed_trailer_is_rejected(octets: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="verification_trailer"):
        vt.find(b"stub" + octets)


def test_a_known_command_with_a_wrong_size_is_rejected() -> None:
    with pytest.raises(RemoteProtocolError, match="has 8 octets, not 4"):
        vt.contradiction(vt.trailer(vt.Command(1, struct.pack("<II", 1, 1))), EXPECTED)
