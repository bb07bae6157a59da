"""``swn-torture doctor``: what stands between this machine and a run, and how to mend it."""

from __future__ import annotations

import json
import sys

import click

from swn_torture.commands import complete
from swn_torture.commands.errors import TARGET_UNUSABLE, USAGE, CommandError
from swn_torture.commands.terminal import echo


@click.command()
@click.option(
    "--target",
    default="reference",
    metavar="PROFILE",
    shell_complete=complete.profiles,
    help="Profile of the target: the name of a shipped one or a .toml file.",
    show_default=True,
)
@click.option("--disturb", is_flag=True, help="Take a node out of service and return it, by the controller.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: an array with an object for each link.")
def command(target: str, *, disturb: bool, as_json: bool) -> None:
    """Check every link between this machine and a run, and say how to mend the first broken one.

    One line for each as soon as it was checked: names, addresses, endpoint mappers, ports, binds in each
    transfer syntax, authentication services, interface lists, methods, whether the nodes agree, shares,
    clocks, the controller, programs.

    \b
    swn-torture doctor                            # check the embedded reference cluster
    swn-torture doctor --target my-cluster.toml   # check your cluster; it is not disturbed

    Exit codes: 0 nothing is broken, 2 usage or profile error, 3 a link is broken.
    """
    from swn_torture.doctor.examine import examine_target
    from swn_torture.lab.errors import LabError
    from swn_torture.server.config import ConfigError
    from swn_torture.target import ProfileError, load_profile

    try:
        profile = load_profile(target)
        tell = None if as_json else lambda link: echo(link.line())
        links = examine_target(profile, disturb=disturb, tell=tell)
    except (ProfileError, ConfigError) as problem:
        raise CommandError(problem, USAGE) from problem
    except LabError as problem:
        raise CommandError(problem, TARGET_UNUSABLE) from problem
    if as_json:
        click.echo(json.dumps(links.to_json(), indent=2))
    broken = links.first_broken
    if broken is None:
        if not as_json:
            note = next((link for link in links if link.state == "note" and link.mend), None)
            mend = "" if note is None else f" To mend the first note ({note.subject}): {note.mend}."
            echo(f"Nothing is broken.{mend}")
        return
    if not as_json:
        echo(f"First broken link: {broken.subject}. To mend it: {broken.mend}.")
    sys.exit(TARGET_UNUSABLE)
