"""The clock of a node, as its NTLM challenge says it, and what the doctor says when it is wrong."""

from __future__ import annotations

import datetime as dt
import struct
from typing import TYPE_CHECKING

import pytest

from swn_torture.dcerpc.transcript import Transcript
from swn_torture.doctor import service
from swn_torture.doctor.clocks import NB_COMPUTER, challenge_fields, clock_of, text_field
from swn_torture.doctor.examine import examine_target
from tests.doctor.test_broken_set_ups import first_node, quick
from tests.harness.targets import reference, serving

if TYPE_CHECKING:
    from collections.abc import Mapping

NOON = dt.datetime(2026, 11, 29, 12, tzinfo=dt.UTC)
#: The same as a FILETIME: units of 100 ns since 1601.
TICKS = 134_404_272_000_000_000


def challenge(pairs: Mapping[int, bytes], *, cut: int = 0) -> bytes:
    """A CHALLENGE message with these AV pairs, the last octets cut off."""
    info = b"".join(struct.pack("<HH", av_id, len(value)) + value for av_id, value in pairs.items())
    info += bytes(4)
    head = b"NTLMSSP\0" + struct.pack("<I", 2) + bytes(28) + struct.pack("<HHI", len(info), len(info), 48)
    message = head + info
    return message[: len(message) - cut]


def fields_of(octets: bytes) -> Mapping[int, bytes]:
    transcript = Transcript()
    transcript.add(1, "received", ("127.0.0.1", 1), ("127.0.0.1", 2), b"before" + octets)
    return challenge_fields(transcript)


def test_time_and_names_of_a_challenge() -> None:
    fields = fields_of(challenge({NB_COMPUTER: "NODE1".encode("utf-16-le"), 7: struct.pack("<Q", TICKS)}))
    assert clock_of(fields) == NOON
    assert text_field(fields, NB_COMPUTER) == "NODE1"
    assert text_field(fields, 3) == ""


@pytest.mark.parametrize(
    "octets", [b"", b"NTLMSSP\0", challenge({}), challenge({7: bytes(4)}), challenge({7: b"\xff" * 8})]
)
def test_challenge_without_a_time(octets: bytes) -> None:
    assert clock_of(fields_of(octets)) is None
    assert challenge_fields(None) == {}


@pytest.mark.parametrize(
    ("minutes", "state", "text"), [(10, "note", "600 s ahead"), (-2, "ok", "120 s behind")]
)
def test_clock_that_differs(minutes: int, state: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(_: object) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes)

    monkeypatch.setattr(service, "clock_of", wrong)
    with serving(reference()) as profile:
        links = examine_target(first_node(quick(profile)))
    (clock,) = [link for link in links if link.name == "clock"]
    assert (clock.state, text in clock.text) == (state, True)
    assert ("set the clocks" in clock.mend) == (state == "note")
