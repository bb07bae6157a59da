"""``swn-torture faults``: lists the faults that the reference cluster can have."""

from __future__ import annotations

import json

import click

from swn_torture.commands.errors import USAGE, CommandError


@click.command(short_help="List the faults that the reference cluster can have.")
@click.argument("words", nargs=-1)
@click.option("--area", help="List only the faults of this area, for example codes or timers.")
@click.option("--kind", help="List only the faults of this kind: realistic or narrowed.")
@click.option("--names", is_flag=True, help="Print only the names, one on each line.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def command(
    words: tuple[str, ...], area: str | None, kind: str | None, *, names: bool, as_json: bool
) -> None:
    """List the faults with all WORDS in their name, summary or requirements.

    A fault is one deliberate defect of the reference server. There are two kinds:

    \b
    realistic  a real server was seen to have it, or an implementer could plausibly make it
    narrowed   it shows under one condition, so that only the cases of its own requirement see it

    \b
    swn-torture faults keep-alive
    swn-torture faults SWN-3.1.4.4-change-order  # the faults that violate a requirement
    swn-torture faults samba                     # the faults that Samba was seen to have
    swn-torture serve --fault keep-alive-in-milliseconds
    swn-torture run --fault keep-alive-in-milliseconds
    """
    from swn_torture.faults.library import AREAS, KINDS, load_faults

    if area is not None and area not in AREAS:
        raise CommandError(f"Unknown area {area!r}; known: {', '.join(AREAS)}.", USAGE)
    if kind is not None and kind not in KINDS:
        raise CommandError(f"Unknown kind {kind!r}; known: {', '.join(KINDS)}.", USAGE)
    found = [
        fault
        for fault in load_faults()
        if area in {None, fault.area}
        and kind in {None, fault.kind}
        and all(
            word.casefold() in f"{fault.name} {fault.summary} {fault.seen_in} {fault.violates}".casefold()
            for word in words
        )
    ]
    if as_json:
        fields = ("name", "summary", "violates", "area", "kind", "seen_in")
        click.echo(json.dumps([{name: getattr(f, name) for name in fields} for f in found], indent=2))
        return
    last = ""
    for fault in found:
        if names:
            click.echo(fault.name)
            continue
        if fault.area != last:
            click.echo(("\n" if last else "") + f"{fault.area} ({fault.kind})")
            last = fault.area
        seen = f"      seen in {fault.seen_in}\n" if fault.seen_in else ""
        click.echo(f"  {fault.name}\n      {fault.summary}\n{seen}      violates {', '.join(fault.violates)}")
    click.echo(f"{len(found)} of {len(load_faults())} faults", err=True)
