"""The error of the lab."""

from __future__ import annotations


class LabError(Exception):
    """The lab could not do what was requested. The text says in one paragraph why, and how to solve it."""
