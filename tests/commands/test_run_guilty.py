"""A target whose defect stops clients before their first call is judged, and not refused as unusable."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.faults.library import find_fault
from swn_torture.target import load_profile
from tests.examples import one_in
from tests.preloaded import program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Command = Callable[..., subprocess.CompletedProcess[str]]

#: A case that needs an ordinary connection and is about none of the rules that these faults break.
CASE = "rpc.check-order.every-defect[register]"

#: Faults with which no client gets as far as its first call.
STOPPING = (
    "bind-ack-with-call-id-zero",
    "call-id-zero-everywhere",
    "one-result-only",
    "one-result-everywhere",
    "results-of-accepted-only",
    "bind-ack-cut-short",
    "binds-closed",
    "port-little-endian",
    "port-of-endpoint-mapper",
    "tower-cut-short",
    "tower-without-port",
    "map-without-towers",
    "map-faults",
    "witness-not-registered",
)

#: Faults that show in the preflight and leave nodes or calls that work.
SHOWING = ("call-id-one-higher", "tokens-ignored", "interface-uuid-swapped")

#: Faults of all nodes but the first.
OF_OTHER_NODES = ("wrong-port-elsewhere", "only-first-node-registered")

EACH_NODE = "RPC-EPM-each-node"


@contextlib.contextmanager
def serving(fault: str, directory: Path, *, nodes: int = 1) -> Iterator[Path]:
    """A cluster with a fault in a process of its own; yields its profile.

    It has few nodes, because the preflight calls each node three times until it answers.
    """
    path = directory / "served.toml"
    command = [*program(), "serve", "--fault", fault, "--nodes", str(nodes)]
    command += ["--write-profile", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        deadline = time.monotonic() + 30
        while not path.is_file() or "[expect]" not in path.read_text(encoding="utf-8"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        introduction = [process.stdout.readline() for _ in range(5)]
        port = introduction[2].rpartition("witness ")[2].strip()
        (directory / "port").write_text(port, encoding="utf-8")
        yield path
        process.terminate()


def findings(report: Path) -> dict[str, dict[str, Any]]:
    """The cases with findings, and no errors among the others."""
    cases = json.loads((report / "results.json").read_text(encoding="utf-8"))["cases"]
    assert not [case for case in cases if case["outcome"] == "error"]
    return {case["id"]: case for case in cases if case["outcome"] in {"failed", "deviation"}}


@pytest.mark.parametrize("name", [*one_in(4, STOPPING), *one_in(3, SHOWING), *one_in(2, OF_OTHER_NODES)])
def test_defect_before_the_first_call_is_a_finding(swn_torture: Command, tmp_path: Path, name: str) -> None:
    report = tmp_path / "report"
    with serving(name, tmp_path, nodes=2 if name in OF_OTHER_NODES else 1) as profile:
        ended = swn_torture(
            "run", "--target", str(profile), "-n", "0", "--case", CASE, "--report", str(report)
        )

    assert ended.returncode == 1, ended.stderr
    ((case_id, case),) = findings(report).items()
    requirement = case["checks"][0]["requirement"]
    assert case_id == f"preflight.first-answers[{requirement}]"
    assert requirement in {*find_fault(name).violates, EACH_NODE}
    assert case["observed"]
    assert case["transcript"]
    assert f"FAILED {case_id}" in ended.stdout
    assert requirement in ended.stderr
    for file in ("junit.xml", "index.html"):
        assert case_id in (report / file).read_text(encoding="utf-8")
    if name in STOPPING:
        assert f"not tested because of {requirement}" in ended.stderr
        assert "1 case was not tested because of this." in ended.stdout
    if requirement == EACH_NODE:
        assert "set port = NUMBER" in " ".join(ended.stderr.split())


def test_case_about_the_requirement_has_the_finding(swn_torture: Command, tmp_path: Path) -> None:
    report = tmp_path / "report"
    with serving("binds-closed", tmp_path) as profile:
        ended = swn_torture(
            *("run", "--target", str(profile), "-n", "0", "--report", str(report)),
            *("--case", CASE, "--case", "rpc.bind.result-order[unknown-first]"),
        )

    assert ended.returncode == 1, ended.stderr
    assert list(findings(report)) == ["rpc.bind.result-order[unknown-first]"]


@pytest.mark.parametrize("name", one_in(3, ["witness-not-registered", "port-little-endian", "map-faults"]))
def test_fixed_port_gets_around_the_endpoint_mapper(swn_torture: Command, tmp_path: Path, name: str) -> None:
    report = tmp_path / "report"
    with serving(name, tmp_path, nodes=2) as profile:
        node = load_profile(str(profile)).nodes[0]
        text = profile.read_text(encoding="utf-8")
        port = (tmp_path / "port").read_text(encoding="utf-8")
        line = f'address = "{node.address}"\n'
        profile.write_text(text.replace(line, f"{line}port = {port}\n", 1), encoding="utf-8")
        ended = swn_torture(
            "run", "--target", str(profile), "-n", "0", "--case", CASE, "--report", str(report)
        )

    assert ended.returncode == 1, ended.stderr
    assert f"passed     {CASE}" in ended.stderr
    assert list(findings(report)) == [f"preflight.first-answers[{EACH_NODE}]"]
