"""What Allure shows of a case: title, severity by level, requirements as tags, findings as attachments.

``--alluredir`` is an option of allure-pytest; a user sets nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit.case import mark_of, slug_of, suite_of, title_of
from swn_torture.report.finding import findings
from swn_torture.report.verdict import strictest
from swn_torture.spec import load_catalogue

if TYPE_CHECKING:
    from swn_torture.casekit.checks import Spec

#: Name of the label with the id of the case.
CASE = "case"

_SEVERITY = {"MUST": "critical", "MUST NOT": "critical", "implied": "normal", "SHOULD": "minor"}


def label(item: pytest.Item) -> None:
    """Label the case before its set-up."""
    import allure

    mark = mark_of(item)
    if mark is None:
        return
    catalogue = load_catalogue()
    rows = [catalogue.requirements[name] for name in mark.requirements]
    allure.dynamic.severity(_SEVERITY.get(strictest(mark.requirements, catalogue), "trivial"))
    allure.dynamic.epic("MS-SWN")
    allure.dynamic.feature(suite_of(item))
    allure.dynamic.tag(*mark.requirements)
    allure.dynamic.label("requirement", *mark.requirements)
    allure.dynamic.label(CASE, slug_of(item))
    # These two set what allure.title and allure.description set. allure.dynamic.title and description do not
    # work here: allure-pytest replaces their values during the set-up, where a case that is not tested ends.
    if isinstance(item, pytest.Function):
        item.obj.__allure_display_name__ = title_of(item)
    listed = "\n".join(f"- {row.id} ({row.level}, {row.cite}): {row.text}" for row in rows)
    item.add_marker(pytest.mark.allure_description(listed))


def attach_findings(spec: Spec) -> None:
    """Attach the text of every finding to the case that has just run."""
    import allure

    for finding in findings(spec.checks, load_catalogue(), case=spec.case):
        allure.attach("\n".join(finding.lines()), finding.requirement, allure.attachment_type.TEXT)
