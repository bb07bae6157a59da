"""The map of the suite is collected in this process, which may run pytest again."""

from __future__ import annotations

import os

import pytest

from swn_torture.harness.case_map import collect_cases

AUTOLOAD = "PYTEST_DISABLE_PLUGIN_AUTOLOAD"


@pytest.mark.parametrize("before", [None, ""], ids=["unset", "set"])
def test_the_environment_is_as_before(before: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(AUTOLOAD, raising=False)
    if before is not None:
        monkeypatch.setenv(AUTOLOAD, before)

    assert collect_cases.__wrapped__()
    assert os.environ.get(AUTOLOAD) == before
