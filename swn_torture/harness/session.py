"""One pytest session that tests a target: which profile, which fault, and where its results are kept."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from swn_torture.suite import SUITES
from swn_torture.target import ProfileError, load_profile

if TYPE_CHECKING:
    from swn_torture.baseline.model import Baseline
    from swn_torture.report.results import Results
    from swn_torture.target import Profile

#: The results of the run, once the session has finished.
RESULTS: pytest.StashKey[Results] = pytest.StashKey()
#: Path of the JSON results; empty when there are none.
JSON_PATH: pytest.StashKey[str] = pytest.StashKey()
#: One paragraph for each report that could not be written.
PROBLEMS: pytest.StashKey[list[str]] = pytest.StashKey()


def target_name(config: pytest.Config) -> str:
    """The target profile: from --swn-target, else SWN_TARGET, else the ini key, else ``reference``."""
    return str(
        config.getoption("--swn-target") or os.environ.get("SWN_TARGET") or config.getini("swn_target")
    )


def target_profile(config: pytest.Config) -> Profile:
    """The target profile of the session, with the fault or the unusual server that the options name.

    Raises:
        pytest.UsageError: a name is unknown, or the target is not an embedded cluster.
    """
    fault, unusual = config.getoption("--swn-fault"), config.getoption("--swn-unusual")
    try:
        return chosen_profile(target_name(config), fault=fault, unusual=unusual)
    except ProfileError as problem:
        raise pytest.UsageError(str(problem)) from problem


def chosen_profile(target: str, *, fault: str | None = None, unusual: str | None = None) -> Profile:
    """The profile of a target, with a fault or as an unusual server.

    Args:
        target: name or path of the profile. Its [embedded] table can also name a fault or an unusual server.
        fault: name of a fault.
        unusual: name of an unusual server.

    Raises:
        ProfileError: a name is unknown, or the target is not an embedded cluster.
    """
    profile = load_profile(target)
    unusual = unusual or (profile.embedded or {}).get("unusual")
    if unusual is None:
        return profile if fault is None else with_fault(profile, str(fault))
    if fault is not None:
        raise ProfileError("An embedded cluster has a fault or is an unusual server, not both.")
    return with_unusual(profile, str(unusual))


def chosen_baseline(config: pytest.Config) -> Baseline | None:
    """The baseline that --swn-baseline names; None without the option.

    Raises:
        pytest.UsageError: it cannot be used.
    """
    name = config.getoption("--swn-baseline")
    if not name:
        return None
    from swn_torture.baseline.model import BaselineError
    from swn_torture.baseline.read import load_baseline

    try:
        return load_baseline(str(name))
    except BaselineError as problem:
        raise pytest.UsageError(str(problem)) from problem


def selection(config: pytest.Config) -> str:
    """How the user selected a part of the suite, in one line; empty for the whole suite."""
    option = config.option
    parts = [f"-k {option.keyword}"] if option.keyword else []
    parts += [f"-m {option.markexpr}"] if option.markexpr else []
    parts += [f"--deselect {each}" for each in option.deselect or ()]
    parts += [f"--case {each}" for each in config.getoption("--swn-case")]
    parts += [f"--requirement {each}" for each in config.getoption("--swn-requirement")]
    highest = config.getoption("--swn-up-to")
    parts += [f"--up-to {highest}"] if highest else []
    # pytest's own plugins; either can be disabled.
    parts += ["--last-failed"] if getattr(option, "lf", False) else []
    parts += ["--stepwise"] if getattr(option, "stepwise", False) else []
    names = {Path(each).name for each in config.args}
    if not ({"swn_torture"} <= names or set(SUITES) <= names):
        parts += [f"arguments {' '.join(config.args)}"]
    return ", ".join(parts)


def with_unusual(profile: Profile, name: str) -> Profile:
    """The profile of an embedded cluster that is an unusual server (`swn_torture.unusual.library`).

    Args:
        profile: the profile of an embedded cluster.
        name: name of the unusual server.

    Raises:
        ProfileError: the unusual server is unknown, or the target is not an embedded cluster.
    """
    if profile.embedded is None:
        raise ProfileError(
            f"Only an embedded cluster can be an unusual server; the target {profile.name} is not embedded."
        )
    from swn_torture.unusual.library import UnknownUnusual, find_unusual

    try:
        server = find_unusual(name)
    except UnknownUnusual as problem:
        raise ProfileError(str(problem)) from problem
    return dataclasses.replace(
        profile,
        **server.profile,
        embedded=server.embedded(profile.embedded),
        expect=dataclasses.replace(profile.expect, **server.expect),
    )


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
