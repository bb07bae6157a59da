"""What Allure shows of a baseline: the cases whose findings it explains, by their causes.

allure-pytest writes the result of each test as a JSON file when the test ends. What a baseline explains is
known when the run has ended. So the files of these cases are changed then: they are skipped, with their
causes as message and tag, and with a link to the bug. ``categories.json`` groups them by cause.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import TYPE_CHECKING, Any

from swn_torture.harness.allure_labels import CASE

if TYPE_CHECKING:
    from pathlib import Path

    from swn_torture.report.comparison import CauseView, Comparison
    from swn_torture.report.results import Results


def mark_known(directory: Path, results: Results) -> None:
    """Change Allure's results of the cases that the baseline explains, and write the categories.

    Results of earlier runs in the same directory stay as they are.

    Args:
        directory: that of ``--alluredir``.
        results: those of the run, compared with a baseline.
    """
    comparison = results.comparison
    if comparison is None:
        return
    began = int(dt.datetime.fromisoformat(results.run.started).timestamp()) * 1000
    for path in directory.glob("*-result.json"):
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        names = [each["value"] for each in result.get("labels", ()) if each["name"] == CASE]
        if names and result.get("start", 0) >= began and comparison.explains(names[0]):
            _mark(result, comparison.causes_of(names[0]))
            path.write_text(json.dumps(result), encoding="utf-8")
    text = json.dumps(_categories(comparison), indent=2)
    (directory / "categories.json").write_text(text, encoding="utf-8")


def _mark(result: dict[str, Any], causes: tuple[CauseView, ...]) -> None:
    details = result.setdefault("statusDetails", {})
    lines = [_head(cause) + cause.title for cause in causes]
    details["message"] = "\n".join([*lines, *filter(None, [details.get("message", "")])])
    details["known"] = True
    details["flaky"] = any(cause.kind == "flaky" for cause in causes)
    result["status"] = "skipped"
    result["labels"] += [{"name": "tag", "value": f"{cause.kind}: {cause.id}"} for cause in causes]
    links = [{"type": "issue", "name": cause.id, "url": cause.bug} for cause in causes if cause.bug]
    result["links"] = [*result.get("links", ()), *links]


def _categories(comparison: Comparison) -> list[dict[str, Any]]:
    """Allure's categories, first match first: by cause, then the rest."""
    by_cause = [
        {
            "name": f"{cause.kind}: {cause.title}",
            "matchedStatuses": ["skipped"],
            "messageRegex": f"(?s).*{re.escape(_head(cause))}.*",
        }
        for cause in comparison.causes
        if cause.cases
    ]
    return [
        {"name": "New violations", "matchedStatuses": ["failed"]},
        {"name": "Errors of the suite or the target", "matchedStatuses": ["broken"]},
        *by_cause,
        {"name": "Not tested", "matchedStatuses": ["skipped"]},
    ]


def _head(cause: CauseView) -> str:
    return f"{cause.kind}: {cause.id}: "
