"""``swn-torture gate``: start a target, test it, compare it with its baseline, remove it; for CI."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from swn_torture.commands import complete
from swn_torture.commands.errors import USAGE, CommandError
from swn_torture.commands.options import keyword_option
from swn_torture.commands.samba import domain_options, lab_config, samba_options

if TYPE_CHECKING:
    from swn_torture.commands.samba import SambaChoice


@click.group()
def command() -> None:
    """Start a target, test it, compare it with its baseline, and remove it: one command for a CI job.

    \b
    swn-torture gate samba --report out                   # Debian 13 and its Samba 4.22 (root)
    swn-torture gate samba --samba DESTDIR --report out   # your build of Samba
    """


@command.command()
@domain_options
@samba_options
@click.option(
    "--release",
    default="trixie",
    show_default=True,
    help="Debian release: trixie (Samba 4.22) or forky (Samba 4.25).",
)
@click.option("--nodes", default=3, show_default=True, metavar="N", type=int, help="Number of nodes.")
@click.option(
    "--baseline",
    metavar="NAME|FILE",
    shell_complete=complete.baselines,
    help="What is known of this Samba. [default: the shipped one for its version]",
)
@click.option("--no-baseline", is_flag=True, help="Compare with nothing: every violation counts.")
@click.option(
    "--write-baseline",
    "new_baseline",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Compare with nothing, and write what this build does to a new FILE: the baseline of a changed one.",
)
@click.option("--allow-fixed", is_flag=True, help="Accept that a cause in the baseline is no longer seen.")
@click.option(
    "--all-failures",
    is_flag=True,
    help="Let nodes fail in every way, also hang, lose their link or flap: a minute more, and a "
    "baseline of such a run.",
)
@click.option(
    "--report",
    "report_dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    required=True,
    help="Write the reports and the profile of the lab to this directory.",
)
@keyword_option("Run only cases whose id matches, as in pytest.")
@click.option(
    "--name",
    default="gate",
    show_default=True,
    help="Name of the lab. Two gates at the same time on one machine need two names.",
)
def samba(
    release: str,
    nodes: int,
    baseline: str | None,
    no_baseline: bool,
    new_baseline: Path | None,
    allow_fixed: bool,
    all_failures: bool,
    report_dir: Path,
    expression: str | None,
    name: str,
    in_domain: bool,
    no_ntlm: bool,
    samba: SambaChoice,
) -> None:
    """Test a build of Samba in a lab of its own, compare it with a baseline, and remove the lab (root only).

    \b
    swn-torture gate samba --report out                               # Debian 13 and its Samba 4.22
    swn-torture gate samba --release forky --report out               # Samba 4.25
    swn-torture gate samba --samba /tmp/samba --report out            # what make install put there
    swn-torture gate samba --samba ../packages --baseline our.toml --report out

    In a domain, by Kerberos, no baseline is shipped. Write your own, and compare with it what you have
    changed:

    \b
    swn-torture gate samba --domain --no-ntlm --write-baseline ours.toml --report base
    swn-torture gate samba --domain --no-ntlm --release forky --baseline ours.toml --report out

    It takes 5 minutes on two processors, and one more when the Debian release is used for the first time. The
    lab is removed whatever happens, also after Ctrl-C or SIGTERM. If the gate is killed, the next one removes
    the lab.

    \b
    Exit codes, as those of run --baseline:
      0  as expected, or the baseline is written
      1  a new violation
      2  wrong usage, or no baseline fits
      3  the lab does not start, or the run is not complete; with --write-baseline also if a case ends in an
         error: then no baseline is written
      4  the baseline is no longer true: something in it is fixed, or a case was not judged
    """
    from swn_torture.commands.gate_run import Gate

    if no_baseline and (baseline is not None or allow_fixed):
        raise CommandError("--no-baseline excludes --baseline and --allow-fixed.", USAGE)
    if new_baseline is not None and (no_baseline or baseline is not None or allow_fixed):
        raise CommandError(
            "--write-baseline compares with nothing. It excludes --baseline, --no-baseline, --allow-fixed.",
            USAGE,
        )
    config = lab_config(
        nodes=nodes, release=release, name=name, samba=samba, in_domain=in_domain, no_ntlm=no_ntlm
    )
    options = ["--allow-fixed"] if allow_fixed else []
    options += ["-k", expression] if expression else []
    chosen = None if no_baseline or new_baseline is not None else baseline or ""
    gate = Gate(
        config,
        report_dir,
        baseline=chosen,
        new_baseline=new_baseline,
        all_failures=all_failures,
        options=options,
    )
    sys.exit(gate.run())
