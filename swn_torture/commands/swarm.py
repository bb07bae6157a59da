"""``swn-torture swarm``: thousands of witness clients at once, on Locust."""

from __future__ import annotations

import importlib.util
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from swn_torture.commands.controllers import say_what_is_left, with_controller
from swn_torture.commands.errors import TARGET_UNUSABLE, USAGE, CommandError
from swn_torture.commands.options import target_of_cluster
from swn_torture.commands.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.control.base import Controller
    from swn_torture.swarm.run import Plan
    from swn_torture.target import Profile

SCENARIOS = ("steady", "logon-storm", "failover-storm", "client-move", "rolling-restart")

_EVERY = 2.0
"""Seconds between two lines about the number of clients."""

NO_LOCUST = (
    "The swarm needs Locust, which is not installed. It is the extra `swarm`: install `swn-torture[swarm]`,"
    " or in a checkout run `make swarm`."
)


def _print_locustfile(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from swn_torture.swarm.run import LOCUSTFILE

        click.echo(LOCUSTFILE)
        context.exit()


@click.command()
@click.option(
    "--scenario",
    type=click.Choice(SCENARIOS),
    default="steady",
    show_default=True,
    help="What happens to the cluster.",
)
@click.option(
    "--clients", type=click.IntRange(min=1), default=100, show_default=True, help="Number of clients."
)
@click.option("--rate", type=click.FloatRange(min=0.1), help="Clients to start per second.  [default: 200]")
@click.option(
    "--processes", type=click.IntRange(min=1), default=1, show_default=True, help="Processes on this machine."
)
@click.option(
    "--workers", type=click.IntRange(min=1), help="Wait for this number of workers on other machines instead."
)
@click.option(
    "--settle",
    type=click.FloatRange(min=1),
    default=120.0,
    show_default=True,
    help="Longest wait until all clients are registered, in seconds.",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    help="Wait for notifications after each change, in seconds.",
)
@click.option(
    "--keep-alive", type=click.IntRange(min=0), default=120, show_default=True, help="KeepAliveTimeout."
)
@click.option("--web", type=int, metavar="PORT", help="Serve Locust's page on this port.")
@click.option("--csv", metavar="PREFIX", default="", help="Let Locust write its CSV files with this prefix.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with HDR histograms.")
@click.option(
    "--write-settings",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also keep the settings for workers.",
)
@click.option(
    "--locustfile",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_locustfile,
    help="Print the path of the file that Locust loads, and end.",
)
@target_of_cluster
def command(
    target: str,
    scenario: str,
    clients: int,
    rate: float | None,
    processes: int,
    workers: int | None,
    settle: float,
    grace: float,
    keep_alive: int,
    web: int | None,
    csv: str,
    as_json: bool,
    write_settings: Path | None,
) -> None:
    """Register many clients, change the cluster, and count what they were told.

    \b
    swn-torture swarm --target reference.toml --clients 1000
    swn-torture swarm --target reference.toml --clients 10000 --processes 2 --scenario failover-storm
    swn-torture swarm --target samba-lab --clients 3000 --processes 2 --scenario client-move

    Each client connects, logs on, registers for an address of another node, and waits. It obeys a
    CLIENT_MOVE, and comes back when it loses its node. The changes are those of the controller of the target;
    what they do is undone after Ctrl-C. For every change: how many clients were concerned, how soon they were
    told, and how many were not told, told twice or late.

    \b
    steady           a node is disabled and enabled again, twice
    logon-storm      all clients log on at once, after the witness services were restarted
    failover-storm   a node crashes and comes back
    client-move      the clients of a node are moved to the next one, then all clients at once
    rolling-restart  each node in turn: client moves, disable, enable

    It measures and judges nothing: the exit code is 0 if it could run. It is 3 if the controller failed in a
    change; the report has that change, too. Locust spreads the clients over processes, and over machines:
    start the swarm with --workers N --write-settings FILE, and on each machine, which needs the profile at
    the same path:

    \b
    SWN_SWARM=FILE locust -f "$(swn-torture swarm --locustfile)" --worker --master-host HOST
    """
    if not importlib.util.find_spec("locust"):
        raise CommandError(NO_LOCUST, USAGE)
    from swn_torture.swarm.run import Plan

    say_what_is_left(target)
    at_once = scenario == "logon-storm"
    plan = Plan(
        clients=clients,
        rate=rate or (clients if at_once else 200.0),
        processes=processes,
        workers=workers or 0,
        settle=settle,
        grace=grace,
        web=web,
        csv=csv,
    )
    _enter_network(target)

    async def action(controller: Controller) -> None:
        await _run(controller, target, scenario, plan, keep_alive, write_settings, as_json=as_json)

    with_controller(target, action)


def _profile(target: str) -> Profile:
    from swn_torture.target import ProfileError, load_profile

    try:
        return load_profile(target)
    except ProfileError as problem:
        raise CommandError(problem, USAGE) from problem


def _enter_network(target: str) -> None:
    """Enter the network namespace of a target, before other threads and the event loop start."""
    from swn_torture.lab.errors import LabError
    from swn_torture.lab.namespaces import enter_network

    namespace = _profile(target).network_namespace
    if namespace:
        try:
            enter_network(namespace)
        except LabError as problem:
            raise CommandError(problem, TARGET_UNUSABLE) from problem


async def _run(
    controller: Controller,
    target: str,
    name: str,
    plan: Plan,
    keep_alive: int,
    kept: Path | None,
    *,
    as_json: bool,
) -> None:
    from swn_torture.swarm import outcome as report
    from swn_torture.swarm.run import SwarmError, run
    from swn_torture.swarm.scenarios import SCENARIOS
    from swn_torture.swarm.settings import write_settings

    profile = _profile(target)
    scenario = SCENARIOS[name]
    with tempfile.TemporaryDirectory() as directory:
        settings = kept or Path(directory) / "settings.json"
        try:
            write_settings(settings, profile, keep_alive=keep_alive)
            outcome = await run(scenario, plan, settings, controller, _shown())
        except SwarmError as problem:
            raise CommandError(f"The swarm cannot run: {problem}", TARGET_UNUSABLE) from problem
    deadline = profile.expect.event_deadline
    if as_json:
        click.echo(json.dumps(report.as_json(scenario, plan, outcome, deadline), indent=1))
    else:
        for line in report.as_text(scenario, plan, outcome, deadline):
            echo(line)
    if outcome.failed:
        raise CommandError(f"The controller failed in {len(outcome.failed)} of the changes.", TARGET_UNUSABLE)


def _shown() -> Callable[[str], None]:
    """Return what shows the state: each step, and the number of clients every few seconds."""
    shown_at, shown_line = 0.0, ""

    def show(line: str) -> None:
        nonlocal shown_at, shown_line
        counts = line[:1].isdigit()
        if line == shown_line or (counts and time.monotonic() - shown_at < _EVERY):
            return
        shown_at, shown_line = time.monotonic(), line
        echo(line, err=True)

    return show
