"""The instances of a lab, and which one each variant of the profile of a lab uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Instance:
    """The settings of an instance, by which it differs from its lab.

    Attributes:
        block: which addresses it has (`swn_torture.lab.addresses`).
        settings: fields of `LabConfig`.
        name_in_domain: its NetName in a domain, where each cluster has a machine account, and so a name of
            its own; empty if `settings` have its name. Elsewhere it has the name of its lab.
    """

    block: int
    settings: Mapping[str, Any]
    name_in_domain: str = ""

    def settings_in(self, *, domain: bool) -> dict[str, Any]:
        """Return the fields of `LabConfig` by which it differs from its lab.

        Args:
            domain: whether the lab has a domain.
        """
        named = {"net_name": self.name_in_domain} if domain and self.name_in_domain else {}
        return {**self.settings, **named, "block": self.block}


INSTANCES: Final[Mapping[str, Instance]] = {
    # Another NetName, and no share that is scale-out. As in every lab, all interfaces have the same
    # InterfaceGroupName and one address, and the nodes have IPv6 addresses, too.
    "second": Instance(1, {"nodes": 2, "net_name": "SWNRENAMED", "shares": "plain"}),
    # NetrShareEnum fails: samba-dcerpcd runs without the program that serves it. In a domain, each cluster
    # has a machine account, and so a name of its own.
    "noservice": Instance(2, {"nodes": 1, "net_name": "SWNNOSHARES", "share_service": False}),
    # As the lab. Nothing happens to it while a case waits there.
    "undisturbed": Instance(3, {"nodes": 1, "net_name": "SWNQUIET"}),
    # As the lab, too. What happens to it does not happen to the cases in the lab.
    "changing": Instance(4, {"nodes": 3}, "SWNCHANGING"),
    # Once more, for nodes that fail: each takes up to half a minute until the cluster is healthy again.
    "failing": Instance(5, {"nodes": 3}, "SWNFAILING"),
}
"""The instances by name; a name is up to 12 lower-case letters."""

VARIANTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "single-family": {"lab": "second"},
    "one-group": {"lab": "second"},
    "renamed": {"lab": "second"},
    "no-sofs": {"lab": "second"},
    "ipv6-management": {"lab": "second", "ipv6": True},
    "no-share-service": {"lab": "noservice"},
    "undisturbed": {"lab": "undisturbed"},
    "changing": {"lab": "changing"},
    "failing": {"lab": "failing"},
}
"""The tables ``[variants.NAME]`` of the profile of a lab: ``lab`` is the instance; with ``ipv6``, clients
call its nodes at their IPv6 addresses."""

MISSING_VARIANTS: Final[Mapping[str, str]] = {
    "version-1": "Samba implements version 2 only",
    "refuses-second-account": (
        "the witness service of Samba has no permissions: it checks the authentication level only"
    ),
    "no-shares": "every Samba server has the share IPC$, and NetrShareEnum lists it",
    "several-names": "Samba has one NetName for its witness service",
    "full": "Samba has no limit of registrations",
}
"""Variants that Samba cannot have: their name -> why."""
