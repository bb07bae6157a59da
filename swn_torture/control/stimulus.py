"""How a controller caused an event, and which registrations the server itself had to decide about.

A check "this registration is not notified" means something only if the server could have notified it. Some
tools of a cluster select the registrations themselves, and send the server a message for each of them. Then
the server has no chance to notify a registration that the tool left out.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stimulus:
    """How an event was caused."""

    how: str
    """In plain words, as the end of a sentence that begins with "sent": "by `net witness`, ..."."""
    reached: frozenset[str] | None = None
    """The keys of the registrations that the event is not for and that it was sent to all the same.

    None: the server got the event itself, and compares it with all of its registrations.
    """
    left_out: str = ""
    """Why the server did not have to decide about the others, as a sentence."""
    directly: str = ""
    """How the event was sent to those of `reached`, in plain words."""

    def reaches(self, key: str) -> bool:
        """Whether it was the server that had to decide about this registration, which the event is not for.

        Args:
            key: the `RegistrationView.key` of the registration.
        """
        return self.reached is None or key in self.reached

    def sent_to(self, key: str) -> str:
        """How the event was sent, and how it was sent to this registration, in plain words."""
        if self.reached is None or key not in self.reached:
            return self.how
        return f"{self.how}; {self.directly}"
