"""A lab of its own for the tests that need one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from swn_torture import lab
from swn_torture.lab.base import base_path

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUIRED = os.environ.get("SWN_TORTURE_REQUIRE_LAB") == "1"


def _why_not(asked_for: bool) -> str | None:
    if reason := lab.unavailable():
        return reason
    if REQUIRED:
        return None
    if not asked_for:
        return "these take two minutes, so they want to be asked for: pytest -m lab"
    if not base_path("trixie").is_dir():
        return "there is no base tree in the cache: swn-torture lab up makes one"
    return None


@pytest.fixture(scope="session")
def lab_host(pytestconfig: pytest.Config) -> None:
    """This host can run a lab, or the test is skipped; where a lab is required, it fails."""
    if reason := _why_not("lab" in pytestconfig.getoption("markexpr")):
        if REQUIRED:
            pytest.fail(f"a lab is required here: {reason}")
        pytest.skip(reason)


@pytest.fixture(scope="session")
def lab_name() -> str:
    """The name of the lab that these tests share, another for each process."""
    return f"test{os.environ.get('PYTEST_XDIST_WORKER', '')}"


@pytest.fixture(scope="session")
def running_lab(lab_host: None, lab_name: str) -> Iterator[lab.Lab]:
    """Three nodes of Debian 13 that serve."""
    try:
        yield lab.up(lab.LabConfig(name=lab_name))
    finally:
        lab.down(lab_name)
