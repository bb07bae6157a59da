"""What Allure reads beside the results of a run: its name, its target, and the groups of its findings.

``allurerc.json`` is the configuration for Allure 3. Allure 2 reads ``categories.json`` and
``environment.properties``. Both put new violations first, and what a baseline explains by its cause.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from swn_torture.report.text import verdict_sentence
from swn_torture.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from swn_torture.report.comparison import CauseView
    from swn_torture.report.results import Results

#: Name of the label with the requirements that a case found violated, or not followed.
VIOLATES: Final = "violates"

#: Labels that say nothing of the target, and those that the page shows in another place.
_HIDDEN = ("host", "thread", "framework", "language", "case", "story", "parentSuite", "suite")

_NEW = "New violations"
_ERRORS = "Errors of the suite or the target"
_NOT_TESTED = "Not tested"


def tag(cause: CauseView) -> str:
    """The tag of the cases that a cause explains: ``known: no-ip-change``."""
    return f"{cause.kind}: {cause.id}"


def write(directory: Path, results: Results) -> None:
    """Write the files.

    Args:
        directory: that of ``--alluredir``.
        results: those of the run.
    """
    facts = {name: visible(value) for name, value in _facts(results)}
    properties = [f"{name.replace(' ', '_')}={value}" for name, value in facts.items()]
    (directory / "environment.properties").write_text("\n".join(properties) + "\n", encoding="utf-8")
    for name, content in (
        ("categories.json", _categories(results)),
        ("allurerc.json", _config(results, facts)),
    ):
        (directory / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _facts(results: Results) -> Iterator[tuple[str, str]]:
    target, comparison = results.target, results.comparison
    yield "target", target.name
    if target.title:
        yield "product", target.title
    yield from ((name, target.facts[name]) for name in ("fault", "unusual server") if target.facts.get(name))
    yield "specification", f"MS-SWN {results.catalogue.revision}"
    yield "swn-torture", results.version
    yield "verdict", verdict_sentence(results)
    if comparison is not None:
        yield "baseline", f"{comparison.baseline}: {comparison.situation.replace('-', ' ')}"
    if not results.run.complete:
        yield "not complete", results.run.stopped or "the run stopped early"


def _config(results: Results, facts: Mapping[str, str]) -> dict[str, Any]:
    """The configuration of Allure 3."""
    name = f"Conformance of {facts.get('product', facts['target'])}"
    rules = [
        _rule(_NEW, {"statuses": ["failed"]}, VIOLATES),
        _rule(_ERRORS, {"statuses": ["broken"]}, "suite"),
        *(
            _rule(f"{cause.kind}: {cause.title}", {"labels": {"tag": f"^{_escaped(tag(cause))}$"}}, VIOLATES)
            for cause in _causes(results)
        ),
        _rule(_NOT_TESTED, {"statuses": ["skipped"]}, "suite"),
    ]
    return {
        "name": visible(name),
        "hideLabels": list(_HIDDEN),
        # One file that opens from the disk; without it the page needs a web server.
        "plugins": {"awesome": {"options": {"singleFile": True}}},
        "categories": {"rules": rules},
    }


def _rule(name: str, matcher: Mapping[str, Any], group_by: str) -> dict[str, Any]:
    return {
        "name": visible(name),
        "matchers": [matcher],
        "groupBy": [{"label": group_by}],
        "groupByMessage": False,
    }


def _categories(results: Results) -> list[dict[str, Any]]:
    """The categories of Allure 2, first match first."""
    return [
        {"name": _NEW, "matchedStatuses": ["failed"]},
        {"name": _ERRORS, "matchedStatuses": ["broken"]},
        *(
            {
                "name": visible(f"{cause.kind}: {cause.title}"),
                "matchedStatuses": ["skipped"],
                "messageRegex": f"(?s).*{_escaped(tag(cause))}: .*",
            }
            for cause in _causes(results)
        ),
        {"name": _NOT_TESTED, "matchedStatuses": ["skipped"]},
    ]


def _escaped(text: str) -> str:
    """Text as a regular expression, in the dialects of Java and JavaScript."""
    return re.sub(r"([.*+?^${}()|\[\]\\])", r"\\\1", text)


def _causes(results: Results) -> list[CauseView]:
    return [cause for cause in results.comparison.causes if cause.cases] if results.comparison else []
