"""Strings that are not the name of anything in a cluster: unusual ones, and hostile ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit.outcome import CLOSED, faults

if TYPE_CHECKING:
    from swn_torture.casekit.outcome import Outcome

#: Well-formed text. A server must accept it as a string; it is not a name of anything.
UNUSUAL = {
    "long": "XXXX" * 256,
    "not-ascii": "XXXXÄöß-漢字-Ωж",
    "not-bmp": "XXXX\U0001f409\U0001f5a7",
}

#: Text that is barely a valid string, or not one. "{}" is replaced by the valid value of the parameter.
HOSTILE = {
    "64k": "X" * 0xFFFF,
    "lone-surrogate": "XXXX\ud800XXXX",
    "nul-first": "\0{}",
    "nul-inside": "{}\0XXXX",
}


def hostile_string(kind: str, right: str) -> str:
    """The hostile string of a kind; ``right`` is the valid value of the parameter."""
    return HOSTILE[kind].format(right)


def runtime_refusals(kind: str) -> tuple[Outcome, ...]:
    """The outcomes by which the RPC runtime may reject a call with a hostile string of a kind.

    They are allowed besides the return values of the method. No requirement says whether the RPC runtime
    passes the string to the method. It may reject as bad stub data text that is not valid UTF-16, a null
    character before the end, and a string or a request of this size.
    """
    return (faults(), CLOSED) if kind == "64k" else (faults(),)
