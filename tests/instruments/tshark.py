"""Runs tshark, the command line of Wireshark, on a capture."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Row = dict[str, list[str]]
"""The fields of a frame, each with its values in their order."""

_SEPARATOR: Final = "\x1f"
_EXPERT: Final = ("_ws.expert.severity", "_ws.expert.message")
_WARNING: Final = 0x600000
"""The lowest severity of expert information that is a problem (``PI_WARN``)."""


def missing() -> str | None:
    """Return why tshark is not available, or None."""
    return None if shutil.which("tshark") else "tshark is not installed"


def dissect(capture: Path, fields: Sequence[str], *, password: str = "") -> list[Row]:
    """Return all frames with DCE/RPC. The row of a frame has only the fields of that frame.

    Args:
        capture: the pcapng file.
        fields: the names of the fields.
        password: the password of the NTLM logons, with which tshark decrypts sealed PDUs.
    """
    done = subprocess.run(
        [
            *("tshark", "-r", str(capture), "-T", "fields", "-E", f"separator={_SEPARATOR}"),
            *("-E", "occurrence=a", "-E", "aggregator=|", "-Y", "dcerpc || _ws.expert"),
            *("-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"),
            # The port of a client may be one that another protocol has registered.
            *("-o", "tcp.try_heuristic_first:TRUE"),
            *("-o", f"ntlmssp.nt_password:{password}"),
            *(part for field in (*fields, *_EXPERT) for part in ("-e", field)),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        # Without the preferences of the user.
        env={**os.environ, "HOME": str(capture.parent), "LC_ALL": "C.UTF-8"},
    )
    rows = [line.split(_SEPARATOR) for line in done.stdout.splitlines()]
    return [
        {name: text.split("|") for name, text in zip((*fields, *_EXPERT), row, strict=True) if text}
        for row in rows
    ]


def with_problems(rows: Sequence[Row]) -> list[Row]:
    """Return the frames for which the dissectors report a warning or an error."""
    return [row for row in rows if max(map(int, row.get(_EXPERT[0], ["0"]))) >= _WARNING]
