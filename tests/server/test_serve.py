"""`swn-torture serve`: the command, its introduction, and the profile that it writes."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from swn_torture.cli import main
from swn_torture.control import NodeState
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.serve import introduction, profile_of, serve
from swn_torture.server.state.options import Options
from swn_torture.target import load_profile, make_controller

if TYPE_CHECKING:
    from pathlib import Path

    from swn_torture.server.nodes.admin import AdminServer
    from swn_torture.server.nodes.cluster import ReferenceCluster


def test_written_profile_reaches_the_cluster(tmp_path: Path) -> None:
    lines: list[str] = []
    path = tmp_path / "reference.toml"

    async def scenario() -> None:
        stop, started = asyncio.Event(), asyncio.Event()

        def ready(cluster: ReferenceCluster, admin: AdminServer) -> None:
            path.write_text(profile_of(cluster, admin))
            lines.extend(introduction(cluster, admin, path))
            started.set()

        others = [{"name": "ARCHIVE", "aliases": ["OLDFILES"]}]
        config = ClusterConfig.from_mapping({"nodes": 2, "time_scale": 10, "other_names": others})
        running = asyncio.create_task(serve(config, ready, stop))
        async with asyncio.timeout(5):
            await started.wait()
        profile = load_profile(str(path))
        assert [node.name for node in profile.nodes] == ["NODE1", "NODE2"]
        assert [(each.name, each.aliases, len(each.addresses)) for each in profile.network_names] == [
            ("SWNCLUSTER", ("swncluster.swn.test",), 3),
            ("ARCHIVE", ("OLDFILES",), 3),
        ]
        assert (profile.expect.version, profile.expect.unused_timeout) == (2, 3.0)
        assert [(share.name, share.scale_out) for share in profile.expect.shares] == [
            ("SHARE", True),
            ("PLAIN", False),
        ]
        async with make_controller(profile) as controller:
            assert [node.state for node in await controller.nodes()] == [NodeState.OK] * 2
        stop.set()
        await running

    asyncio.run(scenario())
    text = "\n".join(lines)
    assert "Witness cluster SWNCLUSTER" in text
    assert "SWNTEST\\witness / Passw0rd!" in text
    assert "  ARCHIVE, OLDFILES: 127." in text


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--option", "dual_stack"], "'dual_stack' must be NAME=VALUE"),
        (["--option", "dual_stack=three"], "dual_stack must be one of two-entries, one-entry"),
        (["--network", "10.0.0"], "network must be an IPv4 address"),
        (["--time-scale", "0"], "time_scale must be greater than 0 and finite, not 0.0"),
        (["--time-scale", "-1"], "time_scale must be greater than 0 and finite, not -1.0"),
        (["--time-scale", "nan"], "time_scale must be greater than 0 and finite, not nan"),
        (["--time-scale", "inf"], "time_scale must be greater than 0 and finite, not inf"),
        (["--share-root", "."], "--share-root needs --smb-port"),
        (["--smb-port", "0"], "0 is not in the range"),
    ],
)
def test_invalid_arguments_are_explained(arguments: list[str], problem: str) -> None:
    result = CliRunner().invoke(main, ["serve", *arguments])
    assert result.exit_code == 2
    assert problem in " ".join(result.output.split())


def test_introduction_shows_companion_services() -> None:
    lines: list[str] = []

    async def run() -> None:
        stop = asyncio.Event()

        def ready(cluster: ReferenceCluster, admin: AdminServer) -> None:
            lines.extend(introduction(cluster, admin, None))
            node = cluster.nodes["NODE1"]
            lines.append(f"expected: //{node.address}/SHARE -p {node.smb_port} ")
            stop.set()

        await serve(ClusterConfig.from_mapping({"smb_port": 0, "clusapi": True}), ready, stop)

    asyncio.run(run())
    text = "\n".join(lines)
    assert "the resource name is SWNCLUSTER" in text
    assert text.count(lines[-1].removeprefix("expected: ")) == 2
    assert "smbclient //" in text


def test_smb_port_in_use_is_reported() -> None:
    with socket.create_server(("127.93.7.1", 0)) as server:
        port = server.getsockname()[1]
        arguments = ["serve", "--network", "127.93.7.0", "--epm-port", "1135", "--smb-port", str(port)]
        result = CliRunner().invoke(main, arguments)

    assert result.exit_code == 3
    assert f"SMB at 127.93.7.1 port {port}: Address already in use" in " ".join(result.output.split())


def test_list_options_prints_the_options() -> None:
    result = CliRunner().invoke(main, ["serve", "--list-options"])
    assert result.exit_code == 0
    lines = [line.split() for line in result.output.splitlines()]
    assert [line[0] for line in lines] == [option.name for option in dataclasses.fields(Options)]
    assert ["shares_keep_cluster_type", "AMB-37", "default", "True"] in lines


def test_foreign_address_is_reported() -> None:
    result = CliRunner().invoke(main, ["serve", "--network", "203.0.113.0", "--epm-port", "1135"])
    assert result.exit_code == 3
    assert "cannot listen on any of its addresses" in " ".join(result.output.split())
