"""The lab of the tests that need one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from swn_torture import lab
from swn_torture.lab.base import base_path
from tests.processes import IS_LAB_REQUIRED, is_lab_asked_for

if TYPE_CHECKING:
    from collections.abc import Iterator


def _reason_to_skip(config: pytest.Config) -> str | None:
    if reason := lab.unavailable_reason():
        return reason
    if IS_LAB_REQUIRED:
        return None
    if not is_lab_asked_for(config):
        return "the lab tests take two minutes; select them with: pytest -m lab"
    if not base_path("trixie").is_dir():
        return "there is no base tree in the cache; swn-torture lab up makes one"
    return None


@pytest.fixture(scope="session")
def lab_host(pytestconfig: pytest.Config) -> None:
    """This machine can run a lab. Otherwise the test is skipped, or fails where a lab is required."""
    if reason := _reason_to_skip(pytestconfig):
        if IS_LAB_REQUIRED:
            pytest.fail(f"a lab is required: {reason}")
        pytest.skip(reason)


@pytest.fixture(scope="session")
def lab_name() -> str:
    """The name of the lab of this test process."""
    return f"test{os.environ.get('PYTEST_XDIST_WORKER', '')}"


@pytest.fixture(scope="session")
def running_lab(lab_host: None, lab_name: str) -> Iterator[lab.Lab]:
    """A lab that is up, with three nodes of Debian 13."""
    try:
        yield lab.up(lab.LabConfig(name=lab_name))
    finally:
        lab.down(lab_name)
