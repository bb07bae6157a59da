"""Why a run cannot begin: each text says what came back, and none blames what was not seen."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from swn_torture.account import Account
from swn_torture.dcerpc.epm.endpoint_mapper import EndpointMapper
from swn_torture.dcerpc.pdu.bind import BindNakReason
from swn_torture.dcerpc.security.levels import AuthType
from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.harness.live_target import LiveTarget
from swn_torture.harness.preflight import patience as patience_module
from swn_torture.harness.preflight.patience import Patience
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.target import NodeAddress
from swn_torture.witness.constants import Opnum
from tests.harness.targets import SHORT, learn_about, learned, reference, serving

if TYPE_CHECKING:
    from swn_torture.dcerpc.pdu.bind import Bind
    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.target import Profile


def with_account(profile: Profile, password: str) -> Profile:
    return dataclasses.replace(profile, account=Account("witness", password, "SWNTEST"))


class SilentAtFirst(ServerConnection):
    """Does not answer the first bind that it gets."""

    asked = 0

    @override
    def on_bind(self, pdu: Bind) -> None:
        SilentAtFirst.asked += 1
        if SilentAtFirst.asked > 1:
            super().on_bind(pdu)


class SilentToFirstCall(WitnessEndpoint):
    """Does not answer the first call that it gets."""

    asked = 0

    @override
    def call(self, call: ServerCall) -> None:
        SilentToFirstCall.asked += 1
        if SilentToFirstCall.asked > 1:
            super().call(call)


class SilentToBinds(ServerConnection):
    @override
    def on_bind(self, pdu: Bind) -> None:
        return


class SilentToCalls(WitnessEndpoint):
    @override
    def call(self, call: ServerCall) -> None:
        return


class EmptyMapper(EndpointMapper):
    """Has no entry for witness."""

    @override
    def elements(self, call: ServerCall) -> list[object]:  # type: ignore[override]
        return []


class ListDenied(WitnessEndpoint):
    """Denies GetInterfaceList to everybody."""

    @override
    def call(self, call: ServerCall) -> None:
        self.everybody = call.opnum == Opnum.GET_INTERFACE_LIST
        super().call(call)

    @override
    def denied(self, caller: object) -> int:  # type: ignore[override]
        return 5 if self.everybody else 0


# Nobody answers
# ----------------------------------------------------------------------------------------------------------


def test_nobody_listens() -> None:
    with socket.socket() as held:  # bound but not listening, so connections are refused
        held.bind(("127.0.0.1", 0))
        node = NodeAddress("lonely", "127.0.0.1", endpoint_mapper_port=held.getsockname()[1])
        profile = dataclasses.replace(reference(), embedded=None, nodes=(node,))
        found = learn_about(profile)

    assert found.trouble.startswith(
        "No node of the target answers. node lonely (127.0.0.1): its endpoint mapper"
    )
    assert "set port = NUMBER" in found.trouble
    assert found.facts.nodes == ()


def test_binds_stay_unanswered() -> None:
    trouble = learned(SilentToBinds, step=SHORT).trouble

    assert trouble.startswith("No node of the target answers.")
    assert "does not answer: bind 1: no answer in 0.5 s" in trouble
    assert "port = NUMBER" not in trouble  # the port is known
    assert trouble.endswith("checks every link.")


def rejects_binds(reason: BindNakReason, *, plain: bool) -> type[ServerConnection]:
    class RejectsBinds(ServerConnection):
        """Rejects binds with authentication, and perhaps those without."""

        @override
        def on_bind(self, pdu: Bind) -> None:
            if plain or pdu.trailer is not None:
                self.send_bind_nak(pdu.call_id, reason)
            else:
                super().on_bind(pdu)

    return RejectsBinds


def test_server_that_rejects_every_bind_violates_a_rule() -> None:
    found = learned(rejects_binds(BindNakReason.NOT_SPECIFIED, plain=True))
    assert not found.trouble
    assert {each.requirement for each in found.findings} == {"RPC-BIND-result-order"}
    assert all(node.violates == "RPC-BIND-result-order" for node in found.facts.nodes)


@pytest.mark.parametrize(
    ("reason", "plain"),
    [(BindNakReason.NOT_SPECIFIED, False), (BindNakReason.LOCAL_LIMIT_EXCEEDED, True)],
    ids=["with-authentication", "limit"],
)
def test_bind_nak_with_another_explanation_is_no_violation(reason: BindNakReason, *, plain: bool) -> None:
    found = learned(rejects_binds(reason, plain=plain))
    assert found.findings == ()
    assert "neither the account nor its password is the reason" in found.trouble
    assert found.stopped_at == "security"


def test_waiting_is_reported_with_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience_module, "_FIRST_S", 0.0)
    lines: list[str] = []

    async def wait() -> None:
        said = asyncio.Event()

        def say(line: str) -> None:
            lines.append(line)
            said.set()

        patience = Patience(budget=50.0)
        patience.begin("NODE1: WitnessrRegister")
        async with patience.reporting(say), asyncio.timeout(10):
            await said.wait()

    asyncio.run(wait())
    assert lines == ["Waiting for NODE1: WitnessrRegister, 0 s; 0 s since the start, at most 50 s."]


def test_endpoint_map_without_witness() -> None:
    found = learned(EmptyMapper)

    assert not found.trouble
    assert {finding.requirement for finding in found.findings} == {"RPC-EPM-each-node"}
    (warning,) = found.facts.warnings
    assert ", gives no witness endpoint: " in warning
    assert "ept_s_not_registered (0x16C9A0D6)" in warning
    assert warning.endswith("is fixed, set port = NUMBER in the [[node]] tables.")


def test_other_nodes_are_used_if_one_has_no_endpoint() -> None:
    with serving(reference()) as served, serving(reference(), EmptyMapper) as other:
        profile = dataclasses.replace(served, nodes=(other.nodes[0], served.nodes[1]))
        found = learn_about(profile)
        with LiveTarget(profile, found) as target:
            names = [node.name for node in target.profile.nodes]

    assert not found.trouble
    (warning,) = found.facts.warnings
    assert warning.startswith(
        "No client can call NODE1, which violates RPC-EPM-each-node: its endpoint mapper, TCP port"
    )
    assert [finding.requirement for finding in found.findings] == ["RPC-EPM-each-node"]
    assert names == ["NODE2"]
    assert found.facts.registrations_tried > 100


def test_silent_calls_are_for_the_cases_to_find() -> None:
    found = learned(SilentToCalls, step=SHORT)

    assert not found.trouble
    assert found.facts.nodes[0].interfaces is None
    assert found.facts.offers(AuthType.NTLM) is True


def test_node_that_does_not_answer_is_left_out() -> None:
    with serving(reference()) as served, socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        dead = NodeAddress("dead", "127.0.0.1", endpoint_mapper_port=held.getsockname()[1])
        profile = dataclasses.replace(served, nodes=(served.nodes[0], dead, served.nodes[2]))
        found = learn_about(profile)
        with LiveTarget(profile, found) as target:
            names = [node.name for node in target.profile.nodes]

    assert not found.trouble
    (warning,) = found.facts.warnings
    assert warning.startswith("The run goes without node dead: its endpoint mapper, TCP port")
    assert names == ["NODE1", "NODE3"]


@pytest.mark.parametrize(
    ("part", "silence"),
    [(SilentAtFirst, "bind 1: no answer in 0.5 s"), (SilentToFirstCall, "call 2 (opnum 0): no ")],
)
def test_node_that_answers_late_is_called_again(part: type, silence: str) -> None:
    SilentAtFirst.asked = SilentToFirstCall.asked = 0

    found = learned(part, step=SHORT)

    assert not found.trouble
    assert [node.tries for node in found.facts.nodes] == [2, 1, 1]
    (warning,) = found.facts.warnings
    assert warning.startswith("Node NODE1 answered only when it was called for the second time, after ")
    assert silence in warning


# The account and the NetName
# ----------------------------------------------------------------------------------------------------------


def test_wrong_password_is_tried_on_one_node_only() -> None:
    with serving(reference()) as profile:
        found = learn_about(with_account(profile, "wrong"))

    assert found.trouble.startswith("node NODE1 (")
    assert (
        r"rejects the account SWNTEST\witness. NTLM at PKT_INTEGRITY: fault ERROR_ACCESS_DENIED"
        in found.trouble
    )
    assert found.trouble.count(" at PKT_") == 3
    assert "Check [account] in" in found.trouble
    assert [node.name for node in found.facts.nodes] == ["NODE1"]


def test_account_without_access() -> None:
    assert "ERROR_ACCESS_DENIED (0x5); NTLM at PKT_PRIVACY" in learned(refused_accounts=["witness"]).trouble


def test_denied_list_is_for_the_cases_to_find() -> None:
    assert not learned(ListDenied).trouble


def test_wrong_net_name() -> None:
    with serving(reference()) as profile:
        trouble = learn_about(dataclasses.replace(profile, net_name="OTHER")).trouble

    assert trouble.startswith("The target rejects a Register with the NetName 'OTHER'. NODE1: ERROR_INVALID_")
    assert "NODE3: ERROR_INVALID_PARAMETER (0x57). Check that clients use this name" in trouble
    assert "check how the server reads a string of a request" in trouble


# Interfaces
# ----------------------------------------------------------------------------------------------------------


def test_cluster_without_interfaces() -> None:
    trouble = learned(list_interfaces=False).trouble

    assert trouble.startswith("The cluster has no usable witness interface")
    assert "NODE1 lists no interface; NODE2 lists no interface; NODE3 lists no interface." in trouble


def test_trouble_of_an_embedded_cluster_is_for_the_cases_to_find() -> None:
    with LiveTarget(reference(list_interfaces=False)) as target:
        assert target.lost is None
        assert len(target.profile.nodes) == 3
