"""The ids of cases in a subunit stream.

Samba compares test ids with regular expressions (``selftest/knownfail.d``, ``selftest/flapping.d``), where a
bracket begins a set of characters. So the parameters of a case follow its name after a dot:
``rpc.register.null-name[ndr32]`` becomes ``rpc.register.null-name.ndr32``. A character that is not a letter,
a digit or one of ``._-~`` is written as ``%XX``. The mapping can be reversed, because the id of a case
without parameters always has three parts, and that of a finding of the preflight two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from swn_torture.report.roots import PREFLIGHT

if TYPE_CHECKING:
    from collections.abc import Iterable


def subunit_id(case_id: str) -> str:
    """The id of a case in the stream.

    >>> subunit_id("rpc.register.wrong-version[ndr32-register-0x0]")
    'rpc.register.wrong-version.ndr32-register-0x0'
    """
    base, bracket, parameters = case_id.partition("[")
    return f"{base}.{quote(parameters.removesuffix(']'), safe='')}" if bracket else base


def case_id(test: str) -> str:
    """The id of the case that has this id in the stream.

    >>> case_id("rpc.register.wrong-version.ndr32-register-0x0")
    'rpc.register.wrong-version[ndr32-register-0x0]'
    """
    parts = test.split(".")
    named = PREFLIGHT.count(".") + 1 if test.startswith(f"{PREFLIGHT}.") else 3
    base, parameters = ".".join(parts[:named]), ".".join(parts[named:])
    return f"{base}[{unquote(parameters)}]" if len(parts) > named else base


class UnknownTestsError(ValueError):
    """A list of tests names tests that the suite does not have; the text names the first ones."""


def read_list(text: str, known: Iterable[str]) -> list[str]:
    """The ids of the cases that a list of tests names, one on each line, in the order of the list.

    A line is the id of a case, with or without brackets. It may have the prefix and the suffix that
    ``filter-subunit`` adds: ``swn-torture.ID(clusteredmember:local)``. Empty lines and lines that begin with
    ``#`` are ignored.

    Args:
        text: the list.
        known: the ids of all cases.

    Raises:
        UnknownTestsError: a line names no case.
    """
    by_test = {subunit_id(each): each for each in known}
    cases = set(by_test.values())
    found: dict[str, None] = {}
    unknown = []
    for line in text.splitlines():
        name = line.strip()
        if not name or name.startswith("#"):
            continue
        plain = name.partition("(")[0]
        tails = [plain.split(".", number)[-1] for number in range(plain.count(".") + 1)]
        case = name if name in cases else next((by_test[tail] for tail in tails if tail in by_test), None)
        if case is None:
            unknown.append(name)
        else:
            found[case] = None
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise UnknownTestsError(
            f"The list names tests that the suite does not have: {', '.join(unknown[:3])}{more}. "
            "`swn-torture selftest --list` prints all ids."
        )
    return list(found)
