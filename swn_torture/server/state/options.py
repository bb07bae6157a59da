"""What the reference server chose wherever MS-SWN leaves, or makes, a choice.

The text of MS-SWN 14.0 is silent, ambiguous or contradicts itself in some forty places; the catalogue numbers
them AMB-1, AMB-2 … Each one that a server has to settle is a field of `Options`: its documentation names the
readings, its default is the literal text of 14.0 where that decides, and otherwise what Windows is known to
do. So the reference can be turned into any of the defensible servers, and the suite can be shown to accept
every one of them.

`Options.settled()` tells which ambiguity is settled by which fields. Three more are settled elsewhere: the
interface version that may bind (AMB-23) in the RPC server's own options, the byte order of addresses (AMB-25)
in the codec, where every known implementation agrees, and the scope of a lost connection (AMB-28) partly
there, too.
"""

from __future__ import annotations

import dataclasses
import math
import types
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import ProtocolVersion

if TYPE_CHECKING:
    from collections.abc import Mapping


class OptionError(ValueError):
    """An option has no such name or cannot have such a value; the text names what is known."""


PendingKind = Literal["change", "client-move", "share-move", "ip-change"]
"""One of the four things that can be pending for a registration (MS-SWN 3.1.1.3)."""

AddressCause = Literal["added", "removed", "enabled", "disabled"]
"""One of the four causes of an IP_CHANGE (title of MS-SWN 3.1.6.4)."""


@dataclass(frozen=True, slots=True)
class Options:
    """The choices of one reference server. Times are seconds of the protocol's clock (see `time_scale`)."""

    # What the server is

    version: ProtocolVersion = ProtocolVersion.V2
    """WitnessServiceVersion (MS-SWN 3.1.1.1). A server of version 1 has no opnums 4 and 5, no timers, no
    share moves and no IP changes."""

    unregister_ex: Annotated[bool, "AMB-24"] = True
    """Whether WitnessrUnRegisterEx (opnum 5) exists. Only revision 14.0 has it; Windows Server 2022 and
    earlier answer nca_s_op_rng_error (0x1C010002), on which newer clients fall back to opnum 2."""

    announced_version: Annotated[int | None, "AMB-9"] = None
    """Version in the interface list. None is WitnessServiceVersion, as 3.1.4.1 demands; Windows Server 2012
    R2 and later, and the example of section 4.1, show 0xFFFFFFFF."""

    group_names: Annotated[Literal["node", "cluster"], "AMB-10"] = "node"
    """InterfaceGroupName: the NetBIOS name of the node (Windows), or one name for the whole cluster
    (Samba)."""

    max_registrations: int | None = None
    """Registrations held at most; beyond it registering fails with `exhausted`. None is as many as come."""

    exhausted: Annotated[Win32, "AMB-35"] = Win32.ERROR_NO_SYSTEM_RESOURCES
    """The code for no room: the tables of the register methods list ERROR_NO_SYSTEM_RESOURCES (0x5AA); Samba
    also uses ERROR_NOT_ENOUGH_MEMORY (0x8)."""

    # Time

    time_scale: float = 1.0
    """Seconds of the protocol's clock in one real second. 100 lets a client that asks for a KeepAliveTimeout
    of 120 wait 1.2 s; nothing on the wire changes."""

    unused_timeout: float = 30.0
    """Idle time after which a registration without outstanding AsyncNotify is removed (MS-SWN 3.1.5.1); 30 s
    is Windows (note 7) and Samba."""

    scan_interval: Annotated[float, "AMB-27"] = 1.0
    """Period of both timers (MS-SWN 3.1.2): nothing expires between two scans, so everything may be late by
    this."""

    keepalive_unit: Annotated[float, "AMB-36"] = 1.0
    """Seconds in one unit of KeepAliveTimeout. The text says seconds; comments in two test suites say
    milliseconds (0.001), which no server is known to do."""

    keepalive_zero: Annotated[Literal["expires", "never-expires"], "AMB-3"] = "expires"
    """KeepAliveTimeout 0: literally (3.1.5.2) the call times out at the next scan; Samba takes it for no
    time-out."""

    v1_timers: Annotated[Literal["none", "unused", "unused-even-if-pending"], "AMB-14"] = "none"
    """Timers for registrations of version 1 on a server of version 2. Register initialises neither
    KeepAliveTime nor LastUseTime, so by the text nothing times out: `none`. `unused` removes idle ones as if
    they were of version 2; `unused-even-if-pending` is Samba, which removes them with an AsyncNotify
    outstanding, too (0x490)."""

    timeout_counts_as_use: Annotated[bool, "AMB-21"] = True
    """Whether ERROR_TIMEOUT refreshes LastUseTime. 3.1.5.2 does not say so; 3.1.1.3 counts a response sent as
    use, and without it the unused timer could remove the registration before the client can ask again."""

    forced_unregister_after: Annotated[float | None, "AMB-30"] = None
    """Seconds after telling UNAVAILABLE or a client move at which the server drops the registration. Nothing
    in the text ends a registration by notifying it: None. Samba: 5, to make Windows clients register
    again."""

    # Who may call (MS-SWN 3.1.4, note 4)

    enforce_security: Annotated[bool, "AMB-22"] = True
    """Whether calls are checked at all (a SHOULD)."""

    minimum_level: Annotated[AuthLevel, "AMB-22"] = AuthLevel.INTEGRITY
    """The authentication level below which calls are refused. Note 4 (Windows): INTEGRITY; Samba: PKT."""

    denied_by: Annotated[Literal["result", "fault"], "AMB-22"] = "result"
    """How ERROR_ACCESS_DENIED (0x5) looks: the method's return value, as the text has it, or an RPC fault
    with that status (Samba)."""

    unauthenticated: Annotated[Win32, "AMB-22"] = Win32.ERROR_ACCESS_DENIED
    """The code for callers without any authentication. They fail two conditions of note 4,
    ERROR_ACCESS_DENIED (0x5) for the level and ERROR_NOT_AUTHENTICATED (0x4DC) for the service; which wins is
    not said."""

    refused_accounts: tuple[str, ...] = ()
    """Account names, without a domain, that may call no method: the access check of 2.1, whose permissions
    the text leaves to the server."""

    # Interface list (MS-SWN 3.1.4.1)

    interface_list_waits: Annotated[Literal["any", "witness", "never"], "AMB-7"] = "any"
    """What GetInterfaceList waits for. Literally until any interface is AVAILABLE; Microsoft's suite expects
    a wait until one of *another* node is (`witness`); Samba never waits."""

    empty_interface_list: Annotated[Literal["no-more-items", "success"], "AMB-8"] = "no-more-items"
    """An empty list: ERROR_NO_MORE_ITEMS (0x103) by the text; Samba answers success with no elements."""

    # Registering (MS-SWN 3.1.4.2, 3.1.4.5)

    net_name_ignores_case: Annotated[bool, "AMB-6"] = True
    """NetName is a DNS or NetBIOS name, and those are compared without regard to case; the text only says
    equal."""

    net_name_aliases: Annotated[bool, "AMB-6"] = True
    """Whether the other names the cluster is configured with (its qualified name) are equal to
    ServerGlobalName."""

    shares_keep_cluster_type: Annotated[bool, "AMB-37"] = True
    """Whether the server's own enumeration of shares shows STYPE_CLUSTER_SOFS. NetrShareEnum clears that bit
    (MS-SRVS 3.1.4.8), so that literally no share would ever count as scale-out; Windows plainly sees it."""

    unknown_share: Annotated[Literal["text", "refuse", "accept"], "AMB-4"] = "text"
    """A ShareName that does not exist. By the text ERROR_INVALID_STATE (0x139F) if there is a scale-out
    share, else ignored; smbtorture wants it refused always; Samba accepts any."""

    ignored_share: Annotated[Literal["stored", "dropped"], "AMB-4"] = "stored"
    """What *ignoring* a ShareName means. The later steps of 3.1.4.5 store it and ask for share notifications
    without condition: `stored`. `dropped` treats it as NULL."""

    address_check: Annotated[Literal["text", "always", "never"], "AMB-5"] = "text"
    """When an IpAddress unknown to the interface list is refused with ERROR_INVALID_STATE (0x139F). Text:
    Register if any share is scale-out, RegisterEx if the named share is. Samba: always."""

    register_without_shares: Annotated[Literal["invalid-state", "accept"], "AMB-31"] = "invalid-state"
    """Register (opnum 1) when the enumeration of shares fails. The text is silent; Microsoft has said that
    Windows returns ERROR_INVALID_STATE (0x139F), as 3.1.4.5 prescribes for RegisterEx."""

    empty_strings: Annotated[Literal["text", "refuse"], "AMB-29"] = "text"
    """Empty NetName, IpAddress or ClientComputerName. Only NULL is mentioned, so by the text an empty string
    is compared like any other; `refuse` answers ERROR_INVALID_PARAMETER (0x57)."""

    undefined_flags: Annotated[Literal["accept", "refuse"], "AMB-26"] = "accept"
    """Undefined bits in Flags of RegisterEx: looked over, or refused with ERROR_INVALID_PARAMETER (0x57)."""

    initial_share_move: Annotated[bool, "AMB-33"] = False
    """Whether a client that registers at an address of a node that does not own the share is told to move at
    once. Windows does it for asymmetric shares; the text has no such event."""

    # Handles

    unregister_unknown: Annotated[Win32, "AMB-1"] = Win32.ERROR_INVALID_PARAMETER
    """UnRegister of a handle without registration: 14.0 says SHOULD ERROR_INVALID_PARAMETER (0x57); revision
    11.0, Windows Server 2012 and Samba ERROR_NOT_FOUND (0x490)."""

    unknown_handle: Annotated[Literal["result", "fault"], "AMB-2"] = "result"
    """A handle that was never issued, belongs to another association, or is null: the method's own code, as
    MS-SWN has it and Samba does, or the fault of an RPC runtime that keeps the handles itself (Windows):
    nca_s_fault_context_mismatch (0x1C00001A), and 0x6EF for a null [in] handle."""

    handle_attributes: Annotated[int, "AMB-34"] = 0
    """The first four octets of every context handle: 0 in Windows, 1 in Samba."""

    handles_bound_to_user: bool = False
    """Whether a handle works only for the user who made it (Samba). No text says so: another user of the same
    association may use it."""

    rundown: Annotated[Literal["association", "connection"], "AMB-28"] = "association"
    """What takes a registration along: the end of the last connection of its association (MS-RPCE 3.3.3.2.1),
    or, as 3.1.6.5 can be read, the end of the very connection that registered."""

    # AsyncNotify (MS-SWN 3.1.4.4)

    share_and_ip_end_wait: Annotated[bool, "AMB-17"] = True
    """Whether share moves and IP changes end the wait. The waiting sentence names changes and client moves
    only, while 3.1.6.3 and 3.1.6.4 awaken the caller; False delivers them only along with another event."""

    pending_order: Annotated[tuple[PendingKind, ...], "AMB-18"] = (
        "change",
        "client-move",
        "share-move",
        "ip-change",
    )
    """Which kind goes first when several are pending: the order of the paragraphs of 3.1.4.4, which is
    Samba's."""

    several_kinds: Annotated[Literal["one-each", "last-overwrites"], "AMB-18"] = "one-each"
    """Several kinds pending at once: one kind per response and the rest kept; or, as the paragraphs literally
    follow one another, the last one overwrites the response and all are gone."""

    unknown_state: Annotated[Literal["available", "unknown"], "AMB-13"] = "available"
    """ChangeType for the state UNKNOWN: literally everything but UNAVAILABLE is AVAILABLE (1); Samba sends
    0."""

    resource_name: Annotated[Literal["group", "net-name", "address"], "AMB-11"] = "group"
    """ResourceName of a change: the InterfaceGroupName (3.1.6.1), the registered NetName in upper case
    (example 4.1), or the registered IpAddress (Samba)."""

    address_states: Annotated[Literal["client-move", "all", "none"], "AMB-15"] = "client-move"
    """Which address lists carry IPADDR_ONLINE or IPADDR_OFFLINE: the text demands it for client moves and
    does not mention it for the others; Samba sets it on share moves, too, Microsoft's suite expects it on
    neither move. A server of version 1 never sets them (2.2.2.1)."""

    dual_stack: Annotated[Literal["two-entries", "one-entry"], "AMB-16"] = "two-entries"
    """An interface with both families in an address list: 2.2.2.1 forbids IPADDR_V4 with IPADDR_V6, 3.1.4.4
    sets both. Two entries satisfy either."""

    destination_forms: Annotated[Literal["any", "group"], "AMB-19"] = "any"
    """What a destination may be when its addresses are looked up. 3.1.6.2 allows group name, address and host
    name, 3.1.4.4 compares with group names only, which leaves the list empty for the two others (`group`)."""

    destination_states: Annotated[Literal["all", "available"], "AMB-19"] = "all"
    """Which interfaces of the destination are listed. The text says available ones, and in the next sentence
    marks UNAVAILABLE ones as IPADDR_OFFLINE, so it cannot mean their State."""

    lost_destination: Annotated[Literal["empty-list", "null-response"], "AMB-19"] = "empty-list"
    """A destination that matches nothing at delivery: a list without entries, or success without response
    (Samba)."""

    several_calls: Annotated[Literal["first-in-first-out", "all"], "AMB-20"] = "first-in-first-out"
    """Several AsyncNotify outstanding on one registration: each event answers the oldest call (Samba), or
    all."""

    unregister_ends_calls: Annotated[Win32, "AMB-20"] = Win32.ERROR_NOT_FOUND
    """How an AsyncNotify ends whose registration is removed under it: ERROR_NOT_FOUND (0x490), as Samba
    does."""

    honour_cancel: bool = True
    """Whether co_cancel ends an outstanding call with nca_s_fault_cancel (0x1C00000D); a server may ignore
    it."""

    # Events (MS-SWN 3.1.6)

    change_concerns: Annotated[Literal["name-and-address", "group-and-address", "address"], "AMB-12"] = (
        "name-and-address"
    )
    """Which registrations an interface event concerns: those of the network name and address (14.0), those
    whose NetName is the group name and whose address matches (11.0), or all of the address (Samba)."""

    repeated_state: Literal["announce", "suppress"] = "announce"
    """An event that announces the state an interface already has. The text queues every announcement."""

    aliases_told_once: Annotated[bool, "AMB-32"] = False
    """Whether a client registered under several names of the cluster is told of a change only once (note
    8)."""

    client_name_ignores_case: bool = True
    """How events find a client by name; no rule is given, and host names ignore case."""

    share_name_ignores_case: bool = True
    """How events find a share by name; no rule is given, and share names ignore case."""

    ip_change_causes: tuple[AddressCause, ...] = ("added", "removed", "enabled", "disabled")
    """Which local events are told as IP_CHANGE. The title of 3.1.6.4 names these four."""

    def __post_init__(self) -> None:
        for name in ("time_scale", "scan_interval", "unused_timeout", "keepalive_unit"):
            if not 0 < getattr(self, name) < math.inf:
                raise OptionError(f"{name} has to be more than 0 and finite, and is {getattr(self, name)!r}")

    @classmethod
    def settled(cls) -> dict[str, tuple[str, ...]]:
        """The fields that settle each ambiguity, by its catalogue id."""
        found: dict[str, tuple[str, ...]] = {}
        for name, hint in get_type_hints(cls, include_extras=True).items():
            for ambiguity in getattr(hint, "__metadata__", ()):
                found[ambiguity] = (*found.get(ambiguity, ()), name)
        return found

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> Options:
        """Options from plain values, as TOML or JSON has them; codes and levels may be given by name.

        Raises:
            OptionError: an unknown name, or a value of the wrong kind; says what is allowed.
        """
        hints = get_type_hints(cls)
        known = {entry.name for entry in dataclasses.fields(cls)}
        values: dict[str, Any] = {}
        for key, value in settings.items():
            name = key.replace("-", "_")
            if name not in known:
                raise OptionError(f"no option is called {key!r}; known are: {', '.join(sorted(known))}")
            values[name] = _value_of(hints[name], value, name)
        return cls(**values)

    def to_mapping(self) -> dict[str, Any]:
        """The options as plain values; `from_mapping` reads them back."""
        plain: dict[str, Any] = {}
        for entry in dataclasses.fields(self):
            value = getattr(self, entry.name)
            plain[entry.name] = (
                value.name if isinstance(value, Enum) else list(value) if isinstance(value, tuple) else value
            )
        return plain


def _value_of(kind: Any, value: Any, name: str) -> Any:
    """`value` as the declared type of the option `name`; the declared types are few, and all stand above."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        return _value_of(next(arm for arm in get_args(kind) if arm is not type(None)), value, name)
    if origin is Literal:
        if value not in get_args(kind):
            raise OptionError(f"{name} can be {', '.join(map(str, get_args(kind)))}, not {value!r}")
        return value
    if origin is tuple:
        if isinstance(value, str) or not hasattr(value, "__iter__"):
            raise OptionError(f"{name} has to be a list, and is {value!r}")
        return tuple(_value_of(get_args(kind)[0], item, name) for item in value)
    if issubclass(kind, Enum):
        return _member_of(kind, value, name)
    right = isinstance(value, int | float) if kind is float else isinstance(value, kind)
    if not right or (isinstance(value, bool) and kind is not bool):
        raise OptionError(f"{name} has to be of type {kind.__name__}, and is {value!r}")
    return kind(value)


def _member_of(kind: type[Enum], value: Any, name: str) -> Enum:
    try:
        return kind[value] if isinstance(value, str) else kind(value)
    except (KeyError, ValueError):
        raise OptionError(f"{name} has to be the name or value of a {kind.__name__}, not {value!r}") from None
