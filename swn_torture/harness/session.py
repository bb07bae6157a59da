"""One pytest session that tests a target: which profile, which fault, and where its results are kept."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

import pytest

from swn_torture.target import ProfileError, load_profile

if TYPE_CHECKING:
    from swn_torture.report.results import Results
    from swn_torture.target import Profile

#: The results of the run, once the session has finished.
RESULTS: pytest.StashKey[Results] = pytest.StashKey()
#: One paragraph for each report that could not be written.
PROBLEMS: pytest.StashKey[list[str]] = pytest.StashKey()


def target_name(config: pytest.Config) -> str:
    """The target profile: from --swn-target, else SWN_TARGET, else the ini key, else ``reference``."""
    return str(
        config.getoption("--swn-target") or os.environ.get("SWN_TARGET") or config.getini("swn_target")
    )


def target_profile(config: pytest.Config) -> Profile:
    """The target profile of the session, with the fault of --swn-fault.

    Raises:
        pytest.UsageError: the profile or the fault is unknown, or the target is not an embedded cluster.
    """
    fault = config.getoption("--swn-fault")
    try:
        profile = load_profile(target_name(config))
        return profile if fault is None else with_fault(profile, str(fault))
    except ProfileError as problem:
        raise pytest.UsageError(str(problem)) from problem


def with_fault(profile: Profile, name: str) -> Profile:
    """The profile of an embedded cluster with a fault (`swn_torture.faults.library`).

    Args:
        profile: the profile of an embedded cluster.
        name: name of the fault.

    Raises:
        ProfileError: the fault is unknown, or the target is not an embedded cluster.
    """
    if profile.embedded is None:
        raise ProfileError(
            f"Only an embedded cluster can have a fault; the target {profile.name} is not embedded."
        )
    from swn_torture.faults.library import UnknownFault, find_fault

    try:
        fault = find_fault(name)
    except UnknownFault as problem:
        raise ProfileError(str(problem)) from problem
    return dataclasses.replace(profile, embedded={**profile.embedded, "fault": fault.name})
