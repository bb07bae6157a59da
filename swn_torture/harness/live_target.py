"""The running target of a test process: its profile with real addresses, and its variants.

There is one for each test process; all cases of the process share it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
from typing import TYPE_CHECKING, Any, Self

from swn_torture.casekit.facts import TargetFacts
from swn_torture.casekit.known import LIST_SERVED, KnownAnswers, NotTestable
from swn_torture.control.base import Capability, ControllerError, NodeState
from swn_torture.harness.locks import lost_reason, mark_lost, use_of
from swn_torture.harness.preflight.learning import Preflight, learn
from swn_torture.harness.preflight.patience import for_embedded, for_live
from swn_torture.harness.preflight.tickets import no_ticket, stops, with_spn
from swn_torture.harness.preflight.tickets import trouble as trouble_of_ticket
from swn_torture.harness.preflight.trouble import no_usable_interface
from swn_torture.target import NetworkName, NodeAddress, ProfileError, make_controller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from types import TracebackType

    from swn_torture.control.base import Controller
    from swn_torture.lab.instances.use import Use
    from swn_torture.server.nodes.embedded import EmbeddedCluster
    from swn_torture.target import Profile


class LiveTarget:
    """A running target. An embedded cluster is started when the context is entered, and stopped at its end.

    Attributes:
        profile: the profile; for an embedded cluster with its real addresses. For a live target without the
            nodes that do not answer, or that no client can call.
        facts: what the target has shown before the first case.
        known: what the cases found out about its answers.
        notifies_of_moves: False once it did not notify a client of a client move.
    """

    def __init__(self, profile: Profile, learned: Preflight | None = None, *, lock: str = "") -> None:
        """Describe a target.

        Args:
            profile: its profile.
            learned: what it has shown. None to ask it when the context is entered.
            lock: identifies it where several profiles lead to it; empty to go by the profile.
        """
        self.profile = profile
        self.facts = TargetFacts()
        self._learned = learned
        self._lock = lock or _lock_of(profile)
        self.known = KnownAnswers()
        self.notifies_of_moves = True
        self._lost: str | None = None
        self._stack = contextlib.ExitStack()
        self._variants: dict[str, LiveTarget] = {}
        self._uses: dict[str, Use] = {}
        self._starting = threading.Lock()

    def __enter__(self) -> Self:
        if self.profile.network_namespace:
            from swn_torture.lab.namespaces import enter_network

            enter_network(self.profile.network_namespace)
        learned = self._learned or learn_target(self.profile)
        self.facts, self.lost = learned.facts, learned.trouble or None
        if self.facts.principal not in {"", self.profile.principal}:
            self.profile = with_spn(self.profile, self.facts.principal)
        self.known.trusted = self.facts.unreliable is None
        for node in self.facts.nodes:
            if node.interfaces is not None:
                self.known.add_service(LIST_SERVED, node.name)
        if self.profile.embedded is not None:
            self._start_embedded()
        else:
            unusable = {*self.facts.left_out, *(node.name for node in self.facts.nodes if node.violates)}
            nodes = tuple(node for node in self.profile.nodes if node.name not in unusable)
            self.profile = dataclasses.replace(self.profile, nodes=nodes or self.profile.nodes)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start_embedded(self) -> None:
        cluster = self._stack.enter_context(embedded_cluster(self.profile))
        self.profile = profile_of(cluster, self.profile)

    @property
    def lost(self) -> str | None:
        """Why no further case can run, once a case found that the target cannot be used any more; else None.

        The processes of one run share a live target, and so the reason.
        """
        return self._lost or (None if self.embedded else lost_reason(self._lock))

    @lost.setter
    def lost(self, reason: str | None) -> None:
        self._lost = reason
        if reason and not self.embedded:
            mark_lost(self._lock, reason)

    @property
    def embedded(self) -> bool:
        """Whether this process runs the target itself, so that no other process can use it."""
        return self.profile.embedded is not None

    def controller(self) -> Controller:
        """A new controller, not yet opened.

        Raises:
            ProfileError: the [controller] of the profile is wrong.
        """
        return make_controller(self.profile)

    def use(self, *, alone: bool, registrations: int = 0) -> AbstractContextManager[None]:
        """Hold the target for one case. An embedded target needs no lock.

        Args:
            alone: no other case uses the target meanwhile.
            registrations: so many registrations the case holds by its needs. If the target has a limit, no
                other case uses it meanwhile.
        """
        alone = alone or bool(registrations and self.facts.registrations is not None)
        if self.embedded:
            return contextlib.nullcontext()
        return use_of(self._lock, alone=alone)

    def variant(self, name: str) -> LiveTarget:
        """A variant of the target: started at its first use and kept until the process ends.

        Args:
            name: name of the variant in the profile, ``[variants.NAME]``.

        Raises:
            ProfileError: the profile has no such variant.
            NotTestable: the variant cannot be used.
        """
        if name not in self._variants:
            if name not in self.profile.variants:
                raise ProfileError(f"The target profile {self.profile.source} has no [variants.{name}].")
            if "lab" in self.profile.variants[name]:
                target = self._lab_variant(name)
            else:
                profile = variant_of(self.profile, name)
                target = LiveTarget(profile, self._known_of_variant(name, profile))
            self._variants[name] = self._stack.enter_context(target)
        if self._variants[name].lost:
            raise NotTestable(f"the variant {name} cannot be used: {self._variants[name].lost}")
        return self._variants[name]

    def for_case(self, apart: str) -> LiveTarget:
        """The target that a case runs on: the variant that keeps it apart, else this one.

        Args:
            apart: name of the variant, which the profile need not have; empty for none.
        """
        if apart in self.profile.variants and not self.lost:
            with contextlib.suppress(NotTestable):  # without it the others wait for the case
                return self.variant(apart)
        return self

    def start_variants(self, names: Iterable[str]) -> None:
        """Start the lab instances of some variants, and do not wait for them.

        Args:
            names: names of variants. Those that the profile lacks, or that need no instance, are left out.
        """
        for name in names:
            instance = self.profile.variants.get(name, {}).get("lab")
            if instance is not None:
                with contextlib.suppress(NotTestable):  # the case that needs it reports it
                    self._use(instance)

    def _lab_variant(self, name: str) -> LiveTarget:
        """A variant that is an instance of the lab, when it is up.

        Raises:
            NotTestable: the instance cannot be started.
        """
        from swn_torture.lab.errors import LabError
        from swn_torture.lab.instances.use import profile_of_variant
        from swn_torture.target import parse_profile

        table = self.profile.variants[name]
        use = self._use(table["lab"])
        try:
            profile = parse_profile(profile_of_variant(use.wait(), table))
        except LabError as problem:
            raise NotTestable(f"the variant {name} cannot be used: {problem}") from problem
        profile = dataclasses.replace(
            profile,
            account=dataclasses.replace(profile.account, auth=self.profile.account.auth),
            # The user may have changed times and failures; shares and addresses are those of the instance.
            expect=dataclasses.replace(
                self.profile.expect,
                shares=profile.expect.shares,
                spare_addresses=profile.expect.spare_addresses,
            ),
        )
        return LiveTarget(profile, self._known_of_variant(name, profile), lock=use.name)

    def _use(self, instance: str) -> Use:
        """The use of an instance of the lab by this process. It ends with this target.

        Raises:
            NotTestable: the lab is not up, or has no such instance.
        """
        from swn_torture.lab.errors import LabError
        from swn_torture.lab.instances.use import start

        with self._starting:
            if instance not in self._uses:
                try:
                    self._uses[instance] = start(self.profile.network_namespace or "", instance)
                except LabError as problem:
                    raise NotTestable(f"an instance of the lab cannot be used: {problem}") from problem
                self._stack.callback(self._uses[instance].end)
        return self._uses[instance]

    def _known_of_variant(self, name: str, profile: Profile) -> Preflight | None:
        """What holds for the same implementation with other settings; None for another profile."""
        if "profile" in self.profile.variants[name]:
            return None
        names = {node.name for node in profile.nodes}
        nodes = tuple(
            dataclasses.replace(node, interfaces=None)
            for node in self.facts.nodes
            if not names or node.name in names
        )
        return Preflight(
            dataclasses.replace(self.facts, nodes=nodes, registrations=None, warnings=(), principal="")
        )


def learn_target(
    profile: Profile,
    say: Callable[[str], None] | None = None,
    show: Callable[[Preflight], None] = lambda _: None,
) -> Preflight:
    """What a target shows before the first case, and why it cannot be used if it cannot.

    For an embedded cluster a cluster of its own is asked and stopped again, so that the cases get one that
    was not called before. Whatever it does wrong is for the cases to find.

    Args:
        profile: the profile of the target.
        say: shows a line about what is being waited for.
        show: is told what is known of a live target before its methods are called.

    Raises:
        ConfigError: the [embedded] table is wrong.
    """
    if profile.embedded is None:
        if profile.network_namespace:
            from swn_torture.lab.namespaces import enter_network

            enter_network(profile.network_namespace)
        with use_of(_lock_of(profile), alone=False):
            return asyncio.run(_learn_live(profile, say, show))
    problem = no_ticket(profile)
    if problem and stops(profile):
        return Preflight(TargetFacts(), trouble_of_ticket(profile, problem))
    with embedded_cluster(profile) as cluster:
        smb = cluster.config.smb_port is not None
        learned = asyncio.run(learn(profile_of(cluster, profile), for_embedded(), ask_for_shares=smb))
    return Preflight(learned.facts, findings=learned.findings)


async def _learn_live(
    profile: Profile, say: Callable[[str], None] | None, show: Callable[[Preflight], None]
) -> Preflight:
    """What a live target shows; trouble if its own tools say that no node hosts an address.

    Then the cluster has to be restored first. Without that, such a list is a finding about the server.
    """
    patience = for_live(profile.expect.reply_deadline)
    async with patience.reporting(say) if say else contextlib.nullcontext():
        learned = await learn(profile, patience, show=show)
    problem = no_usable_interface(learned.facts.nodes)
    if problem and not learned.trouble and await _hosts_nothing(profile):
        kind = profile.controller.get("kind")
        problem = f"{problem} By the controller {kind!r} no node in service hosts an address."
        return dataclasses.replace(learned, trouble=problem, stopped_at="interface-list")
    return learned


async def _hosts_nothing(profile: Profile) -> bool:
    """Whether the controller knows that no node in service hosts an address."""
    try:
        controller = make_controller(profile)
        if not controller.can(Capability.LIST_NODES):
            return False
        try:
            await controller.open()
            nodes = await controller.nodes()
        finally:
            await controller.close()
    except (ControllerError, ProfileError):
        return False  # what is wrong with the controller is reported by the cases that need it
    return not any(node.addresses for node in nodes if node.state is NodeState.OK)


def profile_of(cluster: EmbeddedCluster, profile: Profile) -> Profile:
    """The profile of an embedded cluster that runs, with its real addresses.

    Args:
        cluster: the cluster.
        profile: the profile that it was started from.
    """
    nodes = tuple(
        NodeAddress(
            node.name, node.address, endpoint_mapper_port=node.epm_port, smb_port=node.smb_port or 445
        )
        for node in cluster.nodes
    )
    spare = tuple(map(str, cluster.config.spare_addresses()))
    names = tuple(NetworkName(n, tuple(a), tuple(where)) for n, a, where in cluster.config.network_names())
    return dataclasses.replace(
        profile,
        nodes=nodes,
        network_names=names,
        controller={"kind": "reference", "address": cluster.admin_address, "port": cluster.admin_port},
        expect=dataclasses.replace(profile.expect, spare_addresses=spare),
    )


def _lock_of(profile: Profile) -> str:
    """Text that identifies a live target for its lock. Two labs have the same addresses in two networks."""
    words = [profile.name, profile.network_namespace or "", *(node.address for node in profile.nodes)]
    return " ".join(filter(None, words))


def variant_of(profile: Profile, name: str) -> Profile:
    """The profile of a variant: another profile (``profile = "path"``), or this one with changed settings.

    Args:
        profile: the profile that has the variant.
        name: name of the variant.
    """
    from swn_torture.target import load_profile

    changes = dict(profile.variants[name])
    if "profile" in changes:
        return load_profile(changes["profile"])
    expect = dataclasses.replace(profile.expect, **changes.pop("expect", {}))
    return dataclasses.replace(
        profile,
        name=f"{profile.name}/{name}",
        net_name=changes.pop("net_name", profile.net_name),
        embedded={**(profile.embedded or {}), **changes},
        expect=expect,
        variants={},
    )


def embedded_cluster(profile: Profile) -> EmbeddedCluster:
    """The reference cluster of the [embedded] table of a profile.

    It has the fault or is the unusual server that the table names (`harness.session.with_unusual` has already
    put the settings of the unusual server into the table).

    Raises:
        ConfigError: the table is wrong, or there is no fault or unusual server of that name.
    """
    from swn_torture.faults.library import with_fault
    from swn_torture.server.config import ClusterConfig
    from swn_torture.server.nodes.embedded import EmbeddedCluster
    from swn_torture.server.state.shares import Share, ShareType
    from swn_torture.unusual.library import apply_unusual

    settings: dict[str, Any] = dict(profile.embedded or {})
    fault, unusual = settings.pop("fault", None), settings.pop("unusual", None)
    accounts = [account for account in (profile.account, profile.second_account) if account is not None]
    shares = tuple(
        Share(share.name, ShareType.CLUSTER_SOFS if share.scale_out else ShareType.CLUSTER_FS)
        for share in profile.expect.shares
    )
    defaults: dict[str, Any] = {
        "net_name": profile.net_name,
        "domain": profile.account.domain,
        # An account that has only tickets is no user of NTLM: its password is empty here.
        "users": {each.username: each.password for each in accounts if not each.without_password},
    }
    if shares:
        defaults["shares"] = shares
    config, parts = with_fault(ClusterConfig.from_mapping(settings, **defaults), fault)
    return EmbeddedCluster(*apply_unusual(config, parts, unusual))
