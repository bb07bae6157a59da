"""Octet records are assembled into PDUs, and the fields of the PDUs are named."""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from swn_torture.report.exchange.hexdump import dump, hex_lines
from swn_torture.report.exchange.pdu_fields import Association, Field, describe_pdu
from swn_torture.report.exchange.records import Frame, frames, read_records

if TYPE_CHECKING:
    from swn_torture.report.results import Results


def record(kind: str, data: bytes = b"", *, time: float = 0.0, connection: int = 1) -> dict[str, Any]:
    ends = {"local": ["192.0.2.9", 50001], "remote": ["192.0.2.1", 135]}
    return {
        "time": time,
        "connection": connection,
        "kind": kind,
        "data": base64.b64encode(data).decode(),
        **ends,
    }


def pdu(kind: int, body: bytes, *, call: int = 1, flags: int = 3, order: str = "<", auth: int = 0) -> bytes:
    drep = b"\x10\0\0\0" if order == "<" else bytes(4)
    lengths = struct.pack(order + "HHI", 16 + len(body), auth, call)
    return struct.pack("BBBB", 5, 0, kind, flags) + drep + lengths + body


def seen(*transcript: dict[str, Any]) -> list[Frame]:
    return frames(read_records(transcript))


def titles(*transcript: dict[str, Any]) -> list[str]:
    return [frame.title for frame in seen(*transcript)]


def test_split_pdu_is_one_frame_timed_at_its_last_octet() -> None:
    whole = pdu(0, struct.pack("<IHH", 4, 0, 7) + b"stub")
    found = seen(record("received", whole[:9], time=10.0), record("received", whole[9:], time=10.5))
    assert [(frame.octets, frame.time, frame.direction) for frame in found] == [(whole, 0.5, "received")]


def test_two_pdus_in_one_record_are_two_frames() -> None:
    one, two = pdu(18, b"", call=1), pdu(19, b"", call=2)
    assert titles(record("sent", one + two)) == ["co_cancel, call 1", "orphaned, call 2"]


def test_directions_and_connections_are_kept_apart() -> None:
    one, two = pdu(18, b"", call=1), pdu(19, b"", call=2)
    found = seen(
        record("sent", one[:8]),
        record("received", two[:8]),
        record("sent", two[:8], connection=2),
        record("sent", one[8:]),
        record("received", two[8:]),
    )
    assert [(f.title, f.connection, f.direction) for f in found] == [
        ("co_cancel, call 1", 1, "sent"),
        ("orphaned, call 2", 1, "received"),
        ("an incomplete PDU", 2, "sent"),
    ]


def test_octets_that_are_not_dcerpc_are_labelled() -> None:
    assert titles(record("sent", b"GET / HTTP/1.0\r\n\r\n")) == ["octets that are not a DCE/RPC PDU"]
    assert titles(record("sent", pdu(0, b"")[:8] + b"\x05\0" + bytes(6))) == [
        "octets that are not a DCE/RPC PDU"
    ]


def test_records_are_read_in_order_of_time() -> None:
    late, early = record("fin", time=2.0), record("open", time=1.0)
    assert titles(late, early) == ["connection opened", "the client closed the connection (FIN)"]


def test_events_say_which_side_ended_the_connection() -> None:
    assert titles(record("reset"), record("reset-by-peer"), record("closed-by-peer")) == [
        "the client reset the connection (RST)",
        "the target reset the connection (RST)",
        "the target closed the connection (FIN)",
    ]


def test_calls_are_named_by_interface_of_their_context(many: Results) -> None:
    transcript = next(case.transcript for case in many.cases if case.transcript)
    found = [frame.title for frame in frames(read_records(transcript))]
    assert found[1] == "bind, call 1, witness over NDR32; witness over NDR64, NTLM integrity"
    assert "NDR64 accepted" in found[2]
    assert found[4].startswith("request, call 2, opnum 1 WitnessrRegister, ")
    assert found[5].startswith("response, call 2, to opnum 1 WitnessrRegister, 24 octets of stub data")
    assert found[-3] == "request, call 90, opnum 7 not a witness opnum, 0 octets of stub data, NTLM integrity"
    assert found[-2] == "fault, call 90, nca_s_op_rng_error (0x1C010002), to opnum 7 not a witness opnum"


def test_title_says_which_fragment_it_is() -> None:
    body = struct.pack("<IHH", 4, 0, 7) + b"stub"
    assert titles(*(record("sent", pdu(0, body, flags=flags)) for flags in (1, 0, 2))) == [
        f"request ({part} fragment), call 1, opnum 7, 4 octets of stub data"
        for part in ("first", "middle", "last")
    ]


def test_big_endian_pdu_is_read_in_its_byte_order() -> None:
    big = pdu(0, struct.pack(">IHH", 4, 0, 7) + b"stub", call=9, order=">")
    (frame,) = seen(record("sent", big))
    assert frame.title == "request, call 9, opnum 7, 4 octets of stub data"
    assert frame.fields[1].label == "data representation: big-endian"


def test_parts_of_a_protected_request_are_named() -> None:
    body = (
        struct.pack("<IHH", 5, 0, 1) + b"stub!" + bytes(3) + struct.pack("<BBBBI", 10, 6, 3, 0, 1) + b"S" * 16
    )
    _, fields = describe_pdu(pdu(0, body, auth=16), Association())
    assert [(f.label, f.length) for f in fields[-4:]] == [
        ("stub data, sealed", 5),
        ("authentication padding", 3),
        ("NTLM, level privacy, 3 octets of padding, security context 1", 8),
        ("authentication value", 16),
    ]


kinds = st.integers(0, 20) | st.integers(0, 255)


@given(
    kind=kinds,
    flags=st.integers(0, 255),
    drep=st.sampled_from([0, 0x10]),
    auth=st.integers(0, 65535),
    body=st.binary(max_size=200),
)
def test_fields_cover_every_octet_of_any_pdu(
    kind: int, flags: int, drep: int, auth: int, body: bytes
) -> None:
    octets = struct.pack("BBBBBxxx", 5, 0, kind, flags, drep) + struct.pack("<HHI", 0, auth, 1) + body
    _, fields = describe_pdu(octets, Association())
    assert [field.offset for field in fields] == [
        sum(f.length for f in fields[:i]) for i in range(len(fields))
    ]
    assert sum(field.length for field in fields) == len(octets)


@given(st.lists(st.tuples(st.sampled_from(["sent", "received", "fin"]), st.binary(max_size=60)), max_size=8))
def test_frames_cover_every_octet_of_a_transcript(pieces: list[tuple[str, bytes]]) -> None:
    found = seen(*(record(kind, data, time=index) for index, (kind, data) in enumerate(pieces)))
    for direction in ("sent", "received"):
        passed = b"".join(frame.octets for frame in found if frame.direction == direction)
        assert passed == b"".join(data for kind, data in pieces if kind == direction)


def test_hex_lines_show_offset_octets_and_text() -> None:
    assert hex_lines(b"witness \x00\xff service", 0x10) == (
        "0010  77 69 74 6e 65 73 73 20  00 ff 20 73 65 72 76 69\twitness .. servi\n0020  63 65\tce"
    )


def test_a_star_stands_for_equal_lines_but_the_last() -> None:
    lines = hex_lines(b"a" + bytes(15 + 4 * 16) + b"b").split("\n")
    assert [line[:4] for line in lines] == ["0000", "0010", "*", "0050"]
    assert hex_lines(bytes(64)).split("\n")[1:] == [
        "*",
        "0030  " + "00 " * 8 + " " + "00 " * 7 + "00\t" + "." * 16,
    ]


def test_dump_shows_unnamed_octets_and_omits_cut_fields() -> None:
    fields = [Field(1, 2, "named"), Field(8, 4, "cut off")]
    assert [(label, text[6:].split("\t")[0]) for label, text in dump(b"abcd", fields)] == [
        ("", "61"),
        ("named", "62 63"),
        ("", "64"),
    ]
