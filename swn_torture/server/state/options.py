"""The choices of the reference server, where MS-SWN leaves a choice.

MS-SWN 14.0 is silent, ambiguous or contradictory in about forty places. The catalogue numbers them AMB-1,
AMB-2 and so on. Each ambiguity that a server must decide is a field of `Options`. The documentation of the
field lists the possible readings. The default is the literal text of 14.0 if the text decides, and otherwise
the known behaviour of Windows. So the reference can act as any conforming server, and the tests can show that
the suite accepts each of them.

Some values are the behaviour of a known server or of another test suite, and contradict the text. They are
here for clients that have to cope with such servers. Their documentation says which requirements they violate
(MUST) or deviate from (SHOULD), and the suite finds that. They are marked with `Breaks`: the innocence matrix
(`unusual.matrix`) takes every other finding on a server with one of these values for a false alarm.

`Options.fields_by_ambiguity()` lists the fields for each ambiguity. Three ambiguities are decided elsewhere.
The options of the RPC server decide which interface versions can be bound (AMB-23). The codec decides the
byte order of addresses (AMB-25), because all known implementations agree. The RPC server decides a part of
the scope of a lost connection (AMB-28).
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.spec.breaks import Breaks
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import ProtocolVersion

if TYPE_CHECKING:
    from collections.abc import Mapping


class OptionError(ValueError):
    """An option is unknown or has an invalid value; the message lists what is allowed."""


PendingKind = Literal["change", "client-move", "share-move", "ip-change"]
"""A kind of pending notification of a registration (MS-SWN 3.1.1.3)."""

AddressCause = Literal["added", "removed", "enabled", "disabled"]
"""A cause of an IP_CHANGE notification (title of MS-SWN 3.1.6.4)."""


@dataclass(frozen=True, slots=True)
class Options:
    """The choices of one reference server. Times are seconds of the protocol's clock (see `time_scale`)."""

    # Version and limits

    version: ProtocolVersion = ProtocolVersion.V2
    """WitnessServiceVersion (MS-SWN 3.1.1.1). A server of version 1 has no opnums 4 and 5, no timers, no
    share moves and no IP changes."""

    unregister_ex: Annotated[bool, "AMB-24"] = True
    """Whether WitnessrUnRegisterEx (opnum 5) exists. Only revision 14.0 defines it. Windows Server 2022 and
    earlier return nca_s_op_rng_error (0x1C010002); newer clients then call opnum 2."""

    announced_version: Annotated[int | None, "AMB-9"] = None
    """Version in the interface list. None: WitnessServiceVersion, as 3.1.4.1 requires. Windows Server 2012 R2
    and later, and the example of section 4.1, have 0xFFFFFFFF."""

    group_names: Annotated[Literal["node", "cluster"], "AMB-10"] = "node"
    """InterfaceGroupName: the NetBIOS name of the node (Windows), or one name for the whole cluster
    (Samba)."""

    max_registrations: int | None = 100_000
    """Maximum number of registrations; above it, registering returns `exhausted`. None: no limit. The default
    bounds the memory: a client can register without end on one connection."""

    exhausted: Annotated[Win32, "AMB-35"] = Win32.ERROR_NO_SYSTEM_RESOURCES
    """The code when `max_registrations` is reached. The tables of the register methods list
    ERROR_NO_SYSTEM_RESOURCES (0x5AA). Samba also uses ERROR_NOT_ENOUGH_MEMORY (0x8)."""

    # Time

    time_scale: float = 1.0
    """Seconds of the protocol's clock in one real second. With 100, a KeepAliveTimeout of 120 expires after
    1.2 s. Nothing on the wire changes."""

    unused_timeout: float = 30.0
    """Idle time after which a registration without outstanding AsyncNotify is removed (MS-SWN 3.1.5.1). 30 s
    is the value of Windows (note 7) and Samba."""

    scan_interval: Annotated[float, "AMB-27"] = 1.0
    """Period of both timers (MS-SWN 3.1.2). Nothing expires between two scans, so everything can expire this
    much later."""

    keepalive_unit: Annotated[
        float,
        "AMB-36",
        Breaks(
            ...,
            (
                *("SWN-3.1.1.3-keepalive-seconds", "SWN-3.1.4.5-keepalive-meaning"),
                *("SWN-3.1.4.5-entry-keepalive", "SWN-3.1.2.2-based-on-keepalive"),
                *("SWN-3.1.4.4-waits", "SWN-3.1.5.2-not-early"),
            ),
            # Other cases find a call ended early that had to wait for them.
            consequences=(
                *("SWN-3.1.2.1-removes-unused", "SWN-3.1.4.4-v2-async-registered-on-entry"),
                *("SWN-3.1.5.1-keeps-outstanding", "SWN-3.1.4.4-returns-success"),
            ),
        ),
    ] = 1.0
    """Seconds in one unit of KeepAliveTimeout. The text says seconds. Comments in two test suites say
    milliseconds (0.001), but no known server does this; it violates SWN-3.1.1.3-keepalive-seconds."""

    keepalive_zero: Annotated[Literal["expires", "never-expires"], "AMB-3"] = "expires"
    """KeepAliveTimeout 0. By the text (3.1.5.2) the call times out at the next scan. Samba: no time-out."""

    v1_timers: Annotated[Literal["none", "unused", "unused-even-if-pending"], "AMB-14"] = "none"
    """Timers for registrations of version 1 on a server of version 2. Register initialises neither
    KeepAliveTime nor LastUseTime, so by the text nothing times out: `none`. `unused` removes unused
    registrations as in version 2. `unused-even-if-pending` is Samba: it also removes registrations with an
    outstanding AsyncNotify (ERROR_NOT_FOUND, 0x490)."""

    timeout_counts_as_use: Annotated[bool, "AMB-21"] = True
    """Whether ERROR_TIMEOUT updates LastUseTime. 3.1.5.2 does not say so, but 3.1.1.3 counts a sent response
    as use. Without the update the unused timer could remove the registration before the next call."""

    forced_unregister_after: Annotated[float | None, "AMB-30"] = None
    """Seconds from a notification of UNAVAILABLE or CLIENT_MOVE until the server removes the registration.
    By the text a notification does not end a registration: None. Samba: 5, so that Windows clients register
    again."""

    # Access (MS-SWN 3.1.4, note 4)

    enforce_security: Annotated[
        bool,
        "AMB-22",
        Breaks(
            value=False,
            requirements=(
                *("SWN-3.1.4-enforce-security", "SWN-2.1-method-access-check"),
                "SWN-5.1-enforce-per-method",
            ),
        ),
    ] = True
    """Whether the server checks the security of calls. Without it, the server deviates from
    SWN-3.1.4-enforce-security, a SHOULD, and from what depends on it."""

    minimum_level: Annotated[AuthLevel, "AMB-22"] = AuthLevel.INTEGRITY
    """Calls below this authentication level are rejected. Note 4 (Windows): INTEGRITY; Samba: PKT."""

    denied_by: Annotated[Literal["result", "fault"], "AMB-22"] = "result"
    """How the server returns ERROR_ACCESS_DENIED (0x5): as the method's return value (the text), or as the
    status of an RPC fault (Samba)."""

    unauthenticated: Annotated[Win32, "AMB-22"] = Win32.ERROR_ACCESS_DENIED
    """The code for callers without authentication. They fail two conditions of note 4: the level
    (ERROR_ACCESS_DENIED, 0x5) and the authentication service (ERROR_NOT_AUTHENTICATED, 0x4DC). The text does
    not say which check comes first."""

    refused_accounts: tuple[str, ...] = ()
    """Account names, without a domain, that must not call any method: the access check of 2.1. The text
    leaves the permissions to the server."""

    # Interface list (MS-SWN 3.1.4.1)

    interface_list_waits: Annotated[
        Literal["any", "witness", "never"], "AMB-7", Breaks("never", ("SWN-3.1.4.1-wait-available",))
    ] = "any"
    """What GetInterfaceList waits for. By the text: until any interface is AVAILABLE (`any`). Microsoft's
    suite expects a wait until an interface of *another* node is AVAILABLE (`witness`). Samba never waits:
    `never` violates SWN-3.1.4.1-wait-available."""

    empty_interface_list: Annotated[
        Literal["no-more-items", "success"], "AMB-8", Breaks("success", ("SWN-3.1.4.1-empty-list",))
    ] = "no-more-items"
    """An empty list. By the text: ERROR_NO_MORE_ITEMS (0x103). Samba: success without elements, which
    violates SWN-3.1.4.1-empty-list."""

    interface_list_names: Annotated[Literal["all", "called"], "AMB-45"] = "all"
    """With several network names: whether the list has the interfaces of all names, or only those of the name
    whose address the client called. The server initializes the list in its own manner (3.1.3)."""

    # Registering (MS-SWN 3.1.4.2, 3.1.4.5)

    net_name_ignores_case: Annotated[bool, "AMB-6"] = True
    """Whether NetName is compared without regard to case. The text only says "equal"; NetName is a DNS or
    NetBIOS name, and these ignore case."""

    net_name_aliases: Annotated[bool, "AMB-6"] = True
    """Whether the other configured names of the cluster (its qualified name) equal ServerGlobalName."""

    shares_keep_cluster_type: Annotated[bool, "AMB-37"] = True
    """Whether the server's own enumeration of shares shows STYPE_CLUSTER_SOFS. Windows does see the bit. But
    NetrShareEnum clears it (MS-SRVS 3.1.4.8). So by the literal text no share is scale-out: ShareName is
    ignored, and no rule requires a check of IpAddress (False)."""

    unknown_share: Annotated[
        Literal["text", "refuse", "accept"],
        "AMB-4",
        Breaks("refuse", ("SWN-3.1.4.5-no-sofs-ignore-share",)),
        Breaks(
            "accept",
            ("SWN-3.1.4.5-share-unknown", "SWN-3.1.4.5-share-enum-empty", "SWN-3.1.4.5-share-enum-fails"),
        ),
    ] = "text"
    """A ShareName that does not exist. By the text: ERROR_INVALID_STATE (0x139F) if a scale-out share exists,
    otherwise ignored. smbtorture expects an error in both cases: `refuse` violates
    SWN-3.1.4.5-no-sofs-ignore-share. Samba accepts any name and does not enumerate the shares: `accept`
    violates SWN-3.1.4.5-share-enum-fails and SWN-3.1.4.5-share-enum-empty, and SWN-3.1.4.5-share-unknown
    unless the server treats no share as scale-out."""

    ignored_share: Annotated[Literal["stored", "dropped"], "AMB-4"] = "stored"
    """What "ignore the ShareName" means. The later steps of 3.1.4.5 store it and require share notifications
    without a condition: `stored`. `dropped` treats it as NULL."""

    address_check: Annotated[
        Literal["text", "always", "never"],
        "AMB-5",
        Breaks("never", ("SWN-3.1.4.2-sofs-ip-unknown", "SWN-3.1.4.5-sofs-ip-unknown")),
    ] = "text"
    """When an IpAddress that is not in the interface list returns ERROR_INVALID_STATE (0x139F). By the text:
    in Register if any share is scale-out, in RegisterEx if the named share is scale-out. Samba: always; the
    text does not forbid it. `never` violates SWN-3.1.4.2-sofs-ip-unknown and SWN-3.1.4.5-sofs-ip-unknown,
    unless the server treats no share as scale-out (`shares_keep_cluster_type`)."""

    address_of_other_name: Annotated[Literal["accept", "refuse"], "AMB-45"] = "accept"
    """With several network names: an IpAddress that belongs to another name than NetName. By the text NetName
    and IpAddress are checked one by one (`accept`); `refuse` returns ERROR_INVALID_STATE (0x139F)."""

    register_without_shares: Annotated[Literal["invalid-state", "accept"], "AMB-31"] = "invalid-state"
    """Register (opnum 1) when the enumeration of shares fails. The text is silent. Microsoft has stated that
    Windows returns ERROR_INVALID_STATE (0x139F), as 3.1.4.5 requires for RegisterEx."""

    empty_strings: Annotated[Literal["text", "refuse"], "AMB-29"] = "text"
    """Empty NetName, IpAddress or ClientComputerName. The text mentions only NULL, so an empty string is
    compared like any other. `refuse` returns ERROR_INVALID_PARAMETER (0x57)."""

    undefined_flags: Annotated[Literal["accept", "refuse"], "AMB-26"] = "accept"
    """Undefined bits in Flags of RegisterEx: ignored, or rejected with ERROR_INVALID_PARAMETER (0x57)."""

    initial_share_move: Annotated[bool, "AMB-33"] = False
    """Whether the server notifies a client of a SHARE_MOVE at once if it registers for an address of a node
    that does not own the share. Windows does this for asymmetric shares. The text has no event for it."""

    # Handles

    unregister_unknown: Annotated[Win32, "AMB-1"] = Win32.ERROR_INVALID_PARAMETER
    """UnRegister of a handle without registration. 14.0: SHOULD return ERROR_INVALID_PARAMETER (0x57).
    Revision 11.0, Windows Server 2012 and Samba: ERROR_NOT_FOUND (0x490)."""

    unknown_handle: Annotated[Literal["result", "fault"], "AMB-2"] = "result"
    """A handle that was never issued, belongs to another association, or is null. `result`: the code of the
    method (MS-SWN, Samba). `fault`: the fault of an RPC runtime that manages the handles itself (Windows):
    nca_s_fault_context_mismatch (0x1C00001A), and 0x6EF for a null [in] handle."""

    handle_attributes: Annotated[int, "AMB-34"] = 0
    """The first four octets of every context handle: 0 in Windows, 1 in Samba."""

    handles_bound_to_user: bool = False
    """Whether only the user who registered can use the handle (Samba). No text requires it: another user of
    the same association can use the handle."""

    rundown: Annotated[Literal["association", "connection"], "AMB-28"] = "association"
    """What ends a registration: the end of the last connection of its association (MS-RPCE 3.3.3.2.1), or, a
    possible reading of 3.1.6.5, the end of the connection that registered."""

    # AsyncNotify (MS-SWN 3.1.4.4)

    share_and_ip_end_wait: Annotated[bool, "AMB-17"] = True
    """Whether share moves and IP changes complete a waiting call. The sentence about waiting mentions only
    changes and client moves, but 3.1.6.3 and 3.1.6.4 awaken the caller. False: they complete no call by
    themselves. When a change or a client move ends the wait, they are sent with it (`several_kinds`,
    `pending_order`) or in the next responses."""

    pending_order: Annotated[tuple[PendingKind, ...], "AMB-18"] = (
        "change",
        "client-move",
        "share-move",
        "ip-change",
    )
    """The order of the kinds when several are pending. The default is the order of the paragraphs of 3.1.4.4,
    which Samba has too."""

    several_kinds: Annotated[Literal["one-each", "last-overwrites"], "AMB-18"] = "one-each"
    """Several kinds pending at once. `one-each`: one kind per response, the others stay pending.
    `last-overwrites`: by the literal sequence of the paragraphs, the last kind overwrites the response and no
    kind stays pending."""

    unknown_state: Annotated[Literal["available", "unknown"], "AMB-13"] = "available"
    """ChangeType for the state UNKNOWN. By the text every state except UNAVAILABLE is AVAILABLE (1). Samba
    sends 0."""

    resource_name: Annotated[
        Literal["group", "net-name", "address"],
        "AMB-11",
        Breaks("net-name", ("SWN-3.1.6.1-change-name",)),
        Breaks("address", ("SWN-3.1.6.1-change-name",)),
    ] = "group"
    """ResourceName of a change: the InterfaceGroupName (3.1.6.1), the registered NetName in upper case
    (example 4.1), or the registered IpAddress (Samba). 2.2.2.3 allows all three; the last two deviate from
    SWN-3.1.6.1-change-name, a SHOULD."""

    address_states: Annotated[
        Literal["client-move", "all", "none"],
        "AMB-15",
        Breaks(
            "none",
            (
                *("SWN-2.2.2.1-online", "SWN-3.1.4.4-move-online"),
                *("SWN-2.2.2.1-offline", "SWN-3.1.4.4-move-offline"),
            ),
        ),
    ] = "client-move"
    """Which address lists have IPADDR_ONLINE or IPADDR_OFFLINE. The text requires it for client moves and
    does not mention the other kinds. Samba sets it on share moves too. Microsoft's suite expects it on
    neither move: `none` violates SWN-3.1.4.4-move-online and SWN-3.1.4.4-move-offline. A server of version 1
    never sets it (2.2.2.1)."""

    dual_stack: Annotated[Literal["two-entries", "one-entry"], "AMB-16"] = "two-entries"
    """An interface with both address families in an address list. 2.2.2.1 forbids IPADDR_V4 with IPADDR_V6,
    but 3.1.4.4 sets both. Two entries satisfy both sections."""

    destination_forms: Annotated[Literal["any", "group"], "AMB-19"] = "any"
    """The forms of a destination. 3.1.6.2 allows group name, address and host name (`any`). 3.1.4.4 compares
    only with group names, so for the other two forms the list is empty (`group`)."""

    destination_states: Annotated[Literal["all", "available"], "AMB-19"] = "all"
    """Which interfaces of the destination are listed. The text says available ones. Its next sentence marks
    UNAVAILABLE ones as IPADDR_OFFLINE, so it cannot mean their State."""

    lost_destination: Annotated[Literal["empty-list", "null-response"], "AMB-19"] = "empty-list"
    """A destination that matches no interface when it is sent: a list without entries, or success with a NULL
    response (Samba)."""

    several_calls: Annotated[Literal["first-in-first-out", "all"], "AMB-20"] = "first-in-first-out"
    """Several outstanding AsyncNotify calls on one registration: an event completes the oldest call (Samba),
    or all of them."""

    unregister_ends_calls: Annotated[Win32, "AMB-20"] = Win32.ERROR_NOT_FOUND
    """The code that completes an outstanding AsyncNotify when its registration is removed, with a NULL
    response: ERROR_NOT_FOUND (0x490), as in Samba. The text is silent, so ERROR_SUCCESS (0x0) is allowed."""

    honour_cancel: bool = True
    """Whether co_cancel completes an outstanding call with nca_s_fault_cancel (0x1C00000D). A server is
    allowed to ignore co_cancel."""

    # Events (MS-SWN 3.1.6)

    change_concerns: Annotated[
        Literal["name-and-address", "group-and-address", "address"],
        "AMB-12",
        Breaks("group-and-address", ("SWN-3.1.6.1-queues-change", "SWN-V14-3.1.6.1-network-name")),
    ] = "name-and-address"
    """Which registrations an interface event affects: NetName and IpAddress match (14.0); NetName equals the
    group name and IpAddress matches (11.0); or only IpAddress matches (Samba). By the rule of 11.0 no client
    is notified where the group has another name, which deviates from SWN-3.1.6.1-queues-change and
    SWN-V14-3.1.6.1-network-name, both SHOULD."""

    repeated_state: Literal["announce", "suppress"] = "announce"
    """An event with the state that the interface already has. By the text every event queues a change
    (`announce`)."""

    aliases_notified_once: Annotated[bool, "AMB-32"] = False
    """Whether a client that registered with several names of the cluster is notified of a change only once
    (note 8)."""

    client_name_ignores_case: bool = True
    """Whether events compare client names without regard to case. MS-SWN has no rule; host names ignore
    case."""

    share_name_ignores_case: bool = True
    """Whether share names are compared without regard to case. MS-SWN has no rule; share names ignore
    case."""

    ip_change_causes: Annotated[
        tuple[AddressCause, ...],
        Breaks(
            [],
            (
                *("SWN-3.1.6.4-all-causes", "SWN-3.1.6.4-match", "SWN-3.1.6.4-wake"),
                *("SWN-3.1.4.4-ip-type", "SWN-3.1.4.4-wakes-on-ip-change", "SWN-3.1.4.5-ip-flag-true"),
            ),
        ),
    ] = ("added", "removed", "enabled", "disabled")
    """Which local events cause an IP_CHANGE notification. The title of 3.1.6.4 lists these four, and the
    application chooses. Without any of them, as in Samba, WITNESS_REGISTER_IP_NOTIFICATION has no effect: it
    violates SWN-3.1.6.4-all-causes and SWN-3.1.4.5-ip-flag-true."""

    def __post_init__(self) -> None:
        for name in ("time_scale", "scan_interval", "unused_timeout", "keepalive_unit"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise OptionError(f"{name} must be greater than 0 and finite, not {value!r}")

    @classmethod
    def fields_by_ambiguity(cls) -> dict[str, tuple[str, ...]]:
        """Return the names of the fields that decide each ambiguity, by catalogue id."""
        found: dict[str, tuple[str, ...]] = {}
        for name, hint in get_type_hints(cls, include_extras=True).items():
            for note in getattr(hint, "__metadata__", ()):
                if isinstance(note, str):
                    found[note] = (*found.get(note, ()), name)
        return found

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> Options:
        """Make options from plain values of TOML or JSON. Codes and levels are names or numbers.

        Args:
            settings: values by option name; `-` and `_` are the same.

        Raises:
            OptionError: a name is unknown, or a value has the wrong type.
        """
        kinds = _kinds()
        values: dict[str, Any] = {}
        for key, value in settings.items():
            name = key.replace("-", "_")
            if name not in kinds:
                raise OptionError(f"unknown option {key!r}; known: {', '.join(sorted(kinds))}")
            values[name] = _value_of(kinds[name], value, name)
        return cls(**values)

    def to_mapping(self) -> dict[str, Any]:
        """Return the options as plain values. `from_mapping` is the inverse."""
        plain: dict[str, Any] = {}
        for entry in dataclasses.fields(self):
            value = getattr(self, entry.name)
            plain[entry.name] = (
                value.name if isinstance(value, Enum) else list(value) if isinstance(value, tuple) else value
            )
        return plain


@functools.cache
def _kinds() -> Mapping[str, Any]:
    """The declared type of each option by its name. To evaluate them takes 2 ms."""
    return get_type_hints(Options)


def _value_of(kind: Any, value: Any, name: str) -> Any:
    """Convert `value` to `kind`, the declared type of the option `name`. Handles the types used above."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        return _value_of(next(arm for arm in get_args(kind) if arm is not type(None)), value, name)
    if origin is Literal:
        if value not in get_args(kind):
            raise OptionError(f"{name} must be one of {', '.join(map(str, get_args(kind)))}, not {value!r}")
        return value
    if origin is tuple:
        if isinstance(value, str) or not hasattr(value, "__iter__"):
            raise OptionError(f"{name} must be a list, not {value!r}")
        return tuple(_value_of(get_args(kind)[0], item, name) for item in value)
    if issubclass(kind, Enum):
        return _member_of(kind, value, name)
    right = isinstance(value, int | float) if kind is float else isinstance(value, kind)
    if not right or (isinstance(value, bool) and kind is not bool):
        raise OptionError(f"{name} must be of type {kind.__name__}, not {value!r}")
    return kind(value)


def _member_of(kind: type[Enum], value: Any, name: str) -> Enum:
    try:
        return kind[value] if isinstance(value, str) else kind(value)
    except (KeyError, ValueError):
        raise OptionError(f"{name} must be the name or value of a {kind.__name__}, not {value!r}") from None
