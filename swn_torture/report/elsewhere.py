"""What Windows, Samba and other implementations are known to do about a requirement.

From the notes and the open points of the catalogue, and from the baselines of Samba that the package ships.
Nothing of it is measured by the run that is reported.
"""

from __future__ import annotations

import functools
import re
import tomllib
from typing import TYPE_CHECKING, Any

from swn_torture.shipped import fixtures_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swn_torture.spec import Catalogue

_IMPLEMENTATIONS = re.compile(r"\b(?:Windows|Samba|Microsoft|smbtorture)\b")


def known_elsewhere(requirement: str, catalogue: Catalogue) -> tuple[str, ...]:
    """What is known, one statement each.

    Args:
        requirement: id of a requirement.
        catalogue: the catalogue that has it.
    """
    row = catalogue.requirements.get(requirement)
    found = list(_samba().get(requirement, ()))
    if row is not None and _IMPLEMENTATIONS.search(row.notes):
        found.append(row.notes)
    for point in catalogue.ambiguities.values():
        if requirement in point.requirements:
            found += [
                f"{point.id}, {point.topic}: {reading}."
                for reading in point.readings
                if _IMPLEMENTATIONS.search(reading)
            ]
    return tuple(found)


@functools.cache
def _samba() -> Mapping[str, tuple[str, ...]]:
    """What the shipped baselines list, by requirement."""
    versions: dict[tuple[str, str], list[str]] = {}
    for path in sorted((fixtures_directory() / "baselines").glob("samba-*.toml")):
        baseline: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        for cause in baseline.get("cause", ()):
            requirements = dict.fromkeys(each["requirement"] for each in cause.get("finding", ()))
            for requirement in requirements if cause["class"] == "known" else ():
                version = path.stem.replace("samba-", "Samba ")
                versions.setdefault((requirement, cause["title"]), []).append(version)
    found: dict[str, list[str]] = {}
    for (requirement, title), names in versions.items():
        found.setdefault(requirement, []).append(f"{' and '.join(names)} in our lab: {title}.")
    return {requirement: tuple(texts) for requirement, texts in found.items()}
