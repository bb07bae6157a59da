"""A server that chooses its names to attack the reader: terminal, page, XML, the summary of a run."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner
from typing_extensions import override

from swn_torture.casekit.shown import LONGEST, shown
from swn_torture.cli import main
from swn_torture.dcerpc.transcript import Octets, beginning
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.server.nodes.parts import Parts
from swn_torture.server.state.service import WitnessService
from swn_torture.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from swn_torture.server.state.interfaces import Interface
    from swn_torture.witness.messages import InterfaceInfo

NAME = "N\x1b]0;owned\x07\x1b[2J\u202eX</td><script>alert(1)</script>[red]\r\nNODE9 forged\u2028\x9b1m"
SHOWN = r"N\x1b]0;owned\x07\x1b[2J\u202eX"


class HostileNames(WitnessService):
    """InterfaceGroupName has terminal escapes and markup."""

    @override
    def interface_info(self, interface: Interface) -> InterfaceInfo:
        return replace(super().interface_info(interface), group_name=NAME, version=7)


@pytest.fixture
def profile(tmp_path: Path) -> Iterator[str]:
    config = ClusterConfig.from_mapping({"nodes": 1})
    with EmbeddedCluster(config, Parts(service=HostileNames)) as cluster:
        node = cluster.nodes[0]
        path = tmp_path / "hostile.toml"
        path.write_text(
            f"""
schema = "swn-torture-target/1"
name = "hostile"
title = "a hostile server"
net_name = "SWNCLUSTER"
[account]
username = "witness"
password = "Passw0rd!"
domain = "SWNTEST"
[[node]]
name = "NODE1"
address = "{node.address}"
endpoint_mapper_port = {node.epm_port}
"""
        )
        yield str(path)


def test_interfaces_are_one_line_each_without_effect(profile: str) -> None:
    result = CliRunner().invoke(main, ["client", "interfaces", "--target", profile])
    assert result.exit_code == 0, result.output
    (line,) = result.output.splitlines()
    assert SHOWN in line
    assert line.isprintable()


def test_no_report_of_a_run_contains_what_has_an_effect(profile: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["-n", "0", "-k", "list_is_returned or group_name", "--report", str(out)]
    result = CliRunner().invoke(main, ["run", "--target", profile, *arguments])
    assert result.exit_code == 1, result.output
    page = (out / "index.html").read_text()
    junit = next(path for path in out.iterdir() if path.suffix == ".xml").read_text()
    for name, text in (("terminal", result.output), ("page", page), ("junit", junit)):
        unwanted = re.findall(r"[^\n\t\x20-\U0010ffff]|[\x7f-\x9f\u2028-\u202e\u2066-\u2069]", text)
        assert not unwanted, (name, unwanted)
    assert SHOWN in page
    assert "<script>alert" not in page
    assert ET.fromstring(junit).get("name") == "swn-torture"


@pytest.mark.parametrize("text", ["plain", "Zürich", "a b", "→"])
def test_ordinary_text_stays(text: str) -> None:
    assert visible(text) == text


def test_lines_of_our_own_stay() -> None:
    assert visible("a\n\tb\x00", keep="\n\t") == "a\n\tb\\x00"
    assert visible("\ud800") == r"\ud800"


def test_a_value_of_megabytes_is_cut() -> None:
    text = shown("x" * 10_000_000)
    assert text.endswith("… (10000000 characters)")
    assert len(text) < LONGEST + 50
    assert len(shown(bytes(1_000_000))) < LONGEST + 50


def test_evidence_keeps_the_beginning_of_a_flood() -> None:
    ends = (("127.0.0.1", 1), ("127.0.0.1", 2))
    flood = [Octets(float(at), 1, "received", *ends, bytes(100)) for at in range(1000)]
    other = [Octets(0.0, 2, "received", *ends, b"x"), Octets(2000.0, 1, "fin", *ends)]
    kept = beginning([*flood, *other], 1000)
    assert [len(entry.data) for entry in kept if entry.connection == 1] == [*[100] * 10, 0]
    assert [entry.kind for entry in kept[-2:]] == ["received", "fin"]
