"""Writing a baseline from runs. Causes, reasons and comments of an earlier file stay.

The causes are changed where the runs contradict them: what is no longer seen goes, and what no cause explains
becomes a new cause without a reason, which a person must write. The picture is written anew.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from swn_torture.baseline.facts import facts_of
from swn_torture.baseline.model import ERROR, SCHEMA, BaselineError, any_matches, is_glob, matches
from swn_torture.baseline.observation import same, seen
from swn_torture.baseline.picture import picture_of
from swn_torture.baseline.toml_text import filled, key_of, list_of, table, text_of
from swn_torture.spec import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from swn_torture.baseline.facts import CaseFacts, Found, RunFacts
    from swn_torture.baseline.model import Picture
    from swn_torture.report.results import Results

#: Above this line a person writes; below it the command does.
MARK = "# Written by `swn-torture baseline update`. Changes below this line are lost."

_HEAD = f"""# What a target is known to do. docs/baselines.md explains the keys.

schema = "{SCHEMA}"
title = {{title}}
"""


@dataclass
class Updated:
    """A baseline that was written from runs.

    Attributes:
        text: the new text of the file.
        added: ids of the causes that were added; their reasons are empty.
        removed: what was removed, one line each.
        kept: flaky entries that no run shows, and that stay because too few runs agree.
        notes: what a reader should know, one sentence each.
    """

    text: str = ""
    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def update(
    text: str,
    results: Sequence[Results],
    *,
    draws: int | None = None,
    today: dt.date | None = None,
    source: str = "the baseline",
    reason: str = "",
    in_place: bool = False,
) -> Updated:
    """The text of a baseline after some runs.

    Args:
        text: the present text; empty for a new file.
        results: one run, or several of the same part of the suite.
        draws: number of runs that must agree before a flaky entry that none of them shows is removed; None
            keeps it.
        today: the date for new flaky entries; None for the present one.
        source: name of the file, for error texts.
        reason: the reason of each new cause. If it is empty, a person has to write it before the baseline can
            be used.
        in_place: whether the new text replaces the present one. Then the runs must be of the same part of the
            suite or of all of it: otherwise causes of other cases would be lost with their reasons.

    Raises:
        BaselineError: the text is not a baseline, or a run cannot be the source of a baseline.
    """
    runs = [facts_of(each) for each in results]
    for run in runs:
        if run.stopped:
            raise BaselineError(f"A run that is not complete cannot be a baseline: {run.stopped}.")
        if run.partial != runs[0].partial:
            parts = " and ".join(each.partial or "the whole suite" for each in (runs[0], run))
            raise BaselineError(f"The runs are of different parts of the suite: {parts}. Give runs of one.")
    _check_present(text, runs[0], source, in_place=in_place)
    made = Updated()
    author = _authored(text) or _HEAD.format(title=text_of(runs[-1].target))
    try:
        document: Any = tomlkit.parse(author)
    except TOMLKitError as problem:
        raise BaselineError(f"{source} is not valid TOML: {problem}.") from problem
    document["schema"] = SCHEMA
    causes = document.get("cause", [])
    for cause in list(causes):
        _update_cause(cause, runs, made, agreed=draws is not None and len(runs) >= draws)
        if not cause.get("finding"):
            causes.remove(cause)
            made.removed.append(f"cause {cause.get('id', '')}: {cause.get('title', '')}")
    if not causes:
        document.pop("cause", None)  # an empty array could not be followed by tables of that name
    day = today or dt.datetime.now(dt.UTC).date()
    new = _new_causes(runs, [*document.get("cause", [])], made, day, reason)
    impossible = [
        pattern
        for cause in document.get("cause", [])
        if cause.get("class") == "impossible"
        for entry in cause.get("finding", [])
        if not entry.get("requirement")
        for pattern in entry.get("cases", [])
    ]
    picture = _with_patterns(picture_of(runs), text)
    whole = [tomlkit.dumps(document).rstrip(), *new, picture_text(picture, impossible)]
    made.text = "\n\n".join(whole) + "\n"
    _note_errors(runs, made)
    return made


def _check_present(text: str, run: RunFacts, source: str, *, in_place: bool) -> None:
    """Check that the present text is a baseline, and that the run can replace what is there.

    Raises:
        BaselineError: it is another file, or the new text would lose causes.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise BaselineError(f"{source} is not valid TOML: {problem}.") from problem
    if data and not str(data.get("schema", "")).startswith(SCHEMA.partition("/")[0] + "/"):
        said = f"its schema is {data['schema']!r}" if "schema" in data else "it names no schema"
        raise BaselineError(f"{source} is not a baseline: {said}. It is not changed.")
    picture = data.get("picture")
    selection = picture.get("selection", "") if isinstance(picture, dict) else None
    if in_place and run.partial and selection is not None and selection != run.partial:
        raise BaselineError(
            f"{source} is a baseline of {selection or 'the whole suite'}, and the run is of "
            f"{run.partial}: causes of other cases would be lost. Run the same part, or name a new file, "
            f"with --from {source}. The file is not changed."
        )


def _authored(text: str) -> str:
    """The part of a file that a person writes."""
    lines = text.splitlines()
    ends = [index for index, line in enumerate(lines) if line.strip() in {MARK, "[picture]"}]
    return (
        "\n".join(lines[: ends[0]] if ends else lines).strip()
        and "\n".join(lines[: ends[0]] if ends else lines).rstrip() + "\n"
    )


def _with_patterns(picture: Picture, text: str) -> Picture:
    """The picture with the records of an earlier file in place of those that count as the same.

    A ``*`` stays in this way: earlier runs differed there, which one run alone cannot show.
    """
    try:
        earlier = tomllib.loads(text).get("picture", {}).get("records", {})
    except tomllib.TOMLDecodeError:
        return picture
    records = {}
    for requirement, texts in picture.records.items():
        patterns = earlier.get(requirement, [])
        kept = (next((each for each in patterns if same(each, found)), found) for found in texts)
        records[requirement] = tuple(sorted(dict.fromkeys(kept)))
    return replace(picture, records=records)


def _note_errors(runs: Sequence[RunFacts], made: Updated) -> None:
    judged = {case.id for run in runs for case in run.cases.values() if case.judged}
    errors = {case.id for run in runs for case in run.cases.values() if case.error} - judged
    errors |= {name for run in runs for name in run.unfinished} - judged
    for name in sorted(errors):
        made.notes.append(
            f"{name} did not end, or ended in an error: it is not in the picture. Run it again."
        )


# -- causes that are there


def _update_cause(cause: Any, runs: Sequence[RunFacts], made: Updated, *, agreed: bool) -> None:
    """Remove what the runs no longer show from a cause."""
    kind, cause_id = cause.get("class"), cause.get("id", "")
    if kind not in {"known", "flaky"}:
        return
    entries = cause.get("finding", [])
    stays = False
    if kind == "flaky":
        shown = any(_shown(entry, run) for entry in entries for run in runs)
        ran = any(_judged(entry.get("cases", []), run) for entry in entries for run in runs)
        stays = shown or not ran or not agreed
        if ran and not shown and not agreed:
            made.kept.append(cause_id)
    for entry in list(entries):
        cases = entry.get("cases", [])
        for pattern in list(cases):
            # A flaky entry stays without having been seen, but not for a case that these runs do not have.
            if _absent(pattern, runs) if stays else _gone(entry, pattern, runs):
                cases.remove(pattern)
                made.removed.append(f"{cause_id}: {entry.get('requirement')} in {pattern}")
        if not cases:
            entries.remove(entry)
        elif not stays:
            _update_observed(entry, runs, made, cause_id)


def _update_observed(entry: Any, runs: Sequence[RunFacts], made: Updated, cause_id: str) -> None:
    """Move observations that not every run shows to ``sometimes``, and remove those that none shows."""
    texts = [
        _texts(entry, entry.get("cases", []), run) for run in runs if _judged(entry.get("cases", []), run)
    ]
    for text in list(entry.get("observed", [])):
        number = sum(any(same(text, each) for each in found) for found in texts)
        if number == 0 and texts:
            entry["observed"].remove(text)
            made.removed.append(f"{cause_id}: {entry.get('requirement')} observed {text}")
        elif number < len(texts):
            entry["observed"].remove(text)
            entry.setdefault("sometimes", tomlkit.array()).append(text)
    for key in ("observed", "sometimes"):
        if key in entry and not entry[key]:
            del entry[key]


def _judged(patterns: Iterable[str], run: RunFacts) -> list[CaseFacts]:
    listed = list(patterns)
    return [case for case in run.cases.values() if case.judged and any_matches(listed, case.id)]


def _texts(entry: Any, patterns: Iterable[str], run: RunFacts) -> list[str]:
    requirement = entry.get("requirement", "")
    if requirement == ERROR:
        listed = list(patterns)
        return [case.error for case in run.cases.values() if case.error and any_matches(listed, case.id)]
    return [
        found.observed
        for case in _judged(patterns, run)
        for found in case.found
        if found.requirement == requirement
    ]


def _shown(entry: Any, run: RunFacts) -> bool:
    listed = [*entry.get("observed", []), *entry.get("sometimes", [])]
    return any(seen(listed, text) for text in _texts(entry, entry.get("cases", []), run))


def _gone(entry: Any, pattern: str, runs: Sequence[RunFacts]) -> bool:
    """Whether a case of an entry was judged, and no run shows one of the listed observations in it."""
    if not any(_judged([pattern], run) for run in runs):
        return _absent(pattern, runs)
    listed = [*entry.get("observed", []), *entry.get("sometimes", [])]
    return not any(seen(listed, text) for run in runs for text in _texts(entry, [pattern], run))


def _absent(pattern: str, runs: Sequence[RunFacts]) -> bool:
    """Whether no run has the case of an entry, judged or not."""
    return not is_glob(pattern) and not any(matches(pattern, name) for run in runs for name in run.cases)


# -- causes that are new


def _new_causes(
    runs: Sequence[RunFacts], causes: Sequence[Any], made: Updated, today: dt.date, reason: str
) -> list[str]:
    """The text of a cause for each requirement with findings that no cause explains."""
    counts: dict[tuple[str, str, str], int] = Counter()
    for run in runs:
        for case in run.cases.values():
            for found in case.found:
                if not _explained(case, found, causes):
                    counts[found.requirement, case.id, _same_key(counts, found, case)] += 1
    ran = Counter(case.id for run in runs for case in run.cases.values() if case.judged)
    failing: dict[tuple[str, str], int] = Counter()
    for run in runs:
        for case in run.cases.values():
            for requirement in {found.requirement for found in case.found}:
                failing[requirement, case.id] += 1
    by_cause: dict[tuple[str, bool], dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]]] = {}
    texts: dict[tuple[str, str], list[tuple[str, bool]]] = defaultdict(list)
    for (requirement, name, text), number in counts.items():
        texts[requirement, name].append((text, number == ran[name]))
    for (requirement, name), shown in sorted(texts.items()):
        flaky = failing[requirement, name] < ran[name]
        always = tuple(text for text, steady in shown if steady and not flaky)
        sometimes = tuple(text for text, steady in shown if not steady or flaky)
        by_cause.setdefault((requirement, flaky), {}).setdefault((always, sometimes), []).append(name)
    taken = {str(cause.get("id", "")) for cause in causes}
    return [
        _cause_text(_free_id(requirement, flaky, taken, made), requirement, flaky, entries, today, reason)
        for (requirement, flaky), entries in by_cause.items()
    ]


def _same_key(counts: Iterable[tuple[str, str, str]], found: Found, case: CaseFacts) -> str:
    """The text of an observation, or of an earlier one that counts as the same."""
    for requirement, name, text in counts:
        if requirement == found.requirement and name == case.id and same(text, found.observed):
            return text
    return found.observed


def _explained(case: CaseFacts, found: Found, causes: Iterable[Any]) -> bool:
    for cause in causes:
        for entry in cause.get("finding", []) if cause.get("class") != "required" else ():
            listed = [*entry.get("observed", []), *entry.get("sometimes", [])]
            named = entry.get("requirement", "") in {"", found.requirement}
            shown = seen(listed, found.observed) or (cause.get("class") == "impossible" and not listed)
            if named and shown and any_matches(list(entry.get("cases", [])), case.id):
                return True
    return False


def _free_id(requirement: str, flaky: bool, taken: set[str], made: Updated) -> str:
    stem = f"new-{'flaky-' if flaky else ''}{requirement.lower().replace('.', '-') or 'finding'}"
    free = next(
        name for name in (stem, *(f"{stem}-{number}" for number in range(2, 1000))) if name not in taken
    )
    taken.add(free)
    made.added.append(free)
    return free


def _cause_text(
    cause_id: str,
    requirement: str,
    flaky: bool,
    entries: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]],
    today: dt.date,
    reason: str,
) -> str:
    row = load_catalogue().requirements.get(requirement)
    lines = [
        "[[cause]]",
        f"id = {text_of(cause_id)}",
        f"title = {text_of(f'Not as required: {row.text}' if row else cause_id)}",
        f"class = {text_of('flaky' if flaky else 'known')}",
        *([f"since = {today.isoformat()}"] if flaky else []),
        f"reason = {text_of(reason)}",
    ]
    for (always, sometimes), cases in entries.items():
        lines += ["", "[[cause.finding]]", f"requirement = {text_of(requirement)}"]
        lines += [f"cases = {list_of(cases)}"]
        lines += [f"observed = {list_of(always)}"] if always else []
        lines += [f"sometimes = {list_of(sometimes)}"] if sometimes else []
    return "\n".join(lines)


# -- the picture


def picture_text(picture: Picture, impossible: Sequence[str] = ()) -> str:
    """The generated part of a baseline.

    Args:
        picture: the picture.
        impossible: patterns of cases that a cause lists as impossible; they need no other reason.
    """
    modules: dict[str, list[str]] = defaultdict(list)
    for base, number in picture.judged.items():
        module, _, name = base.rpartition(".")
        modules[module].append(f"{name} {number}")
    not_tested = {
        reason: [name for name in names if not any_matches(impossible, name)]
        for reason, names in picture.not_tested.items()
    }
    lines = [MARK, "", "[picture]"]
    lines += [f"suite = {text_of(picture.suite)}", f"target = {text_of(picture.target)}"]
    lines += [f"date = {text_of(picture.date)}", f"runs = {picture.runs}"]
    lines += [f"selection = {text_of(picture.selection)}"] if picture.selection else []
    listed = {reason: names for reason, names in not_tested.items() if names}
    choices = [
        line
        for part, tables in (("choices", picture.choices), ("sometimes", picture.sometimes))
        for ambiguity, texts in tables.items()
        for line in table(f"picture.{part}.{key_of(ambiguity)}", texts)
    ]
    parts = [
        ("Not tested, by reason.", table("picture.not-tested", listed)[1:]),
        (
            "What the target does where the specification leaves a choice, and the cases that show it.",
            choices,
        ),
        (
            "Cases that fail anyway: what their other checks observe.",
            table("picture.observations", picture.observations)[1:],
        ),
        (
            "What checks that only record observe. A difference is reported, and does not fail.",
            table("picture.records", picture.records)[1:],
        ),
    ]
    for comment, shown in parts:
        lines += ["", f"# {comment}", *shown] if shown else []
    lines += ["", "# Number of judged cases of each test.", "[picture.judged]"]
    lines += [f"{key_of(module)} = {filled(names)}" for module, names in sorted(modules.items())]
    return "\n".join(lines)
