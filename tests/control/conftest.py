"""A simulated CTDB cluster."""

from __future__ import annotations

import pytest

from tests.control.simulated_ctdb import SimulatedCtdb


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> SimulatedCtdb:
    """A cluster of three nodes. The controller runs its commands there, and does not pause between them."""
    simulated = SimulatedCtdb()
    monkeypatch.setattr("swn_torture.control.runner.run", simulated.run)
    for module, name in (
        ("cluster", "_POLL_SECONDS"),
        ("cluster", "_REPEAT_SECONDS"),
        ("restore", "_PAUSE_SECONDS"),
    ):
        monkeypatch.setattr(f"swn_torture.control.ctdb.{module}.{name}", 0.001)
    return simulated
