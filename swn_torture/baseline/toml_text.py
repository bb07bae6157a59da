"""TOML text of the generated parts of a baseline: lists that a person can read and diff can compare."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: Longest line, as far as the texts allow it.
WIDTH = 110

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def text_of(value: str) -> str:
    """A text in quotes; in single ones where that avoids escapes."""
    plain = value.isprintable() and "'" not in value
    if plain and ('"' in value or "\\" in value):
        return f"'{value}'"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def key_of(name: str) -> str:
    """A key, in quotes where TOML needs them."""
    return name if _BARE.fullmatch(name) else text_of(name)


def list_of(values: Sequence[str]) -> str:
    """A list of texts, on one line if it is short, else one text on each line."""
    one = f"[{', '.join(map(text_of, values))}]"
    if len(one) <= WIDTH - 30 or len(values) == 1:
        return one
    return "\n".join(["[", *(f"  {text_of(value)}," for value in values), "]"])


def filled(values: Iterable[str]) -> str:
    """A list of short texts, as many on each line as fit."""
    lines = ["["]
    for value in values:
        item = f"{text_of(value)},"
        if len(lines) > 1 and len(lines[-1]) + 1 + len(item) <= WIDTH:
            lines[-1] += f" {item}"
        else:
            lines.append(f"  {item}")
    if len(lines) == 2 and len(lines[1]) < WIDTH - 30:
        return f"[{lines[1].strip().rstrip(',')}]"
    return "\n".join([*lines, "]"])


def table(head: str, entries: Mapping[str, Sequence[str]]) -> list[str]:
    """A table of lists of texts, as lines; none for an empty table."""
    if not entries:
        return []
    return ["", f"[{head}]", *(f"{key_of(name)} = {list_of(values)}" for name, values in entries.items())]
