"""The variants that are instances of a lab: started before a case needs them, removed at the end of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swn_torture.casekit.case import mark_of
from swn_torture.casekit.needs import variants_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

    from swn_torture.target import Profile


def variants_to_start(config: pytest.Config, items: Iterable[pytest.Item]) -> list[str]:
    """The variants that this process starts before a case needs them: those of all selected cases.

    Of several processes the first one does so, so that the others begin with their cases.

    Args:
        config: pytest's configuration.
        items: the selected tests.
    """
    worker: dict[str, Any] = getattr(config, "workerinput", {})
    if worker.get("workerid", "gw0") != "gw0":
        return []
    marks = [mark for mark in map(mark_of, items) if mark is not None]
    needed = {name for mark in marks for name in variants_of(mark.needs)}
    return sorted(needed | {mark.apart for mark in marks if mark.apart})


def wait_until_removed(profile: Profile) -> None:
    """Return when the instances of the lab are removed that no process uses any more.

    The processes of the run have ended, and with them their use of the instances.

    Args:
        profile: of the target of the run.
    """
    if profile.network_namespace and any("lab" in table for table in profile.variants.values()):
        from swn_torture.lab.instances.use import wait_until_removed as wait

        wait(profile.network_namespace)
