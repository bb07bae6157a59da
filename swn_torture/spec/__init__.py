"""The requirement catalogue: every normative statement of MS-SWN and of its transport, in our own words.

    >>> from swn_torture.spec import load_catalogue
    >>> load_catalogue().requirements["SWN-3.1.4.2-null-netname"].level
    'MUST'

- ``catalogue``: ``Catalogue``, ``Requirement`` and ``Ambiguity``: the data as values, and their loader.
- ``catalogue.toml``: the requirements and ambiguities; the head of the file explains every field.
- ``untestable.toml``: why an observable requirement has no case.
- ``published``: the address of a cited section in the published documentation; ``published.toml``: the pages.
- ``other_suites.toml``: what other test suites check, and which requirements that corresponds to.

This package imports no other package of the project.
"""

from swn_torture.spec.catalogue import (
    Ambiguity,
    Catalogue,
    CatalogueError,
    Level,
    Requirement,
    Role,
    load_catalogue,
    load_untestable,
    section_key,
)

__all__ = [
    "Ambiguity",
    "Catalogue",
    "CatalogueError",
    "Level",
    "Requirement",
    "Role",
    "load_catalogue",
    "load_untestable",
    "section_key",
]
