"""What a case may need, by name, and the reason a report gives where the target does not have it.

The names, as ``@case(needs=...)`` takes them:

- a capability of the controller: see ``casekit.cluster.Capability``;
- ``variant:NAME``: the profile has ``[variants.NAME]``;
- any other name in ``KNOWN``.

A case with a need that is not met is *not tested*, with the text returned by ``unmet`` as its reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.control.base import Capability

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.control.base import Controller
    from swn_torture.target import Profile

_CAPABILITIES = frozenset(capability.value for capability in Capability)

# Either can make an interface UNAVAILABLE and AVAILABLE again, see steps.host_nodes.make_unavailable.
_INTERFACE_EVENT = frozenset({Capability.INTERFACE_STATE, Capability.DISABLE_NODE})

_OF_PROFILE: dict[str, tuple[Callable[[Profile], bool], str]] = {
    "version-2": (lambda p: p.expect.version >= 2, "the target implements witness protocol version 1 only"),
    "version-1": (
        lambda p: p.expect.version == 1 or "version-1" in p.variants,
        "the target implements version 2, and its profile has no [variants.version-1]",
    ),
    "two-nodes": (lambda p: _nodes(p) >= 2, "the target has fewer than two nodes"),
    "three-nodes": (lambda p: _nodes(p) >= 3, "the target has fewer than three nodes"),
    "second-account": (lambda p: p.second_account is not None, "the profile has no [second_account]"),
    "scale-out-share": (
        lambda p: any(share.scale_out for share in p.expect.shares),
        "the profile lists no scale-out share (expect.shares)",
    ),
    "no-scale-out-share": (
        lambda p: (
            (bool(p.expect.shares) and not any(share.scale_out for share in p.expect.shares))
            or "no-sofs" in p.variants
        ),
        "needs a cluster without scale-out shares (expect.shares); the profile has no [variants.no-sofs]",
    ),
    "plain-share": (
        lambda p: any(not share.scale_out for share in p.expect.shares),
        "the profile lists no share that is not scale-out (expect.shares)",
    ),
    "spare-address": (
        lambda p: bool(p.expect.spare_addresses),
        "the profile lists no spare address for the cluster (expect.spare_addresses)",
    ),
    "any-share": (lambda p: bool(p.expect.shares), "the profile lists no share (expect.shares)"),
}


#: Every need but ``variant:NAME``, which the profile itself defines.
KNOWN = frozenset({*_CAPABILITIES, *_OF_PROFILE, "interface-event", "no-interfaces"})


def unmet(needs: tuple[str, ...], profile: Profile, controller: Controller | None) -> str | None:
    """The reason why the first unmet need is not met, or None when all are met.

    Raises:
        ValueError: a need is unknown.
    """
    for need in needs:
        if need in _CAPABILITIES:
            if controller is None or not controller.can(Capability(need)):
                kind = controller.kind if controller else "none"
                return f"needs a controller with the capability {need}; the target's controller is {kind!r}"
        elif need == "interface-event":
            if controller is None or not _INTERFACE_EVENT & controller.capabilities:
                kind = controller.kind if controller else "none"
                return f"needs a controller that can make an interface UNAVAILABLE; the target's is {kind!r}"
        elif need == "no-interfaces":
            removable = controller is not None and controller.can(Capability.CHANGE_ADDRESS)
            if not removable and need not in profile.variants:
                return (
                    "needs a cluster without interfaces: the controller cannot remove addresses, and the "
                    "profile has no [variants.no-interfaces]"
                )
        elif need.startswith("variant:"):
            variant = need.removeprefix("variant:")
            if variant not in profile.variants:
                return f"needs the variant {variant!r} of the target; the profile has no [variants.{variant}]"
        elif need in _OF_PROFILE:
            met, reason = _OF_PROFILE[need]
            if not met(profile):
                return reason
        else:
            raise ValueError(f"Unknown need {need!r}; known: {', '.join(sorted(KNOWN))}, variant:NAME")
    return None


def _nodes(profile: Profile) -> int:
    return len(profile.nodes) or int((profile.embedded or {}).get("nodes", 3))
