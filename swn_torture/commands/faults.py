"""``swn-torture faults``: the ways in which the reference cluster can misbehave on purpose."""

from __future__ import annotations

import json

import click

from swn_torture.commands.errors import USAGE, explain


@click.command(short_help="The ways in which the reference cluster can misbehave on purpose.")
@click.argument("words", nargs=-1)
@click.option("--area", help="Only the faults of this area, such as codes or timers.")
@click.option("--names", is_flag=True, help="Names only, one a line.")
@click.option("--json", "as_json", is_flag=True, help="As a JSON list.")
def command(words: tuple[str, ...], area: str | None, *, names: bool, as_json: bool) -> None:
    """List the faults whose name, summary or requirements hold all WORDS.

    \b
    swn-torture faults keep-alive
    swn-torture faults SWN-3.1.4.4-change-order        what would break a requirement
    swn-torture serve --fault keep-alive-in-milliseconds
    swn-torture run --fault keep-alive-in-milliseconds
    """
    from swn_torture.faults.library import AREAS, load_faults

    if area is not None and area not in AREAS:
        raise explain(f"There is no area {area!r}; the areas are {', '.join(AREAS)}.", USAGE)
    found = [
        fault
        for fault in load_faults()
        if area in {None, fault.area}
        and all(w.casefold() in f"{fault.name} {fault.summary} {fault.violates}".casefold() for w in words)
    ]
    if as_json:
        rows = [{"name": f.name, "summary": f.summary, "violates": f.violates, "area": f.area} for f in found]
        click.echo(json.dumps(rows, indent=2))
        return
    last = ""
    for fault in found:
        if names:
            click.echo(fault.name)
            continue
        if fault.area != last:
            click.echo(("\n" if last else "") + fault.area)
            last = fault.area
        click.echo(f"  {fault.name}\n      {fault.summary}\n      violates {', '.join(fault.violates)}")
    click.echo(f"{len(found)} of {len(load_faults())} faults", err=True)
