"""Asks a server for what a profile says about it, and writes a commented profile."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from swn_torture.account import Account
from swn_torture.casekit.witness import credentials_of
from swn_torture.dcerpc.errors import RpcError
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.doctor.clocks import DNS_COMPUTER, NB_COMPUTER, text_field
from swn_torture.doctor.links import Links
from swn_torture.doctor.network import check_mapper, check_name, check_port, check_reachable, knock
from swn_torture.doctor.service import check_service, names_in_challenge
from swn_torture.harness.preflight.logon import log_on
from swn_torture.harness.preflight.mapping import mapped_port
from swn_torture.harness.preflight.nodes import interfaces_of
from swn_torture.harness.preflight.patience import Patience
from swn_torture.harness.preflight.shares import STYPE_CLUSTER_SOFS, ask_shares
from swn_torture.stubdata.win32 import Win32, describe
from swn_torture.target import ExpectedShare, NodeAddress, Profile
from swn_torture.witness.client import connect
from swn_torture.witness.codec import DecodeError
from swn_torture.witness.constants import ProtocolVersion
from swn_torture.witness.messages import RegisterRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from swn_torture.casekit.facts import InterfaceFacts
    from swn_torture.doctor.service import Service

#: Seconds for each step.
_STEP_S = 5.0

#: STYPE_DISKTREE is 0 in the low bits of a share type (MS-SRVS 2.2.2.4).
_TYPE = 0x0FFFFFFF & ~0x0E000000

_CONTROLLER = """\
# What changes the cluster, so that there are events. Without a controller, all cases that need no event run,
# and the others are listed as not tested. fixtures/profiles/TEMPLATE.toml has an example of each kind.
[controller]
kind = "none"
"""


class NotAsked(Exception):  # noqa: N818 - named for what it reports
    """The server cannot be asked; the text is the first broken link, and how to mend it."""


#: How to mend a link where `doctor` names keys of the profile.
_MEND = {
    "name resolution": "give an IP address, or add the name to DNS or /etc/hosts",
    "reachable": "check the address, the route to it, and the firewalls on the way",
    "endpoint mapper": "start the endpoint mapper and the witness service, or give --endpoint-mapper-port; "
    "if the port of the witness endpoint is fixed, give it with --port",
    "witness endpoint": "start the witness service; if --port names its port, correct or leave out --port",
}


def _one_group(nodes: Sequence[NodeAddress]) -> str:
    names = ", ".join(node.name for node in nodes)
    return (
        f"Interfaces of several nodes have the same group name, so that {names} are no names of the cluster. "
        "A controller needs those."
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """What a server has shown.

    Attributes:
        profile: the profile, as `swn_torture.target.load_profile` would read it.
        notes: what the user must know: a name that is not confirmed, nodes that do not answer.
        unreachable: interfaces whose nodes do not answer: group name and an address.
        register: how Register ended for the NetName of the profile.
    """

    profile: Profile
    notes: tuple[str, ...] = ()
    unreachable: tuple[tuple[str, str], ...] = ()
    register: str = ""
    links: Links = field(default_factory=Links, repr=False)

    @property
    def confirmed(self) -> bool:
        """Whether Register accepted the NetName of the profile."""
        return self.register == describe(Win32.ERROR_SUCCESS)


async def ask_server(node: NodeAddress, account: Account, net_name: str = "") -> Asked:
    """Ask a server for its nodes, its names, its version and its shares.

    Args:
        node: its address and ports; the name does not matter.
        account: the account to call with, or one with ``auth = "none"``.
        net_name: the NetName of the cluster; empty to try the names that the server says.

    Raises:
        NotAsked: it does not answer, or rejects the account.
    """
    patience = Patience(step=_STEP_S, budget=60.0)
    links = Links()
    profile = Profile(name="new", net_name=net_name or "SWN-TORTURE", account=account, nodes=(node,))
    service = await _reach(profile, patience, links)
    if service is None or service.logon is None:
        if not account.anonymous and _knows_no_service(links):
            anonymous = Account("", "", "", "none")
            asked = await ask_server(node, anonymous, net_name)
            note = 'The server knows no authentication service: the profile says auth = "none".'
            return replace(asked, notes=(note, *asked.notes))
        if service is None or not service.unserved:
            raise NotAsked(_first(links, account))
    nodes, unreachable = await _nodes(profile, service, node, patience)
    names = [net_name] if net_name else _names(service, node)
    name, register = await _net_name(service, profile, names, patience)
    versions = {each.version for each in service.interfaces or ()}
    version = 1 if versions == {ProtocolVersion.V1} else 2
    server, listed = await asyncio.to_thread(_shares, profile, node)
    profile = replace(
        profile,
        name=re.sub(r"[^a-z0-9.-]+", "-", name.lower()).strip("-") or "new",
        title=server,
        net_name=name,
        nodes=nodes,
        expect=replace(profile.expect, version=version, shares=listed),
    )
    notes = _notes(profile, service, register, unreachable, given=bool(net_name))
    if len({each.group for each in service.interfaces or ()}) < len(nodes):
        notes = [*notes, _one_group(nodes)]
    return Asked(profile, tuple(notes), unreachable, register, links)


def _shares(profile: Profile, node: NodeAddress) -> tuple[str, tuple[ExpectedShare, ...]]:
    """The product of a node by its server service, and its disk shares."""
    shares = ask_shares(profile, node)
    listed = tuple(
        ExpectedShare(share, scale_out=bool(kind & STYPE_CLUSTER_SOFS))
        for share, kind in (shares.types or {}).items()
        if not share.endswith("$") and not kind & _TYPE
    )
    if not listed:
        return shares.server, ()
    # NetrShareEnum clears the bits for clusters (MS-SRVS 3.1.4.8); TREE_CONNECT of SMB 3 has them.
    again = ask_shares(replace(profile, expect=replace(profile.expect, shares=listed)), node)
    return shares.server, tuple(
        replace(share, scale_out=again.scale_out.get(share.name, share.scale_out)) for share in listed
    )


async def _reach(profile: Profile, patience: Patience, links: Links) -> Service | None:
    node = profile.nodes[0]
    if not await check_name(node, links) or not await check_reachable(node, links):
        return None
    port = await check_mapper(node, patience, links)
    if port is None or not await check_port(node, port, links):
        return None
    return await check_service(profile, node, port, patience, links)


def _knows_no_service(links: Links) -> bool:
    return any('auth = "none"' in link.mend for link in links if link.name == "authentication")


def _first(links: Links, account: Account) -> str:
    """The first broken link, and how to mend it on the command line: there is no profile yet."""
    broken = links.first_broken
    assert broken is not None
    mend = broken.mend
    if broken.name in _MEND:
        mend = _MEND[broken.name]
    elif "[account]" in mend and account.anonymous:
        mend = "the server was called without authentication: add -U 'DOMAIN\\user%secret'"
    elif "[account]" in mend:
        mend = "correct domain, user and password of -U, or allow this account to use the cluster"
    return f"{broken.name}: {broken.text}. To mend it: {mend}."


async def _nodes(
    profile: Profile, service: Service, first: NodeAddress, patience: Patience
) -> tuple[tuple[NodeAddress, ...], tuple[tuple[str, str], ...]]:
    """The nodes by the interface list: the one that was asked, and those of the other interfaces.

    The interfaces without INTERFACE_WITNESS are those of the node that lists them (MS-SWN 3.1.4.1), so that
    each node says which other addresses are its own. The name of a node is the group name of its interfaces,
    unless other nodes have the same one.
    """
    listed = service.interfaces or ()
    of_node = [{first.address, *_own_addresses(listed)}]
    nodes, silent = [first], []
    family = ":" in first.address
    for interface in sorted(listed, key=lambda each: _other_family(each, family=family)):
        if any(known.intersection(interface.addresses) for known in of_node):
            continue
        for address in sorted(interface.addresses, key=lambda each: (":" in each) != family):
            other = replace(first, address=address)
            port = await _port_of(other, patience)
            if port is not None:
                of_node.append({*interface.addresses, *await _own(profile, service, other, port, patience)})
                nodes.append(other)
                break
        else:
            silent.append(interface)
    named = tuple(
        replace(node, name=_node_name(listed, own) or f"node{number}")
        for number, (node, own) in enumerate(zip(nodes, of_node, strict=True), 1)
    )
    unreachable = tuple(
        (each.group, each.addresses[0] if each.addresses else "no address")
        for each in silent
        if not any(known.intersection(each.addresses) for known in of_node)
    )
    return named, unreachable


def _other_family(interface: InterfaceFacts, *, family: bool) -> bool:
    return all((":" in address) != family for address in interface.addresses)


def _own_addresses(listed: Iterable[InterfaceFacts]) -> set[str]:
    return {address for each in listed if each.own for address in each.addresses}


async def _own(
    profile: Profile, service: Service, node: NodeAddress, port: int, patience: Patience
) -> set[str]:
    """The addresses that a node lists as its own; empty if it does not list its interfaces."""
    if service.logon is None:
        return set()
    attempt = await log_on(profile, node, port, *service.logon, patience.timeout)
    return set() if attempt.listed is None else _own_addresses(interfaces_of(attempt.listed) or ())


def _node_name(listed: Sequence[InterfaceFacts], own: set[str]) -> str:
    """The group name that the interfaces with these addresses have and no others; empty if there is none."""
    groups = {each.group for each in listed if own.intersection(each.addresses)}
    others = {each.group for each in listed if not own.intersection(each.addresses)}
    return groups.pop() if len(groups) == 1 and not groups & others else ""


async def _port_of(node: NodeAddress, patience: Patience) -> int | None:
    """The TCP port of the witness endpoint of a node that answers."""
    if node.port is not None:
        return None if await knock(node.address, node.port) else node.port
    return (await mapped_port(node, patience)).port


def _names(service: Service, node: NodeAddress) -> list[str]:
    """Names that may be the NetName of the cluster: those that the server says, then its address."""
    fields = names_in_challenge(service)
    said = [text_field(fields, av_id) for av_id in (NB_COMPUTER, DNS_COMPUTER)]
    said += [name.partition(".")[0] for name in said]
    groups = [each.group for each in service.interfaces or ()]
    return list(dict.fromkeys(name for name in (*said, node.address, *groups) if name))


async def _net_name(
    service: Service, profile: Profile, names: list[str], patience: Patience
) -> tuple[str, str]:
    """The first name that Register accepts, and how the Register ended; the first name if it accepts none."""
    usable = [each for each in service.interfaces or () if each.state == "AVAILABLE" and each.addresses]
    if service.logon is None:
        return names[0], "not tried: no call is served"
    if not usable:
        return names[0], "not tried: no interface is AVAILABLE"
    kind, level = service.logon
    credentials = None if level == AuthLevel.NONE else credentials_of(profile.account)
    answers = []
    for name in names:
        try:
            client = await connect(
                service.node.address,
                service.port,
                credentials=credentials,
                auth_type=kind,
                level=level,
                net_name=profile.spn_host or name,
                timeout=patience.timeout,
            )
            async with client:
                request = RegisterRequest(ProtocolVersion.V1, name, usable[0].addresses[0], "SWN-TORTURE")
                answer = await client.send(request, timeout=patience.timeout)
        except (RpcError, DecodeError) as problem:
            return names[0], str(problem)
        if answer.result == Win32.ERROR_SUCCESS:
            return name, describe(answer.result)
        answers.append(f"{name}: {describe(answer.result)}")
    return names[0], "; ".join(answers)


def _notes(
    profile: Profile,
    service: Service,
    register: str,
    unreachable: tuple[tuple[str, str], ...],
    *,
    given: bool,
) -> list[str]:
    notes = []
    if service.unserved:
        notes.append(
            f"GetInterfaceList ended so: {service.unserved}. The profile has the node that you named; the "
            "server could not be asked for other nodes and its version."
        )
    if register != describe(Win32.ERROR_SUCCESS):
        wrong = not given or register.endswith(describe(Win32.ERROR_INVALID_PARAMETER))
        mend = " Give it with --net-name, or correct net_name in the profile." if wrong else ""
        ended = f"was {register}" if register.startswith("not tried") else f"ended so: {register}"
        notes.append(f"The NetName {profile.net_name} is not confirmed. Register {ended}.{mend}")
    for name, address in unreachable:
        notes.append(
            f"{name} ({address}) is in the interface list, and gives no witness endpoint. It is left out."
        )
    return notes


def profile_text(asked: Asked, password_line: str = "") -> str:
    """The profile as a commented TOML file.

    Args:
        asked: what the server has shown.
        password_line: the line with the password or where it is: ``password_env = "SWN_PASSWORD"``.
    """
    profile = asked.profile
    parts = [
        f"# A target profile, made by `swn-torture init {profile.nodes[0].address}`.",
        "# fixtures/profiles/TEMPLATE.toml explains every key.",
        'schema = "swn-torture-target/1"',
        "",
        f"name = {_string(profile.name)}",
        f"title = {_string(profile.title or profile.name)}",
        "",
        "# The name that clients use for the cluster: the NetName of registrations (ServerGlobalName).",
        *([] if asked.confirmed else [f"# Not confirmed: {asked.register}"]),
        f"net_name = {_string(profile.net_name)}",
        "",
        *_account_lines(profile.account, password_line),
        "",
        "# A second ordinary user, for cases with two callers. Without it these cases are not tested.",
        "# [second_account]",
        '# username = "witness2"',
        '# password_env = "SWN_PASSWORD2"',
        f"# domain = {_string(profile.account.domain)}",
        "",
        "# Each node with a witness service. The names are those of the interface list; a controller needs",
        "# the names of the cluster.",
        *_node_lines(profile.nodes),
        *[f"# {name} ({address}) is in the interface list too, and did not answer." for name, address in
          asked.unreachable],
        *([""] if asked.unreachable else []),
        *_CONTROLLER.splitlines(),
        "",
        "# What the specification leaves to the implementation. Times are in seconds.",
        "[expect]",
        f"version = {profile.expect.version}                  # as the interface list announces it",
        "unused_timeout = 30.0        # an unused registration may be removed after this (Windows: 30)",
        "scan_interval = 10.0         # longest interval between the server's timer scans",
        "event_deadline = 30.0        # a cluster event reaches a client within this",
        "reply_deadline = 10.0        # an ordinary call completes within this",
        *_share_lines(profile.expect.shares),
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def _account_lines(account: Account, password_line: str) -> list[str]:
    if account.anonymous:
        return [
            "# The server knows no authentication service: it is called without authentication.",
            "[account]",
            'auth = "none"',
        ]
    return [
        "# An ordinary user of the cluster.",
        "[account]",
        f"username = {_string(account.username)}",
        password_line,
        f"domain = {_string(account.domain)}",
    ]


def _node_lines(nodes: tuple[NodeAddress, ...]) -> list[str]:
    lines = []
    for node in nodes:
        lines += ["[[node]]", f"name = {_string(node.name)}", f"address = {_string(node.address)}"]
        lines += [f"endpoint_mapper_port = {node.endpoint_mapper_port}"] * (node.endpoint_mapper_port != 135)
        lines += [f"port = {node.port}"] if node.port else []
        lines.append("")
    return lines


def _share_lines(shares: tuple[ExpectedShare, ...]) -> list[str]:
    why = "# The shares, and whether they are scale-out (STYPE_CLUSTER_SOFS)"
    if not shares:
        return [f"{why}. The server did not list any.", '# shares = [{ name = "data", scale_out = true }]']
    rows = ", ".join(
        f"{{ name = {_string(share.name)}, scale_out = {str(share.scale_out).lower()} }}" for share in shares
    )
    return [f"{why}, as NetrShareEnum and TREE_CONNECT show them.", f"shares = [{rows}]"]


def _string(text: str) -> str:
    """A TOML string: that of JSON is one, except for code points that JSON writes as surrogate pairs."""
    return json.dumps(text, ensure_ascii=False)
