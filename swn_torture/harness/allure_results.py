"""Allure's results of a run, rewritten when it has ended: what a reader of Allure's page sees of each case.

allure-pytest writes a JSON file when a test ends. It names tests by their functions, and shows parameters as
Python prints them; two cases can then look like two tries of one. What a case found, and what a baseline
explains, is known when the run has ended. So `finish` rewrites the files of the cases of this run. Results of
other tests, and of earlier runs in the same directory, stay as they are.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from swn_torture.harness import allure_config
from swn_torture.report.exchange.captures import write_capture
from swn_torture.report.exchange.trace import exchange_of, trace_lines
from swn_torture.report.finding import case_findings, case_lines
from swn_torture.report.verdict import strictest
from swn_torture.spec.rungs import BY_ID
from swn_torture.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pytest

    from swn_torture.report.comparison import CauseView
    from swn_torture.report.model import CaseOutcome, CaseResult
    from swn_torture.report.results import Results
    from swn_torture.spec import Catalogue, Requirement

#: Name of the label with the id of the case.
CASE: Final = "case"

#: Lines of the trace that is attached to a finding; the capture has all PDUs.
TRACE_LINES: Final = 4000

_SEVERITY = {"MUST": "critical", "MUST NOT": "critical", "implied": "normal", "SHOULD": "minor"}

_STATUS: Mapping[CaseOutcome, str] = {
    "passed": "passed",
    "deviation": "passed",
    "failed": "failed",
    "error": "broken",
    "not-tested": "skipped",
}

#: Labels of allure-pytest that are replaced, because they name functions and modules.
_REPLACED = frozenset({"parentSuite", "suite", "subSuite", "package"})


def label(item: pytest.Item) -> None:
    """Label the running test with the id of its case, so that `finish` finds its file."""
    import allure

    from swn_torture.casekit.case import slug_of

    allure.dynamic.label(CASE, slug_of(item))


def finish(directory: Path, results: Results) -> None:
    """Rewrite Allure's results of the cases of this run, and write what Allure reads beside them.

    Args:
        directory: that of ``--alluredir``.
        results: those of the run.
    """
    began = int(dt.datetime.fromisoformat(results.run.started).timestamp()) * 1000
    cases = {case.id: case for case in results.cases}
    ours: set[str] = set()
    for path in directory.glob("*-result.json"):
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        names = [each["value"] for each in result.get("labels", ()) if each["name"] == CASE]
        case = cases.get(names[0]) if names else None
        if case is None or result.get("start", 0) < began:
            continue
        ours.add(result["uuid"])
        _rewrite(result, case, results)
        result["attachments"] = [
            *result.get("attachments", ()),
            *_attach(directory, result["uuid"], case, results),
        ]
        path.write_text(json.dumps(result), encoding="utf-8")
    _remove_containers(directory, ours, began)
    allure_config.write(directory, results)


# One result
# ----------------------------------------------------------------------------------------------------------


def _rewrite(result: dict[str, Any], case: CaseResult, results: Results) -> None:
    """Give the result of a case its title, id, groups, rules and reason."""
    base, _, parameters = case.id.partition("[")
    parameters = parameters.removesuffix("]")
    rows = [
        results.catalogue.requirements[name]
        for name in case.requirements
        if name in results.catalogue.requirements
    ]
    comparison = results.comparison
    causes = comparison.causes_of(case.id) if comparison else ()
    known = bool(comparison and comparison.explains(case.id))
    title = case.title.removesuffix(".")
    result["name"] = visible(f"{title} [{parameters}]" if parameters else title)
    result["fullName"] = case.id
    result["testCaseId"] = hashlib.md5(base.encode(), usedforsecurity=False).hexdigest()
    result["historyId"] = hashlib.md5(case.id.encode(), usedforsecurity=False).hexdigest()
    result["parameters"] = [{"name": "parameters", "value": parameters}] if parameters else []
    group = base.rpartition(".")[0]
    rung = BY_ID[case.rung].title if case.rung in BY_ID else case.suite
    result["titlePath"] = [rung, group]
    kept = [each for each in result["labels"] if each["name"] not in _REPLACED]
    result["labels"] = [
        *kept,
        *({"name": name, "value": visible(value)} for name, value in _labels(case, rows, results, causes)),
        {"name": "parentSuite", "value": rung},
        {"name": "suite", "value": group},
    ]
    # With --swn-strict allure-pytest has seen a deviation as a failure.
    strict = case.outcome == "deviation" and result.get("status") == "failed"
    result["status"] = "skipped" if known else "failed" if strict else _STATUS[case.outcome]
    result["statusDetails"] = _details(result.get("statusDetails", {}), case, results, causes, known=known)
    result["description"] = visible("\n".join(_description(case, rows, causes, results.catalogue)), keep="\n")
    result.pop("descriptionHtml", None)
    result["links"] = [*result.get("links", ()), *_links(rows, causes)]


def _labels(
    case: CaseResult, rows: list[Requirement], results: Results, causes: Iterable[CauseView]
) -> Iterator[tuple[str, str]]:
    yield "severity", _SEVERITY.get(strictest(case.requirements, results.catalogue), "trivial")
    if rows:
        yield "epic", rows[0].cite.split(" ")[0]
        yield "feature", section(rows[0])
    for name in case.requirements:
        yield "story", name
        yield "tag", name
    if case.outcome in {"failed", "deviation"}:
        for name in dict.fromkeys(each.requirement for each in case_findings(case, results.catalogue)):
            yield allure_config.VIOLATES, name
    if case.outcome == "deviation":
        yield "tag", "deviation"
    for cause in causes:
        yield "tag", allure_config.tag(cause)


def section(row: Requirement) -> str:
    """The first section that a requirement cites: ``MS-SWN 3.1.4.2``."""
    return re.split(r"[;,(]", row.cite)[0].strip()


def _details(
    given: Mapping[str, Any],
    case: CaseResult,
    results: Results,
    causes: tuple[CauseView, ...],
    *,
    known: bool,
) -> dict[str, Any]:
    """Why a case did not pass: its findings, or its reason; first the causes of a baseline."""
    if case.outcome == "passed":
        return {}
    lines = [f"{allure_config.tag(cause)}: {cause.title}" for cause in causes]
    if case.outcome in {"failed", "deviation"}:
        lines += case_lines(case, results.catalogue, results.blocked)
    else:
        lines += [visible(line) for line in case.reason.splitlines()]
    details: dict[str, Any] = {"message": "\n".join(lines)}
    if case.outcome == "error" and given.get("trace"):
        details["trace"] = given["trace"]
    if known:
        details["known"] = True
        details["flaky"] = any(cause.kind == "flaky" for cause in causes)
    return details


def _description(
    case: CaseResult, rows: list[Requirement], causes: Iterable[CauseView], catalogue: Catalogue
) -> Iterator[str]:
    """What the case checks, with links to the published sections; what is known; what the target chose."""
    for cause in causes:
        yield f"**{cause.kind}: {_text(cause.title)}.** {_text(cause.reason)}".replace("..**", ".**")
        yield ""
    yield "Checked:"
    yield ""
    for row in rows:
        where = f"[{_text(row.cite)}]({row.url})" if row.url else _text(row.cite)
        yield f"- {where} {row.level}: {_text(row.text)} `{row.id}`"
    if case.choices:
        yield ""
        yield "Where the specification leaves a choice, the target did:"
        yield ""
        for choice in case.choices:
            open_point = catalogue.ambiguities.get(choice.ambiguity)
            topic = f" ({_text(open_point.topic)})" if open_point else ""
            yield f"- {choice.ambiguity}{topic}: {_text(choice.observed)}"


def _links(rows: Iterable[Requirement], causes: Iterable[CauseView]) -> Iterator[dict[str, str]]:
    sections = {row.url: section(row) for row in rows if row.url}
    yield from ({"type": "link", "name": name, "url": url} for url, name in sections.items())
    yield from ({"type": "issue", "name": cause.id, "url": cause.bug} for cause in causes if cause.bug)


def _text(text: str) -> str:
    r"""Text of a catalogue or a target as Markdown that shows exactly it."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", visible(text))


# Files beside the results
# ----------------------------------------------------------------------------------------------------------


def _attach(directory: Path, uuid: str, case: CaseResult, results: Results) -> Iterator[dict[str, str]]:
    """The PDUs of a case with findings, as text and as a packet capture."""
    if not case.transcript:
        return
    try:
        lines = list(trace_lines(exchange_of(case.transcript)))
        with tempfile.TemporaryDirectory() as temporary:
            capture = Path(temporary) / "capture"
            write_capture(capture, case.transcript)
            octets = capture.read_bytes()
    except (KeyError, ValueError):
        return  # the record of the octets is damaged; the reports of the suite say so
    if len(lines) > TRACE_LINES:
        lines[TRACE_LINES:] = [f"... {len(lines) - TRACE_LINES} more lines; the capture has all"]
    found = case_lines(case, results.catalogue, results.blocked)
    # Allure's page is narrow: the octets are indented less than at a terminal.
    lines = [
        line.replace(" " * 15, "  ", 1) if line.startswith(" " * 15) else line.lstrip() for line in lines
    ]
    text = "\n".join([*found, "", *lines, ""]).encode("utf-8", "backslashreplace")
    files = (
        ("PDUs, field by field", "text/plain", "txt", text),
        ("packet capture", "application/vnd.tcpdump.pcap", "pcapng", octets),
    )
    for name, kind, suffix, content in files:
        source = f"{uuid}-{suffix}-attachment.{suffix}"
        (directory / source).write_bytes(content)
        yield {"name": name, "source": source, "type": kind}


def _remove_containers(directory: Path, ours: set[str], began: int) -> None:
    """Remove the fixtures of our cases: they say nothing about the target. Failed ones stay."""
    for path in directory.glob("*-container.json"):
        container = json.loads(path.read_text(encoding="utf-8"))
        steps = [*container.get("befores", ()), *container.get("afters", ())]
        # One without children is not shown: that of a parameter.
        theirs = set(container.get("children", ())) - ours
        failed = any(each.get("status") in {"failed", "broken"} for each in steps)
        if container.get("start", 0) >= began and not theirs and not failed:
            path.unlink()
