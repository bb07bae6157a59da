"""A target as reports describe it, from its profile and from what it has shown."""

from __future__ import annotations

import dataclasses
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from swn_torture.casekit.facts import SERVICES, TargetFacts
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.report.model import TargetInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from swn_torture.target import Profile


def this_machine() -> str:
    """Where a run takes place, for its report."""
    return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"


def describe_target(profile: Profile, known: TargetFacts | None = None) -> TargetInfo:
    """The target as reports describe it, without passwords.

    Args:
        profile: its profile.
        known: what it has shown; None when that is not known yet.
    """
    from swn_torture.target import make_controller

    if profile.embedded is not None:
        # Its administration port is known once it runs; the capabilities of its controller are known now.
        profile = dataclasses.replace(profile, controller={"kind": "reference", "port": 1})
    controller = make_controller(profile)
    shown = known or TargetFacts()
    embedded = profile.embedded or {}
    facts = {
        "profile": Path(profile.source).name if profile.source else "",
        "product": shown.server,
        **_product(profile),
        "authentication": _authentication(shown) if shown.nodes else "",
        "transfer syntaxes": {True: "NDR32, NDR64", False: "NDR32", None: ""}[shown.ndr64],
        "interface list": "; ".join(_interfaces(shown)) if profile.embedded is None else "",
        "registrations": _registrations(shown),
        "shares": shown.shares,
        "fault": str(embedded.get("fault", "")),
        "unusual server": str(embedded.get("unusual", "")),
    }
    return TargetInfo(
        name=profile.name,
        controller=controller.kind,
        capabilities=tuple(sorted(capability.value for capability in controller.capabilities)),
        address=profile.nodes[0].address if profile.nodes else "embedded",
        net_name=profile.net_name,
        facts={label: fact for label, fact in facts.items() if fact},
        title=lab_title(profile) or profile.title or shown.server,
        nodes=tuple(_nodes(profile, shown)),
        warnings=shown.warnings,
    )


def lab_title(profile: Profile) -> str:
    """The title of the lab that this profile leads to: its release and its version of Samba.

    Those of the profile may be older. Empty for a target that is not a lab of this machine.
    """
    from swn_torture import lab

    found = lab.find_by_namespace(profile.network_namespace or "")
    return "" if found is None else lab.title(found)


def _product(profile: Profile) -> dict[str, str]:
    """The version and the build ids: of the lab that runs, or as the profile says."""
    from swn_torture import lab

    found = lab.find_by_namespace(profile.network_namespace or "")
    if found is not None:
        return {"version": f"Samba {found.samba}", "build ids": _in_one_line(found.builds)}
    if profile.product is None:
        return {}
    version = f"{profile.product.name} {profile.product.version}".strip()
    return {"version": version, "build ids": _in_one_line(profile.product.builds)}


def _in_one_line(builds: Mapping[str, str]) -> str:
    return ", ".join(f"{program} {build}" for program, build in builds.items())


def _nodes(profile: Profile, shown: TargetFacts) -> Iterator[str]:
    if profile.embedded is not None:
        # Every test process has a cluster of its own, with addresses of its own.
        yield from (node.name for node in shown.nodes)
        return
    for node in profile.nodes:
        yield f"{node.name} ({node.address}{', left out' if node.name in shown.left_out else ''})"


def _authentication(shown: TargetFacts) -> str:
    """The service and level that the suite uses, and the services that the target offers or not."""
    plain = shown.level == AuthLevel.NONE
    text = "none (level NONE)" if plain else f"{shown.auth_type.name} at PKT_{shown.level.name}"
    if shown.principal and not plain and shown.auth_type != AuthType.NTLM:
        text += f" to {shown.principal}"
    for word, answer in (("offered", True), ("not offered", False)):
        names = [service.name for service in SERVICES if _offers(shown, service) is answer]
        text += f"; {word}: {', '.join(names)}" if names else ""
    return text


def _offers(shown: TargetFacts, service: AuthType) -> bool | None:
    """Services that the suite does not use are asked of the first node only."""
    if service.name not in shown.unused:
        return shown.offers(service)
    of_first = shown.nodes[0].services.get(service.name)
    return None if of_first is None else of_first.offered


def _interfaces(shown: TargetFacts) -> Iterator[str]:
    for node in shown.nodes:
        listed = [
            f"{each.group} {'/'.join(each.addresses)} {each.state}{' (own)' if each.own else ''}"
            for each in node.interfaces or ()
        ]
        if node.interfaces is not None:
            yield f"by {node.name}: {', '.join(listed) or 'empty'}"


def _registrations(shown: TargetFacts) -> str:
    if shown.registrations is not None:
        return f"at most {shown.registrations}"
    return f"at least {shown.registrations_tried}" if shown.registrations_tried > 1 else ""
