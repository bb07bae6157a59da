"""The fuzz targets by name, and their kept inputs.

A corpus is a file of inputs in hexadecimal, one on each line. `tools/fuzz.py` adds what reaches new code.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.fuzz import octet_targets, text_targets
from tests.fuzz.seeds import seeds

if TYPE_CHECKING:
    from collections.abc import Callable

TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    **{
        name: getattr(octet_targets, name)
        for name in (
            "pdu",
            "witness_request",
            "witness_response",
            "notifications",
            "endpoint_mapper",
            "companions",
            "server_connection",
            "client_connection",
            "tokens",
            "exchange",
        )
    },
    **{name: getattr(text_targets, name) for name in ("profile", "baseline", "results", "orders")},
}

_CORPORA: Final = Path(__file__).with_name("corpora")


def corpus_file(name: str) -> Path:
    """The file with the kept inputs of a target."""
    return _CORPORA / f"{name}.txt"


def inputs_of(name: str) -> list[bytes]:
    """The inputs from which the fuzzing of a target begins, and those that were kept."""
    file = corpus_file(name)
    kept = file.read_text(encoding="ascii").split() if file.is_file() else []
    return [*seeds()[name], *(bytes.fromhex(line) for line in kept)]
