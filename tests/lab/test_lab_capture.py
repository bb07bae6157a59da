"""The packets of all ports of a switch, and the capture that a report keeps of a case with a finding."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from scapy.layers.l2 import ARP, Ether
from scapy.utils import rdpcap

from swn_torture import lab
from swn_torture.casekit.case import CaseMark
from swn_torture.harness.packets import captured, kept_packets, write_packets
from swn_torture.lab import namespaces
from swn_torture.lab.addresses import MAX_BLOCK, block_of, client_addresses, controller_addresses
from swn_torture.lab.capture import Frame, LabCapture, frames_between
from swn_torture.lab.config import block_of_port
from swn_torture.lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from swn_torture.target import Profile

NODE_2 = {"src": "02:00:00:00:00:02", "dst": "ff:ff:ff:ff:ff:ff"}
GRATUITOUS = bytes(Ether(**NODE_2) / ARP(psrc="192.0.2.2", pdst="192.0.2.2"))
# With its destination: scapy would ask the network for it.
NODE_1 = {"src": "02:00:00:00:00:01", "dst": NODE_2["src"]}
ANSWER = bytes(Ether(**NODE_1) / ARP(op=2, psrc="192.0.2.1", pdst="192.0.2.2"))


@pytest.fixture
def switch() -> Iterator[str]:
    """A network namespace like the switch of a lab, with one port; returns the namespace of its client."""
    name = "swn-captest-switch"
    ip = ["ip", "-n", name, "link"]
    try:
        namespaces.add(name)
    except LabError as problem:
        pytest.skip(f"this process may not make a network namespace: {problem}")
    try:
        subprocess.run([*ip, "add", "node2", "type", "veth", "peer", "eth0"], check=True)
        for port in ("node2", "eth0"):
            subprocess.run([*ip, "set", port, "up"], check=True)
        yield "swn-captest-client"
    finally:
        namespaces.delete(name)


def send(port: str, octets: bytes, times: int = 1) -> None:
    """Send a frame in the namespace of the switch, so many times."""

    def run() -> None:
        namespaces.enter_network("swn-captest-switch")
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind((port, 0))
            for _ in range(times):
                raw.send(octets)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def test_switch_shows_each_frame_once_with_the_port_of_its_sender(switch: str) -> None:
    before = time.time()
    with LabCapture(switch) as packets:
        send("eth0", GRATUITOUS)
    (frame,) = (frame for frame in packets.frames if frame.octets == GRATUITOUS and frame.port == "node2")
    assert before - 1 < frame.time < time.time() + 1
    assert packets.complete


def test_capture_keeps_what_came_before_its_end(switch: str) -> None:
    with LabCapture(switch) as packets:
        send("eth0", GRATUITOUS, times=1000)
    assert sum(frame.octets == GRATUITOUS for frame in packets.frames) == 1000
    assert packets.complete


def test_lab_that_is_not_up_cannot_be_captured() -> None:
    with pytest.raises(LabError, match=r"cannot be captured: .* swn-nolab-switch"):
        LabCapture("swn-nolab-client").__enter__()
    profile = cast("Profile", SimpleNamespace(network_namespace="swn-nolab-client"))
    for mark in (CaseMark(("R",)), CaseMark(("R",), disturbs=True)):
        with captured(profile, mark) as packets:
            assert packets is None


def made() -> LabCapture:
    packets = LabCapture("swn-nolab-client")
    packets.frames = [Frame(102.0, "node1", ANSWER), Frame(101.5, "node2", GRATUITOUS)]
    return packets


EVENTS = [{"time": 101.0, "text": "fail node1 crash"}, {"time": 101.8, "text": "its effect was seen"}]


def test_capture_has_the_ports_and_names_the_events(tmp_path: Path) -> None:
    path = tmp_path / "c.pcapng"
    write_packets(path, made(), EVENTS)
    first, second = rdpcap(str(path))
    assert (bytes(first), float(first.time), bytes(second)) == (GRATUITOUS, 101.5, ANSWER)
    if shutil.which("tshark") is None:
        return
    fields = [f for name in ("frame.interface_name", "frame.comment") for f in ("-e", name)]
    shown = subprocess.run(
        ["tshark", "-r", str(path), "-T", "fields", *fields], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert [line.split("\t")[0] for line in shown] == ["node2", "node1"]
    assert "gratuitous ARP for 192.0.2.2" in shown[0]
    assert "the controller, -0.500 s after the first packet: fail node1 crash" in shown[0]
    assert "the controller, 0.300 s after the first packet: its effect was seen" in shown[1]


@pytest.mark.parametrize(
    ("blocks", "ports"),
    [
        ({0}, ["node1", "client", "client", "dc"]),
        ({4}, ["i4-node1", "client", "client"]),
        ({0, 4}, ["node1", "i4-node1", "client", "client", "client", "dc"]),
        ({1}, ["client"]),
    ],
)
def test_frames_of_other_clusters_are_left_out(blocks: set[int], ports: list[str]) -> None:
    """Those of the client go by their receiver; a broadcast is for all."""
    macs = {port: bytes([2, 0, 0, 0, 0, n]) for n, port in enumerate(["node1", "i4-node1", "client", "dc"])}
    all_of_them = b"\xff" * 6
    sent = [
        *(("node1", macs["client"]), ("i4-node1", all_of_them), ("client", macs["node1"])),
        *(("client", macs["i4-node1"]), ("client", all_of_them), ("dc", macs["node1"])),
    ]
    frames = [Frame(float(n), port, to + macs[port]) for n, (port, to) in enumerate(sent)]
    assert [frame.port for frame in frames_between(frames, blocks)] == ports


def test_address_and_port_tell_the_cluster() -> None:
    for block in (0, 1, 5, MAX_BLOCK):
        config = lab.LabConfig(block=block, network="lab" if block else "", name="lab.x" if block else "lab")
        for node in config.node_configs:
            found = {block_of(address) for address in (*node.fixed_addresses, *node.public_addresses)}
            assert found == {block}
            assert block_of_port(config.port(node.name)) == block
    assert {block_of(address) for address in (*client_addresses(ipv6=True), *controller_addresses())} <= {
        0,
        None,
    }
    assert {block_of(address) for address in ("192.0.2.1", "203.0.114.1", "2001:db8::1", "fd53:574f::1")} == {
        None
    }
    assert [block_of_port(port) for port in ("client", "dc")] == [None, None]


def test_kept_capture_is_a_file_of_the_session(tmp_path: Path) -> None:
    factory = SimpleNamespace(getbasetemp=lambda: tmp_path)
    item = cast("Any", SimpleNamespace(config=SimpleNamespace(_tmp_path_factory=factory)))
    packets = made()
    packets._thread.start()  # the namespace does not exist: it ends at once
    path = kept_packets(item, packets, EVENTS)
    assert path.startswith(str(tmp_path))
    assert len(rdpcap(path)) == 2
    elsewhere, unknown = (
        cast("Profile", SimpleNamespace(nodes=[SimpleNamespace(address=address)]))
        for address in ("203.0.113.65", "cluster.example.com")
    )
    assert len(rdpcap(kept_packets(item, packets, EVENTS, [unknown, elsewhere]))) == 2
    assert kept_packets(item, packets, EVENTS, [elsewhere]) == ""
    assert kept_packets(item, None, EVENTS) == ""
