"""The ``@case`` mark, and the id, suite and title of a case."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from swn_torture.casekit.case import CaseMark, also_needs, case, mark_of, slug_of, suite_of, title_of


def item(module: str, name: str, doc: str = "") -> pytest.Item:
    """A collected test function of a module, without collecting it."""

    def function() -> None:
        pass

    function.__module__, function.__doc__ = module, doc
    collected = pytest.Function.__new__(pytest.Function)
    collected.name = name
    collected.__dict__["_obj"] = function
    return collected


@pytest.mark.parametrize(
    ("module", "name", "slug", "suite"),
    [
        (
            "swn_torture.rpc.methods.test_register",
            "test_null_name[ndr64]",
            "rpc.register.null-name[ndr64]",
            "rpc",
        ),
        ("swn_torture.rpc.test_register", "test_null_name", "rpc.register.null-name", "rpc"),
        ("swn_torture.ndr.test_strings", "test_a_b[c_d-ndr32]", "ndr.strings.a-b[c_d-ndr32]", "ndr"),
        ("swn_torture.cluster.events.test_ip_change", "test_x", "cluster.ip-change.x", "cluster"),
        ("mine.rpc.test_own", "test_x", "rpc.own.x", "rpc"),
        ("mine.test_own", "test_x", "mine.own.x", "own"),
        ("test_own", "test_x", "own.own.x", "own"),
    ],
)
def test_id_and_suite(module: str, name: str, slug: str, suite: str) -> None:
    assert slug_of(item(module, name)) == slug
    assert suite_of(item(module, name)) == suite


def test_the_title_is_the_first_line_of_the_docstring() -> None:
    assert title_of(item("test_own", "test_x", "  Send it.\n\n    More.")) == "Send it."


def test_a_case_without_docstring_has_its_id_as_title() -> None:
    assert title_of(item("test_own", "test_x")) == "own.own.x"


def test_the_mark_keeps_what_the_case_declares() -> None:
    @case("SWN-1.9-uuid", needs=("two-nodes",), syntaxes="both", disturbs=True, lasts=3.0)
    def declared() -> None:
        pass

    (mark,) = cast("Any", declared).pytestmark
    more = [also_needs("tcp-reset").mark]
    for marks, needs in (([], ("two-nodes",)), (more, ("two-nodes", "tcp-reset"))):
        found = SimpleNamespace(
            get_closest_marker={"swn": mark}.get, iter_markers={"swn_needs": marks}.__getitem__
        )
        assert mark_of(cast("pytest.Item", found)) == CaseMark(
            ("SWN-1.9-uuid",), needs, "both", disturbs=True, lasts=3.0
        )


def test_a_test_without_the_mark_is_not_a_case() -> None:
    assert mark_of(cast("pytest.Item", SimpleNamespace(get_closest_marker=lambda _: None))) is None
    foreign = SimpleNamespace(args=("not a CaseMark",))
    assert mark_of(cast("pytest.Item", SimpleNamespace(get_closest_marker=lambda _: foreign))) is None
