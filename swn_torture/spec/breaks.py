"""Marks a value of a server's option as one that does not follow the specification."""

from __future__ import annotations

from typing import Any, NamedTuple


class Breaks(NamedTuple):
    """Metadata of an option: with one of its values, the server does not follow some requirements.

    The value exists on purpose, because a known server behaves like this, or because a client developer
    wants to see it. For a MUST the suite reports a violation, for a SHOULD a deviation. The innocence matrix
    expects exactly these, and counts every other finding as a false alarm.

    Attributes:
        value: the value, as a profile writes it; ``...`` for every value but the default.
        requirements: ids in the catalogue. The suite must find each of them broken.
        consequences: ids of other requirements that cases may find broken because of this, such as those of a
            call that ends too early.
    """

    value: Any
    requirements: tuple[str, ...]
    consequences: tuple[str, ...] = ()
