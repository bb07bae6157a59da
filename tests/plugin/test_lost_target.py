"""A cluster that a case changed and could not restore: the run ends, and says why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.lab.profile import to_toml
from swn_torture.server.nodes.embedded import EmbeddedCluster
from tests.examples import one_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.plugin.conftest import Directory

#: Number of the other cases.
COUNT = 60

#: The controller cannot restore the cluster.
CONFTEST = """
import pytest
from swn_torture.control.base import NotHealthy
from swn_torture.control.reference import ReferenceController

async def restore(self, timeout=120.0):
    if (await self.node("NODE2")).state != "ok":
        raise NotHealthy("Left undone: NODE2 is disabled. Mend it with: NAME OF A COMMAND")

ReferenceController.restore = restore
"""

CASES = '''
import pytest
COUNT = 60
from swn_torture.casekit import case

@case("SWN-3.1.4.1-success-code", disturbs=True, lasts=60)
async def test_disturbs(spec, cluster):
    """Disable a node."""
    await cluster.disable("NODE2")
    spec("SWN-3.1.4.1-success-code").holds(True, expected="-", observed="-")

@case("SWN-3.1.4.1-success-code", disturbs=True)
@pytest.mark.parametrize("number", range(COUNT))
async def test_later(spec, number, cluster):
    """Check nothing."""
    spec("SWN-3.1.4.1-success-code").holds(True, expected="-", observed="-")
'''

REASON = "changed the cluster and could not restore it: Left undone: NODE2 is disabled. Mend it with: NAME"


@pytest.fixture
def profile(tmp_path: Path) -> Iterator[Path]:
    """The profile of a live target, which the processes of a run share."""
    with EmbeddedCluster() as cluster:
        tables: dict[str, Any] = {
            "schema": "swn-torture-target/1",
            "name": "live",
            "net_name": "SWNCLUSTER",
            "account": {"username": "witness", "password": "Passw0rd!", "domain": "SWNTEST"},
            "node": [
                {"name": node.name, "address": node.address, "endpoint_mapper_port": node.epm_port}
                for node in cluster.nodes
            ],
            "controller": {
                "kind": "reference",
                "address": cluster.admin_address,
                "port": cluster.admin_port,
            },
        }
        path = tmp_path / "live.toml"
        path.write_text(to_toml(tables), encoding="utf-8")
        yield path


@pytest.mark.parametrize("processes", one_in(2, ["0", "3"]))
def test_run_ends_when_the_cluster_cannot_be_restored(
    directory: Directory, profile: Path, processes: str
) -> None:
    directory.write("conftest", CONFTEST)
    directory.write("test_own", CASES)

    run = directory.run(
        *("-n", processes, f"--swn-target={profile}", "-p", "xdist", "--swn-json", "results.json")
    )

    assert run.exit == pytest.ExitCode.INTERRUPTED, run.text
    results = json.loads((directory.path / "results.json").read_text(encoding="utf-8"))
    assert results["run"]["complete"] is False
    assert REASON in results["run"]["stopped"]
    assert results["summary"]["verdict"] == "undecided"
    disturbs, *later = sorted(run.results.values(), key=lambda each: "disturbs" not in each["id"])
    assert disturbs["outcome"] == "error"
    assert "while restoring the target after the case" in disturbs["reason"]
    assert "NODE2 is disabled" in disturbs["reason"]
    # What other processes had begun before is judged. What they begin afterwards is not tested.
    outcomes = [each["outcome"] for each in later]
    assert outcomes.count("passed") < COUNT
    assert set(outcomes) <= {"passed", "not-tested"}
    assert all(REASON in each["reason"] for each in later if each["outcome"] == "not-tested")
