"""A page for each case: what it sends, what it checks, and what each known target does."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from swn_torture.harness.case_map import collect_cases
from swn_torture.spec import load_catalogue
from tools.website.known import targets
from tools.website.markdown import plain
from tools.website.sections import faults_by_requirement, requirement_link, word

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from swn_torture.harness.case_map import CaseInfo

SUITES = {"ndr": "Encodings", "rpc": "Methods and transport", "cluster": "Events, timers, registrations"}


@functools.cache
def by_base() -> Mapping[str, tuple[CaseInfo, ...]]:
    """The cases, by the id without parameters."""
    found: dict[str, list[CaseInfo]] = {}
    for case in collect_cases().values():
        found.setdefault(case.base, []).append(case)
    return {base: tuple(cases) for base, cases in found.items()}


def case_pages() -> Iterator[tuple[str, str]]:
    """The page of each case, and their index: path and Markdown."""
    yield "cases/index.md", "\n".join(_index()) + "\n"
    for base, cases in by_base().items():
        yield f"cases/{base}.md", "\n".join(_page(base, cases)) + "\n"


def _index() -> Iterator[str]:
    yield "# Cases"
    yield ""
    number = sum(map(len, by_base().values()))
    yield f"{len(by_base())} cases, {number} with their parameters. Each page has what is sent and checked."
    for suite, title in SUITES.items():
        yield ""
        yield f"## {title}"
        module = ""
        for base, cases in by_base().items():
            if cases[0].suite != suite:
                continue
            room = base.rpartition(".")[0]
            if room != module:
                module = room
                yield ""
                yield f"### {module} {{#{module}}}"
                yield ""
            yield f"- [`{base}`]({base}.md): {plain(cases[0].title)}"


def _page(base: str, cases: tuple[CaseInfo, ...]) -> Iterator[str]:
    case = cases[0]
    rows = load_catalogue().requirements
    names = list(dict.fromkeys(name for each in cases for name in each.requirements))
    yield f"# {base}"
    yield ""
    yield plain(case.title)
    yield ""
    if case.details:
        yield plain(case.details)
        yield ""
    yield "```console"
    yield f"$ swn-torture run --target PROFILE --case '{base}'"
    yield "```"
    yield ""
    yield "## Checks"
    yield ""
    for name in names:
        row = rows[name]
        yield f"- {requirement_link(name)} ({plain(row.cite)}, {row.level}): {plain(row.text)}"
    yield ""
    yield "## What the known targets do"
    yield ""
    yield "| target | outcome | observed |"
    yield "| --- | --- | --- |"
    for target in targets():
        outcomes = ", ".join(f"{number} {word(each)}" for each, number in target.outcomes(base).items())
        observed = "<br>".join(map(plain, target.observed(base)))
        reasons = dict.fromkeys(
            each.reason for each in target.cases.get(base, ()) if each.outcome in {"not-tested", "error"}
        )
        said = observed or "<br>".join(map(plain, reasons))
        yield f"| {plain(target.name)} | {outcomes or 'newer than the results'} | {said} |"
    yield ""
    yield "## How it runs"
    yield ""
    yield f"- Source: `{case.source}`"
    needs = list(dict.fromkeys(need for each in cases for need in each.needs))
    yield f"- Needs of the target: {', '.join(f'`{need}`' for need in needs) or 'a connection'}"
    if case.disturbs:
        yield "- It runs alone on a live target, and the cluster is restored after it."
    if case.lasts:
        yield f"- It takes about {case.lasts:g} s on a live target."
    parameters = [each.id.partition("[")[2].rstrip("]") for each in cases if "[" in each.id]
    if parameters:
        yield f"- {len(parameters)} sets of parameters: {', '.join(f'`{each}`' for each in parameters)}"
    faults = {fault.name: fault for name in names for fault in faults_by_requirement().get(name, ())}
    if faults:
        yield ""
        yield f'??? note "Faults that violate these requirements ({len(faults)})"'
        yield ""
        yield from (f"    - `{fault.name}`: {plain(fault.summary)}" for fault in faults.values())
