"""Faults: their declaration, and that a server with a fault starts and processes calls."""

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
from swn_torture.faults.registry import name_of
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.server.nodes.parts import PartError, Parts, replaced_part
from swn_torture.server.state.registration_checks import RegistrationChecks
from swn_torture.witness.client import connect
from swn_torture.witness.codec import DecodeError
from tests.examples import one_in

USER = Credentials("witness", "Passw0rd!", "SWNTEST")


@pytest.mark.parametrize("fault", one_in(4, load_faults()), ids=lambda fault: fault.name)
def test_faulty_server_processes_a_first_call_without_error(
    fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.ERROR, logger="asyncio"),
        EmbeddedCluster(*with_fault(ClusterConfig.from_mapping({"nodes": 1}), fault.name)) as cluster,
    ):
        asyncio.run(ask(cluster))
    assert not [record.getMessage() for record in caplog.records if record.name == "asyncio"]


async def ask(cluster: EmbeddedCluster) -> None:
    """GetInterfaceList; a faulty server may return anything, or nothing."""
    node = cluster.nodes[0]
    with contextlib.suppress(RpcError, DecodeError):
        async with await connect(
            node.address, epm_port=node.epm_port, credentials=USER, timeout=1.0
        ) as client:
            await client.get_interface_list(timeout=0.3)


def test_fault_areas_are_the_listed_areas() -> None:
    assert list(dict.fromkeys(fault.area for fault in load_faults())) == list(AREAS)


def test_every_fault_changes_configuration_or_parts() -> None:
    for fault in load_faults():
        config, parts = fault.apply(ClusterConfig(), Parts())
        assert (config, parts) != (ClusterConfig(nodes=config.nodes), Parts()), fault.name


def test_fault_name_comes_from_its_class_or_function() -> None:
    class NullNameTaken:
        pass

    def null_name_taken() -> None:
        pass

    assert name_of(NullNameTaken) == name_of(null_name_taken) == "null-name-taken"


def test_unknown_fault_error_lists_close_matches() -> None:
    with pytest.raises(UnknownFault, match="any-net-name-taken"):
        find_fault("any-netname-taken")


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (Fault("a", "It lacks a stop", ("SWN-1.9-uuid",), "codes"), "not a sentence"),
        (Fault("a", "It is wrong.", (), "codes"), "violates nothing"),
        (Fault("a", "It is wrong.", ("SWN-1.9-uid",), "codes"), "SWN-1.9-uuid"),
        (Fault("a", "It is wrong.", ("RPC-MAYBE",), "codes"), "not judged"),
    ],
)
def test_invalid_fault_is_rejected(registry: Registry, fault: Fault, problem: str) -> None:
    with pytest.raises(FaultError, match=problem):
        registry.add(fault)


def test_duplicate_fault_name_is_rejected(registry: Registry) -> None:
    fault = Fault("a", "It is wrong.", ("SWN-1.9-uuid",), "codes")
    registry.add(fault)
    with pytest.raises(FaultError, match="twice"):
        registry.add(fault)


def test_only_replaceable_parts_are_accepted() -> None:
    class NotAPart:
        pass

    assert replaced_part(RegistrationChecks) is RegistrationChecks
    with pytest.raises(PartError, match="NotAPart"):
        replaced_part(NotAPart)
