"""The stub data of ClusAPI and of the server service: expected octets, impacket's NDR engine, round trips.

tests/instruments checks them with Samba too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.server.companions.srvsvc.codec import LEVELS
from swn_torture.stubdata.fields import DecodeError
from swn_torture.stubdata.syntax import NDR32, NDR64
from tests.server.companion_samples import CLUSAPI, ENUMERATIONS, INFOS, SRVSVC, SYNTAXES, shares

if TYPE_CHECKING:
    from collections.abc import Iterable

    from swn_torture.server.companions.srvsvc.messages import (
        ShareEnumResponse,
        ShareGetInfoResponse,
        ShareInfo,
    )
    from swn_torture.stubdata.syntax import SyntaxId
    from tests.server.companion_samples import Sample

SAMPLES = {**CLUSAPI, **SRVSVC}

every_sample = pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
every_syntax = pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)

N = "4e 00 4f 00 44 00 45 00 31 00 00 00"
"""NODE1"""
C = "53 00 57 00 4e 00 43 00 4c 00 55 00 53 00 54 00 45 00 52 00 00 00"
"""SWNCLUSTER"""
S = "53 00 48 00 41 00 52 00 45 00 00 00"
"""SHARE"""
R = "73 00 63 00 61 00 6c 00 65 00 2d 00 6f 00 75 00 74 00 00 00"
"""scale-out"""
H = "00 00 00 00 44 33 22 11 66 55 88 77 99 aa bb cc dd ee ff 00"


def wide(value: int) -> str:
    return value.to_bytes(8, "little").hex(" ")


def long(value: int) -> str:
    return value.to_bytes(4, "little").hex(" ")


# Each string: max_count, offset, actual_count, characters. MS-RPCE 2.2.5.3.4.1 requires the NDR64 padding
# after Flags.
GOLDEN = {
    "open_in-ndr32": [long(11), long(0), long(11), C],
    "open_in-ndr64": [wide(11), wide(0), wide(11), C],
    "open_out-ndr32": [long(0), long(0), H],
    "open_out-ndr64": [long(0), long(0), H],
    "close_out-ndr32": [long(0) * 5, long(0)],
    "state_out-ndr32": [
        *(long(2), long(0x20000), long(6), long(0), long(6), N),
        *(long(0x20004), long(11), long(0), long(11), C, "00 00", long(0), long(0)),
    ],
    "state_out-ndr64": [
        *(long(2), long(0), wide(0x20000), wide(6), wide(0), wide(6), N, long(0)),
        *(wide(0x20004), wide(11), wide(0), wide(11), C, "00 00", long(0), long(0)),
    ],
    "enum_in_null-ndr32": [
        *(long(0), long(1), long(1), long(0x20000), long(0), long(0), long(0xFFFFFFFF), long(0)),
    ],
    "enum_in_null-ndr64": [
        *(wide(0), long(1), long(0), long(1), long(0), wide(0x20000)),
        *(long(0), long(0), wide(0), long(0xFFFFFFFF), long(0), wide(0)),
    ],
    "info_out_501-ndr32": [
        *(long(501), long(0x20000), long(0x20004), long(0), long(0x20008), long(0x30)),
        *(long(6), long(0), long(6), S, long(10), long(0), long(10), R, long(0)),
    ],
    "info_out_501-ndr64": [
        *(long(501), long(0), wide(0x20000), wide(0x20004), long(0), long(0), wide(0x20008)),
        *(long(0x30), long(0)),
        *(wide(6), wide(0), wide(6), S, long(0), wide(10), wide(0), wide(10), R, long(0)),
    ],
}


@pytest.mark.parametrize("name", GOLDEN)
def test_encoding_matches_expected_octets(name: str) -> None:
    sample, _, syntax = name.rpartition("-")

    octets = SAMPLES[sample].encode(SYNTAXES[syntax])

    assert octets.hex(" ") == bytes.fromhex(" ".join(GOLDEN[name])).hex(" ")


@every_syntax
@every_sample
def test_decoding_restores_the_message(sample: Sample, syntax: SyntaxId) -> None:
    assert sample.decode(sample.encode(syntax), syntax) == sample.message


@every_syntax
@every_sample
def test_truncated_stub_is_rejected(sample: Sample, syntax: SyntaxId) -> None:
    octets = sample.encode(syntax)

    for length in range(len(octets)):
        with pytest.raises(DecodeError):
            sample.decode(octets[:length], syntax)


def test_tag_of_another_level_is_rejected() -> None:
    sample = SRVSVC["enum_out_none"]
    octets = bytearray(sample.encode(NDR32))
    octets[4] = 2
    with pytest.raises(DecodeError, match=r"ShareInfo\.tag"):
        sample.decode(bytes(octets), NDR32)


def members(info: Any, level: int) -> dict[str, Any]:
    """Return a share decoded by impacket, with our member names and without the security descriptor."""
    return {
        name.removeprefix(f"shi{level}_"): info[name]
        for name, _ in info.structure
        if not name.endswith(("reserved", "security_descriptor"))
    }


def as_impacket_reads(share: ShareInfo, level: int) -> dict[str, Any]:
    """Return a share in impacket's form: strings with their NUL, and a null pointer as no octets."""
    values = {name: getattr(share, name) for name in LEVELS[level] if name != "no_descriptor"}
    return {
        name: b"" if value is None else f"{value}\0" if isinstance(value, str) else value
        for name, value in values.items()
    }


# impacket 0.13 omits the padding at the end of NDR64 structures, which MS-RPCE 2.2.5.3.4.1 requires.
# Therefore it cannot decode an array of SHARE_INFO_501 in NDR64. Samba has the padding and decodes ours.
IMPACKET_CANNOT = {("enum_out_501", "ndr64"), ("info_out_501", "ndr64")}


def readable_by_impacket(names: Iterable[str]) -> list[tuple[str, str]]:
    return [pair for name in names for syntax in SYNTAXES if (pair := (name, syntax)) not in IMPACKET_CANNOT]


@pytest.mark.parametrize(("name", "syntax"), readable_by_impacket(n for n in ENUMERATIONS if "out" in n))
def test_impacket_decodes_our_enumerations(name: str, syntax: str) -> None:
    from impacket.dcerpc.v5 import srvs

    sample = ENUMERATIONS[name]
    message: ShareEnumResponse = sample.message

    read = srvs.NetrShareEnumResponse(sample.encode(SYNTAXES[syntax]), isNDR64=SYNTAXES[syntax] == NDR64)

    level = message.level
    assert (read["InfoStruct"]["Level"], read["TotalEntries"], read["ErrorCode"]) == (level, 2, 0)
    buffer = read["InfoStruct"]["ShareInfo"][f"Level{level}"]["Buffer"]
    assert [members(info, level) for info in buffer] == [as_impacket_reads(s, level) for s in shares(level)]


@pytest.mark.parametrize(("name", "syntax"), readable_by_impacket(INFOS))
def test_impacket_decodes_our_share_info(name: str, syntax: str) -> None:
    from impacket.dcerpc.v5 import srvs

    sample = INFOS[name]
    message: ShareGetInfoResponse = sample.message

    read = srvs.NetrShareGetInfoResponse(sample.encode(SYNTAXES[syntax]), isNDR64=SYNTAXES[syntax] == NDR64)

    level = message.level
    assert (read["InfoStruct"]["tag"], read["ErrorCode"]) == (level, 0)
    assert members(read["InfoStruct"][f"ShareInfo{level}"], level) == as_impacket_reads(
        shares(level)[0], level
    )


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("level", [0, 1, 2, 501, 502, 503])
def test_impacket_enumeration_request_is_decoded(level: int, syntax: str) -> None:
    from impacket.dcerpc.v5 import srvs
    from impacket.dcerpc.v5.dtypes import NULL

    request = srvs.NetrShareEnum(isNDR64=SYNTAXES[syntax] == NDR64)
    request["ServerName"] = "\\\\NODE1\0"
    request["InfoStruct"]["Level"] = request["InfoStruct"]["ShareInfo"]["tag"] = level
    request["InfoStruct"]["ShareInfo"][f"Level{level}"]["Buffer"] = NULL
    request["PreferedMaximumLength"] = 4096
    request["ResumeHandle"] = 3

    read = ENUMERATIONS["enum_in_1"].decode(request.getData(), SYNTAXES[syntax])

    assert (read.server_name, read.level) == ("\\\\NODE1", level)
    assert (read.preferred_maximum_length, read.resume_handle) == (4096, 3)
