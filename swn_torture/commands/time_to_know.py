"""``swn-torture time-to-know``: how soon clients know that a node failed, with witness and without."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from swn_torture import __version__
from swn_torture.commands.client import enter
from swn_torture.commands.controllers import with_controller
from swn_torture.commands.errors import USAGE, CommandError
from swn_torture.commands.options import target_of_cluster
from swn_torture.commands.terminal import echo
from swn_torture.time_to_know.measure import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from swn_torture.control.base import Controller
    from swn_torture.time_to_know.model import Measurement, Study


def _numbers(_context: click.Context, _option: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        found = tuple(int(each) for each in value.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 1:
        raise click.BadParameter("write numbers above 0 with commas between them: 1,100,1000")
    return found


@click.command("time-to-know")
@target_of_cluster
@click.option(
    "--failure",
    "kinds",
    multiple=True,
    type=click.Choice(KINDS),
    help="Kind of failure (repeatable; default: all that the controller offers).",
)
@click.option(
    "--clients",
    default="1,100",
    show_default=True,
    callback=_numbers,
    metavar="N[,N...]",
    help="Numbers of registered clients.",
)
@click.option(
    "--rounds", type=click.IntRange(min=1), default=1, show_default=True, help="Repeat each so often."
)
@click.option("--node", default="", help="The node that fails (default: the last one of the cluster).")
@click.option(
    "--deadline",
    type=click.FloatRange(min=0.1),
    help="Seconds to wait for notifications after the cluster shows the failure (default: event_deadline).",
)
@click.option(
    "--tcp-limit",
    type=click.FloatRange(min=0.0),
    default=30.0,
    show_default=True,
    help="Seconds to watch TCP connections without witness; 0: none.",
)
@click.option(
    "--tcp-age",
    type=click.FloatRange(min=0.0),
    default=25.0,
    show_default=True,
    help="Seconds that these are open before a failure. CTDB tells its nodes every 20 s which there are.",
)
@click.option(
    "--json", "json_file", metavar="FILE", help="Write the figures and all times as JSON; - for stdout."
)
@click.option(
    "--capture",
    "capture_file",
    metavar="FILE",
    help="Capture the network around each failure (root), and write it as pcapng with comments.",
)
@click.option("--html", "html_file", metavar="FILE", help="Write a page with histograms and a time line.")
def command(
    target: str,
    kinds: tuple[str, ...],
    clients: tuple[int, ...],
    rounds: int,
    node: str,
    deadline: float | None,
    tcp_limit: float,
    tcp_age: float,
    json_file: str | None,
    capture_file: str | None,
    html_file: str | None,
) -> None:
    """Measure how soon clients know that a node failed: by witness, and by TCP alone.

    For each kind of failure it registers clients, lets a node fail, and notes when each client is notified.
    Other connections show what TCP alone tells a client. The cluster is restored after each measurement, also
    after Ctrl-C; what was measured until then is shown. It is a benchmark: nothing passes or fails.

    \b
    swn-torture time-to-know --target samba-lab
    swn-torture time-to-know --target reference.toml --failure crash --clients 1,100,1000
    swn-torture time-to-know --target samba-lab --json times.json --html times.html
    """
    from swn_torture.target import ProfileError, load_profile
    from swn_torture.time_to_know.measure import Benchmark, Settings
    from swn_torture.time_to_know.model import Study
    from swn_torture.time_to_know.table import lines

    try:
        profile = load_profile(target)
    except ProfileError as problem:
        raise CommandError(problem, USAGE) from problem
    product = f"{profile.product.name} {profile.product.version}".strip() if profile.product else ""
    study = Study(profile.name, profile.title, product, __version__)
    settings = Settings(
        clients,
        kinds,
        node,
        deadline or profile.expect.event_deadline,
        tcp_limit,
        tcp_age,
        rounds,
        bool(capture_file),
    )
    captured: list[Any] = []

    async def act(controller: Controller) -> None:
        enter(profile)
        with _progress() as show:

            def done(measured: Measurement) -> None:
                study.measurements.append(measured)
                show.done(measured)

            benchmark = Benchmark(profile, controller, settings, done, show.step)
            try:
                await benchmark.run()
            finally:
                captured.extend(benchmark.captured)

    try:
        with_controller(target, act)
    finally:
        if study.measurements:
            if json_file != "-":
                for line in lines(study):
                    echo(line)
            _write(study, json_file, html_file)
            if capture_file:
                _write_capture(capture_file, captured)


class _Progress:
    """Lines on standard error; on a terminal also what is being done."""

    def __init__(self, update: Callable[[str], None]) -> None:
        self.step = update
        self._began = time.monotonic()

    def done(self, measured: Measurement) -> None:
        """Print that a measurement is done."""
        from swn_torture.time_to_know.table import result

        echo(f"{time.monotonic() - self._began:7.1f} s  {result(measured)}", err=True)


@contextlib.contextmanager
def _progress() -> Iterator[_Progress]:
    if not sys.stderr.isatty():
        yield _Progress(lambda _: None)
        return
    from rich.console import Console
    from rich.text import Text

    from swn_torture.visible import visible

    with Console(stderr=True).status("") as status:
        yield _Progress(lambda text: status.update(Text(visible(text))))


def _write(study: Study, json_file: str | None, html_file: str | None) -> None:
    """Write the files.

    Raises:
        CommandError: one cannot be written.
    """
    files: dict[str, str] = {}
    if json_file:
        files[json_file] = json.dumps(study.to_json(), indent=1) + "\n"
    if json_file == "-":
        click.echo(files.pop("-"), nl=False)
    if html_file:
        from swn_torture.time_to_know.page import render

        files[html_file] = render(study)
    for name, content in files.items():
        try:
            Path(name).write_text(content, encoding="utf-8")
        except OSError as problem:
            raise CommandError(f"{name} cannot be written: {problem.strerror}.", USAGE) from problem
        echo(f"written: {name}", err=True)


def _write_capture(name: str, packets: list[Any]) -> None:
    """Write the packets.

    Raises:
        CommandError: the file cannot be written.
    """
    from swn_torture.time_to_know.packets import write

    try:
        write(Path(name), packets)
    except OSError as problem:
        raise CommandError(f"{name} cannot be written: {problem.strerror}.", USAGE) from problem
    echo(f"written: {name}", err=True)
