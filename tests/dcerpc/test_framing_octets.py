"""A stream of octets is cut into PDUs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.pdu.framing import Framer
from swn_torture.dcerpc.pdu.header import BIG_ENDIAN
from swn_torture.dcerpc.pdu.pdus import CoCancel, Request

PDUS = [Request(stub=b"x" * 50).pack(), CoCancel(drep=BIG_ENDIAN).pack(), Request(stub=b"y").pack()]


@given(st.lists(st.integers(1, 40), max_size=12))
def test_pdus_arrive_in_portions_of_any_size(sizes: list[int]) -> None:
    stream, framer, out = b"".join(PDUS), Framer(lambda _: 5840), []
    cuts = [0]
    for size in sizes:
        cuts.append(min(cuts[-1] + size, len(stream)))
    for start, end in zip(cuts, [*cuts[1:], len(stream)], strict=True):
        framer.receive_data(stream[start:end])
        while (received := framer.next_pdu()) is not None:
            out.append(received[1])
    assert out == PDUS
    assert framer.buffered == b""


def test_a_frag_length_below_the_header_size_is_rejected() -> None:
    framer = Framer(lambda _: 5840)
    framer.receive_data(Request(frag_length=8).pack())
    with pytest.raises(RemoteProtocolError, match="8 octets are less than a header"):
        framer.next_pdu()


def test_a_header_with_a_frag_length_beyond_the_limit() -> None:
    framer = Framer(lambda header: 0xFFFF if header.ptype else 100)
    framer.receive_data(Request(frag_length=101).pack()[:16])
    with pytest.raises(RemoteProtocolError, match="101 octets, at most 100 are accepted"):
        framer.next_pdu()
    assert framer.header is not None
    assert framer.header.frag_length == 101
