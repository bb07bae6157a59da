"""The matrix as one compact JSON value: each text once, everything else as numbers that point to texts.

``template/matrix.js`` reads it. No part of the page but that script depends on its form.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from swn_torture.report.matrix.causes import cause_rows
from swn_torture.report.matrix.evidence import evidence_of
from swn_torture.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from swn_torture.report.matrix.evidence import Evidence, Exchange
    from swn_torture.report.matrix.model import Column, Matrix
    from swn_torture.report.model import CaseResult, Check
    from swn_torture.report.verdict import RequirementVerdict


class Pool:
    """Values, each once; ``add`` gives the index of a value."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._known: dict[Any, int] = {}

    def add(self, value: object) -> int:
        """The index of a hashable value."""
        if value not in self._known:
            self._known[value] = len(self.values)
            self.values.append(value)
        return self._known[value]

    def text(self, value: str) -> int:
        """The index of a text that a target may have chosen."""
        return self.add(visible(value, keep="\n"))


def packed(matrix: Matrix) -> dict[str, Any]:
    """The JSON value of a matrix."""
    return _Packer(matrix).value()


def to_script(value: object) -> str:
    """JSON that can stand in a script element: no text in it can end the element or begin a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


class _Packer:
    def __init__(self, matrix: Matrix) -> None:
        self.matrix = matrix
        self.texts, self.checks, self.evidence, self.exchanges = Pool(), Pool(), Pool(), Pool()
        self.case_index = {id_: number for number, id_ in enumerate(matrix.cases)}
        self.requirement_index = {row.id: number for number, row in enumerate(matrix.requirements)}

    def value(self) -> dict[str, Any]:
        matrix = self.matrix
        columns = [self._column(number, column) for number, column in enumerate(matrix.columns)]
        causes = [
            {
                "id": row.id,
                "title": visible(row.title),
                "reason": visible(row.reason, keep="\n"),
                "bug": row.bug,
                "known": [int(known) for known in row.known],
                "requirements": list(row.requirements),
                "cells": [[cell.letter, self._cases(cell.cases), cell.judged] for cell in row.cells],
            }
            for row in cause_rows(matrix)
        ]
        choices = [
            {
                "id": row.id,
                "topic": row.ambiguity.topic if row.ambiguity else "",
                "text": row.ambiguity.text if row.ambiguity else "",
                "readings": list(row.ambiguity.readings) if row.ambiguity else [],
                "cells": [
                    [[self.texts.text(text), self._cases(cases)] for text, cases in observed]
                    for observed in row.observed
                ],
            }
            for row in matrix.choices
        ]
        requirements = [
            [row.id, self.texts.add(row.cite), row.level, self.texts.add(row.text), self.texts.add(row.url)]
            for row in matrix.requirements
        ]
        return {
            "columns": columns,
            "requirements": requirements,
            "cases": [self._case(id_) for id_ in matrix.cases],
            "causes": causes,
            "choices": choices,
            "evidence": self.evidence.values,
            "checks": self.checks.values,
            "exchanges": self.exchanges.values,
            "texts": self.texts.values,
        }

    def _case(self, id_: str) -> list[Any]:
        case = self.matrix.case(id_)
        known = [self.requirement_index[name] for name in case.requirements if name in self.requirement_index]
        return [visible(id_), self.texts.text(case.title), case.suite, case.level, known]

    def _cases(self, ids: Iterable[str]) -> list[int]:
        return [self.case_index[id_] for id_ in ids if id_ in self.case_index]

    def _column(self, number: int, column: Column) -> dict[str, Any]:
        matrix, results = self.matrix, column.results
        found = evidence_of(results)
        own = matrix.by_id[number]
        return {
            "name": visible(column.name),
            "outcomes": "".join(matrix.outcome(number, id_) for id_ in matrix.cases),
            "verdicts": "".join(matrix.verdict(number, row.id) for row in matrix.requirements),
            "evidence": [self._evidence(own[id_], found[id_]) if id_ in own else -1 for id_ in matrix.cases],
            "behind": {
                str(self.requirement_index[row.id]): self._behind(row)
                for row in results.requirements
                if row.id in self.requirement_index and (row.because or row.reasons)
            },
            "failing": {
                str(self.requirement_index[row.id]): self._cases(row.failing)
                for row in results.requirements
                if row.id in self.requirement_index and row.failing
            },
        }

    def _behind(self, row: RequirementVerdict) -> list[Any]:
        return [list(row.because), [self.texts.text(reason) for reason in row.reasons]]

    def _evidence(self, case: CaseResult, found: Evidence) -> int:
        """A case: reason, checks, checks left out, exchange, like finding, command, blocked by (id, case)."""
        passed = case.outcome == "passed"
        return self.evidence.add(
            (
                self.texts.text(case.reason),
                tuple(self._check(check, letter) for check, letter in found.checks),
                found.omitted,
                self.exchanges.add(self._exchange(found.exchange)) if found.exchange else -1,
                self.case_index.get(found.like, -1),
                -1 if passed else self.texts.text(case.repro.replace(case.id, "%")),
                case.because,
                self.case_index.get(case.found_by, -1),
            )
        )

    def _check(self, check: Check, letter: str) -> int:
        return self.checks.add(
            (
                self.requirement_index.get(check.requirement, check.requirement),
                letter,
                tuple(self.texts.text(each) for each in check.expected) if letter in {"f", "d", "p"} else (),
                self.texts.text(check.observed),
                self.texts.text(check.note),
            )
        )

    def _exchange(self, exchange: Exchange) -> tuple[Any, ...]:
        ways = {"sent": ">", "received": "<"}
        return (
            tuple((ways.get(way, "."), at, self.texts.text(title)) for way, at, title in exchange.lines),
            tuple(
                (number, tuple((self.texts.text(label), offset, octets) for label, offset, octets in fields))
                for number, fields in exchange.octets
            ),
            exchange.omitted,
        )
