"""Reference clusters with some part or setting changed, and what a preflight learns about them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

from swn_torture.harness.live_target import embedded_cluster, profile_of
from swn_torture.harness.preflight.learning import Preflight, learn
from swn_torture.harness.preflight.patience import Patience
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.server.nodes.parts import Parts, with_parts
from swn_torture.target import load_profile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from swn_torture.target import Profile

#: The waits: a server of this process answers at once, or soon if this machine is busy.
WAITS = {"step": 5.0, "pause": 0.0, "budget": 20.0}

#: Seconds to wait for an answer of a server that leaves something unanswered.
SHORT = 0.5


def reference(**embedded: Any) -> Profile:
    """The profile of the reference with other settings in its [embedded] table."""
    profile = load_profile("reference")
    return dataclasses.replace(profile, embedded={**(profile.embedded or {}), **embedded})


@contextlib.contextmanager
def serving(profile: Profile, *parts: type) -> Iterator[Profile]:
    """Run the cluster of a profile with these classes in place of its parts; yields it as a live target."""
    config = embedded_cluster(profile).config
    with EmbeddedCluster(config, with_parts(Parts(), parts)) as cluster:
        yield dataclasses.replace(profile_of(cluster, profile), embedded=None)


def learn_about(profile: Profile, **patience: Any) -> Preflight:
    """What a preflight finds out about a cluster that runs. `WAITS` are the defaults."""
    return asyncio.run(learn(profile, Patience(**{**WAITS, **patience}), ask_for_shares=False))


def learned(*parts: type, step: float = WAITS["step"], **embedded: Any) -> Preflight:
    """What a preflight finds out about a cluster with these parts and settings.

    Args:
        parts: classes in place of its own.
        step: seconds to wait for an answer; `SHORT` if the parts leave something unanswered.
        embedded: settings in its [embedded] table.
    """
    with serving(reference(**embedded), *parts) as profile:
        return learn_about(profile, step=step)
