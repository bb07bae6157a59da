"""One case of a group: what pytest gets at its turn, and a call that it has given up."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from swn_torture.control.manual.call import Call
from swn_torture.harness.case_ends import CaseError
from swn_torture.harness.persons.member import Ask, Member


@pytest.mark.parametrize("begun", [True, False])
def test_case_that_its_group_left_unfinished_is_an_error(*, begun: bool) -> None:
    item = cast("Any", SimpleNamespace(originalname="test_x", nodeid="x.py::test_x", name="test_x"))
    member = Member(item, cast("Any", None), cast("Any", None), threading.Condition())
    member.run = cast("Any", SimpleNamespace(ended=0.0)) if begun else None
    with pytest.raises(CaseError, match="an error in its group ended the case"), member:
        pass


def test_answer_to_a_case_that_has_ended_is_dropped() -> None:
    loop = asyncio.new_event_loop()
    ask = Ask(Call.of("restart", "N2"), loop.create_future(), loop)
    loop.close()
    ask.end(None)
    assert not ask.done.done()
