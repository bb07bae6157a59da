"""The output of ``swn-torture client shares``: a table of the capabilities, and what does not agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.harness.preflight.tree_connect import names_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from swn_torture.doctor.shares import SharesFound


def lines_of(found: SharesFound) -> Iterator[str]:
    """The lines for a terminal.

    Args:
        found: what the nodes say.
    """
    rows = [("share", "nodes", "SMB", "SMB2_SHARE_CAP_"), *_rows(found)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        yield "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[3]])
    yield ""
    for each in found.connects:
        if each.problem:
            where = f"{each.node}, SMB {each.dialect_name}" if each.dialect else each.node
            yield f"{where}: {each.problem}"
    types = {name.casefold(): kind for name, kind in (found.types or {}).items()}
    listed = [f"{name} 0x{types[name.casefold()]:08X}" for name in found.shares if name.casefold() in types]
    yield f"types by NetrShareEnum: {', '.join(listed) or found.problem or 'none of these shares is listed'}"
    for offer in found.offers:
        if offer.unmapped:
            yield f"{offer.node}: no witness endpoint: {offer.unmapped}"
        elif offer.interfaces is not None:
            others, all_of_them = sum(not each.own for each in offer.interfaces), len(offer.interfaces)
            yield f"{offer.node}: witness endpoint; {others} of {all_of_them} interfaces are of other nodes"
        else:
            yield f"{offer.node}: witness endpoint; the interface list is not known"
    for warning in found.warnings:
        yield f"Warning: {warning}"


def _rows(found: SharesFound) -> Iterator[tuple[str, str, str, str]]:
    """One row for each share and each answer, with the nodes and the dialects that give it."""
    for share in found.shares:
        by_node: dict[str, dict[str, list[str]]] = {}
        for each in found.connects:
            if each.problem:
                continue
            bits = each.capabilities.get(share)
            text = each.problems.get(share, "") if bits is None else " ".join(names_of(bits)) or "none"
            by_node.setdefault(each.node, {}).setdefault(text, []).append(each.dialect_name)
        rows: dict[tuple[str, str], list[str]] = {}
        for node, answers in by_node.items():
            for text, dialects in answers.items():
                rows.setdefault((" ".join(dialects), text), []).append(node)
        for (dialects_text, text), nodes in rows.items():
            yield share, " ".join(nodes), dialects_text, text
