"""A registration that is not notified: a check, or only a record if the server never had to decide."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from swn_torture.casekit.checks import Spec
from swn_torture.casekit.outcome import SILENCE
from swn_torture.casekit.rules.negatives import check_not_notified
from swn_torture.control.base import Capability
from swn_torture.control.none import NoController
from swn_torture.control.stimulus import Stimulus

RULE = "SWN-3.1.6.3-match"
LISTENER = cast("Any", SimpleNamespace(key="A", notifications=[], outcome=SILENCE))

BY_SERVER = Stimulus("as an event of the cluster")
BY_TOOL = Stimulus("by a tool", frozenset({"B"}), "The tool left it out.", "and by a message with its key")


def check(stimulus: Stimulus, *, notified: bool, key: str = "A") -> Any:
    """The check that one call makes."""
    spec = Spec("cluster.test", [RULE])
    listener = cast("Any", SimpleNamespace(**{**vars(LISTENER), "key": key}))
    check_not_notified(spec(RULE), stimulus, listener, notified=notified, note="another share")
    (made,) = spec.checks
    return made


@pytest.mark.parametrize("notified", [False, True])
def test_event_that_the_server_got_is_checked(*, notified: bool) -> None:
    made = check(BY_SERVER, notified=notified)
    assert made.passed is not notified
    assert made.observed == str(SILENCE)
    assert made.note == "another share; the event was sent as an event of the cluster"


def test_registration_that_the_tool_left_out_is_recorded() -> None:
    made = check(BY_TOOL, notified=False)
    assert made.passed is None
    assert made.note == "another share; only recorded: The tool left it out."


def test_notification_is_a_violation_in_any_case() -> None:
    made = check(BY_TOOL, notified=True)
    assert made.passed is False
    assert made.note == "another share; the event was sent by a tool"


def test_registration_that_was_sent_the_event_is_checked() -> None:
    made = check(BY_TOOL, notified=False, key="B")
    assert made.passed is True
    assert made.note == "another share; the event was sent by a tool; and by a message with its key"


def test_controller_that_does_not_say_it_reaches_nobody() -> None:
    stimulus = NoController().stimulus(Capability.DISABLE_NODE)
    assert not stimulus.reaches("A")
    assert check(stimulus, notified=False).passed is None
    assert (
        stimulus.left_out == "The none controller does not say whether the server selects the registrations."
    )
