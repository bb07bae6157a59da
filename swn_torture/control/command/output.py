r"""Reads what a command of a profile printed: JSON, or lines that match a pattern. No I/O.

A pattern has a named group for each field; lines that do not match are left out::

    lines = '(?P<name>\S+) +(?P<state>\S+) +(?P<addresses>.*)'

For JSON, `json` is the path of the list, and `fields` the path of each field in an element. A path is made
of keys with dots between them; ``*`` stands for all elements. Where the list is an object, its values are
the elements, and ``@key`` is the key of an element::

    json = "result.nodes"
    fields = { name = "@key", state = "status", addresses = "interfaces.*.ip" }

A field that `fields` does not name has its own name as its path.
"""

# A wrong setting is a ValueError, whatever is wrong with it.
# ruff: noqa: TRY004

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from swn_torture.control.base import ControllerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_KEY: Final = "@key"


@dataclass(frozen=True, slots=True)
class Shown:
    """How the output of one command is read.

    Attributes:
        where: its key in the profile, for errors.
        json: the path of the list; None if the output is lines.
        fields: field -> path in an element of the list.
        lines: the pattern of a line; None if the output is JSON.
        states: a word of the output, in lower case -> what it means here.
    """

    where: str
    json: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    lines: re.Pattern[str] | None = None
    states: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_setting(
        cls,
        table: Any,
        where: str,
        *,
        required: tuple[str, ...],
        known: tuple[str, ...],
        states: tuple[str, ...],
    ) -> Self:
        """Make it from the table of a command.

        Args:
            table: of the profile.
            where: its key.
            required: the fields that the output must have.
            known: all fields.
            states: what a state can mean; empty where the output has no state.

        Raises:
            ValueError: a key is missing or wrong; the text names it.
        """
        if not isinstance(table, dict) or ("json" in table) == ("lines" in table):
            raise ValueError(
                f"{where} must be a table with run and either json (the path of the list) or lines (a "
                "pattern with a named group for each field)"
            )
        words = _states(table.get("states", {}), states, where)
        if "lines" in table:
            pattern = _pattern(table["lines"], where)
            _check_fields(pattern.groupindex, required, known, f"{where}: the groups of lines")
            return cls(where, lines=pattern, states=words)
        paths = table.get("fields", {})
        if not isinstance(table["json"], str) or not _is_text(paths):
            raise ValueError(f"{where}: json must be a path, and fields a table of paths")
        _check_fields(paths, (), known, f"{where}: fields")
        named = {name: name for name in known} | paths
        return cls(where, json=table["json"], fields=named, states=words)

    def read(self, text: str) -> list[dict[str, Any]]:
        """Return the fields of each element or line. A field that is missing or null is left out.

        Raises:
            ControllerError: the text is not JSON, or has no list at the path.
        """
        if self.lines is not None:
            found = filter(None, map(self.lines.search, text.splitlines()))
            return [{k: v for k, v in match.groupdict().items() if v is not None} for match in found]
        assert self.json is not None
        try:
            parsed = json.loads(text)
        except ValueError as problem:
            raise ControllerError(
                f"{self.where} printed text that is not JSON: {text.strip()[:200]!r}"
            ) from problem
        listed = _find(parsed, self.json)
        if isinstance(listed, dict):
            elements: list[Any] = [(key, value) for key, value in listed.items()]
        elif isinstance(listed, list):
            elements = [(None, value) for value in listed]
        else:
            raise ControllerError(
                f"{self.where} printed JSON without a list at {self.json!r}: {text.strip()[:200]!r}"
            )
        rows = []
        for key, value in elements:
            row = {name: key if path == _KEY else _find(value, path) for name, path in self.fields.items()}
            rows.append({name: each for name, each in row.items() if each is not None})
        return rows

    def state(self, word: Any) -> str:
        """What a word of the output means.

        Raises:
            ControllerError: it is not one of `states`.
        """
        text = str(word).strip().casefold()
        if text not in self.states:
            raise ControllerError(
                f"{self.where} printed the unknown state {word!r}; add it to states in the profile, as in "
                f'states = {{ down = ["{word}"] }}'
            )
        return self.states[text]


def addresses_in(value: Any) -> tuple[str, ...]:
    """The addresses in a field: a list, or a text with spaces or commas; a prefix length is left out.

    >>> addresses_in("192.0.2.1/24, 2001:db8::1")
    ('192.0.2.1', '2001:db8::1')
    """
    words = value if isinstance(value, list) else re.split(r"[\s,;]+", str(value))
    return tuple(str(word).partition("/")[0] for word in words if word and word != "-")


def truth(value: Any) -> bool:
    """Whether a field says yes: true, 1, yes or the like."""
    return str(value).strip().casefold() in {"true", "1", "yes", "y", "on"}


def _find(value: Any, path: str) -> Any:
    found = list(_walk(value, path.split(".") if path else []))
    if "*" in path.split("."):
        return found
    return found[0] if found else None


def _walk(value: Any, path: list[str]) -> Iterator[Any]:
    if not path:
        yield value
        return
    key, *rest = path
    if key == "*":
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from _walk(each, rest)
    elif isinstance(value, dict) and key in value:
        yield from _walk(value[key], rest)


def _states(table: Any, known: tuple[str, ...], where: str) -> dict[str, str]:
    words = {name.casefold(): name for name in known}
    if not isinstance(table, dict):
        raise ValueError(f"{where}: states must be a table, as in {{ ok = ['UP'] }}")
    for name, listed in table.items():
        if name not in known:
            raise ValueError(f"{where}: unknown state {name!r}; known: {', '.join(known) or 'none'}")
        if not isinstance(listed, list):
            raise ValueError(f"{where}: states.{name} must be a list of words of the output")
        words |= {str(word).casefold(): name for word in listed}
    return words


def _pattern(text: Any, where: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except (re.error, TypeError) as problem:
        raise ValueError(f"{where}: lines must be a regular expression: {problem}") from problem


def _check_fields(
    found: Mapping[str, Any], required: tuple[str, ...], known: tuple[str, ...], what: str
) -> None:
    for name in required:
        if name not in found:
            raise ValueError(f"{what} have no {name}; known: {', '.join(known)}")
    for name in found:
        if name not in known:
            raise ValueError(f"{what} have the unknown {name!r}; known: {', '.join(known)}")


def _is_text(table: Any) -> bool:
    return isinstance(table, dict) and all(isinstance(value, str) for value in table.values())
