"""Reports: what a run found, as values, and its faces: JSON, JUnit, one HTML page, captures, terminal lines.

This room knows the requirement catalogue and nothing of the tests. Importing it stays light: jinja2, scapy
and rich are imported by the functions that use them.
"""

from swn_torture.report.model import OUTCOMES, SUITES, CaseOutcome, CaseResult, Check, Choice, Run, TargetInfo
from swn_torture.report.results import SCHEMA, Results, ResultsError
from swn_torture.report.verdict import (
    RequirementVerdict,
    Summary,
    Verdict,
    failed_as,
    judge,
    strictest,
    verdicts,
)

__all__ = [
    "OUTCOMES",
    "SCHEMA",
    "SUITES",
    "CaseOutcome",
    "CaseResult",
    "Check",
    "Choice",
    "RequirementVerdict",
    "Results",
    "ResultsError",
    "Run",
    "Summary",
    "TargetInfo",
    "Verdict",
    "failed_as",
    "judge",
    "strictest",
    "verdicts",
]
