r"""Text of a target or of a client, made safe to show.

A peer chooses the text of names, and so of many values in a report or a log. It can contain escape
sequences that change the terminal, line breaks that forge a line, characters that reverse the order of the
text (U+202E), and characters that XML does not allow. All such text passes :func:`visible` before it gets to
a terminal, a page, an XML file or a log. A JSON file keeps the text as it is: JSON escapes it. No name of a
target becomes a part of a path.
"""

from __future__ import annotations


def visible(text: str, *, keep: str = "") -> str:
    r"""Return text in which every character can be seen and none has an effect.

    Control characters, characters for the direction of text, invisible ones, unassigned ones and lone
    surrogates become escapes as in Python: ``\x1b``, ``\u202e``. Spaces stay.

    Args:
        text: the text.
        keep: characters that stay nevertheless, such as ``"\n"`` in text that has lines of its own.
    """
    rest = text
    for each in keep:
        rest = rest.replace(each, "")
    if rest.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in keep else each.encode("unicode_escape").decode("ascii")
        for each in text
    )
