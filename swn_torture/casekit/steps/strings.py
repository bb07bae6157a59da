"""Strings that no cluster has as a name, from the merely unusual to the hostile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit.outcome import CLOSED, faults

if TYPE_CHECKING:
    from swn_torture.casekit.outcome import Outcome

#: Well-formed text that a server has to read as it is, and that is nobody's name.
UNUSUAL = {
    "long": "XXXX" * 256,
    "not-ascii": "XXXXÄöß-漢字-Ωж",
    "not-bmp": "XXXX\U0001f409\U0001f5a7",
}

#: Text at or beyond the edge of what a string is. "{}" is replaced by something that would be right.
HOSTILE = {
    "64k": "X" * 0xFFFF,
    "lone-surrogate": "XXXX\ud800XXXX",
    "nul-first": "\0{}",
    "nul-inside": "{}\0XXXX",
}


def hostile(kind: str, right: str) -> str:
    """The hostile string of a kind; ``right`` is what the parameter should have been."""
    return HOSTILE[kind].format(right)


def endings(kind: str) -> tuple[Outcome, ...]:
    """How a call may end besides by its method's own code, if a parameter is such a string.

    No rule says whether an RPC runtime hands it on: an encoding that is none and a NUL before the end may be
    refused as bad stub data, and so may a string, or a request, of that size.
    """
    return (faults(), CLOSED) if kind == "64k" else (faults(),)
