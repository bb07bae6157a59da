"""What a case may need, by name, and the reason a report gives where the target does not have it.

The names, as ``@case(needs=...)`` takes them:

- a capability of the controller: see ``casekit.cluster.Capability``;
- ``variant:NAME``: the profile has ``[variants.NAME]``;
- ``registrations:N``: the target can hold N registrations at the same time;
- ``tcp-reset``, ``silent-client``: the network between the suite and the target can do this;
- any other name in ``KNOWN``.

A case with a need that is not met is *not tested*, with the text returned by ``unmet`` as its reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit.facts import TargetFacts
from swn_torture.control.base import Capability
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.report.model import IMPOSSIBLE

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
    "second-tickets": (
        lambda p: p.second_account is not None and p.second_account.has_tickets,
        "the profile has no realm, keytab or ccache in [second_account], for Kerberos tickets",
    ),
    "service-keytab": (
        lambda p: bool(p.account.service_keytab),
        "the profile has no service_keytab in [account]: the keys of the cluster, for an expired ticket",
    ),
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
    "all-failures": (
        lambda p: p.expect.all_failures,
        "the profile asks for the usual failures of nodes only (expect.all_failures)",
    ),
    "several-names": (
        lambda p: len(p.network_names) >= 2 or "several-names" in p.variants,
        "the profile lists one network name only ([[network_name]]), and has no [variants.several-names]",
    ),
    "any-share": (lambda p: bool(p.expect.shares), "the profile lists no share (expect.shares)"),
}

#: Needs that a variant meets where the target itself does not.
_VARIANT_FOR = {
    **{name: name for name in ("version-1", "no-interfaces", "several-names")},
    "no-scale-out-share": "no-sofs",
}

#: What the server itself must have shown (``TargetFacts``). A fact that is not known meets every need.
_OF_SERVER: dict[str, Callable[[TargetFacts], str | None]] = {
    "ntlm": lambda facts: facts.not_offered(AuthType.NTLM),
    "spnego": lambda facts: facts.not_offered(AuthType.SPNEGO),
    "kerberos": lambda facts: facts.not_offered(AuthType.KERBEROS),
    "pkt-integrity": lambda facts: facts.not_served(AuthLevel.INTEGRITY),
    "multiplexing": lambda facts: _not_confirmed(facts.multiplexing, "PFC_CONC_MPX"),
    "ndr64": lambda facts: "the target does not support NDR64 (optional)" if facts.ndr64 is False else None,
    "header-signing": lambda facts: _not_confirmed(facts.header_signing, "PFC_SUPPORT_HEADER_SIGN"),
}

#: What the network must be able to do, and why the network of a profile (``Profile.network``) cannot.
_OF_NETWORK: dict[str, dict[str, str]] = {
    "tcp-reset": {"socket-wrapper": "socket_wrapper replaces TCP by Unix sockets, which send no reset"},
    "silent-client": {
        "socket-wrapper": "socket_wrapper replaces TCP by Unix sockets, on which a client cannot become "
        "unreachable with its connection open"
    },
}

_OF_CONTROLLER = frozenset({"interface-event", "no-interfaces"})
_VARIANT, _REGISTRATIONS = "variant:", "registrations:"
_OPEN_NEEDS = "registrations:N, variant:NAME"

#: Every need but ``variant:NAME``, which the profile itself defines, and ``registrations:N``.
KNOWN = frozenset({*_CAPABILITIES, *_OF_PROFILE, *_OF_SERVER, *_OF_NETWORK, *_OF_CONTROLLER})

_NOTHING_KNOWN = TargetFacts()


def unmet(
    needs: tuple[str, ...],
    profile: Profile,
    controller: Controller | None,
    facts: TargetFacts = _NOTHING_KNOWN,
) -> str | None:
    """The reason why the first unmet need is not met, or None when all are met.

    A need that a target of this kind can never meet comes first; its reason begins with `IMPOSSIBLE`.

    Args:
        needs: of the case.
        profile: the profile of the target.
        controller: its controller; None when it has none.
        facts: what the target has shown.

    Raises:
        ValueError: a need is unknown.
    """
    problems = [_problem(need, profile, controller, facts) for need in needs]
    found = [problem for problem in problems if problem]
    return next((problem for problem in found if problem.startswith(IMPOSSIBLE)), next(iter(found), None))


def _problem(need: str, profile: Profile, controller: Controller | None, facts: TargetFacts) -> str | None:
    if need in _CAPABILITIES or need in _OF_CONTROLLER:
        return _problem_of_controller(need, profile, controller)
    if need in _OF_SERVER:
        return _OF_SERVER[need](facts)
    if need in _OF_NETWORK or need in _OF_PROFILE or need.startswith(_VARIANT):
        return _problem_of_profile(need, profile)
    if registrations_needed((need,)):
        return facts.no_room(registrations_needed((need,)))
    raise ValueError(f"Unknown need {need!r}; known: {', '.join(sorted(KNOWN))}, {_OPEN_NEEDS}")


def _problem_of_profile(need: str, profile: Profile) -> str | None:
    if need in _OF_NETWORK:
        why = _OF_NETWORK[need].get(profile.network)
        return f"{IMPOSSIBLE}{why}" if why else None
    if need in _OF_PROFILE:
        met, reason = _OF_PROFILE[need]
        why = profile.missing_variants.get(_VARIANT_FOR.get(need, ""))
        if met(profile):
            return None
        return f"needs the variant {_VARIANT_FOR[need]!r} of the target: {why}" if why else reason
    variant = need.removeprefix(_VARIANT)
    if variant in profile.variants:
        return None
    if variant in profile.missing_variants:
        return f"needs the variant {variant!r} of the target: {profile.missing_variants[variant]}"
    return f"needs the variant {variant!r} of the target; the profile has no [variants.{variant}]"


def _problem_of_controller(need: str, profile: Profile, controller: Controller | None) -> str | None:
    kind = controller.kind if controller else "none"
    able = controller.capabilities if controller else frozenset()
    if need == "interface-event":
        if _INTERFACE_EVENT & able:
            return None
        return f"needs a controller that can make an interface UNAVAILABLE; the target's is {kind!r}"
    capability = Capability.CHANGE_ADDRESS if need == "no-interfaces" else Capability(need)
    if capability in able or (need == "no-interfaces" and need in profile.variants):
        return None
    if controller and (why := controller.impossible(capability)):
        return f"{IMPOSSIBLE}{why}"
    if need == "no-interfaces":
        return (
            "needs a cluster without interfaces: the controller cannot remove addresses, and the "
            "profile has no [variants.no-interfaces]"
        )
    return f"needs a controller with the capability {need}; the target's controller is {kind!r}"


def variants_of(needs: tuple[str, ...]) -> frozenset[str]:
    """The variants that a case with these needs uses, if the profile has them."""
    by_name = {need.removeprefix(_VARIANT) for need in needs if need.startswith(_VARIANT)}
    return frozenset(by_name | {_VARIANT_FOR[need] for need in needs if need in _VARIANT_FOR})


def registrations_needed(needs: tuple[str, ...]) -> int:
    """How many registrations a case holds at the same time by its needs; 0 when they do not say so."""
    counts = [need.removeprefix(_REGISTRATIONS) for need in needs if need.startswith(_REGISTRATIONS)]
    return max((int(count) for count in counts if count.isdecimal()), default=0)


def _not_confirmed(confirmed: bool | None, flag: str) -> str | None:
    return f"the target does not confirm {flag}" if confirmed is False else None


def _nodes(profile: Profile) -> int:
    return len(profile.nodes) or int((profile.embedded or {}).get("nodes", 3))
