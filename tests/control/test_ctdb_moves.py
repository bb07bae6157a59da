"""Moves on CTDB: whom `net witness` selects, and to whom the controller sends them besides."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from swn_torture.control import ControllerError, NotRegistered
from swn_torture.control.ctdb.controller import CtdbController
from swn_torture.control.ctdb.messages import move_message, parse_recipients
from tests.control.simulated_ctdb import perform
from tests.control.simulated_witness import SimulatedCluster, SimulatedRegistration

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Address, IPv6Address

    from swn_torture.control.stimulus import Stimulus

_MATCH, _NO_SHARE, _OTHER_SHARE, _OTHER_CLIENT, _REMOVED = (str(UUID(int=n)) for n in range(1, 6))
_ALL = (_NO_SHARE, _OTHER_SHARE, _OTHER_CLIENT)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> SimulatedCluster:
    """A cluster with a registration for the share, and three that a move of the share is not for."""
    simulated = SimulatedCluster()
    simulated.samba.registrations = {
        _MATCH: SimulatedRegistration("CLIENT", "data", pid=11),
        _NO_SHARE: SimulatedRegistration("CLIENT", None, pid=12, pnn=1),
        _OTHER_SHARE: SimulatedRegistration("CLIENT", "moving", pid=11),
        _OTHER_CLIENT: SimulatedRegistration("OTHER", "data", pid=11),
    }
    monkeypatch.setattr("swn_torture.control.runner.run", simulated.run)
    return simulated


def share_move(cluster: SimulatedCluster, not_for: Iterable[str] = _ALL, share: str = "data") -> Stimulus:
    """Move a share of the client to node3."""
    sent: list[Stimulus] = []

    async def steps(controller: CtdbController) -> None:
        sent.append(await controller.move_share(share, "node3", client="CLIENT", not_for=tuple(not_for)))

    perform(cluster, steps)
    return sent[0]


def client_move(cluster: SimulatedCluster, *not_for: str) -> Stimulus:
    """Move the client to node3."""
    sent: list[Stimulus] = []

    async def steps(controller: CtdbController) -> None:
        sent.append(await controller.move_client("CLIENT", "node3", not_for=not_for))

    perform(cluster, steps)
    return sent[0]


def notified(cluster: SimulatedCluster) -> set[str]:
    """The keys of the registrations that the server notified."""
    return {key for key, each in cluster.samba.registrations.items() if each.notified}


def test_share_move_is_sent_to_a_registration_without_share(cluster: SimulatedCluster) -> None:
    sent = share_move(cluster)

    assert (1, 12, 4, _NO_SHARE, b"\x02\0\0\0") in cluster.samba.messages
    assert sent.reaches(_NO_SHARE)
    assert "by a message with its key" in sent.sent_to(_NO_SHARE)
    assert notified(cluster) == {_MATCH}, "the server leaves it out"


def test_server_that_notifies_without_share_is_seen(cluster: SimulatedCluster) -> None:
    cluster.samba.share_moves_to_all = True
    share_move(cluster)
    assert notified(cluster) == {_MATCH, _NO_SHARE}


def test_names_that_the_server_cannot_compare_are_left_out(cluster: SimulatedCluster) -> None:
    sent = share_move(cluster)

    assert not sent.reaches(_OTHER_SHARE)
    assert not sent.reaches(_OTHER_CLIENT)
    assert "the server has nothing to compare" in sent.left_out
    assert sent.sent_to(_OTHER_SHARE) == sent.how
    keys = {key for _, _, _, key, _ in cluster.samba.messages}
    assert keys == {_MATCH, _NO_SHARE}


def test_other_messages_are_read_before_those_of_the_move(cluster: SimulatedCluster) -> None:
    share_move(cluster)
    assert [key for _, _, _, key, _ in cluster.samba.messages] == [_NO_SHARE, _MATCH]


def test_without_others_only_net_witness_runs(cluster: SimulatedCluster) -> None:
    sent = share_move(cluster, ())
    assert [key for _, _, _, key, _ in cluster.samba.messages] == [_MATCH]
    assert "`net witness share-move`" in sent.how
    assert not sent.reaches(_NO_SHARE)


def test_share_move_may_have_others_only(cluster: SimulatedCluster) -> None:
    assert share_move(cluster, [_NO_SHARE], share="unknown").reaches(_NO_SHARE)
    assert notified(cluster) == set()


def test_move_that_reaches_nobody_is_an_error(cluster: SimulatedCluster) -> None:
    text = r"no registration matches `net witness share-move .*unknown.*`, but the cluster lists CLIENT"
    with pytest.raises(ControllerError, match=text) as caught:
        share_move(cluster, [_OTHER_SHARE], share="unknown")
    assert type(caught.value) is ControllerError, "the list has the client: it is not the server's doing"


def test_move_of_a_client_that_the_server_has_removed_is_not_an_error_of_the_controller(
    cluster: SimulatedCluster,
) -> None:
    for key in (_MATCH, _NO_SHARE, _OTHER_SHARE):
        cluster.samba.removed[key] = cluster.samba.registrations.pop(key)
    with pytest.raises(NotRegistered, match="lists no registration of the client CLIENT: the server has"):
        client_move(cluster)


def test_share_move_for_any_client_without_a_registration(cluster: SimulatedCluster) -> None:
    cluster.samba.registrations.clear()

    async def steps(controller: CtdbController) -> None:
        await controller.move_share("data", "node3")

    with pytest.raises(NotRegistered, match="lists no registration of any client"):
        perform(cluster, steps)


def test_node_without_the_module_is_named(cluster: SimulatedCluster) -> None:
    cluster.samba.python_fails = "ModuleNotFoundError: No module named 'samba'"
    sent = share_move(cluster)

    assert not sent.reaches(_NO_SHARE)
    assert "python3 with the module samba (python3-samba) failed on node2" in sent.left_out
    assert sent.left_out.endswith("No module named 'samba'")
    assert notified(cluster) == {_MATCH}, "net witness moved the share all the same"


def test_profile_without_python_is_said(cluster: SimulatedCluster) -> None:
    controller = CtdbController.from_settings(
        {
            "nodes": {name: node.address for name, node in cluster.nodes.items()},
            "prefix": ["on", "{node}"],
            "python": "",
        }
    )
    sent = asyncio.run(controller.move_share("data", "node3", client="CLIENT", not_for=_ALL))
    assert not sent.reaches(_NO_SHARE)
    assert "controller.python" in sent.left_out


def test_process_that_does_not_answer_is_not_reached(cluster: SimulatedCluster) -> None:
    cluster.samba.silent = {12}
    assert not share_move(cluster).reaches(_NO_SHARE)


def test_client_move_is_sent_to_a_removed_registration(cluster: SimulatedCluster) -> None:
    cluster.samba.removed[_REMOVED] = SimulatedRegistration("CLIENT", "data", pid=11)
    sent = client_move(cluster, _REMOVED)

    places = {
        (pnn, pid) for pnn, pid, kind, key, _ in cluster.samba.messages if key == _REMOVED and kind == 1
    }
    assert places == {(0, 11), (1, 12)}, "its process is one of those of the other registrations"
    assert sent.reaches(_REMOVED)
    assert notified(cluster) == {_MATCH, _NO_SHARE, _OTHER_SHARE}


def test_client_move_is_not_sent_to_other_clients(cluster: SimulatedCluster) -> None:
    sent = client_move(cluster, _OTHER_CLIENT)
    assert not sent.reaches(_OTHER_CLIENT)
    assert _OTHER_CLIENT not in {key for _, _, _, key, _ in cluster.samba.messages}


@pytest.mark.parametrize(
    ("destination", "octets"),
    [
        (2, "04000400 02000000"),
        (ip_address("198.51.100.199"), "05000500 c63364c7"),
        (ip_address("fd53::1"), "06000600 fd530000 00000000 00000000 00000001"),
    ],
    ids=["node", "ipv4", "ipv6"],
)
def test_message_has_its_destination(destination: int | IPv4Address | IPv6Address, octets: str) -> None:
    message = move_message("share-move", UUID(int=0), 1, destination)
    assert message[20:].hex(" ", 4) == octets


def test_list_without_processes_is_an_error() -> None:
    with pytest.raises(ControllerError, match="registrations without 'server_id'"):
        parse_recipients('{"registrations": {"key": {}}}')


def test_events_of_ctdb_reach_every_registration(cluster: SimulatedCluster) -> None:
    controller = cluster.controller()
    for capability in controller.capabilities:
        assert controller.stimulus(capability).reaches(_OTHER_CLIENT)
