"""tshark, Wireshark's dissectors on the command line: what it makes of a capture."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Row = dict[str, list[str]]
"""The fields that a frame has, each with its values in their order."""

_SEPARATOR: Final = "\x1f"
_EXPERT: Final = ("_ws.expert.severity", "_ws.expert.message")
_WARNING: Final = 0x600000
"""The severity of expert information from which on something is wrong (``PI_WARN``)."""


def missing() -> str | None:
    """Why there is no tshark here, or None."""
    return None if shutil.which("tshark") else "tshark is not installed"


def dissect(capture: Path, fields: Sequence[str], *, password: str = "") -> list[Row]:
    """All frames with DCE/RPC in them; fields that a frame lacks are left out of its row.

    Args:
        capture: pcapng.
        fields: their names.
        password: of the NTLM logons in it, which opens what is sealed.
    """
    done = subprocess.run(
        [
            *("tshark", "-r", str(capture), "-T", "fields", "-E", f"separator={_SEPARATOR}"),
            *("-E", "occurrence=a", "-E", "aggregator=|", "-Y", "dcerpc || _ws.expert"),
            *("-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"),
            *("-o", f"ntlmssp.nt_password:{password}"),
            *(part for field in (*fields, *_EXPERT) for part in ("-e", field)),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        # Without the preferences of whoever runs this.
        env={**os.environ, "HOME": str(capture.parent), "LC_ALL": "C.UTF-8"},
    )
    rows = [line.split(_SEPARATOR) for line in done.stdout.splitlines()]
    return [
        {name: text.split("|") for name, text in zip((*fields, *_EXPERT), row, strict=True) if text}
        for row in rows
    ]


def complaints(rows: Sequence[Row]) -> list[Row]:
    """The frames in which the dissectors find something wrong: anything from a warning on."""
    return [row for row in rows if max(map(int, row.get(_EXPERT[0], ["0"]))) >= _WARNING]
