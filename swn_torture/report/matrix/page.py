"""The matrix as one self-contained HTML page: no network, no fonts, no other files.

The targets and the totals are in the page itself. The other tables are made by its script from packed JSON,
so that a page of six targets stays small; a cell is a button that shows the evidence.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from swn_torture.report.junit import legal
from swn_torture.report.matrix.pack import packed, to_script
from swn_torture.report.templates import environment
from swn_torture.report.text import VERDICTS, count, seconds
from swn_torture.report.verdict import LEVELS
from swn_torture.visible import visible

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping, Sequence

    from swn_torture.report.matrix.model import Column, Matrix

#: Letter, sign, word for a requirement, word for a case; worst first. Signs differ in shape, too.
SIGNS = (
    ("f", "✗", "violated", "violation"),
    ("e", "!", "error", "error"),
    ("d", "≈", "deviates", "deviation"),
    ("n", "○", "not tested", "not tested"),
    ("x", "·", "no case", "no case"),
    ("p", "✓", "conforms", "passed"),
    ("-", "-", "not in this run", "not in this run"),
)


def render_matrix(matrix: Matrix) -> str:
    """The matrix as one HTML document. The same results give the same page."""
    pages = environment("swn_torture.report.matrix", "template")
    template = resources.files(__package__).joinpath("template")
    totals = [matrix.totals(number) for number in range(len(matrix.columns))]
    sections = list(dict.fromkeys(row.cite for row in matrix.requirements))
    text = pages.get_template("matrix.html.j2").render(
        style=template.joinpath("matrix.css").read_text(encoding="utf-8"),
        script=template.joinpath("matrix.js").read_text(encoding="utf-8"),
        data=to_script({"signs": SIGNS, **packed(matrix)}),
        revision=matrix.catalogue.revision,
        title=_title(matrix),
        targets=[_target(column) for column in matrix.columns],
        signs=SIGNS,
        sections=sections,
        levels=[level for level in LEVELS if any(row.level == level for row in matrix.requirements)],
        by_level=[
            (level, [_sum(each, level=level) for each in totals])
            for level in LEVELS
            if any(row.level == level for row in matrix.requirements)
        ],
        by_section=[(section, [_sum(each, section=section) for each in totals]) for section in sections],
        counts={
            "cases": len(matrix.cases),
            "requirements": len(matrix.requirements),
            "choices": len(matrix.choices),
        },
        count=count,
    )
    return legal(text)


def _title(matrix: Matrix) -> str:
    names = [visible(column.name) for column in matrix.columns]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _target(column: Column) -> dict[str, object]:
    results = column.results
    run, summary = results.run, results.summary
    notes = [*(f"Warning: {each}" for each in results.target.warnings)]
    if not run.complete:
        notes.append(f"The run is not complete. {run.stopped}".strip())
    if run.selection:
        notes.append(f"Only some cases ran: {run.selection}")
    return {
        "name": visible(column.name),
        "title": visible(results.target.title or results.target.name),
        "verdict": summary.verdict,
        "says": VERDICTS[summary.verdict],
        "cases": summary.cases,
        "requirements": summary.requirements,
        "started": run.started[:16].replace("T", " "),
        "duration": seconds(run.duration_s) if run.duration_s else "unknown",
        "version": visible(results.version),
        "baseline": visible(results.comparison.baseline) if results.comparison else "",
        "facts": [(visible(label), visible(value)) for label, value in results.target.facts.items()],
        "nodes": visible(", ".join(results.target.nodes)),
        "notes": [visible(note) for note in notes],
    }


def _sum(
    totals: Mapping[tuple[str, str], Counter[str]], *, section: str = "", level: str = ""
) -> Sequence[tuple[str, str, str, int]]:
    """How often each verdict is there: letter, sign, word, number; those that are not there are left out."""
    counts = {
        letter: sum(
            found[letter]
            for (each, strength), found in totals.items()
            if section in {"", each} and level in {"", strength}
        )
        for letter, *_ in SIGNS
    }
    return [(letter, sign, word, counts[letter]) for letter, sign, word, _ in SIGNS if counts[letter]]
