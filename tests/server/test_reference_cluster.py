"""The cluster over real sockets: calls, and what clients see of its events."""

from __future__ import annotations

import asyncio
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.dcerpc.errors import ConnectionLost, DeadlineExceeded, Fault
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.server.config import ClusterConfig, ConfigError, InterfaceConfig, NodeConfig
from swn_torture.server.nodes.cluster import ReferenceCluster
from swn_torture.server.nodes.events import ClusterError
from swn_torture.server.state.registrations import Selection
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.client import connect
from swn_torture.witness.constants import InterfaceFlags, InterfaceState, MessageType
from swn_torture.witness.messages import GetInterfaceListRequest
from tests.server.scenarios import TIMEOUT, WITNESS, client_of, notified, register, run_in_cluster

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from swn_torture.server.nodes.node import Node


def test_every_node_lists_the_others_as_witnesses() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        for node in cluster.nodes.values():
            async with client_of(node) as client:
                interfaces = (await client.get_interface_list()).interfaces
            assert [i.group_name for i in interfaces] == ["NODE1", "NODE2", "NODE3"]
            assert [i.group_name for i in interfaces if not i.flags & InterfaceFlags.WITNESS] == [node.name]
            assert [bool(i.flags & InterfaceFlags.IPV6) for i in interfaces] == [False, True, False]

    run_in_cluster(scenario)


@pytest.mark.parametrize("syntax", [NDR32, NDR64], ids=["ndr32", "ndr64"])
@pytest.mark.parametrize("auth_type", [AuthType.NTLM, AuthType.SPNEGO], ids=["ntlm", "spnego"])
@pytest.mark.parametrize("level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY], ids=["sign", "seal"])
def test_every_method_works_with_every_protection(syntax: Any, auth_type: AuthType, level: AuthLevel) -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node1, node2, _ = cluster.nodes.values()
        async with client_of(node1, syntax=syntax, auth_type=auth_type, level=level) as client:
            assert len((await client.get_interface_list()).interfaces) == 3
            first = await client.register(
                net_name="SWNCLUSTER", ip_address=node2.address, client_computer_name="CLIENT01"
            )
            second = await register(client, node2)
            calls = client.async_notify(first.context), client.async_notify(second)
            await cluster.disable("NODE2")
            for call in calls:
                answer = notified(await call.reply(TIMEOUT))
                assert answer == (MessageType.RESOURCE_CHANGE, ["NODE2 UNAVAILABLE"])
            assert (await client.unregister(first.context)).result == 0
            gone = await client.unregister_ex(second)
            assert (gone.result, gone.context.is_null) == (0, True)
            assert cluster.registrations() == []

    run_in_cluster(scenario)


def test_callers_below_integrity_get_access_denied() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node = cluster.node("NODE1")
        for how in (
            {"credentials": None, "level": AuthLevel.NONE},
            {"level": AuthLevel.CONNECT},
            {"level": AuthLevel.PKT},
        ):
            async with client_of(node, **how) as client:
                assert (await client.get_interface_list()).result == Win32.ERROR_ACCESS_DENIED
                refused = await client.register(
                    net_name="SWNCLUSTER", ip_address=node.address, client_computer_name="C"
                )
                assert (refused.result, refused.context.is_null) == (Win32.ERROR_ACCESS_DENIED, True)
                assert (await client.unregister(refused.context)).result == Win32.ERROR_ACCESS_DENIED
                answer = await client.async_notify(refused.context).reply(TIMEOUT)
                assert (answer.result, answer.response) == (Win32.ERROR_ACCESS_DENIED, None)
        assert cluster.registrations() == []

    run_in_cluster(scenario)


def test_access_check_can_return_a_fault_or_be_disabled() -> None:
    async def refused(cluster: ReferenceCluster) -> None:
        async with client_of(cluster.node("NODE1"), credentials=None, level=AuthLevel.NONE) as client:
            with pytest.raises(Fault) as caught:
                await client.get_interface_list()
            assert caught.value.status == Win32.ERROR_ACCESS_DENIED
        async with client_of(cluster.node("NODE1"), level=AuthLevel.PKT) as client:
            assert (await client.get_interface_list()).result == 0

    async def unauthenticated(cluster: ReferenceCluster) -> None:
        async with client_of(cluster.node("NODE1"), credentials=None, level=AuthLevel.NONE) as client:
            assert (await client.get_interface_list()).result == 0

    async def refused_account(cluster: ReferenceCluster) -> None:
        async with client_of(cluster.node("NODE1")) as client:
            assert (await client.get_interface_list()).result == Win32.ERROR_ACCESS_DENIED

    run_in_cluster(refused, denied_by="fault", minimum_level="PKT")
    run_in_cluster(refused_account, refused_accounts=["WITNESS"])
    run_in_cluster(unauthenticated, enforce_security=False)


def test_stub_data_are_strict_except_trailing_octets() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        async with client_of(cluster.node("NODE1")) as client:
            for opnum, stub, status in (
                (1, b"", FaultStatus.RPC_X_BAD_STUB_DATA),
                (2, bytes(19), FaultStatus.RPC_X_BAD_STUB_DATA),
                (6, b"", FaultStatus.NCA_S_OP_RNG_ERROR),
                (65535, b"", FaultStatus.NCA_S_OP_RNG_ERROR),
            ):
                with pytest.raises(Fault) as caught:
                    await client.rpc.call(opnum, stub).reply(TIMEOUT)
                assert caught.value.status == status
            assert await client.rpc.call(2, bytes(20) + b"surplus").reply(TIMEOUT) == b"\x57\0\0\0"

    run_in_cluster(scenario)


def test_version_1_server_rejects_opnums_4_and_5() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        async with client_of(cluster.node("NODE1")) as client:
            for opnum in (4, 5):
                with pytest.raises(Fault) as caught:
                    await client.rpc.call(opnum, b"").reply(TIMEOUT)
                assert caught.value.status == FaultStatus.NCA_S_OP_RNG_ERROR
                assert caught.value.did_not_execute

    run_in_cluster(scenario, version="V1")


def test_cancel_and_orphan_keep_the_registration() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node1, node2, _ = cluster.nodes.values()
        async with client_of(node1) as client:
            handle = await register(client, node2)
            call = client.async_notify(handle)
            call.cancel()
            with pytest.raises(Fault) as caught:
                await call.reply(TIMEOUT)
            assert caught.value.status == FaultStatus.NCA_S_FAULT_CANCEL
            client.async_notify(handle).orphan()
            await client.get_interface_list()
            await cluster.disable("NODE2")
            assert notified(await client.async_notify(handle).reply(TIMEOUT))[1] == ["NODE2 UNAVAILABLE"]

    run_in_cluster(scenario)


def test_timers_run_in_scaled_time() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node1, node2, _ = cluster.nodes.values()
        async with client_of(node1) as client:
            idle = await register(client, node2)
            handle = await register(client, node2, keep_alive_timeout=60)
            assert (await client.async_notify(handle).reply(TIMEOUT)).result == Win32.ERROR_TIMEOUT
            assert [entry["key"] for entry in cluster.registrations()] == [str(handle.uuid)]
            assert (await client.unregister(idle)).result == Win32.ERROR_INVALID_PARAMETER

    run_in_cluster(scenario, time_scale=200)


def test_big_endian_request_gets_either_byte_order() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        async with client_of(cluster.node("NODE1")) as client:
            ask = GetInterfaceListRequest()
            answer = await client.start(ask, byte_order="big").reply(TIMEOUT)
            assert answer == await client.get_interface_list()

    run_in_cluster(scenario)
    run_in_cluster(scenario, rpc={"reply_byte_order": "caller"})


def test_nodes_listen_on_ipv6_if_the_host_has_it() -> None:
    config = ClusterConfig(nodes=(NodeConfig("NODE1", (InterfaceConfig(None, IPv6Address("::1")),)),))

    async def run() -> None:
        try:
            cluster = ReferenceCluster(config)
            await cluster.start()
        except OSError as problem:
            pytest.skip(f"this host has no ::1: {problem}")
        async with client_of(cluster.node("NODE1")) as client:
            (interface,) = (await client.get_interface_list()).interfaces
            assert (str(interface.ipv6), interface.flags) == ("::1", InterfaceFlags.IPV6)
            await register(client, cluster.node("NODE1"), share_name="SHARE")
        await cluster.stop()

    asyncio.run(run())


# Events


def test_disable_and_enable_notify_clients() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node1, node2, _ = cluster.nodes.values()
        async with client_of(node1) as client, client_of(node2) as local:
            handle = await register(client, node2)
            for command, state in ((cluster.disable, "UNAVAILABLE"), (cluster.enable, "AVAILABLE")):
                call = client.async_notify(handle)
                await command("node2")
                assert notified(await call.reply(TIMEOUT)) == (1, [f"NODE2 {state}"])
                states = [i.state for i in (await local.get_interface_list()).interfaces]
                assert states == [1, InterfaceState[state], 1]
        await cluster.disable("NODE2")
        with pytest.raises(ClusterError, match="unknown node 'NODE9'; known: NODE1"):
            await cluster.disable("NODE9")

    run_in_cluster(scenario)


def test_crash_resets_clients_and_notifies_others() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node1, node2, _ = cluster.nodes.values()
        async with client_of(node1) as watcher, client_of(node2) as victim:
            call = watcher.async_notify(await register(watcher, node2))
            lost = victim.async_notify(await register(victim, node1))
            await cluster.crash("NODE2")
            assert notified(await call.reply(TIMEOUT)) == (1, ["NODE2 UNAVAILABLE"])
            with pytest.raises(ConnectionLost) as caught:
                await lost.reply(TIMEOUT)
            assert caught.value.reset
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(node2.address, node2.port)
            with pytest.raises(ClusterError, match="NODE2 is crashed"):
                await cluster.restart("NODE2")
            assert [entry["node"] for entry in cluster.registrations()] == ["NODE1"]

            call = watcher.async_notify(await register(watcher, node2))
            await cluster.recover("NODE2")
            assert notified(await call.reply(TIMEOUT)) == (1, ["NODE2 AVAILABLE"])
        async with client_of(node2) as client:
            assert {i.state for i in (await client.get_interface_list()).interfaces} == {1}

    run_in_cluster(scenario)


def test_power_off_sends_nothing_and_reboot_resets() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node1, node2, _ = cluster.nodes.values()
        async with client_of(node1) as watcher, client_of(node2) as victim:
            call = watcher.async_notify(await register(watcher, node2))
            silent = victim.async_notify(await register(victim, node1, keep_alive_timeout=0))
            await cluster.power_off("NODE2")
            assert notified(await call.reply(TIMEOUT)) == (1, ["NODE2 UNAVAILABLE"])
            with pytest.raises(DeadlineExceeded):
                await silent.reply(0.2)
            with pytest.raises(DeadlineExceeded):
                await connect(node2.address, epm_port=node2.epm_port, credentials=WITNESS, timeout=0.2)

            await cluster.recover("NODE2")
            with pytest.raises(ConnectionLost):
                await silent.reply(TIMEOUT)
        async with client_of(node2) as client:
            assert len((await client.get_interface_list()).interfaces) == 3
        assert cluster.registrations() == []

    run_in_cluster(scenario, scan_interval=0.01)


def test_failure_detection_can_be_delayed() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node1, node2, node3 = cluster.nodes.values()
        async with client_of(node1) as watcher:
            second = watcher.async_notify(await register(watcher, node2, client_computer_name="A"))
            third = watcher.async_notify(await register(watcher, node3, client_computer_name="B"))
            await cluster.crash("NODE2")
            await cluster.crash("NODE3")
            await watcher.get_interface_list()
            assert not second.done()
            await cluster.recover("NODE3")
            assert notified(await third.reply(TIMEOUT)) == (1, ["NODE3 AVAILABLE"])
            assert notified(await second.reply(TIMEOUT)) == (1, ["NODE2 UNAVAILABLE"])

    run_in_cluster(scenario, detection_delay=10, time_scale=50)


def test_partition_gives_each_side_its_own_view() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node1, node2, _ = cluster.nodes.values()

        async def seen_from(node: Node) -> list[int]:
            async with client_of(node) as client:
                return [i.state for i in (await client.get_interface_list()).interfaces]

        async with client_of(node2) as inside:
            call = inside.async_notify(await register(inside, node1))
            await cluster.partition("NODE2")
            assert notified(await call.reply(TIMEOUT)) == (1, ["NODE1 UNAVAILABLE"])
            assert await seen_from(node1) == [1, 0xFF, 1]
            assert await seen_from(node2) == [0xFF, 1, 0xFF]
            await cluster.recover("NODE2")
            assert await seen_from(node1) == await seen_from(node2) == [1, 1, 1]

    run_in_cluster(scenario)


def test_restart_removes_registrations() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node1, node2, _ = cluster.nodes.values()
        async with client_of(node1) as watcher, client_of(node2) as client:
            call = watcher.async_notify(await register(watcher, node2))
            await register(client, node1)
            port = node2.port
            await cluster.restart("NODE2")
            assert (node2.port, node2.registrations()) == (port, [])
            await watcher.get_interface_list()  # a notification would arrive before this response
            assert not call.done(), "the interface has not changed"
        async with client_of(node2) as client:
            assert len((await client.get_interface_list()).interfaces) == 3

    run_in_cluster(scenario)


def test_client_moves_and_share_moves_notify_clients() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node1, node2, node3 = cluster.nodes.values()
        async with client_of(node1) as client:
            handle = await register(client, node2, share_name="SHARE")
            call = client.async_notify(handle)
            cluster.move_client(Selection("CLIENT01"), "NODE3")
            assert notified(await call.reply(TIMEOUT)) == (2, [node3.address])
            call = client.async_notify(handle)
            cluster.move_share(Selection("CLIENT01", "SHARE"), node1.address)
            assert notified(await call.reply(TIMEOUT)) == (3, [node1.address])
            with pytest.raises(ClusterError, match="share_name is missing"):
                cluster.move_share(Selection("CLIENT01"), "NODE3")

    run_in_cluster(scenario)


def test_addresses_can_be_added_changed_moved_and_removed() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node1, node2, node3 = cluster.nodes.values()
        new, newer = (str(ip_address(node2.address) + n) for n in (100, 101))
        async with client_of(node1) as client:
            watching = await register(client, node3, flags=1, client_computer_name="WATCHER")

            async def after(event: Awaitable[None]) -> tuple[int, list[str]]:
                call = client.async_notify(watching)
                await event
                return notified(await call.reply(TIMEOUT))

            ipv6 = str(cluster.addresses_of("NODE2")[1])
            assert await after(cluster.add_address("NODE2", new)) == (4, [node2.address, ipv6, new])
            async with await connect(new, epm_port=node2.epm_port, credentials=WITNESS) as there:
                registered = there.async_notify(await register(there, node1, ip_address=new))
                connected = there.rpc
                assert await after(cluster.change_address(new, newer)) == (4, [node2.address, ipv6, newer])
                assert await connected.wait_closed(TIMEOUT) == "reset"
                assert registered.done()
            assert await after(cluster.move_address(newer, "NODE1")) == (4, [node1.address, newer])
            async with client_of(node3) as third:
                listed = (await third.get_interface_list()).interfaces
                assert [(i.group_name, str(i.ipv4)) for i in listed][-1] == ("NODE1", newer)
            assert await after(cluster.remove_address(newer)) == (4, [node1.address])
            with pytest.raises(ClusterError, match="no node has the address"):
                await cluster.remove_address(newer)
            with pytest.raises(ClusterError, match="is not an IP address"):
                await cluster.add_address("NODE1", "elsewhere")

    run_in_cluster(scenario)


def test_all_nodes_can_share_one_group_name() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        node1, node2, node3 = cluster.nodes.values()
        async with client_of(node1) as client:
            handle = await register(client, node3)
            groups = {i.group_name for i in (await client.get_interface_list()).interfaces}
            assert groups == {"SWNCLUSTER"}
            call = client.async_notify(handle)
            await cluster.disable("NODE3")
            assert notified(await call.reply(TIMEOUT)) == (1, ["SWNCLUSTER UNAVAILABLE"])
            call = client.async_notify(handle)
            cluster.move_client(Selection("CLIENT01"), "node2.swn.test")
            assert notified(await call.reply(TIMEOUT))[1][0] == node2.address

    run_in_cluster(scenario, group_names="cluster")


def test_partitioned_node_can_be_restarted() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        await cluster.partition("NODE2")
        await cluster.restart("NODE2")
        async with client_of(cluster.node("NODE2")) as client:
            states = [i.state for i in (await client.get_interface_list()).interfaces]
        assert states == [0xFF, 1, 0xFF]
        with pytest.raises(ClusterError, match="NODE2 is partitioned; recover it first"):
            await cluster.crash("NODE2")

    run_in_cluster(scenario)


def test_restore_undoes_every_change() -> None:
    async def scenario(cluster: ReferenceCluster) -> None:
        before = list(cluster.interfaces)
        address = cluster.node("NODE1").address
        await cluster.add_address("NODE1", str(ip_address(address) + 76))
        await cluster.remove_address(address)
        await cluster.set_interface("NODE1", InterfaceState.UNKNOWN)
        await cluster.crash("NODE2")
        await cluster.power_off("NODE3")
        cluster.set_shares(())
        cluster.shares.failing = True

        await cluster.restore()

        key = lambda interface: str(interface.addresses)  # noqa: E731
        assert sorted(cluster.interfaces, key=key) == sorted(before, key=key)
        assert len(cluster.shares.enumerate()) == 2
        for node in cluster.nodes.values():
            async with client_of(node) as client:
                assert {i.state for i in (await client.get_interface_list()).interfaces} == {1}

    run_in_cluster(scenario)


def test_configuration_from_plain_values() -> None:
    config = ClusterConfig.from_mapping(
        {
            "nodes": 1,
            "network": "127.7.7.0",
            "users": {"me": "secret"},
            "shares": [{"name": "A", "scale_out": True}, {"name": "B", "owner": "NODE1"}],
            "rpc": {"exact-minor-version": True},
            "dual-stack": "one-entry",
            "detection_delay": 1,
        }
    )
    assert config.nodes[0].address == "127.7.7.1"
    assert config.users == {"me": "secret"}
    assert [(s.name, s.scale_out, s.owner) for s in config.shares] == [
        ("A", True, None),
        ("B", False, "NODE1"),
    ]
    assert (config.rpc.exact_minor_version, config.options.dual_stack) == (True, "one-entry")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"nodes": 0}, "nodes must be a number from 1 to 250"),
        ({"network": "nowhere"}, "network must be an IPv4 address"),
        ({"net_name": 5}, "net_name must be of type str"),
        ({"ndr64": 1}, "ndr64 must be of type bool"),
        ({"dual_stacks": 1}, "unknown option 'dual_stacks'; known: address_check, "),
        ({"net_name": "much too long for NetBIOS"}, "is not a NetBIOS name"),
        ({"users": ["witness"]}, "users must be a table of passwords"),
        ({"shares": ["SHARE"]}, "shares must be a list of tables"),
        ({"shares": [{"name": "A", "sofs": True}]}, "invalid share attribute sofs = True; known: name"),
        ({"rpc": {"multiplexing": True}}, "unknown option 'multiplexing' in rpc; known: "),
        ({"rpc": {"multiplex": 1}}, "multiplex in rpc must be of type bool"),
    ],
)
def test_invalid_configuration_is_explained(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        ClusterConfig.from_mapping(settings)
