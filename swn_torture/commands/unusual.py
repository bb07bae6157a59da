"""``swn-torture unusual``: lists the unusual, but conforming servers that the reference cluster can be."""

from __future__ import annotations

import json

import click

from swn_torture.commands.errors import USAGE, CommandError


@click.command(short_help="List the unusual, but conforming servers that the reference cluster can be.")
@click.argument("words", nargs=-1)
@click.option("--area", help="List only the servers of this area, for example limits or options.")
@click.option("--names", is_flag=True, help="Print only the names, one on each line.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def command(words: tuple[str, ...], area: str | None, *, names: bool, as_json: bool) -> None:
    """List the unusual servers with all WORDS in their name, summary or requirements.

    An unusual server conforms to the specification, but not in the way that most servers do: the suite must
    not fail it. The area options has a server for each value of each option of the reference. A few of these
    values do not follow the specification on purpose; the list names the requirements.

    \b
    swn-torture unusual mapper
    swn-torture unusual --area limits
    swn-torture serve --unusual slow-replies
    swn-torture run --unusual two-nodes
    swn-torture run --unusual interface_list_waits=witness  # any option of the server, any value
    """
    from swn_torture.unusual.library import AREAS, load_unusual

    if area is not None and area not in AREAS:
        raise CommandError(f"Unknown area {area!r}; known: {', '.join(AREAS)}.", USAGE)
    servers = load_unusual()
    found = [
        server
        for server in servers.values()
        if area in {None, server.area}
        and all(
            word.casefold() in f"{server.name} {server.summary} {server.breaks}".casefold() for word in words
        )
    ]
    if as_json:
        fields = ("name", "summary", "conforms", "area", "breaks")
        click.echo(json.dumps([{name: getattr(s, name) for name in fields} for s in found], indent=2))
        return
    last = ""
    for server in found:
        if names:
            click.echo(server.name)
            continue
        if server.area != last:
            click.echo(("\n" if last else "") + server.area)
            last = server.area
        click.echo(f"  {server.name}\n      {server.summary}")
        if server.conforms:
            click.echo(f"      {server.conforms}")
        if server.breaks:
            click.echo(f"      does not follow {', '.join(server.breaks)}")
    click.echo(f"{len(found)} of {len(servers)} unusual servers", err=True)
