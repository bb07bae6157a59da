"""The preflight finds out whether a server takes PDUs from a stream; it costs no other server a case."""

from __future__ import annotations

import pytest
from typing_extensions import override

from swn_torture.casekit.checks import Spec
from swn_torture.casekit.connections import Connections
from swn_torture.casekit.facts import CONNECTIONS, FRAGMENTS, SEGMENTS, BrokenFraming, TargetFacts
from swn_torture.casekit.known import Blocked
from swn_torture.casekit.outcome import SILENCE, SUCCESS, faults, returns
from swn_torture.dcerpc.pdu.header import PduType
from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.halfmade.library import find_half_made
from swn_torture.harness.rung_gate import broken_rungs
from swn_torture.target import load_profile
from swn_torture.witness.constants import Opnum
from tests.harness.targets import SHORT, WAITS, learned
from tests.harness.test_rung_gate import blocking


class LosesTheSecond(ServerConnection):
    """Waits for a whole PDU, and loses what is read together with the end of a request."""

    _waiting = b""

    @override
    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        self._waiting += bytes(data)
        size = int.from_bytes(self._waiting[8:10], "little")
        if len(self._waiting) >= max(size, 16):
            whole, self._waiting = self._waiting[:size], self._waiting[size:]
            if whole[2] == PduType.REQUEST:
                self._waiting = b""
            super().receive_data(whole)
            if self._waiting:
                self.receive_data(b"")


class WaitsForNoRest(ServerConnection):
    """Ends the connection when a PDU arrives in parts; takes any number of whole ones from a read."""

    @override
    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        rest = bytes(data)
        while len(rest) >= 16 and len(rest) >= (size := int.from_bytes(rest[8:10], "little")):
            rest = rest[size:]
        if rest:
            self.closing = True
        else:
            super().receive_data(data)


_OneFragment = find_half_made("one-fragment").parts[0]


@pytest.mark.parametrize(
    ("part", "requirement", "loses_pdus"),
    [
        (LosesTheSecond, SEGMENTS, True),
        (WaitsForNoRest, SEGMENTS, False),
        (_OneFragment, FRAGMENTS, False),
    ],
)
def test_the_defect_is_one_finding(part: type, requirement: str, loses_pdus: bool) -> None:
    found = learned(part, step=SHORT if loses_pdus else WAITS["step"])

    assert [finding.requirement for finding in found.findings] == [requirement]
    assert found.findings[0].octets
    (framing,) = found.facts.framing
    assert (framing.requirement, framing.loses_pdus) == (requirement, loses_pdus)
    assert TargetFacts.from_json(found.facts.to_json()) == found.facts
    assert any(requirement in line for line in broken_rungs(found.facts))


def test_without_multiplexing_the_fragments_of_one_request_show_it() -> None:
    found = learned(LosesTheSecond, step=SHORT, rpc={"multiplex": False})

    assert {finding.requirement for finding in found.findings} == {SEGMENTS}
    assert [each.loses_pdus for each in found.facts.framing] == [True]


@pytest.mark.parametrize("multiplex", [True, False])
def test_a_conforming_server_has_no_finding(multiplex: bool) -> None:
    found = learned(rpc={"multiplex": multiplex})

    assert not found.findings
    assert not found.facts.framing
    assert not found.trouble


def test_where_pdus_are_lost_only_the_lowest_rungs_are_run() -> None:
    facts = _facts(SEGMENTS, loses_pdus=True)

    assert blocking("rpc.register.null-name[ndr32-register-net_name]", facts) == SEGMENTS
    assert not blocking("rpc.segmentation.octet-by-octet", facts)
    assert not blocking("rpc.register.null-name[ndr32-register-net_name]", _facts(SEGMENTS))


def _facts(requirement: str, *, loses_pdus: bool = False) -> TargetFacts:
    return TargetFacts(framing=(BrokenFraming(requirement, "no answer", loses_pdus),))


def _case(*requirements: str) -> Spec:
    return Spec("rpc.example.case", requirements)


@pytest.mark.parametrize("requirement", [FRAGMENTS, SEGMENTS])
def test_only_a_case_about_it_sends_several_fragments(requirement: str) -> None:
    profile = load_profile("reference")
    others = Connections(profile, _case("SWN-3.1.4.2-netname-mismatch"), facts=_facts(requirement))
    about = Connections(profile, _case(requirement), facts=_facts(requirement))

    others._require_call(0, 1)
    about._require_call(0, 2)
    with pytest.raises(Blocked, match=requirement):
        others._require_call(0, 2)


def test_a_missing_response_is_excused_and_a_wrong_one_is_not() -> None:
    spec = _case("SWN-3.1.4.2-netname-mismatch", "SWN-3.1.4.2-null-netname")
    spec("SWN-3.1.4.2-netname-mismatch").allows(SILENCE, SUCCESS)
    spec("SWN-3.1.4.2-netname-mismatch").allows(faults(5), SUCCESS)
    spec("SWN-3.1.4.2-null-netname").allows(returns(87), SUCCESS)

    assert spec.excuse(SEGMENTS, expected="a response", observed="no answer", note="before")
    assert [check.because for check in spec.checks] == [SEGMENTS, SEGMENTS, "", ""]
    assert spec.checks[-1].requirement == SEGMENTS
    assert spec.checks[-1].precondition


def test_nothing_is_excused_without_a_missing_response() -> None:
    spec = _case("SWN-3.1.4.2-null-netname")
    spec("SWN-3.1.4.2-null-netname").allows(returns(87), SUCCESS)

    assert not spec.excuse(SEGMENTS, expected="a response", observed="no answer", note="before")
    assert len(spec.checks) == 1


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("never-waits", {Opnum.ASYNC_NOTIFY: "SWN-3.1.4.4-waits"}),
        (
            "handles-ignored",
            {
                Opnum.UNREGISTER: "SWN-3.1.4.3-search-by-key",
                Opnum.ASYNC_NOTIFY: "SWN-3.1.4.4-search-by-key",
            },
        ),
        ("unregister-no-return-value", {Opnum.UNREGISTER: "SWN-1.8-win32-codes"}),
        ("notify-no-pointer", {Opnum.ASYNC_NOTIFY: "SWN-2.2.2.4-layout"}),
        ("list-no-padding", {Opnum.GET_INTERFACE_LIST: "SWN-2.2.2.5-ipv4-if-flag"}),
    ],
)
def test_a_method_that_answers_wrongly_is_one_finding(name: str, broken: dict[Opnum, str]) -> None:
    found = learned(*find_half_made(name).parts)

    assert {each.opnum: each.requirement for each in found.facts.broken} == broken
    assert [finding.requirement for finding in found.findings] == [*broken.values()]


def test_a_server_of_one_connection_is_one_finding() -> None:
    found = learned(*find_half_made("one-connection").parts, step=SHORT)

    assert [finding.requirement for finding in found.findings] == [CONNECTIONS]
    assert found.facts.one_connection
    assert not found.facts.segments
