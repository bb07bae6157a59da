"""The ``swn-torture`` command. Each subcommand is a module, which is imported when the subcommand is called.

Exit codes of every subcommand: 0 done, or the target conforms; 1 the target violates the specification; 2 the
command line or a profile is wrong; 3 the target could not be used, or the program failed; 4 a baseline is no
longer true.
"""

from __future__ import annotations

import gc
import importlib
import sys
from typing import Any

import click

from swn_torture import __version__

#: The line that ``--help`` shows for each subcommand, without importing it. Its module in
#: `swn_torture.commands` has the same name,
#: with an underscore for each hyphen.
_COMMANDS: dict[str, str] = {
    "run": "Run the suite against a target and write the reports.",
    "serve": "Run the reference cluster, for developers of clients.",
    "faults": "List the faults that the reference cluster can have.",
    "unusual": "List the unusual, but conforming servers that the reference cluster can be.",
    "cluster": "Change a target's cluster: disable, fail, recover, move a client or a share.",
    "time-to-know": "Measure how soon clients know that a node failed, with witness and without.",
    "client": "Call a witness server: list interfaces, register, watch notifications.",
    "lab": "Start and stop a three-node Samba/CTDB cluster on this machine.",
    "gate": "Start a Samba lab, test it, compare it with its baseline, remove it: for CI.",
    "explain": "Explain a requirement, ambiguity, case, fault or error code by its id.",
    "requirements": "List and search the requirement catalogue.",
    "doctor": "Check every link between this machine and a run, and say how to mend a broken one.",
    "init": "Ask a server for what a profile says, and write one.",
    "selftest": "Run the suite as a test of Samba's selftest: a subunit v1 stream.",
    "baseline": "Compare results with what a target is known to do; write and show baselines.",
    "repro": "Run a case of a report again: a full trace, and what differs from the report.",
    "swarm": "Let thousands of witness clients register, wait and come back, on Locust.",
    "report": "Write the reports again from results or a journal; compare targets in a matrix.",
}


#: Objects that are left, some 10 MB, before the garbage collector looks for those that nobody uses. With 700,
#: Python's default, that took a tenth of the processor time of some cases (2026-12-01).
COLLECTED_AFTER = 50_000


class _Lazy(click.Group):
    """A group whose commands are imported when they are called.

    An exception that no command expects has the exit code of a target that could not be used. That of Python
    is 1, which a job takes for a violation.
    """

    def main(self, *arguments: Any, **options: Any) -> Any:
        gc.set_threshold(COLLECTED_AFTER)
        try:
            return super().main(*arguments, **options)
        except Exception as problem:
            if not options.get("standalone_mode", True):
                raise
            import traceback

            traceback.print_exc()
            click.echo(
                f"swn-torture: This is a defect of swn-torture ({type(problem).__name__}), and says nothing "
                "about a target. Please report it with the lines above.",
                err=True,
            )
            sys.exit(3)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"swn_torture.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as problem:
            import difflib

            close = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            raise click.UsageError(
                problem.message + (f" Close match: {close[0]}." if close else ""), ctx
            ) from None


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="swn-torture")
def main(**_: Any) -> None:
    """Conformance torture tests for the Service Witness Protocol (MS-SWN), with a reference witness cluster.

    \b
    swn-torture run                           # test the embedded reference cluster
    swn-torture run --target my-cluster.toml  # test your cluster (see fixtures/profiles/TEMPLATE.toml)
    swn-torture serve                         # run the reference cluster, for developers of clients
    swn-torture lab up                        # start a Samba witness cluster on this machine (root)
    swn-torture explain ID                    # explain a requirement, case, fault or error code

    Exit codes: 0 conforming or done, 1 violations, 2 usage or profile error, 3 target unusable, 4 baseline no
    longer true.
    """
