"""The running target of a test process: its profile with real addresses, and its variants.

There is one for each test process; all cases of the process share it.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any, Self

from swn_torture.harness.locks import use_of
from swn_torture.target import NodeAddress, ProfileError, make_controller

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import TracebackType

    from swn_torture.control.base import Controller
    from swn_torture.server.nodes.embedded import EmbeddedCluster
    from swn_torture.target import Profile


class LiveTarget:
    """A running target. An embedded cluster is started when the context is entered, and stopped at its end.

    Attributes:
        profile: the profile; for an embedded cluster with its real addresses.
        lost: why no further case can run, once a case found that the target no longer answers; else None.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.lost: str | None = None
        self._stack = contextlib.ExitStack()
        self._variants: dict[str, LiveTarget] = {}

    def __enter__(self) -> Self:
        if self.profile.network_namespace:
            from swn_torture.lab.namespaces import enter_network

            enter_network(self.profile.network_namespace)
        if self.profile.embedded is not None:
            self._start_embedded()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start_embedded(self) -> None:
        cluster = self._stack.enter_context(embedded_cluster(self.profile))
        self.profile = dataclasses.replace(
            self.profile,
            nodes=tuple(
                NodeAddress(node.name, node.address, endpoint_mapper_port=node.epm_port)
                for node in cluster.nodes
            ),
            controller={"kind": "reference", "address": cluster.admin_address, "port": cluster.admin_port},
            expect=dataclasses.replace(
                self.profile.expect, spare_addresses=tuple(map(str, cluster.config.spare_addresses()))
            ),
        )

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

    def use(self, *, alone: bool) -> AbstractContextManager[None]:
        """Hold the target for one case. An embedded target needs no lock.

        Args:
            alone: no other case uses the target meanwhile.
        """
        if self.embedded:
            return contextlib.nullcontext()
        nodes = " ".join(node.address for node in self.profile.nodes)
        return use_of(f"{self.profile.name} {nodes}", alone=alone)

    def variant(self, name: str) -> LiveTarget:
        """A variant of the target: started at its first use and kept until the process ends.

        Args:
            name: name of the variant in the profile, ``[variants.NAME]``.

        Raises:
            ProfileError: the profile has no such variant.
        """
        if name not in self._variants:
            if name not in self.profile.variants:
                raise ProfileError(f"The target profile {self.profile.source} has no [variants.{name}].")
            self._variants[name] = self._stack.enter_context(LiveTarget(variant_of(self.profile, name)))
        return self._variants[name]


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
    """The reference cluster of the [embedded] table of a profile, with the fault that the table names.

    Raises:
        ConfigError: the table is wrong.
        UnknownFault: there is no fault of that name.
    """
    from swn_torture.faults.library import with_fault
    from swn_torture.server.config import ClusterConfig
    from swn_torture.server.nodes.embedded import EmbeddedCluster
    from swn_torture.server.state.shares import Share, ShareType

    settings: dict[str, Any] = dict(profile.embedded or {})
    fault = settings.pop("fault", None)
    accounts = [account for account in (profile.account, profile.second_account) if account is not None]
    shares = tuple(
        Share(share.name, ShareType.CLUSTER_SOFS if share.scale_out else ShareType.CLUSTER_FS)
        for share in profile.expect.shares
    )
    defaults: dict[str, Any] = {
        "net_name": profile.net_name,
        "domain": profile.account.domain,
        "users": {account.username: account.password for account in accounts},
    }
    if shares:
        defaults["shares"] = shares
    return EmbeddedCluster(*with_fault(ClusterConfig.from_mapping(settings, **defaults), fault))
