"""Runs commands on the machines of a cluster: through a prefix such as ssh, with a deadline.

A command that cannot start, exceeds its deadline or ends with an error raises `CommandFailed`. Its text has
the command line, the exit code and the last lines of the output.
"""

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

# These programs join their arguments with spaces, and a shell on the other side splits them again.
PROGRAMS_WITH_REMOTE_SHELL: Final = frozenset({"ssh", "autossh", "mosh", "su"})


class Output(NamedTuple):
    """The result of a command."""

    code: int
    """The exit code."""
    text: str
    """Standard output."""
    errors: str
    """Standard error."""


class CommandFailed(ControllerError):  # noqa: N818 - it reports a result of a command
    """A command ended with an error, or did not end before its deadline.

    Attributes:
        argv: the command line.
        code: the exit code; None if the command was killed at its deadline.
        output: what it wrote to standard error, or else to standard output.
    """

    def __init__(self, argv: Sequence[str], code: int | None, output: str) -> None:
        ended = "did not end before its deadline" if code is None else f"ended with exit code {code}"
        last = " / ".join(line.strip() for line in output.strip().splitlines()[-4:] if line.strip())
        super().__init__(f"`{shlex.join(argv)}` {ended}{f': {last}' if last else ' and printed nothing'}")
        self.argv = tuple(argv)
        self.code = code
        self.output = output


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs commands on the nodes of a cluster through a prefix such as `ssh root@{node}`.

    `{node}` and `{address}` are replaced in each word of the prefix and of the command. Where the prefix
    leads through a shell (ssh), the command is quoted, so that every argument arrives unchanged.
    """

    prefix: tuple[str, ...] = ()
    """The words before each command; empty: the command runs on this machine."""
    nodes: Mapping[str, str] = field(default_factory=dict)
    """Name of each node -> its own address."""
    timeout: float = 20.0
    """Seconds that a command may take."""

    def argv(self, node: str, command: Sequence[str]) -> list[str]:
        """Return the command line that runs `command` on a node."""
        prefix = self.substitute(self.prefix, node)
        if prefix and PurePath(prefix[0]).name in PROGRAMS_WITH_REMOTE_SHELL:
            return [*prefix, shlex.join(command)]
        return [*prefix, *command]

    def substitute(self, words: Sequence[str], node: str) -> list[str]:
        """Return the words with `{node}` and `{address}` replaced."""
        address = self.nodes.get(node, node)
        return [word.replace("{node}", node).replace("{address}", address) for word in words]

    async def run_on(self, node: str, *command: str, check: bool = True) -> Output:
        """Run a command on a node, and return when it has ended.

        Args:
            node: the name of the node.
            *command: the words of the command.
            check: whether an exit code other than 0 is an error.

        Raises:
            CommandFailed: the command cannot be started, exceeds its deadline, or ends with an exit code
                other than 0.
        """
        return await run(self.argv(node, self.substitute(command, node)), timeout=self.timeout, check=check)

    async def run_here(self, command: Sequence[str], node: str) -> Output:
        """Run a command about a node on this machine, without the prefix.

        Raises:
            CommandFailed: as `run_on`.
        """
        return await run(self.substitute(command, node), timeout=self.timeout)


async def run(argv: Sequence[str], *, timeout: float, check: bool = True) -> Output:
    """Run a command on this machine, and return when it has ended.

    At the deadline, or if the task is cancelled, the command and everything that it started is killed.

    A thread waits for the command. With asyncio's own subprocesses the exit code, or the process itself, is
    sometimes lost when the waiting task is cancelled while the process starts.

    Args:
        argv: the command line.
        timeout: seconds that it may take.
        check: whether an exit code other than 0 is an error.

    Raises:
        CommandFailed: as `Runner.run_on`.
    """
    try:
        process = subprocess.Popen(  # noqa: ASYNC220, S603 - commands of the profile; the start takes a moment
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
        async with asyncio.timeout(timeout):
            text, errors = await asyncio.shield(waiting)
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
