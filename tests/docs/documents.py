"""Reads the documents of the project: code blocks, code spans, links."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "swn_torture"

#: Documents that a tool writes.
GENERATED = {"faults.md", "half-made-servers.md", "innocence.md", "mutation.md", "preconditions.md"}

#: Documents that people write.
WRITTEN = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "reports" / "README.md",
    *sorted(path for path in DOCS.glob("*.md") if path.name not in GENERATED),
]

_FENCE = re.compile(r"^```(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced code block.

    Attributes:
        info: what follows the opening fence, such as ``python``.
        text: its lines.
    """

    info: str
    text: str


def blocks(path: Path, info: str | None = None) -> list[Block]:
    """The code blocks of a document; only those whose info string begins with ``info``, if it is given."""
    found = [Block(*match) for match in _FENCE.findall(path.read_text(encoding="utf-8"))]
    return [block for block in found if info is None or block.info.split(" ")[0] == info]


def block_with(path: Path, text: str) -> str:
    """The one code block of a document that contains this text."""
    (found,) = [block.text for block in blocks(path) if text in block.text]
    return found


def prose(path: Path) -> str:
    """A document without its code blocks."""
    return _FENCE.sub("", path.read_text(encoding="utf-8"))


def code_spans(text: str) -> list[str]:
    """The code spans of a text, in order."""
    return _SPAN.findall(text)


def links(path: Path) -> list[str]:
    """The targets of the links of a document."""
    return _LINK.findall(prose(path))


def title(path: Path) -> str:
    """The path of a document below the project, as the id of a test."""
    return path.relative_to(ROOT).as_posix()


def clean_environment() -> dict[str, str]:
    """The environment for a run of pytest, without what the run of these tests has set for itself."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "SWN_"))}
