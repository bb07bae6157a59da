"""``docs/our-client.md``: each row names sources and existing tests; each test of the client has a row."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.docs.documents import DOCS, ROOT, code_spans

if TYPE_CHECKING:
    from pathlib import Path

PAGE = DOCS / "our-client.md"
HEAD = ["Thing", "We send", "Text", "Windows and Samba", "Test"]
OWN_TESTS = ("test_our_client.py", "test_our_client_logon.py")


def rows() -> list[list[str]]:
    """The rows of all tables, without their heads."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row != HEAD and set(row) != {"---"}]


def names_of_tests(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


@cache
def all_tests() -> frozenset[str]:
    return frozenset(name for path in (ROOT / "tests").rglob("test_*.py") for name in names_of_tests(path))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_every_row_is_complete(row: list[str]) -> None:
    assert len(row) == len(HEAD)
    assert all(row)
    tests = code_spans(row[-1])
    assert tests
    assert set(tests) <= all_tests()


def test_the_page_has_rows() -> None:
    assert len(rows()) > 40


@pytest.mark.parametrize("name", OWN_TESTS)
def test_every_test_of_the_client_has_a_row(name: str) -> None:
    named = {span for row in rows() for span in code_spans(row[-1])}
    assert names_of_tests(ROOT / "tests" / "dcerpc" / name) <= named


def test_every_abbreviation_is_explained() -> None:
    text = PAGE.read_text(encoding="utf-8")
    explained = set(re.findall(r"^- \*\*([\w-]+)\*\*", text, re.MULTILINE))
    used = {word for row in rows() for word in re.findall(r"\b(?:W-\w+|S-\w+|S\d)\b", row[3])}
    assert used == explained
