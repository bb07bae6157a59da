"""What a preflight finds violated, and what it leaves to the profile or to the cases."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import override

from swn_torture.dcerpc.epm.endpoint_mapper import EndpointMapper
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.faults.library import find_fault
from swn_torture.harness.live_target import embedded_cluster, profile_of
from swn_torture.harness.preflight.findings import results_of
from swn_torture.harness.preflight.learning import Preflight
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.server.nodes.parts import Parts, with_parts
from swn_torture.server.state.registration_checks import RegistrationChecks
from swn_torture.server.state.service import WitnessService
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import InterfaceState, Opnum
from swn_torture.witness.messages import GetInterfaceListResponse
from tests.harness.targets import learn_about, learned, reference

if TYPE_CHECKING:
    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.server.state.methods import Reply
    from swn_torture.witness.messages import RegisterRequest


class MapperDenies(EndpointMapper):
    """Serves no caller without authentication."""

    @override
    def map_towers(self, call: ServerCall) -> bytes | int:
        return FaultStatus.ERROR_ACCESS_DENIED


class OnlyLists(WitnessEndpoint):
    """Knows GetInterfaceList only."""

    @override
    def call(self, call: ServerCall) -> None:
        if call.opnum == Opnum.GET_INTERFACE_LIST:
            super().call(call)
        else:
            call.fault(FaultStatus.NCA_S_OP_RNG_ERROR, did_not_execute=True)


class NeverLists(WitnessEndpoint):
    """Does not know GetInterfaceList."""

    @override
    def call(self, call: ServerCall) -> None:
        if call.opnum != Opnum.GET_INTERFACE_LIST:
            super().call(call)
        else:
            call.fault(FaultStatus.NCA_S_OP_RNG_ERROR, did_not_execute=True)


class RegisterMisreadsNames(RegistrationChecks):
    """Register rejects every NetName."""

    @override
    def register(self, request: RegisterRequest) -> Win32:
        return Win32.ERROR_INVALID_PARAMETER


class StatesInverted(WitnessService):
    """The list says UNAVAILABLE of every interface."""

    @override
    def get_interface_list(self, *rest: Any) -> list[Reply]:
        return [self._inverted(reply) for reply in super().get_interface_list(*rest)]

    @staticmethod
    def _inverted(reply: Reply) -> Reply:
        response = reply.response
        assert isinstance(response, GetInterfaceListResponse)
        assert response.interface_list is not None
        listed = tuple(
            dataclasses.replace(each, state=InterfaceState.UNAVAILABLE)
            for each in response.interface_list.interfaces or ()
        )
        changed = dataclasses.replace(response.interface_list, interfaces=listed)
        return reply._replace(response=dataclasses.replace(response, interface_list=changed))


def requirements(found: Preflight) -> set[str]:
    return {finding.requirement for finding in found.findings}


def test_reference_violates_nothing() -> None:
    assert learned().findings == ()


@pytest.mark.parametrize(("part", "opnums"), [(OnlyLists, (1, 2, 3, 4)), (NeverLists, (0,))])
def test_server_that_lacks_methods_violates_those_only(part: type, opnums: tuple[int, ...]) -> None:
    found = learned(part)

    assert not found.trouble
    assert requirements(found) == {f"SWN-3.1.4-opnum-{opnum}" for opnum in opnums}


def test_name_that_only_register_rejects_is_not_wrong() -> None:
    found = learned(RegisterMisreadsNames)

    assert not found.trouble
    assert not found.facts.warnings


def test_list_without_interfaces() -> None:
    found = learned(list_interfaces=False, empty_interface_list="success")

    assert not found.trouble
    assert requirements(found) == {"SWN-3.1.4.1-empty-list"}
    assert found.facts.warnings[-1].startswith("The cluster has no usable witness interface")


def test_registration_for_an_interface_that_is_listed_as_unavailable() -> None:
    found = learned(StatesInverted)

    assert not found.trouble
    assert requirements(found) == {"SWN-3.1.4.1-wait-available"}
    assert "Register for one of them succeeds" in found.findings[0].observed


def test_mapper_that_denies_callers_violates_nothing() -> None:
    found = learned(MapperDenies)

    assert not found.findings
    assert "fault ERROR_ACCESS_DENIED" in found.trouble
    assert "set port = NUMBER" in found.trouble


@pytest.mark.parametrize(
    ("name", "violated"),
    [
        ("witness-not-registered", set()),
        ("map-faults", set()),
        ("tower-cut-short", set()),
        ("port-little-endian", {"RPC-EPM-each-node"}),
        ("one-result-everywhere", {"RPC-BIND-result-order"}),
    ],
)
def test_mapper_beside_a_fixed_port(name: str, violated: set[str]) -> None:
    config = embedded_cluster(reference()).config
    with EmbeddedCluster(config, with_parts(Parts(), find_fault(name).parts)) as cluster:
        served = dataclasses.replace(profile_of(cluster, reference()), embedded=None)
        ports = {node.name: node.port for node in cluster.nodes}
        nodes = tuple(dataclasses.replace(node, port=ports[node.name]) for node in served.nodes)
        found = learn_about(dataclasses.replace(served, nodes=nodes))

    assert requirements(found) == violated
    assert not found.trouble


def test_findings_survive_as_json_and_become_results() -> None:
    found = learned(*find_fault("one-result-only").parts)

    assert Preflight.from_json(json.loads(json.dumps(found.to_json()))) == found
    (result,) = results_of(found.findings, "served.toml")
    assert result.id == "preflight.first-answers[RPC-BIND-result-order]"
    assert len(result.checks) == 3
    assert result.outcome == "failed"
    assert result.repro == "swn-torture run --target served.toml --requirement RPC-BIND-result-order"
