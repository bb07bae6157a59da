"""How a case ends, apart from all its checks being met: exceptions that the result is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _pytest.outcomes import Skipped

from swn_torture.casekit.facts import PROFILE_SAYS_NONE

if TYPE_CHECKING:
    from swn_torture.casekit.facts import BrokenMethod


class Violation(AssertionError):  # noqa: N818 - a finding, not an error
    """A case found at least one violation; the text is the findings."""


class NotRun(Skipped):
    """A case is not run because a method that it depends on serves no client.

    Attributes:
        because: the requirement that the method violates.
    """

    def __init__(self, broken: BrokenMethod) -> None:
        self.because = "" if broken.requirement == PROFILE_SAYS_NONE else broken.requirement
        said = f"not tested because of {broken.requirement}: {broken.observed}"
        none = 'needs authentication; the profile says auth = "none" in [account]'
        super().__init__(said if self.because else none)


class CaseError(Exception):
    """The harness or the target could not be used. This says nothing about conformance."""
