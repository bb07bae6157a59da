"""Commands on the machines of a cluster: through which prefix, with which deadline, and what went wrong."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, NamedTuple

from swn_torture.control.base import ControllerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# What joins its arguments with spaces and has a shell on the other side take them apart again.
_SHELLS: Final = frozenset({"ssh", "autossh", "mosh", "su"})


class Output(NamedTuple):
    """What came of a command."""

    code: int
    text: str
    errors: str


class CommandFailed(ControllerError):  # noqa: N818 - a finding, and what callers know it by
    """A command ended with an error, or did not end in time; says which, where, and what it wrote."""

    def __init__(self, argv: Sequence[str], code: int | None, output: str) -> None:
        ended = "did not end before its deadline" if code is None else f"ended with exit code {code}"
        said = " / ".join(line.strip() for line in output.strip().splitlines()[-4:] if line.strip())
        super().__init__(f"`{shlex.join(argv)}` {ended}{f': {said}' if said else ' and said nothing'}")
        self.argv = tuple(argv)
        self.code = code
        """The exit code; None when the command was stopped at its deadline."""
        self.output = output


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs commands on the nodes of a cluster through a prefix such as `ssh root@{node}`.

    `{node}` and `{address}` are replaced in each of its words. Where it leads through a shell (ssh), the
    command is quoted, so that every argument arrives as it is.
    """

    prefix: tuple[str, ...] = ()
    nodes: Mapping[str, str] = field(default_factory=dict)
    """Name of each node -> its own address."""
    timeout: float = 20.0
    """Seconds that a command may take."""

    def argv(self, node: str, command: Sequence[str]) -> list[str]:
        """The whole command line that runs `command` on a node."""
        before = self.fill(self.prefix, node)
        if before and PurePath(before[0]).name in _SHELLS:
            return [*before, shlex.join(command)]
        return [*before, *command]

    def fill(self, words: Sequence[str], node: str) -> list[str]:
        """Replace `{node}` and `{address}` in each word."""
        address = self.nodes.get(node, node)
        return [word.replace("{node}", node).replace("{address}", address) for word in words]

    async def on(self, node: str, *command: str, check: bool = True) -> Output:
        """Run a command on a node.

        Raises `CommandFailed` when it outlasts its deadline, when it cannot be started, and, unless `check`
        is false, when its exit code is not 0.
        """
        return await run(self.argv(node, self.fill(command, node)), timeout=self.timeout, check=check)

    async def here(self, command: Sequence[str], node: str) -> Output:
        """Run a command about a node on this machine, without the prefix; see `on`."""
        return await run(self.fill(command, node), timeout=self.timeout)


async def run(argv: Sequence[str], *, timeout: float, check: bool = True) -> Output:
    """Run a command on this machine; see `Runner.on`. `timeout` is in seconds.

    A thread waits for it: asyncio's own subprocesses lose exit codes, and now and then themselves, when the
    task that waits is cancelled while they start.
    """
    try:
        process = subprocess.Popen(  # noqa: ASYNC220, S603 - the profile's commands; starting one takes a moment
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise CommandFailed(argv, 127, str(error)) from error
    waiting = asyncio.get_running_loop().run_in_executor(None, process.communicate)
    try:
        text, errors = await asyncio.wait_for(asyncio.shield(waiting), timeout)
    except TimeoutError:
        raise CommandFailed(argv, None, "") from None
    finally:
        if not waiting.done() and process.returncode is None:
            # The prefix may have started more than one process: all of them are in its session.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if check and process.returncode != 0:
        raise CommandFailed(argv, process.returncode, errors or text)
    return Output(process.returncode, text, errors)
