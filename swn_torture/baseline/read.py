"""Reading a baseline by the name of a shipped one, or from a file.

Every error names the file, the line of the entry, what is wrong, and how to mend it.
"""

from __future__ import annotations

import datetime as dt
import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, get_args

from swn_torture.baseline.model import (
    ERROR,
    IGNORABLE,
    SCHEMA,
    Baseline,
    BaselineError,
    Cause,
    Expected,
    Picture,
    any_matches,
    is_glob,
)
from swn_torture.report.comparison import CauseClass
from swn_torture.shipped import current_id, fixtures_directory
from swn_torture.spec import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from swn_torture.spec import Catalogue

_CLASSES: tuple[CauseClass, ...] = get_args(CauseClass)
_TOP = {"schema", "title", "ignore", "cause", "picture"}
_CAUSE = {"id", "title", "class", "reason", "seen-with", "bug", "since", "finding"}
_FINDING = {"requirement", "cases", "observed", "sometimes"}
_PICTURE = {
    "suite", "target", "date", "runs", "selection", "judged", "not-tested", "choices", "sometimes",
    "observations", "records",
}  # fmt: skip

#: How to get a file in the form of this version.
_WRITE = "`swn-torture baseline update RESULTS BASELINE` writes a baseline from results."


def shipped_baselines() -> list[str]:
    """The names of the baselines that ship with this package."""
    return sorted(path.stem for path in (fixtures_directory() / "baselines").glob("*.toml"))


def baseline_path(name_or_path: str) -> Path:
    """The file of a baseline.

    Args:
        name_or_path: name of a shipped one, or a path: anything with a suffix ``.toml`` or a separator.

    Raises:
        BaselineError: no baseline with this name ships with the package.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml" or os.sep in name_or_path:
        return path
    if name_or_path in shipped_baselines():
        return fixtures_directory() / "baselines" / f"{name_or_path}.toml"
    raise BaselineError(
        f"Unknown baseline '{name_or_path}'. This package has: {', '.join(shipped_baselines())}. "
        "For your own baseline, name the path of its .toml file."
    )


def load_baseline(
    name_or_path: str, *, known_cases: Iterable[str] | None = None, catalogue: Catalogue | None = None
) -> Baseline:
    """Read a baseline by the name of a shipped one, or from a file.

    Args:
        name_or_path: name of a shipped one, or a path.
        known_cases: ids of all cases of the suite, to find wrong ids; None leaves them unchecked.
        catalogue: the requirements; None for those of this version.

    Raises:
        BaselineError: it does not exist, is not TOML, or an entry is wrong.
    """
    path = baseline_path(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as problem:
        raise BaselineError(f"The baseline {path} cannot be read: {problem.strerror}.") from problem
    except UnicodeDecodeError as problem:
        raise BaselineError(f"The baseline {path} is not UTF-8 text: {problem}.") from problem
    return parse_baseline(
        text, name=name_or_path, source=str(path), known_cases=known_cases, catalogue=catalogue
    )


def parse_baseline(
    text: str,
    *,
    name: str = "baseline",
    source: str = "",
    known_cases: Iterable[str] | None = None,
    catalogue: Catalogue | None = None,
) -> Baseline:
    """Read a baseline from its text.

    Args:
        text: the TOML text.
        name: how the user named it.
        source: its path, for error texts.
        known_cases: ids of all cases of the suite, to find wrong ids; None leaves them unchecked.
        catalogue: the requirements; None for those of this version.

    Raises:
        BaselineError: it is not TOML, or an entry is wrong.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise BaselineError(f"The baseline {source or name} is not valid TOML: {problem}.") from problem
    cases = None if known_cases is None else list(known_cases)
    return _Reader(source or name, text, cases, catalogue or load_catalogue()).baseline(name, data)


class _Reader:
    """Turns tables into values; its errors name the file, the line and the entry."""

    def __init__(self, source: str, text: str, cases: list[str] | None, catalogue: Catalogue) -> None:
        self.source = source
        self.lines = text.splitlines()
        self.cases = cases
        self.catalogue = catalogue
        self.where = ""

    def fail(self, problem: str) -> NoReturn:
        raise BaselineError(f"{self.source}{self.where}: {problem}")

    def baseline(self, name: str, data: dict[str, Any]) -> Baseline:
        schema = data.get("schema")
        if schema != SCHEMA:
            found = f"has the schema {schema!r}" if schema else "names no schema"
            self.fail(f"the file {found}; this version reads {SCHEMA!r}. {_WRITE}")
        self.known(data, _TOP, "the file")
        ignore = self.texts(data, "ignore")
        for each in ignore:
            if each not in IGNORABLE:
                self.fail(f"'ignore' has the unknown entry {each!r}; known: {', '.join(IGNORABLE)}.")
        if "picture" not in data:
            self.fail(f"the file has no [picture], so lost cases would not be found. {_WRITE}")
        picture = self.picture(self.table(data, "picture"))
        causes: list[Cause] = []
        for number, entry in enumerate(self.tables(data, "cause")):
            causes.append(self.cause(number, entry, {cause.id for cause in causes}))
        self.where = ""
        return Baseline(name, self.text(data, "title"), tuple(causes), picture, ignore)

    # -- causes

    def cause(self, number: int, data: dict[str, Any], taken: set[str]) -> Cause:
        line = self.line_of("[[cause]]", number)
        cause_id = data.get("id")
        self.where = (
            f", line {line}, cause {cause_id!r}" if cause_id else f", line {line}, [[cause]] {number + 1}"
        )
        self.known(data, _CAUSE, "a cause")
        for key in ("id", "title", "class"):
            if not self.text(data, key).strip():
                self.fail(f"the key '{key}' is missing or empty. Add it: {_EXAMPLES[key]}")
        if cause_id in taken:
            self.fail("this id is used twice. Give one of them another id.")
        kind = data["class"]
        if kind not in _CLASSES:
            self.fail(f"unknown class {kind!r}; known: {', '.join(_CLASSES)}.")
        reason = self.text(data, "reason").strip()
        if not reason:
            self.fail(
                "the reason is empty. Write why this is listed: what the specification says, what is sent."
            )
        since = data.get("since")
        if since is not None and type(since) is not dt.date:
            self.fail(f"'since' must be a date without quotes: since = {dt.date(2026, 11, 28)}")
        if kind == "flaky" and since is None:
            self.fail("a flaky entry needs the date since when it is listed: since = 2026-11-28")
        entries = self.tables(data, "finding")
        if not entries:
            self.fail(
                "the cause has no [[cause.finding]]. Add one with 'requirement', 'cases' and 'observed'."
            )
        where = self.where
        findings = []
        for index, entry in enumerate(entries, 1):
            self.where = f"{where}, finding {index}"
            findings.append(self.finding(entry, kind))
        self.where = where
        return Cause(
            id=str(cause_id),
            title=" ".join(self.text(data, "title").split()),
            kind=kind,
            reason=" ".join(reason.split()),
            seen_with=self.texts(data, "seen-with"),
            bug=self.text(data, "bug"),
            since=since,
            findings=tuple(findings),
        )

    def finding(self, data: dict[str, Any], kind: CauseClass) -> Expected:
        self.known(data, _FINDING, "a finding")
        requirement = self.text(data, "requirement")
        cases = self.texts(data, "cases")
        observed, sometimes = self.texts(data, "observed"), self.texts(data, "sometimes")
        if requirement == ERROR and kind in {"flaky", "impossible"}:
            pass
        elif requirement and requirement not in self.catalogue.requirements:
            self.fail(_unknown("requirement", requirement, self.catalogue.requirements))
        if kind in {"known", "flaky"}:
            if not requirement:
                self.fail(
                    "the key 'requirement' is missing. Name the requirement that the cases find violated."
                )
            if not observed and not sometimes:
                self.fail(
                    "the key 'observed' is missing. List what the cases observe, as "
                    "`swn-torture baseline update` writes it; '*' stands for any text."
                )
        elif kind == "required" and (observed or sometimes):
            self.fail("a required entry has no 'observed': its cases must pass. Remove the key.")
        if not cases and not (kind == "required" and requirement):
            self.fail("the key 'cases' is missing or empty. List ids of cases; '*' stands for any text.")
        for pattern in cases:
            self.check_case(pattern)
        return Expected(requirement, cases, observed, sometimes)

    def check_case(self, pattern: str) -> None:
        if self.cases is None or any(any_matches([pattern], each) for each in self.cases):
            return
        if is_glob(pattern):
            self.fail(f"no case matches {pattern!r}. `swn-torture explain CASE` shows a case by its id.")
        self.fail(_unknown("case", current_id(pattern), self.cases))

    # -- the picture

    def picture(self, data: dict[str, Any]) -> Picture:
        self.where = f", line {self.line_of('[picture]', 0)}, [picture]"
        self.known(data, _PICTURE, "the picture")
        runs = data.get("runs", 1)
        if not isinstance(runs, int) or runs < 1:
            self.fail(f"'runs' must be a number of runs, not {runs!r}. {_WRITE}")
        judged: dict[str, int] = {}
        for module, tests in self.lists(self.table(data, "judged"), "judged").items():
            for test in tests:
                name, _, number = test.rpartition(" ")
                if not name or not number.isdigit():
                    self.fail(
                        f"'judged' has {test!r} for {module}; it must be a name and a number: 'null-name 4'."
                    )
                base = current_id(f"{module}.{name}")
                judged[base] = judged.get(base, 0) + int(number)
        return Picture(
            suite=self.text(data, "suite"),
            target=self.text(data, "target"),
            date=self.text(data, "date"),
            runs=runs,
            selection=self.text(data, "selection"),
            judged=judged,
            not_tested=self.lists(self.table(data, "not-tested"), "not-tested"),
            choices=self.nested(data, "choices"),
            sometimes=self.nested(data, "sometimes"),
            observations={
                current_id(case): texts
                for case, texts in self.lists(self.table(data, "observations"), "observations").items()
            },
            records=self.lists(self.table(data, "records"), "records"),
        )

    def nested(self, data: dict[str, Any], key: str) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        table = self.table(data, key)
        return {each: self.lists(self.table(table, each), f"{key}.{each}") for each in table}

    def lists(self, table: dict[str, Any], name: str) -> dict[str, tuple[str, ...]]:
        del name
        return {key: self.texts(table, key) for key in table}

    # -- keys and types

    def known(self, data: Mapping[str, Any], keys: set[str], what: str) -> None:
        for key in data:
            if key not in keys:
                self.fail(_unknown(f"key of {what}", key, sorted(keys), f"Known: {', '.join(sorted(keys))}."))

    def text(self, data: Mapping[str, Any], key: str) -> str:
        value = data.get(key, "")
        if not isinstance(value, str):
            self.fail(f"the key '{key}' must be text in quotes, not {value!r}.")
        return value

    def texts(self, data: Mapping[str, Any], key: str) -> tuple[str, ...]:
        value = data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            self.fail(f"the key '{key}' must be a list of texts: {key} = [\"…\"]")
        return tuple(value)

    def table(self, data: Mapping[str, Any], key: str) -> dict[str, Any]:
        value = data.get(key, {})
        if not isinstance(value, dict):
            self.fail(f"'{key}' must be a table.")
        return value

    def tables(self, data: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
        value = data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            self.fail(f"'{key}' must be written as [[{key}]].")
        return value

    def line_of(self, head: str, number: int) -> int:
        """The line of the table with this head and number; 1 when it is written in another way."""
        pattern = re.compile(rf"\s*{re.escape(head)}\s*(#.*)?")
        lines = [index for index, line in enumerate(self.lines, 1) if pattern.fullmatch(line)]
        return lines[number] if number < len(lines) else 1


_EXAMPLES = {
    "id": 'id = "no-ip-change"',
    "title": 'title = "No event makes the server send IP_CHANGE"',
    "class": 'class = "known"',
}


def _unknown(what: str, name: str, known: Iterable[str], remedy: str = "") -> str:
    names = list(known)
    close = [each for each in names if each.startswith(name)][:3] if name else []
    close = close or difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    matches = f"Close matches: {', '.join(close)}." if close else "There are no close matches."
    return f"unknown {what} '{name}'. {matches} {remedy}".rstrip()
