"""``swn-torture explain``: what a requirement, ambiguity, case, fault or error code is.

Everything comes from the catalogue, the marks of the cases, the declarations of the faults and the tables of
codes. Nothing is run.
"""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from swn_torture.commands import complete
from swn_torture.commands.errors import USAGE, CommandError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from swn_torture.faults.registry import Fault
    from swn_torture.harness.case_map import CaseInfo
    from swn_torture.spec import Requirement

_WIDTH = 100

#: Prefixes of error symbols that the catalogue may leave out.
_PREFIXES = ("ERROR_", "NCA_S_FAULT_", "NCA_S_", "RPC_S_", "RPC_X_", "EPT_S_")


@dataclass(frozen=True, slots=True)
class Explanation:
    """What an id means.

    Attributes:
        kind: ``requirement``, ``ambiguity``, ``case``, ``fault`` or ``code``.
        id: the present id, or the symbol of the code.
        data: the facts, as JSON values.
        lines: the facts as text.
    """

    kind: str
    id: str
    data: dict[str, Any]
    lines: list[str]


@click.command()
@click.argument("name", metavar="ID", shell_complete=complete.ids)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(name: str, *, as_json: bool) -> None:
    """Explain a requirement, ambiguity, case, fault, Win32 code or fault status.

    It shows the text and its section, how it is tested, and the cases and faults that belong to it.

    \b
    swn-torture explain SWN-3.1.4.2-null-netname    # a requirement
    swn-torture explain AMB-12                      # an ambiguity of the specification
    swn-torture explain rpc.register.wrong-version  # a case, with or without [parameters]
    swn-torture explain any-net-name-taken          # a fault of the reference cluster
    swn-torture explain ERROR_INVALID_STATE         # a code; also 0x139F or nca_s_op_rng_error
    """
    found = explanation_of(name)
    if found is None:
        from swn_torture.harness.case_map import unknown

        if elsewhere := _shown_by(name):
            raise CommandError(f"{name} is {elsewhere}.", USAGE)
        remedy = "`swn-torture requirements` and `swn-torture faults` list ids."
        known = [each for each in _all_ids() if "[" in name or "[" not in each]
        raise CommandError(unknown("id", name, known, remedy), USAGE)
    if as_json:
        click.echo(json.dumps({"kind": found.kind, "id": found.id, **found.data}, indent=2))
        return
    for line in found.lines:
        click.echo(line)


def _shown_by(name: str) -> str:
    """What an id of a report is that another command shows, with that command; empty if it is none."""
    from swn_torture.baseline.read import load_baseline, shipped_baselines
    from swn_torture.spec.rungs import BY_ID

    for baseline in shipped_baselines():
        if any(cause.id == name for cause in load_baseline(baseline).causes):
            return f"a cause of the baseline {baseline}: `swn-torture baseline show {baseline} {name}`"
    if name in BY_ID:
        return f"a rung of the ladder: `swn-torture run --up-to {name}` runs it and the lower ones"
    return ""


def explanation_of(name: str) -> Explanation | None:
    """What an id means; None when it is unknown. Catalogue ids and codes ignore the case of letters."""
    from swn_torture.spec import load_catalogue

    catalogue = load_catalogue()
    rows = {row.casefold(): row for row in (*catalogue.requirements, *catalogue.ambiguities)}
    row = rows.get(name.casefold(), "")
    if row in catalogue.requirements:
        return _requirement(row)
    if row in catalogue.ambiguities:
        return _ambiguity(row)
    codes = _codes(name)
    if codes:
        return _code(codes)
    return _case(name) if "." in name else _fault(name)


def requirement_lines(row: Requirement) -> list[str]:
    """A requirement as text, without its cases and faults."""
    kind = f"{row.cite}, {row.level}, {row.role}"
    revision = "" if row.revision in {"both", "n/a"} else f", only in revision {row.revision}"
    lines = [row.id, kind + revision, *([row.url] if row.url else []), "", *_folded(row.text)]
    lines += ["", *_folded(f"How it is tested: {row.how}")] if row.how else []
    lines += ["", *_folded(f"Notes: {row.notes}")] if row.notes else []
    return lines


def _requirement(name: str) -> Explanation:
    from swn_torture.spec import load_catalogue, load_untestable

    catalogue = load_catalogue()
    row = catalogue.requirements[name]
    cases = _cases_of({name})
    faults = _faults_of({name})
    ambiguities = [each for each in catalogue.ambiguities.values() if name in each.requirements]
    untestable = load_untestable().get(name, "")
    lines = requirement_lines(row)
    if row.role == "client":
        lines += ["", "It binds the client. The suite tests servers only."]
    elif not row.observable:
        lines += ["", "It is not observable from outside, so no case can check it."]
    elif row.product:
        note = f"It concerns {row.product} only, and is not counted. A run records what the target does."
        lines += ["", *_folded(note)]
    if untestable:
        lines += ["", *_folded(f"No case checks it: {untestable}")]
    lines += _case_section("Cases that check it", cases)
    lines += _section("Faults that violate it", (f"{fault.name}: {fault.summary}" for fault in faults))
    lines += _section("Ambiguities", (f"{each.id}: {each.topic}" for each in ambiguities))
    data = {
        **asdict(row),
        "cite": row.cite,
        "url": row.url,
        "cases": [case.id for case in cases],
        "faults": [fault.name for fault in faults],
        "ambiguities": [each.id for each in ambiguities],
        "untestable": untestable,
    }
    return Explanation("requirement", name, data, lines)


def _ambiguity(name: str) -> Explanation:
    from swn_torture.spec import load_catalogue

    catalogue = load_catalogue()
    row = catalogue.ambiguities[name]
    rows = [catalogue.requirements[each] for each in row.requirements]
    cases = _cases_of(set(row.requirements))
    lines = [f"{name}: {row.topic}", "", *_folded(row.text)]
    lines += _section("Readings", row.readings)
    lines += _section("Requirements", map(_requirement_line, rows))
    lines += _case_section("Cases that check these requirements", cases)
    return Explanation("ambiguity", name, {**asdict(row), "cases": [case.id for case in cases]}, lines)


def _case(name: str) -> Explanation | None:
    from swn_torture.harness.case_map import cases_named, select_ids
    from swn_torture.shipped import current_id
    from swn_torture.spec import load_catalogue

    known = cases_named([name])
    ids = select_ids(name, known)
    if not ids:
        return None
    present = current_id(name)
    info = known[ids[0]]
    rows = [load_catalogue().requirements[each] for each in info.requirements]
    faults = _faults_of(set(info.requirements))
    lines = [f"The case {name} was renamed to {present}.", ""] if present != name else []
    lines += [present, *_folded(info.title)]
    lines += ["", *_folded(info.details)] if info.details else []
    lines += ["", f"Source: {info.source}"]
    lines += [f"Needs: {', '.join(info.needs)}"] if info.needs else []
    lines += (
        ["It runs alone on a live target, and the cluster is restored after it."] if info.disturbs else []
    )
    lines += [f"It takes about {info.lasts:g} s on a live target."] if info.lasts else []
    parameters = [each.partition("[")[2].rstrip("]") for each in ids if each != present]
    lines += ["", *_folded(f"Parameters ({len(parameters)}): {', '.join(parameters)}")] if parameters else []
    lines += _section("Requirements", map(_requirement_line, rows))
    lines += _section(
        "Faults that violate these requirements", (f"{fault.name}: {fault.summary}" for fault in faults)
    )
    lines += ["", f"Run it: swn-torture run --case '{present}'"]
    lines += [f"Run it again as in a report: swn-torture repro RESULTS.json '{present}'"]
    data = {
        "title": info.title,
        "details": info.details,
        "renamed_from": name if present != name else "",
        "ids": ids,
        "suite": info.suite,
        "source": info.source,
        "requirements": list(info.requirements),
        "needs": list(info.needs),
        "disturbs": info.disturbs,
        "lasts_s": info.lasts,
        "faults": [fault.name for fault in faults],
    }
    return Explanation("case", present, data, lines)


def _fault(name: str) -> Explanation | None:
    from swn_torture.faults.library import UnknownFault, find_fault
    from swn_torture.spec import load_catalogue

    try:
        fault = find_fault(name)
    except UnknownFault:
        return None
    catalogue = load_catalogue()
    cases = _cases_of(set(fault.violates))
    lines = [fault.name, *_folded(fault.summary), "", f"Area: {fault.area} ({fault.kind})"]
    lines += [f"Seen in {fault.seen_in}"] if fault.seen_in else []
    lines += _section(
        "It violates", (_requirement_line(catalogue.requirements[row]) for row in fault.violates)
    )
    lines += _section("It may also show in cases for", fault.near)
    lines += _case_section("Cases that check these requirements", cases)
    lines += ["", f"Run the suite against it: swn-torture run --fault {fault.name}"]
    data = {
        "summary": fault.summary,
        "area": fault.area,
        "fault_kind": fault.kind,
        "seen_in": fault.seen_in,
        "violates": list(fault.violates),
        "near": list(fault.near),
        "cases": [case.id for case in cases],
    }
    return Explanation("fault", fault.name, data, lines)


@dataclass(frozen=True, slots=True)
class Code:
    """One meaning of a code.

    Attributes:
        symbol: ``ERROR_INVALID_STATE``; empty for a code without a symbol in our tables.
        value: the number.
        table: where the symbol comes from.
    """

    symbol: str
    value: int
    table: str

    def __str__(self) -> str:
        value = f"0x{self.value:08X}" if self.value > 0xFFFF else f"0x{self.value:X}"
        return f"{self.symbol or 'no symbol'} ({value}, decimal {self.value}): {self.table}"


def _codes(name: str) -> list[Code]:
    """The meanings of a symbol or a number."""
    from swn_torture.stubdata.win32 import is_assigned

    number = int(name, 0) if re.fullmatch(r"0[xX][0-9a-fA-F]+|[1-9][0-9]*|0", name) else None
    found = [
        code for code in _known_codes() if name.casefold() == code.symbol.casefold() or code.value == number
    ]
    if not found and number is not None and is_assigned(number):
        found = [Code("", number, "Win32 code of MS-ERREF 2.2; its symbol is not in our table")]
    return found


def _known_codes() -> Iterator[Code]:
    from swn_torture.dcerpc.status import FORBIDDEN_STATUSES, FaultStatus, describe_status
    from swn_torture.stubdata.win32 import Win32

    for member in Win32:
        yield Code(member.name, member.value, "Win32 code (MS-ERREF 2.2)")
    for status in FaultStatus:
        symbol = describe_status(status.value).partition(" ")[0]
        table = "fault status (C706 Appendix E)" if status.value > 0xFFFF else "fault status (MS-RPCE)"
        if status.value in FORBIDDEN_STATUSES:
            table += "; no server may send it (MS-RPCE 3.3.3.5.1)"
        yield Code(symbol, status.value, table)


def _code(codes: list[Code]) -> Explanation:
    from swn_torture.spec import load_catalogue

    catalogue = load_catalogue()
    names = _mention(codes)
    rows = [
        row for row in catalogue.requirements.values() if names.search(f"{row.text} {row.how} {row.notes}")
    ]
    ambiguities = [
        row for row in catalogue.ambiguities.values() if names.search(f"{row.text} {' '.join(row.readings)}")
    ]
    lines = [str(code) for code in codes]
    lines += _section("Requirements that mention it", map(_requirement_line, rows))
    lines += _section("Ambiguities that mention it", (f"{row.id}: {row.topic}" for row in ambiguities))
    data = {
        "meanings": [asdict(code) for code in codes],
        "requirements": [row.id for row in rows],
        "ambiguities": [row.id for row in ambiguities],
    }
    return Explanation("code", codes[0].symbol or f"0x{codes[0].value:X}", data, lines)


def _mention(codes: Sequence[Code]) -> re.Pattern[str]:
    """A pattern for a code in the catalogue: 0x139F, ERROR_INVALID_STATE or INVALID_STATE."""
    words: set[str] = set()
    for code in codes:
        # A small number may be anything, so it counts with its symbol only.
        words |= {f"(?i:0x0*{code.value:x})"} if code.value > 0xF else set()
        words |= {f"(?i:{re.escape(code.symbol)})"} if code.symbol else set()
        short = next((code.symbol[len(p) :] for p in _PREFIXES if code.symbol.upper().startswith(p)), "")
        # Lower-case words without an underscore, such as "cancel", are ordinary English.
        words |= {re.escape(short)} if short.isupper() or "_" in short else set()
    return re.compile(rf"(?<![\w.-])(?:{'|'.join(sorted(words))})(?![\w-])")


def _cases_of(requirements: set[str]) -> list[CaseInfo]:
    from swn_torture.harness.case_map import collect_cases

    return [case for case in collect_cases().values() if requirements & set(case.requirements)]


def _faults_of(requirements: set[str]) -> list[Fault]:
    from swn_torture.faults.library import load_faults

    return [fault for fault in load_faults() if requirements & set(fault.violates)]


def _all_ids() -> list[str]:
    from swn_torture.faults.library import load_faults
    from swn_torture.harness.case_map import collect_cases
    from swn_torture.spec import load_catalogue

    catalogue = load_catalogue()
    cases = collect_cases()
    return list(
        dict.fromkeys(
            [
                *catalogue.requirements,
                *catalogue.ambiguities,
                *(case.base for case in cases.values()),
                *cases,
                *(fault.name for fault in load_faults()),
                *(code.symbol for code in _known_codes()),
            ]
        )
    )


def _requirement_line(row: Requirement) -> str:
    return f"{row.id} ({row.cite}, {row.level}): {row.text}"


def _case_section(heading: str, cases: Sequence[CaseInfo]) -> list[str]:
    """The cases, those that differ only in parameters on one line."""
    sets: dict[str, list[CaseInfo]] = {}
    for case in cases:
        sets.setdefault(case.base, []).append(case)
    lines = []
    for base, variants in sets.items():
        number = f" ({len(variants)} sets of parameters)" if len(variants) > 1 else ""
        lines.append(f"{base}{number}: {variants[0].title}")
    return _section(heading, lines)


def _section(heading: str, entries: Iterable[str]) -> list[str]:
    """A heading with the number of its entries, and the entries; nothing without entries."""
    listed = list(entries)
    if not listed:
        return []
    lines = ["", f"{heading} ({len(listed)}):"]
    for entry in listed:
        lines += textwrap.wrap(
            entry,
            _WIDTH,
            initial_indent="  ",
            subsequent_indent="      ",
            break_on_hyphens=False,
            break_long_words=False,
        )
    return lines


def _folded(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_on_hyphens=False, break_long_words=False)
