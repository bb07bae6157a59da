"""A run in which a person changes the cluster: one action serves several cases, with the same verdicts."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

from swn_torture.control import Failure
from swn_torture.control.reference import ReferenceController
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.embedded import EmbeddedCluster
from tests.control.scripted_person import ScriptedPerson
from tests.preloaded import program

if TYPE_CHECKING:
    from pathlib import Path

CASES = (
    *("cluster.client-move.answer", "cluster.client-move.unknown-destination"),
    *("cluster.share-move.answer", "ndr.notification-buffers.resource-change"),
    *("rpc.get-interface-list.interface-that-is-down-stays-listed", "cluster.resource-change.down-and-up"),
)

PROFILE = """
schema = "swn-torture-target/1"
name = "by-{kind}"
net_name = "SWNCLUSTER"
[account]
username = "witness"
password = "Passw0rd!"
domain = "SWNTEST"
{nodes}
[controller]
kind = "{kind}"
{settings}
[expect]
unused_timeout = 30.0
event_deadline = 5.0
reply_deadline = 5.0
quiet_time = 0.2
shares = [{{ name = "SHARE", scale_out = true }}]
"""


def run(cluster: EmbeddedCluster, directory: Path, kind: str, settings: str) -> dict[str, Any]:
    """Run some cases with a controller; the checks of each."""
    nodes = "\n".join(
        f'[[node]]\nname = "{n.name}"\naddress = "{n.address}"\nendpoint_mapper_port = {n.epm_port}'
        for n in cluster.nodes
    )
    profile, results = directory / f"{kind}.toml", directory / f"{kind}.json"
    profile.write_text(PROFILE.format(kind=kind, nodes=nodes, settings=settings), encoding="utf-8")
    chosen = [word for case in CASES for word in ("--case", case)]
    command = [*program(), "run", "--target", str(profile), "-n", "0", *chosen]
    ended = subprocess.run(
        [*command, "--json", str(results)], capture_output=True, text=True, check=False, timeout=100
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(results.read_text(encoding="utf-8"))["cases"]
    return {
        case["id"]: (case["outcome"], sorted((c["requirement"], str(c["passed"])) for c in case["checks"]))
        for case in found
    }


def test_one_action_serves_several_cases_with_the_same_verdicts(tmp_path: Path) -> None:
    with EmbeddedCluster(ClusterConfig(smb_port=None)) as cluster:

        async def admin(verb: str, values: dict[str, str]) -> None:
            async with ReferenceController(port=cluster.admin_port) as own:
                if verb in set(Failure):
                    await own.fail(values["node"], Failure(verb))
                else:
                    await getattr(own, verb.replace("-", "_"))(**values)

        def act(verb: str, values: dict[str, str]) -> str | None:
            asyncio.run(admin(verb, values))
            return "" if verb.startswith("move-") else None

        own = run(cluster, tmp_path, "reference", f"port = {cluster.admin_port}")
        with ScriptedPerson(act) as person:
            nodes = ", ".join(f"{n.name} = {json.dumps(list(n.addresses))}" for n in cluster.nodes)
            settings = f'terminal = "{person.path}"\nserver_selects = true\nnodes = {{ {nodes} }}'
            by_person = run(cluster, tmp_path, "manual", settings)
    assert len(own) == 8
    assert {outcome for outcome, _ in own.values()} == {"passed"}
    said = re.search(r"asks for (\d+) actions, for 8 cases", person.text)
    single = re.search(r"One case at a time, they would be (\d+)", person.text)
    asked = re.findall(r"=== swn-torture, action \d+ of \d+: (\S+) ===", person.text)
    assert said
    assert single
    assert (int(said[1]), int(single[1])) == (len(asked), 15)
    # The moves of all cases; then one node goes down and up once for three cases, with two moves of one.
    assert sorted(asked) == sorted(
        [*["move-client"] * 3, "move-share", *["disable", "move-client", "move-client", "enable"]]
    )
    assert by_person == own
