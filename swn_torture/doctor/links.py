"""One link between this machine and a run: whether it holds, and how to mend it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

State = Literal["ok", "broken", "not-checked", "note"]


@dataclass(frozen=True, slots=True)
class Link:
    """One link.

    Attributes:
        name: what was checked: ``endpoint mapper``.
        where: the node, or empty for the whole target.
        state: ``ok``; ``broken``: a run cannot begin, or a part of it cannot; ``not-checked``; ``note``: it
            does not hold, and no run needs it.
        text: what was found, or why it was not checked.
        mend: how to mend it; empty when it holds.
    """

    name: str
    where: str
    state: State
    text: str
    mend: str = ""

    @property
    def subject(self) -> str:
        """What was checked, and where."""
        return f"{self.where}: {self.name}" if self.where else self.name

    def line(self) -> str:
        """One line for a terminal."""
        word = {"ok": "ok", "broken": "BROKEN", "not-checked": "not checked", "note": "note"}[self.state]
        because = "because " if self.state == "not-checked" else ""
        return f"{word:<11}  {self.subject}: {because}{self.text}"


@dataclass(slots=True)
class Links:
    """All links so far, in order.

    Attributes:
        found: the links.
        tell: called with each link as soon as it was checked.
    """

    found: list[Link] = field(default_factory=list)
    tell: Callable[[Link], None] | None = field(default=None, repr=False)

    def __iter__(self) -> Iterator[Link]:
        return iter(self.found)

    def _add(self, link: Link) -> None:
        self.found.append(link)
        if self.tell is not None:
            self.tell(link)

    def ok(self, name: str, text: str, where: str = "") -> None:
        """A link that holds."""
        self._add(Link(name, where, "ok", text))

    def broken(self, name: str, text: str, mend: str, where: str = "") -> None:
        """A link that does not hold."""
        self._add(Link(name, where, "broken", text, mend))

    def note(self, name: str, text: str, mend: str = "", where: str = "") -> None:
        """Something that does not hold, and that no run needs."""
        self._add(Link(name, where, "note", text, mend))

    def not_checked(self, name: str, because: str, where: str = "") -> None:
        """A link that was not checked."""
        self._add(Link(name, where, "not-checked", because))

    @property
    def first_broken(self) -> Link | None:
        """The first link that does not hold."""
        return next((link for link in self.found if link.state == "broken"), None)

    def to_json(self) -> list[dict[str, Any]]:
        """As plain values."""
        return [asdict(link) for link in self.found]
