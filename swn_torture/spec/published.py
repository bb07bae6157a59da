"""Where the cited sections are published: a link for each requirement.

The pages are in ``published.toml`` in the same directory. Nothing is fetched.
"""

from __future__ import annotations

import functools
import re
import tomllib
from importlib import resources
from typing import Any


def published(cite: str) -> str:
    """Return the address of a section in the published documentation; empty if its document is not known.

    A section without a page of its own has the page of its document.

    Args:
        cite: document and section, as `Requirement.cite`: ``MS-SWN 3.1.4.2``. Of several, the first counts.
    """
    name, _, rest = cite.partition(" ")
    document = _documents().get(name)
    if document is None:
        return ""
    section = re.match(r"[\d.]*\d", rest)
    page = document.get("sections", {}).get(section[0] if section else "", document["document"])
    return f"{document['base']}{page}"


@functools.cache
def _documents() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("published.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
