"""Runs an action with the controller of a target, explains failures, and undoes what an interrupt left."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from swn_torture.commands.errors import TARGET_UNUSABLE, USAGE, CommandError
from swn_torture.commands.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

    from swn_torture.control.base import Controller
    from swn_torture.control.undoing.journaled import JournaledController


def with_controller(target: str, action: Callable[[Controller], Awaitable[None]]) -> None:
    """Run an action with the controller of a target, and explain a failure.

    After Ctrl-C, what the action has changed is undone. A second Ctrl-C leaves it to
    `swn-torture cluster restore`.

    Args:
        target: name or path of the profile.
        action: what to do with the open controller.

    Raises:
        CommandError: it failed; the text says why.
    """

    async def act(controller: JournaledController) -> None:
        await action(controller)

    try:
        _run(target, act)
    except KeyboardInterrupt:
        _undo_interrupted(target)
        raise


def restore_cluster(target: str) -> None:
    """Undo what the journal of a target has, restore the cluster, and say what was undone.

    Raises:
        CommandError: something is left undone, or a process still uses the cluster.
    """

    async def act(controller: JournaledController) -> None:
        for entry in controller.journal.entries():
            echo(f"Undoing: {entry}", err=True)
        await controller.restore_from_journal()
        echo("The cluster is restored and healthy.", err=True)

    _run(target, act)


def say_what_is_left(target: str) -> None:
    """Say on standard error which changes of ended processes are not undone.

    Args:
        target: name or path of the profile.

    Raises:
        CommandError: the profile or the journal cannot be read.
    """
    from swn_torture.control.base import ControllerError
    from swn_torture.target import ProfileError, journal_of, load_profile

    try:
        profile = load_profile(target)
        entries = () if profile.embedded is not None else journal_of(profile).entries()
    except ProfileError as problem:
        raise CommandError(problem, USAGE) from problem
    except ControllerError as problem:
        raise CommandError(problem, TARGET_UNUSABLE) from problem
    left = [f"  {entry}" for entry in entries if not entry.running]
    if left:
        echo("Changes of the cluster that were not undone:", err=True)
        for line in left:
            echo(line, err=True)
        echo(f"To undo them: swn-torture cluster restore --target {target}", err=True)


def _undo_interrupted(target: str) -> None:
    async def undo(controller: JournaledController) -> None:
        for entry in await controller.undo_own():
            echo(f"Undone: {entry.change}", err=True)

    echo("Interrupted. Undoing what this command changed.", err=True)
    try:
        _run(target, undo)
    except (CommandError, KeyboardInterrupt):
        echo(f"Not undone. To undo it: swn-torture cluster restore --target {target}", err=True)


def _run(target: str, act: Callable[[JournaledController], Coroutine[Any, Any, None]]) -> None:
    from swn_torture.control.base import ControllerError, NotSupported
    from swn_torture.control.undoing.journaled import JournaledController
    from swn_torture.target import ProfileError, load_profile, make_controller

    async def run_action() -> None:
        profile = load_profile(target)
        if profile.embedded is not None:
            raise ProfileError(
                f"The target {profile.name} is an embedded cluster that only exists during a run. "
                "Start a cluster with: swn-torture serve --write-profile reference.toml"
            )
        controller = make_controller(profile)
        assert isinstance(controller, JournaledController)
        async with controller:
            await act(controller)

    try:
        asyncio.run(run_action())
    except ProfileError as problem:
        raise CommandError(problem, USAGE) from problem
    except NotSupported as problem:
        raise CommandError(f"The target {target} does not support this: {problem}.", USAGE) from problem
    except ControllerError as problem:
        raise CommandError(problem, TARGET_UNUSABLE) from problem
    except OSError as problem:
        text = str(problem) or "it did not answer in time"
        raise CommandError(f"The cluster cannot be used: {text}.", TARGET_UNUSABLE) from problem
