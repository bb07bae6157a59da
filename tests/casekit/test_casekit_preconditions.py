"""A precondition that does not hold is a reason for "not tested", never a StopIteration."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import swn_torture
from swn_torture.casekit.known import NotTestable
from swn_torture.casekit.steps.registering import plain_share, scale_out_share
from swn_torture.target import ExpectedShare

PACKAGE = Path(swn_torture.__file__).parent
ROOMS = ("ndr", "rpc", "cluster", "casekit", "harness")

#: Iterators without an end.
ENDLESS = {"_numbers"}


def bare_next(path: Path) -> list[int]:
    """The lines that call ``next`` without a default. In a coroutine it ends in an error of the harness."""
    calls = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call))
    return [
        call.lineno
        for call in calls
        if ast.unparse(call.func) == "next"
        and len(call.args) == 1
        and ast.unparse(call.args[0]) not in ENDLESS
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_next_has_a_default(room: str) -> None:
    found = {str(path): bare_next(path) for path in sorted((PACKAGE / room).rglob("*.py"))}
    assert found
    assert not {path: lines for path, lines in found.items() if lines}


def test_bare_next_is_found(tmp_path: Path) -> None:
    path = tmp_path / "sample.py"
    path.write_text("next(_numbers)\nnext(x for x in y)\nnext(iter(y), None)\n", encoding="utf-8")
    assert bare_next(path) == [2]


def witness(*shares: ExpectedShare) -> Any:
    return cast("Any", SimpleNamespace(expect=SimpleNamespace(shares=shares)))


def test_a_share_of_the_profile() -> None:
    both = witness(ExpectedShare("PLAIN"), ExpectedShare("SHARE", scale_out=True))
    assert (plain_share(both), scale_out_share(both)) == ("PLAIN", "SHARE")


def test_a_share_that_the_profile_does_not_list_is_a_reason() -> None:
    with pytest.raises(NotTestable, match="no share that is not scale-out"):
        plain_share(witness(ExpectedShare("SHARE", scale_out=True)))
    with pytest.raises(NotTestable, match="no scale-out share"):
        scale_out_share(witness())
