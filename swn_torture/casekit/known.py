"""What the earlier cases of a process found out about the answers of a target: later ones need not wait.

A server that does not answer a call makes every case wait for its deadline. After two cases found the same
silence, the others that rely on this call are not tested, at once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.dcerpc.errors import RpcError

#: What a server violates whose GetInterfaceList is not served.
LIST_SERVED = "SWN-3.1.4.1-returns-success"

#: So many cases must have found the same silence: one alone may be the result of what that case had sent.
ENOUGH = 2
#: Seconds after which one case tries again: a target that was only slow for a while is not left untested.
TRY_AGAIN_S = 30.0


class KnownAnswers:
    """Which calls that many cases rely on are answered, by the requirement that a missing answer violates.

    Each is kept for a place: usually the name of a node.

    Attributes:
        trusted: whether a missing answer says something. It does not if the server loses requests.
    """

    def __init__(self) -> None:
        self.trusted = True
        self._silent: dict[tuple[str, str], list[str]] = {}
        self._tried: dict[tuple[str, str], float] = {}
        self._served: set[tuple[str, str]] = set()

    def add_silence(self, requirement: str, place: str, case: str) -> None:
        """Record that a case waited without an answer."""
        if not self.trusted:
            return
        cases = self._silent.setdefault((requirement, place), [])
        if case not in cases:
            cases.append(case)
        self._tried[requirement, place] = time.monotonic()

    def add_service(self, requirement: str, place: str) -> None:
        """Record that the call was served, which makes earlier silences an exception."""
        self._served.add((requirement, place))
        self._silent.pop((requirement, place), None)

    def was_served(self, requirement: str, place: str) -> bool:
        """Whether the call was served to any case."""
        return (requirement, place) in self._served

    def silent(self, requirement: str, place: str) -> tuple[str, ...]:
        """The first cases that found the silence, if they are enough to rely on, and the last try is recent.

        Otherwise none: the case that asks then tries the call itself.
        """
        cases = self._silent.get((requirement, place), [])
        if len(cases) < ENOUGH:
            return ()
        if time.monotonic() - self._tried[requirement, place] > TRY_AGAIN_S:
            self._tried[requirement, place] = time.monotonic()
            return ()
        return tuple(cases[:ENOUGH])


@dataclass(frozen=True, slots=True)
class FailedBind:
    """A bind of ``Witness.connect`` that the server did not complete.

    Attributes:
        error: what was raised.
        node: index of the node.
        again: connects and binds again in the same way.
        ordinary: whether it is the bind that most cases begin with.
        other_account: whether it uses another account than that of the profile.
    """

    error: RpcError
    node: int
    again: Callable[[], Awaitable[Any]]
    ordinary: bool
    other_account: bool = False


class NotTestable(Exception):  # noqa: N818 - not an error: the target does not violate anything
    """The case cannot be run on the target as it is; the text is the reason in the report."""


class Blocked(NotTestable):
    """The case relies on a call that the target does not answer, as earlier cases found.

    Attributes:
        requirement: the requirement that the missing answer violates.
    """

    def __init__(self, requirement: str, why: str) -> None:
        self.requirement = requirement
        super().__init__(f"not tested because of {requirement}: {why}")
