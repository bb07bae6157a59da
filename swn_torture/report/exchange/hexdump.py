"""Hex dumps: octets as lines of offset, hexadecimal and text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.report.exchange.pdu_fields import Field

WIDTH = 16  #: octets in a line

#: The column of the text: a tab leads to it. Most fields are short, and spaces would be half of a page.
TEXT_COLUMN = 56


def dump(
    octets: bytes, fields: Sequence[Field] = (), *, repeated: bool = False
) -> tuple[tuple[str, str], ...]:
    """The octets by field: pairs of a label and the lines of its octets.

    Fields that begin after the last octet are omitted (they were cut off). Octets outside every field get an
    empty label. With ``repeated``, equal lines are shown, too.
    """
    parts: list[tuple[str, str]] = []
    at = 0
    for item in fields:
        if item.offset >= len(octets):
            break
        if item.offset > at:
            parts.append(("", hex_lines(octets[at : item.offset], at, repeated=repeated)))
        at = min(item.offset + item.length, len(octets))
        parts.append((item.label, hex_lines(octets[item.offset : at], item.offset, repeated=repeated)))
    if at < len(octets):
        parts.append(("", hex_lines(octets[at:], at, repeated=repeated)))
    return tuple(parts)


def hex_lines(octets: bytes, offset: int = 0, *, repeated: bool = False) -> str:
    """Lines of up to 16 octets; ``offset`` is the offset of the first octet in its PDU.

    A tab is between the octets and their text: show them with tabs of `TEXT_COLUMN` columns. A star stands
    for lines with the octets of the line before it, as in other dumps, unless ``repeated``; the last line is
    always shown.
    """
    lines: list[str] = []
    for start in range(0, len(octets), WIDTH):
        piece = octets[start : start + WIDTH]
        if not repeated and start and start + WIDTH < len(octets) and piece == octets[start - WIDTH : start]:
            if lines[-1] != "*":
                lines.append("*")
            continue
        pairs = piece.hex(" ")
        pairs = f"{pairs[:23]} {pairs[23:]}".rstrip()
        text = "".join(chr(octet) if 0x20 <= octet < 0x7F else "." for octet in piece)
        lines.append(f"{offset + start:04x}  {pairs}\t{text}")
    return "\n".join(lines)
