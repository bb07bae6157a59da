"""Markdown of the documents, turned into what the site reads; and plain text as Markdown."""

from __future__ import annotations

import re

_FENCE = re.compile(r"^( *)(```+)(\S*).*$")
_ITEM = re.compile(r"^( *)((?:[-*+]|\d+\.) +)\S")
_LINK = re.compile(r"(\[[^\]]*\])\(([^)\s]+)\)")


def plain(text: str) -> str:
    """Return text as Markdown in which no character has a meaning, also inside a table."""
    escaped = re.sub(r"([\\`*_\[\]|#])", r"\\\1", " ".join(text.split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def adapted(text: str) -> str:
    """Return a document in the dialect of Python-Markdown.

    It wants a blank line before a list, four columns for what belongs to an item, and one word after a fence.
    """
    lines: list[str] = []
    shift = offset = 0
    fence = ""
    for line in text.splitlines():
        mark = _FENCE.match(line)
        item = None if fence or mark else _ITEM.match(line)
        indent = len(line) - len(line.lstrip())
        if line.strip() and not fence and indent < offset and not item:
            shift = offset = 0
        if item and len(item[1]) == 0:
            offset = len(item[2])
            shift = 4 - offset
            if lines and lines[-1].strip() and not _in_list(lines):
                lines.append("")
        added = " " * shift if indent >= offset > 0 and line.strip() else ""
        if mark:
            fence = "" if fence else mark[2]
            line = f"{mark[1]}{mark[2]}{mark[3]}" if fence else line  # noqa: PLW2901
        lines.append(added + line)
    return "\n".join(lines) + "\n"


def _in_list(lines: list[str]) -> bool:
    """Whether the last paragraph begins with an item."""
    for line in reversed(lines):
        if not line.strip():
            return False
        if _ITEM.match(line):
            return True
    return False


def links(text: str) -> list[str]:
    """The targets of the links of a document, those in its code blocks left out."""
    return [target for line in _prose(text) for _, target in _LINK.findall(line)]


def relinked(text: str, change: dict[str, str]) -> str:
    """Return a document with other targets of its links."""
    fence = False
    lines = []
    for line in text.splitlines():
        fence ^= bool(_FENCE.match(line))
        lines.append(line if fence else _LINK.sub(lambda m: f"{m[1]}({change.get(m[2], m[2])})", line))
    return "\n".join(lines) + "\n"


def _prose(text: str) -> list[str]:
    fence = False
    found = []
    for line in text.splitlines():
        fence ^= bool(_FENCE.match(line))
        found += [] if fence else [line]
    return found
