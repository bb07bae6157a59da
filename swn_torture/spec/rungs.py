"""The ladder of capabilities: in what order a new witness server gets them, and what each builds on.

A *rung* is one capability. Every requirement that a server can violate belongs to one rung, by its section;
every case belongs to one, by its requirements, its needs and its parameters. A case on a rung can only be
judged if what the rung builds on works.

    >>> from swn_torture.spec.rungs import rung_of_case
    >>> rung_of_case("rpc.register.null-name[ndr64-register-net_name]", ("SWN-3.1.4.2-null-netname",)).id
    'register'
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Rung:
    """One capability of a witness server.

    Attributes:
        id: its name on the command line and in files: ``register-ex``.
        title: its name in reports: ``RegisterEx``.
        text: what a server on this rung can do, in one sentence.
        builds_on: ids of the rungs without which no case of this one can be judged.
    """

    id: str
    title: str
    text: str
    builds_on: tuple[str, ...] = ()


#: Every rung, lowest first. A rung builds on lower ones only.
RUNGS: tuple[Rung, ...] = (
    Rung("reachable", "Reachable", "A node accepts a TCP connection and answers on it."),
    Rung(
        "endpoint-mapper",
        "Endpoint mapper",
        "The endpoint mapper of every node returns the TCP port of its witness endpoint.",
        ("reachable",),
    ),
    Rung(
        "bind",
        "Bind and transfer syntaxes",
        "A bind to the witness interface is accepted, with NDR 2.0 and perhaps NDR64.",
        ("reachable",),
    ),
    Rung(
        "security",
        "Security",
        "Callers authenticate; calls without authentication or protection are rejected.",
        ("bind",),
    ),
    Rung("interface-list", "GetInterfaceList", "The interfaces of the cluster are listed.", ("bind",)),
    Rung(
        "calls",
        "Calls and PDUs",
        "PDUs, call_ids, fragments and faults are those of MS-RPCE and C706, whatever is called.",
        ("bind",),
    ),
    Rung(
        "register",
        "Register",
        "Register makes a registration, or returns the right error.",
        ("interface-list",),
    ),
    Rung("register-ex", "RegisterEx", "The same for RegisterEx (version 2).", ("interface-list",)),
    Rung(
        "unregister",
        "UnRegister",
        "UnRegister and UnRegisterEx remove a registration; handles that are not valid are rejected.",
        ("register",),
    ),
    Rung(
        "async-notify",
        "AsyncNotify with time-out",
        "AsyncNotify stays pending until KeepAliveTimeout is over; unused registrations are removed.",
        ("register",),
    ),
    Rung(
        "state-changes",
        "State changes",
        "Clients are notified of an interface that becomes UNAVAILABLE or AVAILABLE.",
        ("async-notify",),
    ),
    Rung(
        "moves",
        "Moves",
        "Clients are notified that they must move, all of a client or those of a share.",
        ("async-notify",),
    ),
    Rung(
        "ip-changes",
        "IP changes",
        "Clients that registered for it are notified of new and removed addresses.",
        ("async-notify", "register-ex"),
    ),
    Rung(
        "node-failures",
        "Node failures",
        "The other nodes notify clients of a node that fails; a restarted node is usable again.",
        ("state-changes",),
    ),
    Rung(
        "several-nodes",
        "Several nodes agree",
        "Every node lists the interfaces of all nodes, and takes registrations for them.",
        ("interface-list",),
    ),
)

BY_ID: Mapping[str, Rung] = {rung.id: rung for rung in RUNGS}

_ORDER = {rung.id: number for number, rung in enumerate(RUNGS)}

#: The rung of a requirement by its id: the lowest on which it can be judged. The first pattern counts.
_REQUIREMENTS: tuple[tuple[str, str], ...] = (
    (r"RPC-EPM", "endpoint-mapper"),
    (r"RPC-AUTH-level-of-response-to-pending", "async-notify"),
    (r"RPC-(AUTH|VT)", "security"),
    (r"SWN-(2\.1-(any-user|caller|method)|3\.1\.4-(enforce|access|denied)|5\.1|B3-)", "security"),
    (r"RPC-(BIND|BTF|XFER|IF|ALTER|ASSOC|CTX-|CTXID|REQ-before|CALLID-bind)", "bind"),
    (r"SWN-(1\.5|1\.9|2\.1)-", "bind"),
    # Only the requests of Register and RegisterEx have parameters of any length.
    (r"RPC-(FRAG-(request$|mixed)|FAULT-early|CONNECTION|NDR-drep)", "calls"),
    (r"RPC-STUB-(empty|extra)", "async-notify"),  # every method is called
    (r"RPC-STUB", "register"),
    (r"RPC-CTXH-rundown-pending", "async-notify"),
    (r"RPC-CTXH-null-out", "register"),
    (r"RPC-CTXH", "unregister"),
    (r"RPC-(CANCEL|ORPHAN|MPX-(parallel|out|not|many)|CONN-|NDR-return)", "async-notify"),
    (r"RPC-NDR", "interface-list"),
    (r"RPC-", "calls"),
    (r"SWN-(V14-)?3\.1\.4-opnum-0", "interface-list"),
    (r"SWN-3\.1\.4-opnum-1|SWN-1\.7-version-1", "register"),
    (r"SWN-3\.1\.4-opnum-2", "unregister"),
    (r"SWN-3\.1\.4-opnum-3", "async-notify"),
    (r"SWN-3\.1\.4-(opnum-4|registerex)|SWN-1\.7-version-2|SWN-B2-", "register-ex"),
    (r"SWN-1\.8", "interface-list"),
    (r"SWN-2\.2-|SWN-2\.2\.2-others|SWN-2\.2\.2\.[56]", "interface-list"),
    (r"SWN-2\.2\.1\.3|SWN-6-idl-(no-handle|keepalive)", "async-notify"),
    (r"SWN-2\.2\.1\.1-for-unregister", "unregister"),
    (r"SWN-2\.2\.1|SWN-6-idl", "register"),
    (r"SWN-2\.2\.2\.[12]|SWN-B1-", "moves"),
    (r"SWN-2\.2\.2\.3", "state-changes"),
    (r"SWN-2\.2\.2", "async-notify"),
    (r"SWN-3\.1\.1\.[12]", "interface-list"),
    (r"SWN-3\.1\.1\.3-(key|properties)|SWN-3\.1\.1-", "register"),
    (r"SWN-3\.1\.1\.(3-pending-changes|4)", "state-changes"),
    (r"SWN-3\.1\.1\.(3-pending-move|5)", "moves"),
    (r"SWN-3\.1\.1|SWN-3\.1\.2", "async-notify"),
    (r"SWN-3\.1\.3-version", "interface-list"),
    (r"SWN-3\.1\.3-global-name", "register"),
    (r"SWN-3\.1\.3", "node-failures"),
    (r"SWN-3\.1\.4\.1-wait", "state-changes"),
    (r"SWN-3\.1\.4\.1", "interface-list"),
    (r"SWN-3\.1\.4\.2", "register"),
    (r"SWN-3\.1\.4\.5|SWN-B6-", "register-ex"),
    (r"SWN-(V14-)?3\.1\.4\.[36]|SWN-B4-|SWN-V14-B[35]-", "unregister"),
    (r"SWN-3\.1\.4\.4-(change|processed-removed-changes)", "state-changes"),
    (r"SWN-3\.1\.4\.4-(ip|wakes-on-ip|processed-removed-ip)", "ip-changes"),
    (r"SWN-3\.1\.4\.4-(move|share|wakes-on-share|processed-removed)", "moves"),
    (r"SWN-3\.1\.4\.4|SWN-3\.1\.5|SWN-B5-", "async-notify"),
    (r"SWN-(V14-)?3\.1\.6\.1|SWN-4\.1", "state-changes"),
    (r"SWN-3\.1\.6\.[23]", "moves"),
    (r"SWN-3\.1\.6\.4", "ip-changes"),
    (r"SWN-3\.1\.6\.5", "unregister"),
)

#: The rung that a case needs at least, by its need.
_NEEDS: Mapping[str, str] = {
    "version-2": "register-ex",
    "multiplexing": "async-notify",  # it shows while a call is pending
    "force-response": "async-notify",
    "interface-event": "state-changes",
    "interface-state": "state-changes",
    "unknown-state": "state-changes",
    "no-interfaces": "state-changes",
    "move-client": "moves",
    "move-share": "moves",
    "move-address": "ip-changes",
    "force-unregister": "async-notify",
    "change-address": "ip-changes",
    "spare-address": "ip-changes",
    "disable-node": "node-failures",
    "fail-crash": "node-failures",
    "fail-power-off": "node-failures",
    "fail-partition": "node-failures",
    "fail-link-down": "node-failures",
    "fail-hang": "node-failures",
    "fail-hang-service": "node-failures",
    "fail-kill-worker": "node-failures",
    "fail-ban": "node-failures",
    "fail-stop": "node-failures",
    "restart-service": "node-failures",
}

#: Needs of cases that compare nodes, unless the case is about an event.
_COMPARE = frozenset({"two-nodes", "three-nodes"})

#: The rung that the cases of a module need at least, where their requirements alone do not say so.
_MODULES: Mapping[str, str] = {
    "ndr.response-layout": "async-notify",
    "ndr.notification-buffers": "async-notify",
    "cluster.keep-alive": "async-notify",
    "cluster.unused-registrations": "async-notify",
    "cluster.node-failure": "node-failures",
    "rpc.unregister": "unregister",
}

#: The rung of the method that a parameter of a case names.
_METHODS: Mapping[str, str] = {
    "get-interface-list": "interface-list",
    "register-ex": "register-ex",
    "register": "register",
    "unregister-ex": "unregister",
    "unregister": "unregister",
    "async-notify": "async-notify",
}
_METHOD = re.compile(rf"(?<![\w-])(?:\w+-)*?({'|'.join(_METHODS)})(?![\w])")
_REGISTERING = ("register", "register-ex")


@functools.cache
def rung_of_requirement(requirement: str) -> Rung | None:
    """The rung on which a requirement is judged first; None for an id that binds clients only, or unknown.

    Args:
        requirement: catalogue id.
    """
    return next((BY_ID[rung] for pattern, rung in _REQUIREMENTS if re.match(pattern, requirement)), None)


def holds_for_every_method(requirement: str) -> bool:
    """Whether a requirement is on the return value of every method: then it is violated where that is seen.

    Args:
        requirement: catalogue id.
    """
    return requirement.startswith("SWN-1.8-")


def requirements_of(case_id: str, requirements: Iterable[str]) -> tuple[str, ...]:
    """The requirements that a case with these parameters is about: an opnum selects those with that opnum.

    Args:
        case_id: its id with parameters.
        requirements: catalogue ids that its mark names, for all parameters.
    """
    _, _, parameters = case_id.rstrip("]").partition("[")
    opnums = tuple(f"-opnum-{each}" for each in parameters.split("-"))
    names = tuple(requirements)
    return tuple(name for name in names if name.endswith(opnums)) or names


def rungs_used(case_id: str, requirements: Iterable[str], needs: Iterable[str] = ()) -> frozenset[str]:
    """Ids of the rungs that a case uses; the highest is the one that it belongs to.

    A case that registers with a method named by a parameter is about that method, although its mark names the
    requirements of both.

    Args:
        case_id: its id with parameters.
        requirements: catalogue ids that it checks.
        needs: what it needs of the target, by the names in ``casekit.needs``.
    """
    base, _, parameters = case_id.rstrip("]").partition("[")
    about = [
        each for each in map(rung_of_requirement, requirements_of(case_id, requirements)) if each is not None
    ]
    used = {rung.id for rung in about}
    method = _METHOD.search(parameters)
    if method is not None:
        used = (used - {*_REGISTERING}) | {_METHODS[method[1]]}
    required = {*needs}
    used |= {_NEEDS[need] for need in required if need in _NEEDS}
    module = base.rpartition(".")[0]
    if module in _MODULES:
        used.add(_MODULES[module])
    if required & _COMPARE and all(_ORDER[rung] < _ORDER["state-changes"] for rung in used):
        used.add("several-nodes")
    return frozenset(used or {"bind"})


def rung_of_case(case_id: str, requirements: Iterable[str], needs: Iterable[str] = ()) -> Rung:
    """The one rung that a case belongs to: the highest that it uses.

    Args:
        case_id: its id with parameters.
        requirements: catalogue ids that it checks.
        needs: what it needs of the target, by the names in ``casekit.needs``.
    """
    return BY_ID[max(rungs_used(case_id, requirements, needs), key=_ORDER.__getitem__)]


@functools.cache
def below(rung: str) -> frozenset[str]:
    """Ids of all rungs that a rung builds on, directly or not.

    Args:
        rung: id of a rung.

    Raises:
        KeyError: there is no rung of that name.
    """
    direct = BY_ID[rung].builds_on
    return frozenset(direct).union(*(below(each) for each in direct))


def is_up_to(rung: str, highest: str) -> bool:
    """Whether a rung is not higher on the ladder than another one.

    Args:
        rung: id of a rung.
        highest: id of the other one.
    """
    return _ORDER[rung] <= _ORDER[highest]


def height(rung: str) -> int:
    """The place of a rung on the ladder; 0 is the lowest.

    Args:
        rung: id of a rung.
    """
    return _ORDER[rung]
