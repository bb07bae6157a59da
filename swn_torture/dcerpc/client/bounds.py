"""What a client accepts from a server at most, so that no server can fill its memory or take all its time."""

from __future__ import annotations

from typing import Final

MAX_RESPONSE: Final = 4 * 1024 * 1024
"""Octets of stub data in the largest response that the client accepts: an interface list of 7,000 entries.
MS-RPCE 3.3.3.5.4 has the same limit for requests.

So a response without an end neither fills the memory nor takes the whole deadline of the call."""

MAX_FRAGMENTS: Final = 4096
"""Fragments of the longest response that the client accepts. With fragments of 2048 octets, the smallest size
that Windows and Samba negotiate, a response of 4 MiB has half as many. Empty ones never reach that size."""

MAX_UNEXPECTED: Final = 1000
"""PDUs that answer nothing and that nobody has read. One more is an error."""

MAX_LEGS: Final = 16
"""Legs of one authentication. Kerberos and NTLM need two or three; a server may always want one more."""

MAX_RECORDED: Final = 16 * 1024 * 1024
"""Octets received on one connection that the transcript keeps."""

RECORDED_AFTER_ERROR: Final = 64 * 1024
"""Octets that the transcript keeps after an error that ends the reading. The peer may send without end."""


class Recording:
    """How much of what one connection receives the transcript keeps: the beginning, without a gap."""

    def __init__(self) -> None:
        self._left = MAX_RECORDED

    def take(self, size: int) -> bool:
        """Return whether to keep the next octets. After a portion that is too large, nothing is kept."""
        fits = size <= self._left
        self._left = self._left - size if fits else 0
        return fits

    def ended_by_error(self) -> None:
        """Keep only a little more, because nothing more is read."""
        self._left = min(self._left, RECORDED_AFTER_ERROR)
