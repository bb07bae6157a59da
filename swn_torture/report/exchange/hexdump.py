"""Hex dumps: octets as lines of offset, hexadecimal and text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.report.exchange.pdu_fields import Field

WIDTH = 16  #: octets in a line


def dump(octets: bytes, fields: Sequence[Field] = ()) -> tuple[tuple[str, str], ...]:
    """The octets by field: pairs of a label and the lines of its octets.

    Fields that begin after the last octet are omitted (they were cut off). Octets outside every field get an
    empty label.
    """
    parts: list[tuple[str, str]] = []
    at = 0
    for item in fields:
        if item.offset >= len(octets):
            break
        if item.offset > at:
            parts.append(("", hex_lines(octets[at : item.offset], at)))
        at = min(item.offset + item.length, len(octets))
        parts.append((item.label, hex_lines(octets[item.offset : at], item.offset)))
    if at < len(octets):
        parts.append(("", hex_lines(octets[at:], at)))
    return tuple(parts)


def hex_lines(octets: bytes, offset: int = 0) -> str:
    """Lines of up to 16 octets; ``offset`` is the offset of the first octet in its PDU."""
    lines = []
    for start in range(0, len(octets), WIDTH):
        piece = octets[start : start + WIDTH]
        pairs = piece.hex(" ")
        pairs = f"{pairs[:23]} {pairs[23:]}"
        text = "".join(chr(octet) if 0x20 <= octet < 0x7F else "." for octet in piece)
        lines.append(f"{offset + start:04x}  {pairs:<49} {text}")
    return "\n".join(lines)
