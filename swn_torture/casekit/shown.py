"""Values as text for a report: never as Python writes them."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum, IntEnum, IntFlag
from typing import Any, Final

from swn_torture.visible import visible

LONGEST: Final = 4000
"""Characters of a value in a report. A target can send a string of megabytes."""

#: What only Python writes: octets, objects, enumeration members, dataclasses, lists of tuples or of strings.
_PYTHON = re.compile(
    r"""
    (?<![\w.-])b(?:'|")                # b'\x00'
    | <[\w.]+\ object\ at\ 0x          # <Name object at 0x7f...>
    | <\w+(?:\.\w+)+:\ | <\w+\.\w+>    # <Kind.MEMBER: 1>
    | \[[(\[{'"] | \([(\[{'"] | \{'    # [(  [[  ['  (('  {'
    | ^\[.*\]$ | ^\(.*,\)$             # [1, 2]  (1,)
    | (?<![\w(.])[A-Z]\w+\(\w+=        # Name(field=
    | ^(?:None|True|False)$ | (?<!\w)(?:None|True|False)[,;)\]}]
    """,
    re.VERBOSE,
)


def shown(value: object) -> str:
    """A value as text for a report.

    Octets are shown in hexadecimal, None as ``none``, a bool as ``yes`` or ``no``, a collection with commas
    between its values (a set in order), an enumeration member by symbol and value. Text is shown as it is,
    but quoted when it is empty or when a reader could not see its limits. Any other value is shown as
    ``str``.
    """
    return _limited(_shown(value))


def _limited(text: str) -> str:
    """Visible text, without the end of a very long one. The octets of the case have all of it."""
    text = visible(text, keep="\n")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def _shown(value: object) -> str:
    for kinds, show in _SHOW:
        if isinstance(value, kinds):
            return show(value)
    if type(value).__str__ is not object.__str__:
        return str(value)
    if dataclasses.is_dataclass(value):
        return ", ".join(f"{f.name} {shown(getattr(value, f.name))}" for f in dataclasses.fields(value))
    return _values(value) if isinstance(value, Iterable) else str(value)


def quoted(text: str) -> str:
    """Text in quotation marks; characters that cannot be printed are shown as escapes."""
    if not text.isprintable():
        text = text.encode("unicode_escape").decode("ascii")
    return f'"{text}"'


def _text(value: str) -> str:
    plain = value.isprintable() and value.strip() == value != ""
    return value if plain else quoted(value)


def _member(value: IntEnum | IntFlag) -> str:
    return f"{value.name} ({int(value):#x})" if value.name else f"{int(value):#x}"


def _values(value: Iterable[object]) -> str:
    return ", ".join(map(shown, value)) or "none"


#: How values of some types are shown; the first match counts.
_SHOW: tuple[tuple[type | tuple[type, ...], Callable[[Any], str]], ...] = (
    (type(None), lambda _: "none"),
    (bool, lambda value: "yes" if value else "no"),
    (str, _text),
    ((bytes, bytearray, memoryview), lambda value: bytes(value).hex(" ") or "no octets"),
    ((IntEnum, IntFlag), _member),
    (Enum, lambda value: str(value.value)),
    (BaseException, lambda value: str(value) or type(value).__name__),
    (Mapping, lambda value: _values(f"{shown(name)}: {shown(each)}" for name, each in value.items())),
    ((set, frozenset), lambda value: ", ".join(sorted(map(shown, value))) or "none"),
)


def require_text(text: str) -> str:
    """The text itself, unless it looks as Python writes a value.

    Raises:
        ValueError: it looks like that; the case must use ``shown``, or words.
    """
    found = _PYTHON.search(text)
    if found:
        raise ValueError(
            f"A report must not contain a value as Python writes it: {quoted(text)} (at {found.start()}). "
            "Use casekit.shown.shown()."
        )
    return text


def in_words(text: str) -> str:
    """The text, with every value as Python writes it replaced as well as possible.

    For the text of a finding: to lose it because of how a value is written would be worse.
    """
    if _PYTHON.search(text) is None:
        return text
    for pattern, replacement in _REPLACED:
        text = pattern.sub(replacement, text)
    return text if _PYTHON.search(text) is None else text.translate(_BRACKETS)


_REPLACED: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"""(?<![\w.-])b('[^']*'|"[^"]*")"""), lambda found: _octets(found[0])),
    (re.compile(r"<([\w.]+) object at 0x[0-9a-f]+>"), r"\1"),
    (re.compile(r"<\w+(?:\.\w+)*\.(\w+)(?:: [^>]*)?>"), r"\1"),
    (re.compile(r"\b(None|True|False)\b"), lambda found: {"None": "none", "True": "yes"}.get(found[0], "no")),
)
_BRACKETS = {ord(sign): None for sign in "[](){}'"}


def _octets(literal: str) -> str:
    try:
        return shown(ast.literal_eval(literal))
    except (SyntaxError, ValueError):
        return literal[2:-1]
