"""Which requirements are close to each other: those of one section, and more widely, those of one subject.

Cases for a related requirement can see a fault, too: if the server accepts a NULL NetName, the case for NULL
pointers in stubs sees it as well as the case for NetName. If a case of an unrelated subject fails, the fault
or the case is not specific.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from swn_torture.spec import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Stands for the requirements on Register and RegisterEx that say what a registration holds. This is visible
#: only in what the server does with the registration later.
ENTRY = "entry"
#: Sections of MS-SWN, and topics of the transport, that say different things about one subject.
SUBJECTS = {
    "registering: both methods, their stubs, and the registration that they make": (
        *("3.1.4.2", "3.1.4.5", "3.1.1.3", "6", "RPC-STUB"),
    ),
    "what a registration holds, and when and of what it is notified": (
        *(ENTRY, "3.1.1.3", "3.1.4.4", "3.1.6.1", "3.1.6.2", "3.1.6.3", "3.1.6.4", "3.1.5.1", "3.1.5.2"),
        *("2.2.2.1", "2.2.2.2", "2.2.2.3", "2.2.2.4", "4.1"),
    ),
    "the interface list: its source, its content and its encoding": (
        *("3.1.4.1", "2.2.2.5", "2.2.2.6", "3.1.1.1", "3.1.1.2", "3.1.3"),
    ),
    "notifications: their causes, the pending calls, the responses and their encoding": (
        *("3.1.4.4", "2.2.2", "2.2.2.1", "2.2.2.2", "2.2.2.3", "2.2.2.4", "4.1"),
        *("3.1.6.1", "3.1.6.2", "3.1.6.3", "3.1.6.4", "RPC-CANCEL", "RPC-ORPHAN", "RPC-MPX"),
    ),
    "context handles: their encoding, their use and their end": (
        *("2.2.1.1", "2.2.1.2", "2.2.1.3", "3.1.4.3", "3.1.4.6", "RPC-CTXH", "RPC-ASSOC"),
    ),
    "timers, and what they end": (
        *("3.1.2.1", "3.1.2.2", "3.1.5.1", "3.1.5.2", "3.1.1.3", "3.1.4.4", "RPC-CONN"),
    ),
    "access": ("3.1.4", "5.1", "2.1", "RPC-AUTH", "RPC-VT"),
    "binding": (
        *("RPC-BIND", "RPC-IF", "RPC-XFER", "RPC-CTX", "RPC-CTXID", "RPC-ALTER", "RPC-BTF", "RPC-EPM"),
    ),
    "calls on a connection": (
        *("RPC-FRAG", "RPC-PDU", "RPC-CALLID", "RPC-MPX", "RPC-REQ", "RPC-CANCEL", "RPC-ORPHAN"),
    ),
    "stubs": ("RPC-STUB", "RPC-NDR", "2.2.1.1", "2.2.1.2", "2.2.2", "6"),
}
_OF_AN_ENTRY = re.compile(r"SWN-3\.1\.4\.[25]-.*(entry|initial|pending|share-flag|ip-flag|ppcontext|v2-no)")


#: Requirements that cases of every subject depend on, and why. No fault can violate one of them so that only
#: the cases of its own subject see it.
FOUNDATIONS = {
    "RPC-BTF-no-request": (
        "a bind without features has the same octets in every case, so that no server can distinguish "
        "them, and no client accepts a bind_ack with more results than it has proposed contexts"
    ),
    "SWN-3.1.4.1-count": (
        "a list with a wrong count cannot be read, and every case that registers reads the interface list"
    ),
    "SWN-3.1.4.1-returns-success": ("every case that registers reads an address from the interface list"),
}


def section_or_topic(requirement: str) -> str:
    """Return the section of MS-SWN, or for the transport, where sections overlap, the topic: ``RPC-FRAG``."""
    if requirement.startswith("RPC-"):
        return "-".join(requirement.split("-")[:2])
    return load_catalogue().requirements[requirement].section


def same_section(requirements: Iterable[str]) -> frozenset[str]:
    """Return these requirements and those of the same sections or topics."""
    return _requirements_of({section_or_topic(name) for name in requirements})


def related(requirements: Iterable[str]) -> frozenset[str]:
    """Return these requirements and all others of the same subjects."""
    names = set(requirements)
    sections = {section_or_topic(name) for name in names}
    if any(_OF_AN_ENTRY.match(name) for name in names):
        sections.add(ENTRY)
    subjects = (set(subject) for subject in SUBJECTS.values() if sections & set(subject))
    return _requirements_of(sections.union(*subjects))


def _requirements_of(sections: set[str]) -> frozenset[str]:
    return frozenset(name for name in load_catalogue().requirements if section_or_topic(name) in sections)
