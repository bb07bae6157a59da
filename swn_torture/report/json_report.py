"""Results as JSON, ``swn-torture-results/1``, and their JSON Schema."""

from __future__ import annotations

import gzip
import json
import zlib
from importlib import resources
from typing import TYPE_CHECKING, Any

from swn_torture.report.results import Results, ResultsError

if TYPE_CHECKING:
    from pathlib import Path

    from swn_torture.spec import Catalogue

#: The first octets of a file that gzip made (RFC 1952 2.3.1).
_GZIP = b"\x1f\x8b"


def render_json(results: Results) -> str:
    """The results as JSON text, one case per line, so that diff can compare two files."""
    document = results.to_json()
    members = []
    for name, value in document.items():
        if isinstance(value, list) and value:
            rows = ",\n    ".join(json.dumps(row) for row in value)
            members.append(f"  {json.dumps(name)}: [\n    {rows}\n  ]")
        else:
            members.append(f"  {json.dumps(name)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(members) + "\n}\n"


def load_results(path: Path, catalogue: Catalogue) -> Results:
    """Read results from a file that :func:`render_json` made, compressed by gzip or not.

    Raises:
        OSError: the file cannot be read.
        ResultsError: the file does not hold results; the message names it.
    """
    octets = path.read_bytes()
    if octets.startswith(_GZIP):
        try:
            octets = gzip.decompress(octets)
        except (EOFError, OSError, zlib.error) as problem:
            raise ResultsError(f"{path} is damaged: it cannot be decompressed ({problem})") from problem
    try:
        return Results.from_json(json.loads(octets), catalogue)
    except (UnicodeDecodeError, json.JSONDecodeError) as problem:
        raise ResultsError(f"{path} is not JSON: {problem}") from problem
    except ResultsError as problem:
        raise ResultsError(f"{path}: {problem}") from problem


def results_schema() -> dict[str, Any]:
    """The JSON Schema of ``swn-torture-results/1``."""
    text = resources.files(__package__).joinpath("results.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
