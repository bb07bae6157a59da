"""Samba's test of ClusAPI against the reference: the tests of the methods that it serves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from swn_torture.dcerpc.epm.endpoint_mapper import ept_map
from swn_torture.server.companions.clusapi.messages import CLUSAPI
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.embedded import EmbeddedCluster
from tests.examples import one_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.instruments.samba_tree import SambaTree

pytestmark = pytest.mark.lab

TESTS = (
    *("cluster.OpenCluster", "cluster.CloseCluster", "cluster.GetClusterName", "cluster.GetClusterVersion2"),
    *("cluster.CreateEnum", "resource.OpenResource", "resource.CloseResource", "resource.GetResourceState"),
    *("resource.GetResourceId", "resource.FailResource", "resource.OnlineResource"),
    *("resource.OfflineResource", "node.OpenNode", "node.CloseNode", "node.GetNodeState", "node.PauseNode"),
    *("node.ResumeNode", "group.OpenGroup", "group.CloseGroup", "group.GetGroupState", "group.OnlineGroup"),
    *("group.OfflineGroup", "network.OpenNetwork", "network.CloseNetwork", "network.GetNetworkState"),
)


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(ClusterConfig(clusapi=True)) as running:
        yield running


@pytest.mark.parametrize("name", one_in(3, TESTS))
def test_smbtorture_passes(name: str, cluster: EmbeddedCluster, tree: SambaTree, tmp_path: Path) -> None:
    node = cluster.nodes[0]
    (endpoint,) = asyncio.run(ept_map(node.address, CLUSAPI, port=node.epm_port))

    done = tree.run(
        "smbtorture",
        f"ncacn_ip_tcp:{node.address}[{endpoint.port},seal]",
        *("-U", "SWNTEST\\witness%Passw0rd!", "--option=torture:dangerous=yes", f"rpc.clusapi.{name}"),
        directory=tmp_path,
    )

    assert f"success: {name}\n" in done.stdout, done.stdout + done.stderr
