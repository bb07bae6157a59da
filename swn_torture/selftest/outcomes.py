"""Which outcome of subunit a result of a case is.

==============  ================================================================================
failed          ``failure`` with the findings: the only outcome that Samba's lists can excuse
deviation       ``success``, or ``failure`` with ``--strict``; the deviation is shown
not-tested      ``skip`` with the reason; what the set-up cannot show begins with "impossible here"
error           ``error``: nothing was found out about the target
passed          ``success``
==============  ================================================================================

With a baseline, a case whose findings it explains is an ``xfail`` with their causes, and a case that shows a
listed finding no more is a ``uxsuccess``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.report.finding import case_lines

if TYPE_CHECKING:
    from swn_torture.report.comparison import Comparison
    from swn_torture.report.model import CaseResult
    from swn_torture.report.results import Results
    from swn_torture.selftest.subunit import Word
    from swn_torture.spec import Catalogue


def word_of(case: CaseResult, *, strict: bool, comparison: Comparison | None = None) -> Word:
    """The outcome of a case in the stream.

    Args:
        case: the result.
        strict: a SHOULD that is not followed is a failure.
        comparison: with a baseline; None without one.
    """
    words: dict[str, Word] = {
        "passed": "success",
        "failed": "failure",
        "deviation": "failure" if strict else "success",
        "not-tested": "skip",
        "error": "error",
    }
    word = words[case.outcome]
    if comparison is None:
        return word
    if word in {"failure", "error"} and comparison.explains(case.id):
        return "xfail"
    fixed = comparison.of_kind("fixed") if word == "success" and not comparison.allow_fixed else ()
    return "uxsuccess" if any(each.case == case.id for each in fixed) else word


def details_of(case: CaseResult, catalogue: Catalogue, results: Results | None = None) -> list[str]:
    """The text of a result that did not pass: its causes in the baseline, and its findings or its reason.

    Args:
        case: the result.
        catalogue: the requirements that its checks name.
        results: those of the whole run; None while it runs.
    """
    comparison = results.comparison if results else None
    causes = comparison.causes_of(case.id) if comparison else ()
    lines = [f"{cause.kind}: {cause.id}: {cause.title} {cause.bug}".rstrip() for cause in causes]
    if case.outcome == "not-tested":
        return [*lines, case.reason or "no reason was given"]
    if case.outcome != "passed":
        return [*lines, case.title, *case_lines(case, catalogue, results.blocked if results else None)]
    fixed = comparison.of_kind("fixed") if comparison else ()
    return [
        f"no longer seen: {each.cause}: {each.requirement} {'; '.join(each.pinned)}".rstrip()
        for each in fixed
        if each.case == case.id
    ]


def can_still_change(case: CaseResult) -> bool:
    """Whether the end of the run may change the outcome (`swn_torture.report.roots`)."""
    return case.outcome in {"failed", "deviation"} or bool(case.because)
