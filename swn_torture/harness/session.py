"""One pytest session that judges a target: which profile, which fault, and where its results are kept."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

import pytest

from swn_torture.faults.library import UnknownFault, find_fault
from swn_torture.target import ProfileError, load_profile

if TYPE_CHECKING:
    from swn_torture.report.results import Results
    from swn_torture.target import Profile

#: The results of the run, once the session has finished.
RESULTS: pytest.StashKey[Results] = pytest.StashKey()
#: Why a report could not be written, one paragraph each.
PROBLEMS: pytest.StashKey[list[str]] = pytest.StashKey()


def target_name(config: pytest.Config) -> str:
    """The profile asked for: option, environment variable SWN_TARGET, ini key, else the reference."""
    return str(
        config.getoption("--swn-target") or os.environ.get("SWN_TARGET") or config.getini("swn_target")
    )


def target_profile(config: pytest.Config) -> Profile:
    """The profile asked for, with the fault asked for.

    Raises:
        pytest.UsageError: there is no such profile or fault, or the target is none that can be given one.
    """
    fault = config.getoption("--swn-fault")
    try:
        profile = load_profile(target_name(config))
        return profile if fault is None else with_fault(profile, str(fault))
    except ProfileError as problem:
        raise pytest.UsageError(str(problem)) from problem


def with_fault(profile: Profile, name: str) -> Profile:
    """The profile of an embedded cluster with one that misbehaves on purpose (`swn_torture.faults.library`).

    Raises:
        ProfileError: there is no such fault, or the target is not ours to spoil.
    """
    if profile.embedded is None:
        raise ProfileError(f"A fault can be given to an embedded cluster only, and {profile.name} is none.")
    try:
        fault = find_fault(name)
    except UnknownFault as problem:
        raise ProfileError(f"Unknown fault: {problem}.") from problem
    return dataclasses.replace(profile, embedded={**profile.embedded, "fault": fault.name})
