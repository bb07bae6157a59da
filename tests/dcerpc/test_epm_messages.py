"""Towers and messages of the endpoint mapper, compared with octets that Samba 4.22 packed."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swn_torture.dcerpc.epm.messages import (
    NIL,
    NULL_HANDLE,
    EptStatus,
    FreeRequest,
    FreeResponse,
    LookupEntry,
    LookupRequest,
    LookupResponse,
    MapRequest,
    MapResponse,
    VersionOption,
)
from swn_torture.dcerpc.epm.towers import Floor, FloorProtocol, Tower
from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.stubdata.fields import DecodeError
from swn_torture.stubdata.syntax import NDR32, SyntaxId

SERVICE = SyntaxId(UUID("ccd8c074-d0e5-4a40-92b4-d074faa6ba28"), 1, 1)
OTHER = SyntaxId(UUID("11111111-2222-3333-4444-555555555555"), 2, 3)

# Packed by Samba 4.22.11 (samba.dcerpc.epmapper, __ndr_pack_in__ and __ndr_pack_out__).
_FLOORS = (
    "050013000d74c0d8cce5d0404a92b4d074faa6ba2801000200010013000d045d888aeb1cc9119fe808002b104860020002000000"
    "01000b020000000100070200"
)
TOWER_135 = _FLOORS + "0087" + "0100090400" + "00000000"
TOWER_49152 = _FLOORS + "c000" + "0100090400" + "7f000005"
TOWER_49153 = _FLOORS + "c001" + "0100090400" + "7f000006"
TOWER_49153_5 = _FLOORS + "c001" + "0100090400" + "7f000005"
_NIL, _HANDLE, _LENGTHS = "00" * 16, "00" * 20, "4b0000004b000000"
MAP_IN = "01000000" + _NIL + "02000000" + _LENGTHS + TOWER_135 + "00" + _HANDLE + "04000000"
MAP_IN_NO_OBJECT = "00000000" + "01000000" + _LENGTHS + TOWER_135 + "00" + _HANDLE + "04000000"
MAP_OUT = (
    _HANDLE + "02000000" + "040000000000000002000000" + "0100000002000000"
    + _LENGTHS + TOWER_49152 + "00" + _LENGTHS + TOWER_49153 + "00" + "00000000"
)  # fmt: skip
MAP_OUT_NONE = _HANDLE + "00000000" + "040000000000000000000000" + "d6a0c916"
_SERVICE = "74c0d8cce5d0404a92b4d074faa6ba28"
LOOKUP_IN = (
    "0100000001000000" + _SERVICE + "02000000" + _SERVICE + "01000100" + "01000000" + _HANDLE + "0a000000"
)
LOOKUP_IN_ALL = "000000000000000000000000" + "01000000" + _HANDLE + "0a000000"
LOOKUP_OUT = (
    _HANDLE + "02000000" + "0a0000000000000002000000"
    + _NIL + "01000000" + "0000000008000000" + "7769746e65737300"
    + _NIL + "02000000" + "0000000001000000" + "00000000"
    + _LENGTHS + TOWER_49152 + "00" + _LENGTHS + TOWER_49153_5 + "00" + "00000000"
)  # fmt: skip


def tower(port: int, address: str = "127.0.0.5", interface: SyntaxId = SERVICE) -> bytes:
    return Tower.of_tcp(interface, port, IPv4Address(address)).pack()


class TestTowers:
    def test_a_tower_is_packed_as_samba_packs_it(self) -> None:
        assert tower(49152).hex() == TOWER_49152

    def test_a_tower_of_samba_is_read(self) -> None:
        read = Tower.unpack(bytes.fromhex(TOWER_49152))
        assert read == Tower.of_tcp(SERVICE, 49152, IPv4Address("127.0.0.5"))
        assert (read.interface, read.transfer_syntax) == (SERVICE, NDR32)
        assert (read.port, read.address) == (49152, IPv4Address("127.0.0.5"))
        assert read.protocol_sequence == (FloorProtocol.NCACN, FloorProtocol.TCP, FloorProtocol.IP)

    def test_a_tower_of_named_pipes_has_no_tcp_port(self) -> None:
        syntaxes = (Floor.of_syntax(SERVICE), Floor.of_syntax(NDR32))
        pipe = Tower(
            (*syntaxes, Floor(b"\x0b", bytes(2)), Floor(b"\x0f", b"\\pipe\\x\0"), Floor(b"\x11", b"\0"))
        )
        assert Tower.unpack(pipe.pack()) == pipe
        assert pipe.port is None
        assert pipe.address is None

    @pytest.mark.parametrize("cut", range(75))
    def test_a_truncated_tower_is_rejected(self, cut: int) -> None:
        with pytest.raises(RemoteProtocolError, match="tower"):
            Tower.unpack(bytes.fromhex(TOWER_49152)[:cut])

    def test_too_long_towers_are_rejected(self) -> None:
        with pytest.raises(RemoteProtocolError, match="after the last floor"):
            Tower.unpack(tower(1) + b"\0")
        with pytest.raises(RemoteProtocolError, match="7 floors"):
            Tower.unpack(Tower((Floor(b"\7", b""),) * 7).pack())
        with pytest.raises(RemoteProtocolError, match="at most 2000 are allowed"):
            Tower.unpack(Tower((Floor(b"\7", bytes(2000)),)).pack())

    def test_a_tower_without_syntax_floors(self) -> None:
        with pytest.raises(RemoteProtocolError, match="not a UUID floor"):
            _ = Tower((Floor(b"\7", b""),)).interface
        with pytest.raises(RemoteProtocolError, match="no floor 2"):
            _ = Tower((Floor(b"\7", b""),)).transfer_syntax
        assert Floor(b"", b"").protocol == -1

    @given(st.binary(max_size=100))
    def test_a_tower_from_garbage_is_packed_again_or_rejected(self, octets: bytes) -> None:
        with suppress(RemoteProtocolError):
            assert Tower.unpack(octets).pack() == octets


MESSAGES = [
    (MAP_IN, MapRequest(bytes.fromhex(TOWER_135), NIL)),
    (MAP_IN_NO_OBJECT, MapRequest(bytes.fromhex(TOWER_135))),
    (MAP_OUT, MapResponse((bytes.fromhex(TOWER_49152), bytes.fromhex(TOWER_49153)))),
    (MAP_OUT_NONE, MapResponse((), EptStatus.NOT_REGISTERED)),
    (LOOKUP_IN, LookupRequest(1, SERVICE.uuid, SERVICE, VersionOption.ALL, max_entries=10)),
    (LOOKUP_IN_ALL, LookupRequest(max_entries=10)),
    (
        LOOKUP_OUT,
        LookupResponse(
            (
                LookupEntry(bytes.fromhex(TOWER_49152), annotation="witness"),
                LookupEntry(bytes.fromhex(TOWER_49153_5)),
            ),
            max_entries=10,
        ),
    ),
    (_HANDLE, FreeRequest(NULL_HANDLE)),
    (_HANDLE + "00000000", FreeResponse()),
]
Message = MapRequest | MapResponse | LookupRequest | LookupResponse | FreeRequest | FreeResponse


@pytest.mark.parametrize(("octets", "message"), MESSAGES)
class TestMessages:
    def test_a_message_is_packed_as_samba_packs_it(self, octets: str, message: Message) -> None:
        assert message.pack().hex() == octets

    def test_a_message_of_samba_is_read(self, octets: str, message: Message) -> None:
        read = type(message).unpack(bytes.fromhex(octets))
        # Not max_towers and max_entries: a reply does not need them after it is read.
        for name in ("towers", "entries", "status", "tower", "object", "interface", "handle"):
            assert getattr(read, name, None) == getattr(message, name, None)

    def test_a_truncated_message_is_rejected(self, octets: str, message: Message) -> None:
        whole = bytes.fromhex(octets)
        for cut in range(len(whole)):
            with pytest.raises(RemoteProtocolError):
                type(message).unpack(whole[:cut])


def test_big_endian_replies_are_read() -> None:
    octets = bytes.fromhex(TOWER_49152)
    counts = b"".join(number.to_bytes(4) for number in (1, 4, 0, 1, 1, 75, 75))
    stub = bytes(20) + counts + octets + b"\0" + bytes(4)
    assert MapResponse.unpack(stub, "big").towers == (octets,)


def test_big_endian_requests_are_read() -> None:
    stub = (
        (1).to_bytes(4) + SERVICE.uuid.bytes + (2).to_bytes(4) + (75).to_bytes(4) * 2
        + tower(0, "0.0.0.0") + b"\0" + bytes(20) + (7).to_bytes(4)
    )  # fmt: skip
    assert MapRequest.unpack(stub, "big") == MapRequest(tower(0, "0.0.0.0"), SERVICE.uuid, max_towers=7)
    stub = (
        (1).to_bytes(4) + bytes(4) + (1).to_bytes(4) + OTHER.uuid.bytes + (2).to_bytes(2) + (3).to_bytes(2)
        + (3).to_bytes(4) + bytes(20) + (9).to_bytes(4)
    )  # fmt: skip
    assert LookupRequest.unpack(stub, "big") == LookupRequest(1, None, OTHER, 3, max_entries=9)


@pytest.mark.parametrize(
    ("message", "stub", "at", "value", "problem"),
    [
        (MapResponse, MAP_OUT, 20, 3, "num_towers: 3, but towers has an actual_count of 2"),
        (MapResponse, MAP_OUT, 24, 501, "towers.max_count: 501 exceeds the maximum of 500"),
        (MapResponse, MAP_OUT, 28, 1, "towers.offset: 1 instead of 0"),
        (MapResponse, MAP_OUT, 32, 5, "towers.actual_count: 5 exceeds the max_count of 4"),
        (
            MapResponse,
            MAP_OUT,
            48,
            74,
            "towers[0].tower_length: 74 octets, but the array has a max_count of 75",
        ),
        (LookupResponse, LOOKUP_OUT, 20, 1, "num_ents: 1, but entries has an actual_count of 2"),
        (LookupResponse, LOOKUP_OUT, 56, 1, "entries[0].annotation.offset: 1 instead of 0"),
        (
            LookupResponse,
            LOOKUP_OUT,
            60,
            65,
            "entries[0].annotation.actual_count: 65 exceeds the maximum of 64",
        ),
    ],
)
def test_wrong_counts_in_a_response_are_rejected(
    message: type[MapResponse | LookupResponse], stub: str, at: int, value: int, problem: str
) -> None:
    octets = bytearray.fromhex(stub)
    octets[at : at + 4] = value.to_bytes(4, "little")

    with pytest.raises(RemoteProtocolError) as caught:
        message.unpack(bytes(octets))

    assert str(caught.value) == f"{problem} (at octet {at})"
    assert caught.value.octets == octets


def test_a_lookup_entry_without_a_tower() -> None:
    """A null pointer among the entries of a look-up does not shift the towers that follow."""
    entries = (LookupEntry(None, NIL, "no tower"), LookupEntry(tower(49152), NIL, "tower"))

    read = LookupResponse.unpack(LookupResponse(entries).pack())

    assert read.entries == entries


def test_a_truncated_syntax_identifier_is_rejected() -> None:
    with pytest.raises(DecodeError, match="needs 20 octets, 19 are left"):
        SyntaxId.unpack(SERVICE.pack()[:19])
