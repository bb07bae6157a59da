"""What the fault matrix writes: the page, the picture, the JSON and the terminal summary."""

from __future__ import annotations

import re
from pathlib import Path

from swn_torture.faults.library import load_faults
from swn_torture.faults.matrix.page import FIGURE_TEXTS, page, summary
from swn_torture.faults.matrix.picture import areas, picture
from tests.faults.small_matrix import FAULT, matrix_of

DOCS = Path(__file__).parents[2] / "docs" / "faults.md"


def test_page_shows_what_was_not_found_broken() -> None:
    text = page(matrix_of({"a": ("SWN-1.9-uuid",)}))

    assert "**not found broken:** SWN-2.1-if-version" in text
    assert "It is wrong. Seen in Samba 4.22." in text
    assert "## Cases that no fault fails\n\n- `b`" in text


def test_every_report_has_the_figures_of_each_kind() -> None:
    matrix = matrix_of({"a": FAULT.violates})

    assert "| | realistic | narrowed | both |" in page(matrix)
    assert "| faults | 1 | 0 | 1 |" in page(matrix)
    head, faults, *_ = summary(matrix)
    assert head.split() == ["realistic", "narrowed", "both"]
    assert faults.split() == ["faults", "1", "0", "1"]
    assert '<th scope="row">faults</th><td>1</td><td>0</td><td>1</td>' in picture(matrix)
    figures = matrix.to_json()["figures"]
    assert list(figures) == ["realistic", "narrowed", "both"]
    assert all(list(part) == list(FIGURE_TEXTS) for part in figures.values())


def test_picture_shows_what_each_function_found() -> None:
    """Cases with parameters are counted together; violated and unrelated requirements look different."""
    matrix = matrix_of({"a[one]": FAULT.violates, "a[two]": FAULT.violates, "b": ("SWN-3.1.4.1-empty-list",)})

    (area,) = areas(matrix)
    (row,) = area.rows

    assert (area.title, area.kind, area.functions) == ("Codes", "realistic", ("a", "b"))
    assert (row.cells["a"].meaning, row.cells["a"].cases) == ("violated", 2)
    assert (row.cells["b"].meaning, row.cells["b"].title) == ("unrelated", "b: SWN-3.1.4.1-empty-list")
    shown = picture(matrix)
    assert '<td class="violated" title="a[one]: SWN-1.9-uuid, SWN-2.1-if-version' in shown
    assert '<td class="unrelated" title="b: SWN-3.1.4.1-empty-list">1</td>' in shown


def test_docs_page_has_every_fault() -> None:
    named = re.findall(r"^\| `([a-z0-9-]+)` \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)

    assert sorted(named) == sorted(fault.name for fault in load_faults()), (
        "docs/faults.md is out of date: make fault-matrix FAULT_MATRIX='--scope functions --resume'"
    )
