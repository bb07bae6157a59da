"""Transcripts are written to JSON and read back."""

from __future__ import annotations

import json

import pytest

from swn_torture.dcerpc.transcript import Octets, Transcript


def test_a_transcript_is_unchanged_after_json() -> None:
    transcript = Transcript()
    number = transcript.connection()
    here, there = ("127.0.0.1", 40000), ("127.0.0.2", 135)
    transcript.add(number, "open", here, there)
    transcript.add(number, "sent", here, there, bytes(range(256)))
    transcript.add(number, "sent", here, there, b"more")
    transcript.add(number, "reset-by-peer", here, there)
    again = Transcript.from_dicts(json.loads(json.dumps(transcript.to_dicts())))
    assert again.entries == transcript.entries
    assert again.connection() == 2
    assert transcript.stream(number, "sent") == bytes(range(256)) + b"more"
    assert len(again) == 4


@pytest.mark.parametrize("change", [{"kind": "unknown"}, {"data": "?"}, {"local": ["a"]}])
def test_an_invalid_transcript_entry_is_rejected(change: dict[str, object]) -> None:
    record = Octets(1.0, 1, "open", ("a", 1), ("b", 2)).to_dict() | change
    with pytest.raises(ValueError, match=r".+"):
        Octets.from_dict(record)
