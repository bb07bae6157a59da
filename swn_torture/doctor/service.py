"""The witness service of a node: binds, authentication, interface list, methods; whether the nodes agree."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from swn_torture.casekit.facts import CONNECTIONS, FRAGMENTS, SEGMENTS, SERVICES
from swn_torture.dcerpc.pdu.header import PfcFlags
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.doctor.clocks import LARGEST_S, challenge_fields, clock_of
from swn_torture.harness.preflight.framing import FramingProbe, register_of
from swn_torture.harness.preflight.logon import Attempt, knows_service, log_on
from swn_torture.harness.preflight.methods import opener, probe_methods
from swn_torture.harness.preflight.nodes import interfaces_of
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.witness.constants import WITNESS, Opnum

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from swn_torture.casekit.facts import InterfaceFacts
    from swn_torture.doctor.links import Links
    from swn_torture.harness.preflight.patience import Patience
    from swn_torture.target import NodeAddress, Profile

_SYNTAXES = {"NDR32": NDR32, "NDR64": NDR64}


@dataclass(slots=True)
class Service:
    """What the witness service of a node has shown.

    Attributes:
        node: the node.
        port: TCP port of its witness endpoint.
        interfaces: its interface list; None when it is not known.
        logon: authentication service and level that it serves; None when there is none.
        attempt: the attempt that it served.
        unserved: how calls end although a bind is accepted and no caller is rejected; else empty.
    """

    node: NodeAddress
    port: int
    interfaces: tuple[InterfaceFacts, ...] | None = None
    logon: tuple[AuthType, AuthLevel] | None = None
    attempt: Attempt | None = field(default=None, repr=False)
    unserved: str = ""


async def check_service(
    profile: Profile, node: NodeAddress, port: int, patience: Patience, links: Links
) -> Service:
    """Call the witness service of a node in every way that a run needs."""
    service = Service(node, port)
    if not await _check_binds(service, profile, patience, links):
        links.not_checked("authentication", "no bind is accepted", node.name)
        links.not_checked("interface list", "no bind is accepted", node.name)
        return service
    if profile.account.anonymous:
        await _check_plain(service, profile, patience, links)
    else:
        await _check_logons(service, profile, patience, links)
    _check_list(service, links)
    _check_clock(service, links)
    return service


async def _check_binds(service: Service, profile: Profile, patience: Patience, links: Links) -> bool:
    """Bind in each transfer syntax, without authentication if the server accepts that."""
    accepted = False
    for name, syntax in _SYNTAXES.items():
        offer: dict[str, Any] = {"transfer": (syntax,), "call": False}
        attempt = await _log_on(service, profile, AuthType.NTLM, AuthLevel.NONE, patience, **offer)
        for kind in () if attempt.bound else profile.account.services:
            # Nothing demands that a server accepts a bind without authentication.
            other = await _log_on(service, profile, kind, AuthLevel.INTEGRITY, patience, **offer)
            attempt = other if other.bound else attempt
        if attempt.bound is not None:
            links.ok(f"bind with {name}", "accepted", service.node.name)
            accepted = True
        elif attempt.unanswered and not attempt.closed and not accepted:
            mute = f"TCP port {service.port} accepts a connection, and sends nothing: {attempt.answer}"
            links.broken("answer of the witness endpoint", mute, _MEND_MUTE, service.node.name)
            break  # another bind would end in the same way
        elif name == "NDR64":
            links.note("bind with NDR64", f"{attempt.answer}; NDR64 is optional", where=service.node.name)
        else:
            links.broken(f"bind with {name}", attempt.answer, _mend_bind(attempt, profile), service.node.name)
    return accepted


_MEND_MUTE = (
    "see whether the process that listens there hangs, and whether it is the witness service: it must answer "
    "a DCE/RPC bind"
)


def _mend_bind(attempt: Attempt, profile: Profile) -> str:
    if attempt.unknown_interface:
        return (
            "the server at this port does not know the witness interface "
            f"({WITNESS.uuid} version {WITNESS.major}.{WITNESS.minor}): correct the port, or register it"
        )
    if attempt.closed and profile.account.anonymous:
        return (
            'give username, password and domain in [account] instead of auth = "none", if the server demands '
            "authentication; if not, look for the reason in its log"
        )
    if attempt.closed:
        return "answer a bind, with a sec_trailer or without; look for the reason in the log of the server"
    return "accept the witness interface with NDR 2.0; look for the reason in the log of the server"


async def _check_plain(service: Service, profile: Profile, patience: Patience, links: Links) -> None:
    attempt = await _log_on(service, profile, AuthType.NTLM, AuthLevel.NONE, patience)
    if attempt.verdict == "served":
        service.attempt, service.logon = attempt, (AuthType.NTLM, AuthLevel.NONE)
        links.ok("call without authentication", f"served: {attempt.answer}", service.node.name)
        return
    mend = 'give username, password and domain in [account] instead of auth = "none"'
    if attempt.verdict != "denied":
        service.unserved = attempt.answer if attempt.bound else ""
        mend = f"answer GetInterfaceList (opnum {Opnum.GET_INTERFACE_LIST.value})"
    links.broken("call without authentication", attempt.answer, mend, service.node.name)


async def _check_logons(service: Service, profile: Profile, patience: Patience, links: Links) -> None:
    """Log on with each authentication service; one that is served will do."""
    where = service.node.name
    answers: dict[AuthType, Attempt] = {}
    for kind in profile.account.services:
        attempt = await _log_on(service, profile, kind, AuthLevel.INTEGRITY, patience)
        level = AuthLevel.INTEGRITY
        if attempt.verdict == "denied" and attempt.offered and not answers:
            attempt, level = (
                await _log_on(service, profile, kind, AuthLevel.PRIVACY, patience),
                AuthLevel.PRIVACY,
            )
        answers[kind] = attempt
        if attempt.verdict == "served":
            links.ok(kind.name, f"served at PKT_{level.name}: {attempt.answer}", where)
            service.attempt = service.attempt or attempt
            service.logon = service.logon or (kind, level)
        elif attempt.offered is False:
            links.note(kind.name, f"not offered ({attempt.answer}); it is optional", where=where)
        else:
            links.note(kind.name, attempt.answer, where=where)
        if attempt.rejects_account:
            break  # more logons with a wrong password could lock the account
    for other in SERVICES:
        why = profile.account.why_not(other)
        if why:
            known = await knows_service(service.node, service.port, other, patience.timeout)
            text = {True: "offered", False: "not offered", None: "no answer"}[known]
            links.note(other.name, f"{text}; {why}" if profile.account.has_tickets else text, where=where)
    if service.logon is None:
        calls = [each for each in answers.values() if each.bound is not None]
        rejected = any(each.rejects_account for each in answers.values())
        service.unserved = calls[0].answer if calls and not rejected else ""
        if service.unserved and await _check_unserved(service, profile, calls[0], patience, links):
            return
        text = "; ".join(f"{kind.name}: {each.answer}" for kind, each in answers.items())
        links.broken("authentication", text, _mend_logon(profile, [*answers.values()]), where)


async def _check_unserved(
    service: Service, profile: Profile, attempt: Attempt, patience: Patience, links: Links
) -> bool:
    """Whether it is not the authentication that ends the calls: a call without any ends so, too."""
    plain = await _log_on(service, profile, AuthType.NTLM, AuthLevel.NONE, patience)
    if plain.bound is None or plain.verdict not in {"silent", "failed"}:
        return False
    opnum = Opnum.GET_INTERFACE_LIST
    text = (
        f"{opnum.method} (opnum {opnum.value}) with authentication: {attempt.answer}; without: {plain.answer}"
    )
    links.not_checked("authentication", "a call without it is not served either", service.node.name)
    mend = (
        f"answer {opnum.method} (opnum {opnum.value}): it has no parameters, and every client calls it first"
    )
    links.broken("interface list", text, mend, service.node.name)
    return True


def _mend_logon(profile: Profile, attempts: Sequence[Attempt]) -> str:
    if all(each.offered is False or each.token_ignored for each in attempts):
        return (
            'the server knows no authentication service yet: write auth = "none" in [account], and the run '
            "judges what it can at level none"
        )
    if any(each.rejects_account for each in attempts):
        account = profile.account
        who = f"{account.domain}\\{account.username}" if account.domain else account.username
        return f"correct username, password and domain of {who} in [account], or allow it to use the cluster"
    return "look for the reason in the log of the server: the account is not rejected"


def _check_list(service: Service, links: Links) -> None:
    where, attempt = service.node.name, service.attempt
    if attempt is None:
        if all((each.name, each.where) != ("interface list", where) for each in links):
            links.not_checked("interface list", "no call is served", where)
        return
    if attempt.listed is None:
        text = f"the response does not decode: {attempt.answer}"
        links.broken("interface list", text, "encode the response as MS-SWN 2.2.2.6 says", where)
        return
    service.interfaces = interfaces_of(attempt.listed)
    listed = service.interfaces or ()
    text = ", ".join(f"{each.group} {'/'.join(each.addresses)} {each.state}" for each in listed) or "empty"
    if any(each.state == "AVAILABLE" for each in listed):
        links.ok("interface list", text, where)
    else:
        mend = "bring the addresses of the cluster up: no client can register while no interface is AVAILABLE"
        links.broken("interface list", f"{attempt.answer}: {text}", mend, where)


def _check_clock(service: Service, links: Links) -> None:
    attempt = service.attempt
    clock = clock_of(challenge_fields(attempt.transcript if attempt else None))
    if clock is None:
        links.not_checked("clock", "no NTLM challenge says the time of the node", service.node.name)
        return
    apart = (clock - dt.datetime.now(dt.UTC)).total_seconds()
    text = f"{abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} this machine"
    if abs(apart) <= LARGEST_S:
        links.ok("clock", text, service.node.name)
    else:
        mend = "set the clocks (NTP): Kerberos rejects more than 300 s, and log files do not match"
        links.note("clock", text, mend, service.node.name)


_MEND_FRAMING = {
    SEGMENTS: "collect octets until frag_length of them are there; those after them begin the next PDU",
    CONNECTIONS: "serve each connection by itself: an idle client must not keep the others waiting",
    FRAGMENTS: "collect the fragments of a request until one has PFC_LAST_FRAG",
}


async def check_methods(service: Service, profile: Profile, patience: Patience, links: Links) -> None:
    """Call each method once in an ordinary way."""
    if service.logon is None:
        links.not_checked("methods", "no call is served", service.node.name)
        return
    usable = [each for each in service.interfaces or () if each.state == "AVAILABLE" and each.addresses]
    address = usable[0].addresses[0] if usable else None
    bound = service.attempt.bound if service.attempt else None
    connect = opener(profile, service.node, service.port, service.logon, patience)
    register = None if address is None else register_of(profile.net_name, address)
    multiplexing = bound is not None and bool(bound.bind_ack.flags & PfcFlags.CONC_MPX)
    probe = FramingProbe(service.node, service.port, connect, patience)
    framed = await probe.run(register, multiplexing=multiplexing)
    for framing in framed:
        text = f"{framing.how}: {framing.outcome}, which violates {framing.requirement}"
        name = "several connections" if framing.requirement == CONNECTIONS else "requests in parts"
        links.note(name, text, _MEND_FRAMING[framing.requirement], service.node.name)
    if any(framing.together for framing in framed):
        links.not_checked("methods", "the server loses requests: no outcome says anything", service.node.name)
        return
    tried = await probe_methods(
        profile,
        service.node,
        connect,
        address,
        patience,
        version_2=profile.expect.version >= 2,
        ndr64=bound is not None and NDR64 in bound.accepted.values(),
    )
    for each in tried:
        name, answer = f"{each.opnum.method} (opnum {each.opnum.value})", str(each.outcome)
        if each.broken:
            mend = "implement the method, or answer it; the cases that depend on it are not run"
            if each.lists_wrongly:
                mend = "write each element of the list as MS-SWN 2.2.2.5 and NDR say, with all its padding"
            links.note(name, f"{each.observed}, which violates {each.requirement}", mend, service.node.name)
        elif each.opnum in {Opnum.REGISTER, Opnum.REGISTER_EX} and each.valid and each.outcome.code:
            mend = f"check that clients use the NetName {profile.net_name!r}: net_name in the profile"
            links.broken(name, f"{answer} for the NetName {profile.net_name!r}", mend, service.node.name)
        else:
            answer = "pending" if each.outcome.kind == "silence" else answer
            links.ok(name, answer, service.node.name)


def check_agreement(services: Sequence[Service], links: Links) -> None:
    """Whether all nodes list the same interfaces with the same states."""
    known = {each.node.name: _seen(each) for each in services if each.interfaces is not None}
    if len(known) < 2:
        links.not_checked("nodes agree", "fewer than two interface lists are known")
        return
    if len({*known.values()}) == 1:
        links.ok("nodes agree", f"{', '.join(known)} list the same interfaces")
        return
    text = "; ".join(f"{name} lists {_shown(seen)}" for name, seen in known.items())
    links.note("nodes agree", text, "wait until the cluster is stable, or look for the reason on these nodes")


Seen = frozenset[tuple[str, tuple[str, ...], str]]


def _seen(service: Service) -> Seen:
    return frozenset((each.group, each.addresses, each.state) for each in service.interfaces or ())


def _shown(seen: Seen) -> str:
    return ", ".join(f"{group} {'/'.join(addresses)} {state}" for group, addresses, state in sorted(seen))


async def _log_on(
    service: Service, profile: Profile, kind: AuthType, level: AuthLevel, patience: Patience, **more: Any
) -> Attempt:
    return await log_on(profile, service.node, service.port, kind, level, patience.timeout, **more)


def names_in_challenge(service: Service) -> Mapping[int, bytes]:
    """The AV pairs of the NTLM challenge of the attempt that was served."""
    return challenge_fields(service.attempt.transcript if service.attempt else None)
