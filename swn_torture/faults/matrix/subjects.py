"""Which rules are neighbours: those of one section, and wider, those that speak of one subject.

A fault in what one rule says shows to its neighbours, too: a NULL NetName that is taken is seen by the case
for NULL pointers in stubs as well as by the one for NetName. A case for something else that fails is a blur.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from swn_torture.spec import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Sections of MS-SWN, and topics of the transport, that say different things of one subject. `ENTRY` stands
#: for those rows of registering that say what an entry holds, which shows only in what becomes of it.
ENTRY = "entry"
SUBJECTS = {
    "registering: two methods, their stubs, and the entry they make": (
        *("3.1.4.2", "3.1.4.5", "3.1.1.3", "6", "RPC-STUB"),
    ),
    "what an entry holds, and what is told by it, by whom and in what circumstances": (
        *(ENTRY, "3.1.1.3", "3.1.4.4", "3.1.6.1", "3.1.6.2", "3.1.6.3", "3.1.6.4", "3.1.5.1", "3.1.5.2"),
        *("2.2.2.1", "2.2.2.2", "2.2.2.3", "2.2.2.4", "4.1"),
    ),
    "the interface list, what it is made of and how it looks": (
        *("3.1.4.1", "2.2.2.5", "2.2.2.6", "3.1.1.1", "3.1.1.2", "3.1.3"),
    ),
    "notifications: their causes, the calls that wait for them, the answers, their form": (
        *("3.1.4.4", "2.2.2", "2.2.2.1", "2.2.2.2", "2.2.2.3", "2.2.2.4", "4.1"),
        *("3.1.6.1", "3.1.6.2", "3.1.6.3", "3.1.6.4", "RPC-CANCEL", "RPC-ORPHAN", "RPC-MPX"),
    ),
    "handles: how they look, what they are good for, how they end": (
        *("2.2.1.1", "2.2.1.2", "2.2.1.3", "3.1.4.3", "3.1.4.6", "RPC-CTXH", "RPC-ASSOC"),
    ),
    "timers, and what waits for them": (
        "3.1.2.1",
        "3.1.2.2",
        "3.1.5.1",
        "3.1.5.2",
        "3.1.1.3",
        "3.1.4.4",
        "RPC-CONN",
    ),
    "who may call": ("3.1.4", "5.1", "2.1", "RPC-AUTH", "RPC-VT"),
    "negotiation": (
        *("RPC-BIND", "RPC-IF", "RPC-XFER", "RPC-CTX", "RPC-CTXID", "RPC-ALTER", "RPC-BTF", "RPC-EPM"),
    ),
    "calls on a connection": ("RPC-FRAG", "RPC-CALLID", "RPC-MPX", "RPC-REQ", "RPC-CANCEL", "RPC-ORPHAN"),
    "stubs": ("RPC-STUB", "RPC-NDR", "2.2.1.1", "2.2.1.2", "2.2.2", "6"),
}
_OF_AN_ENTRY = re.compile(r"SWN-3\.1\.4\.[25]-.*(entry|initial|pending|share-flag|ip-flag|ppcontext|v2-no)")


#: What cases of every subject stand on, and why: there is no way to break it that only its own cases see.
FOUNDATIONS = {
    "RPC-BTF-no-request": (
        "a bind without features has the same octets whichever case sends it, so that no server can tell one "
        "from the other, and no client takes a bind_ack with more results than it has proposed contexts"
    ),
    "SWN-3.1.4.1-count": (
        "a list whose count and array disagree cannot be read, and every case that registers reads one before"
    ),
    "SWN-3.1.4.1-returns-success": "every case that registers reads an address of the interface list before",
}


def place(requirement: str) -> str:
    """The section of MS-SWN; of the transport's rows, whose sections overlap, the topic: ``RPC-FRAG``."""
    if requirement.startswith("RPC-"):
        return "-".join(requirement.split("-")[:2])
    return load_catalogue().requirements[requirement].section


def neighbours(requirements: Iterable[str]) -> frozenset[str]:
    """These requirements and those of the same sections: a fault may show where it was not expected."""
    return _at({place(name) for name in requirements})


def related(requirements: Iterable[str]) -> frozenset[str]:
    """These requirements and all that speak of the same subjects."""
    names = set(requirements)
    places = {place(name) for name in names}
    if any(_OF_AN_ENTRY.match(name) for name in names):
        places.add(ENTRY)
    related = (set(subject) for subject in SUBJECTS.values() if places & set(subject))
    return _at(places.union(*related))


def _at(places: Iterable[str]) -> frozenset[str]:
    wanted = set(places)
    return frozenset(name for name in load_catalogue().requirements if place(name) in wanted)
