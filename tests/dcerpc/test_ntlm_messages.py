"""The messages of NTLM that are made once are those of pyspnego."""

from __future__ import annotations

import struct

import pytest
from spnego._ntlm_raw.messages import AvFlags, AvId, Challenge, FileTime, NegotiateFlags, TargetInfo

from swn_torture.dcerpc.security.ntlm_messages import av_flags, challenge_octets

FLAGS = NegotiateFlags.unicode | NegotiateFlags.target_info | NegotiateFlags.request_target

END = bytes(4)
NAME = struct.pack("<HH", AvId.nb_domain_name, 4) + "AB".encode("utf-16-le")
MIC = struct.pack("<HHI", AvId.flags, 4, AvFlags.mic)


@pytest.mark.parametrize("version", [False, True])
def test_each_challenge_has_its_own_number_and_time(version: bool) -> None:
    flags = FLAGS | (NegotiateFlags.version if version else 0)
    began = FileTime.now()
    octets = [challenge_octets(flags, "SWNTEST", "node1.swn.test") for _ in range(3)]
    ended = FileTime.now()

    made = [Challenge.unpack(each) for each in octets]

    assert len({each.server_challenge for each in made}) == 3
    for each in made:
        assert (each.flags, each.target_name) == (flags, "SWNTEST")
        info = dict(each.target_info or {})
        assert began <= info.pop(AvId.timestamp) <= ended
        assert info == {
            AvId.nb_domain_name: "SWNTEST",
            AvId.nb_computer_name: "NODE1",
            AvId.dns_domain_name: "swn.test",
            AvId.dns_computer_name: "node1.swn.test",
            AvId.eol: b"",
        }
    assert octets[0][48:56] == bytes.fromhex("060100000000000f" if version else "0000000000000000")


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (MIC, AvFlags.mic),
        (NAME + MIC + END, AvFlags.mic),
        (NAME + END, 0),
        (NAME, 0),
        (b"", 0),
        (END + MIC, 0),
        (struct.pack("<HHI", AvId.flags, 4, 5) + END, 5),
    ],
)
def test_flags_of_the_pairs(pairs: bytes, expected: int) -> None:
    assert av_flags(pairs) == expected
    if not pairs.startswith(END):  # which pyspnego reads past
        assert TargetInfo.unpack(pairs).get(AvId.flags, 0) == expected


@pytest.mark.parametrize("pairs", [NAME[:2], MIC[:3], MIC[:6], NAME + MIC[:7], NAME + b"\0"])
def test_pair_that_is_cut_short(pairs: bytes) -> None:
    with pytest.raises(struct.error):
        av_flags(pairs)
