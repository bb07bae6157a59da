"""A live target with what it has shown: its locks, and what holds for its variants."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit.facts import InterfaceFacts, NodeFacts, TargetFacts
from swn_torture.casekit.known import NotTestable
from swn_torture.control.base import Capability, ControllerError, NodeState, NodeStatus
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.harness import live_target
from swn_torture.harness.live_target import LiveTarget, learn_target
from swn_torture.harness.locks import LockTimeout, use_of
from swn_torture.harness.preflight.findings import PreflightFinding
from swn_torture.harness.preflight.learning import Preflight
from swn_torture.target import NodeAddress
from tests.casekit.fakes import FakeCluster
from tests.harness.targets import reference, serving

if TYPE_CHECKING:
    from pathlib import Path

SHOWN = Preflight(
    TargetFacts(
        auth_type=AuthType.SPNEGO, level=AuthLevel.PRIVACY, registrations=60, warnings=("A warning.",)
    )
)


@pytest.mark.parametrize(
    ("limit", "needed", "alone"), [(60, 20, True), (60, 0, False), (None, 20, False), (None, 0, False)]
)
def test_case_with_many_registrations_is_alone_at_a_limit(
    limit: int | None, needed: int, alone: bool
) -> None:
    facts = dataclasses.replace(SHOWN.facts, registrations=limit)
    with serving(reference()) as profile, LiveTarget(profile, Preflight(facts)) as target:
        name = f"{profile.name} {' '.join(node.address for node in profile.nodes)}"
        with target.use(alone=False, registrations=needed):
            try:
                with use_of(name, alone=False, timeout=0.1):
                    shared = True
            except LockTimeout:
                shared = False

    assert shared is not alone


def test_labs_with_the_same_addresses_do_not_wait_for_each_other() -> None:
    nodes = (NodeAddress("node1", "198.51.100.10"),)
    profile = dataclasses.replace(reference(), embedded=None, nodes=nodes)
    one, other = (
        LiveTarget(dataclasses.replace(profile, network_namespace=f"swn-{name}-client"), SHOWN)
        for name in ("one", "other")
    )
    with one.use(alone=True), other.use(alone=True):
        pass
    with (
        one.use(alone=True),
        pytest.raises(LockTimeout),
        use_of("reference swn-one-client 198.51.100.10", alone=False, timeout=0.1),
    ):
        pass


def test_variant_is_the_same_implementation() -> None:
    with LiveTarget(reference(), SHOWN) as target:
        facts = target.variant("full").facts

    assert (facts.auth_type, facts.level) == (AuthType.SPNEGO, AuthLevel.PRIVACY)
    assert facts.registrations is None
    assert facts.warnings == ()


def test_variant_with_its_own_profile_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "old.toml"
    path.write_text(
        'schema = "swn-torture-target/1"\nname = "old"\nnet_name = "OLD"\n'
        '[account]\nusername = "u"\npassword = "p"\n[[node]]\nname = "n"\naddress = "192.0.2.1"\n',
        encoding="utf-8",
    )
    monkeypatch.setattr(
        live_target, "learn_target", lambda profile: Preflight(TargetFacts(), profile.net_name)
    )
    profile = dataclasses.replace(reference(), variants={"version-1": {"profile": str(path)}})

    with (
        LiveTarget(profile, SHOWN) as target,
        pytest.raises(NotTestable, match="version-1 cannot be used: OLD"),
    ):
        target.variant("version-1")


# A cluster that hosts nothing
# ----------------------------------------------------------------------------------------------------------

UNAVAILABLE = InterfaceFacts("SWN", ("192.0.2.1",), "UNAVAILABLE", own=False, version=0x20000)


ON_NODE1 = NodeStatus("NODE1", NodeState.OK, ("192.0.2.1",))
OUT_OF_SERVICE = NodeStatus("NODE2", NodeState.DISABLED, ("192.0.2.2",))


class Silent(FakeCluster):
    """A controller whose cluster does not answer."""

    async def open(self) -> None:
        raise ControllerError("it does not answer")


@pytest.mark.parametrize(
    ("controller", "trouble"),
    [
        (FakeCluster(Capability.LIST_NODES, nodes=[OUT_OF_SERVICE]), "no node in service hosts an address."),
        (FakeCluster(Capability.LIST_NODES, nodes=[OUT_OF_SERVICE, ON_NODE1]), ""),
        (FakeCluster(), ""),
        (Silent(Capability.LIST_NODES), ""),
    ],
    ids=["hosts-nothing", "hosts-an-address", "cannot-list", "does-not-answer"],
)
def test_cluster_that_hosts_nothing_is_to_be_restored_first(
    monkeypatch: pytest.MonkeyPatch, controller: FakeCluster, trouble: str
) -> None:
    """The server may violate something, too; but the state of the cluster is not its fault."""
    node = NodeFacts("NODE1", "192.0.2.1", interfaces=(UNAVAILABLE,))
    found = PreflightFinding("SWN-3.1.4.1-wait-available", "no response", "a list", "GetInterfaceList")
    shown = Preflight(TargetFacts(nodes=(node,)), findings=(found,))

    async def learn(*_: object, **__: object) -> Preflight:
        await asyncio.sleep(0)
        return shown

    monkeypatch.setattr(live_target, "learn", learn)
    monkeypatch.setattr(live_target, "make_controller", lambda _: controller)
    learned = learn_target(dataclasses.replace(reference(), embedded=None, name="hosts nothing"))

    assert learned.trouble.endswith(trouble)
    assert bool(learned.trouble) is bool(trouble)
    assert learned.findings == (found,)
