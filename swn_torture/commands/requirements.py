"""``swn-torture requirements``: the requirement catalogue, and which cases of a run reached what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from swn_torture.commands.errors import USAGE, CommandError

if TYPE_CHECKING:
    from swn_torture.spec import Catalogue


@click.command()
@click.argument("words", nargs=-1)
@click.option(
    "--results",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("reports/reference/results.json"),
    show_default=True,
    metavar="FILE",
    help="Results of the run for --map and --untested.",
)
@click.option(
    "--map", "show_map", is_flag=True, help="Show the cases that checked each requirement in that run."
)
@click.option(
    "--untested", is_flag=True, help="List the observable server and wire requirements that no case checked."
)
@click.option(
    "--role", type=click.Choice(["server", "client", "wire"]), help="List only requirements with this role."
)
@click.option("--level", help="List only requirements of this level (MUST, SHOULD, implied ...).")
def command(
    words: tuple[str, ...],
    results: Path,
    *,
    show_map: bool,
    untested: bool,
    role: str | None,
    level: str | None,
) -> None:
    """List the requirements whose id or text contains all WORDS. An id as the only word shows it in full.

    \b
    swn-torture requirements keep-alive                # search
    swn-torture requirements SWN-3.1.4.2-null-netname  # show one in full; `explain` shows its cases, too
    swn-torture requirements --map                     # show the cases of a run that checked each
    swn-torture requirements --untested                # list those that no case of a run checked
    """
    from swn_torture.spec import load_catalogue, load_untestable

    catalogue = load_catalogue()
    if len(words) == 1 and words[0] in catalogue.requirements:
        from swn_torture.commands.explain import requirement_lines

        for line in requirement_lines(catalogue.requirements[words[0]]):
            click.echo(line)
        return
    levels = sorted({row.level for row in catalogue.requirements.values()})
    if level is not None and level not in levels:
        raise CommandError(f"Unknown level {level!r}; known: {', '.join(levels)}.", USAGE)
    reached = _reached(results, catalogue) if show_map or untested else {}
    rows = [
        row
        for row in catalogue.requirements.values()
        if all(word.casefold() in f"{row.id} {row.text}".casefold() for word in words)
        and role in {None, row.role}
        and level in {None, row.level}
    ]
    if untested:
        rows = [row for row in rows if row.observable and row.role != "client" and not reached.get(row.id)]
    reasons = load_untestable() if untested else {}
    for row in rows:
        click.echo(f"{row.id:<44} {row.level:<8} {row.text}")
        if row.id in reasons:
            click.echo(f"    not testable: {reasons[row.id]}")
        if show_map:
            for case in reached.get(row.id, ()):
                click.echo(f"    {case}")
    click.echo(f"{len(rows)} of {len(catalogue.requirements)} requirements", err=True)


def _reached(results: Path, catalogue: Catalogue) -> dict[str, list[str]]:
    """The cases that checked each requirement in a run, which may be fewer than those that name it."""
    from swn_torture.report.json_report import load_results
    from swn_torture.report.results import ResultsError

    try:
        found = load_results(results, catalogue)
    except OSError as problem:
        raise CommandError(
            f"Cannot read {results}: {problem.strerror}. "
            f"Make it with: swn-torture run --report {results.parent}",
            USAGE,
        ) from problem
    except ResultsError as problem:
        raise CommandError(f"Cannot read results: {problem}.", USAGE) from problem
    reached: dict[str, list[str]] = {}
    for case in found.cases:
        for check in case.checks:
            cases = reached.setdefault(check.requirement, [])
            if case.id not in cases:
                cases.append(case.id)
    return reached
