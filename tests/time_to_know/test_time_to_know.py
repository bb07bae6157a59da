"""``swn-torture time-to-know`` against a reference cluster: figures, files, Ctrl-C, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from swn_torture.cli import main
from swn_torture.control.reference import ReferenceController
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.target import journal_of, load_profile
from tests.preloaded import program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT = 60.0
BRIEF = ("--tcp-age", "0", "--tcp-limit", "0.3", "--deadline", "1")


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(ClusterConfig(smb_port=0)) as running:
        yield running


@pytest.fixture
def profile(cluster: EmbeddedCluster, tmp_path: Path) -> Path:
    nodes = "".join(
        f'[[node]]\nname = "{each.name}"\naddress = "{each.address}"\n'
        f"endpoint_mapper_port = {each.epm_port}\nsmb_port = {each.smb_port}\n"
        for each in cluster.nodes
    )
    path = tmp_path / "target.toml"
    path.write_text(
        f'schema = "swn-torture-target/1"\nname = "served"\nnet_name = "{cluster.config.net_name}"\n{nodes}'
        '[account]\nusername = "witness"\npassword = "Passw0rd!"\ndomain = "SWNTEST"\n'
        '[controller]\nkind = "reference"\n'
        f'address = "{cluster.admin_address}"\nport = {cluster.admin_port}\n',
        encoding="utf-8",
    )
    return path


def states(cluster: EmbeddedCluster) -> list[str]:
    async def ask() -> list[str]:
        async with ReferenceController(cluster.admin_address, cluster.admin_port) as controller:
            return [node.state.value for node in await controller.nodes()]

    return asyncio.run(ask())


def call(profile: Path, *arguments: str) -> Any:
    return CliRunner().invoke(main, ["time-to-know", "--target", str(profile), *arguments])


def test_figures_of_several_failures(profile: Path, cluster: EmbeddedCluster, tmp_path: Path) -> None:
    page, figures = tmp_path / "times.html", tmp_path / "times.json"
    kinds = ("crash", "hang", "hang-service", "kill-worker")
    chosen = [word for kind in kinds for word in ("--failure", kind)]
    called = call(profile, *chosen, *BRIEF, "--clients", "1,12", "--json", str(figures), "--html", str(page))
    assert called.exit_code == 0, called.output
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert found["schema"] == "swn-torture-time-to-know/1"
    rows = {(each["failure"], each["clients"]): each for each in found["measurements"]}
    assert set(rows) == {(kind, clients) for kind in kinds for clients in (1, 12)}
    for (kind, clients), row in rows.items():
        what = {
            "hang-service": "nothing",
            "kill-worker": "connection reset",
        }.get(kind, "RESOURCE_CHANGE (0x1), UNAVAILABLE (0xFF)")
        assert (row["node"], row["heard"], row["problem"]) == ("NODE3", {what: clients}, "")
        assert len(row["times"]) == (0 if kind == "hang-service" else clients)
        assert row["times"] == sorted(row["times"])
    tcp = {each["connection"]: each["how"] for each in rows["crash", 1]["tcp"]}
    assert tcp == {"with requests": "reset", "idle": "reset"}
    tcp = {each["connection"]: each["how"] for each in rows["hang", 1]["tcp"]}
    assert tcp == {"with requests": "acknowledged, no answer", "idle": "open"}
    assert rows["crash", 12]["tcp"] == []
    assert rows["kill-worker", 1]["no_tcp"] == "the SMB service does not fail"
    assert "crash, 12: RESOURCE_CHANGE (0x1), UNAVAILABLE (0xFF): 12" in called.output
    assert page.read_text(encoding="utf-8").count("<svg ") == 1 + 3  # time line; histograms
    assert states(cluster) == ["ok"] * 3
    assert not journal_of(load_profile(str(profile))).path.exists()


def test_interrupt_shows_what_was_measured(profile: Path, cluster: EmbeddedCluster) -> None:
    command = ["env", "--default-signal=INT", *program(), "time-to-know"]
    command += ["--target", str(profile), "--failure", "disable", "--failure", "hang-service"]
    command += ["--clients", "2", "--tcp-limit", "0", "--deadline", "60", "--json", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + LIMIT
        while not hanging(cluster):
            assert time.monotonic() < deadline, "no node hangs"
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=LIMIT)
    assert process.returncode != 0
    (row,) = json.loads(output)["measurements"]
    assert (row["failure"], row["heard"]) == ("disable", {"RESOURCE_CHANGE (0x1), UNAVAILABLE (0xFF)": 2})
    assert "Undone: hang-service NODE3" in errors
    assert not hanging(cluster)
    assert states(cluster) == ["ok"] * 3


def hanging(cluster: EmbeddedCluster) -> bool:
    async def ask() -> bool:
        async with ReferenceController(cluster.admin_address, cluster.admin_port) as controller:
            return any(node["hangs"] for node in await controller.send("nodes"))

    return asyncio.run(ask())


def test_account_that_cannot_log_on(profile: Path, cluster: EmbeddedCluster) -> None:
    profile.write_text(profile.read_text(encoding="utf-8").replace("Passw0rd!", "wrong"), encoding="utf-8")
    called = call(profile, "--failure", "crash", "--clients", "1", *BRIEF)
    assert called.exit_code == 0
    assert "no client was registered" in called.output
    assert "does not return its interface list: " in called.output
    assert states(cluster) == ["ok"] * 3


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--clients", "1,x"], 2, "write numbers above 0 with commas between them"),
        (["--node", "NODE9"], 3, "unknown node 'NODE9'; known: NODE1, NODE2, NODE3"),
        (["--target", "absent"], 2, "Unknown target profile 'absent'"),
        (["--target", "reference"], 2, "only exists during a run"),
        (["--html", "/proc/none/x", "--failure", "ban", "--clients", "1", *BRIEF], 2, "cannot be written"),
    ],
)
def test_what_it_refuses(profile: Path, arguments: list[str], code: int, text: str) -> None:
    called = call(profile, *arguments)
    assert (called.exit_code, text in called.output) == (code, True), called.output


def test_person_cannot_be_timed(profile: Path) -> None:
    content = profile.read_text(encoding="utf-8")
    head, _, _ = content.partition("[controller]")
    profile.write_text(head + '[controller]\nkind = "manual"\n', encoding="utf-8")
    called = call(profile)
    assert called.exit_code == 3
    assert "a person makes the changes" in called.output
