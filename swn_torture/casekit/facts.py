"""Facts about a target that the server itself has shown, learned before the first case.

``harness.preflight`` learns them once for a run; ``Witness`` and ``needs`` go by them. No rule of MS-SWN
demands an authentication service, a transfer syntax beyond NDR32, concurrent multiplexing, or room for any
number of registrations. A case that needs one of them is not tested where the target does not offer it.

A fact that is not known is None, and does not stop any case.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from swn_torture.dcerpc.security.levels import AuthLevel, AuthType

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The authentication services that the suite can use. Which of them an account can use, and in which order,
#: is in `swn_torture.account.Account.services`.
SERVICES = (AuthType.NTLM, AuthType.SPNEGO, AuthType.KERBEROS)

#: The services by the names of MS-RPCE 2.2.1.1.7.
SERVICE_NAMES = {
    AuthType.NTLM: "NTLM (RPC_C_AUTHN_WINNT)",
    AuthType.SPNEGO: "SPNEGO (RPC_C_AUTHN_GSS_NEGOTIATE)",
    AuthType.KERBEROS: "Kerberos (RPC_C_AUTHN_GSS_KERBEROS)",
}


#: `TargetFacts.no_security` when the profile says auth = "none" and the target violates nothing by that.
PROFILE_SAYS_NONE = "-"


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """What a node does with one authentication service.

    Attributes:
        offered: whether it answers the first token of the service; None when it gives no answer to it.
        answers: what came back at each authentication level tried, by the name of the level: the result of
            the first call, or what ended the attempt.
        levels: the levels at which the first call was not rejected.
        denied: the levels at which the bind or the first call was rejected.
    """

    offered: bool | None = None
    answers: Mapping[str, str] = field(default_factory=dict)
    levels: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InterfaceFacts:
    """One element of the interface list of a node.

    Attributes:
        group: InterfaceGroupName.
        addresses: its IPv4 and IPv6 addresses.
        state: the state by its name.
        own: whether it is an interface of the node that lists it: without INTERFACE_WITNESS.
        version: the Version in the element.
    """

    group: str
    addresses: tuple[str, ...]
    state: str
    own: bool
    version: int


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What one node has shown.

    Attributes:
        name: its name in the profile.
        address: the address of its RPC services.
        mapped_port: TCP port of its witness endpoint by its endpoint mapper; None when that was not asked, or
            gave no port.
        mapper: why the endpoint mapper gave no port; empty when it did.
        mapper_answers: whether the endpoint mapper answers at all.
        tries: how many times it was called until it answered.
        waited: seconds until it answered.
        silence: what it did not answer, when it was called more than once.
        violates: the requirement that it violates so that no client can call it; else empty.
        defect: what it does instead, in words.
        services: what it does with each authentication service, by the name of the service.
        ndr64: whether it accepts NDR64 when a client proposes NDR32, too.
        multiplexing: whether it confirms PFC_CONC_MPX.
        header_signing: whether it confirms PFC_SUPPORT_HEADER_SIGN.
        interfaces: its interface list; None when not known.
    """

    name: str
    address: str
    mapped_port: int | None = None
    mapper: str = ""
    mapper_answers: bool = False
    tries: int = 1
    waited: float = 0.0
    silence: str = ""
    violates: str = ""
    defect: str = ""
    services: Mapping[str, ServiceFacts] = field(default_factory=dict)
    ndr64: bool | None = None
    multiplexing: bool | None = None
    header_signing: bool | None = None
    interfaces: tuple[InterfaceFacts, ...] | None = None


@dataclass(frozen=True, slots=True)
class BrokenMethod:
    """A method that serves no client: an ordinary call of it failed before the first case.

    Attributes:
        opnum: its opnum.
        requirement: the requirement that this violates.
        observed: how the call ended, in words.
        malformed: whether there is an answer whose octets do not decode.
    """

    opnum: int
    requirement: str
    observed: str
    malformed: bool = False


#: What a server violates that does not reassemble a request, or takes a TCP segment for a PDU.
FRAGMENTS, SEGMENTS = "RPC-FRAG-request", "RPC-FRAG-tcp-segmentation"

#: What a server violates that serves one connection at a time.
CONNECTIONS = "RPC-CONN-independent"


@dataclass(frozen=True, slots=True)
class BrokenFraming:
    """A request in several fragments, segments or connections that got no response before the first case.

    Attributes:
        requirement: the requirement that this violates: `FRAGMENTS`, `SEGMENTS` or `CONNECTIONS`.
        observed: how the request was sent, and how it ended, in words.
        loses_pdus: whether octets are lost that arrive together with a PDU: any call can fail by that.
    """

    requirement: str
    observed: str
    loses_pdus: bool = False


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """What the nodes of a target have shown.

    Attributes:
        nodes: the nodes that answer, in the order of the profile.
        left_out: the nodes that do not answer, by name, each with what was tried.
        auth_type: the authentication service that the suite uses where a case does not choose one.
        level: the authentication level that the suite uses where a case does not choose one.
        registrations: the number of registrations that the target can hold; None when no limit was found.
        registrations_tried: how many registrations were made to look for a limit.
        server: product and version by the target itself; empty when not known.
        shares: the shares by the target itself (NetrShareEnum), as text; empty when not asked.
        warnings: contradictions between the profile and the target, and other things to know, one each.
        broken: the methods that serve no client.
        framing: how requests in several fragments or TCP segments end, if they get no response.
        unused: the authentication services that the suite does not use, by name, each with the reason.
        principal: the service principal name that the suite asks for; empty without Kerberos.
        named_principal: the principal that the first node names (inq_princ_name); empty without one, or if
            it was not asked.
        no_security: why cases that need authentication cannot be run: the requirement that the target
            violates, or `PROFILE_SAYS_NONE`. Empty when it serves authenticated
            calls.
    """

    nodes: tuple[NodeFacts, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    auth_type: AuthType = AuthType.NTLM
    level: AuthLevel = AuthLevel.INTEGRITY
    registrations: int | None = None
    registrations_tried: int = 0
    server: str = ""
    shares: str = ""
    warnings: tuple[str, ...] = ()
    broken: tuple[BrokenMethod, ...] = ()
    framing: tuple[BrokenFraming, ...] = ()
    unused: Mapping[str, str] = field(default_factory=dict)
    principal: str = ""
    named_principal: str = ""
    no_security: str = ""

    # -- what cases ask

    def defect_of(self, node: str) -> NodeFacts | None:
        """The facts of a node that no client can call because it violates a requirement; else None.

        Args:
            node: its name.
        """
        return next((facts for facts in self.nodes if facts.name == node and facts.violates), None)

    def broken_method(self, opnum: int) -> BrokenMethod | None:
        """What is known of a method that serves no client; None for any other method.

        Args:
            opnum: the method.
        """
        return next((each for each in self.broken if each.opnum == opnum), None)

    @property
    def segments(self) -> BrokenFraming | None:
        """What is known of a server that takes a TCP segment for a PDU; None for any other server.

        If it loses PDUs by that, this is what is known.
        """
        found = [each for each in self.framing if each.requirement == SEGMENTS]
        return next((each for each in found if each.loses_pdus), found[0] if found else None)

    @property
    def one_connection(self) -> BrokenFraming | None:
        """What is known of a server that serves one connection at a time; None for any other server."""
        return next((each for each in self.framing if each.requirement == CONNECTIONS), None)

    @property
    def unreliable(self) -> BrokenFraming | None:
        """Why a call may get no response although it is served otherwise; None where nothing is known."""
        return self.segments or self.one_connection

    def offers(self, service: AuthType) -> bool | None:
        """Whether every node offers an authentication service; None when that is not known."""
        return _of_all(
            facts.services[service.name].offered if service.name in facts.services else None
            for facts in self.nodes
        )

    @property
    def requires_privacy(self) -> bool:
        """Whether the target rejects calls at PKT_INTEGRITY and serves them at PKT_PRIVACY."""
        return self.level == AuthLevel.PRIVACY

    @property
    def multiplexing(self) -> bool | None:
        """Whether every node confirms PFC_CONC_MPX; None when that is not known."""
        return _of_all(facts.multiplexing for facts in self.nodes)

    @property
    def header_signing(self) -> bool | None:
        """Whether every node confirms PFC_SUPPORT_HEADER_SIGN; None when that is not known."""
        return _of_all(facts.header_signing for facts in self.nodes)

    @property
    def ndr64(self) -> bool | None:
        """Whether every node accepts NDR64 for witness; None when that is not known."""
        return _of_all(facts.ndr64 for facts in self.nodes)

    def not_offered(self, service: AuthType) -> str | None:
        """Why a case cannot use an authentication service; None when it can, or when that is not known."""
        if self.offers(service) is not False:
            why = self.unused.get(service.name)
            return why and f"the suite does not use {SERVICE_NAMES.get(service, service.name)}: {why}"
        names = ", ".join(
            facts.name
            for facts in self.nodes
            if service.name in facts.services and facts.services[service.name].offered is False
        )
        return f"the target does not offer {SERVICE_NAMES.get(service, service.name)} (optional): {names}"

    def not_served(self, level: AuthLevel) -> str | None:
        """Why a case cannot call at an authentication level; None when it can."""
        if self.requires_privacy and level == AuthLevel.INTEGRITY:
            return "the target serves calls at PKT_PRIVACY only, which MS-SWN allows (section 3.1.4)"
        return None

    def no_room(self, registrations: int) -> str | None:
        """Why a case cannot hold this many registrations at once; None when it can, or it is not known."""
        if self.registrations is None or registrations <= self.registrations:
            return None
        return (
            f"needs room for {registrations} registrations; the target holds {self.registrations}, which is "
            "its own choice"
        )

    # -- between processes

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The facts from their plain values."""
        nodes = tuple(_node(each) for each in data["nodes"])
        return cls(
            **{
                **data,
                "nodes": nodes,
                "auth_type": AuthType(data["auth_type"]),
                "level": AuthLevel(data["level"]),
                "warnings": tuple(data["warnings"]),
                "broken": tuple(BrokenMethod(**each) for each in data["broken"]),
                "framing": tuple(BrokenFraming(**each) for each in data.get("framing", ())),
            }
        )


def _of_all(values: Any) -> bool | None:
    """False if any value is, else None if one is not known or there are none, else True."""
    known = [*values]
    if False in known:
        return False
    return True if known and None not in known else None


def _node(data: Mapping[str, Any]) -> NodeFacts:
    services = {
        name: ServiceFacts(**{**each, "levels": tuple(each["levels"]), "denied": tuple(each["denied"])})
        for name, each in data["services"].items()
    }
    interfaces = data["interfaces"]
    if interfaces is not None:
        interfaces = tuple(
            InterfaceFacts(**{**each, "addresses": tuple(each["addresses"])}) for each in interfaces
        )
    return NodeFacts(**{**data, "services": services, "interfaces": interfaces})
