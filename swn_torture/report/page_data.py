"""What the script of the HTML page shows: the cases that passed, and the requirements without a failed check.

A page about a new server has hundreds of both, and a reader opens few of them. As compressed JSON with shared
texts they take a tenth of the room that they take as HTML.
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from swn_torture.report.model import SUITES
from swn_torture.visible import visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from swn_torture.report.model import CaseResult, Check
    from swn_torture.report.results import Results
    from swn_torture.report.verdict import RequirementVerdict
    from swn_torture.spec import Requirement

#: Verdicts whose rows are in the HTML.
FAILING = ("violated", "deviates")

REQUIREMENT_NAMES = {
    "violated": "violated",
    "deviates": "deviates",
    "not-tested": "not tested",
    "conforms": "conforms",
    "not-covered": "no case",
}

_NOT_COUNTED = {
    "client": "binds the client",
    "unobservable": "not observable",
    "product": "concerns {product} only",
}


@dataclass(frozen=True, slots=True)
class Passed:
    """A passed case.

    Attributes:
        case: the case.
        anchor: its HTML id.
        checks: all its checks, each with its result as a word.
        duration: how long it ran, as text.
    """

    case: CaseResult
    anchor: str
    checks: tuple[tuple[Check, str], ...]
    duration: str


@dataclass(frozen=True, slots=True)
class PageData:
    """The data of a page.

    Attributes:
        packed: a JSON object, compressed by deflate (RFC 1951) and in Base64. ``texts`` is a list of texts
            that the other members name by their numbers, the first one empty; ``passed`` has the cases of
            each suite, ``counted`` and ``apart`` the rows of requirements. A row with a failed check is only
            its id.
        passed: the suites with the number of their passed cases.
        apart: number of requirements that are not counted.
    """

    packed: str
    passed: tuple[tuple[str, int], ...]
    apart: int


class _Texts:
    """Numbers texts."""

    def __init__(self) -> None:
        self.numbers = {"": 0}

    def __call__(self, text: str) -> int:
        return self.numbers.setdefault(visible(text, keep="\n\t"), len(self.numbers))


def page_data(results: Results, passed: Sequence[Passed]) -> PageData:
    """The data of the page.

    Args:
        results: the results of the run.
        passed: the passed cases.
    """
    texts = _Texts()
    rows = results.catalogue.requirements
    others = sorted({view.case.suite for view in passed} - {*SUITES})
    suites = {
        suite: [_case(view, texts) for view in passed if view.case.suite == suite]
        for suite in (*SUITES, *others)
    }
    suites = {suite: cases for suite, cases in suites.items() if cases}
    counted = [_row(each, rows, texts) for each in results.requirements if not each.apart]
    apart = [_row(each, rows, texts) for each in results.requirements if each.apart]
    data = json.dumps(
        {"texts": [*texts.numbers], "passed": suites, "counted": counted, "apart": apart},
        ensure_ascii=False,
        separators=(",", ":"),
    )
    return PageData(
        _packed(data),
        tuple((suite, len(cases)) for suite, cases in suites.items()),
        len(apart),
    )


def _packed(text: str) -> str:
    """A text as the DecompressionStream "deflate-raw" of a browser reads it, in Base64."""
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return base64.b64encode(packer.compress(text.encode()) + packer.flush()).decode()


def _case(view: Passed, texts: _Texts) -> list[object]:
    """Anchor, id, title, requirements, duration, checks, and the capture if there is one.

    A check is its requirement, observed, note and result, without what is empty at the end; the result
    ``passed`` is empty.
    """
    case = view.case
    checks = []
    for check, result in view.checks:
        said = (check.requirement, check.observed, check.note, "" if result == "passed" else result)
        numbers = [texts(text) for text in said]
        while numbers and not numbers[-1]:
            numbers.pop()
        checks.append(numbers)
    return [
        view.anchor.removeprefix("case-"),
        visible(case.id, keep="\n\t"),
        texts(case.title),
        [texts(each) for each in case.requirements],
        texts(view.duration),
        checks,
        *([quote(case.capture)] if case.capture else []),
    ]


def _row(each: RequirementVerdict, rows: Mapping[str, Requirement], texts: _Texts) -> str | list[str | int]:
    """Id, text, section, level, verdict, its name, the reason, and the number of cases."""
    if each.verdict in FAILING and not each.apart:
        return each.id
    row = rows[each.id]
    because = f"because of {', '.join(each.because)}" if each.because else "; ".join(each.reasons)
    said = (
        _NOT_COUNTED[each.apart].format(product=row.product)
        if each.apart
        else REQUIREMENT_NAMES[each.verdict]
    )
    shared = (row.cite, row.level, each.verdict, said, because)
    return [each.id, visible(row.text), *map(texts, shared), len(each.cases)]
