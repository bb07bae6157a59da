"""Packet captures made from octets: they hold the same octets, and tshark decodes them."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swn_torture.report.exchange.captures import SEGMENT, synthesise, write_capture
from swn_torture.report.exchange.records import read_records
from swn_torture.report.exchange.segments import Direction

if TYPE_CHECKING:
    from pathlib import Path

    from swn_torture.report.results import Results


def record(
    kind: str, data: bytes = b"", *, time: float, connection: int = 1, ipv6: bool = False
) -> dict[str, Any]:
    import base64

    local, remote = ("fd00::9", "fd00::1") if ipv6 else ("192.0.2.9", "192.0.2.1")
    return {
        "time": time, "connection": connection, "kind": kind, "data": base64.b64encode(data).decode(),
        "local": [local, 50000 + connection], "remote": [remote, 49152],
    }  # fmt: skip


def read_back(path: Path) -> list[Any]:
    from scapy.utils import rdpcap

    return list(rdpcap(str(path)))


def stream(packets: list[Any], *, source_port: int) -> bytes:
    """The octets of one direction, assembled by their sequence numbers as TCP does."""
    from scapy.layers.inet import TCP

    pieces = {
        p[TCP].seq: bytes(p[TCP].payload) for p in packets if p[TCP].sport == source_port and p[TCP].payload
    }
    octets, at = b"", min(pieces, default=0)
    while at in pieces:
        piece = pieces.pop(at)
        octets, at = octets + piece, at + len(piece)
    assert not pieces, "a gap or an overlap in the sequence numbers"
    return octets


@pytest.mark.parametrize(
    ("source", "target"), [("192.0.2.9", "255.255.255.255"), ("fd00::9", "::ffff:1.2.3.4")]
)
@given(st.data())
def test_packets_are_those_that_scapy_builds(source: str, target: str, data: st.DataObject) -> None:
    from scapy.layers.inet import IP, TCP
    from scapy.layers.inet6 import IPv6

    ports = st.integers(0, 65535)
    numbers = st.integers(0, 2**32 - 1)
    sport, dport, seq, ack = data.draw(st.tuples(ports, ports, numbers, numbers))
    flags = data.draw(st.sampled_from(["S", "SA", "A", "PA", "FA", "RA"]))
    octets = data.draw(st.binary(max_size=20) | st.just(bytes([255]) * SEGMENT))
    network = IPv6 if ":" in source else IP
    segment = TCP(sport=sport, dport=dport, seq=seq, ack=ack, flags=flags, window=65535)
    expected = bytes(network(src=source, dst=target) / segment / octets)
    assert Direction((source, sport), (target, dport)).packet(seq, ack, flags, octets) == expected


@pytest.mark.parametrize("ipv6", [False, True])
def test_capture_has_octets_in_order_and_valid_checksums(tmp_path: Path, ipv6: bool) -> None:
    long, other = os.urandom(3 * SEGMENT + 17), b"\x05" + os.urandom(40)
    transcript = [
        record("open", time=100.25, ipv6=ipv6),
        record("sent", long, time=100.5, ipv6=ipv6),
        record("open", time=100.5, connection=2, ipv6=ipv6),
        record("received", other[:20], time=100.75, ipv6=ipv6),
        record("received", other[20:], time=101.0, ipv6=ipv6),
        record("fin", time=101.0, ipv6=ipv6),
        record("closed-by-peer", time=101.0, ipv6=ipv6),
        record("reset-by-peer", time=101.5, connection=2, ipv6=ipv6),
    ]
    write_capture(tmp_path / "c.pcapng", transcript)

    from scapy.layers.inet import TCP

    packets = read_back(tmp_path / "c.pcapng")
    first = [p for p in packets if 50001 in (p[TCP].sport, p[TCP].dport)]
    second = [p for p in packets if 50002 in (p[TCP].sport, p[TCP].dport)]
    assert stream(first, source_port=50001) == long
    assert stream(first, source_port=49152) == other
    assert [str(p[TCP].flags) for p in first[:3]] == ["S", "SA", "A"]
    assert [str(p[TCP].flags) for p in first[-4:]] == ["FA", "A", "FA", "A"]
    assert [str(p[TCP].flags) for p in second] == ["S", "SA", "A", "RA"]
    assert second[-1][TCP].sport == 49152
    assert [float(packets[0].time), float(packets[-1].time)] == [100.25, 101.5]
    for packet in packets:
        given = packet[TCP].chksum
        fresh = packet.copy()
        del fresh[TCP].chksum
        assert fresh.__class__(bytes(fresh))[TCP].chksum == given


def test_incomplete_pdu_is_written_when_connection_ends() -> None:
    transcript = [record("open", time=1.0), record("sent", b"\x05\x00", time=2.0), record("reset", time=3.0)]
    packets = [packet.octets for packet in synthesise(read_records(transcript))]
    assert any(packet.endswith(b"\x05\x00") for packet in packets)
    assert len(packets) == len([*synthesise(read_records(transcript[:2]))]) + 1


def test_empty_transcript_gives_an_empty_capture(tmp_path: Path) -> None:
    write_capture(tmp_path / "c.pcapng", [])
    assert read_back(tmp_path / "c.pcapng") == []


EVENTS = [
    {"time": 1.5, "text": "disable NODE2"},
    {"time": 1.75, "text": "disable NODE2: its effect was seen"},
    {"time": 9.0, "text": "enable NODE2"},
]


def test_events_are_comments_of_the_packets_after_them(tmp_path: Path) -> None:
    transcript = [
        record("open", time=1.0),
        record("sent", b"\x05" * 20, time=2.0),
        record("open", time=3.0, connection=2),
        record("reset", time=4.0, connection=2),
    ]
    write_capture(tmp_path / "c.pcapng", transcript, EVENTS)
    packets = read_back(tmp_path / "c.pcapng")
    assert [float(packet.time) for packet in packets] == sorted(float(packet.time) for packet in packets)
    told = {float(packet.time): [text.decode() for text in packet.comments or ()] for packet in packets}
    first = next(packet for packet in packets if float(packet.time) > 1.5)
    assert [text.decode() for text in first.comments] == [
        "the controller, 0.500 s after the first packet: disable NODE2",
        "the controller, 0.750 s after the first packet: disable NODE2: its effect was seen",
    ]
    assert told[4.0] == ["the controller, 8.000 s after the first packet: enable NODE2"]
    assert sum(len(packet.comments or ()) for packet in packets) == 3
    write_capture(tmp_path / "empty.pcapng", [], EVENTS)
    assert read_back(tmp_path / "empty.pcapng") == []


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_shows_the_events(many: Results, tmp_path: Path) -> None:
    case = next(case for case in many.cases if len(case.transcript) > 10)
    events = [{"time": case.transcript[3]["time"], "text": "disable NODE2"}]
    write_capture(tmp_path / "c.pcapng", case.transcript, events)
    fields = ["-T", "fields", "-e", "frame.comment", "-Y", "frame.comment"]
    done = subprocess.run(
        ["tshark", "-r", str(tmp_path / "c.pcapng"), *fields],
        capture_output=True, text=True, check=True, timeout=60, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.strip().endswith("first packet: disable NODE2")


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_number_that_is_no_port_is_rejected(tmp_path: Path, port: int) -> None:
    with pytest.raises(ValueError, match=f"{port} is not a TCP port"):
        write_capture(tmp_path / "x.pcapng", [record("open", time=1) | {"local": ["192.0.2.9", port]}])


def test_mixed_address_families_are_rejected(tmp_path: Path) -> None:
    wrong = record("open", time=1.0) | {"local": ["::1", 1]}
    with pytest.raises(ValueError, match="two address families"):
        write_capture(tmp_path / "c.pcapng", [wrong])


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.parametrize("which", ["IPv4", "IPv6"])
def test_tshark_decodes_a_capture(many: Results, tmp_path: Path, which: str) -> None:
    case = next(
        case for case in many.cases
        if len(case.transcript) > 10 and (":" in case.transcript[0]["local"][0]) == (which == "IPv6")
    )  # fmt: skip
    write_capture(tmp_path / "c.pcapng", case.transcript)
    fields = (
        "_ws.col.Protocol",
        "dcerpc.pkt_type",
        "witness.opnum",
        "witness.witness_Register.net_name",
        "_ws.malformed",
    )
    options = [argument for field in fields for argument in ("-e", field)]
    # Heuristics first: the port of a client may be one that another protocol has registered.
    wanted = ("tcp.check_checksum", "ip.check_checksum", "tcp.try_heuristic_first")
    checks = [argument for name in wanted for argument in ("-o", f"{name}:TRUE")]
    done = subprocess.run(
        ["tshark", "-r", str(tmp_path / "c.pcapng"), "-T", "fields", "-Y", "dcerpc", *checks, *options],
        capture_output=True, text=True, check=True, timeout=60, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[1] for row in rows[:5]] == ["11", "12", "16", "0", "2"]
    register = rows[3]
    assert (register[0], register[2], register[3]) == ("WITNESS", "1", "SWNCLUSTER")
    assert [row[1] for row in rows[-2:]] == ["0", "3"]
    assert not any(row[4] for row in rows if len(row) > 4)
