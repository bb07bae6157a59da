"""The requirement catalogue: every normative statement of MS-SWN and its transport, in our own words.

    >>> from swn_torture.spec import load_catalogue
    >>> load_catalogue().requirements["SWN-3.1.4.2-null-netname"].level
    'MUST'

This room is data and its loader; it knows nothing of the other rooms.
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
