"""Checks that a registration is not notified of an event that is not for it (MS-SWN 3.1.6).

The check means something only if the server had to decide about the registration. A tool of the cluster may
have left it out by itself. Then a notification would still be a violation, but its absence is only recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swn_torture.casekit.checks import Rule
    from swn_torture.casekit.steps.listeners import Listener
    from swn_torture.control.stimulus import Stimulus


def check_not_notified(
    rule: Rule,
    stimulus: Stimulus,
    listener: Listener,
    *,
    notified: bool,
    expected: str = "no notification",
    observed: object = None,
    note: str = "",
) -> None:
    """Check that an event did not notify a registration that it is not for.

    Args:
        rule: the rules that say for which registrations the event is.
        stimulus: how the event was sent.
        listener: the registration.
        notified: whether it was notified of the event.
        expected: what is allowed, in words.
        observed: what was observed; by default all that the registration received.
        note: which registration this is.
    """
    seen = observed or "; ".join(map(str, listener.notifications)) or listener.outcome
    if not notified and not stimulus.reaches(listener.key):
        rule.record(seen, "; ".join(filter(None, (note, f"only recorded: {stimulus.left_out}"))))
        return
    sent = f"the event was sent {stimulus.sent_to(listener.key)}"
    rule.holds(not notified, expected=expected, observed=seen, note="; ".join(filter(None, (note, sent))))
