"""``client watch`` and ``cluster list --watch``: lines, JSON lines, and a live table on a terminal."""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import time
from contextlib import contextmanager
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from swn_torture.commands.watching import notification_lines, notification_value
from swn_torture.witness.constants import AddressFlags, ChangeType, MessageType
from swn_torture.witness.messages import RespAsyncNotify
from swn_torture.witness.notifications import IpAddrInfo, IpAddrInfoList, ResourceChange
from tests.preloaded import program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT = 60.0


class Output:
    """What a command prints on a pipe or on a terminal, while it runs."""

    def __init__(self, process: subprocess.Popen[bytes], reader: int) -> None:
        self.process = process
        self._reader = reader
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.text = ""

    def until(self, part: str) -> str:
        """Read until this part is there."""
        deadline = time.monotonic() + LIMIT
        while part not in self.text:
            assert time.monotonic() < deadline, f"no {part!r} in: {self.text}"
            try:
                octets = os.read(self._reader, 65536)
            except OSError:  # a terminal whose process has ended
                octets = b""
            assert octets, f"ended without {part!r}: {self.text}"
            self.text += self._decoder.decode(octets)
        return self.text

    def rest(self) -> str:
        """Read to the end."""
        with contextlib.suppress(OSError):
            while octets := os.read(self._reader, 65536):
                self.text += self._decoder.decode(octets)
        return self.text


@contextmanager
def running(*words: str, terminal: bool = False) -> Iterator[Output]:
    """A command that is ended by Ctrl-C when the block ends; it must exit with 0."""
    reader, writer = pty.openpty() if terminal else os.pipe()
    environment = {**os.environ, "COLUMNS": "140", "TERM": "xterm"}
    command = ["env", "--default-signal=INT", *program(), *words]
    with subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE, env=environment) as process:
        os.close(writer)
        output = Output(process, reader)
        try:
            yield output
        finally:
            process.send_signal(signal.SIGINT)
            output.rest()
            _, errors = process.communicate(timeout=LIMIT)
            os.close(reader)
        assert process.returncode == 0, errors.decode()


def lines(output: Output) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.text.splitlines()]


def test_notifications_and_registrations_as_json_lines(profile: Path) -> None:
    target = ("--target", str(profile))
    with running("cluster", "list", *target, "--watch", "--json") as registrations:
        registrations.until('"registrations": []')
        with running("client", "watch", *target, "--client-name", "JSON", "--json") as watch:
            watch.until('"event": "registered"')
            registrations.until('"ClientName": "JSON"')
            move(target, "JSON")
            watch.until("CLIENT_MOVE")
    first, second = lines(watch)
    assert set(first) == {"time", "event", "handle"}
    assert second["event"] == "notification"
    assert str(second["message_type"]).startswith("CLIENT_MOVE")
    assert isinstance(second["items"], list)
    assert set(second["items"][0]) == {"address", "flags"}
    assert [len(line["registrations"]) for line in lines(registrations)][:2] == [0, 1]  # type: ignore[arg-type]


def test_a_terminal_shows_live_tables(profile: Path) -> None:
    target = ("--target", str(profile))
    with running("cluster", "list", *target, "--watch", terminal=True) as registrations:
        registrations.until("0 registrations")
        with running("client", "watch", *target, "--client-name", "LIVE", terminal=True) as watch:
            watch.until("waiting for")
            assert "s more; Ctrl-C ends it" in watch.text
            assert "SWNCLUSTER" in watch.text
            registrations.until("LIVE")
            registrations.until("1 registration,")
            move(target, "LIVE")
            watch.until("CLIENT_MOVE")
    # The table is wiped when the command ends; what came is left as a line.
    assert re.search(r"\[2K +\d+\.\d{3} s  CLIENT_MOVE[^│]*\r\n$", watch.text)


def test_a_log_gets_a_table_at_each_change(profile: Path) -> None:
    target = ("--target", str(profile))
    with running("cluster", "list", *target, "--watch") as registrations:
        registrations.until("There are no registrations.")
        with running("client", "watch", *target, "--client-name", "LOG", "--keep-alive", "1"):
            registrations.until("LOG")
    assert "\x1b" not in registrations.text


def move(target: tuple[str, ...], client: str) -> None:
    """Move a client to the node at which the profile points."""
    subprocess.run(
        [*program(), "cluster", "move-client", client, "NODE1", *target],
        check=True,
        capture_output=True,
    )


def test_a_notification_as_values_and_as_text() -> None:
    change = RespAsyncNotify.of(ResourceChange(ChangeType.AVAILABLE, "NODE2"))
    (item,) = notification_value(change)["items"]
    assert item["resource_name"] == "NODE2"
    assert list(notification_lines(change)) == [
        f"{notification_value(change)['message_type']}: NODE2 is {item['change_type']}"
    ]
    address = IpAddrInfo(AddressFlags.V4 | AddressFlags.ONLINE, IPv4Address("192.0.2.1"))
    moved = RespAsyncNotify.of(IpAddrInfoList((address,)), message_type=MessageType.CLIENT_MOVE)
    assert notification_value(moved)["items"][0]["address"] == "192.0.2.1"
    nowhere = RespAsyncNotify.of(IpAddrInfoList(()), message_type=MessageType.IP_CHANGE)
    assert notification_value(nowhere)["items"] == [{"address": None, "flags": None}]
    assert next(notification_lines(nowhere)).endswith(": no address")
    assert notification_value(None) == {"message_type": None, "items": []}
    assert list(notification_lines(None)) == ["ERROR_SUCCESS without a notification"]


def test_count_needs_watch(profile: Path) -> None:
    done = subprocess.run(
        [*program(), "cluster", "list", "--count", "1", "--target", str(profile)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "--count needs --watch" in done.stderr
