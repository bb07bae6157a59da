"""Plain pytest asks the target before its first case: once, whatever the number of processes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.lab.profile import to_toml
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.server.nodes.parts import Parts
from swn_torture.server.state.options import Options
from tests.acceptors import SpnegoOnly

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugin.conftest import Directory, Run

CASES = '''
import pytest
from swn_torture.casekit import case, outcome_of, returns
from swn_torture.casekit.transport import AuthLevel, AuthType
from swn_torture.witness.messages import GetInterfaceListRequest

async def called(witness, spec, **logon):
    client = await witness.connect(**logon)
    outcome = await outcome_of(client.start(GetInterfaceListRequest()))
    spec("SWN-3.1.4.1-success-code").allows(outcome, returns(0))

@case("SWN-3.1.4.1-success-code")
@pytest.mark.parametrize("number", range(6))
async def test_default(witness, spec, number):
    """Call with the service and level that the target offers."""
    await called(witness, spec)

@case("SWN-3.1.4.1-success-code")
async def test_ntlm(witness, spec):
    """Call with NTLM."""
    await called(witness, spec, auth_type=AuthType.NTLM)

@case("SWN-3.1.4.1-success-code", needs=("ntlm",))
async def test_needs_ntlm(witness, spec):
    """Call with NTLM, and say so."""
    await called(witness, spec, auth_type=AuthType.NTLM)

@case("SWN-3.1.4.1-success-code")
async def test_integrity(witness, spec):
    """Call at PKT_INTEGRITY."""
    await called(witness, spec, level=AuthLevel.INTEGRITY)
'''

#: Counts how often a process asks the target.
CONFTEST = """
import pathlib
from swn_torture.harness import sharing

ask = sharing.learn_target

def learn_target(profile):
    with pathlib.Path("asked").open("a") as file:
        file.write("x")
    return ask(profile)

sharing.learn_target = learn_target
"""


def write_profile(path: Path, cluster: EmbeddedCluster, **changes: Any) -> Path:
    tables: dict[str, Any] = {
        "schema": "swn-torture-target/1",
        "name": "live",
        "title": "A cluster of this test",
        "net_name": "SWNCLUSTER",
        "account": {"username": "witness", "password": "Passw0rd!", "domain": "SWNTEST"},
        "node": [
            {"name": node.name, "address": node.address, "endpoint_mapper_port": node.epm_port}
            for node in cluster.nodes
        ],
        **changes,
    }
    path.write_text(to_toml(tables), encoding="utf-8")
    return path


def run(directory: Directory, profile: Path, processes: str) -> tuple[Run, dict[str, Any]]:
    directory.write("conftest", CONFTEST)
    directory.write("test_own", CASES)
    ended = directory.run("-n", processes, f"--swn-target={profile}")
    results: dict[str, Any] = json.loads((directory.path / "results.json").read_text(encoding="utf-8"))
    return ended, results


def outcomes(ended: Run) -> dict[str, str]:
    return {name.removeprefix("own.own."): each["outcome"] for name, each in ended.results.items()}


@pytest.mark.parametrize("processes", ["0", "3"])
def test_target_is_asked_once(directory: Directory, tmp_path: Path, processes: str) -> None:
    config = ClusterConfig(options=Options.from_mapping({"minimum_level": "PRIVACY"}))
    with EmbeddedCluster(config, Parts(acceptor=SpnegoOnly)) as cluster:
        ended, results = run(directory, write_profile(tmp_path / "live.toml", cluster), processes)

    assert ended.exit == 0, ended.text
    assert (directory.path / "asked").read_text("utf-8").count("x") == 1
    target = results["target"]
    assert target["facts"]["authentication"].startswith(
        "SPNEGO at PKT_PRIVACY; offered: SPNEGO; not offered: NTLM"
    )
    assert target["title"] == "A cluster of this test"
    assert target["nodes"] == [f"{node.name} ({node.address})" for node in cluster.nodes]
    assert outcomes(ended) == {
        **{f"default[{number}]": "passed" for number in range(6)},
        "ntlm": "not-tested",
        "needs-ntlm": "not-tested",
        "integrity": "not-tested",
    }
    reasons = {name: each["reason"] for name, each in ended.results.items()}
    assert "does not offer NTLM (RPC_C_AUTHN_WINNT)" in reasons["own.own.ntlm"]
    assert "does not offer NTLM (RPC_C_AUTHN_WINNT)" in reasons["own.own.needs-ntlm"]
    assert "PKT_PRIVACY only" in reasons["own.own.integrity"]


@pytest.mark.parametrize("processes", ["0", "2"])
def test_warnings_reach_the_results(directory: Directory, tmp_path: Path, processes: str) -> None:
    with EmbeddedCluster() as cluster:
        profile = write_profile(tmp_path / "live.toml", cluster, expect={"version": 1})
        ended, results = run(directory, profile, processes)

    (warning,) = results["target"]["warnings"]
    assert warning.startswith(
        "The profile live.toml says version = 1 in [expect], but NODE1, NODE2, NODE3 announce"
    )
    assert f"Warning: {warning}" in ended.text


@pytest.mark.parametrize("processes", ["0", "2"])
def test_unusable_target_is_an_error_of_every_case(
    directory: Directory, tmp_path: Path, processes: str
) -> None:
    with EmbeddedCluster() as cluster:
        account = {"username": "witness", "password": "wrong", "domain": "SWNTEST"}
        profile = write_profile(tmp_path / "live.toml", cluster, account=account)
        ended, _ = run(directory, profile, processes)

    assert ended.exit == pytest.ExitCode.TESTS_FAILED
    assert set(outcomes(ended).values()) == {"error"}
    assert (directory.path / "asked").read_text("utf-8").count("x") == 1
    for each in ended.results.values():
        assert (
            r"rejects the account SWNTEST\witness. NTLM at PKT_INTEGRITY: fault ERROR_ACCESS"
            in each["reason"]
        )
