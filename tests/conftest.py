"""Hypothesis has no deadline here: a test does not fail because the machine is busy.

The journals of targets are in a directory of these tests, and not in that of the user.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from swn_torture.cli import COLLECTED_AFTER
from tests.examples import examples, leave_out
from tests.preloaded import share_fork_servers
from tests.processes import forked, in_order, is_lab_asked_for

if TYPE_CHECKING:
    from collections.abc import Iterator

settings.register_profile(
    "untimed", examples(100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
)
settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    """Start what the processes of pytest-xdist share: the process they are forked from, and fork servers."""
    if config.getoption("dist", "no") != "no" and not hasattr(config, "workerinput"):
        config.add_cleanup(forked(config).close)
        share_fork_servers(config.add_cleanup, at_once=config.args == ["tests"])
    else:
        gc.disable()  # until the tests are collected


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave some tests to the gate; start those first that wait most of the time."""
    leave_out(config, items)
    if hasattr(config, "workerinput"):
        items[:] = in_order(items, config.workerinput["workercount"], lab=is_lab_asked_for(config))


def pytest_collection_finish() -> None:
    """Look for garbage from here on, and not among modules and tests: that took a third of their loading.

    Look seldom, as the command does.
    """
    gc.freeze()
    gc.set_threshold(COLLECTED_AFTER)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def journals(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Set the directory of the journals, also for commands that a test runs.

    A run of the suite that starts in the directory above loads this module, too: its journals stay.
    """
    if not any(item.path.is_relative_to(Path(__file__).parent) for item in request.session.items):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield
