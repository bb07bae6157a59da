"""What ``client watch`` and ``cluster list --watch`` show: lines, JSON lines for programs, or a live table.

A live table is shown on a terminal only. It says what is waited for, since when and for how long yet.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import click

from swn_torture.commands.terminal import echo
from swn_torture.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rich.console import RenderableType

    from swn_torture.witness.messages import RespAsyncNotify

#: Rows of a live table; older ones scroll out of it.
SHOWN_ROWS = 20

#: The first columns of `cluster list`, which fit on most terminals, and the number of notifications.
LIST_COLUMNS = ("ClientName", "WitnessNodeName", "FileServerNodeName", "ShareName", "IpAddress", "State")
COUNTS = {"NotificationsSent": "Sent", "QueuedNotifications": "Queued"}


class ClientWatch(Protocol):
    """Shows what a registered client gets."""

    def registered(self, handle: str) -> None:
        """The client is registered and waits."""

    def timed_out(self, result: str) -> None:
        """A call of AsyncNotify ended without a notification; the next one waits."""

    def notified(self, response: RespAsyncNotify | None) -> None:
        """A notification came; None for ERROR_SUCCESS without one."""


@contextmanager
def client_watch(*, as_json: bool, net_name: str, keep_alive: float | None) -> Iterator[ClientWatch]:
    """What shows a watch: JSON lines, a live table on a terminal, else lines.

    Args:
        as_json: print JSON lines.
        net_name: the NetName, for the title of a table.
        keep_alive: seconds after which a call ends without a notification; None if it has no end.
    """
    if as_json:
        yield _JsonLines()
    elif sys.stdout.isatty():
        table = _ClientTable(net_name, keep_alive)
        try:
            with live(table.render):
                yield table
        finally:
            for line in table.lines():  # the table is gone with the command; what came stays
                echo(line)
    else:
        yield _Lines()


@contextmanager
def live(render: Callable[[], RenderableType]) -> Iterator[None]:
    """A live display on the terminal that is drawn again several times a second, until the block ends."""
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(), get_renderable=render, refresh_per_second=4, transient=True):
        yield


class _Clock:
    def __init__(self) -> None:
        self.began = time.monotonic()

    def stamp(self) -> str:
        return f"{time.monotonic() - self.began:9.3f} s"


class _Lines(_Clock):
    def registered(self, handle: str) -> None:
        self.began = time.monotonic()
        echo(f"registered: {handle}; waiting for notifications until Ctrl-C", err=True)

    def timed_out(self, result: str) -> None:
        echo(f"{self.stamp()}  no notification: {result}", err=True)

    def notified(self, response: RespAsyncNotify | None) -> None:
        for line in notification_lines(response):
            echo(f"{self.stamp()}  {line}")


class _JsonLines:
    def registered(self, handle: str) -> None:
        print_json({"event": "registered", "handle": handle})

    def timed_out(self, result: str) -> None:
        print_json({"event": "timeout", "result": result})

    def notified(self, response: RespAsyncNotify | None) -> None:
        print_json({"event": "notification", **notification_value(response)})


class _ClientTable(_Clock):
    def __init__(self, net_name: str, keep_alive: float | None) -> None:
        super().__init__()
        self._net_name, self._keep_alive = net_name, keep_alive
        self._handle = ""
        self._waiting = self.began
        self._rows: list[tuple[str, str]] = []

    def registered(self, handle: str) -> None:
        self.began = self._waiting = time.monotonic()
        self._handle = handle

    def timed_out(self, result: str) -> None:
        self._add(f"no notification: {result}")

    def notified(self, response: RespAsyncNotify | None) -> None:
        for line in notification_lines(response):
            self._add(line)

    def _add(self, text: str) -> None:
        self._rows.append((self.stamp(), visible(text)))
        self._waiting = time.monotonic()

    def lines(self) -> list[str]:
        return [f"{stamp}  {text}" for stamp, text in self._rows]

    def render(self) -> RenderableType:
        from rich.table import Table
        from rich.text import Text

        now = time.monotonic()
        rest = (
            f", at most {max(0.0, self._keep_alive - now + self._waiting):.0f} s more"
            if self._keep_alive
            else ""
        )
        state = f"waiting for {now - self._waiting:.0f} s{rest}" if self._handle else "registering"
        caption = f"{state}; Ctrl-C ends it"
        table = Table(
            title=Text(f"{visible(self._net_name)}  {self._handle}"), caption=Text(caption), expand=True
        )
        table.add_column("since registered", no_wrap=True)
        table.add_column("notification", ratio=1)
        for stamp, text in self._rows[-SHOWN_ROWS:]:
            table.add_row(stamp, Text(text))
        return table


def registrations_table(rows: Sequence[Mapping[str, Any]], target: str, since: float) -> RenderableType:
    """The registered clients as a table.

    Args:
        rows: each under the names of Get-SmbWitnessClient.
        target: the name of the target.
        since: seconds since they changed.
    """
    from rich.table import Table
    from rich.text import Text

    count = f"{len(rows)} {'registration' if len(rows) == 1 else 'registrations'}"
    caption = f"{count}, unchanged for {since:.0f} s; Ctrl-C ends it"
    table = Table(title=Text(visible(target)), caption=Text(caption), expand=True)
    for name in (*LIST_COLUMNS, *COUNTS):
        table.add_column(COUNTS.get(name, name), overflow="fold")
    for row in rows:
        cells = ["-" if row[name] is None else visible(str(row[name])) for name in (*LIST_COLUMNS, *COUNTS)]
        table.add_row(*map(Text, cells))
    return table


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON line with the time, at once."""
    now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    click.echo(json.dumps({"time": now, **value}))


def notification_lines(response: RespAsyncNotify | None) -> Iterator[str]:
    """A notification as text, one line for each of its items."""
    value = notification_value(response)
    kind = value["message_type"]
    if kind is None:
        yield "ERROR_SUCCESS without a notification"
        return
    for item in value["items"]:
        if "resource_name" in item:
            yield f"{kind}: {item['resource_name']} is {item['change_type']}"
        elif item["address"] is None:
            yield f"{kind}: no address"
        else:
            yield f"{kind}: {item['address']} {item['flags']}"


def notification_value(response: RespAsyncNotify | None) -> dict[str, Any]:
    """A notification as values: its MessageType and its items; a type of None for none.

    Raises:
        DecodeError: the buffer does not match type and number.
    """
    from swn_torture.witness.constants import AddressFlags, ChangeType, MessageType, describe
    from swn_torture.witness.notifications import ResourceChange

    if response is None:
        return {"message_type": None, "items": []}
    items: list[dict[str, Any]] = []
    for item in response.decode().items:
        if isinstance(item, ResourceChange):
            change = describe(ChangeType, item.change_type)
            items.append({"resource_name": item.resource_name, "change_type": change})
            continue
        for address in item.addresses:
            valid = address.ipv6 if address.flags & AddressFlags.V6 else address.ipv4
            items.append({"address": str(valid), "flags": describe(AddressFlags, address.flags)})
        if not item.addresses:
            items.append({"address": None, "flags": None})
    return {"message_type": describe(MessageType, response.message_type), "items": items}
