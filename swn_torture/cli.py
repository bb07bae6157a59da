"""The ``swn-torture`` command.

Thin: each subcommand lives in a module of its own and is loaded when it is called.

Exit codes, the same for every subcommand: 0 done (or the target conforms), 1 the target violates the
specification, 2 the command line or a profile is wrong, 3 the target could not be used.
"""

from __future__ import annotations

import importlib
from typing import Any

import click

from swn_torture import __version__

#: Subcommand, the module that holds it, and the line that ``--help`` shows without loading that module.
_COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("run", "Judge a target and write the reports."),
    "serve": ("serve", "Run the reference cluster, for people who develop clients."),
    "faults": ("faults", "The ways in which the reference cluster can misbehave on purpose."),
    "cluster": ("cluster", "Move a target's cluster: disable, fail, recover, move a client or a share."),
    "client": ("client", "Speak witness to a server: list interfaces, register, watch notifications."),
    "lab": ("lab", "A disposable three-node Samba/CTDB cluster on this machine."),
    "requirements": ("requirements", "The requirement catalogue, and what a run exercised of it."),
    "report": ("report", "Write reports again from results or from the journal of a run that died."),
}


class _Lazy(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"swn_torture.commands.{_COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as problem:
            import difflib

            near = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            raise click.UsageError(
                problem.message + (f" Did you mean {near[0]!r}?" if near else ""), ctx
            ) from None


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="swn-torture")
def main(**_: Any) -> None:
    """Conformance torture tests for the Service Witness Protocol (MS-SWN), with a witness cluster inside.

    \b
    swn-torture run                          judge the embedded reference cluster
    swn-torture run --target my-cluster.toml judge yours (see fixtures/profiles/TEMPLATE.toml)
    swn-torture serve                        a cluster that fails on command, for client authors
    swn-torture lab up                       a real Samba witness cluster on this machine (root)

    Exit codes: 0 conforming or done, 1 violations, 2 usage or profile error, 3 target unusable.
    """
