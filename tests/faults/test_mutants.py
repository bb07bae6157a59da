"""The kill matrix: what it makes of hunts, and one real hunt."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from swn_torture.faults.library import Fault, load_faults
from swn_torture.faults.matrix.matrix import FaultResult, Matrix
from swn_torture.faults.matrix.page import page
from swn_torture.faults.matrix.picture import areas, picture
from swn_torture.faults.matrix.subjects import ENTRY, SUBJECTS, neighbours, place, related
from swn_torture.faults.matrix.trials import Scope, Trial
from swn_torture.spec import load_catalogue

DOCS = Path(__file__).parents[2] / "docs" / "faults.md"
TOOL = Path(__file__).parent.parent.parent / "tools" / "mutants.py"
FAULT = Fault("wrong", "It is wrong.", ("SWN-1.9-uuid", "SWN-2.1-if-version"), "codes")
NAMED = {"a": FAULT.violates, "b": ("SWN-3.1.4.1-empty-list",)}
REFERENCE = Trial("", {"a": "passed", "b": "passed"}, NAMED, NAMED)


def trial(broken: dict[str, tuple[str, ...]], outcome: str = "failed") -> Trial:
    return Trial("wrong", dict.fromkeys(broken, outcome), broken, broken, broken)


def matrix(found: Trial, reference: Trial = REFERENCE) -> Matrix:
    return Matrix((FaultResult(FAULT, found),), reference, Scope.NEAR)


def test_caught_for_all_that_it_violates() -> None:
    caught = matrix(trial({"a": FAULT.violates}))

    assert caught.in_order
    assert caught.blunt_cases() == ["b"]
    assert caught.unguarded() == ["SWN-3.1.4.1-empty-list"]


def test_an_error_is_no_catch() -> None:
    survived = matrix(trial({"a": ()}, outcome="error"))

    assert [c.fault.name for c in survived.survivors] == ["wrong"]
    assert not survived.in_order


def test_caught_for_another_reason() -> None:
    missed = matrix(trial({"a": ("SWN-3.1.4.1-groupname",)}))

    assert [c.fault.name for c in missed.missed] == ["wrong"]
    assert not missed.survivors
    assert not missed.in_order


def test_caught_for_a_part_of_what_it_violates() -> None:
    half = matrix(trial({"a": ("SWN-1.9-uuid",)}))

    assert [c.unproven for c in half.half_proven] == [("SWN-2.1-if-version",)]
    assert half.unguarded() == ["SWN-3.1.4.1-empty-list"], "a SHOULD or implied row needs no fault"


def test_a_case_that_fails_the_reference_is_told() -> None:
    noisy = Trial("", {"a": "passed", "b": "failed"}, NAMED, NAMED, {"a": (), "b": ("SWN-1.9-uuid",)})

    judged = matrix(trial({"a": FAULT.violates}), noisy)

    assert judged.false_alarms == ["b"]
    assert not judged.in_order


def test_a_reference_that_dies_proves_nothing() -> None:
    died = Trial("", cut="the process ended with -9")

    assert not matrix(trial({"a": FAULT.violates}), died).in_order


def test_a_case_that_only_records_is_not_called_blunt() -> None:
    recording = Trial("", REFERENCE.outcomes, NAMED, {"a": FAULT.violates, "b": ()})

    judged = matrix(trial({"a": FAULT.violates}), recording)

    assert judged.blunt_cases() == []
    assert judged.recording_cases() == ["b"]


def test_the_page_tells_what_is_not_in_order() -> None:
    text = page(matrix(trial({"a": ("SWN-1.9-uuid",)})))

    assert "**not found:** SWN-2.1-if-version" in text
    assert "## Cases that no fault fails\n\n- `b`" in text


def test_the_picture_shows_what_each_function_said() -> None:
    """Law, neighbour and stranger are told apart, and cases with parameters counted together."""
    found = {
        "a[one]": FAULT.violates,
        "a[two]": FAULT.violates,
        "b": ("SWN-3.1.4.1-empty-list",),
    }

    (area,) = areas(matrix(trial(found)))
    (row,) = area.rows

    assert area.functions == ("a", "b")
    assert (row.cells["a"].kind, row.cells["a"].cases) == ("law", 2)
    assert (row.cells["b"].kind, row.cells["b"].title) == ("stranger", "b: SWN-3.1.4.1-empty-list")
    shown = picture(matrix(trial(found)))
    assert '<td class="law" title="a[one]: SWN-1.9-uuid, SWN-2.1-if-version' in shown
    assert '<td class="stranger" title="b: SWN-3.1.4.1-empty-list">1</td>' in shown


def test_the_page_in_the_docs_has_every_fault() -> None:
    named = re.findall(r"^\| `([a-z0-9-]+)` \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)

    assert sorted(named) == sorted(fault.name for fault in load_faults()), (
        "docs/faults.md is old: make mutants MUTANTS='--scope functions --resume'"
    )


def test_neighbours_are_of_one_section_or_one_topic() -> None:
    assert "SWN-3.1.4.2-null-ipaddress" in neighbours(["SWN-3.1.4.2-null-netname"])
    assert "SWN-3.1.4.5-null-netname" not in neighbours(["SWN-3.1.4.2-null-netname"])
    assert "RPC-FRAG-oversize" in neighbours(["RPC-FRAG-request"])
    assert "RPC-CTXH-rundown" not in neighbours(["RPC-FRAG-request"])


def test_kin_speak_of_one_subject() -> None:
    assert "SWN-3.1.4.5-null-netname" in related(["SWN-3.1.4.2-null-netname"])
    assert "SWN-3.1.4.1-groupname" not in related(["SWN-3.1.4.2-null-netname"])
    assert neighbours(["RPC-OPNUM-unknown"]) == related(["RPC-OPNUM-unknown"]), (
        "a topic that is a subject by itself"
    )
    known = {ENTRY} | {place(name) for name in load_catalogue().requirements}
    assert not {where for subject in SUBJECTS.values() for where in subject} - known


def test_a_hunt(tmp_path: Path) -> None:
    """In a process of its own: it forks, which a process with the threads of a test run should not."""
    path = tmp_path / "matrix.json"
    command = [sys.executable, str(TOOL), "--fault", "unregister-ex-returns-one", "--json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 0, done.stdout + done.stderr
    (caught,) = json.loads(path.read_text(encoding="utf-8"))["faults"]
    assert caught["violates"]["SWN-V14-3.1.4.6-success"]
    assert (caught["crashes"], caught["cut"]) == ([], "")
