"""A method that serves no client is one finding, and what depends on it is not run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from swn_torture.casekit.case import CaseMark
from swn_torture.casekit.checks import Spec
from swn_torture.casekit.connections import Connections
from swn_torture.casekit.facts import BrokenMethod, TargetFacts
from swn_torture.casekit.known import Blocked
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.harness.case_map import collect_cases
from swn_torture.harness.rung_gate import blocked_by, broken_rungs
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.server.state.service import WitnessService
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.target import load_profile
from swn_torture.witness.codec import encode
from swn_torture.witness.constants import Opnum
from swn_torture.witness.messages import GetInterfaceListResponse, RegisterResponse
from tests.harness.targets import SHORT, learn_about, learned, reference, serving

if TYPE_CHECKING:
    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.stubdata.syntax import SyntaxId
    from swn_torture.witness.messages import AnyResponse

MISSING = "fault nca_s_op_rng_error (0x1C010002)"


def missing(*opnums: int) -> TargetFacts:
    """A target without these methods."""
    return TargetFacts(
        broken=tuple(BrokenMethod(each, f"SWN-3.1.4-opnum-{each}", MISSING) for each in opnums)
    )


def blocking(case_id: str, facts: TargetFacts) -> str:
    """The requirement because of which a case of the suite is not run; empty when it is run."""
    info = collect_cases()[case_id]
    broken = blocked_by(case_id, CaseMark(info.requirements, needs=info.needs), facts)
    return broken.requirement if broken else ""


@pytest.mark.parametrize(
    ("case_id", "opnums", "because"),
    [
        ("rpc.get-interface-list.list-is-returned[ndr32]", (1, 2, 3, 4), ""),
        ("rpc.signatures.changed-pdu[ntlm-integrity]", (1, 2, 3, 4), ""),  # it ends when it registers
        ("rpc.opnums.opnum[ndr32-1]", (1, 2, 3, 4), ""),  # it makes the finding
        ("rpc.opnums.opnum[ndr32-2]", (1, 2, 3, 4), "SWN-3.1.4-opnum-1"),
        ("rpc.names.client-name[ndr32-register-short]", (1,), "SWN-3.1.4-opnum-1"),
        ("rpc.names.client-name[ndr32-register-ex-short]", (1,), ""),
        ("rpc.names.client-name[ndr32-register-ex-short]", (4,), "SWN-3.1.4-opnum-4"),
        ("cluster.keep-alive.zero", (1,), ""),  # it registers with RegisterEx
        ("cluster.keep-alive.zero", (4,), "SWN-3.1.4-opnum-4"),
        ("cluster.client-move.answer[ndr32]", (3,), "SWN-3.1.4-opnum-3"),
        ("cluster.node-failure.node-fails[crash]", (1, 3), "SWN-3.1.4-opnum-1"),
        ("cluster.node-failure.node-fails[crash]", (), ""),
    ],
)
def test_case_is_not_run_because_of_a_lower_rung(case_id: str, opnums: tuple[int, ...], because: str) -> None:
    assert blocking(case_id, missing(*opnums)) == because


def test_call_of_a_missing_method_ends_the_case() -> None:
    spec = Spec("rpc.signatures.changed-pdu[ntlm-integrity]", ("RPC-AUTH-bad-signature",))
    connections = Connections(load_profile("reference"), spec, facts=missing(1))
    connections.require_method(0)
    with pytest.raises(Blocked, match=r"SWN-3\.1\.4-opnum-1"):
        connections.require_method(1)


def test_server_that_answers_no_call_has_no_second_finding() -> None:
    spec, profile = Spec("rpc.faults.unknown-opnum[6]", ("RPC-OPNUM-unknown",)), load_profile("reference")
    Connections(profile, spec, facts=missing(0)).require_answered_calls()  # a fault is an answer
    silent = TargetFacts(broken=(BrokenMethod(0, "SWN-3.1.4.1-returns-success", "no answer (waited 2 s)"),))
    with pytest.raises(Blocked, match=r"SWN-3\.1\.4\.1-returns-success"):
        Connections(profile, spec, facts=silent).require_answered_calls()
    garbled = TargetFacts(broken=(BrokenMethod(0, "SWN-2.2.2.6-count", "octets", malformed=True),))
    Connections(profile, spec, facts=garbled).require_answered_calls()


def test_broken_rung_says_what_is_not_run() -> None:
    (line,) = broken_rungs(missing(3))
    assert line.startswith(
        f"AsyncNotify with time-out is broken at its root: an ordinary call ends in {MISSING}"
    )
    assert "Moves" in line
    assert "Register" not in line.replace("RegisterEx", "")


class InterfaceListAlone(WitnessService):
    """Only opnum 0 is there."""

    @override
    def supports(self, opnum: int) -> bool:
        return opnum == Opnum.GET_INTERFACE_LIST


class AnswersNothing(WitnessEndpoint):
    """Binds are accepted, and no call is answered."""

    @override
    def call(self, call: ServerCall) -> None:
        return


def test_preflight_finds_the_missing_methods() -> None:
    preflight = learned(InterfaceListAlone)
    assert not preflight.trouble
    assert [each.opnum for each in preflight.facts.broken] == [1, 4, 2, 3]
    assert [each.requirement for each in preflight.findings] == [
        f"SWN-3.1.4-opnum-{opnum}" for opnum in (1, 4, 2, 3)
    ]
    assert all(each.octets for each in preflight.findings)


def test_preflight_stops_at_the_first_call_without_an_answer() -> None:
    preflight = learned(AnswersNothing, step=SHORT)
    assert [(each.opnum, each.requirement) for each in preflight.facts.broken] == [
        (0, "SWN-3.1.4.1-returns-success")
    ]


def spoils(kind: type, wrong: dict[str, int | bytes], *syntaxes: SyntaxId) -> type[WitnessEndpoint]:
    """An endpoint that spoils the responses of a kind in some transfer syntaxes."""

    class Spoils(WitnessEndpoint):
        """Writes a field wrongly."""

        @override
        def encode(self, call: ServerCall, response: AnyResponse) -> bytes:
            if isinstance(response, kind) and call.syntax in syntaxes:
                return encode(response, call.syntax, byte_order="little", wrong=wrong)
            return super().encode(call, response)

    return Spoils


def test_list_that_does_not_decode_breaks_its_rung() -> None:
    preflight = learned(spoils(GetInterfaceListResponse, {"NumberOfInterfaces": 4}, NDR32, NDR64))
    (broken,) = preflight.facts.broken
    assert (broken.opnum, broken.requirement, broken.malformed) == (0, "SWN-2.2.2.6-count", True)
    assert [each.requirement for each in preflight.findings] == ["SWN-2.2.2.6-count"]
    assert blocking("rpc.names.client-name[ndr32-register-short]", preflight.facts) == "SWN-2.2.2.6-count"
    assert blocking("ndr.interface-list-layout.layout[ndr32]", preflight.facts) == ""  # it finds it, too


def test_handle_that_does_not_decode_breaks_its_rung() -> None:
    preflight = learned(spoils(RegisterResponse, {"ppContext.attributes": b""}, NDR32, NDR64))
    (broken,) = preflight.facts.broken
    assert (broken.opnum, broken.malformed) == (1, True)
    assert blocking("ndr.malformed-stubs.cut-handle[ndr32-unregister]", preflight.facts) == broken.requirement


def test_null_handle_breaks_its_rung() -> None:
    wrong: dict[str, int | bytes] = {"ppContext.uuid": bytes(16)}
    (broken,) = learned(spoils(RegisterResponse, wrong, NDR32, NDR64)).facts.broken
    assert (broken.opnum, broken.requirement) == (Opnum.REGISTER, "SWN-3.1.4.2-returns-success")
    assert "with a null handle" in broken.observed


def test_fault_of_an_embedded_cluster_is_for_the_cases_to_find() -> None:
    with serving(reference(), Faults) as profile:
        assert learn_about(profile, passes=1).facts.broken == ()


def test_list_that_decodes_in_one_transfer_syntax_breaks_nothing() -> None:
    preflight = learned(spoils(GetInterfaceListResponse, {"NumberOfInterfaces": 4}, NDR32))
    assert preflight.facts.broken == ()


class Faults(WitnessEndpoint):
    """Every call of Register ends in a fault."""

    status: int = FaultStatus.NCA_S_FAULT_UNSPEC

    @override
    def call(self, call: ServerCall) -> None:
        if call.opnum == Opnum.REGISTER:
            call.fault(self.status)
        else:
            super().call(call)


class Denies(Faults):
    """Denies every Register."""

    status = FaultStatus.ERROR_ACCESS_DENIED


def test_method_that_faults_breaks_its_rung_but_not_one_that_is_denied() -> None:
    (broken,) = learned(Faults).facts.broken
    assert (broken.opnum, broken.requirement) == (Opnum.REGISTER, "SWN-3.1.4.2-returns-success")
    assert learned(Denies).facts.broken == ()


def test_no_method_of_the_reference_is_broken() -> None:
    assert learned().facts.broken == ()


def test_silence_of_a_cluster_of_this_process_says_nothing() -> None:
    """When this machine is busy, an embedded cluster may be late."""
    with serving(reference(), AnswersNothing) as profile:
        assert learn_about(profile, passes=1, step=SHORT).facts.broken == ()


def test_nothing_is_judged_when_the_time_is_over() -> None:
    with serving(reference()) as profile:
        preflight = learn_about(profile, budget=0.0)
    assert preflight.facts.broken == ()
    assert preflight.findings == ()
