"""The variants that are instances of a lab: which are started early, how cases use them, what is left."""

from __future__ import annotations

import asyncio
import dataclasses
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from swn_torture.casekit.case import CaseMark
from swn_torture.casekit.facts import NodeFacts, TargetFacts
from swn_torture.casekit.known import NotTestable
from swn_torture.control.base import ControllerError
from swn_torture.harness import variants
from swn_torture.harness.case_run import CaseRun
from swn_torture.harness.live_target import LiveTarget
from swn_torture.harness.locks import LockTimeout, use_of
from swn_torture.harness.preflight.learning import Preflight
from swn_torture.harness.selection import in_order
from swn_torture.lab import Lab, LabConfig, LabError
from swn_torture.lab.instances import use
from swn_torture.target import NodeAddress, Profile
from tests.harness.targets import reference

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class FakeUse:
    """A use of an instance that is up, or of one that cannot be started.

    Attributes:
        started: the instances that were started.
        ended: the instances whose use has ended.
    """

    started: list[str]
    ended: list[str]
    problem: str

    def __init__(self, name: str, directory: Path) -> None:
        self.name = f"lab.{name}"
        self.directory = directory

    def wait(self) -> Lab:
        if self.problem:
            raise LabError(self.problem)
        return Lab(LabConfig(name=self.name, nodes=2, network="lab", block=1), "4.22.11", self.directory)

    def end(self) -> None:
        self.ended.append(self.name)


@pytest.fixture
def uses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[FakeUse]:
    """What happens to the instances of the lab."""
    FakeUse.started, FakeUse.ended, FakeUse.problem = [], [], ""

    def start(namespace: str, instance: str) -> FakeUse:
        if namespace != "swn-lab-client":
            raise LabError(f"The network namespace {namespace} belongs to no lab that is up.")
        FakeUse.started.append(instance)
        return FakeUse(instance, tmp_path)

    monkeypatch.setattr(use, "start", start)
    # The tests are not in the namespace of a lab.
    monkeypatch.setattr("swn_torture.lab.namespaces.enter_network", lambda _: None)
    return FakeUse


LEARNED = Preflight(
    TargetFacts(nodes=tuple(NodeFacts(f"node{n}", f"192.0.2.{n}") for n in (1, 2, 3)), registrations=60)
)


def lab_target(**other: Any) -> LiveTarget:
    profile: Profile = dataclasses.replace(
        reference(),
        embedded=None,
        nodes=tuple(NodeAddress(f"node{n}", f"192.0.2.{n}") for n in (1, 2, 3)),
        network_namespace="swn-lab-client",
        variants={"renamed": {"lab": "second"}, "no-sofs": {"lab": "second"}},
        **other,
    )
    return LiveTarget(profile, LEARNED)


def item(*needs: str, apart: str = "") -> Any:
    mark = SimpleNamespace(args=(CaseMark(("X",), needs=needs, apart=apart),))
    return SimpleNamespace(get_closest_marker=lambda _: mark, iter_markers=lambda _: ())


@pytest.mark.parametrize(
    ("worker", "expected"),
    [(None, ["apart", "no-sofs", "renamed"]), ("gw0", ["apart", "no-sofs", "renamed"]), ("gw1", [])],
)
def test_first_process_starts_the_variants_of_the_selected_cases(
    worker: str | None, expected: list[str]
) -> None:
    config = SimpleNamespace(**({} if worker is None else {"workerinput": {"workerid": worker}}))
    items: Iterable[Any] = [item("variant:renamed", "version-2"), item("no-scale-out-share"), item()]
    items = [*items, item(apart="apart")]
    assert variants.variants_to_start(cast("pytest.Config", config), items) == expected


def test_instance_is_started_once_and_its_use_ends_with_the_target(uses: type[FakeUse]) -> None:
    with lab_target() as target:
        target.start_variants(["full", "no-sofs", "renamed"])
        renamed, plain = target.variant("renamed"), target.variant("no-sofs")
        assert [node.address for node in renamed.profile.nodes] == ["203.0.113.17", "203.0.113.18"]
        assert plain.profile.name == "samba-lab.second"
        assert (uses.started, uses.ended) == (["second"], [])
    assert uses.ended == ["lab.second"]


@pytest.mark.parametrize("every", [True, False])
def test_variant_of_a_lab_has_the_times_and_failures_of_the_profile(
    uses: type[FakeUse], *, every: bool
) -> None:
    expect = dataclasses.replace(reference().expect, all_failures=every, event_deadline=77.0)
    with lab_target(expect=expect) as target:
        found = target.variant("renamed").profile.expect
    assert (found.all_failures, found.event_deadline) == (every, 77.0)
    assert found.spare_addresses == ("203.0.113.22", "fd53:574e:0:1::240")
    assert [share.name for share in found.shares] == ["data", "moving", "plain"]


def test_variant_of_a_lab_has_the_facts_of_its_nodes(uses: type[FakeUse]) -> None:
    with lab_target() as target:
        facts = target.variant("renamed").facts
    assert [node.name for node in facts.nodes] == ["node1", "node2"]
    assert facts.registrations is None


@pytest.mark.parametrize("name", ["renamed", "no-sofs"])
def test_variants_on_one_instance_have_one_lock(uses: type[FakeUse], name: str) -> None:
    with (
        lab_target() as target,
        target.variant(name).use(alone=True),
        pytest.raises(LockTimeout),
        use_of("lab.second", alone=True, timeout=0.1),
    ):
        pass


def test_instance_that_does_not_start_is_not_testable(uses: type[FakeUse]) -> None:
    uses.problem = "CTDB did not become healthy"
    with lab_target() as target, pytest.raises(NotTestable, match="variant renamed cannot be used: CTDB did"):
        target.variant("renamed")


def test_case_that_is_kept_apart_runs_on_the_variant(uses: type[FakeUse]) -> None:
    with lab_target() as target:
        apart = target.for_case("renamed")
        assert (apart is target.variant("renamed"), apart.profile.name) == (True, "samba-lab.second")
        with target.use(alone=True), apart.use(alone=False):
            pass  # neither waits for the other


def test_case_that_cannot_be_kept_apart_runs_on_the_target(uses: type[FakeUse]) -> None:
    uses.problem = "CTDB did not become healthy"
    with lab_target() as target:
        assert target.for_case("renamed") is target
        assert target.for_case("undisturbed") is target
        assert target.for_case("") is target


def test_variant_of_a_lab_that_is_not_up_is_not_testable(uses: type[FakeUse]) -> None:
    with lab_target() as target:
        target.profile = dataclasses.replace(target.profile, network_namespace="swn-other-client")
        target.start_variants(["renamed"])
        with pytest.raises(NotTestable, match="swn-other-client belongs to no lab"):
            target.variant("renamed")


def test_end_of_a_run_waits_for_the_instances_of_its_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[str] = []
    monkeypatch.setattr(use, "wait_until_removed", waited.append)
    profile = dataclasses.replace(reference(), network_namespace="swn-lab-client")
    variants.wait_until_removed(profile)
    variants.wait_until_removed(dataclasses.replace(profile, variants={"renamed": {"lab": "second"}}))
    assert waited == ["swn-lab-client"]


@pytest.mark.parametrize(("apart", "net_name"), [("renamed", "SWNRENAMED"), ("undisturbed", "SWNCLUSTER")])
def test_case_uses_the_variant_that_keeps_it_apart(apart: str, net_name: str) -> None:
    waiting = item(apart=apart)
    waiting.name, waiting.session = "test_waits", None
    with LiveTarget(reference()) as target, CaseRun(waiting, target, "ndr32") as run:
        client = run._runner.run(run.witness.connect())
        run._runner.run(run.witness.register_ex(client))
        assert (run.witness.net_name, run.spec.failed) == (net_name, [])


@pytest.mark.parametrize(("known", "expected"), [(("changing",), "cbeda"), ((), "bdcea")])
def test_case_that_a_variant_keeps_apart_does_not_start_last(known: tuple[str, ...], expected: str) -> None:
    marks = {
        "a": CaseMark(("X",), disturbs=True, lasts=20),
        "b": CaseMark(("X",)),
        "c": CaseMark(("X",), disturbs=True, lasts=60, apart="changing"),
        "d": CaseMark(("X",)),
        "e": CaseMark(("X",), disturbs=True, lasts=30, apart="changing"),
    }
    cases, rungs = cast("Any", list(marks)), cast("Any", dict.fromkeys(marks, "bind"))
    assert "".join(cast("Any", in_order(cases, cast("Any", marks), rungs, known))) == expected


def test_cases_of_two_variants_start_in_turns() -> None:
    marks = {
        "a": CaseMark(("X",), disturbs=True, lasts=60, apart="failing"),
        "b": CaseMark(("X",), disturbs=True, lasts=50, apart="failing"),
        "c": CaseMark(("X",), disturbs=True, lasts=40, apart="changing"),
        "d": CaseMark(("X",), disturbs=True, lasts=30, apart="changing"),
        "e": CaseMark(("X",)),
    }
    cases, rungs = cast("Any", list(marks)), cast("Any", dict.fromkeys(marks, "bind"))
    ordered = in_order(cases, cast("Any", marks), rungs, ("changing", "failing"))
    assert "".join(cast("Any", [item for item in ordered if str(item) != "e"])) == "acbd"


@pytest.mark.parametrize("is_apart", [True, False])
def test_run_goes_on_without_a_variant_that_cannot_be_restored(*, is_apart: bool) -> None:
    class Left:
        async def restore(self) -> None:
            raise ControllerError("node2 is stopped")

    target = cast("Any", SimpleNamespace(embedded=False, lost=None))
    session = SimpleNamespace(shouldstop=False)
    case = SimpleNamespace(
        target=target, _is_apart=is_apart, _session=session, spec=SimpleNamespace(case="cluster.x.y")
    )
    with pytest.raises(ControllerError):
        asyncio.run(CaseRun._restore(cast("Any", case), cast("Any", Left()), target))
    assert target.lost == "cluster.x.y changed the cluster and could not restore it: node2 is stopped"
    assert session.shouldstop == (False if is_apart else target.lost)


def test_wait_for_a_variant_does_not_count_for_the_time_limit() -> None:
    async def waits(run: CaseRun) -> float | None:
        async with asyncio.timeout(0.05) as run._time_limit:
            async with run._unlimited():
                await asyncio.sleep(0.2)
            return run._time_limit.when()

    waiting = item()
    waiting.name, waiting.session = "test_waits", None
    with LiveTarget(reference()) as target, CaseRun(waiting, target, "ndr32") as run:
        assert run._runner.run(waits(run)) is not None  # the rest of the limit counts again


def test_wait_outside_a_case_has_no_time_limit() -> None:
    async def waits(run: CaseRun) -> bool:
        async with run._unlimited():
            return True

    waiting = item()
    waiting.name, waiting.session = "test_waits", None
    with LiveTarget(reference()) as target, CaseRun(waiting, target, "ndr32") as run:
        assert run._runner.run(waits(run))
