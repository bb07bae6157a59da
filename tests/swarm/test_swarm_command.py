"""``swn-torture swarm`` without Locust, and what needs no Locust."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from swn_torture.commands import swarm
from swn_torture.commands.errors import USAGE
from swn_torture.swarm.scenarios import SCENARIOS

if TYPE_CHECKING:
    import pytest


def test_without_locust_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def without_locust(name: str, *arguments: Any) -> Any:
        return None if name == "locust" else find(name, *arguments)

    monkeypatch.setattr(importlib.util, "find_spec", without_locust)
    done = CliRunner().invoke(swarm.command, ["--target", "reference"])

    assert done.exit_code == USAGE
    assert "swn-torture[swarm]" in done.output


def test_the_locustfile_is_a_file() -> None:
    done = CliRunner().invoke(swarm.command, ["--locustfile"])

    assert Path(done.output.strip()).name == "locustfile.py"
    assert Path(done.output.strip()).is_file()


def test_the_command_offers_every_scenario() -> None:
    assert set(swarm.SCENARIOS) == set(SCENARIOS)
    assert swarm.command.help is not None
    assert all(name in swarm.command.help for name in SCENARIOS)
