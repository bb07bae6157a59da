"""Parsers for the output of `ctdb`, `net witness` and `ip`. No I/O."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from swn_torture.control.base import ControllerError, NodeState, RegistrationView, ShareView

if TYPE_CHECKING:
    from collections.abc import Mapping

_FLAGS: Final = (
    "disconnected",
    "unknown",
    "banned",
    "disabled",
    "unhealthy",
    "stopped",
    "inactive",
    "partiallyonline",
)


@dataclass(frozen=True, slots=True)
class CtdbNode:
    """One line of `ctdb -X status`: a node as the CTDB of one node sees it."""

    pnn: int
    """The node's number in the cluster, from 0."""
    address: str
    flags: frozenset[str]
    """Some of disconnected, unknown, banned, disabled, unhealthy, stopped, inactive, partiallyonline."""

    @property
    def state(self) -> NodeState:
        """The state that follows from the flags."""
        if self.flags & {"disconnected", "unknown"}:
            return NodeState.DOWN
        if self.flags & {"banned", "stopped", "unhealthy"}:
            return NodeState.UNHEALTHY
        if self.flags & {"disabled"}:
            return NodeState.DISABLED
        return NodeState.UNHEALTHY if self.flags else NodeState.OK


def parse_status(text: str) -> tuple[CtdbNode, ...]:
    r"""Return the nodes in the output of `ctdb -X status`.

    Raises:
        ControllerError: the text is not that table.

    >>> parse_status("|Node|IP|Disconnected|Banned|\n|0|198.51.100.10|0|1|\n")
    (CtdbNode(pnn=0, address='198.51.100.10', flags=frozenset({'banned'})),)
    """
    header, *rows = _table(text, "Node")
    nodes = []
    for row in rows:
        fields = dict(zip(header, row, strict=False))
        flags = frozenset(flag for flag in _FLAGS if fields.get(flag) == "1")
        nodes.append(CtdbNode(int(fields["node"]), fields["ip"], flags))
    return tuple(nodes)


def parse_recovery(text: str) -> bool:
    r"""Return whether CTDB recovers its databases, from `ctdb status` or, from Samba 4.25 on, its JSON.

    A text without that is from a CTDB that does not answer, and counts as a recovery.

    >>> parse_recovery("Number of nodes:3\nRecovery mode:NORMAL (0)\nLeader:0\n")
    False
    >>> parse_recovery('{"recovery_mode": "NORMAL", "recovery_mode_raw": 0, "leader": 0}')
    False
    """
    if not text.startswith("{"):
        return "Recovery mode:NORMAL" not in text
    try:
        status = json.loads(text)
    except ValueError:
        return True
    return bool(status.get("recovery_mode") != "NORMAL")


def parse_addresses(text: str) -> dict[str, int | None]:
    r"""Return the public addresses in the output of `ctdb -X ip all`, each with the PNN of its host.

    The PNN is None where no node hosts the address.

    Raises:
        ControllerError: the text is not that table.

    >>> parse_addresses("|Public IP|Node|\n|198.51.100.200|0|\n|198.51.100.199|-1|\n")
    {'198.51.100.200': 0, '198.51.100.199': None}
    """
    _, *rows = _table(text, "Public IP")
    return {row[0]: None if int(row[1]) < 0 else int(row[1]) for row in rows}


def parse_tunables(text: str) -> dict[str, int]:
    r"""Return the variables in the output of `ctdb listvars`; lines without a number are ignored.

    >>> parse_tunables("KeepaliveInterval          = 5\nNoIPFailback = 0\n")
    {'KeepaliveInterval': 5, 'NoIPFailback': 0}
    """
    found = re.finditer(r"^(\w+)\s*=\s*(\d+)\s*$", text, re.MULTILINE)
    return {match[1]: int(match[2]) for match in found}


def _table(text: str, first: str) -> list[list[str]]:
    lines = [line.strip().strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    if not lines or lines[0][0] != first:
        raise ControllerError(
            f"ctdb -X did not print a table with the column {first}, but {text.strip()[:200]!r}"
        )
    return [[field.lower() for field in lines[0]], *lines[1:]]


def parse_registrations(text: str, names: Mapping[int, str]) -> tuple[RegistrationView, ...]:
    """Return the registrations in the JSON that every `net witness` command prints.

    Args:
        text: the output.
        names: PNN -> name of the node.

    Raises:
        ControllerError: the text is not that JSON.
    """
    return tuple(_registration(key, entry, names) for key, entry in parse_json(text)["registrations"].items())


def parse_json(text: str) -> dict[str, Any]:
    """Return the JSON that every `net witness` command prints.

    Raises:
        ControllerError: the text is not that JSON.
    """
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise ControllerError(f"net witness printed text that is not JSON: {text.strip()[:200]!r}") from error
    if not isinstance(parsed, dict) or "registrations" not in parsed:
        raise ControllerError(f"net witness printed JSON without registrations: {text.strip()[:200]!r}")
    return parsed


def _registration(key: str, entry: Mapping[str, Any], names: Mapping[int, str]) -> RegistrationView:
    auth = entry.get("auth", {})
    account = "\\".join(filter(None, (auth.get("domain_name"), auth.get("account_name"))))
    pnn = entry.get("server_id", {}).get("vnn")
    return RegistrationView(
        key=key,
        client_computer_name=entry["client_computer_name"],
        net_name=entry["net_name"],
        ip_address=entry["ip_address"],
        share_name=entry.get("share_name"),
        version=int(entry["version"], 16),
        flags=entry.get("flags", {}).get("int"),
        timeout=entry.get("timeout"),
        node=None if pnn is None else names.get(pnn, f"pnn {pnn}"),
        account=account or None,
        age=_age(entry.get("registration_time")),
    )


def _age(time_text: str | None) -> float | None:
    """Seconds since a registration was made, by the clock of this machine; None if it is not known."""
    if time_text is None:
        return None
    try:
        made = datetime.fromisoformat(time_text)
    except ValueError:
        return None
    return max((datetime.now(made.tzinfo) - made).total_seconds(), 0.0)


def exact_pattern(text: str) -> str:
    r"""Return a POSIX extended regular expression that matches only this text, for `net witness` filters.

    >>> exact_pattern("FS.example")
    '^FS\\.example$'
    """
    return "^" + re.sub(r"([][.*^$+?(){}|\\])", r"\\\1", text) + "$"


@dataclass(frozen=True, slots=True)
class InterfaceAddress:
    """One address of a node's interface, from `ip -o address show`."""

    interface: str
    address: str
    prefix_length: int


def parse_interfaces(text: str) -> tuple[InterfaceAddress, ...]:
    """Return the addresses in the output of `ip -o address show`."""
    found = re.finditer(r"^\d+:\s+([^\s@]+)(?:@\S+)?\s+inet6?\s+([0-9a-fA-F.:]+)/(\d+)", text, re.MULTILINE)
    return tuple(InterfaceAddress(match[1], match[2], int(match[3])) for match in found)


_SPECIAL_SECTIONS: Final = frozenset({"global", "homes", "printers", "print$", "ipc$"})
_YES: Final = frozenset({"yes", "true", "1", "on"})


def parse_shares(text: str) -> tuple[ShareView, ...]:
    r"""Return the shares in the output of `testparm -s`.

    With `clustering`, a share is scale-out unless `smb3 share cap:SCALE OUT` says otherwise.

    >>> parse_shares("[global]\n\tclustering = Yes\n[moving]\n\tsmb3 share cap:asymmetric = yes\n")
    (ShareView(name='moving', scale_out=True, asymmetric=True),)
    """
    sections: dict[str, dict[str, str]] = {}
    of_section: dict[str, str] = {}
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            of_section = sections.setdefault(line[1:-1], {})
        elif "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            of_section[name.strip().casefold()] = value.strip().casefold()
    clustered = sections.get("global", {}).get("clustering", "no") in _YES

    def has(values: Mapping[str, str], capability: str, *, default: bool) -> bool:
        value = values.get(f"smb3 share cap:{capability}")
        return default if value is None else value in _YES

    return tuple(
        ShareView(
            name,
            has(values, "scale out", default=clustered),
            has(values, "asymmetric", default=False),
        )
        for name, values in sections.items()
        if name.casefold() not in _SPECIAL_SECTIONS
    )
