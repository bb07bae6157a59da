"""Loads the catalogue, and rejects one that contradicts itself.

The data is in ``catalogue.toml`` in the same directory; the head of that file explains every field.
"""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from swn_torture.spec.published import published

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Level = Literal["MUST", "MUST NOT", "SHOULD", "MAY", "product", "implied"]
Role = Literal["server", "client", "wire"]

#: A failed check at one of these levels is a violation. ``implied`` is what follows from the IDL, a table or
#: the text of a rule; it binds as the rule does. This can be disputed, so the notes of the row say how.
BINDING: frozenset[str] = frozenset({"MUST", "MUST NOT", "implied"})


class CatalogueError(Exception):
    """The catalogue contradicts itself: a repeated id, an unknown value, or a reference to an unknown id."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One normative statement.

    Attributes:
        id: stable, ``SWN-<section>-<slug>`` or ``RPC-<slug>``.
        section: the section of the source that has the statement.
        level: how strongly it binds; ``product`` rows are notes of Appendix B about Windows.
        role: what it binds: the server, the client, or the octets on the wire.
        source: the document.
        revision: the revision of MS-SWN that has it: ``both``, ``11.0``, ``14.0`` or ``n/a``.
        text: the statement in our own words.
        observable: whether a test can observe it, if it can change the cluster.
        how: the test, with every allowed outcome.
        needs: what the test needs besides a connection: cluster-event, timer, multi-node, auth, share.
        notes: ambiguities, and how implementations differ.
        record_only: no outcome is a violation; the report shows what the target chose.
        same_as: ids of requirements with a test that also covers this one.
        product: of a note of Appendix B, the products that it is about; empty for all other rows.
    """

    id: str
    section: str
    level: Level
    role: Role
    source: str
    revision: str
    text: str
    observable: bool
    how: str
    needs: tuple[str, ...]
    notes: str
    record_only: bool = False
    same_as: tuple[str, ...] = ()
    product: str = ""

    @property
    def apart(self) -> Literal["", "client", "unobservable", "product"]:
        """Why a verdict on a server does not count it; empty where it does.

        A rule that binds the client, or that nobody can observe; a note about a product, which says nothing
        about any other server (MS-SWN appendix B: notes describe the behaviour of Windows).
        """
        if self.role == "client":
            return "client"
        if not self.observable:
            return "unobservable"
        return "product" if self.level == "product" else ""

    @property
    def binding(self) -> bool:
        """Whether a failed check of it is a violation, and not a deviation or a record."""
        return self.level in BINDING and not self.record_only

    @property
    def judged(self) -> bool:
        """Whether a check of it can fail. Records, MAY rows and notes about products cannot."""
        return not self.record_only and self.level not in {"MAY", "product"}

    @property
    def cite(self) -> str:
        """The document and the section: ``MS-SWN 3.1.4.2``."""
        return self.section if re.match(r"(C706|MS-)", self.section) else f"MS-SWN {self.section}"

    @property
    def url(self) -> str:
        """The address of the section, or else of the document, in the published documentation."""
        return published(self.cite)


@dataclass(frozen=True, slots=True)
class Ambiguity:
    """A statement of the specification that is open, or that another one contradicts.

    Attributes:
        id: ``AMB-<n>``.
        topic: its subject in a few words.
        text: the gap or the contradiction.
        readings: every known reading, with the implementations that follow it.
        requirements: ids of the requirements that it affects.
    """

    id: str
    topic: str
    text: str
    readings: tuple[str, ...]
    requirements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All requirements and ambiguities by id, in the order of the file."""

    revision: str
    requirements: Mapping[str, Requirement]
    ambiguities: Mapping[str, Ambiguity]

    def observable(self, *roles: Role) -> list[Requirement]:
        """Return the observable requirements with these roles, or with any role if none is given."""
        return [r for r in self.requirements.values() if r.observable and (not roles or r.role in roles)]

    def closest(self, unknown: str) -> list[str]:
        """Return up to three known ids that are similar to an unknown one, for an error message."""
        import difflib

        return difflib.get_close_matches(unknown, [*self.requirements, *self.ambiguities], n=3, cutoff=0.5)


Row = TypeVar("Row", Requirement, Ambiguity)


def section_key(section: str) -> tuple[tuple[int, int | str], ...]:
    """Return a sort key that puts 3.1.4.2 before 3.1.4.10, and words after numbers."""
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"[.\s]+", section))


@functools.cache
def load_catalogue() -> Catalogue:
    """Return the catalogue of this package. The first call reads it, in about 0.1 s.

    Raises:
        CatalogueError: the data contradicts itself.
    """
    text = resources.files(__package__).joinpath("catalogue.toml").read_text(encoding="utf-8")
    return parse_catalogue(tomllib.loads(text))


@functools.cache
def load_untestable() -> Mapping[str, str]:
    """Return, by requirement id, the reason why an observable requirement has no case.

    Raises:
        CatalogueError: an id is unknown or repeated, or a reason is empty.
    """
    text = resources.files(__package__).joinpath("untestable.toml").read_text(encoding="utf-8")
    known = load_catalogue().requirements
    reasons: dict[str, str] = {}
    for row in tomllib.loads(text)["untestable"]:
        if row["id"] not in known or row["id"] in reasons or not row["reason"]:
            raise CatalogueError(f"untestable.toml: {row['id']} is unknown, repeated, or without a reason")
        reasons[row["id"]] = row["reason"]
    return reasons


def parse_catalogue(data: Mapping[str, Any]) -> Catalogue:
    """Build a catalogue from parsed TOML.

    Args:
        data: the parsed ``catalogue.toml``.

    Raises:
        CatalogueError: an id is repeated, a value or a reference is unknown, or a field is missing.
    """
    requirements = _by_id(_requirement(row) for row in data["requirement"])
    ambiguities = _by_id(_ambiguity(row) for row in data["ambiguity"])
    for requirement in requirements.values():
        for other in requirement.same_as:
            if other not in requirements:
                raise CatalogueError(f"{requirement.id}: same_as names {other}, which is unknown")
        for mentioned in re.findall(r"\bAMB-\d+\b", requirement.notes):
            if mentioned not in ambiguities:
                raise CatalogueError(f"{requirement.id}: the notes name {mentioned}, which is unknown")
    for ambiguity in ambiguities.values():
        for other in ambiguity.requirements:
            if other not in requirements:
                raise CatalogueError(f"{ambiguity.id}: names requirement {other}, which is unknown")
    return Catalogue(revision="14.0", requirements=requirements, ambiguities=ambiguities)


def _by_id(rows: Iterable[Row]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for row in rows:
        if row.id in found:
            raise CatalogueError(f"{row.id}: the id is used twice")
        found[row.id] = row
    return found


def _requirement(row: Mapping[str, Any]) -> Requirement:
    name = row.get("id", "a requirement without id")
    fields = {**row, "needs": tuple(row.get("needs", ())), "same_as": tuple(row.get("same_as", ()))}
    fields["needs"] = tuple(need for need in fields["needs"] if need != "none")
    try:
        requirement = Requirement(**fields)
    except TypeError as problem:
        raise CatalogueError(f"{name}: {problem}") from problem
    if requirement.level not in get_args(Level):
        raise CatalogueError(
            f"{name}: unknown level {requirement.level!r}; known: {', '.join(get_args(Level))}"
        )
    if bool(requirement.product) != (requirement.level == "product"):
        raise CatalogueError(f"{name}: a note of level 'product', and no other row, names its product")
    if requirement.role not in get_args(Role):
        raise CatalogueError(f"{name}: unknown role {requirement.role!r}; known: {', '.join(get_args(Role))}")
    return requirement


def _ambiguity(row: Mapping[str, Any]) -> Ambiguity:
    fields = {**row, "readings": tuple(row["readings"]), "requirements": tuple(row["requirements"])}
    try:
        return Ambiguity(**fields)
    except TypeError as problem:
        raise CatalogueError(f"{row.get('id', 'an ambiguity without id')}: {problem}") from problem
