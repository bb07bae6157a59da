"""A page for each section: its requirements, with cases, faults and what each target does."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from swn_torture.faults.library import load_faults
from swn_torture.harness.case_map import collect_cases
from swn_torture.spec import load_catalogue, load_untestable, section_key
from tools.website.known import targets
from tools.website.markdown import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from swn_torture.faults.registry import Fault
    from swn_torture.harness.case_map import CaseInfo
    from swn_torture.spec import Requirement

#: What the sections of MS-SWN are about: the methods, the structures, the events.
SUBJECTS = {
    "2.1": "transport",
    "2.2.1.1": "PCONTEXT_HANDLE",
    "2.2.1.2": "PPCONTEXT_HANDLE",
    "2.2.1.3": "PCONTEXT_HANDLE_SHARED",
    "2.2.2": "structures",
    "2.2.2.1": "IPADDR_INFO",
    "2.2.2.2": "IPADDR_INFO_LIST",
    "2.2.2.3": "RESOURCE_CHANGE",
    "2.2.2.4": "RESP_ASYNC_NOTIFY",
    "2.2.2.5": "WITNESS_INTERFACE_INFO",
    "2.2.2.6": "WITNESS_INTERFACE_LIST",
    "3.1.1": "data model of the server",
    "3.1.1.1": "global data of the server",
    "3.1.1.2": "Interface",
    "3.1.1.3": "WitnessRegistration",
    "3.1.1.4": "PendingChangeNotifications",
    "3.1.1.5-3.1.1.7": "other pending notifications",
    "3.1.2.1": "timer of unused registrations",
    "3.1.2.2": "timer of pending AsyncNotify calls",
    "3.1.3": "initialization of the server",
    "3.1.4": "all methods",
    "3.1.4.1": "WitnessrGetInterfaceList",
    "3.1.4.2": "WitnessrRegister",
    "3.1.4.3": "WitnessrUnRegister",
    "3.1.4.4": "WitnessrAsyncNotify",
    "3.1.4.5": "WitnessrRegisterEx",
    "3.1.4.6": "WitnessrUnRegisterEx",
    "3.1.5.1": "a registration is unused",
    "3.1.5.2": "an AsyncNotify call times out",
    "3.1.6.1": "an interface is enabled or disabled",
    "3.1.6.2": "a client is to move",
    "3.1.6.3": "the owner of a share changes",
    "3.1.6.4": "an IP address changes",
    "3.1.6.5": "the connection of a client ends",
    "3.2.1.1": "global data of the client",
    "3.2.1.2": "registrations of the client",
    "3.2.2": "timers of the client",
    "3.2.3": "initialization of the client",
    "3.2.4.1": "the client registers",
    "3.2.4.2": "the client asks for notifications",
    "3.2.4.3": "the client unregisters",
    "3.2.5": "timer events of the client",
    "6": "the IDL",
}

#: The order of verdicts in a table, and the words that the site has for them.
VERDICTS = ("violated", "deviates", "not-tested", "conforms", "not-covered")


def section_of(row: Requirement) -> str:
    """The first section that a requirement cites: ``MS-SWN 3.1.4.2``, ``MS-SWN 7 note 5``."""
    first = re.split(r"[;,(]| by ", row.cite)[0].strip()
    return first.replace("<", "").replace(">", "")


def heading(section: str) -> str:
    """A section with its subject where it is one of MS-SWN: ``MS-SWN 3.1.4.2: WitnessrRegister``."""
    subject = SUBJECTS.get(section.removeprefix("MS-SWN "), "") if section.startswith("MS-SWN ") else ""
    return f"{section}: {subject}" if subject else section


def page_of(section: str) -> str:
    """The page of a section."""
    return f"requirements/{re.sub(r'[^a-z0-9.]+', '-', section.lower()).strip('-')}.md"


@functools.cache
def by_section() -> Mapping[str, tuple[Requirement, ...]]:
    """The requirements of each section, first those of MS-SWN."""
    found: dict[str, list[Requirement]] = {}
    for row in load_catalogue().requirements.values():
        found.setdefault(section_of(row), []).append(row)
    order = sorted(
        found, key=lambda name: (not name.startswith("MS-SWN"), name.split()[0], section_key(name))
    )
    return {section: tuple(found[section]) for section in order}


@functools.cache
def cases_by_requirement() -> Mapping[str, Mapping[str, tuple[CaseInfo, ...]]]:
    """For each requirement its cases: by the id without parameters."""
    found: dict[str, dict[str, list[CaseInfo]]] = {}
    for case in collect_cases().values():
        for name in case.requirements:
            found.setdefault(name, {}).setdefault(case.base, []).append(case)
    return {name: {base: tuple(each) for base, each in bases.items()} for name, bases in found.items()}


@functools.cache
def faults_by_requirement() -> Mapping[str, tuple[Fault, ...]]:
    """For each requirement the faults that violate it."""
    found: dict[str, list[Fault]] = {}
    for fault in load_faults():
        for name in fault.violates:
            found.setdefault(name, []).append(fault)
    return {name: tuple(faults) for name, faults in found.items()}


def word(verdict: str) -> str:
    """A verdict or an outcome as a coloured word."""
    return f'<span class="{verdict}">{verdict.replace("-", " ")}</span>'


def section_pages() -> Iterator[tuple[str, str]]:
    """The page of each section, and their index: path and Markdown."""
    yield "requirements/index.md", "\n".join(_index()) + "\n"
    for section, rows in by_section().items():
        yield page_of(section), "\n".join(_section(section, rows)) + "\n"


def requirement_link(name: str, *, up: str = "../") -> str:
    """A link to a requirement, from a page in another directory."""
    page = page_of(section_of(load_catalogue().requirements[name]))
    return f"[`{name}`]({up}{page}#{name})"


def _index() -> Iterator[str]:
    yield "# Requirements"
    yield ""
    yield (
        "Every normative statement of MS-SWN and of its transport, in the words of the suite, by the section "
        "that has it. For each target, the number of requirements that it violates (*violated*) or does not "
        "follow (*deviates*); a dash is none. [The matrix](../matrix.html) has the same by cause and by case."
    )
    yield ""
    heads = [plain(target.name) for target in targets()]
    yield f"| section | requirements | {' | '.join(heads)} |"
    yield f"| --- | --: | {' | '.join('---' for _ in heads)} |"
    for section, rows in by_section().items():
        cells = [_tally(rows, target.verdicts) for target in targets()]
        link = page_of(section).removeprefix("requirements/")
        yield f"| [{plain(heading(section))}]({link}) | {len(rows)} | {' | '.join(cells)} |"


def _tally(rows: Iterable[Requirement], verdicts: Mapping[str, object]) -> str:
    found = [getattr(verdicts.get(row.id), "verdict", "") for row in rows]
    parts = [f"{found.count(each)} {word(each)}" for each in ("violated", "deviates") if each in found]
    return ", ".join(parts) or "-"


def _section(section: str, rows: Iterable[Requirement]) -> Iterator[str]:
    listed = list(rows)
    yield f"# {plain(heading(section))}"
    yield ""
    yield f"[The published section]({listed[0].url}). [All sections](index.md)."
    for row in listed:
        yield ""
        yield from _requirement(row)


def _requirement(row: Requirement) -> Iterator[str]:
    revision = "" if row.revision in {"both", "n/a"} else f", only in revision {row.revision}"
    yield f"## {row.id} {{#{row.id}}}"
    yield ""
    yield plain(row.text)
    yield ""
    who = "the octets on the wire" if row.role == "wire" else f"the {row.role}"
    yield f"**{row.level}**, binds {who}{revision}. {plain(row.cite)}."
    yield ""
    if row.how:
        yield f"*How it is tested:* {plain(row.how)}"
        yield ""
    untestable = load_untestable().get(row.id)
    if row.role == "client":
        yield "The suite tests servers only."
    elif not row.observable:
        yield "It is not observable from outside, so no case can check it."
    elif row.product:
        yield f"It concerns {plain(row.product)} only: it is not counted. A run records what the target does."
    elif untestable:
        yield f"No case checks it: {plain(untestable)}"
    yield ""
    yield from _verdicts(row)
    yield from _details("Notes", [plain(row.notes)] if row.notes else [])
    cases = cases_by_requirement().get(row.id, {})
    yield from _details(
        f"Cases ({sum(map(len, cases.values()))})",
        [
            f"- [`{base}`](../cases/{base}.md){_times(variants)}: {plain(variants[0].title)}"
            for base, variants in cases.items()
        ],
    )
    faults = faults_by_requirement().get(row.id, ())
    yield from _details(
        f"Faults that violate it ({len(faults)})",
        [f"- `{fault.name}`: {plain(fault.summary)}" for fault in faults],
    )


def _verdicts(row: Requirement) -> Iterator[str]:
    known = [(target, target.verdicts.get(row.id)) for target in targets()]
    if row.role == "client" or not row.observable:
        return
    yield "| target | verdict | cases that found it |"
    yield "| --- | --- | --- |"
    for target, verdict in known:
        bases = dict.fromkeys(case.partition("[")[0] for case in verdict.failing) if verdict else ()
        found = ", ".join(f"[`{base}`](../cases/{base}.md)" for base in bases if base in _bases())
        yield f"| {plain(target.name)} | {word(verdict.verdict if verdict else 'not-covered')} | {found} |"
    yield ""


@functools.cache
def _bases() -> frozenset[str]:
    return frozenset(case.base for case in collect_cases().values())


def _times(variants: Iterable[CaseInfo]) -> str:
    number = len(list(variants))
    return f" ({number} sets of parameters)" if number > 1 else ""


def _details(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield f'??? note "{title}"'
        yield ""
        yield from (f"    {line}" for line in lines)
        yield ""
