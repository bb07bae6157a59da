"""Runs the suite against unusual servers, and chooses a sample of them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from swn_torture.trials import Job, Trial, run_jobs
from swn_torture.unusual.library import load_unusual

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from swn_torture.unusual.library import Unusual

__all__ = ["BUDGET_S", "Trial", "choose_sample", "run_trials"]

#: Seconds after which a trial is cut short. The whole suite, one case after another, takes about half of it.
BUDGET_S = 3600.0

#: Among how many trials the cases are shared on a server on which they take much longer.
_PARTS = 8


def run_trials(
    servers: Sequence[Unusual],
    *,
    processes: int,
    directory: Path,
    one_per_function: bool = False,
    requirements: Sequence[str] = (),
    cases: Sequence[str] = (),
    budget: float = BUDGET_S,
    on_trial: Callable[[Trial], None] = lambda _: None,
) -> list[Trial]:
    """Run the suite against the reference and against each unusual server.

    Args:
        servers: in the order in which they are started; slow ones start first.
        processes: how many trials run at the same time.
        directory: where the result of each trial is kept. A server with a result there is not tried again.
        one_per_function: run one case of each test function, and all cases that name a requirement which the
            server does not follow.
        requirements: run only cases that check one of these; empty for all cases.
        cases: run only these cases, by id, with all parameters where none is named; empty for all cases.
        budget: seconds after which a trial is cut short.
        on_trial: called with each trial when it has ended.

    Returns:
        The trial of the reference, then those of the servers in their order.
    """
    about = frozenset(requirements)
    selection = tuple(f"--swn-case={case}" for case in cases)
    jobs = [Job("", selection, budget, about, one_per_function=one_per_function, slow=True)]
    for server in sorted(servers, key=lambda server: not server.slow):
        parts = 1 if one_per_function or not server.slow else _PARTS
        job = Job(
            server.name,
            (f"--swn-unusual={server.name}", *selection),
            budget,
            about,
            first=frozenset(server.breaks),
            one_per_function=one_per_function,
            slow=server.slow,
        )
        jobs += job.in_parts(parts)
    reference, *trials = run_jobs(
        jobs, processes=processes, directory=directory, preload=load_unusual, on_trial=on_trial
    )
    of = {trial.name: trial for trial in trials}
    return [reference, *(of[server.name] for server in servers)]


def choose_sample(
    servers: Sequence[Unusual], size: int, seed: str, fixed: Sequence[str] = ()
) -> list[Unusual]:
    """Return some of the servers, in their order: the fixed ones, and others that the seed chooses.

    Args:
        servers: to choose from.
        size: how many servers the seed chooses.
        seed: any text; the same text always chooses the same servers.
        fixed: names of servers that are always in the sample.
    """
    others = [server for server in servers if server.name not in fixed and not server.slow]
    chosen = random.Random(seed).sample(others, min(size, len(others)))
    names = {*fixed, *(server.name for server in chosen)}
    return [server for server in servers if server.name in names]
