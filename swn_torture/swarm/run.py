"""A run of the swarm: Locust in processes of its own, and beside it the changes of the cluster."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from swn_torture.swarm.ledger import Change
from swn_torture.swarm.records import Kind, Record
from swn_torture.swarm.settings import RECORDS, SETTINGS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from swn_torture.control.base import Controller
    from swn_torture.swarm.scenarios import Scenario, Step

LOCUSTFILE: Final = Path(__file__).with_name("locustfile.py")
"""The file that Locust loads."""

_POLL: Final = 0.2
"""Seconds between two looks at the number of registered clients."""

_END: Final = 15.0
"""Seconds that Locust has to end."""


class SwarmError(Exception):
    """The swarm could not run; the text says why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to run.

    Attributes:
        clients: how many.
        rate: clients to start per second.
        processes: of Locust on this machine; with 1 there is no master.
        workers: of other machines to wait for.
        settle: longest time to wait until all clients are registered, in seconds.
        grace: time after each change in which its notifications may arrive, in seconds.
        hold: time to stay registered when nothing happens, in seconds.
        web: serve Locust's web page on this port.
        csv: prefix of Locust's CSV files.
    """

    clients: int
    rate: float
    processes: int = 1
    workers: int = 0
    settle: float = 120.0
    grace: float = 10.0
    hold: float = 5.0
    web: int | None = None
    csv: str = ""


@dataclass(slots=True)
class Outcome:
    """What a run has shown.

    Attributes:
        records: of all clients.
        changes: those of the cluster, in their order.
        left_out: steps that the controller cannot do, each with the reason.
        failed: steps in which the controller failed, each with the reason; what clients heard still counts.
        registered: clients that were registered when the changes began.
        settled_in: seconds until then.
    """

    records: list[Record] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    registered: int = 0
    settled_in: float = 0.0


class Swarm:
    """Locust and its clients.

    Args:
        plan: how to run.
        settings: path of the settings file.
        outcome: takes the records.
    """

    def __init__(self, plan: Plan, settings: Path, outcome: Outcome) -> None:
        self._plan = plan
        self._settings = settings
        self._outcome = outcome
        self._registered: set[int] = set()
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._log = settings.with_name("locust.log")

    @property
    def registered(self) -> int:
        """The number of clients that are registered now."""
        return len(self._registered)

    async def __aenter__(self) -> Self:
        read, write = os.pipe()
        plan = self._plan
        arguments = [
            *(sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--users", str(plan.clients)),
            *("--spawn-rate", f"{plan.rate:g}", "--loglevel", "WARNING", "--stop-timeout", "0"),
        ]
        arguments += ["--autostart", "--web-port", str(plan.web)] if plan.web else ["--headless"]
        if plan.workers:
            arguments += ["--master", "--expect-workers", str(plan.workers)]
        elif plan.processes > 1:
            arguments += ["--processes", str(plan.processes)]
        if plan.csv:
            arguments += ["--csv", plan.csv]
        environment = {**os.environ, SETTINGS: str(self._settings), RECORDS: str(write)}
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *arguments, stdout=log, stderr=log, env=environment, pass_fds=(write,), start_new_session=True
            )
        os.close(write)
        self._reading = asyncio.create_task(self._read(os.fdopen(read, "rb")))
        return self

    async def __aexit__(self, *_: object) -> None:
        process, reading = self._process, self._reading
        assert process is not None
        assert reading is not None
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END):
                    await process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its workers, too
        await process.wait()
        await reading

    async def settle(self, shown: Callable[[str], None]) -> None:
        """Wait until all clients are registered, or until the plan's time is over.

        Raises:
            SwarmError: Locust has ended.
        """
        began = time.monotonic()
        while self.registered < self._plan.clients and time.monotonic() - began < self._plan.settle:
            shown(f"{self.registered} of {self._plan.clients} clients are registered")
            await self.pause(_POLL)
        self._outcome.registered = self.registered
        self._outcome.settled_in = time.monotonic() - began

    async def pause(self, seconds: float) -> None:
        """Let the swarm live for a while.

        Raises:
            SwarmError: Locust has ended.
        """
        assert self._process is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._process.wait()
        if self._process.returncode is not None:
            lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise SwarmError(
                f"Locust has ended with exit code {self._process.returncode}: {' / '.join(lines[-3:])}"
            )

    async def _read(self, pipe: object) -> None:
        reader = asyncio.StreamReader(limit=1 << 20)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        try:
            while line := await reader.readline():
                record = Record.from_values(json.loads(line))
                self._outcome.records.append(record)
                if record.kind == Kind.REGISTERED:
                    self._registered.add(record.client)
                elif record.kind == Kind.ENDED:
                    self._registered.discard(record.client)
        finally:
            transport.close()


async def run(
    scenario: Scenario,
    plan: Plan,
    settings: Path,
    controller: Controller,
    shown: Callable[[str], None],
) -> Outcome:
    """Run a scenario and return what the clients reported.

    Args:
        scenario: what happens.
        plan: how to run.
        settings: path of the settings file.
        controller: of the target, open.
        shown: takes a line for the person who waits.

    Raises:
        SwarmError: Locust has ended early.
        ControllerError: the controller cannot list the nodes, or restart a service before the clients start.
    """
    outcome = Outcome()
    can = controller.capabilities
    names = [node.name for node in await controller.nodes()]
    if scenario.cold:
        await _restart(controller, names, outcome, shown)
    async with Swarm(plan, settings, outcome) as swarm:
        await swarm.settle(shown)
        steps = scenario.steps(len(names))
        for step in steps:
            if step.node >= len(names):
                outcome.left_out.append(f"{step.title}: the cluster has {len(names)} node(s)")
                continue
            if step.needs not in can:
                outcome.left_out.append(f"{step.title}: the controller cannot do it ({step.needs.value})")
                continue
            shown(f"{step.title}: {swarm.registered} clients are registered")
            await _carry_out(step, controller, names, outcome, lambda: swarm.pause(plan.grace))
        if not steps:
            await swarm.pause(plan.hold)
    return outcome


async def _restart(
    controller: Controller, names: Sequence[str], outcome: Outcome, shown: Callable[[str], None]
) -> None:
    from swn_torture.control.values import Capability

    if Capability.RESTART_SERVICE not in controller.capabilities:
        outcome.left_out.append("restart of the witness services: the controller cannot do it")
        return
    for name in names:
        shown(f"restarting the witness service of {name}")
        await controller.restart(name)


async def _carry_out(
    step: Step,
    controller: Controller,
    names: Sequence[str],
    outcome: Outcome,
    grace: Callable[[], Awaitable[None]],
) -> None:
    from swn_torture.control.base import ControllerError

    concerned = names if step.all_nodes else (names[step.node],)
    try:
        status = {node.name: node.addresses for node in await controller.nodes()}
    except ControllerError as problem:
        outcome.failed.append(f"{step.title}: {problem}")
        return
    addresses = frozenset(address for name in concerned for address in status[name])
    began, failed = time.time(), False
    try:
        await step.act(controller, names)
    except ControllerError as problem:
        # It may have done a part of it, such as the moves of some clients before its deadline.
        outcome.failed.append(f"{step.title}: {problem}")
        failed = True
    ended = time.time()
    await grace()
    outcome.changes.append(
        Change(step.title, began, ended, time.time(), addresses, step.message_type, step.change, failed)
    )
