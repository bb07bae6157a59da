"""``swn-torture requirements``: the catalogue, and what a run exercised of it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from swn_torture.commands.errors import USAGE, explain


@click.command(short_help="The requirement catalogue, and what a run exercised of it.")
@click.argument("words", nargs=-1)
@click.option(
    "--results",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("reports/reference/results.json"),
    show_default=True,
    help="The run that --map and --untested speak of.",
)
@click.option(
    "--map", "show_map", is_flag=True, help="Each requirement with its verdict and the cases that reached it."
)
@click.option(
    "--untested", is_flag=True, help="The observable server and wire requirements that no case reached."
)
@click.option(
    "--role", type=click.Choice(["server", "client", "wire"]), help="Only requirements of this role."
)
@click.option("--level", help="Only requirements of this level (MUST, SHOULD, implied ...).")
def command(
    words: tuple[str, ...],
    results: Path,
    *,
    show_map: bool,
    untested: bool,
    role: str | None,
    level: str | None,
) -> None:
    """List the requirements whose id or text holds all WORDS, or one in full when WORDS is its id.

    \b
    swn-torture requirements SWN-3.1.4.2-null-netname   one in full
    swn-torture requirements keep-alive                 a search
    swn-torture requirements --map                      what a run reached, from its results
    swn-torture requirements --untested
    """
    from swn_torture.spec import load_catalogue, load_untestable

    catalogue = load_catalogue()
    if len(words) == 1 and words[0] in catalogue.requirements:
        row = catalogue.requirements[words[0]]
        click.echo(
            f"{row.id}\n{row.cite}, {row.level}, {row.role}, revision {row.revision}\n\n"
            f"{row.text}\n\nprobe: {row.how}"
        )
        if row.notes:
            click.echo(f"\nnotes: {row.notes}")
        return
    reached = _reached(results) if show_map or untested else {}
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
            click.echo(f"    untestable here: {reasons[row.id]}")
        if show_map:
            for case in reached.get(row.id, ()):
                click.echo(f"    {case}")
    click.echo(f"{len(rows)} of {len(catalogue.requirements)} requirements", err=True)


def _reached(results: Path) -> dict[str, list[str]]:
    """Which cases made a check of which requirement: what a run did, not what cases declare."""
    try:
        data = json.loads(results.read_text(encoding="utf-8"))
    except OSError as problem:
        raise explain(
            f"{results} cannot be read ({problem.strerror}). "
            f"Make it with: swn-torture run --report {results.parent}",
            USAGE,
        ) from problem
    except ValueError as problem:
        raise explain(f"{results} is not JSON: {problem}.", USAGE) from problem
    reached: dict[str, list[str]] = {}
    for case in data["cases"]:
        for check in case["checks"]:
            cases = reached.setdefault(check["requirement"], [])
            if case["id"] not in cases:
                cases.append(case["id"])
    return reached
