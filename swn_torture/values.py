"""Values that programs make by the thousand: frozen dataclasses for the type checker, and cheap to make.

A frozen dataclass sets each field of a new object by a call of ``object.__setattr__``. Then an object takes
two to three times as long to make. That was a tenth of the time of a server, which makes a dozen of such
objects for each call of a client. :func:`value_class` leaves the check of assignments to the type checker,
which looks at the whole program and its tests. Nothing else differs from ``dataclasses.dataclass``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["value_class"]

if TYPE_CHECKING:
    from dataclasses import dataclass as value_class
else:
    from dataclasses import dataclass
    from functools import partial

    def value_class(**options):
        """Return a decorator of classes, as ``dataclass(frozen=True, ...)`` does."""
        if not options.pop("frozen", False):
            raise TypeError("a value is frozen: write @value_class(frozen=True, ...)")
        return partial(dataclass, unsafe_hash=options.get("eq", True), **options)
