"""What a target has shown, handed from one process of a run to the others.

``swn-torture run`` asks the target before it starts pytest (``KnownTarget``). With plain pytest the first
case does so. With pytest-xdist that is the first worker that has a case; the others wait for it. An embedded
cluster is asked in each process, because each has its own.
"""

from __future__ import annotations

import fcntl
import json
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.harness.live_target import learn_target
from swn_torture.harness.preflight.learning import Preflight

if TYPE_CHECKING:
    from pathlib import Path

    from swn_torture.target import Profile

#: What the target of a session has shown.
LEARNED: pytest.StashKey[Preflight] = pytest.StashKey()

#: Key under which it goes to a worker of pytest-xdist and back to the main process, as JSON.
_KEY = "swn_learned"


class KnownTarget:
    """A pytest plugin for a run whose target has been asked already."""

    def __init__(self, learned: Preflight) -> None:
        self._learned = learned

    def pytest_configure(self, config: pytest.Config) -> None:
        """Keep it for the fixtures and the reports of this process."""
        config.stash[LEARNED] = self._learned

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Send it to a worker of pytest-xdist."""
        node.workerinput[_KEY] = json.dumps(self._learned.to_json())


def learned_target(config: pytest.Config, profile: Profile, directory: Path) -> Preflight:
    """What the target of a session has shown. It is called unless that was done before.

    Args:
        config: pytest's configuration; keeps what was learned, and sends it to the main process.
        profile: the profile of the target.
        directory: a directory that the workers of this session share.
    """
    sent = getattr(config, "workerinput", {}).get(_KEY)
    if sent is not None:
        return Preflight.from_json(json.loads(sent))
    if LEARNED not in config.stash:
        several = hasattr(config, "workerinput") and profile.embedded is None
        config.stash[LEARNED] = _once(profile, directory) if several else learn_target(profile)
        if hasattr(config, "workeroutput"):
            config.workeroutput[_KEY] = json.dumps(config.stash[LEARNED].to_json())
    return config.stash[LEARNED]


def received(output: dict[str, Any]) -> Preflight | None:
    """What a worker of pytest-xdist has learned, from what it sent; None when it learned nothing."""
    return Preflight.from_json(json.loads(output[_KEY])) if _KEY in output else None


def _once(profile: Profile, directory: Path) -> Preflight:
    """Ask the target in one of several processes: the first one asks, and the others wait for it."""
    path = directory / "swn-target.json"
    with path.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.is_file():
            return Preflight.from_json(json.loads(path.read_text(encoding="utf-8")))
        learned = learn_target(profile)
        path.write_text(json.dumps(learned.to_json()), encoding="utf-8")
        return learned
