"""docs/our-server.md: each row has its text and names tests that exist."""

from __future__ import annotations

import ast
from functools import cache
from typing import TYPE_CHECKING, Final

import pytest

from tests.docs.documents import DOCS, ROOT, code_spans

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = DOCS / "our-server.md"
COLUMNS: Final = ("what", "what we send", "text", "Windows and Samba", "tests")


def rows() -> list[list[str]]:
    """The rows of all tables of the page, without their heads."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] not in {"what", "---"}]


@cache
def functions_of(path: str) -> frozenset[str]:
    """The ids of the test functions of a module."""

    def walk(body: list[ast.stmt], prefix: str) -> Iterator[str]:
        for node in body:
            if isinstance(node, ast.ClassDef):
                yield from walk(node.body, f"{prefix}::{node.name}")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield f"{prefix}::{node.name}"

    return frozenset(walk(ast.parse((ROOT / path).read_text(encoding="utf-8")).body, path))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_a_row_names_existing_tests(row: list[str]) -> None:
    assert len(row) == len(COLUMNS)
    assert all(row), row
    named = code_spans(row[-1])
    assert named
    for test in named:
        path = test.partition("::")[0]
        assert (ROOT / path).is_file(), path
        assert test in functions_of(path), test


def test_every_test_of_what_our_server_sends_has_a_row() -> None:
    named = {test for row in rows() for test in code_spans(row[-1])}
    for module in ("test_our_server_tokens.py", "test_our_server_pdus.py"):
        assert functions_of(f"tests/dcerpc/{module}") <= named
