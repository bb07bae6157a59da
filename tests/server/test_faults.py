"""Faults: how they are declared, and that a server which has one still is a server."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import pytest

from swn_torture.dcerpc.errors import RpcError
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.faults.library import (
    AREAS,
    Fault,
    FaultError,
    Registry,
    UnknownFault,
    find_fault,
    load_faults,
    with_fault,
)
from swn_torture.faults.registry import name_of, seam_of
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.server.nodes.parts import Parts
from swn_torture.server.state.registration_checks import RegistrationChecks
from swn_torture.witness.client import connect
from swn_torture.witness.codec import DecodeError

USER = Credentials("witness", "Passw0rd!", "SWNTEST")


@pytest.mark.parametrize("fault", list(load_faults()), ids=lambda fault: fault.name)
def test_a_faulty_server_starts_and_breaks_on_no_first_call(
    fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.ERROR, logger="asyncio"),
        EmbeddedCluster(*with_fault(ClusterConfig.from_mapping({"nodes": 1}), fault.name)) as cluster,
    ):
        asyncio.run(ask(cluster))
    assert not [record.getMessage() for record in caplog.records if record.name == "asyncio"]


async def ask(cluster: EmbeddedCluster) -> None:
    """GetInterfaceList; a server that is wrong may answer it as it likes, or not at all."""
    node = cluster.nodes[0]
    with contextlib.suppress(RpcError, DecodeError):
        async with await connect(
            node.address, epm_port=node.epm_port, credentials=USER, timeout=1.0
        ) as client:
            await client.get_interface_list(timeout=0.3)


def test_every_area_has_faults_and_no_fault_has_another_area() -> None:
    assert list(dict.fromkeys(fault.area for fault in load_faults())) == list(AREAS)


def test_every_fault_changes_a_server() -> None:
    for fault in load_faults():
        config, parts = fault.apply(ClusterConfig(), Parts())
        assert (config, parts) != (ClusterConfig(nodes=config.nodes), Parts()), fault.name


def test_a_fault_is_called_as_its_class_or_function_is() -> None:
    class NullNameTaken:
        pass

    def null_name_taken() -> None:
        pass

    assert name_of(NullNameTaken) == name_of(null_name_taken) == "null-name-taken"


def test_a_name_that_is_almost_right_is_helped() -> None:
    with pytest.raises(UnknownFault, match="any-net-name-taken"):
        find_fault("any-netname-taken")


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (Fault("a", "It lacks a stop", ("SWN-1.9-uuid",), "codes"), "no sentence"),
        (Fault("a", "It is wrong.", (), "codes"), "violates nothing"),
        (Fault("a", "It is wrong.", ("SWN-1.9-uid",), "codes"), "SWN-1.9-uuid"),
        (Fault("a", "It is wrong.", ("RPC-MAYBE",), "codes"), "not judged"),
    ],
)
def test_a_fault_that_is_declared_wrongly_is_refused(registry: Registry, fault: Fault, problem: str) -> None:
    with pytest.raises(FaultError, match=problem):
        registry.add(fault)


def test_a_name_is_used_once(registry: Registry) -> None:
    fault = Fault("a", "It is wrong.", ("SWN-1.9-uuid",), "codes")
    registry.add(fault)
    with pytest.raises(FaultError, match="twice"):
        registry.add(fault)


def test_only_a_part_of_a_server_can_be_replaced() -> None:
    class Stranger:
        pass

    assert seam_of(RegistrationChecks) is RegistrationChecks
    with pytest.raises(FaultError, match="Stranger"):
        seam_of(Stranger)
